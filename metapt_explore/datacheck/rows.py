"""What is odd about the rows of a file: blanks, copies, labels, signs of a wrong encoding."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from metapt_explore.config import Columns
from metapt_explore.errors import UserError
from metapt_explore.texts.decontaminate import decontaminate_rows, is_telling
from metapt_explore.texts.header import SURROGATE
from metapt_explore.texts.messages import Finding, Level, have, nearest_column, shown
from metapt_explore.texts.normalise import comparison_key, normalise
from metapt_explore.texts.report import SHORT_TEXT
from metapt_explore.texts.rows import TextInput, cell_text, reads_as_missing, written_out
from metapt_explore.texts.table_files import RawTable
from metapt_explore.texts.words import count_words

#: UTF-8 that somebody has read as Latin-1 or Windows-1252, such as "Ã©" or "â€™". Not where a quotation mark or a space
#: follows "Ã", which ends words in Portuguese capitals.
TWICE_DECODED = re.compile(
    r"Ã[\x80-\x9f\xa1-\xbf\u20ac\u0152-\u017e\u0192\u02c6\u2020\u2021\u2030]"
    r"|â(?:€[\x90-\xbf\u0152-\u2122]|\x80[\x80-\xbf])|ð[\x9f\u0178]|(?:[ÐÑ][\x80-\xbf\u0152-\u2122]){2}"
)
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
MARKUP = re.compile(r"<(?:br|p|div|span|a|b|i)\b[^>]*>|&(?:amp|lt|gt|quot|nbsp|#\d+);", re.IGNORECASE)
#: Types that a text, label or group cell must not have.
NESTED = (list, dict, tuple, bytes)
#: Share of rows from which markup is reported.
SOME = 0.02
#: A longer text (in words) is probably several.
VERY_LONG = 2000
#: Overlap of word triples from which a text counts as nearly equal, as in decontamination.
NEAR = 0.7


class Rows:
    """The rows of a file under their roles.

    Args:
        raw: The file.
        columns: Which column is what.

    Raises:
        UserError: Where the file has no such column.
    """

    def __init__(self, raw: RawTable, columns: Columns) -> None:
        self.raw, self.columns = raw, columns
        table = raw.table
        for role in ("text", "text_pair", "label", "group"):
            name = getattr(columns, role)
            if name is not None and name not in table:
                option = role.replace("_", "-")
                near = nearest_column(name, table)
                raise UserError(f"{raw.path} has no column '{name}'. {near} Say which with --{option}.")
        first = [cell_text(value) for value in table[columns.text]]
        if columns.text_pair is None:
            self.texts: list[TextInput] = list(first)
        else:
            self.texts = list(zip(first, (cell_text(value) for value in table[columns.text_pair]), strict=True))
        self.labels = [cell_text(value) for value in table[columns.label]] if columns.label else [""] * len(first)
        self.lines = raw.lines
        self.by_label: dict[str, list[int]] = defaultdict(list)
        for row, label in enumerate(self.labels):
            self.by_label[label.strip()].append(row)

    def with_label(self, label: str) -> tuple[int, ...]:
        """Lines of the rows of a label."""
        return tuple(self.lines[row] for row in self.by_label.get(label, ()))

    def at(self, holds: Callable[[int], bool]) -> tuple[int, ...]:
        """Lines of the rows (by index) for which something holds."""
        return tuple(line for row, line in enumerate(self.lines) if holds(row))

    @cached_property
    def part_keys(self) -> list[tuple[str, ...]]:
        """Of each row what decides whether its text, or each of its two, equals another: the slow part of a check."""
        return [tuple(map(comparison_key, [text] if isinstance(text, str) else text)) for text in self.texts]

    def key(self, row: int) -> str:
        """As `texts.rows.duplicate_key`: equal for duplicate rows, whatever the order of a pair."""
        return "\n".join(sorted(self.part_keys[row]))

    def blank(self, row: int) -> bool:
        """Whether a row has no text, or half a pair."""
        text = self.texts[row]
        return not all(part.strip() for part in ([text] if isinstance(text, str) else text))

    def says_nothing(self, row: int) -> bool:
        """Whether the text of a row, or of half a pair, is a word such as "nan"."""
        text = self.texts[row]
        return any(reads_as_missing(part) for part in ([text] if isinstance(text, str) else text))


def check_rows(rows: Rows) -> list[Finding]:
    """Problems of the rows of one file, except of their labels."""
    return [*check_values(rows), *check_texts(rows), *_copies(rows)]


def check_values(rows: Rows) -> list[Finding]:
    """Cells that are not text (only in JSON and Parquet): all that is an error in rows, apart from labels."""
    table, findings = rows.raw.table, []
    for name in filter(None, rows.columns.model_dump().values()):
        nested = rows.at(lambda place, cells=table[name]: isinstance(cells[place], NESTED))  # type: ignore[misc]
        if nested:
            message = (
                f"{have(len(nested))} a list, an object or bytes in '{name}', where a text or a number is expected."
            )
            advice = "Write what is meant as a text of its own; --fix leaves such rows out."
            findings.append(Finding("error", "nested", message, advice, nested))
        half = rows.at(lambda place, cells=table[name]: _half(cells[place]))  # type: ignore[misc]
        if half:
            message = f"{have(len(half))} half a character in '{name}' (an emoji that was cut)."
            findings.append(
                Finding("error", "half characters", message, "Cut texts elsewhere; --fix replaces it.", half)
            )
    return findings


def _half(cell: Any) -> bool:
    return isinstance(cell, str) and SURROGATE.search(cell) is not None


def check_texts(rows: Rows) -> list[Finding]:
    """What is odd about single texts."""
    written = written_out(rows.texts)
    findings: list[Finding] = []

    def add(level: Level, kind: str, where: tuple[int, ...], message: str, advice: str = "") -> None:
        if where:
            findings.append(Finding(level, kind, message, advice, where))

    blank = rows.at(rows.blank)
    missing_text = "one of its two texts" if rows.columns.text_pair else "text"
    add("warning", "blank", blank, f"{have(len(blank))} no {missing_text}; studies leave such rows out and count them.",
         "Nothing need be done; more of them than expected may mean another text column (--text).")  # fmt: skip
    empty = rows.at(rows.says_nothing)
    add("warning", "missing words", empty, f"{have(len(empty))} a word such as 'nan' or '-' for a text, which usually "
         "means that there is none.",
         "Studies read it as a text; --fix leaves such rows out (--keep-missing keeps them).")  # fmt: skip
    control = rows.at(lambda row: CONTROL.search(written[row]) is not None)
    add("warning", "control characters", control, f"{have(len(control))} control characters in the text.",
         "Take them out where the file was made; a model reads them as text.")  # fmt: skip
    lost = rows.at(lambda row: "\ufffd" in written[row])
    add("warning", "lost characters", lost, f"{have(len(lost))} the character '\ufffd': letters were lost before.",
         "Export the file anew from where its text is whole.")  # fmt: skip
    twice = rows.at(lambda row: TWICE_DECODED.search(written[row]) is not None)
    add("warning", "encoding", twice, f"{have(len(twice))} letters such as 'Ã©': UTF-8 that was read as Latin-1 once.",
         "Export the file anew, as UTF-8 throughout.")  # fmt: skip
    markup = rows.at(lambda row: MARKUP.search(written[row]) is not None)
    if len(markup) > SOME * len(written):
        add("warning", "markup", markup, f"{have(len(markup))} HTML in the text.",
             "Clusters form around markup, too: take it out, or mean it.")  # fmt: skip
    filled = [row for row in range(len(written)) if not rows.blank(row)]
    words = {row: count_words(written[row]) for row in filled}
    short = rows.at(lambda row: words.get(row, SHORT_TEXT) < SHORT_TEXT)
    add("note", "short", short, f"{have(len(short))} fewer than {SHORT_TEXT} words; pre-training leaves them out.")
    long = rows.at(lambda row: words.get(row, 0) > VERY_LONG)
    add("warning", "long", long, f"{have(len(long))} more than {VERY_LONG:,} words: several texts in one?",
         "Models read the beginning only (`model.max_text_tokens`).")  # fmt: skip
    return findings


def _copies(rows: Rows) -> list[Finding]:
    in_conflict = conflicting(rows, rows.labels)
    conflicts, copies, seen = [], [], set()
    for row in range(len(rows.texts)):
        if row in in_conflict:
            conflicts.append(row)
        elif not rows.blank(row):
            if (key := rows.key(row)) in seen:
                copies.append(row)
            seen.add(key)
    findings = []
    if copies:
        message = f"{have(len(copies))} the text of an earlier one (but for case and punctuation)."
        advice = "Nothing need be done: a task's copies are left out; --fix writes the first of each."
        findings.append(Finding("warning", "duplicate", message, advice, _sorted(rows, copies)))
    if conflicts:
        message = f"{have(len(conflicts))} a text that stands elsewhere with another label."
        advice = "Decide for one label; a study's tasks leave all of them out, and so does --fix."
        findings.append(Finding("warning", "conflicting labels", message, advice, _sorted(rows, conflicts)))
    return findings


def conflicting(rows: Rows, labels: Sequence[str]) -> set[int]:
    """Indices of rows whose text occurs elsewhere with another of the given labels.

    Pairs in opposite order never conflict: entailment depends on the order.
    """
    rows_by_key = defaultdict(list)
    for row, parts in enumerate(rows.part_keys):
        if not rows.blank(row):
            rows_by_key["\n".join(parts)].append(row)
    label_sets = ({labels[row].strip() for row in same} - {""} for same in rows_by_key.values())
    return {row for same, names in zip(rows_by_key.values(), label_sets, strict=True) if len(names) > 1 for row in same}


def _sorted(rows: Rows, indices: Sequence[int]) -> tuple[int, ...]:
    return tuple(rows.lines[row] for row in sorted(indices))


# --------------------------------------------------------------------------------- several files


def check_parts(parts: Mapping[str, Rows]) -> list[Finding]:
    """Texts shared by files that belong together (train, dev, test), and labels that only some of them have.

    Args:
        parts: Rows by the part's name, the training part first.
    """
    findings: list[Finding] = []
    names = list(parts)
    keys = {
        name: {rows.key(i): rows.lines[i] for i in range(len(rows.texts)) if not rows.blank(i)}
        for name, rows in parts.items()
    }
    for index, name in enumerate(names):
        for other in names[index + 1 :]:
            shared = [key for key in keys[other] if key in keys[name]]
            if shared:
                where = tuple(sorted(keys[other][key] for key in shared))
                message = (
                    f"{have(len(shared), 'text')} a place in both {name} and {other} (lines are those of {other})."
                )
                advice = f"Take them out of {other}: a score on rows that were learned from says nothing."
                findings.append(Finding("error", "overlap", message, advice, where))
    for other in names[1:]:
        for one, two, level in ((other, names[0], "error"), (names[0], other, "warning")):
            missing = sorted(set(parts[one].by_label) - set(parts[two].by_label) - {""})
            if missing:
                lines = _sorted(parts[one], [index for label in missing for index in parts[one].by_label[label]])
                listed = ", ".join(f"'{shown(label)}'" for label in missing[:5]) + (" …" if len(missing) > 5 else "")
                message = f"{have(len(lines))} a label in {one} that {two} has not: {listed}."
                advice = f"Give {two} rows of it, or take the class out of both."
                findings.append(Finding(level, "unseen label", message, advice, lines))  # type: ignore[arg-type]
    return findings


def check_overlap(rows: Rows, others: Rows) -> list[Finding]:
    """Rows that equal or nearly equal a text of another file, such as the pre-training texts.

    Args:
        rows: The rows.
        others: Texts that were, or will be, learned from.
    """
    written = written_out(rows.texts)
    held_out, lines = list(written), list(rows.lines)
    if rows.columns.text_pair is not None:
        # As studies do: a text that is long enough to be known again gives half of the row away.
        for text, line in zip(rows.texts, rows.lines, strict=True):
            telling = [part for part in text if is_telling(normalise(part))]
            held_out += telling
            lines += [line] * len(telling)
    verdicts = decontaminate_rows(others.texts, held_out, NEAR)
    pairs = [(int(match), reason) for match, reason in zip(verdicts.match, verdicts.reason, strict=True) if reason]
    if not pairs:
        return []
    equal = sum(reason == "equal" for _, reason in pairs)
    where = tuple(sorted({lines[match] for match, _ in pairs}))
    message = (
        f"{have(len(pairs), 'text')} of {others.raw.path.name} a likeness here: {equal:,} equal, "
        f"{len(pairs) - equal:,} nearly equal. Where they are dev or test rows of a study's task, the study drops such "
        "texts from pre-training before anything is learned."
    )
    return [Finding("note", "overlap with pre-training", message, "", where)]
