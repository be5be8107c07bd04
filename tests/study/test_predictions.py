"""Every decision behind a score is kept: scores come out of them again, for each way of reading and each baseline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from tampering import reseal

from metapt_explore.fewshot.predictions import NO_CLASS, RowScores
from metapt_explore.results.decisions import decisions_in
from metapt_explore.results.predictions import predictions_of
from metapt_explore.study.study import Study
from metapt_explore.verbalizers.verbalizer import read_onwards

READINGS: dict[str, dict[str, Any]] = {
    "words": {},
    "probe": {"read": "probe_ensemble"},
    "automatic": {"read": "automatic"},
    "calibrated": {"calibration": "batch_mean"},
}


@pytest.fixture(scope="module")
def study(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """PT, read in each way, and two baselines, on one task."""
    methods = [{"name": name, "kind": "pt", "verbalizer": reading} for name, reading in READINGS.items()]
    tree = tiny.study_tree(world, methods=methods, baselines=["tfidf", "in_context"])
    tree["evaluation"] |= {"tasks": [str(world / "mood.yaml")], "learning_rates": [0.05], "more_shots": [2]}
    made = Study(tree, tmp_path_factory.mktemp("predictions"))
    made.run()
    return made


@pytest.mark.parametrize("shots", [None, 2])
def test_scores_come_out_of_the_decisions(study: Study, shots: int | None) -> None:
    kept = predictions_of(study.workspace, "tiny", "mood", shots=shots)
    assert set(kept["method"]) == {*READINGS, "tfidf", "in_context"}
    for method in [*READINGS, "tfidf", "in_context"]:
        artifact = study.baseline(method, "mood", shots=shots) if method in ("tfidf", "in_context") else None
        results = (artifact or study.fewshot(method, "mood", shots=shots)).table("results").set_index("data_seed")
        for seed, rows in kept[kept["method"] == method].groupby("data_seed"):
            right = (rows["label"] == rows["predicted"]).mean()
            assert right == pytest.approx(results.loc[seed, "accuracy"]), method
            logs = rows[["score_0", "score_1"]].to_numpy(dtype=float)
            loss = -logs[np.arange(len(rows)), rows["label"]].mean()
            assert loss == pytest.approx(results.loc[seed, "test_loss"], abs=5e-3), method
            assert np.exp(logs).sum(axis=1) == pytest.approx(1, abs=5e-3), method


@pytest.mark.parametrize("shots", [None, 2])
def test_what_dev_chose_comes_out_of_the_kept_dev_rows(study: Study, shots: int | None) -> None:
    """Each data seed's own rows, with their labels and numbers: ensembles go by them."""
    rows = study.split("mood", shots=shots).table("rows")
    for method in [*READINGS, "tfidf", "in_context"]:
        of_method = study.baseline if method in ("tfidf", "in_context") else study.fewshot
        artifact = of_method(method, "mood", shots=shots)
        results = artifact.table("results").set_index("data_seed")
        for seed, kept in artifact.table("dev_predictions").groupby("data_seed"):
            dev = rows[(rows["split"] == "dev") & (rows["data_seed"] == seed)]
            assert kept["row"].tolist() == dev.index.tolist()
            assert [list(study.tasks["mood"].labels)[label] for label in kept["label"]] == dev["label"].tolist()
            assert (kept["label"] == kept["predicted"]).mean() == results.loc[seed, "dev_accuracy"], method


def test_rows_are_those_of_the_split(study: Study) -> None:
    kept, found = predictions_of(study.workspace, "tiny", "mood"), decisions_in(study.workspace, study.config, "mood")
    of_method = kept[(kept["method"] == "words") & (kept["data_seed"] == 1)]
    whole = study.split("mood").table("rows")
    assert of_method["row"].tolist() == found.rows.index.tolist() == whole.index[whole["split"] == "test"].tolist()
    assert [found.classes[label] for label in of_method["label"]] == found.rows["label"].tolist()
    assert whole.loc[found.rows.index, "text"].tolist() == found.rows["text"].tolist() == found.shown["text"].tolist()
    baseline = kept[(kept["method"] == "tfidf") & (kept["data_seed"] == 1)]
    assert baseline[["row", "label"]].to_numpy().tolist() == of_method[["row", "label"]].to_numpy().tolist()
    assert kept["score_0"].dtype == np.float16


def test_rows_of_other_seeds_keep_their_number(world: Path, tmp_path: Path) -> None:
    tree = tiny.study_tree(world, methods=[{"name": "PT", "kind": "pt"}])
    tree["evaluation"] |= {"tasks": [str(world / "mood.yaml")], "learning_rates": [0.05], "init_seeds": [0, 1]}
    tree["evaluation"] |= {"scored_on": "other_seeds", "pairing": "paired", "test_rows": 4}
    study = Study(tree, tmp_path)
    study.run()
    kept, rows = predictions_of(study.workspace, "tiny", "mood"), study.split("mood").table("rows")
    assert set(rows.loc[kept["row"], "split"]) == {"dev"} and kept.groupby("init_seed")["row"].nunique().eq(4).all()
    assert decisions_in(study.workspace, study.config, "mood").rows.index.tolist() == sorted(set(kept["row"]))
    for init_seed, data_seed in ((0, 1), (1, 2)):
        own = kept[kept["init_seed"] == init_seed]
        assert data_seed not in rows.loc[own["row"], "data_seed"].tolist()


def test_scores_without_predictions_are_left_out(study: Study) -> None:
    artifact = study.fewshot("words", "mood")
    file = artifact.folder / "predictions.parquet"
    content = file.read_bytes()
    pd.read_parquet(file).drop(columns="label").to_parquet(file)
    reseal(artifact.folder)
    try:
        assert "words" not in set(predictions_of(study.workspace, "tiny", "mood")["method"])
    finally:
        file.write_bytes(content)
        reseal(artifact.folder)


def test_against_the_whole_vocabulary_a_word_of_no_class_may_win() -> None:
    verbalizer = read_onwards({"good": [(5,)], "bad": [(8,)]}, whole_vocabulary=True)
    # Log-probabilities of the classes and everything else, then the best word of each.
    sums, best = torch.tensor([[0.5, 0.2, 0.3], [0.3, 0.1, 0.6]]), torch.tensor([[0.5, 0.2, 0.1], [0.3, 0.1, 0.4]])
    said = RowScores.of(torch.cat([sums, best], dim=1).log(), verbalizer)
    assert said.predicted.tolist() == [0, NO_CLASS]
    torch.testing.assert_close(said.log_probabilities.float().exp(), sums[:, :2], atol=1e-3, rtol=0)
