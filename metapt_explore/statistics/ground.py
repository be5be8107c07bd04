"""Facts behind a verdict: how independent few-shot samples are, and what guessing scores.

Facts of the tasks' splits (`fewshot/samples.py`), as `compare` needs them. Unknown facts (records of older
splits) change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from metapt_explore.fewshot.samples import mean_share, same_samples
from metapt_explore.statistics.designs import EQUAL

#: A score within so many standard errors of guessing is not above it (one-sided, 5 %).
BEYOND_CHANCE = 1.645
#: Scores that a guess has, and that move by whole test rows.
ACCURACIES = ("accuracy", "calibrated_accuracy", "start_accuracy", "start_calibrated_accuracy")


@dataclass(frozen=True)
class TaskGround:
    """Facts about one task.

    Attributes:
        chance: What naming the most frequent class scores; None where it is not known.
        test_rows: Rows that scores are shares of; None where it is not known.
        data_seeds: Data seeds whose samples were looked at.
        shared: Data seed, other data seed and the share of training rows that both have, where they share any; None
            where it is not known.
    """

    chance: float | None = None
    test_rows: int | None = None
    data_seeds: tuple[int, ...] = ()
    shared: tuple[tuple[int, int, float], ...] | None = None

    @property
    def highest_guess(self) -> float | None:
        """The highest score that guessing may well have on so many rows; None where it is not known."""
        if self.chance is None or not self.test_rows:
            return None
        return self.chance + BEYOND_CHANCE * self.error

    @property
    def error(self) -> float:
        """Standard error of what guessing scores, from the number of rows alone."""
        assert self.chance is not None and self.test_rows
        return math.sqrt(self.chance * (1 - self.chance) / self.test_rows)


Grounds = Mapping[str, TaskGround]


def ground_of(samples: Mapping[str, Any] | None, *, on_test: bool = True) -> TaskGround:
    """Reads the facts of a task.

    Args:
        samples: What `sample_facts` returned; None where it is not known.
        on_test: Whether scores are those of the test rows; of other rows the chance level is not known.

    Example:
        >>> found = ground_of({"data_seeds": [1], "train": [], "test_classes": {"good": 60, "bad": 40}})
        >>> found.chance, found.test_rows, round(found.highest_guess, 3)
        (0.6, 100, 0.681)
    """
    if not samples:
        return TaskGround()
    counts = samples.get("test_classes") or {}
    rows = sum(counts.values()) if on_test else 0
    return TaskGround(
        chance=max(counts.values()) / rows if rows else None,
        test_rows=rows or None,
        data_seeds=tuple(samples["data_seeds"]),
        shared=tuple((int(a), int(b), float(share)) for a, b, share in samples["train"]),
    )


def one_seed_each(grounds: Grounds, tasks: Sequence[str]) -> dict[int, int]:
    """Which data seed stands for each that has the same training rows on all of the tasks; others are not named.

    Example:
        >>> twice = TaskGround(data_seeds=(1, 2, 3), shared=((1, 2, 1.0),))
        >>> one_seed_each({"a": twice}, ["a"]), one_seed_each({"a": twice, "b": TaskGround()}, ["a", "b"])
        ({2: 1}, {})
    """
    same: set[tuple[int, int]] | None = None
    for task in tasks:
        groups = same_samples(grounds.get(task, TaskGround()).shared or ())
        pairs = {(a, b) for group in groups for a in group for b in group if a < b}
        same = pairs if same is None else same & pairs
    merged_seeds: dict[int, int] = {}
    for first, other in sorted(same or ()):
        merged_seeds[other] = min(merged_seeds.get(other, first), first)
    return merged_seeds


def as_one_sample(scores: pd.DataFrame, merged_seeds: Mapping[int, int]) -> pd.DataFrame:
    """Scores of data seeds that have the same rows, averaged: they are draws of one sample.

    Args:
        scores: Rows are pairs (index levels init_seed, data_seed).
        merged_seeds: What `one_seed_each` returned.
    """
    if not any(seed in merged_seeds for seed in scores.index.get_level_values("data_seed")):
        return scores
    pairs = [(init, merged_seeds.get(data, data)) for init, data in scores.index]
    index = pd.MultiIndex.from_tuples(pairs, names=scores.index.names)
    return scores.set_axis(index).groupby(level=["init_seed", "data_seed"]).mean()


def shared_rows(grounds: Grounds, tasks: Sequence[str], seeds: Sequence[int]) -> float:
    """Share of training rows that the samples of two data seeds have in common: mean over their pairs and the tasks."""
    known = [grounds.get(task, TaskGround()).shared or () for task in tasks]
    return sum(mean_share(shared, seeds) for shared in known) / len(known) if known else 0.0


def resolution(grounds: Grounds, tasks: Sequence[str], metric: str) -> float:
    """What one test row makes of a mean over tasks; as good as nothing where rows are not known."""
    rows = [grounds.get(task, TaskGround()).test_rows for task in tasks]
    if metric not in ACCURACIES or not rows or not all(rows):
        return EQUAL
    return 1 / (min(count for count in rows if count) * len(rows))


@dataclass(frozen=True)
class Guess:
    """What guessing scores in the mean over some tasks: the level, and the highest that luck with the rows allows."""

    level: float
    highest: float


def guess_of(grounds: Grounds, tasks: Sequence[str], metric: str) -> Guess | None:
    """The chance level of a mean over tasks; None where it is not known of every one.

    The error is that of the test rows alone and is not divided by the number of seeds: all seeds share these rows, and
    guesses of one model may err on them alike.
    """
    if metric not in ACCURACIES or not tasks:
        return None
    known = [grounds.get(task, TaskGround()) for task in tasks]
    levels = [ground.chance for ground in known if ground.chance is not None and ground.test_rows]
    if len(levels) < len(known):
        return None
    level = sum(levels) / len(levels)
    error = math.sqrt(sum(ground.error**2 for ground in known)) / len(known)
    return Guess(level, level + BEYOND_CHANCE * error)


def chance_sentences(results: pd.DataFrame, grounds: Grounds) -> list[str]:
    """Which tasks no method learned anything of, as far as the test rows can tell.

    Args:
        results: The results table.
        grounds: Facts by task.

    Example:
        >>> scores = pd.DataFrame({"method": ["PT", "PPT"], "task": "mood", "accuracy": [0.52, 0.49]})
        >>> print(chance_sentences(scores, {"mood": TaskGround(0.5, 100)})[0])
        No method learned anything of 'mood': naming its most frequent class scores 50.0 %, and up to 58.2 % is luck \
with 100 test rows; the best method has 52.0 %.
    """
    sentences = []
    for task, rows in results.groupby("task", sort=False):
        ground = grounds.get(str(task), TaskGround())
        highest, means = ground.highest_guess, rows.groupby("method")["accuracy"].mean()
        if highest is not None and ground.chance is not None and len(means) and float(means.max()) <= highest:
            sentences.append(
                f"No method learned anything of '{task}': naming its most frequent class scores "
                f"{100 * ground.chance:.1f} %, and up to {100 * highest:.1f} % is luck with {ground.test_rows} test "
                f"rows; the best method has {100 * float(means.max()):.1f} %."
            )
    return sentences
