"""Pushes a study's finished artifacts to another place, and pulls them into a workspace, by their ids.

An artifact's record goes last on either side, so nobody ever sees half of one. Stopped and called again, both go on:
what is there is neither sent nor fetched twice.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from filelock import Timeout

from metapt_explore.config import to_yaml
from metapt_explore.config.portable import grown_from, portable
from metapt_explore.config.reading import parse_yaml
from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.storage import study_files
from metapt_explore.storage.files import read_json, write_bytes
from metapt_explore.storage.host_lock import HostLock
from metapt_explore.storage.integrity import REMEDY, set_aside
from metapt_explore.storage.pushed import (
    PushedStudy,
    read_pushed_stage,
    read_study,
    stored_name,
    study_names,
    write_study,
)
from metapt_explore.storage.remote import DamagedRemote, Remote
from metapt_explore.storage.stage_file import CHECKSUM, FILES, STAGE, StageRecord, write_stage
from metapt_explore.storage.workspace import Workspace

#: Where pulled files wait, in the workspace, until all of an artifact are there.
WAITING = "pulled"

OnPart = Callable[[int, int, str], None]


def _silent(done: int, total: int, title: str) -> None:
    """Tells nobody."""


@dataclass
class Transfer:
    """What `push` or `pull` did.

    Attributes:
        study: The study.
        moved: Ids of artifacts that were sent or fetched.
        there: Ids of those that were there already.
        left: Why others were left, by id.
        bytes: Bytes that went over the line.
        notes: What a user should know.
    """

    study: str
    moved: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    bytes: int = 0
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        count = len(self.moved)
        left = f", {len(self.left)} left out" if self.left else ""
        return (
            f"'{self.study}': {count} artifact{'s' * (count != 1)} ({self.bytes / 2**20:,.1f} MiB), {len(self.there)} "
            f"there already{left}."
        )


def push(workspace: Workspace, study: str, url: str, *, check: bool = False, on_part: OnPart = _silent) -> Transfer:
    """Sends every finished artifact of a study, what they were made from, its list and its settings.

    Args:
        workspace: Where the study lies.
        study: Its name.
        url: Where to, for fsspec: ``s3://bucket/folder``, ``ssh://host/folder``, a path …
        check: Reads what lies there already and compares its checksums; what is damaged is sent again. Without it a
            file that has its size counts as sent (`pull` compares every checksum).
        on_part: Called before each artifact with how many are done, how many there are, and its title.

    Raises:
        UserError: Where the study is missing, an artifact of it is damaged, or the place cannot be reached.

    Example:
        >>> print(push(Workspace("workspace"), "tour", "s3://bucket/studies"))  # doctest: +SKIP
        'tour': 25 artifacts (3.1 MiB), 0 there already.
    """
    config, remote, done = workspace.study_config(study), Remote(url), Transfer(study)
    index = workspace.index(study)
    family = _with_parents(workspace, (entry["id"] for entry in index))
    for number, identifier in enumerate(family):
        artifact = workspace.artifact(identifier)
        on_part(number, len(family), str(artifact.stage.get("title", identifier)))
        if not artifact.finished:  # damage is an error
            done.left[identifier] = artifact.status
        elif not artifact.is_whole or FILES not in artifact.stage:
            if artifact.damage is not None:
                raise artifact.damage
            done.left[identifier] = "its texts were left out, or it has no checksums"
        else:
            _send(remote, workspace, identifier, done, check=check)
    kept = {*done.moved, *done.there}
    tasks = read_json(workspace.study_folder(study) / "tasks.json")
    record = {
        "study": to_yaml(config),
        "tasks": tasks if isinstance(tasks, dict) else None,
        "index": [entry for entry in index if entry["id"] in kept],
        "artifacts": [identifier for identifier in family if identifier in kept],
        "pushed": time.time(),
    }
    write_study(remote, study, record)
    return done


def _with_parents(workspace: Workspace, identifiers: Iterable[str]) -> list[str]:
    """Artifacts with all that they were made from, parents in front."""
    family: dict[str, None] = {}
    stack = [(identifier, False) for identifier in reversed(list(identifiers))]
    while stack:
        identifier, parents_stand = stack.pop()
        if identifier in family:
            continue
        if parents_stand:
            family[identifier] = None
            continue
        parents = workspace.artifact(identifier).stage.get("parents", {}).values()
        stack += [(identifier, True), *((str(parent), False) for parent in parents if str(parent) not in family)]
    return list(family)


def _send(remote: Remote, workspace: Workspace, identifier: str, done: Transfer, *, check: bool) -> None:
    artifact = workspace.artifact(identifier)
    # Read once: whatever is computed meanwhile, this record goes with the files that it names.
    content = (artifact.folder / STAGE).read_bytes()
    stage = artifact.stage
    there = _as_pushed(remote, identifier, done)
    if there is not None and there[FILES] != stage[FILES]:
        done.notes.append(f"{identifier} was computed elsewhere, with other numbers: what lies there is kept.")
        stage = there
    sent = 0
    for name, expected in stage[FILES].items():
        parts = ("artifacts", identifier, stored_name(name, expected))
        if stage is there:
            if not remote.holds(expected, *parts, check=check):
                raise DamagedRemote(f"{remote.where(*parts)} is missing or damaged: push it from where it was made.")
        else:
            sent += remote.upload(artifact.folder / name, expected, *parts, check=check)
    if there is None:
        remote.write(content, "artifacts", identifier, STAGE)
    done.bytes += sent
    (done.moved if sent or there is None else done.there).append(identifier)


def _as_pushed(remote: Remote, identifier: str, done: Transfer) -> StageRecord | None:
    """The record that lies there; None where it is missing or damaged, and is written again."""
    try:
        found = read_pushed_stage(remote, identifier)
    except DamagedRemote as error:
        done.notes.append(f"{error} It is written again.")
        return None
    return None if found is None else found[0]


def pull(
    workspace: Workspace,
    url: str,
    study: str | None = None,
    *,
    settings: str | None = None,
    on_part: OnPart = _silent,
) -> list[Transfer]:
    """Fetches studies that were pushed: settings, list, and every artifact that the workspace has not.

    Nothing of the workspace is replaced by something different: an artifact that it has stays, and so does a study.

    Args:
        workspace: Where to.
        url: Where from, as in `push`.
        study: Only this one (default: all that lie there).
        settings: Which settings, where several of that name were pushed; the last ones when absent.
        on_part: As in `push`.

    Raises:
        UserError: Where there is no such study, it is damaged there, or the workspace has another of its name.

    Example:
        >>> print(pull(Workspace("elsewhere"), "s3://bucket/studies", "tour")[0])  # doctest: +SKIP
        'tour': 25 artifacts (3.1 MiB), 0 there already.
    """
    remote = Remote(url)
    names = study_names(remote)
    if not names:
        raise UserError(f"{remote.where()} holds no study that metapt pushed.")
    if study is not None and study not in names:
        raise UserError(f"{remote.where()} holds no study '{study}'. {did_you_mean(study, names)}")
    asked = names if study is None else [study]
    # All of them are checked before anything is fetched.
    found = [read_study(remote, name, settings) for name in asked]
    for each in found:
        _refuse_another(workspace, each)
    return [_fetch_study(workspace, remote, each, on_part) for each in found]


def _refuse_another(workspace: Workspace, pushed: PushedStudy) -> None:
    """Refuses a study of which the workspace has another by its name."""
    name = pushed.config.name
    if name not in workspace.study_names():
        return
    here = parse_yaml(to_yaml(workspace.study_config(name)), name)
    there = parse_yaml(to_yaml(pushed.config), name)
    known = read_json(workspace.study_folder(name) / "tasks.json")
    tasks = known if isinstance(known, dict) else {}
    other = [task for task, content in (pushed.tasks or {}).items() if tasks.get(task, content) != content]
    if other:
        raise UserError(
            f"The workspace {workspace.folder} has a study '{name}' with other files of the task {', '.join(other)}: "
            "pull into another workspace (-w)."
        )
    if not (grown_from(portable(here), portable(there)) or grown_from(there, here)):
        changed = sorted(
            key
            for key in portable(here).keys() | portable(there).keys()
            if portable(here).get(key) != portable(there).get(key)
        )
        raise UserError(
            f"The workspace {workspace.folder} has a study '{name}' with other settings ({', '.join(changed)}): pull "
            "into another workspace (-w)."
        )


def _fetch_study(workspace: Workspace, remote: Remote, pushed: PushedStudy, on_part: OnPart) -> Transfer:
    name, done = pushed.config.name, Transfer(pushed.config.name)
    if pushed.others:
        done.notes.append(
            f"Other settings of '{name}' lie there, too ({', '.join(pushed.others)}; --settings takes one): these are "
            "the ones that were pushed last."
        )
    for number, identifier in enumerate(pushed.artifacts):
        on_part(number, len(pushed.artifacts), identifier)
        _fetch(workspace, remote, identifier, done)
    file = workspace.study_folder(name) / "study.yaml"
    here = parse_yaml(to_yaml(workspace.study_config(name)), name) if name in workspace.study_names() else None
    there = parse_yaml(to_yaml(pushed.config), name)
    if here is None or (here != there and grown_from(there, here)):
        workspace.save_study(pushed.config)
    tasks = file.with_name("tasks.json")
    if pushed.tasks is not None and not tasks.exists():
        study_files.write_json_with_copy(tasks, pushed.tasks)
    had = {_cell(entry) for entry in workspace.index(name)}
    for entry in pushed.index:
        # What the workspace computed for a cell stays its answer.
        if entry["id"] not in done.left and _cell(entry) not in had:
            workspace.add_to_index(name, entry)
    return done


def _cell(entry: Any) -> tuple[Any, ...]:
    from metapt_explore.storage.studies import CELL_KEYS

    return tuple(entry.get(key) for key in CELL_KEYS)


def _check_room(workspace: Workspace, remote: Remote, identifier: str, wanted: int) -> None:
    free = shutil.disk_usage(workspace.folder).free
    if wanted > free:
        raise UserError(
            f"{remote.where('artifacts', identifier)} is {wanted / 2**20:,.0f} MiB, and the disk of "
            f"{workspace.folder} has {free / 2**20:,.0f} MiB left."
        )


def _fetch(workspace: Workspace, remote: Remote, identifier: str, done: Transfer) -> None:
    artifact = workspace.artifact(identifier)
    if artifact.status == "done" and artifact.damage is None:
        done.there.append(identifier)
        return
    found = read_pushed_stage(remote, identifier)
    if found is None:
        raise DamagedRemote(
            f"{remote.where('artifacts', identifier)} is missing: push it again from where it was made."
        )
    stage, content = found
    waiting = workspace.folder / WAITING / identifier
    artifact.folder.mkdir(parents=True, exist_ok=True)
    try:
        with HostLock(artifact.folder / ".lock", workspace.folder, timeout=0) as lock:
            damage = artifact.damage
            if damage is not None:
                aside = set_aside(artifact.folder, workspace.damaged)
                done.notes.append(f"{str(damage).removesuffix(REMEDY)}It is now in {aside}.")
            _check_room(workspace, remote, identifier, sum(expected["bytes"] for expected in stage[FILES].values()))
            for name, expected in stage[FILES].items():
                parts = ("artifacts", identifier, stored_name(name, expected))
                done.bytes += remote.download(waiting / name, expected, *parts)
            if artifact.status == "missing":
                # Killed between two files, it reads as an attempt that was stopped, not as damage.
                head: Any = {key: value for key, value in stage.items() if key not in (FILES, CHECKSUM)}
                head["status"] = "cancelled"
                write_stage(artifact.folder, head)
            if not lock.is_ours:
                raise Timeout(str(lock.file))
            shutil.rmtree(artifact.folder / "checkpoint", ignore_errors=True)
            for name in stage[FILES]:
                (waiting / name).replace(artifact.folder / name)
            write_bytes(artifact.folder / STAGE, content)
    except Timeout:
        done.left[identifier] = "a process of this workspace works on it: pull again when it has ended"
        return
    shutil.rmtree(waiting, ignore_errors=True)
    done.moved.append(identifier)
