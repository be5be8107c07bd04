"""Ensembles in a study: scores out of what readers said, seeds, lineage, cost; test labels change no choice."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny
from tampering import reseal

from metapt_explore.config import StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.export.export import PromptChoice, export_prompt
from metapt_explore.reporting.readers_section import taken_table, undecided_sentence
from metapt_explore.reporting.report import make_report
from metapt_explore.results.budgets import method_budgets
from metapt_explore.results.find_lineage import lineage
from metapt_explore.results.predictions import predictions_of
from metapt_explore.results.readers import format_readers, reader_weights, readers_table
from metapt_explore.results.record import record_of
from metapt_explore.stages.ensemble import Together
from metapt_explore.stages.registry import count
from metapt_explore.study.edit import depends_on, without
from metapt_explore.study.overview import asked_of, finished_scores
from metapt_explore.study.study import Study

READERS = ["PT", "tfidf", "majority"]
ENSEMBLES: list[dict[str, Any]] = [
    {"name": "best", "kind": "choose", "of": READERS},
    {"name": "mean", "kind": "average", "of": ["PT", "tfidf"]},
    {"name": "weighed", "kind": "stack", "of": ["PT", "tfidf"]},
    {"name": "alone", "kind": "average", "of": ["tfidf"]},
]


def tree_of(world: Path, **changes: Any) -> dict[str, Any]:
    tree = tiny.study_tree(world, methods=[{"name": "PT", "kind": "pt"}], baselines=["tfidf", "majority", *ENSEMBLES])
    tree["evaluation"] |= {"tasks": [str(world / "mood.yaml")], "init_seeds": [0, 1], "pairing": "paired", **changes}
    return tree


@pytest.fixture(scope="module")
def study(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """PT and two baselines, put together in four ways, in pairs of seeds."""
    made = Study(tree_of(world), tmp_path_factory.mktemp("ensembles"))
    made.run()
    return made


def said(study: Study, method: str, init_seed: int) -> pd.DataFrame:
    kept = predictions_of(study.workspace, study.config.name, "mood", methods=[method])
    own = kept["init_seed"].isna() | (kept["init_seed"] == init_seed)
    data_seed = study.config.evaluation.data_seeds_of(init_seed)[0]
    return kept[own & (kept["data_seed"] == data_seed)].reset_index(drop=True)


def test_a_chosen_reader_says_what_it_said(study: Study) -> None:
    for init_seed in (0, 1):
        artifact = study.baseline("best", "mood", init_seed)
        row = artifact.table("results").iloc[0].to_dict()
        weights = reader_weights(row)
        taken = next(name for name, weight in weights["weights"].items() if weight)
        assert weights["dev_rows"] == 8 and f"takes '{taken}', by 8 dev rows" == format_readers(row)
        own = said(study, taken, init_seed)
        pd.testing.assert_frame_equal(
            said(study, "best", init_seed).drop(columns=["method", "init_seed"]),
            own.drop(columns=["method", "init_seed"]),
        )
        score = study.fewshot("PT", "mood", init_seed) if taken == "PT" else study.baseline(taken, "mood")
        results = score.table("results").set_index("data_seed").loc[row["data_seed"]]
        assert row["accuracy"] == results["accuracy"] and row["dev_accuracy"] == results["dev_accuracy"]
        every = [
            study.fewshot("PT", "mood", init_seed),
            study.baseline("tfidf", "mood"),
            study.baseline("majority", "mood"),
        ]
        on_dev = [each.table("results").set_index("data_seed").loc[row["data_seed"], "dev_accuracy"] for each in every]
        assert row["dev_accuracy"] == max(on_dev)


def test_words_of_no_class_are_wrong_in_what_is_chosen(world: Path, tmp_path: Path) -> None:
    """Against the whole vocabulary most words of a random model belong to no class: its metrics stay its own."""
    tree = tree_of(world) | {"verbalizer": {"decode": "whole_vocabulary"}}
    tree["baselines"] = ["zero_shot", {"name": "best", "kind": "choose", "of": ["zero_shot"]}]
    whole = Study(tree, tmp_path)
    itself, best = (whole.baseline(name, "mood") for name in ("zero_shot", "best"))
    assert (best.table("predictions")["predicted"] == -1).any()
    for column in ("accuracy", "macro_f1", "dev_accuracy"):
        assert best.table("results")[column].tolist() == itself.table("results")[column].tolist()


def test_macro_f1_of_words_of_no_class_is_scikit_learns() -> None:
    from sklearn.metrics import f1_score

    truth, said = np.array([0, 0, 1, 1, 2, 2]), np.array([0, -1, 1, 0, -1, 2])
    measured = Together(np.zeros((6, 3)), said).measured(truth)
    assert measured["macro_f1"] == pytest.approx(f1_score(truth, said, labels=[0, 1, 2], average="macro"))
    assert measured["accuracy"] == 0.5


def test_a_mean_by_hand(study: Study) -> None:
    columns = ["score_0", "score_1"]
    for init_seed in (0, 1):
        parts = [said(study, name, init_seed)[columns].to_numpy(float) for name in ("PT", "tfidf")]
        mean = sum(parts) / 2
        by_hand = mean - np.log(np.exp(mean).sum(axis=1, keepdims=True))
        together = said(study, "mean", init_seed)
        assert together[columns].to_numpy(float) == pytest.approx(by_hand, abs=5e-3)
        row = study.baseline("mean", "mood", init_seed).table("results").iloc[0]
        assert row["accuracy"] == (by_hand.argmax(axis=1) == together["label"]).mean()
        assert reader_weights(row)["weights"] == {"PT": 0.5, "tfidf": 0.5}


def test_an_average_of_one_is_itself(study: Study) -> None:
    """With the seeds of its readers: TF-IDF has no initialisation, so each data seed has one score."""
    alone, itself = (study.baseline(name, "mood").table("results") for name in ("alone", "tfidf"))
    for column in ("data_seed", "accuracy", "macro_f1", "dev_accuracy"):
        assert alone[column].tolist() == itself[column].tolist()
    assert alone["test_loss"].tolist() == pytest.approx(itself["test_loss"].tolist(), abs=5e-3)
    assert asked_of(study.config) == {
        "PT": 2,
        "tfidf": 1,
        "majority": 1,
        "best": 2,
        "mean": 2,
        "weighed": 2,
        "alone": 1,
    }
    assert finished_scores(study.workspace, study.config) == 11
    results = study.results()
    assert results[results["method"] == "alone"]["init_seed"].isna().all()
    assert results[results["method"] == "best"]["init_seed"].tolist() == [0, 1]


def test_it_costs_what_its_readers_cost(study: Study) -> None:
    """A baseline without initialisation is shared by the pairs; nothing runs for the ensemble itself."""
    mean, prompt, words = (
        study.baseline("mean", "mood", 1).summary,
        study.fewshot("PT", "mood", 1).summary,
        study.baseline("tfidf", "mood").summary,
    )
    assert mean["row_passes"] == prompt["row_passes"] + words["row_passes"] / 2
    results = study.results().set_index(["method", "data_seed"])["seconds"]
    assert results["mean", 2] >= results["PT", 2]
    budgets = {budget["method"]: budget for budget in method_budgets(study.workspace, study.config)}
    assert budgets["mean"]["tuning_row_passes"] == budgets["PT"]["tuning_row_passes"] > 0
    assert budgets["mean"]["seconds"] > budgets["PT"]["seconds"] > 0 == budgets["tfidf"]["pretraining_row_passes"]
    assert budgets["mean"]["pretraining_seconds"] == pytest.approx(budgets["PT"]["pretraining_seconds"])
    assert not [key for key in count(study) if "mean" in key]


def test_tables_say_what_was_taken(study: Study) -> None:
    table = readers_table(study.results()).set_index(["method", "reader"])
    assert table.loc["best", "taken"].sum() == 1 and table.loc["best", "weight"].sum() == pytest.approx(1)
    assert table.loc[("mean", "PT"), "weight"] == 0.5 and table.loc[("mean", "PT"), "taken"] == 0
    assert table.loc[("mean", "PT"), "undecided"] == 2 and table.loc[("weighed", "PT"), "undecided"] == 0
    assert readers_table(study.results().drop(columns="readers")).empty


def test_labels_of_test_rows_change_no_choice(study: Study, world: Path, tmp_path: Path) -> None:
    """Rows' labels are turned round in what readers said of test: weights and what is said stay, scores turn round."""
    workspace = shutil.copytree(study.workspace.folder, tmp_path / "workspace")
    turned = Study(tree_of(world), workspace)
    for name in ("PT", "tfidf", "majority"):
        for init_seed in (0, 1) if name == "PT" else (None,):
            score = turned.fewshot(name, "mood", init_seed) if name == "PT" else turned.baseline(name, "mood")
            table = score.table("predictions")
            table.assign(label=1 - table["label"]).to_parquet(score.folder / "predictions.parquet")
            reseal(score.folder)
    for name in ("best", "mean", "weighed"):
        before = study.baseline(name, "mood", 0)
        shutil.rmtree(turned.workspace.artifact(before.id).folder)
        after = turned.baseline(name, "mood", 0)
        one, other = (artifact.table("results").iloc[0] for artifact in (before, after))
        assert one["readers"] == other["readers"] and one["dev_accuracy"] == other["dev_accuracy"]
        assert one["accuracy"] == pytest.approx(1 - other["accuracy"])
        same = ["row", "predicted", "score_0", "score_1"]
        pd.testing.assert_frame_equal(before.table("predictions")[same], after.table("predictions")[same])


