"""The list of a study's artifacts: ``index.json``, and what was added since in ``index.jsonl``.

A run adds hundreds of artifacts, so adding one appends a line; when the run ends the lines move into ``index.json``.
The first line names the content of ``index.json`` that the others continue: where that was changed since (by hand, by
another study of the name, by a run that was killed while it moved them), they count no more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from metapt_explore.storage import checked_lines, study_files
from metapt_explore.storage.files import Stamp, stamp_of
from metapt_explore.storage.integrity import DamagedFile

BASE, LINES = "index.json", "index.jsonl"
#: Keys of an index entry that say which cell of the study it is; the rest says what was computed for it.
CELL_KEYS = ("kind", "clustering", "method", "task", "init_seed", "shots", "at")
#: Lines at which they move into the list, if they are as many as that has: so the work of moving stays in proportion.
MOVE_AT = 256


class IndexEntry(TypedDict):
    """One entry of ``index.json``.

    Attributes:
        kind: Kind of the artifact, or what the list calls it (``fewshot at other shots``).
        id: Id of the artifact.
        title: What people call it.
    """

    kind: str
    id: str
    title: str
    clustering: NotRequired[str]
    method: NotRequired[str]
    task: NotRequired[str]
    init_seed: NotRequired[int]
    shots: NotRequired[int]
    at: NotRequired[str]


def cell_of(entry: Mapping[str, Any]) -> str:
    """Which cell of the study an entry is about."""
    return json.dumps([entry.get(key) for key in CELL_KEYS])


@dataclass
class _Known:
    """What this process knows of the files as it left them.

    Attributes:
        stamps: Of both files.
        cells: The newest entry of each cell.
        base: Entries in ``index.json``.
        lines: Entries behind it.
    """

    stamps: tuple[Stamp | None, Stamp | None]
    cells: dict[str, IndexEntry]
    base: int
    lines: int


@dataclass
class StudyIndex:
    """The list of one study; who changes it holds its lock.

    Attributes:
        folder: The study's folder.
    """

    folder: Path
    _known: _Known | None = field(default=None, repr=False)

    @property
    def file(self) -> Path:
        """``index.json``."""
        return self.folder / BASE

    @property
    def lines(self) -> Path:
        """``index.jsonl``."""
        return self.folder / LINES

    def entries(self) -> list[IndexEntry]:
        """Entries in the order in which they were added.

        Raises:
            DamagedFile: Where the list is damaged, and its copy, too.
        """
        # Lines first: if they move meanwhile, the list that is read next has them, and they continue another one.
        added = checked_lines.written(self.lines)
        if added is None and checked_lines.is_lost(self.lines):
            raise _damaged(self.lines)
        base = self._base()
        return [*base] if added is None else _joined(base, self._continuing(added))

    def add(self, entry: IndexEntry) -> None:
        """Adds an artifact, in place of an older one of the same cell; a damaged list begins anew."""
        known = self._known
        if known is None or known.stamps != self._stamps():
            known = self._load()
        if known.cells.get(cell_of(entry)) == entry:
            return
        self._known = None  # until it is written
        checked_lines.append(self.lines, checked_lines.to_line(entry))
        known.cells[cell_of(entry)] = entry
        known.lines += 1
        known.stamps = self._stamps()
        self._known = known
        if known.lines >= max(MOVE_AT, known.base):
            self.compact()

    def replace(self, entries: Iterable[IndexEntry]) -> None:
        """Writes the list anew."""
        self._known = None
        # The lines first: they must not continue the new list if that is as the old one was.
        checked_lines.remove(self.lines)
        study_files.write_json_with_copy(self.file, list(entries))

    def compact(self) -> None:
        """Moves the lines into ``index.json``; a list that is damaged stays for who repairs it."""
        if not self.lines.exists() and not checked_lines.copy_of(self.lines).exists():
            return
        try:
            entries = self.entries()
        except DamagedFile:
            return
        self._known = None
        # If this is killed in between, the lines continue another list and count no more.
        study_files.write_json_with_copy(self.file, entries)
        checked_lines.remove(self.lines)

    def _load(self) -> _Known:
        """Reads the list, and makes both files ready to be added to."""
        try:
            base = self._base()
        except DamagedFile:
            self.replace([])  # running the study finds again what is computed
            base = []
        added = checked_lines.written(self.lines)
        lines = self._continuing(added) if added is not None else None
        if lines is None or not lines[1]:
            entries: list[IndexEntry] = []
            checked_lines.write(self.lines, checked_lines.to_line({"continues": self._content_sum()}))
        else:
            entries = lines[0]
            if any(_content(file) != added for file in (self.lines, checked_lines.copy_of(self.lines))):
                checked_lines.write(self.lines, added or b"")  # a killed writer left half a line
        cells = {cell_of(entry): entry for entry in [*base, *entries]}
        return _Known(self._stamps(), cells, len(base), len(entries))

    def _base(self) -> list[IndexEntry]:
        entries = study_files.read_json_or_copy(self.file)
        if entries is None and not self.file.exists():
            return []
        if not _are_entries(entries):
            raise _damaged(self.file)
        listed: list[IndexEntry] = entries
        return listed

    def _continuing(self, added: bytes) -> tuple[list[IndexEntry], bool]:
        """The entries of lines, and whether they continue the list as it is."""
        head, *entries = checked_lines.read_lines(added)[0] or [None]
        continues = isinstance(head, dict) and head.get("continues") == self._content_sum()
        return (entries, True) if continues and _are_entries(entries) else ([], False)

    def _content_sum(self) -> str:
        content = study_files.undamaged(self.file)
        return hashlib.sha256(_content(self.file) if content is None else content).hexdigest()

    def _stamps(self) -> tuple[Stamp | None, Stamp | None]:
        return _stamp(self.file), _stamp(self.lines)


def _joined(base: list[IndexEntry], added: tuple[list[IndexEntry], bool]) -> list[IndexEntry]:
    """The list with what was added: at its end, in place of older entries of the same cells."""
    newest: dict[str, IndexEntry] = {}
    for entry in added[0]:
        newest.pop(cell_of(entry), None)
        newest[cell_of(entry)] = entry
    return [*(entry for entry in base if cell_of(entry) not in newest), *newest.values()]


def _are_entries(entries: Any) -> bool:
    return isinstance(entries, list) and all(
        isinstance(entry, dict) and isinstance(entry.get("id"), str) and isinstance(entry.get("kind"), str)
        for entry in entries
    )


def _damaged(file: Path) -> DamagedFile:
    return DamagedFile(
        f"{file} is damaged: `metapt verify --repair` sets it aside; then run the study again, which finds "
        "all that is computed and computes nothing twice."
    )


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""


def _stamp(file: Path) -> Stamp | None:
    try:
        return stamp_of(file)
    except FileNotFoundError:
        return None
