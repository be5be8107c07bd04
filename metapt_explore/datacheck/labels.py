"""Problems of a file's labels, and the labels that --fix writes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection

from metapt_explore.config import TaskConfig
from metapt_explore.config.label_values import class_of_values, unmatched
from metapt_explore.datacheck.rows import Rows
from metapt_explore.errors import did_you_mean
from metapt_explore.texts.messages import Finding, have, shown
from metapt_explore.texts.report import MANY_LABELS
from metapt_explore.texts.rows import missing_among

#: More labels are not compared with one another.
MOST_SPELLINGS = 1000
WHOLE_NUMBER = re.compile(r"([+-]?\d+)\.0+")


def check_labels(rows: Rows, task: TaskConfig | None) -> list[Finding]:
    """Problems of the labels of one file.

    Args:
        rows: The rows; their label column is known.
        task: A task whose data it is: then its classes are what the labels must be.
    """
    findings: list[Finding] = []
    unlabelled = rows.at(lambda place: not rows.labels[place].strip())
    if unlabelled:
        message = f"{have(len(unlabelled))} no label; auxiliary tasks and downstream tasks leave them out."
        advice = "Nothing need be done; `labelling` in a study can find labels for pre-training texts."
        findings.append(Finding("warning", "unlabelled", message, advice, unlabelled))
    padded = rows.at(lambda place: rows.labels[place].strip() not in ("", rows.labels[place]))
    if padded:
        message = f"{have(len(padded))} a space before or behind the label, which makes it another label."
        findings.append(Finding("error", "label spaces", message, "Take it out; --fix does.", padded))
    values = _values(task)
    missing = missing_labels(rows, task)
    for word in sorted(missing):
        where = rows.with_label(word)
        message = f"{have(len(where))} the label '{word}', which usually means that there is none."
        advice = "--fix leaves it out, `metapt task new` makes no class of it; with --keep-missing both take it as one."
        findings.append(Finding("warning", "missing words", message, advice, where))
    names = set(rows.by_label) - {""} - missing
    if len(names) <= MOST_SPELLINGS:
        findings += _spellings(rows, names)
    if task is not None:
        findings += _of_task(rows, names, values, task=task)
    elif len(names) > MANY_LABELS:
        message = f"There are {len(names):,} different labels in '{rows.columns.label}'; that is hardly a class column."
        findings.append(Finding("warning", "many labels", message, "Name the column of the classes with --label."))
    elif len(names) == 1:
        message = f"There is only one label, '{shown(next(iter(names)))}'; a task needs two."
        findings.append(
            Finding("warning", "one label", message, "Name another column with --label, or give rows of others.")
        )
    return findings


def missing_labels(rows: Rows, task: TaskConfig | None = None) -> set[str]:
    """Labels such as "nan" that probably mean that there is none, unless the task has a class of that value."""
    return missing_among(set(rows.by_label) - {""}) - _values(task)


def _values(task: TaskConfig | None) -> set[str]:
    return set() if task is None else {label.value for label in task.labels.values()}


def _of_task(rows: Rows, names: set[str], values: set[str], *, task: TaskConfig) -> list[Finding]:
    findings = []
    unknown = sorted(names - class_of_values(task.labels, names).keys())
    if unknown:
        where = tuple(sorted(line for name in unknown for line in rows.with_label(name)))
        listed = ", ".join(f"'{shown(name)}'" for name in unknown[:5]) + (" …" if len(unknown) > 5 else "")
        message = f"{have(len(where))} a label that the task '{task.name}' does not know: {listed}."
        advice = f"{did_you_mean(unknown[0], values)} Add the class to the task file, or correct the rows."
        findings.append(Finding("error", "unknown label", message, advice, where))
    absent = unmatched(task.labels, set(rows.by_label))
    if absent:
        listed = ", ".join(f"'{name}' (value '{value}')" for name, value in absent.items())
        message = f"No row has the class {listed} of the task '{task.name}'."
        advice = "Correct its value, give rows of it, or take it out of the task."
        findings.append(Finding("error", "class without rows", message, advice))
    return findings


def _spellings(rows: Rows, names: set[str]) -> list[Finding]:
    """Labels that differ only in case or number format."""
    findings = []
    for same in _alike(names):
        counts = {name: len(rows.by_label[name]) for name in sorted(same)}
        where = rows.with_label(min(counts, key=lambda name: counts[name]))
        number = any(WHOLE_NUMBER.fullmatch(name) for name in same)
        what = "Labels are one number, written in several ways: " if number else "Labels differ in case only: "
        message = what + ", ".join(f"'{shown(name)}' ({count:,} rows)" for name, count in counts.items()) + "."
        kind = "label number" if number else "label case"
        findings.append(
            Finding("error", kind, message, "Write one of them everywhere; --fix writes the commonest.", where)
        )
    return findings


def _alike(names: Collection[str]) -> list[set[str]]:
    """Sets of names that differ only in case or number format."""
    alike = defaultdict(set)
    for name in sorted(names):
        number = WHOLE_NUMBER.fullmatch(name)
        alike[number.group(1) if number else name.casefold()].add(name)
    return [same for same in alike.values() if len(same) > 1]


def repaired_labels(rows: Rows, task: TaskConfig | None = None, *, keep_missing: bool = False) -> list[str]:
    """The label of each row as --fix writes it: "" where there is none.

    Args:
        rows: The rows.
        task: A task whose data it is; its spelling of a label is the right one.
        keep_missing: Whether "nan" and its like are labels as others are.
    """
    values, names = _values(task), set(rows.by_label) - {""}
    missing = set() if keep_missing else missing_labels(rows, task)
    written = dict.fromkeys(missing, "")
    for same in _alike((names | values) - missing):
        # Whole numbers without a point, as studies write what a column of numbers holds.
        best = min(same, key=lambda name: (name not in values, -len(rows.by_label.get(name, ())), len(name), name))
        written.update(dict.fromkeys(same - values, best))
    return [written.get(label.strip(), label.strip()) for label in rows.labels]
