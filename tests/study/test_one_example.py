"""One and two examples a class: every way of tuning, reading and every baseline works, and a fixed recipe is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tiny

from metapt_explore.config import StudyConfig, parse
from metapt_explore.config.fixed_recipe import few_dev_rows
from metapt_explore.errors import UserError
from metapt_explore.pretraining.budget import tuning_of
from metapt_explore.progress.state import Progress
from metapt_explore.reporting.report import make_report
from metapt_explore.results.record import record_of
from metapt_explore.results.tables import efficiency_table
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study

#: Every way to choose, to read and to go on from a start.
METHODS: list[dict[str, Any]] = [
    {"name": "PT", "kind": "pt"},
    {"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"},
    {"name": "probe", "kind": "pt", "verbalizer": {"read": "probe_ensemble"}},
    {"name": "automatic", "kind": "pt", "verbalizer": {"read": "automatic", "automatic_words": 1}},
    {"name": "prototypes", "kind": "pt", "verbalizer": {"read": "prototypes"}},
    {"name": "mixed", "kind": "pt", "verbalizer": {"read": "mixed"}},
    {"name": "one_se", "kind": "pt", "tuning": {"select_by": "one_se"}},
    {"name": "accuracy", "kind": "pt", "tuning": {"select_by": "accuracy"}},
    {"name": "soup", "kind": "pt", "tuning": {"soup": 2}},
    {"name": "longer", "kind": "pt", "extra_tuning": True},
]
BASELINES: list[Any] = [
    "majority",
    "zero_shot",
    "tfidf",
    {"name": "in_context", "kind": "in_context", "orders": 2, "shots_per_class": 4},
    {"name": "of encoder", "kind": "linear_probe"},
    {"name": "of model", "kind": "linear_probe", "of": "model"},
    {"name": "of states", "kind": "linear_probe", "of": "hidden_states"},
    {"name": "neighbours", "kind": "linear_probe", "head": "knn"},
    {"name": "discriminant", "kind": "linear_probe", "head": "lda"},
    "setfit",
    "setfit_package",
    {"name": "lora", "kind": "lora", "learning_rates": [0.001, 0.01]},
    {"name": "full", "kind": "full", "learning_rates": [0.001]},
]


def config_of(world: Path, methods: list[dict[str, Any]] = METHODS[:2], **evaluation: Any) -> StudyConfig:
    tasks = {"tasks": [str(world / "mood.yaml")], "init_seeds": [0]}
    return parse(StudyConfig, tiny.study_tree(world, methods=methods, evaluation={**tasks, **evaluation}), "test")


def test_everything_works_at_one_and_two_examples(world: Path, tmp_path: Path) -> None:
    names = [m["name"] for m in METHODS] + [b if isinstance(b, str) else b["name"] for b in BASELINES]
    evaluation = {
        "tasks": [str(world / "mood.yaml")],
        "shots": 1,
        "more_shots": [2],
        "data_seeds": [1],
        "init_seeds": [0],
    }
    tree = tiny.study_tree(world, methods=METHODS, baselines=BASELINES, evaluation=evaluation)
    study = Study(parse(StudyConfig, tree, "test"), tmp_path)
    results = study.run()
    table = efficiency_table(Workspace(tmp_path), "tiny")
    for shots in (1, 2):
        at = table[table["shots"] == shots]
        assert list(dict.fromkeys(at["method"])) == names and set(at.groupby("method").size()) == {1}
        assert at["accuracy"].between(0, 1).all() and at["test_loss"].notna().sum() >= len(names) - 1
    assert len(results) == len(names)
    train = study.split("mood").table("rows").query("split == 'train'")
    assert train.groupby(["data_seed", "label"]).size().eq(1).all()
    text = make_report(record_of(Workspace(tmp_path), "tiny")).markdown()
    for name in names:
        assert f"| {name} | " in text
    assert "At 1 and 2 examples a class dev has as few rows" in text


def test_a_fixed_recipe_holds_where_dev_has_too_few_rows(world: Path, tmp_path: Path) -> None:
    methods = [*METHODS[:2], {"name": "own", "kind": "pt", "tuning": {"learning_rates": [0.02], "steps": 3}}]
    design = {"shots": 4, "more_shots": [1, 2, 3]}
    recipe = {"learning_rate": 0.5, "steps": 2}
    said: dict[str, list[str]] = {"plain": [], "fixed": []}
    plain = Study(config_of(world, methods, **design), tmp_path, Progress(lambda s: said["plain"].extend(s.notices)))
    plain.run()
    config = config_of(world, methods, **design, fixed_recipe=recipe)
    study = Study(config, tmp_path, Progress(lambda s: said["fixed"].extend(s.notices)))
    study.run()
    table = efficiency_table(Workspace(tmp_path), "tiny").set_index(["method", "shots"])
    for method, rate, steps in (("PT", 0.5, 2), ("MetaPT", 0.5, 2), ("own", 0.02, 3)):
        for shots in (1, 2):
            kept = table.loc[(method, shots)]
            assert set(kept["learning_rate"]) == {rate} and set(kept["step"]) == {steps}
    # Where dev chooses nothing is another question.
    for shots in (None, 3):
        assert study.fewshot("PT", "mood", shots=shots).id == plain.fewshot("PT", "mood", shots=shots).id
    assert study.fewshot("PT", "mood", shots=1).id != plain.fewshot("PT", "mood", shots=1).id
    # The same scores as in a study of its own, with the last step of one rate.
    alone = config_of(world, methods[:1], shots=1, select_by="last", learning_rates=[0.5], steps=2)
    expected = Study(alone, tmp_path / "alone").run()
    found = table.loc[("PT", 1)].reset_index(drop=True)
    pd.testing.assert_series_equal(found["accuracy"], expected["accuracy"])
    text = make_report(record_of(Workspace(tmp_path), "tiny")).markdown()
    assert "At 2 examples a class and fewer no prompt was chosen on dev: the last of 2 steps at the rate 0.5" in text
    assert "dev has as few rows" not in text
    few = {which: any("dev has as few rows" in notice for notice in notices) for which, notices in said.items()}
    assert few == {"plain": True, "fixed": False}


def test_longer_tuning_keeps_its_budget_under_a_fixed_recipe(world: Path) -> None:
    design = {"shots": 4, "more_shots": [1], "fixed_recipe": {"learning_rate": 0.5, "steps": 2}}
    config = config_of(world, [METHODS[-1]], **design)
    tuned = tuning_of(config.methods[0], config.at_shots(1), classes=2)
    # 64 rows of pre-training in steps of two rows.
    assert (tuned.steps, tuned.select_by, tuned.learning_rates) == (2 + 64 // 2, "last", [0.5])
    assert tuning_of(config.methods[0], config).select_by == "loss"


@pytest.mark.parametrize(
    ("evaluation", "said"),
    [
        ({"shots": 1}, "take `evaluation.select_by: last` with one learning rate"),
        ({"shots": 2, "more_shots": [1, 8]}, "make `shots` the largest number"),
        ({"shots": 8, "more_shots": [1, 2]}, "give `evaluation.fixed_recipe` a learning rate and steps"),
        ({"shots": 8, "more_shots": [1, 2], "fixed_recipe": {"up_to": 1, "learning_rate": 1, "steps": 1}}, "At 2 exam"),
        ({"shots": 1, "select_by": "last", "learning_rates": [0.1]}, ""),
        ({"shots": 3, "more_shots": [16]}, ""),
        ({"shots": 1, "steps": 0}, ""),
    ],
)
def test_too_few_dev_rows_are_said_with_what_to_do(world: Path, evaluation: dict[str, Any], said: str) -> None:
    found = few_dev_rows(config_of(world, **evaluation).model_dump(mode="json"))
    assert len(found) == bool(said) and said in "".join(found)


@pytest.mark.parametrize(
    ("evaluation", "message"),
    [
        ({"shots": 2, "more_shots": [1]}, "Make `shots` the largest number"),
        ({"shots": 16, "more_shots": [4]}, "none of `more_shots` is 2 or less"),
    ],
)
def test_a_fixed_recipe_that_cannot_hold_is_refused(world: Path, evaluation: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        config_of(world, **evaluation, fixed_recipe={"learning_rate": 0.1, "steps": 5})
