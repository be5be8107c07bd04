"""Deletes a study, and of what was computed for it all that no other study uses."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from metapt_explore.errors import UserError
from metapt_explore.storage.workspace import Workspace

#: Where a study says that it starts from a stored prompt.
_STORED = re.compile(r"artifact:\s*['\"]?([\w-]+)")


@dataclass(frozen=True)
class Deleted:
    """What deleting a study removes.

    Attributes:
        artifacts: Ids of artifacts that are removed.
        shared: Ids of those that stay, because other studies use them.
        bytes: Size of what is removed.
        why: Why those stay.
    """

    artifacts: tuple[str, ...]
    shared: tuple[str, ...]
    bytes: int
    why: str = "other studies use them"

    def __str__(self) -> str:
        count = len(self.artifacts)
        goes = f"{count} artifact{'s' * (count != 1)}, {self.bytes / 2**20:,.1f} MiB" if count else "no artifact"
        stay = f" ({len(self.shared)} stay: {self.why})" if self.shared else ""
        return f"{goes}{stay}."


def what_goes(workspace: Workspace, name: str, *, keep_artifacts: bool = False) -> Deleted:
    """What deleting a study would remove; removes nothing.

    Args:
        workspace: The workspace.
        name: The study.
        keep_artifacts: Leave all of them.

    Raises:
        UserError: Where the list of another study is damaged: nobody knows what that uses.
    """
    with_own: set[str] = set()
    with suppress(UserError):  # a damaged study can be deleted
        with_own = _family(workspace, (entry["id"] for entry in workspace.index(name)))
    used: set[str] = set()
    for other in workspace.study_names():
        if other != name:
            used |= _family(workspace, (entry["id"] for entry in workspace.index(other)))
            used |= _stored_starts(workspace, other, with_own)
    used = _family(workspace, used)
    gone = set() if keep_artifacts else with_own - used
    size = sum(_size(workspace, each) for each in gone)
    deleted = Deleted(tuple(sorted(gone)), tuple(sorted(with_own - gone)), size)
    return replace(deleted, why="a job of another study runs") if keep_artifacts else deleted


def delete_study(workspace: Workspace, name: str, *, keep_artifacts: bool = False) -> Deleted:
    """Deletes a study; call it where no job works on it (`jobs.changes`).

    Args:
        workspace: The workspace.
        name: The study.
        keep_artifacts: Leave what was computed: it is found again by content.

    Raises:
        UserError: As `what_goes`.
    """
    goes = what_goes(workspace, name, keep_artifacts=keep_artifacts)
    # First the study as a whole, by one renaming: nothing ever lists an artifact that is gone.
    trash = workspace.folder / f".deleted-{uuid.uuid4().hex[:8]}"
    workspace.study_folder(name).rename(trash)
    shutil.rmtree(trash, ignore_errors=True)
    for identifier in goes.artifacts:
        shutil.rmtree(workspace.artifact(identifier).folder, ignore_errors=True)
    return goes


def _family(workspace: Workspace, identifiers: Iterable[str]) -> set[str]:
    """Artifacts with all that they were made from."""
    family: set[str] = set()
    left = list(identifiers)
    while left:
        identifier = left.pop()
        if identifier not in family:
            family.add(identifier)
            left += map(str, workspace.artifact(identifier).stage.get("parents", {}).values())
    return family


def _stored_starts(workspace: Workspace, study: str, identifiers: set[str]) -> set[str]:
    """Prompts among these that another study names as where it starts."""
    file = workspace.study_folder(study) / "study.yaml"
    text = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
    begins = [f"prompt-{match.removeprefix('prompt-')}" for match in _STORED.findall(text)]
    return {each for each in identifiers if each.startswith(tuple(begins))} if begins else set()


def _size(workspace: Workspace, identifier: str) -> int:
    folder = workspace.artifact(identifier).folder
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
