"""Texts with the highest loss: whose they are, what they cost, and that the registry alone makes them a stage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from metapt_explore.errors import UserError
from metapt_explore.models.scoring import score_all
from metapt_explore.stages.registry import UNTIL
from metapt_explore.study.study import Study
from metapt_explore.texts.rows import as_inputs


@pytest.fixture
def study(world: Path, finished: Path, tmp_path: Path) -> Study:
    return Study(world / "tiny.yaml", shutil.copytree(finished, tmp_path / "workspace"))


def test_losses_and_predictions_by_hand(study: Study) -> None:
    found = study.request("hardest_texts", method="MetaPT", shown=3)
    table, tasks = found.table("texts"), study.auxiliary_tasks("kmeans").table("tasks")
    assert table.groupby("task").size().eq(3).all() and set(table["task"]) == set(tasks["task"])
    assert all(losses.is_monotonic_decreasing for _, losses in table.groupby("task")["loss"])
    auxiliary = study.config.auxiliary_tasks
    pattern = study.backbone.pattern(auxiliary, "auxiliary_tasks")
    inputs, classes = as_inputs(study.texts().table("texts")), list(auxiliary.labels)
    prompt = study.prompt("MetaPT").tensors("prompt")["prompt"][None]
    scores = score_all(
        study.backbone, prompt, study.backbone.bank([inputs[row] for row in tasks["row"]], pattern), pattern=pattern
    )[0].log_softmax(-1)
    losses = -scores[torch.arange(len(tasks)), torch.tensor([classes.index(label) for label in tasks["label"]])]
    every = tasks.assign(loss=losses.tolist(), predicted=[classes[place] for place in scores.argmax(1).tolist()])
    both = table.merge(every, on=["task", "row"], suffixes=("", "_by_hand"))
    assert both["loss"].tolist() == pytest.approx(both["loss_by_hand"].tolist(), abs=1e-5)
    assert (both["predicted"] == both["predicted_by_hand"]).all() and (both["class"] == both["label"]).all()
    every_loss = found.table("losses").merge(every, on=["task", "row"], suffixes=("", "_by_hand"))
    assert len(every_loss) == len(every)
    assert every_loss["loss"].tolist() == pytest.approx(every_loss["loss_by_hand"].tolist(), abs=1e-5)
    largest = every.sort_values("loss", ascending=False).groupby("task")["loss"].max()
    pd.testing.assert_series_equal(table.groupby("task")["loss"].max(), largest, check_exact=False, atol=1e-5)
    told = {task["task"]: task for task in found.summary["tasks"]}
    wrong = (every["label"] != every["predicted"]).groupby(every["task"]).mean()
    assert {task: entry["wrong"] for task, entry in told.items()} == pytest.approx(wrong.to_dict())
    assert study.request("hardest_texts", method="MetaPT", shown=3).id == found.id


def test_a_run_that_goes_so_far_makes_them_for_every_pretrained_method(study: Study) -> None:
    assert "hardest_texts" in UNTIL
    study.run(until="hardest_texts")
    entries = [entry for entry in study.workspace.index("tiny") if entry["kind"] == "hardest_texts"]
    assert [entry["method"] for entry in entries] == ["PPT", "MetaPT"]


def test_a_start_has_no_auxiliary_tasks(study: Study) -> None:
    with pytest.raises(UserError, match="'PT' is not pre-trained"):
        study.request("hardest_texts", method="PT")
