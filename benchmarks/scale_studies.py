"""How the pages' lists of studies grow: CPU seconds of one redraw of the Start page's data, see `scale.py`.

Studies are made through `Workspace`: each has settings, a list of six finished scores, and a job that has ended. One of
them runs, as when a page draws itself anew every second and a half. The first redraw reads all; the later ones count.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from scale_measure import Measure, Run

from metapt_explore.config import load_study
from metapt_explore.storage.artifact import ArtifactWriter, Question
from metapt_explore.storage.studies import IndexEntry
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.job_file import write_job

#: Redraws that are measured.
REDRAWS = 5


def make_studies(folder: Path, number: int) -> Workspace:
    """A workspace of so many studies with six scores each; artifacts are shared, as of copies of a study."""
    workspace, tour = Workspace(folder), load_study("tour")
    artifacts = {}
    for method in ("PT", "PPT", "MetaPT"):
        for task in tour.evaluation.tasks:
            question = Question("fewshot", f"{method} on {task}", 1, {"method": method, "task": task})
            artifacts[method, task] = workspace.make(question, _compute)
    for place in range(number):
        config = tour.model_copy(update={"name": f"study-{place:04d}"})
        workspace.save_study(config)
        for (method, task), artifact in artifacts.items():
            entry: IndexEntry = {"kind": "fewshot", "id": artifact.id, "title": "a score"}
            workspace.add_to_index(config.name, {**entry, "method": method, "task": task, "init_seed": 0})
        status = "done" if place else "running"
        write_job(workspace, config.name, {"status": status, "fraction": 1.0, "began": 0.0, "updated": 0.0})
    return workspace


def _compute(out: ArtifactWriter) -> None:
    out.write_table("results", pd.DataFrame({"accuracy": [0.5]}))
    out.write_summary({"test_rows": 1})


def redraw(workspace: Workspace) -> None:
    """All that one redraw of the Start page reads of the list of studies: banner, choice, table."""
    from metapt_explore.dashboard.parts import job, study_choice
    from metapt_explore.jobs import queue, study_list

    study_choice.study_names(workspace)  # the choice in the side bar
    study_list.job_states(workspace)  # what is told of jobs that ended
    study_list.active_studies(workspace)  # the banner
    queue.requests(workspace)
    study_list.active_studies(workspace)  # whether the table draws itself anew
    assert len(job.overview(workspace)) > 0


def prepare_start_page(size: int, folder: Path) -> Run:
    """See `scale_measure.Measure`: redraws after the first, CPU seconds of each."""
    workspace = make_studies(folder, size)
    time.sleep(2.5)  # what was just written is read anew each time
    began = time.process_time()
    redraw(workspace)
    first = time.process_time() - began

    def run() -> Mapping[str, Any]:
        began = time.process_time()
        for _ in range(REDRAWS):
            redraw(workspace)
        each = (time.process_time() - began) / REDRAWS
        return {"cpu_seconds_first": round(first, 2), "cpu_seconds_a_redraw": round(each, 4)}

    return run


MEASURES = [Measure("studies-start", "lists of the Start page", "studies", (50, 200, 500, 2_000), prepare_start_page)]
