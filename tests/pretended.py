"""Studies whose process only pretends to compute, for tests of the queue."""

from __future__ import annotations

import subprocess

import psutil

from metapt_explore.config import StudyConfig
from metapt_explore.jobs import state as jobs
from metapt_explore.jobs import worker
from metapt_explore.storage.files import read_json, write_json
from metapt_explore.storage.workspace import Workspace

#: A process that works on a study as `metapt run` does, but only pretends to compute: it counts its starts.
PRETEND = """
import os, signal, sys, time
from pathlib import Path
from metapt_explore.study.job_file import working_on
from metapt_explore.storage.workspace import Workspace
workspace, name, how = Workspace(sys.argv[1]), sys.argv[2], sys.argv[3]
folder = workspace.study_folder(name)
with (folder / "starts").open("a") as stream:
    stream.write("x")
again = len((folder / "starts").read_text()) > 1
with working_on(workspace, name) as progress:
    if how == "dies" or (how == "dies once" and not again):
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "silent":
        os._exit(3)
    while how in ("long", "deaf") and not (folder / "enough").exists():
        time.sleep(0.02)
        if how == "long":
            progress.advance(1)
"""


def study(name: str) -> StudyConfig:
    return StudyConfig.model_validate(
        {
            "name": name,
            "texts": {"file": "/nowhere/texts.csv"},
            "clusterings": [{"name": "kmeans", "algorithm": "kmeans", "n_clusters": 2}],
            "auxiliary_tasks": {"labels": {"negative": "negative", "positive": "positive"}},
            "methods": [{"name": "PT", "kind": "pt"}],
            "evaluation": {"tasks": ["trec"]},
        }
    )


def status(workspace: Workspace, name: str) -> str:
    return str(jobs.job_state(workspace, name)["status"])


def starts(workspace: Workspace, name: str) -> int:
    file = workspace.study_folder(name) / "starts"
    return len(file.read_text(encoding="utf-8")) if file.exists() else 0


def orphan(workspace: Workspace, name: str) -> subprocess.Popen[bytes]:
    """A study's process as a killed worker leaves it: at work, and named in the request."""
    file = jobs.request_file(workspace, name)
    request = read_json(file)
    process = subprocess.Popen(worker.command(workspace, name, request), start_new_session=True)
    child = {"pid": process.pid, "created": psutil.Process(process.pid).create_time()}
    write_json(file, {**request, "worker": {"pid": 999_999_999, "created": 1.0}, "child": child})
    return process
