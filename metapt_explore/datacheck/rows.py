"""What is odd about the rows of a file: blanks, copies, labels, signs of a wrong encoding."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from metapt_explore.config import Columns, TaskConfig
from metapt_explore.datacheck.finding import Finding, Level, have
from metapt_explore.datacheck.raw import RawTable
from metapt_explore.errors import UserError, nearest
from metapt_explore.texts.decontaminate import decontaminate_rows
from metapt_explore.texts.report import MANY_LABELS, SHORT_TEXT
from metapt_explore.texts.rows import TextInput, duplicate_key, written_out

#: UTF-8 that somebody has read as Latin-1 or Windows-1252, such as "Ã©" or "â€™".
TWICE_DECODED = re.compile(r"Ã[\x80-\xbf\u2018-\u203a\u20ac\u0152-\u017e]|â€[\x90-\xbf\u0152-\u2122]|Â[\xa0-\xbf]")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
MARKUP = re.compile(r"<(?:br|p|div|span|a|b|i)\b[^>]*>|&(?:amp|lt|gt|quot|nbsp|#\d+);", re.IGNORECASE)
#: A share of rows from which markup is worth a word.
SOME = 0.02
#: Words of a text that is probably several.
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
                raise UserError(f"{raw.path} has no column '{name}'. {nearest(name, table)} Say which with --{option}.")
        first = [plain(value) for value in table[columns.text]]
        if columns.text_pair is None:
            self.texts: list[TextInput] = list(first)
        else:
            self.texts = list(zip(first, (plain(value) for value in table[columns.text_pair]), strict=True))
        self.labels = [plain(value) for value in table[columns.label]] if columns.label else [""] * len(first)
        self.lines = raw.lines

    def at(self, which: Callable[[int], bool]) -> tuple[int, ...]:
        """Lines of the rows for whose place something holds."""
        return tuple(line for place, line in enumerate(self.lines) if which(place))

    def blank(self, place: int) -> bool:
        """Whether a row has no text, or half a pair."""
        text = self.texts[place]
        return not all(part.strip() for part in ([text] if isinstance(text, str) else text))


def plain(value: Any) -> str:
    """A cell as text: blank where it is missing, whole numbers without a point."""
    if value is None or (isinstance(value, float) and value != value):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def check_rows(rows: Rows, task: TaskConfig | None = None) -> list[Finding]:
    """Everything that is odd about the rows of one file.

    Args:
        rows: The rows.
        task: A task whose data it is: then its classes are what the labels must be.
    """
    found = [*_texts(rows), *_copies(rows)]
    if rows.columns.label is not None:
        found += _labels(rows, task)
    return found


def _texts(rows: Rows) -> list[Finding]:
    written = written_out(rows.texts)
    found: list[Finding] = []

    def tell(level: Level, kind: str, where: tuple[int, ...], said: str, mend: str = "") -> None:
        if where:
            found.append(Finding(level, kind, said, mend, where))

    blank = rows.at(rows.blank)
    of = "one of its two texts" if rows.columns.text_pair else "text"
    tell("warning", "blank", blank, f"{have(len(blank))} no {of}; studies leave such rows out and count them.",
         "Nothing need be done; more of them than expected may mean another text column (--text).")  # fmt: skip
    control = rows.at(lambda place: CONTROL.search(written[place]) is not None)
    tell("warning", "control characters", control, f"{have(len(control))} control characters in the text.",
         "Take them out where the file was made; a model reads them as text.")  # fmt: skip
    lost = rows.at(lambda place: "\ufffd" in written[place])
    tell("warning", "lost characters", lost, f"{have(len(lost))} the character '\ufffd': letters were lost before.",
         "Export the file anew from where its text is whole.")  # fmt: skip
    twice = rows.at(lambda place: TWICE_DECODED.search(written[place]) is not None)
    tell("warning", "encoding", twice, f"{have(len(twice))} letters such as 'Ã©': UTF-8 that was read as Latin-1 once.",
         "Export the file anew, as UTF-8 throughout.")  # fmt: skip
    markup = rows.at(lambda place: MARKUP.search(written[place]) is not None)
    if len(markup) > SOME * len(written):
        tell("warning", "markup", markup, f"{have(len(markup))} HTML in the text.",
             "Clusters form around markup, too: take it out, or mean it.")  # fmt: skip
    filled = [place for place in range(len(written)) if not rows.blank(place)]
    words = {place: len(written[place].split()) for place in filled}
    short = rows.at(lambda place: words.get(place, SHORT_TEXT) < SHORT_TEXT)
    tell("note", "short", short, f"{have(len(short))} fewer than {SHORT_TEXT} words; pre-training leaves them out.")
    long = rows.at(lambda place: words.get(place, 0) > VERY_LONG)
    tell("warning", "long", long, f"{have(len(long))} more than {VERY_LONG:,} words: several texts in one?",
         "Models read the beginning only (`model.max_text_tokens`).")  # fmt: skip
    return found


def _copies(rows: Rows) -> list[Finding]:
    places = defaultdict(list)
    for place, text in enumerate(rows.texts):
        if not rows.blank(place):
            places[duplicate_key(text)].append(place)
    copies, conflicts = [], []
    for same in places.values():
        if len({rows.labels[place].strip() for place in same} - {""}) > 1:
            conflicts += same
        else:
            copies += same[1:]
    found = []
    if copies:
        said = f"{have(len(copies))} the text of an earlier one (but for case and punctuation)."
        mend = "Nothing need be done: a task's copies are left out; --fix writes the first of each."
        found.append(Finding("warning", "duplicate", said, mend, _sorted(rows, copies)))
    if conflicts:
        said = f"{have(len(conflicts))} a text that stands elsewhere with another label."
        mend = "Decide for one label; a study's tasks leave all of them out, and so does --fix."
        found.append(Finding("warning", "conflicting labels", said, mend, _sorted(rows, conflicts)))
    return found


def _sorted(rows: Rows, places: Sequence[int]) -> tuple[int, ...]:
    return tuple(rows.lines[place] for place in sorted(places))


def _labels(rows: Rows, task: TaskConfig | None) -> list[Finding]:
    found: list[Finding] = []
    unlabelled = rows.at(lambda place: not rows.labels[place].strip())
    if unlabelled:
        said = f"{have(len(unlabelled))} no label; auxiliary tasks and downstream tasks leave them out."
        mend = "Nothing need be done; `labelling` in a study can find labels for pre-training texts."
        found.append(Finding("warning", "unlabelled", said, mend, unlabelled))
    padded = rows.at(lambda place: rows.labels[place].strip() not in ("", rows.labels[place]))
    if padded:
        said = f"{have(len(padded))} a space before or behind the label, which makes it another label."
        found.append(Finding("error", "label spaces", said, "Take it out; --fix does.", padded))
    names = {label.strip() for label in rows.labels} - {""}
    found += _spellings(rows, names)
    if task is not None:
        values = {label.value for label in task.labels.values()}
        for name in sorted(names - values):
            where = rows.at(lambda place, name=name: rows.labels[place].strip() == name)  # type: ignore[misc]
            said = f"{have(len(where))} the label '{name}', which the task '{task.name}' does not know."
            mend = f"{nearest(name, values)} Add the class to the task file, or mend the rows."
            found.append(Finding("error", "unknown label", said, mend, where))
        missing = [name for name, label in task.labels.items() if label.value not in names]
        if missing:
            said = f"No row has the class {', '.join(repr(name) for name in missing)} of the task '{task.name}'."
            found.append(Finding("error", "class without rows", said, "Give rows of it, or take it out of the task."))
    elif len(names) > MANY_LABELS:
        said = f"There are {len(names):,} different labels in '{rows.columns.label}'; that is hardly a class column."
        found.append(Finding("warning", "many labels", said, "Name the column of the classes with --label."))
    elif len(names) == 1:
        said = f"There is only one label, '{next(iter(names))}'; a task needs two."
        found.append(Finding("warning", "one label", said, "Name another column with --label, or give rows of others."))
    return found


def _spellings(rows: Rows, names: set[str]) -> list[Finding]:
    """Labels that differ in case only."""
    alike = defaultdict(set)
    for name in sorted(names):
        alike[name.casefold()].add(name)
    found = []
    for same in alike.values():
        if len(same) > 1:
            counts = {name: sum(label.strip() == name for label in rows.labels) for name in sorted(same)}
            rare = min(counts, key=lambda name: counts[name])
            where = rows.at(lambda place, rare=rare: rows.labels[place].strip() == rare)  # type: ignore[misc]
            said = "Labels differ in case only: " + ", ".join(f"'{n}' ({c:,} rows)" for n, c in counts.items()) + "."
            found.append(Finding("error", "label case", said, "Write one of them everywhere.", where))
    return found


# --------------------------------------------------------------------------------- several files


def check_parts(parts: Mapping[str, Rows]) -> list[Finding]:
    """What files that belong together (train, dev, test) have in common, and labels that one has and another has not.

    Args:
        parts: Rows by the part's name, the first being what is learned from.
    """
    found: list[Finding] = []
    names = list(parts)
    keys = {
        name: {duplicate_key(text): line for text, line in zip(rows.texts, rows.lines, strict=True)}
        for name, rows in parts.items()
    }
    for place, name in enumerate(names):
        for other in names[place + 1 :]:
            shared = [key for key in keys[other] if key in keys[name] and key]
            if shared:
                where = tuple(sorted(keys[other][key] for key in shared))
                said = f"{have(len(shared), 'text')} a place in both {name} and {other} (lines are those of {other})."
                mend = f"Take them out of {other}: a score on rows that were learned from says nothing."
                found.append(Finding("error", "overlap", said, mend, where))
    labels = {name: {label.strip() for label in rows.labels} - {""} for name, rows in parts.items()}
    first = names[0]
    for other in names[1:]:
        for one, two, level in ((other, first, "error"), (first, other, "warning")):
            for label in sorted(labels[one] - labels[two]):
                where = parts[one].at(lambda i, one=one, label=label: parts[one].labels[i].strip() == label)  # type: ignore[misc]
                said = f"The label '{label}' occurs in {one} ({len(where):,} rows) and not in {two}."
                mend = f"Give {two} rows of it, or take the class out of both."
                found.append(Finding(level, "unseen label", said, mend, where))  # type: ignore[arg-type]
    return found


def check_overlap(rows: Rows, others: Rows) -> list[Finding]:
    """Rows that equal or nearly equal a text of another file, such as the pre-training texts.

    Args:
        rows: The rows.
        others: Texts that were, or will be, learned from.
    """
    verdicts = decontaminate_rows(others.texts, written_out(rows.texts), NEAR)
    pairs = [(int(match), reason) for match, reason in zip(verdicts.match, verdicts.reason, strict=True) if reason]
    if not pairs:
        return []
    equal = sum(reason == "equal" for _, reason in pairs)
    where = tuple(sorted({rows.lines[match] for match, _ in pairs}))
    said = (
        f"{have(len(pairs), 'text')} a likeness here in {others.raw.path.name}: {equal:,} equal, "
        f"{len(pairs) - equal:,} nearly equal. Studies drop them from pre-training before anything is learned."
    )
    return [Finding("note", "overlap with pre-training", said, "", where)]
