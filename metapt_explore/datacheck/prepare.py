"""What `metapt data check` and `--fix` know, for an upload: how a file was read, and what was mended of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from metapt_explore.config import Columns
from metapt_explore.datacheck.labels import check_labels
from metapt_explore.datacheck.repair import NotRepaired, repaired
from metapt_explore.datacheck.rows import Rows, check_texts, check_values
from metapt_explore.errors import UserError
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.uploads import keep_mended
from metapt_explore.texts.delimited import MOST_BAD_ROWS
from metapt_explore.texts.encodings import say_encoding
from metapt_explore.texts.messages import Finding, format_rows, worst
from metapt_explore.texts.table_files import RawTable

#: Findings of rows that could not be read at all.
UNREADABLE = ("fields", "quotation marks", "JSON")
#: What is left out by its name in the counts of `repaired`: one, and several.
LEFT_OUT = {
    "blank": ("blank row", "blank rows"),
    "duplicate": ("copy", "copies"),
    "missing": ("row whose text is a word such as 'nan'", "rows whose text is a word such as 'nan'"),
    "conflicting": ("row of a text with several labels", "rows of texts with several labels"),
    "nested": ("row with a list or an object as its text", "rows with a list or an object as their text"),
}
SEPARATED = {",": "comma-separated", ";": "semicolon-separated", "\t": "tab-separated", "|": "separated by bars"}
KINDS = {
    "txt": "one text a line", "json": "JSON", "jsonl": "JSON lines", "parquet": "a Parquet file",
    "xlsx": "an Excel workbook",
}  # fmt: skip
#: Warnings that are worth a line on a page: the rest stands in the data report or is mended.
WORTH_SAYING = (
    "encoding",
    "lost characters",
    "control characters",
    "markup",
    "long",
    "long rows",
    "sheets",
    "missing words",
)


@dataclass(frozen=True)
class Prepared:
    """A file that a study can read.

    Attributes:
        file: The file as it was, or its mended copy among the workspace's uploads.
        mended: Whether it is such a copy.
        reading: What was read and mended, in a sentence.
        notices: What else is odd about it, a sentence each.
        rows: Which row of the file each row of `file` was, from 0.
    """

    file: Path
    mended: bool
    reading: str
    notices: tuple[str, ...]
    rows: Sequence[int]


def prepare(workspace: Workspace, raw: RawTable, columns: Columns) -> Prepared:
    """Mends a file where a study would stop at it, or misread its labels; any other is used as it is.

    The copy holds what `metapt data check --fix` writes, and is called after the file and the content of both.

    Args:
        workspace: Where uploads are kept.
        raw: The file as far as it could be read.
        columns: What its columns hold.

    Raises:
        UserError: Where most rows cannot be read, or what is wrong cannot be mended; says what to do.

    Example:
        >>> prepared = prepare(workspace, read_raw(Path("menus.csv")), Columns(text="dish"))  # doctest: +SKIP
        >>> prepared.reading  # doctest: +SKIP
        'Read as semicolon-separated, Latin-1; 1 blank row and 1 copy left out.'
    """
    _refuse_fragments(raw)
    rows = Rows(raw, columns)
    labels = check_labels(rows, None) if columns.label else []
    findings = (*raw.findings, *check_values(rows), *check_texts(rows), *labels)
    counts: Counter[str] = Counter()
    file, mended = raw.path, worst(findings) == "error"
    kept: Sequence[int] = range(len(raw.rows))
    if mended:
        content, suffix, counts, kept = _repaired(rows)
        file = keep_mended(workspace, raw.path, suffix, content)
    notes = [finding for finding in raw.findings if finding.level == "note" and finding.kind != "byte order mark"]
    notices = [finding.message for finding in notes]
    notices += [finding.message for finding in findings if finding.level == "warning" and finding.kind in WORTH_SAYING]
    return Prepared(file, mended, format_reading(raw, findings, counts), tuple(notices), kept)


def _refuse_fragments(raw: RawTable) -> None:
    """A file of which most is lost would make a study on something else than its owner thinks."""
    for finding in (finding for finding in raw.findings if finding.kind in UNREADABLE):
        lost = len(finding.rows)
        if lost > len(raw.rows) or (lost >= MOST_BAD_ROWS and finding.kind == "quotation marks"):
            where = format_rows(finding.rows, raw.noun)
            raise UserError(
                f"Most of {raw.path.name} cannot be read as a table. {finding.message} ({where}) {finding.advice}"
            )


def _repaired(rows: Rows) -> tuple[bytes, str, Counter[str], tuple[int, ...]]:
    """The repaired rows in the kind that suits them, else in the other one."""
    suffixes = (".jsonl", ".csv") if rows.raw.kind in ("json", "jsonl", "parquet") else (".csv", ".jsonl")
    name, problem = rows.raw.path.name, ""
    for suffix in suffixes:
        try:
            content, counts, kept = repaired(rows, suffix)
        except NotRepaired as error:
            if error.left_out is not None:
                raise UserError(
                    f"No row of {name} has a text in the column '{rows.columns.text}': "
                    f"{_left_out(error.left_out)}. Choose another column, or repair the file and upload it."
                ) from None
            problem = problem or str(error)
        else:
            return content, suffix, counts, kept
    raise UserError(f"{name} cannot be mended here. {problem} Repair that in the file, and upload it.")


# ---------------------------------------------------------------------------------------- in words


def format_reading(raw: RawTable, findings: Sequence[Finding], counts: Mapping[str, int]) -> str:
    """What was read and mended, in one sentence.

    Args:
        raw: The file.
        findings: What was wrong with it.
        counts: What was left out and changed, as `repaired` counts it.
    """
    parts = [f"Read as {_kind(raw)}"]
    by_kind = {finding.kind: finding for finding in findings if finding.level == "error"}
    if "first lines" in by_kind:
        parts.append(f"{_count(len(by_kind['first lines'].rows), 'title line')} skipped")
    if "half characters" in by_kind:
        parts.append("half characters, of emoji that were cut, replaced")
    if "header" in by_kind:
        parts.append("a repeated column name got a number")
    if changed := counts.get("labels changed", 0):
        parts.append(f"{_count(changed, 'label')} written like the others")
    if blanked := counts.get("labels blanked", 0):
        parts.append(f"{_count(blanked, 'label')} such as 'nan' read as none")
    if left := _left_out(counts):
        parts.append(f"{left} left out")
    if lost := sorted({row for finding in raw.findings if finding.kind in UNREADABLE for row in finding.rows}):
        parts.append(f"{_count(len(lost), 'row')} not readable ({format_rows(lost, raw.noun)})")
    return "; ".join(parts) + "."


def _kind(raw: RawTable) -> str:
    if raw.kind in ("parquet", "xlsx"):
        return KINDS[raw.kind]
    encoding = say_encoding(raw.encoding)
    if raw.kind in KINDS:
        return f"{KINDS[raw.kind]}, {encoding}"
    if len(raw.columns) == 1:
        return f"one column, {encoding}"
    return f"{SEPARATED.get(raw.separator, f'separated by {raw.separator!r}')}, {encoding}"


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' if count != 1 else ''}"


def _left_out(counts: Mapping[str, int]) -> str:
    parts = [f"{count:,} {LEFT_OUT[kind][count != 1]}" for kind in LEFT_OUT if (count := counts.get(kind, 0))]
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
