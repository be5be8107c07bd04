"""Published records in a workspace: brought in from a folder or a zip, checked, and only ever read.

A record is what `metapt report --record` writes. It may come from anywhere, so nothing in it is trusted: files are
looked at by name, sizes are bounded before anything is unpacked (`results/record_files.py`), and a record that the
pages could not show is refused with one sentence.
"""

from __future__ import annotations

import io
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from metapt_explore.config.names import check_folder_name
from metapt_explore.config.paper_numbers import FILE as PAPER_NUMBERS
from metapt_explore.errors import UserError
from metapt_explore.reporting.notes import grounds_of, notes_of, sample_notes, unfinished
from metapt_explore.reporting.over_seeds import over_seeds
from metapt_explore.reporting.questions import questions_of
from metapt_explore.reporting.report import margin_of
from metapt_explore.results.record import MORE_TABLES, Record
from metapt_explore.results.record_files import MOST_BYTES, check_size
from metapt_explore.statistics.units import score_table
from metapt_explore.storage.files import write_bytes
from metapt_explore.storage.workspace import Workspace

#: Its folder in a workspace.
FOLDER = "records"
FACTS = "record.json"
NEEDED = (FACTS, "study.yaml", "results.parquet", "curves.parquet")
#: Files that are read; whatever else lies beside them (report, figures) is left where it is.
FILES = (*NEEDED, *(f"{name}.parquet" for name in MORE_TABLES), PAPER_NUMBERS)
#: Entries of a zip.
MOST_ENTRIES = 10_000
#: What stands in the place of a record's name wherever a study can be chosen. No study's name holds a colon.
PREFIX = "record:"
SCORES = ("method", "task", "data_seed", "init_seed", "accuracy")
#: Columns that are filled with nothing where a record has none.
OPTIONAL = ("start_accuracy", "seconds", "pretraining_seconds")
CURVES = ("method", "task", "data_seed", "init_seed", "step", "test_accuracy")


def open_record(workspace: Workspace, source: Path) -> str:
    """Brings a record into a workspace; returns the name under which it is chosen.

    Args:
        workspace: Where it will lie, under ``records/``.
        source: A record's folder, or a zip of it.

    Raises:
        UserError: Where there is no record, or one that cannot be shown.

    Example:
        >>> open_record(Workspace("workspace"), Path("studies/amazon"))     # doctest: +SKIP
        'record:amazon-benchmark'
    """
    if source.is_dir():
        sizes = {name: (source / name).stat().st_size for name in FILES if (source / name).is_file()}
        for name, size in sizes.items():
            check_size(name, size, str(source))
        return open_files(workspace, {name: (source / name).read_bytes() for name in sizes}, str(source))
    if not source.is_file():
        raise UserError(f"There is no folder or file {source}.")
    return open_files(workspace, {source.name: source.read_bytes()}, source.name)


def open_files(workspace: Workspace, files: Mapping[str, bytes], source: str) -> str:
    """Brings in a record of which the files are at hand, such as uploaded ones: a zip, or the record's own files.

    Args:
        workspace: Where it will lie.
        files: Content by file name.
        source: What they are called in messages.

    Raises:
        UserError: Where they are no record, or one that cannot be shown.
    """
    zips = [name for name in files if name.lower().endswith(".zip")]
    if zips and len(files) > 1:
        raise UserError(f"{source}: give one zip, or the files of one record, not both.")
    content = _unpacked(files[zips[0]], source) if zips else {n: data for n, data in files.items() if n in FILES}
    missing = [name for name in NEEDED if name not in content]
    if missing:
        raise UserError(
            f"{source} holds no record of a study; missing: {', '.join(missing)}. "
            "`metapt report STUDY --record --out FOLDER` writes one."
        )
    for name, data in content.items():
        check_size(name, len(data), source)
    records = workspace.folder / FOLDER
    records.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=records) as made:
        folder = Path(made)
        for name, data in content.items():
            write_bytes(folder / name, data)
        try:
            name = _checked(Record.load(folder)).name
        except UserError as error:
            raise UserError(str(error).replace(str(folder), source)) from None
        return PREFIX + _kept(records, name, content)


def is_record(name: str | None) -> bool:
    """Whether what is chosen as a study is a record."""
    return bool(name) and str(name).startswith(PREFIX)


def record_names(workspace: Workspace) -> list[str]:
    """The records of a workspace, as they are chosen."""
    folders = sorted((workspace.folder / FOLDER).glob(f"*/{FACTS}"))
    return [PREFIX + file.parent.name for file in folders if not file.parent.name.startswith(".")]