def test_scores_of_an_earlier_version_are_named(study: Study, world: Path, tmp_path: Path) -> None:
    workspace = shutil.copytree(study.workspace.folder, tmp_path / "workspace")
    old = Study(tree_of(world), workspace)
    shutil.rmtree(old.workspace.artifact(study.baseline("mean", "mood", 0).id).folder)
    score = old.baseline("tfidf", "mood")
    (score.folder / "dev_predictions.parquet").unlink()
    reseal(score.folder)
    with pytest.raises(UserError, match=r"'mean' needs what 'tfidf' said of the dev rows of mood.*delete the folder"):
        old.baseline("mean", "mood", 0)
    shutil.rmtree(score.folder)
    assert json.loads(old.baseline("mean", "mood", 0).table("results").iloc[0]["readers"])["weights"]["PT"] == 0.5


@pytest.mark.parametrize(
    ("of", "message"),
    [
        (["PT", "tf-idf"], "baseline 'e': there is no method or baseline 'tf-idf'. Did you mean 'tfidf'?"),
        (["PT", "best"], "baseline 'e': 'best' is an ensemble itself; list what that combines"),
        (["PT", "PT"], "'PT' stands twice"),
    ],
)
def test_what_cannot_be_combined(world: Path, of: list[str], message: str) -> None:
    tree = tree_of(world)
    tree["baselines"].append({"name": "e", "kind": "average", "of": of})
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        parse(StudyConfig, tree, "test")


