"""The unpacked bytes of a file of rows, and its kind, by its first bytes rather than its name."""

from __future__ import annotations

import gzip
import io
import re
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.texts.messages import Finding, shown

#: Kind of a file by suffix.
KINDS = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".txt": "txt", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".parquet": "parquet", ".xlsx": "xlsx",
}  # fmt: skip
#: Any of them may be packed.
PACKED = (".gz", ".zip")
SUFFIXES = tuple(KINDS)
SAY_SUFFIXES = f"{', '.join(SUFFIXES)} (or these with {' or '.join(PACKED)} behind)"
SAY_KINDS = {
    "csv": "a CSV file", "tsv": "a TSV file", "txt": "a text file", "json": "a JSON file", "jsonl": "a JSONL file",
    "parquet": "a Parquet file", "xlsx": "an Excel workbook (.xlsx)",
}  # fmt: skip

GIB = 2**30
#: Bytes of a table, unpacked, up to which it is read into memory.
MOST_BYTES = 2 * GIB
#: A packed file may become this many times as large. Text becomes 3 to 20 times as large, a bomb a thousand times.
MOST_TIMES = 200
#: Bytes that may always be unpacked.
FREE_BYTES = 64 * 2**20

#: Bytes from which a file is read in parts; smaller ones are read as a whole, which takes some 200 MiB at most.
STREAMED_BYTES = 16 * 2**20
#: Kinds of files that can be read in parts.
STREAMED_KINDS = ("csv", "tsv", "jsonl", "parquet")
#: Bytes in which a file says what it is.
FIRST_BYTES = 4_096

