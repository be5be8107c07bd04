"""``metapt verify``: looks through a whole workspace for damage, and sets aside or repairs what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from filelock import Timeout

from metapt_explore.errors import UserError
from metapt_explore.storage import integrity, presence, study_files
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.checkpoint import read_checkpoint
from metapt_explore.storage.files import leftovers, read_json, sweep
from metapt_explore.storage.host_lock import HostLock, is_locked
from metapt_explore.storage.integrity import set_aside
from metapt_explore.storage.pushed import QUESTION, answers_its_id
from metapt_explore.storage.stage_file import FILES, STAGE
from metapt_explore.storage.workspace import Workspace

RUN_AGAIN = "run the study again: it is computed anew"


@dataclass(frozen=True)
class Damage:
    """One thing that is wrong in a workspace.

    Attributes:
        where: The file, below the workspace's folder.
        of: What people call the part of a study that it belongs to.
        what: What is wrong with it.
        remedy: What to do.
        repair: Sets it aside or repairs it, and says what it did; None where only the user can.
        is_damage: Whether something was lost; leftovers are none.
    """

    where: str
    of: str
    what: str
    remedy: str
    repair: Callable[[], str] | None = None
    is_damage: bool = True


@dataclass
class Counts:
    """What was looked at.

    Attributes:
        artifacts: Finished artifacts whose checksums were compared.
        files: Their files.
        unknown: Finished artifacts of an earlier version, without checksums: their files can be opened, no more.
        unfinished: Artifacts that are being made, or were stopped.
        studies: Studies.
    """

    artifacts: int = 0
    files: int = 0
    unknown: int = 0
    unfinished: int = 0
    studies: int = 0


def verify(
    workspace: Workspace, counts: Counts, on_artifact: Callable[[int, int], None] = lambda done, total: None
) -> Iterator[Damage]:
    """Looks at every artifact, study and leftover; reads all files anew and writes nothing.

    Args:
        workspace: The workspace.
        counts: Filled in on the way.
        on_artifact: Called with the number of artifacts so far, and of all.
    """
    seen: set[str] = set()
    for finding in _findings(workspace, counts, on_artifact):
        if finding.where not in seen:  # many things are made from one
            seen.add(finding.where)
            yield finding


def _findings(workspace: Workspace, counts: Counts, on_artifact: Callable[[int, int], None]) -> Iterator[Damage]:
    folder = workspace.folder / "artifacts"
    folders = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    named = _titles(workspace)
    for place, path in enumerate(folders):
        on_artifact(place, len(folders))
        yield from _look_at_artifact(workspace, path, counts, named)
    on_artifact(len(folders), len(folders))
    studies = workspace.folder / "studies"
    for path in sorted(studies.iterdir()) if studies.is_dir() else []:
        if path.is_dir():
            counts.studies += 1
            yield from _look_at_study(workspace, path)
    is_gone = partial(presence.is_gone, workspace.folder)
    left = list(leftovers(workspace.folder, deep=True, is_gone=is_gone))
    if left:
        yield Damage(
            f"{len(left)} temporary file{'s' * (len(left) != 1)}",
            "",
            f"left by a process that was killed while it wrote, such as {_below(workspace, left[0])}",
            "nothing; --repair removes them",
            lambda: f"{sweep(workspace.folder, deep=True, is_gone=is_gone)} removed",
            is_damage=False,
        )


def _look_at_artifact(workspace: Workspace, folder: Path, counts: Counts, named: dict[str, str]) -> Iterator[Damage]:
    is_made_now = is_locked(folder / ".lock", workspace.folder)
    if not integrity.has_content(folder) or is_made_now:
        counts.unfinished += is_made_now
        return
    artifact = Artifact(folder)
    stage = artifact.stage
    title = str(stage.get("title") or named.get(folder.name, ""))

    def finding(name: str, what: str) -> Damage:
        def repair() -> str:
            return _set_aside(workspace, folder)

        return Damage(f"artifacts/{folder.name}/{name}", title, what, RUN_AGAIN, repair)

    if not stage:
        exists = (folder / STAGE).exists()
        yield finding(STAGE, "is damaged" if exists else "is missing")
    elif stage.get("status") != "done":
        counts.unfinished += 1
        if (folder / "checkpoint" / "state.safetensors").exists() and read_checkpoint(folder) is None:
            yield finding("checkpoint/state.safetensors", "is damaged, so the part begins again")
    else:
        damage = integrity.damage(folder, stage, anew=True)
        if damage is not None:
            yield finding(*damage)
        elif stage.keys() >= QUESTION and not answers_its_id(folder.name, stage):  # else written by hand
            yield finding(STAGE, "answers another question than the one that its folder is named by")
        elif FILES in stage:
            counts.artifacts += 1
            counts.files += len(stage[FILES])
        else:
            counts.unknown += 1
        for role, parent in stage.get("parents", {}).items():
            if workspace.artifact(str(parent)).status == "missing":
                what = f"is gone, and {title or folder.name} was made from it"
                yield Damage(f"artifacts/{parent}", named.get(str(parent), str(role)), what, RUN_AGAIN)


def _look_at_study(workspace: Workspace, folder: Path) -> Iterator[Damage]:
    for name in study_files.COPIED:
        file = folder / name
        if study_files.undamaged(file) is not None:
            what = "is damaged, or was changed by one letter" if file.exists() else "is missing"

            def put_back(file: Path = file) -> str:
                study_files.repair(file, workspace.damaged)
                return "what was written is put back"

            yield Damage(_below(workspace, file), folder.name, what, "--repair puts back what was written", put_back)
        elif study_files.is_lost(file):

            def move(file: Path = file) -> str:
                damaged = file if file.exists() else study_files.copy_of(file)
                aside = study_files.move_aside(damaged, workspace.damaged)
                study_files.remove_with_copy(file)
                return f"set aside as {_below(workspace, aside)}"

            yield Damage(_below(workspace, file), folder.name, "is damaged", "run the study again", move)
    try:
        workspace.study_config(folder.name)
        index = workspace.index(folder.name)
    except integrity.DamagedFile:
        return  # found above
    except (UserError, OSError) as error:
        if (folder / "study.yaml").exists():
            yield Damage(_below(workspace, folder / "study.yaml"), folder.name, f"cannot be read: {error}", "repair it")
        return
    state = read_json(folder / "job.json")
    if isinstance(state, dict) and state.get("status") == "done":
        for entry in index:
            if workspace.artifact(entry["id"]).status == "missing":
                title = str(entry.get("title", ""))
                yield Damage(f"artifacts/{entry['id']}", title, "is gone", f"run '{folder.name}' again")


def _set_aside(workspace: Workspace, folder: Path) -> str:
    try:
        with HostLock(folder / ".lock", workspace.folder, timeout=0):
            return f"set aside as {_below(workspace, set_aside(folder, workspace.damaged))}"
    except Timeout:
        return "left as it is: a process is working on it"


def _titles(workspace: Workspace) -> dict[str, str]:
    """What the studies' lists call artifacts, by id."""
    titles: dict[str, str] = {}
    for name in workspace.study_names():
        try:
            titles |= {entry["id"]: str(entry.get("title", "")) for entry in workspace.index(name)}
        except UserError:
            continue
    return titles


def _below(workspace: Workspace, path: Path) -> str:
    return path.relative_to(workspace.folder).as_posix()