def test_what_depends_on_a_reader_goes_with_it(study: Study) -> None:
    assert depends_on(study.config, "baselines", "majority").methods == {"majority", "best"}
    left = without(study.config, "baselines", "tfidf")
    assert [baseline.name for baseline in left.baselines] == ["majority"]


def test_the_report_says_what_was_taken_how_often(study: Study) -> None:
    record = record_of(study.workspace, study.config.name)
    report = make_report(record).markdown()
    assert "## Readers together" in report and "Against tfidf, of its readers the best by these very scores" in report
    table = readers_table(record.results)
    # The best reader is that by the score that the study is compared by, and so is what is said of it.
    f1 = record.results["macro_f1"].where(record.results["method"] != "majority", 1.0)
    evaluation = {**record.study["evaluation"], "metric": "macro_f1"}
    by_f1 = replace(
        record, study={**record.study, "evaluation": evaluation}, results=record.results.assign(macro_f1=f1)
    )
    of_f1 = make_report(by_f1).markdown()
    said = of_f1[of_f1.index("Against majority, of its readers the best") :].splitlines()[0]
    assert "in macro F1 over 1 task" in said
    shares = taken_table(table, ENSEMBLES[0])
    assert shares["task"].tolist() == ["mood", "all tasks"] and list(shares)[1:] == READERS
    taken = [reader_weights(row)["weights"] for row in record.results.to_dict("records") if row["method"] == "best"]
    for name in READERS:
        assert shares[name].iloc[0] == f"{100 * sum(weights[name] for weights in taken) / 2:.0f} %"
    assert not undecided_sentence(table, ENSEMBLES[0])
    left = record.results[~record.results["method"].isin([entry["name"] for entry in ENSEMBLES])]
    assert "Readers together" not in make_report(replace(record, results=left)).markdown()