#: First bytes of files that are not tables, and what to do with them.
OTHER_KINDS = (
    (rb"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls); save it as .xlsx or .csv"),
    (rb"BZh\d1AY&SY", "packed with bzip2; unpack it first"),
    (rb"\xfd7zXZ\x00", "packed with xz; unpack it first"),
    (rb"\x28\xb5\x2f\xfd", "packed with zstd; unpack it first"),
    (rb"7z\xbc\xaf\x27\x1c|Rar!\x1a", "an archive; unpack it first"),
    (rb"%PDF-", "a PDF; copy its table into a spreadsheet"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8", "a picture"),
    (rb"SQLite format 3\x00", "an SQLite database; export the table as CSV"),
    (rb"ARROW1", "an Arrow file; write it as Parquet"),
    (rb"\x7fELF|MZ[\x00-\x7f]\x00", "a program"),
    (rb"(?:\xef\xbb\xbf)?\s*(?i:<!doctype html|<html)", "a web page (a download that failed often leaves one)"),
    (rb"version https://git-lfs", "a pointer of Git LFS, not the data; `git lfs pull` fetches it"),
)


@dataclass
class Content:
    """What is in a file.

    Attributes:
        kind: csv, tsv, txt, json, jsonl, parquet or xlsx.
        data: Its bytes, unpacked.
        findings: Differences from what its name says.
    """

    kind: str
    data: bytes
    findings: tuple[Finding, ...]

    def take(self) -> bytes:
        """Returns the bytes and drops them here, so that a large file is not kept in memory beside its rows."""
        data, self.data = self.data, b""
        return data


def existing(path: Path, most: int | None = MOST_BYTES) -> Path:
    """The path, if it is a regular file that can be read into memory.

    Args:
        path: The file.
        most: Bytes that it may have; None where it is read in parts.

    Raises:
        UserError: Where none is (names the nearest one beside it), where it is a folder, a device or a pipe, or where
            it is too large.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        # The name may lead through a file, a loop of links or a folder that is closed: not one that lacks a file.
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            raise UserError(f"There is no file {shown(path, 300)}.{_nearest_file(path)}") from None
        reason = error.strerror if isinstance(error, OSError) else "its name holds a character that no name can"
        raise UserError(f"{shown(path, 300)} cannot be opened: {reason}.") from None
    if stat.S_ISDIR(status.st_mode):
        raise UserError(f"{path} is a folder; a file ({SAY_SUFFIXES}) is expected.")
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{path} is a device, a pipe or a socket; an ordinary file is expected.")
    if most is not None and status.st_size > most:
        raise _too_large(path, f"has {status.st_size / GIB:.1f} GiB")
    return path


def _nearest_file(path: Path) -> str:
    try:
        beside = [entry.name for entry in path.parent.iterdir() if entry.suffix.lower() in (*KINDS, *PACKED)]
    except OSError:
        return ""
    return f" {did_you_mean(path.name, [shown(name) for name in beside[:1000]])}" if beside else ""


def _too_large(path: Path, what: str) -> UserError:
    return UserError(
        f"{path} {what}; a table of at most {MOST_BYTES // GIB} GiB is read. Take some of its rows, or split it."
    )


def kind_of_name(name: str) -> str | None:
    """A file's kind by its name; None if unknown.

    Example:
        >>> kind_of_name("Reviews.CSV"), kind_of_name("reviews.jsonl.gz"), kind_of_name("reviews.dat")
        ('csv', 'jsonl', None)
    """
    path = Path(name.lower())
    return KINDS.get(Path(path.stem).suffix if path.suffix in PACKED else path.suffix)


def read_content(path: Path) -> Content:
    """Reads a file, unpacked.

    Args:
        path: The file.

    Raises:
        UserError: Where it is missing, empty, too large, or of a kind that holds no table.
    """
    kind = kind_of_name(path.name)
    unknown = kind is None and path.suffix.lower() not in PACKED
    if existing(path).stat().st_size == 0:
        raise UserError(f"{path} is empty.")
    with path.open("rb") as stream:
        data = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise _too_large(path, "grows while it is read")
    findings: list[Finding] = []
    for _ in range(3):  # a packed file inside a packed one, and no deeper
        if data.startswith(b"\x1f\x8b"):
            if path.suffix.lower() != ".gz":
                findings.append(Finding("note", "packed", "The file is packed with gzip; it is read unpacked."))
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
                data = _unpacked(path, packed, len(data))
        elif data.startswith(b"PK\x03\x04") and not _is_workbook(path, data):
            data, kind = _out_of_zip(path, data, kind, findings=findings)
        else:
            break
    if not data:
        raise UserError(f"{path} is empty.")
    real = real_kind(path, data, kind)
    if unknown and real not in ("parquet", "xlsx"):  # those say themselves what they are
        raise UserError(f"{path}: the suffix '{shown(path.suffix)}' is not known; files end in {SAY_SUFFIXES}.")
    if kind is not None and real != kind:
        message = f"The file is {SAY_KINDS[real]}, whatever its name says; it is read as that."
        findings.append(Finding("note", "another kind", message))
    return Content(real, data, tuple(findings))


def real_kind(path: Path, data: bytes, kind: str | None) -> str:
    """What the first bytes say; of text, what the name says.

    Raises:
        UserError: Where they are those of no table.
    """
    if data.startswith(b"PK\x03\x04"):
        return "xlsx"
    if data.startswith(b"PAR1"):
        return "parquet"
    for first, reason in OTHER_KINDS:
        if re.match(first, data[:200]):
            raise UserError(f"{path} is {reason}.")
    if kind in ("parquet", "xlsx"):
        raise UserError(
            f"{path} is not {SAY_KINDS[kind]}. If it is text, give it the suffix of its kind, such as .csv."
        )
    return kind or ("jsonl" if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[") else "csv")


def streamed_kind(path: Path) -> str | None:
    """What a file is, if it is large and can be read in parts; else None.

    Packed files, JSON of one piece and workbooks cannot be.

    Raises:
        UserError: Where there is no such file.
    """
    if existing(path, most=None).stat().st_size < STREAMED_BYTES:
        return None
    with path.open("rb") as stream:
        first = stream.read(FIRST_BYTES)
    if first.startswith((b"\x1f\x8b", b"PK\x03\x04")):
        return None
    named = kind_of_name(path.name)
    try:
        kind = real_kind(path, first, named)
    except UserError:  # whoever reads it as a whole says so
        return None
    return kind if kind in STREAMED_KINDS and (named is not None or kind == "parquet") else None


def _unpacked(path: Path, packed: IO[bytes] | gzip.GzipFile, size: int) -> bytes:
    """All of a packed stream, up to the limits."""
    most = min(MOST_BYTES, max(FREE_BYTES, MOST_TIMES * size))
    data = packed.read(most + 1)
    if len(data) > most:
        raise _bomb(path, most)
    return data


def _bomb(path: Path, most: int) -> UserError:
    return UserError(
        f"{path} unpacks to more than {most / 2**20:,.0f} MiB; at most {MOST_BYTES // GIB} GiB and {MOST_TIMES} times "
        "the packed size are read. Unpack it yourself and look at it, or take some of its rows."
    )


# -------------------------------------------------------------------------------------------- zip


def _members(path: Path, data: bytes) -> list[zipfile.ZipInfo]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
    whole, most = sum(member.file_size for member in members), min(MOST_BYTES, max(FREE_BYTES, MOST_TIMES * len(data)))
    if whole > most:
        raise _bomb(path, most)
    return members


def _is_workbook(path: Path, data: bytes) -> bool:
    names = {member.filename for member in _members(path, data)}
    if any(name == "content.xml" or name.startswith("word/") or name.startswith("ppt/") for name in names):
        raise UserError(f"{path} is a document of an office program; save its table as .xlsx or .csv.")
    return any(name.startswith("xl/") for name in names)


def _out_of_zip(path: Path, data: bytes, kind: str | None, *, findings: list[Finding]) -> tuple[bytes, str | None]:
    """The only table of an archive, and its kind by name."""
    files = [
        member
        for member in _members(path, data)
        if not member.is_dir() and not member.filename.startswith("__MACOSX/") and not _hidden(member.filename)
    ]
    tables = [member for member in files if kind_of_name(member.filename) not in (None, "txt")]
    # Beside a table a .txt explains it; alone it is one.
    tables = tables or [member for member in files if kind_of_name(member.filename)] or files[: len(files) == 1]
    names = ", ".join(shown(member.filename) for member in (tables or files)[:5])
    if len(tables) != 1:
        holds = f"{len(tables)} tables ({names} …)" if tables else f"no table ({names or 'nothing'})"
        raise UserError(f"{path} is a zip archive that holds {holds}; one is expected. Unpack it and name the file.")
    if tables[0].flag_bits & 1:
        raise UserError(f"{path} is a zip archive with a password; unpack it first.")
    findings.append(Finding("note", "packed", f"The file is a zip archive; '{names}' in it is read."))
    with zipfile.ZipFile(io.BytesIO(data)) as archive, archive.open(tables[0]) as packed:
        return _unpacked(path, packed, len(data)), kind_of_name(tables[0].filename) or kind


def _hidden(name: str) -> bool:
    return name.rsplit("/", 1)[-1].startswith(".")
