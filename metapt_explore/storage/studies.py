"""The studies of a workspace: their settings, and the index of their artifacts."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

from metapt_explore.config import StudyConfig, TaskConfig, parse, read_yaml, to_yaml
from metapt_explore.config.reading import parse_yaml
from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.storage import study_files
from metapt_explore.storage.files import read_json, sweep
from metapt_explore.storage.host_lock import HostLock, is_locked
from metapt_explore.storage.integrity import DamagedFile
from metapt_explore.storage.study_index import CELL_KEYS, IndexEntry, StudyIndex

DEFAULT = "workspace"
__all__ = ["CELL_KEYS", "IndexEntry", "Studies", "Subject"]


class Subject(TypedDict, total=False):
    """What an artifact is about; with its kind it identifies an index entry."""

    clustering: str
    method: str
    task: str
    init_seed: int
    shots: int
    at: str


class Studies:
    """Reads and writes the studies of a workspace folder.

    Args:
        folder: The folder (default: ``$METAPT_WORKSPACE``, else ``./workspace``); made when something is first written.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = Path(folder or os.environ.get("METAPT_WORKSPACE", DEFAULT)).expanduser().resolve()
        if self.folder.exists() and not self.folder.is_dir():
            raise UserError(f"The workspace {self.folder} is a file; give a folder.")
        self._indexes: dict[str, StudyIndex] = {}

    @property
    def damaged(self) -> Path:
        """Where damaged files are set aside."""
        return self.folder / "damaged"

    def study_names(self) -> list[str]:
        """Names of the studies, the one that was worked on last first."""
        folder = self.folder / "studies"
        files = ("study.yaml", study_files.copy_of(Path("study.yaml")).name)  # one whose file is lost is a study, too
        studies = {file.parent for name in files for file in folder.glob(f"*/{name}")} if folder.exists() else set()
        return [path.name for path in sorted(studies, key=_last_worked_on, reverse=True)]

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
            exists = file.exists()
            what = "is damaged, or was changed by one letter" if exists else "is missing"
            edited = f" If you changed it by hand, `metapt run {file}` takes it as it is." if exists else ""
            raise DamagedFile(f"{file} {what}. `metapt verify --repair` puts back what was written.{edited}")
        if not file.exists():
            raise UserError(
                f"The workspace has no study '{name}'. {did_you_mean(name, self.study_names() or ['(none)'])}"
            )
        return parse(StudyConfig, read_yaml(file), str(file))

    def save_study(
        self, config: StudyConfig, *, holds_lock: bool = False, tasks: Iterable[TaskConfig] | None = None
    ) -> Path | None:
        """Writes ``study.yaml``; a changed study of the same name begins with an empty index.

        A study that only got more clusterings, methods or baselines keeps its index.

        Args:
            config: The study.
            holds_lock: Whether the caller holds the study's lock.
            tasks: Its task files as they were read: other content makes another study. Not compared when absent.

        Returns:
            Where the study that this one replaces is kept; None if it replaces none.

        Raises:
            UserError: Where another process is running a study of that name with other settings.
        """
        self._refuse_another_case(config.name)
        folder = self.study_folder(config.name)
        new = to_yaml(config)
        file = folder / "study.yaml"
        if holds_lock:
            sweep(folder)
        for name in study_files.COPIED:
            # A one-letter edit that equals the new settings is no damage.
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
            # `queue.enqueue` has just written the study, without its tasks.
            study_files.write_json_with_copy(folder / "tasks.json", content)
            return None
        if not holds_lock and self.is_locked(config.name):
            raise UserError(
                f"A study '{config.name}' with other settings is running in {self.folder}: give yours another name, "
                "or wait until it has ended."
            )
        if (
            file.exists()
            and (content is None or content == read_json(folder / "tasks.json"))
            and _extends_file(config, file)
        ):
            # What is finished stays valid.
            (folder / "cost.json").unlink(missing_ok=True)
            study_files.write_with_copy(file, new.encode())
            return None
        before = study_files.keep_replaced(file) if file.exists() and not same else None
        # The index first: it must never outlive the settings that it belongs to.
        self.write_index(config.name, [])
        # The cost is of the old study.
        (folder / "cost.json").unlink(missing_ok=True)
        study_files.remove_with_copy(folder / "tasks.json")
        study_files.write_with_copy(file, new.encode())
        if content is not None:
            study_files.write_json_with_copy(folder / "tasks.json", content)
        return before

    def _refuse_another_case(self, name: str) -> None:
        """Refuses a new study whose name differs from another only in case: on many disks they would share a folder."""
        folder = self.folder / "studies"
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        alike = [other for other in names if other.lower() == name.lower()]
        if alike and name not in alike:
            raise UserError(
                f"The workspace {self.folder} has a study '{alike[0]}' already, and '{name}' differs from it in case "
                "only, which not every disk tells apart: give yours another name."
            )

    def _forget_methods(self, config: StudyConfig) -> None:
        """Removes index entries of methods that are no longer in the study's file."""
        try:
            index = self.index(config.name)
        except UserError:
            return  # the next reader reports the damage
        names = {None, *(method.name for method in config.methods), *(baseline.name for baseline in config.baselines)}
        remaining = [entry for entry in index if entry.get("method") in names]
        if len(remaining) < len(index):
            self.write_index(config.name, remaining)

    def extension_of(self, config: StudyConfig) -> StudyConfig:
        """The workspace's study of that name if it extends this one by more parts, else this one.

        Pages add clusterings, methods and baselines to the workspace's file only; starting a packaged example again
        must not throw them away.
        """
        file = self.study_folder(config.name) / "study.yaml"
        copy = study_files.undamaged(file)
        if copy is None and not file.exists():
            return config
        try:
            stored = parse(
                StudyConfig, read_yaml(file) if copy is None else parse_yaml(copy.decode(), str(file)), str(file)
            )
        except UserError:
            return config
        return stored if _extends(stored, config) else config

    def index(self, name: str) -> list[IndexEntry]:
        """Entries of the study's artifacts in the order of the pipeline.

        Raises:
            UserError: Where the list is damaged.
        """
        return StudyIndex(self.study_folder(name)).entries()

    def add_to_index(self, name: str, entry: IndexEntry) -> None:
        """Adds an artifact to a study's index, in place of an older one of the same cell."""
        folder = self.study_folder(name)
        with HostLock(folder / ".index.lock", self.folder):
            self._indexes.setdefault(name, StudyIndex(folder)).add(entry)

    def write_index(self, name: str, entries: Iterable[IndexEntry]) -> None:
        """Writes a study's index anew."""
        folder = self.study_folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        with HostLock(folder / ".index.lock", self.folder):
            StudyIndex(folder).replace(entries)

    def compact_index(self, name: str) -> None:
        """Moves what was added to a study's index into its list, at the end of a run."""
        folder = self.study_folder(name)
        if folder.is_dir():
            with HostLock(folder / ".index.lock", self.folder):
                StudyIndex(folder).compact()

    def study_lock(self, name: str) -> HostLock:
        """The lock that the one process working on a study holds."""
        folder = self.study_folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        return HostLock(folder / ".lock", self.folder, timeout=0)

    def is_locked(self, name: str) -> bool:
        """Whether a process of any host works on the study right now; writes nothing."""
        return is_locked(self.study_folder(name) / ".lock", self.folder)


def _extends_file(new: StudyConfig, file: Path) -> bool:
    """Whether a study is the one in the file with more clusterings, methods or baselines."""
    try:
        old = parse(StudyConfig, read_yaml(file), str(file))
    except UserError:
        return False
    return _extends(new, old)


def _extends(new: StudyConfig, old: StudyConfig) -> bool:
    """Whether a study is an older one with more clusterings, methods or baselines (and perhaps another title)."""
    lists = ("clusterings", "methods", "baselines")
    rest = {"title": new.title, **{key: getattr(new, key) for key in lists}}
    if old.model_copy(update=rest) != new:
        return False
    return all(entry in getattr(new, key) for key in lists for entry in getattr(old, key))


def _content_of(tasks: Iterable[TaskConfig]) -> dict[str, str]:
    """Hash of each task file's content, by the task's name."""
    return {task.name: hashlib.sha256(to_yaml(task).encode()).hexdigest() for task in tasks}


def _last_worked_on(study: Path) -> float:
    """When a file of a study's folder was last written; temporary files may vanish meanwhile."""
    times = []
    for file in study.iterdir():
        try:
            times.append(file.stat().st_mtime)
        except FileNotFoundError:
            continue
    return max(times, default=0.0)