def test_where_dev_rows_are_training_rows_it_is_said() -> None:
    results = pd.DataFrame(
        {
            "method": "e",
            "task": ["subj", "subj", "mr"],
            "readers": [json.dumps({"weights": {"a": 1.0, "b": 0.0}, "dev_rows": rows}) for rows in (0, 0, 32)],
        }
    )
    said = undecided_sentence(readers_table(results), {"name": "e", "kind": "choose", "of": ["a", "b"]})
    assert said.startswith("Dev rows decide nothing in 2 of 3 scores (subj)") and "its first reader is taken" in said


def test_an_ensemble_has_no_prompt_to_export(study: Study, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'mean' combines 'PT', 'tfidf' and has no prompt of its own"):
        export_prompt(study.workspace, PromptChoice("tiny", "mean", "mood"), tmp_path / "out")


def test_its_readers_stand_behind_a_score(study: Study) -> None:
    traced = lineage(study.workspace, "tiny", "mean", "mood", data_seed=2, init_seed=1)
    told = str(traced)
    assert "weighs 'PT' 0.50 and 'tfidf' 0.50, by no dev row" in told
    behind = [study.fewshot("PT", "mood", 1), study.baseline("tfidf", "mood"), study.prompt("PT", 1)]
    for role, artifact in zip(("reader 1", "reader 2", "prompt"), behind, strict=True):
        assert f"{role}: {artifact.id}" in told
    assert set(traced.rows()["split"]) == {"train", "dev", "test"} and traced.texts().empty
    alone = lineage(study.workspace, "tiny", "alone", "mood", data_seed=2, init_seed=0)
    assert "takes 'tfidf', by no dev row" in str(alone)


def test_a_run_goes_on_without_what_cannot_be_combined(study: Study, world: Path, tmp_path: Path) -> None:
    """One part fails, with what to do; at one example of each class dev decides nothing."""
    workspace = shutil.copytree(study.workspace.folder, tmp_path / "workspace")
    grown = Study(tree_of(world, more_shots=[1]), workspace)
    for path in (workspace / "artifacts").glob("baseline-*"):
        if "readers" in pd.read_parquet(path / "results.parquet"):
            shutil.rmtree(path)
    score = Study(tree_of(world), workspace).baseline("tfidf", "mood")
    (score.folder / "dev_predictions.parquet").unlink()
    reseal(score.folder)
    grown.run()
    assert {part.key.split("/")[2] for part in grown.failed} == {"best", "mean", "weighed", "alone"}
    assert all("delete the folder" in part.reason for part in grown.failed)
    at_one = grown.baseline("best", "mood", 0, shots=1).table("results").iloc[0]
    assert reader_weights(at_one) == {"weights": {"PT": 1.0, "tfidf": 0.0, "majority": 0.0}, "dev_rows": 0}
