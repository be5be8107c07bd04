"""A workspace folder: artifacts by content, studies by name.

::

    workspace/
      artifacts/<kind>-<hash>/     what was computed
      studies/<name>/study.yaml    what was asked
      studies/<name>/tasks.json    hash of its task files' content, of which study.yaml holds paths only
      studies/<name>/index.json    which artifacts answer it
      studies/<name>/job.json      the process that computes it, see `jobs`
      damaged/<kind>-<hash>-<n>/   what was found to be damaged; nothing reads it

What only looks at a workspace writes nothing into it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from metapt_explore.config import StudyConfig, TaskConfig, parse, read_yaml, to_yaml
from metapt_explore.config.reading import parse_yaml
from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.storage import study_files
from metapt_explore.storage.artifact import Artifact, ArtifactWriter, Question, making
from metapt_explore.storage.disk import is_held
from metapt_explore.storage.files import read_json, sweep
from metapt_explore.storage.integrity import REMEDY, DamagedFile, set_aside

DEFAULT = "workspace"
#: What tells the entries of a study's list apart.
QUESTION = ("kind", "clustering", "method", "task", "init_seed", "shots")
#: Ids that a message lists at most.
SHOWN = 8

log = logging.getLogger(__name__)


class Workspace:
    """Reads and writes a workspace folder.

    Args:
        folder: The folder; made when something is first written.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = Path(folder or os.environ.get("METAPT_WORKSPACE", DEFAULT)).expanduser().resolve()
        if self.folder.exists() and not self.folder.is_dir():
            raise UserError(f"The workspace {self.folder} is a file; give a folder.")

    # -------------------------------------------------------------------------------- artifacts

    def artifact(self, identifier: str) -> Artifact:
        """Returns the artifact of that id, whatever its status."""
        return Artifact(self.folder / "artifacts" / identifier)

    @property
    def damaged(self) -> Path:
        """Where what is damaged is set aside."""
        return self.folder / "damaged"

    def find(self, kind: str, beginning: str, where: str) -> Artifact:
        """Finds a finished artifact by its id, or by the beginning of one.

        Args:
            kind: ``prompt``, ``texts`` …
            beginning: The id or its beginning, with or without the kind in front (``prompt-3fa9c2``, ``3fa9c2``).
            where: The key that asked for it, for messages.

        Raises:
            UserError: Where no finished artifact of the kind begins so, or several do.

        Example:
            >>> Workspace("workspace").find("prompt", "3fa9c2", "prompt.init").id     # doctest: +SKIP
            'prompt-3fa9c2d41b7e8f60'
        """
        wanted = f"{kind}-{beginning.removeprefix(f'{kind}-')}"
        folder = self.folder / "artifacts"
        ids = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        status = {name: self.artifact(name).status for name in ids if name.startswith(f"{kind}-")}
        done = [name for name in status if status[name] == "done"]
        matches = [wanted] if wanted in done else [name for name in done if name.startswith(wanted)]
        if len(matches) == 1:
            return self.artifact(matches[0])
        if matches:
            raise UserError(
                f"{where}: '{beginning}' is the beginning of several {kind} artifacts ({', '.join(matches)}); "
                "write more of the id."
            )
        for name in status:
            if name.startswith(wanted):
                if status[name] == "damaged" and (error := self.artifact(name).damage) is not None:
                    raise error
                raise UserError(f"{where}: the {kind} artifact {name} is not finished ({status[name]}).")
        raise UserError(
            f"{where}: the workspace {self.folder} has no finished {kind} artifact '{beginning}' (finished: "
            f"{', '.join(done[:SHOWN]) or 'none'}{' …' if len(done) > SHOWN else ''})."
        )

    def make(
        self,
        stage: Question,
        compute: Callable[[ArtifactWriter], None],
        while_waiting: Callable[[], None] = lambda: None,
        on_notice: Callable[[str], None] = log.warning,
    ) -> Artifact:
        """Returns the artifact of a stage, computing it unless it is done and what was written.

        Two processes that want the same artifact do not both compute it: the second waits, and calls
        `while_waiting` each second, which may raise to give up. What is damaged is set aside, told to `on_notice`, and
        computed anew.
        """
        artifact = self.artifact(stage.id)
        if artifact.is_whole:
            return artifact
        artifact.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(artifact.folder / ".lock")
        while True:
            try:
                lock.acquire(timeout=1)
                break
            except Timeout:
                while_waiting()
        try:
            if not artifact.is_whole:
                from metapt_explore.storage.manifest import manifest

                error = artifact.damage
                if error is not None:
                    aside = set_aside(artifact.folder, self.damaged)
                    on_notice(f"{str(error).removesuffix(REMEDY)}It is now in {aside}, and is computed anew.")
                # Nobody else writes here while we hold the lock.
                sweep(artifact.folder, everything=True)
                with making(artifact.folder, stage, manifest()) as writer:
                    compute(writer)
        finally:
            lock.release()
        return artifact

    # ---------------------------------------------------------------------------------- studies

    def study_names(self) -> list[str]:
        """Names of the studies, the one that was worked on last first."""
        folder = self.folder / "studies"
        marks = ("study.yaml", study_files.copy_of(Path("study.yaml")).name)  # one whose file is lost is a study, too
        found = {file.parent for mark in marks for file in folder.glob(f"*/{mark}")} if folder.exists() else set()
        return [path.name for path in sorted(found, key=_last_worked_on, reverse=True)]

    def study_folder(self, name: str) -> Path:
        """Folder of a study."""
        return self.folder / "studies" / name

    def study_config(self, name: str) -> StudyConfig:
        """Reads the study as it was run.

        Raises:
            UserError: Where the workspace has no such study, or its file is damaged.
        """
        file = self.study_folder(name) / "study.yaml"
        if study_files.undamaged(file) is not None:
            there = file.exists()
            what = "is damaged, or was changed by one letter" if there else "is missing"
            edited = f" If you changed it by hand, `metapt run {file}` takes it as it is." if there else ""
            raise DamagedFile(f"{file} {what}. `metapt verify --repair` puts back what was written.{edited}")
        if not file.exists():
            raise UserError(
                f"The workspace has no study '{name}'. {did_you_mean(name, self.study_names() or ['(none)'])}"
            )
        return parse(StudyConfig, read_yaml(file), str(file))

    def save_study(
        self, config: StudyConfig, holds_lock: bool = False, tasks: Iterable[TaskConfig] | None = None
    ) -> Path | None:
        """Writes what is asked; a changed study of the same name replaces the old one's list of answers.

        A study that has only grown, by clusterings, methods or baselines, keeps the list.

        Args:
            config: The study.
            holds_lock: Whether the caller holds the study's lock.
            tasks: Its task files as they were read: other content makes another study. Not looked at when absent.

        Returns:
            Where the study is kept that was there before, where this one takes its place.

        Raises:
            UserError: Where another process is running a study of that name with other settings.
        """
        self._refuse_another_case(config.name)
        folder = self.study_folder(config.name)
        new = to_yaml(config)
        file = folder / "study.yaml"
        if holds_lock:
            sweep(folder)
        for name in study_files.KEPT:
            # An edit by one letter that is what is asked for now is no damage.
            if not (file.name == name and file.exists() and file.read_bytes() == new.encode()):
                study_files.repair(folder / name, self.damaged)
        same = file.exists() and file.read_text(encoding="utf-8") == new
        if holds_lock or not self.is_locked(config.name):
            self._forget_methods(config)
        content = _content_of(tasks) if tasks is not None else None
        known = read_json(folder / "tasks.json") if same else None
        if same and (content is None or content == known):
            return None
        if same and known is None:
            # A study of a time when no hash was kept, or one that `queue.enqueue` has just written.
            study_files.write_kept_json(folder / "tasks.json", content)
            return None
        if not holds_lock and self.is_locked(config.name):
            raise UserError(
                f"A study '{config.name}' with other settings is running in {self.folder}: give yours another name, "
                "or wait until it has ended."
            )
        if file.exists() and (content is None or content == read_json(folder / "tasks.json")) and _grown(file, config):
            # What is there already answers what it answered before.
            (folder / "cost.json").unlink(missing_ok=True)
            study_files.write_kept(file, new.encode())
            return None
        before = study_files.keep_before(file) if file.exists() and not same else None
        # In this order: a list that does not fit the settings must never be left behind.
        study_files.write_kept_json(folder / "index.json", [])
        # What it cost was the cost of another study.
        (folder / "cost.json").unlink(missing_ok=True)
        study_files.remove_kept(folder / "tasks.json")
        study_files.write_kept(file, new.encode())
        if content is not None:
            study_files.write_kept_json(folder / "tasks.json", content)
        return before

    def _refuse_another_case(self, name: str) -> None:
        """Refuses a new study whose name differs in case only: on many disks its folder would be the other one's."""
        folder = self.folder / "studies"
        there = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        alike = [other for other in there if other.lower() == name.lower()]
        if alike and name not in alike:
            raise UserError(
                f"The workspace {self.folder} has a study '{alike[0]}' already, and '{name}' differs from it in case "
                "only, which not every disk tells apart: give yours another name."
            )

    def _forget_methods(self, config: StudyConfig) -> None:
        """Takes off the list what is of methods that the study has no more: somebody took them out of its file here."""
        try:
            index = self.index(config.name)
        except UserError:
            return  # what reads it next says that it is damaged
        asked = {None, *(method.name for method in config.methods), *(baseline.name for baseline in config.baselines)}
        kept = [entry for entry in index if entry.get("method") in asked]
        if len(kept) < len(index):
            study_files.write_kept_json(self.study_folder(config.name) / "index.json", kept)

    def grown_from(self, config: StudyConfig) -> StudyConfig:
        """The study of that name in the workspace, where it is this one and more, else this one.

        Pages add clusterings, methods and baselines to the workspace's file only: whoever starts a packaged example
        again does not ask for them to be thrown away.
        """
        file = self.study_folder(config.name) / "study.yaml"
        better = study_files.undamaged(file)
        if better is None and not file.exists():
            return config
        try:
            stored = parse(
                StudyConfig, read_yaml(file) if better is None else parse_yaml(better.decode(), str(file)), str(file)
            )
        except UserError:
            return config
        return stored if _only_more(config, stored) else config

    def index(self, name: str) -> list[dict[str, Any]]:
        """The study's artifacts in the order of the pipeline.

        Each entry holds ``kind``, ``id``, ``title`` and what it is of (``clustering``, ``method``,
        ``task``, ``init_seed``).

        Raises:
            UserError: Where the list is damaged.
        """
        file = self.study_folder(name) / "index.json"
        found = study_files.read_kept_json(file)
        if found is None and not file.exists():
            return []
        if not isinstance(found, list) or not all(
            isinstance(entry, dict) and isinstance(entry.get("id"), str) and isinstance(entry.get("kind"), str)
            for entry in found
        ):
            raise DamagedFile(
                f"{file} is damaged: `metapt verify --repair` sets it aside; then run the study again, which finds "
                "all that is computed and computes nothing twice."
            )
        return found

    def current_index(self, name: str) -> list[dict[str, Any]]:
        """The entries of a study's list that answer what is asked now.

        Where data or a start changed under a study, its list holds new splits, texts or prompts beside scores of the
        old ones until these are made again; cells of both must not stand in one table. So an entry counts only where
        everything that it was made from is still in the list, the newest of each.

        Raises:
            UserError: Where the list is damaged.
        """
        newest = {json.dumps([entry.get(key) for key in QUESTION]): entry for entry in self.index(name)}
        listed = {str(entry["id"]) for entry in newest.values()}
        known: dict[str, bool] = {}

        def current(identifier: str) -> bool:
            if identifier not in known:
                parents = self.artifact(identifier).stage.get("parents", {})
                # A start is a prompt of another study, named by its id.
                own = [parent for role, parent in parents.items() if role != "start"]
                known[identifier] = identifier in listed and all(current(parent) for parent in own)
            return known[identifier]

        return [entry for entry in newest.values() if current(str(entry["id"]))]

    def add_to_index(self, name: str, entry: dict[str, Any]) -> None:
        """Adds an artifact to a study's list, in place of one that answered the same question before."""

        def same(other: dict[str, Any]) -> bool:
            return all(other.get(key) == entry.get(key) for key in QUESTION)

        folder = self.study_folder(name)
        with FileLock(folder / ".index.lock"):
            try:
                old = self.index(name)
            except UserError:
                old = []  # Running the study is what repairs a damaged list.
            if entry not in old:
                new = [other for other in old if not same(other)]
                study_files.write_kept_json(folder / "index.json", [*new, entry])

    def study_lock(self, name: str) -> FileLock:
        """The lock that the one process working on a study holds."""
        folder = self.study_folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / ".lock", timeout=0)

    def is_locked(self, name: str) -> bool:
        """Whether a process works on the study right now; writes nothing."""
        return is_held(self.study_folder(name) / ".lock")


def _grown(file: Path, new: StudyConfig) -> bool:
    """Whether a study is the one in the file with nothing but more clusterings, methods or baselines."""
    try:
        old = parse(StudyConfig, read_yaml(file), str(file))
    except UserError:
        return False
    return _only_more(old, new)


def _only_more(old: StudyConfig, new: StudyConfig) -> bool:
    """Whether a study is another one with nothing but more clusterings, methods or baselines (and another title)."""
    lists = ("clusterings", "methods", "baselines")
    rest = {"title": new.title, **{key: getattr(new, key) for key in lists}}
    if old.model_copy(update=rest) != new:
        return False
    return all(entry in getattr(new, key) for key in lists for entry in getattr(old, key))


def _content_of(tasks: Iterable[TaskConfig]) -> dict[str, str]:
    """Hash of each task file's content, by the task's name."""
    return {task.name: hashlib.sha256(to_yaml(task).encode()).hexdigest() for task in tasks}


def _last_worked_on(study: Path) -> float:
    """When something in a study's folder was last written; temporary files may vanish while we look."""
    times = []
    for file in study.iterdir():
        try:
            times.append(file.stat().st_mtime)
        except FileNotFoundError:
            continue
    return max(times, default=0.0)
