"""Lists of studies say what the studies' files say, whatever changes, and read only what changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from metapt_explore.errors import UserError
from metapt_explore.jobs import study_list
from metapt_explore.jobs.state import job_state, request_file, write_request
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.job_file import job_file, write_job
from metapt_explore.study.overview import asked_scores, finished_scores


@pytest.fixture
def workspace(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The finished study and two copies; files count as settled, so that stamps alone tell what changed."""
    monkeypatch.setattr(study_list, "SETTLED_S", float("-inf"))
    monkeypatch.setattr(study_list, "LOOKED_AT_AGAIN", 0)
    opened = Workspace(shutil.copytree(finished, tmp_path / "workspace"))
    config = opened.study_config("tiny")
    for name in ("a", "b"):
        opened.save_study(config.model_copy(update={"name": name}))
        for entry in opened.index("tiny"):
            opened.add_to_index(name, entry)
    return opened


def _plain(workspace: Workspace) -> dict[str, object]:
    """The same without anything kept."""
    said: dict[str, object] = {}
    for folder in sorted((workspace.folder / "studies").iterdir()):
        try:
            config = workspace.study_config(folder.name)
            scores: object = (finished_scores(workspace, config), asked_scores(config))
        except UserError as error:
            scores = str(error)
        said[folder.name] = (job_state(workspace, folder.name), scores)
    return said


def _listed(workspace: Workspace) -> dict[str, object]:
    states = study_list.job_states(workspace)
    found = study_list.scores_of(workspace, list(states))
    counted = {
        name: (each.finished, each.asked) if isinstance(each, study_list.ScoreCounts) else str(each)
        for name, each in found.items()
    }
    return {name: (state, counted[name]) for name, state in states.items()}


CHANGES: dict[str, Callable[[Workspace], object]] = {
    "a job ends": lambda opened: write_job(opened, "a", {"status": "failed", "error": "why"}),
    "a job runs, and its process is gone": lambda opened: write_job(
        opened, "a", {"status": "running", "fraction": 0.5}
    ),
    "it is asked for": lambda opened: write_request(opened, "a", {"asked": 1.0, "until": "all"}),
    "its request ends": lambda opened: request_file(opened, "a").unlink(),
    "its job is forgotten": lambda opened: job_file(opened, "tiny").unlink(),
    "its list is shorter": lambda opened: opened.add_to_index(
        "b", {**next(e for e in opened.index("b") if e["kind"] == "fewshot"), "id": "fewshot-none"}
    ),
    "its settings are edited": lambda opened: _edit(opened, "b"),
    "its settings are damaged": lambda opened: (opened.study_folder("a") / "study.yaml").write_text(
        "name: [", encoding="utf-8"
    ),
    "it is deleted": lambda opened: shutil.rmtree(opened.study_folder("tiny")),
}


def _edit(workspace: Workspace, name: str) -> None:
    config = workspace.study_config(name)
    fewer = config.evaluation.model_copy(update={"tasks": config.evaluation.tasks[:1]})
    workspace.save_study(config.model_copy(update={"evaluation": fewer}))


def test_a_list_is_what_files_say_after_every_change(workspace: Workspace) -> None:
    assert _listed(workspace) == _plain(workspace) == _listed(workspace)
    before = _plain(workspace)
    for what, change in CHANGES.items():
        change(workspace)
        assert _listed(workspace) == _plain(workspace), what
        assert _plain(workspace) != before, what
        before = _plain(workspace)


def test_what_did_not_change_is_not_read(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _listed(workspace)
    read: list[str] = []
    plain = {name: getattr(Workspace, name) for name in ("index", "study_config")}
    for method, original in plain.items():

        def noted(self: Workspace, name: str, original: Callable[..., object] = original) -> object:
            read.append(name)
            return original(self, name)

        monkeypatch.setattr(Workspace, method, noted)
    assert _listed(workspace) == before and not read
    write_job(workspace, "a", {"status": "cancelled"})
    assert _listed(workspace) != before and not read  # a job's end is in its own file
    _edit(workspace, "b")
    read.clear()
    _listed(workspace)
    assert set(read) == {"b"}


def test_an_artifact_that_is_deleted_is_missed_by_and_by(
    workspace: Workspace, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _listed(workspace)
    entry = next(entry for entry in workspace.index("tiny") if entry["kind"] == "fewshot")
    shutil.rmtree(workspace.artifact(entry["id"]).folder)
    assert _listed(workspace) == whole
    monkeypatch.setattr(study_list, "LOOKED_AT_AGAIN", 1)
    for _ in whole:
        last = _listed(workspace)
    assert last == _plain(workspace) != whole
    # It is made again by another study: a listed artifact that is not finished is looked at each time.
    monkeypatch.setattr(study_list, "LOOKED_AT_AGAIN", 0)
    shutil.copytree(finished / "artifacts" / entry["id"], workspace.artifact(entry["id"]).folder)
    assert _listed(workspace) == whole


def test_settings_that_a_page_changes_stay_what_they_were(workspace: Workspace) -> None:
    study_list.study_config(workspace, "a").evaluation.tasks.append("another")
    assert study_list.study_config(workspace, "a") == workspace.study_config("a")


def test_many_studies_are_read_over_several_looks(workspace: Workspace) -> None:
    names = study_list.study_names(workspace)
    os.utime(workspace.study_folder("b") / "study.yaml", (1.9e9, 1.9e9))  # worked on last
    whole = _plain(workspace)
    unread = []
    for _ in range(3):
        found = study_list.scores_of(workspace, names, within_s=-1.0)
        assert list(found) == names
        unread.append([name for name in names if found[name] is None])
    assert [len(each) for each in unread] == [2, 1, 0] and "b" not in unread[0]
    assert _listed(workspace) == whole
    assert None not in study_list.scores_of(workspace, names, within_s=-1.0).values()
