"""A task file for own rows: guessed where possible, else asked for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metapt_explore.config import Columns, TaskConfig, parse
from metapt_explore.datacheck.check import Checked, check_file
from metapt_explore.datacheck.few_shot_files import common_seeds, first_file, is_pattern
from metapt_explore.datacheck.labels import missing_labels
from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.fewshot.split_rows import SEED_MARK
from metapt_explore.texts.guess import can_be_said, guess_labels, guess_template
from metapt_explore.texts.messages import format_rows, have, nearest_column, shown
from metapt_explore.texts.report import MANY_LABELS
from metapt_explore.texts.rows import written_out

EXAMPLE_LETTERS = 80

#: Asks a question with a proposed answer; returns the answer.
Ask = Callable[[str, str], str]
#: Prints a remark.
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """What the user has said about the task.

    Attributes:
        file: The rows; with `test`, those that are learned from. ``{seed}`` in its name stands for the data seed: each
            has a file of its own.
        test: The test rows, where they are in a file of their own.
        dev: The dev rows, likewise (with `test` only; asked for where `file` is a pattern).
        columns: Columns that are known; ``text: ""`` where that one is not.
        name: The task's name; the file's where empty.
        title: What it is, in some words.
        template: How a text is read; made of the label column's name where empty.
        words: Label word by value of the label column.
        keep_missing: Whether labels such as "nan" are classes as others are.
    """

    file: Path
    test: Path | None = None
    dev: Path | None = None
    columns: Columns = field(default_factory=lambda: Columns(text=""))
    name: str = ""
    title: str = ""
    template: str = ""
    words: Mapping[str, str] = field(default_factory=dict)
    keep_missing: bool = False


def new_task(wanted: Wanted, out: Path, *, ask: Ask | None = None, tell: Tell | None = None) -> dict[str, Any]:
    r"""Makes a task of a file of rows; nothing is written.

    Args:
        wanted: What is known.
        out: Where the task file will lie: the data's path is written as seen from there.
        ask: Asks what cannot be guessed; None where there is nobody to ask.
        tell: Says what is left out.

    Returns:
        What the task file holds, as plain values; it is valid.

    Raises:
        UserError: Where something cannot be guessed and nobody can be asked (it names the option), or the file cannot
            be read.

    Example:
        >>> new_task(Wanted(Path("reviews.csv")), Path("reviews.yaml"))["template"]  # doctest: +SKIP
        '{text}\nSentiment:'
    """
    if wanted.dev is not None and wanted.test is None:
        raise UserError("--dev goes with --test: without test rows of their own all are drawn from one file.")
    if is_pattern(wanted.file) and (wanted.test is None or wanted.dev is None):
        raise UserError(f"{wanted.file} is a file for each data seed: say which the others are with --dev and --test.")
    if wanted.test is not None and is_pattern(wanted.test):
        raise UserError(f"{wanted.test}: all data seeds have the same test rows; name one file without {SEED_MARK}.")
    common_seeds((wanted.file, wanted.dev))
    checked = _checked(first_file(wanted.file), wanted.columns)
    columns = checked.rows.columns.model_copy(update={"group": None})
    if columns.label is None:
        columns = columns.model_copy(update={"label": _label_column(checked, ask)})
        checked = _checked(first_file(wanted.file), columns)
    for part in filter(None, (wanted.test, wanted.dev)):
        other = _checked(first_file(part), columns)
        if unknown := sorted(set(other.labels) - set(checked.labels) - missing_labels(other.rows)):
            label = shown(unknown[0])
            raise UserError(f"{part} has the label '{label}', of which {wanted.file} has no row to learn from.")
    labels = _labels(checked, wanted.words, _no_classes(checked, wanted, ask=ask, tell=tell), ask=ask)
    sentiment = set(labels) == {"negative", "positive"}
    template = wanted.template or guess_template(columns, labels)
    tree: dict[str, Any] = {
        "name": task_name(wanted),
        "title": wanted.title
        or f"{_called(wanted.file)}: {', '.join(list(labels)[:4])}{' …' if len(labels) > 4 else ''}",
        "sentiment": sentiment,
        "template": template,
        "labels": labels,
    }
    plain = columns.model_dump(exclude_none=True)
    source = {"file": _seen_from(wanted.file, out.parent), "columns": plain}
    if wanted.test is None:
        tree["data"] = source
    else:
        dev = source if wanted.dev is None else {**source, "file": _seen_from(wanted.dev, out.parent)}
        tree["splits"] = {"train": source, "dev": dev, "test": {**source, "file": _seen_from(wanted.test, out.parent)}}
    parse(TaskConfig, tree, str(out))
    return tree


def task_name(wanted: Wanted) -> str:
    """The task's name: what the user says, else the file's; that of its folder where the file is one a data seed.

    Example:
        >>> task_name(Wanted(Path("few-shot/sst-2/{seed}/train.jsonl"))), task_name(Wanted(Path("my reviews.csv")))
        ('sst-2', 'my-reviews')
    """
    return wanted.name or re.sub(r"[^A-Za-z0-9_.-]+", "-", Path(_called(wanted.file)).stem).strip("-.") or "task"


def task_folder(wanted: Wanted) -> Path:
    """Where the task file lies unless the user says so: beside the rows, above what is one a data seed."""
    return next(folder for folder in wanted.file.parents if not is_pattern(folder))


def _called(file: Path) -> str:
    """A file's name without ``{seed}``; its folder's where the seed is a folder."""
    if not is_pattern(file):
        return file.name
    if is_pattern(file.parent):
        return next((part for part in reversed(file.parent.parts) if SEED_MARK not in part), file.name)
    return re.sub(rf"[-_.]?{re.escape(SEED_MARK)}", "", file.name)


def _checked(file: Path, columns: Columns) -> Checked:
    checked = check_file(file, columns)
    if bad := [finding for finding in checked.findings if finding.level == "error"]:
        where = f", {format_rows(bad[0].rows, checked.rows.raw.noun)}" if bad[0].rows else ""
        raise UserError(f"{file}{where}: {bad[0].message} `metapt data check {file}` says all that is wrong.")
    return checked


def _label_column(checked: Checked, ask: Ask | None) -> str:
    text = checked.rows.columns
    others = [name for name in checked.rows.raw.columns if name not in (text.text, text.text_pair)]
    if not others:
        raise UserError(f"{checked.rows.raw.path} has no column besides the text; a task needs one with the labels.")
    if ask is None:
        raise UserError(
            f"Which column of {checked.rows.raw.path} holds the label? Say --label. {nearest_column('', others)}"
        )
    answer = ask(f"Which column holds the label? ({', '.join(others)})", others[0]).strip()
    if answer not in others:
        raise UserError(f"There is no column '{answer}'. {did_you_mean(answer, others)}")
    return answer


def _no_classes(checked: Checked, wanted: Wanted, *, ask: Ask | None, tell: Tell | None) -> set[str]:
    """Labels such as "nan" that are not wanted as classes; their rows are left out."""
    no_classes = set()
    for label in sorted(missing_labels(checked.rows) - set(wanted.words)):
        rows = checked.labels[label]
        message = f"{have(rows)} the label '{label}', which usually means that there is none"
        if wanted.keep_missing:
            continue
        if ask is not None and ask(f"{message}. Make a class of it? (yes or no)", "no").strip().lower() in ("y", "yes"):
            continue
        no_classes.add(label)
        if tell is not None:
            tell(
                f"{message}: no class is made of it, and a task leaves such rows out. --keep-missing makes it a class."
            )
    return no_classes


def _labels(checked: Checked, words: Mapping[str, str], without: set[str], *, ask: Ask | None) -> dict[str, Any]:
    """Class name to value and word, as a task file writes it."""
    path = checked.rows.raw.path
    counts = {label: count for label, count in checked.labels.items() if label not in without}
    if len(counts) < 2:
        besides = f" besides {', '.join(sorted(without))} (--keep-missing makes a class of it)" if without else ""
        column = checked.rows.columns.label
        raise UserError(f"{path}: a task needs two labels; column '{column}' has {len(counts)}{besides}.")
    if len(counts) > MANY_LABELS and "label" in checked.guessed:
        raise UserError(
            f"{path}: column '{checked.rows.columns.label}' has {len(counts)} different values; name the column of "
            "the classes with --label."
        )
    for value in words:
        if value not in counts:
            raise UserError(f"--word {value}=…: no row has the label '{value}'. {did_you_mean(value, counts)}")
    labelled = [label for label in checked.rows.labels if label.strip() not in without]
    guessed = guess_labels(labelled, checked.rows.columns, keep_missing=True)
    by_value = {entry["value"].strip(): (name.strip(), entry["word"]) for name, entry in guessed.items()}
    word_counts = Counter(word for _, word in by_value.values())
    labels: dict[str, Any] = {}
    for value in counts:
        name, word = by_value[value]
        if value in words:
            word = words[value]
        elif not can_be_said(word) or word_counts[word] > 1:
            # A number is no word to say, and two classes cannot share one.
            word = _word(checked, value, ask)
        if not can_be_said(name):
            name = word
        if name in labels:
            raise UserError(f"Two labels would be called '{name}': give each another word with --word VALUE=WORD.")
        labels[name] = word if name == value else {"value": value, "word": word}
    return labels


def _word(checked: Checked, value: str, ask: Ask | None) -> str:
    if ask is None:
        raise UserError(
            f"{checked.rows.raw.path}: which word stands for the label '{value}'? Say --word '{value}=WORD', a word "
            "that the model would write behind such a text."
        )
    rows = checked.rows
    row = next((i for i in rows.by_label[value] if not rows.blank(i)), rows.by_label[value][0])
    text = " ".join(written_out([rows.texts[row]])[0].split())[:EXAMPLE_LETTERS]
    answer = ask(f"Which word stands for the label '{value}'? It is the label of: {text}", "").strip()
    if not answer:
        raise UserError(f"The label '{value}' has no word for the model to say.")
    return answer


def _seen_from(file: Path, folder: Path) -> str:
    """A path as a YAML file in that folder writes it: relative where the file lies below it."""
    whole, below = file.resolve(), folder.resolve()
    return whole.relative_to(below).as_posix() if whole.is_relative_to(below) else str(whole)