def record_folder(workspace: Workspace, name: str) -> Path:
    """Where a record lies, by the name under which it is chosen."""
    return workspace.folder / FOLDER / PurePosixPath(name.removeprefix(PREFIX)).name


def read_record(workspace: Workspace, name: str) -> Record:
    """Reads a record of a workspace.

    Raises:
        UserError: Where it is missing or damaged.
    """
    return _checked(Record.load(record_folder(workspace, name)))


def remove_record(workspace: Workspace, name: str) -> None:
    """Takes a record out of a workspace; the folder or zip that it came from stays."""
    shutil.rmtree(record_folder(workspace, name))


def _kept(records: Path, name: str, content: Mapping[str, bytes]) -> str:
    """Puts the files into a folder of their own; the same record is kept once, another of the same name beside it."""
    for number in range(1, 1000):
        folder = records / (name if number == 1 else f"{name}-{number}")
        if not folder.exists():
            for file, data in sorted(content.items(), key=lambda item: item[0] == FACTS):  # what marks it comes last
                write_bytes(folder / file, data)
            return folder.name
        there = {file.name: file.read_bytes() for file in folder.iterdir() if file.name in FILES}
        if there == dict(content):
            return folder.name
    raise UserError(f"There are too many records named {name} in {records}: delete some.")


def _unpacked(data: bytes, source: str) -> dict[str, bytes]:
    """The files of the one record in a zip."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.filename.startswith("__MACOSX/")]
            if len(entries) > MOST_ENTRIES:
                raise UserError(f"{source} holds {len(entries):,} files; a record has a few.")
            for entry in entries:
                path = PurePosixPath(entry.filename.replace("\\", "/"))
                if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
                    raise UserError(f"{source} is not opened: it holds a path that leads outside ({entry.filename!r}).")
            homes = [PurePosixPath(e.filename).parent for e in entries if PurePosixPath(e.filename).name == FACTS]
            if len(homes) > 1:
                raise UserError(f"{source} holds {len(homes)} records: zip one folder.")
            content = {}
            for entry in entries if homes else ():
                path = PurePosixPath(entry.filename)
                if path.parent == homes[0] and path.name in FILES:
                    check_size(path.name, entry.file_size, source)
                    with archive.open(entry) as stream:  # a zip may lie about sizes
                        content[path.name] = stream.read(MOST_BYTES + 1)
            return content
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, EOFError, IndexError) as error:
        raise UserError(f"{source} cannot be unpacked ({error}): zip the record's folder without a password.") from None


def _checked(record: Record) -> Record:
    """The record, if pages can show it.

    Raises:
        UserError: Naming what is missing or wrong.
    """
    try:
        check_folder_name(record.name)
    except (TypeError, ValueError) as error:
        raise UserError(f"record.json: name: {error}.") from None
    record.results = _scores(record.results)
    if len(record.curves):
        _columns("curves.parquet", record.curves, CURVES)
        _shares("curves.parquet", record.curves, ["test_accuracy"])
    try:
        # What pages say first; whatever a record lacks for it shows here. Testing every question would take seconds.
        joined = over_seeds(record.results, record.study)
        asked = questions_of(joined.study, list(dict.fromkeys(joined.results["method"])))
        _ = margin_of(record), grounds_of(record), unfinished(record), sample_notes(record), notes_of(record)
        for method in [question.method for question in asked] or record.methods:
            score_table(joined.results, method)
    except UserError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        told = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) and error.args else str(error)
        raise UserError(f"record.json and study.yaml do not hold what a record holds: {told[:200]}.") from None
    return record


def _scores(results: pd.DataFrame) -> pd.DataFrame:
    _columns("results.parquet", results, SCORES)
    if results.empty:
        raise UserError("results.parquet has no rows: the record holds no score.")
    results = results.assign(**{name: float("nan") for name in OPTIONAL if name not in results})
    for name in ("method", "task"):
        if not results[name].map(lambda value: isinstance(value, str)).all():
            raise UserError(f"results.parquet: column '{name}' must hold names.")
    _shares("results.parquet", results, ["accuracy", "start_accuracy"])
    if results["accuracy"].isna().any():
        raise UserError("results.parquet: column 'accuracy' has rows without a score.")
    return results


def _columns(file: str, table: pd.DataFrame, needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in table]
    if missing:
        raise UserError(f"{file} has no column {', '.join(map(repr, missing))}, which every record has.")


def _shares(file: str, table: pd.DataFrame, columns: Sequence[str]) -> None:
    for name in columns:
        numbers = table[name]
        if not pd.api.types.is_numeric_dtype(numbers) or ((numbers < 0) | (numbers > 1)).any():
            raise UserError(f"{file}: column '{name}' must hold shares of 1 (0.713, not 71.3).")
