"""The downstream task of a new study on its own labels: rows for it are set aside before anything is learned.

The few-shot rows come out of the same file as the pre-training texts. Without setting them aside, decontamination would
drop every text that is a dev or test row: of a small file, nearly all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from metapt_explore.config import Columns, LabelsConfig
from metapt_explore.config.label_values import class_of_values
from metapt_explore.seeds import derived_seed, stream
from metapt_explore.texts.decontaminate import decontaminate_rows, is_telling
from metapt_explore.texts.messages import shown
from metapt_explore.texts.normalise import comparison_key, normalise
from metapt_explore.texts.rows import TextInput, cell_text, written_out

#: Share of a class's texts that is set aside; up to half where shots and test rows need it.
SHARE = 0.4
#: Test rows below which a score is too uncertain not to say so.
FEW_TEST_ROWS = 100
#: Shots that are proposed, most first.
PROPOSED_SHOTS = (16, 8, 4, 2, 1)
#: Overlap of word triples from which a text is a near copy (`texts.near_duplicate`).
NEAR = 0.7
#: Rows of a class that are compared at once while test rows are looked for.
CHECKED = 500

Table = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Sizes:
    """What the comparison will ask of the set-aside rows.

    Attributes:
        shots: Examples a class for train, and again for dev: the most that the study scores at.
        data_seeds: How many times train and dev are drawn.
        test_rows: Most test rows.
    """

    shots: int = 16
    data_seeds: int = 3
    test_rows: int = 400

    def of_class(self, texts: int, classes: int) -> tuple[int, int]:
        """How many texts of a class are for drawing train and dev, and how many for test.

        Args:
            texts: Different texts of the class.
            classes: Number of classes.

        Returns:
            ``(0, 0)`` where half of the class is too little for its shots.

        Example:
            >>> Sizes(shots=16).of_class(100, 3), Sizes(shots=16).of_class(65, 3)
            ((32, 16), (0, 0))
        """
        most = min(texts // 2, max(math.floor(SHARE * texts), 3 * self.shots))
        spare = most - 2 * self.shots
        if spare < 1:
            return 0, 0
        test_cap = max(1, self.test_rows // classes)
        # Test first, as many as the shots; of what is left a third lets the data seeds draw different rows.
        test = min(test_cap, max(min(spare, self.shots), spare - spare // 3))
        drawn = min(spare - test, 2 * self.shots * (self.data_seeds - 1))
        return 2 * self.shots + drawn, min(test_cap, spare - drawn)


@dataclass(frozen=True)
class OwnTask:
    """A task on own labels, and what is left for pre-training. `write_own_task` writes both.

    Attributes:
        name: The task's name.
        title: What it is, in some words.
        labels: Template and classes.
        columns: Which column is what.
        sizes: What was asked for.
        drawn_from: Rows (of the table) from which each data seed draws train and dev.
        test: Test rows.
        copies: Rows that equal or nearly equal a set-aside row; they are left out of pre-training.
        rest: All other rows.
        blank: Rows of `rest` that have no text.
        repeated: Rows of `rest` whose text came before.
        of_class: Different texts of each class that could be set aside.
        label_of: Class of each set-aside row.
    """

    name: str
    title: str
    labels: LabelsConfig
    columns: Columns
    sizes: Sizes
    drawn_from: tuple[int, ...]
    test: tuple[int, ...]
    copies: tuple[int, ...]
    rest: tuple[int, ...]
    blank: int
    repeated: int
    of_class: Mapping[str, int]
    label_of: Mapping[int, str]

    def renamed(self, *, name: str, title: str, labels: LabelsConfig) -> OwnTask:
        """The same rows for a task of another name, template or words."""
        return replace(self, name=name, title=title, labels=labels)

    @property
    def pretraining_texts(self) -> int:
        """Different texts that pre-training keeps."""
        return len(self.rest) - self.blank - self.repeated

    @property
    def most_shots(self) -> int:
        """The most examples a class that the smallest class allows; 0 where there is none."""
        return max(0, (min(self.of_class.values(), default=0) // 2 - 1) // 2)

    @property
    def proposed_shots(self) -> int:
        """The customary number of shots that leaves as many test rows a class; 0 where not even one does."""
        return propose_shots(self.of_class)

    @cached_property
    def problems(self) -> tuple[str, ...]:
        """Why no task can be made so, a sentence each; empty where one can."""
        small = {name: count for name, count in self.of_class.items() if count < 4 * self.sizes.shots + 2}
        if small:
            listed = ", ".join(f"'{shown(name)}' has {count}" for name, count in list(small.items())[:5])
            more = f" and {len(small) - 5} more classes have too few" if len(small) > 5 else ""
            advice = f"ask for at most {self.most_shots}, or take the class out" if self.most_shots else "take it out"
            return (
                f"With {self.sizes.shots} examples a class, a comparison needs {4 * self.sizes.shots + 2} different "
                f"texts of each class (half of them stay for pre-training), but {listed}{more}: {advice}.",
            )
        tested = {self.label_of[row] for row in self.test}
        if missing := [name for name in self.labels.labels if name not in tested]:
            return (
                f"Every text of '{shown(missing[0])}' that is left for test nearly equals one of train or dev: "
                "ask for fewer examples a class, or take the class out.",
            )
        return ()

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """What is set aside and what is left, a sentence each; to be read before anything starts."""
        if self.problems:
            return ()
        shots, aside = self.sizes.shots, len(self.drawn_from) + len(self.test)
        total = aside + len(self.copies) + len(self.rest) - self.blank
        said = [
            f"{total:,} texts: {aside:,} set aside for the comparison ({shots} a class for train and {shots} for dev, "
            f"drawn from {len(self.drawn_from):,}; {len(self.test):,} for test), {self.pretraining_texts:,} for "
            "pre-training."
        ]
        left_out = len(self.copies) + self.repeated
        if left_out:
            what = "copy or near copy" if left_out == 1 else "copies and near copies"
            if self.columns.text_pair:
                what = f"row{'s' * (left_out > 1)} with a text of a set-aside pair, or {what}"
            said.append(f"Left out of both: {left_out:,} {what}.")
        if len(self.test) < FEW_TEST_ROWS:
            points = round(196 * math.sqrt(0.25 / len(self.test)))
            said.append(
                f"A score on {len(self.test)} test rows is uncertain by up to ±{points} points: more labelled rows, or "
                "fewer examples a class, make it surer."
            )
        return tuple(said)


def propose_shots(of_class: Mapping[str, int]) -> int:
    """The customary number of examples a class for a file: test gets as many, and half of each class stays.

    Args:
        of_class: Different texts of each class.

    Example:
        >>> propose_shots({"praise": 100, "bug": 60}), propose_shots({"praise": 5, "bug": 60})
        (8, 0)
    """
    smallest = min(of_class.values(), default=0)
    return next((shots for shots in PROPOSED_SHOTS if smallest // 2 >= 3 * shots), 0)


def plan_own_task(
    table: Table, columns: Columns, labels: LabelsConfig, *, name: str, title: str = "", sizes: Sizes = Sizes()
) -> OwnTask:
    """Chooses which rows are set aside; writes nothing.

    Args:
        table: Column name to cells.
        columns: Which column is what; there is a label column.
        labels: Template and classes; rows of other labels stay for pre-training.
        name: The task's name.
        title: What it is.
        sizes: What the comparison will ask for.

    Returns:
        The plan; `OwnTask.problems` says what is in the way. Of each class, different texts are put in a fixed random
        order: the first are those from which each data seed draws train and dev; the next that equal or nearly equal
        none of these are for test. Rows that equal or nearly equal any set-aside row go neither way. Equal arguments
        give equal rows, whatever the name.

    Example:
        >>> table = {"text": [f"message {n} of {n % 2}" for n in range(60)], "label": [n % 2 for n in range(60)]}
        >>> labels = LabelsConfig(labels={"no": {"value": "0", "word": "no"}, "yes": {"value": "1", "word": "yes"}})
        >>> own = plan_own_task(table, Columns(label="label"), labels, name="mine", sizes=Sizes(shots=4))
        >>> len(own.drawn_from), len(own.test), own.pretraining_texts
        (16, 8, 36)
    """
    assert columns.label is not None
    texts = _texts(table, columns)
    values = [cell_text(cell) for cell in table[columns.label]]
    classes = class_of_values(labels.labels, set(values))
    keys = [[comparison_key(part) for part in ([text] if isinstance(text, str) else text)] for text in texts]
    candidates = _candidates(keys, [classes.get(value, "") for value in values])
    of_class: dict[str, list[int]] = {each: [] for each in labels.labels}
    for row, each in candidates.items():
        of_class[each].append(row)
    drawn_from: list[int] = []
    behind: dict[str, list[int]] = {}
    wanted: dict[str, int] = {}
    for each, rows in of_class.items():
        drawn, wanted[each] = sizes.of_class(len(rows), len(of_class))
        ordered = _in_order(rows, keys, labels.labels[each].value)
        drawn_from += ordered[:drawn]
        behind[each] = ordered[drawn:]
    held_out = _held_out(texts, drawn_from)
    test: list[int] = []
    for each, rows in behind.items():
        test += _unlike(texts, rows, held_out, wanted[each])
    near = ~decontaminate_rows(texts, [*held_out, *_held_out(texts, test)], NEAR).kept
    aside = {*drawn_from, *test}
    rest = [row for row in range(len(texts)) if row not in aside and not near[row]]
    filled = [tuple(sorted(keys[row])) for row in rest if all(keys[row])]
    return OwnTask(
        name=name,
        title=title,
        labels=labels,
        columns=columns,
        sizes=sizes,
        drawn_from=tuple(drawn_from),
        test=tuple(test),
        copies=tuple(row for row in range(len(texts)) if row not in aside and near[row]),
        rest=tuple(rest),
        blank=len(rest) - len(filled),
        repeated=len(filled) - len(set(filled)),
        of_class={each: len(rows) for each, rows in of_class.items()},
        label_of={row: candidates[row] for row in sorted(aside)},
    )


def _texts(table: Table, columns: Columns) -> list[TextInput]:
    first = [cell_text(cell) for cell in table[columns.text]]
    if columns.text_pair is None:
        return list(first)
    return list(zip(first, (cell_text(cell) for cell in table[columns.text_pair]), strict=True))


def _candidates(keys: Sequence[Sequence[str]], classes: Sequence[str]) -> dict[int, str]:
    """Row to class of the first of equal texts, without those on whose class the rows disagree.

    Args:
        keys: What equal texts have in common; of a pair one for each, blank for a blank one.
        classes: Class of each row; "" for none.
    """
    seen: dict[tuple[str, ...], set[str]] = {}
    # A pair in the other order is a copy, but may well have another class.
    for key, name in zip(map(tuple, keys), classes, strict=True):
        if name:
            seen.setdefault(key, set()).add(name)
    first: dict[tuple[str, ...], int] = {}
    for row, (key, name) in enumerate(zip(map(tuple, keys), classes, strict=True)):
        if name and all(key) and len(seen[key]) == 1:
            first.setdefault(tuple(sorted(key)), row)
    return {row: classes[row] for row in first.values()}


def _in_order(rows: Sequence[int], keys: Sequence[Sequence[str]], value: str) -> list[int]:
    """A class's rows in a fixed random order; pairs with one first text stay together, in one place.

    Whoever has the text of a set-aside pair goes neither way, so few texts must be touched.
    """
    if len(keys[rows[0]] if rows else ()) < 2:
        return [rows[place] for place in stream(0, "own task", value).permutation(len(rows))]
    firsts = {key[0]: derived_seed(0, "own task", key[0]) for key in (keys[row] for row in rows)}
    return sorted(rows, key=lambda row: (firsts[keys[row][0]], row))


def _held_out(texts: Sequence[TextInput], rows: Sequence[int]) -> list[str]:
    """What texts are compared with so that they repeat none of some rows; of pairs as studies do it.

    A text of a pair that is long enough to be known again gives half of the row away.
    """
    parts = [part for row in rows if not isinstance(texts[row], str) for part in texts[row]]
    return [*written_out([texts[row] for row in rows]), *(part for part in parts if is_telling(normalise(part)))]


def _unlike(texts: Sequence[TextInput], rows: Sequence[int], held_out: list[str], wanted: int) -> list[int]:
    """The first so many rows that equal or nearly equal nothing held out."""
    chosen: list[int] = []
    for start in range(0, len(rows), CHECKED):
        if len(chosen) >= wanted:
            break
        some = list(rows[start : start + CHECKED])
        kept = decontaminate_rows([texts[row] for row in some], held_out, NEAR).kept
        chosen += [row for row, is_kept in zip(some, kept, strict=True) if is_kept]
    return chosen[:wanted]
