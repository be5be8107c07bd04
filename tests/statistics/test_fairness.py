"""A fair study has no flag; a deliberately unfair one has every one of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from metapt_explore.statistics import MethodBudget, fairness_flags

METAPT = MethodBudget(
    method="MetaPT",
    kind="metapt",
    init="vocabulary/0",
    pretraining_row_passes=3840,
    tuning_row_passes=480,
    learning_rates=(0.001, 0.003),
    tuning_steps=30,
    data_seeds=(13, 21),
    init_seeds=(0, 1),
    tasks=("mr", "subj"),
    shots=16,
    trained_parameters=4608,
)
PPT = replace(METAPT, method="PPT", kind="ppt")
PT = replace(METAPT, method="PT", kind="pt", pretraining_row_passes=0)
LONG_PT = replace(PT, method="PT+", tuning_row_passes=4320, tuning_steps=270)
TFIDF = MethodBudget("TF-IDF", "tfidf", data_seeds=(21, 13), tasks=("subj", "mr"), shots=16, prompt=False)


def rules(*budgets: MethodBudget, tolerance: float = 0.05) -> set[tuple[str, str]]:
    return {(flag.severity, flag.rule) for flag in fairness_flags(budgets, tolerance)}


def test_a_fair_study_has_no_flag() -> None:
    assert fairness_flags([PT, LONG_PT, PPT, METAPT, TFIDF]) == []
    assert fairness_flags([]) == []


def test_pt_without_the_budget_is_a_note_unless_another_has_it() -> None:
    flags = fairness_flags([PT, PPT, METAPT])
    assert [(flag.severity, flag.methods) for flag in flags] == [("note", ("PT",))]
    assert "3,840 row passes" in flags[0].sentence


def test_rates_that_go_on_to_tuning_are_a_note_and_a_fixed_recipe_is_none() -> None:
    assert rules(LONG_PT, PPT, replace(METAPT, kept_rates=True)) == {("note", "kept rates")}
    assert rules(*(replace(budget, selected_on="none") for budget in (LONG_PT, PPT, METAPT))) == set()


def test_starts_that_few_shot_rows_make_are_a_note() -> None:
    flags = fairness_flags([LONG_PT, PPT, replace(METAPT, begins="its few-shot rows")])
    assert [(flag.rule, flag.methods) for flag in flags] == [("begins", ("MetaPT",))]
    assert "Each data seed of MetaPT begins from its few-shot rows" in flags[0].sentence


def test_late_prompts_that_are_averaged_differently_are_unequal() -> None:
    mean, last = replace(METAPT, average_last=0.5), replace(PPT, average_last=0.0)
    assert rules(LONG_PT, last, mean) == {("unequal", "averaging")}
    assert rules(LONG_PT, replace(last, average_last=0.5), mean) == set()
    assert rules(LONG_PT, PPT, mean) == set(), "records made before do not know it"


def test_a_budget_that_is_small_beside_tuning_is_still_missed() -> None:
    small = [replace(account, pretraining_row_passes=20) for account in (PPT, METAPT)]
    assert rules(PT, *small) == {("note", "budget")}
    assert rules(replace(PT, tuning_row_passes=500, tuning_steps=31), *small) == set()


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"init": "labels/0"}, "start"),
        ({"pretraining_row_passes": 3600}, "passes"),
        ({"learning_rates": (0.001, 0.003, 0.01)}, "rates"),
        ({"tuning_steps": 60}, "steps"),
        ({"tuning_row_passes": 960}, "tuning"),
        ({"init_seeds": (0,)}, "inits"),
        ({"data_seeds": (13,)}, "data seeds"),
        ({"tasks": ("mr",)}, "tasks"),
        ({"shots": 32}, "shots"),
        ({"selected_on": "test"}, "selection"),
    ],
)
def test_each_unequal_chance_is_flagged_alone(change: dict[str, object], rule: str) -> None:
    assert rules(LONG_PT, PPT, replace(METAPT, **change)) == {("unequal", rule)}  # type: ignore[arg-type]


def test_whole_outer_steps_are_no_inequality() -> None:
    exact = replace(METAPT, method="exact", pretraining_row_passes=3700)
    assert rules(LONG_PT, PPT, METAPT, exact) == set()
    assert rules(LONG_PT, PPT, METAPT, exact, tolerance=0.01) == {("unequal", "passes")}


def test_the_order_of_rates_and_seeds_is_no_inequality() -> None:
    assert rules(LONG_PT, PPT, replace(METAPT, learning_rates=(0.003, 0.001), data_seeds=(21, 13))) == set()


def test_baselines_without_prompt_answer_for_seeds_tasks_and_selection_only() -> None:
    assert rules(LONG_PT, PPT, METAPT, replace(TFIDF, selected_on="train")) == set()
    assert rules(LONG_PT, PPT, METAPT, replace(TFIDF, data_seeds=(1, 2))) == {("unequal", "data seeds")}
    assert rules(LONG_PT, PPT, METAPT, replace(TFIDF, selected_on="test")) == {("unequal", "selection")}


def test_another_start_of_pt_and_another_size_are_notes() -> None:
    assert rules(replace(LONG_PT, init="text"), PPT, METAPT) == {("note", "start")}
    assert rules(LONG_PT, PPT, replace(METAPT, trained_parameters=9216)) == {("note", "size")}


def test_a_deliberately_unfair_study() -> None:
    spoiled = replace(
        METAPT,
        init="labels",
        pretraining_row_passes=9000,
        learning_rates=(0.001, 0.003, 0.01, 0.03),
        tuning_steps=100,
        selected_on="test",
        data_seeds=(42,),
        tasks=("mr",),
    )
    flags = fairness_flags([PT, PPT, spoiled])
    found = {flag.rule for flag in flags if flag.severity == "unequal"}
    assert found == {"start", "passes", "rates", "steps", "data seeds", "tasks", "selection"}
    assert [flag.severity for flag in flags] == sorted([flag.severity for flag in flags], reverse=True)
    sentences = " ".join(flag.sentence for flag in flags)
    assert "PPT: 3,840; MetaPT: 9,000" in sentences and "MetaPT was selected on test" in sentences
    assert "PT, PPT: 13, 21; MetaPT: 42" in sentences
