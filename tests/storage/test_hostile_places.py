"""What lies at a place may be damaged, or made by somebody who means harm: it is refused, nothing of it is taken."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metapt_explore.errors import UserError
from metapt_explore.storage.remote import Remote
from metapt_explore.storage.stage_file import sealed
from metapt_explore.storage.transfer import pull, push
from metapt_explore.storage.workspace import Workspace


def test_what_is_damaged_there_is_refused(source: Workspace, here: Workspace, shared: Path) -> None:
    sent = push(source, "tiny", str(shared))
    file = next((shared / "artifacts" / sent.moved[0]).glob("*-*"))
    content = file.read_bytes()
    for damaged in (content[:-1], content + b"more", bytes([content[0] ^ 1]) + content[1:]):
        file.write_bytes(damaged)
        with pytest.raises(UserError, match=f"{file.name} is damaged"):
            pull(here, str(shared))
        assert here.artifact(sent.moved[0]).status == "missing" and here.study_names() == []
    file.unlink()
    with pytest.raises(UserError, match=f"{file.name} is missing"):
        pull(here, str(shared))
    assert push(source, "tiny", str(shared)).moved == [sent.moved[0]], "a push mends what is gone"
    stage = shared / "artifacts" / sent.moved[0] / "stage.json"
    stage.write_text(stage.read_text(encoding="utf-8").replace('"done"', '"done "'), encoding="utf-8")
    with pytest.raises(UserError, match=r"stage\.json is damaged"):
        pull(here, str(shared))
    assert "written again" in push(source, "tiny", str(shared)).notes[0]
    assert pull(here, str(shared))[0].moved == sent.moved


HOSTILE: dict[str, Callable[[dict[str, Any]], object]] = {
    "above": lambda stage: stage["files"].update({"../../evil": {"bytes": 1, "sha256": "0" * 64}}),
    "absolute": lambda stage: stage["files"].update({"/tmp/evil": {"bytes": 1, "sha256": "0" * 64}}),
    "windows": lambda stage: stage["files"].update({"..\\evil": {"bytes": 1, "sha256": "0" * 64}}),
    "itself": lambda stage: stage["files"].update({"stage.json": {"bytes": 1, "sha256": "0" * 64}}),
    "a lock": lambda stage: stage["files"].update({".lock": {"bytes": 1, "sha256": "0" * 64}}),
    "a sum that is a path": lambda stage: stage["files"].update({"evil": {"bytes": 1, "sha256": "../../" + "0" * 58}}),
    "no size": lambda stage: stage["files"].update({"evil": {"bytes": -1, "sha256": "0" * 64}}),
    "another question": lambda stage: stage["config"].update({"more": 1}),
    "no question": lambda stage: stage.pop("parents"),
    "not done": lambda stage: stage.update({"status": "running"}),
    "no list": lambda stage: stage.update({"files": [1]}),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_record_is_refused(source: Workspace, here: Workspace, shared: Path, kind: str) -> None:
    sent = push(source, "tiny", str(shared))
    file = shared / "artifacts" / sent.moved[0] / "stage.json"
    stage = json.loads(file.read_text(encoding="utf-8"))
    HOSTILE[kind](stage)
    file.write_text(json.dumps(sealed(stage)), encoding="utf-8")
    with pytest.raises(UserError, match="it is not taken"):
        pull(here, str(shared))
    assert not (here.folder / "artifacts").exists() and here.study_names() == []


LISTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "an id above": lambda record: record["artifacts"].append("../../evil-0123456789abcdef"),
    "an entry of another type": lambda record: record["index"][0].update({"method": ["a"]}),
    "an entry with more keys": lambda record: record["index"][0].update({"path": "/tmp"}),
    "an entry of an artifact that is not listed": lambda record: record["artifacts"].clear(),
    "tasks": lambda record: record.update({"tasks": ["a"]}),
    "a study of another name": lambda record: record.update({"study": record["study"].replace("tiny", "other")}),
    "no study": lambda record: record.update({"study": "- 1"}),
}


@pytest.mark.parametrize("kind", LISTS)
def test_a_hostile_list_is_refused(source: Workspace, here: Workspace, shared: Path, kind: str) -> None:
    push(source, "tiny", str(shared))
    (file,) = (shared / "studies" / "tiny").iterdir()
    record = json.loads(file.read_text(encoding="utf-8"))
    LISTS[kind](record)
    file.write_text(json.dumps(sealed(record)), encoding="utf-8")
    with pytest.raises(UserError):
        pull(here, str(shared))
    assert not here.folder.exists()


def test_studies_of_other_names_are_no_paths(source: Workspace, here: Workspace, shared: Path) -> None:
    with pytest.raises(UserError, match="holds no study"):
        pull(here, str(shared))
    push(source, "tiny", str(shared))
    (shared / "studies" / ".hidden").mkdir()
    with pytest.raises(UserError, match="Did you mean 'tiny'"):
        pull(here, str(shared), "tony")
    with pytest.raises(UserError, match="holds no study"):
        pull(here, str(shared), "../tiny")
    with pytest.raises(UserError, match="is no name"):
        Remote(str(shared)).size("artifacts", "..", "x")
