"""Pages of a study with several formats of auxiliary tasks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from looking import charts, said
from streamlit.testing.v1 import AppTest

from metapt_explore.dashboard.parts.format_view import mean_of_formats
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.workspace import Workspace

Open = Callable[..., AppTest]


def tasks_of(folder: Path) -> Artifact:
    workspace = Workspace(folder)
    entry = next(entry for entry in workspace.index("tiny") if entry["kind"] == "tasks")
    return workspace.artifact(entry["id"])


def test_losses_of_a_format_are_means_over_its_tasks(formats_finished: Path) -> None:
    tasks = tasks_of(formats_finished)
    of_labels = [task for task, place in enumerate(tasks.summary["task_formats"]) if place == 0][:2]
    last = len(tasks.summary["task_formats"]) - 1
    metrics = pd.DataFrame({"step": [0, 0, 0], "task": [*of_labels, last], "query": [1.0, 3.0, 5.0]})
    mean, names = mean_of_formats(metrics, tasks)
    assert mean[["step", "task", "query"]].to_numpy().tolist() == [[0, 0, 2.0], [0, 2, 5.0]]
    assert names[1] == "cluster_classes: 6 tasks"


@pytest.mark.parametrize("page", ["texts", "clusters", "pretraining", "fewshot", "compare", "lens", "export", "start"])
def test_every_page_shows_a_study_of_formats(show: Open, formats_finished: Path, page: str) -> None:
    at = show(formats_finished, page, "tiny")
    assert not at.exception and not at.error


def test_the_pages_say_what_was_made(show: Open, formats_finished: Path) -> None:
    at = show(formats_finished, "texts", "tiny")
    counts = next(table.value for table in at.dataframe if "format" in table.value)
    assert counts["format"].tolist() == ["sentence_pair"] and counts["rows"].min() > 50
    assert "6 cluster_classes of" in said(show(formats_finished, "clusters", "tiny"), "caption")
    panels = charts(show(formats_finished, "pretraining", "tiny"))[0]["layout"]["annotations"]
    assert {"cluster_classes: 6 tasks"} <= {panel["text"].replace("<br>", " ") for panel in panels}
