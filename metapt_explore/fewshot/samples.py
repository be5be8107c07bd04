"""Few-shot samples of a task: what data seeds share, and rows chosen the same way every time; imports nothing heavy.

Data seeds count as independent draws only as far as their samples differ. A file of exactly K rows a class gives every
data seed the same rows in another order: one sample, however many seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, TypedDict

import pandas as pd

from metapt_explore.errors import UserError
from metapt_explore.texts.rows import as_inputs, duplicate_key

#: Mean share of training rows from which on a sentence says that samples overlap.
REPORTED_OVERLAP = 0.05
#: Share of dev rows that are training rows, above which a sentence says so.
REPORTED_DEV_IN_TRAIN = 0.5


class SampleFacts(TypedDict):
    """What the samples of a task's data seeds share.

    Attributes:
        data_seeds: The data seeds.
        train_rows: Training rows of one data seed.
        train: [data seed, other data seed, share of the training rows that both have] for each two that share one.
        dev: Likewise for dev rows.
        dev_in_train: [data seed, share of its dev texts that are training texts of it], where that is not 0.
        test_classes: Test rows of each class.
    """

    data_seeds: list[int]
    train_rows: int
    train: list[list[float]]
    dev: list[list[float]]
    dev_in_train: list[list[float]]
    test_classes: dict[str, int]


def sample_facts(rows: pd.DataFrame) -> SampleFacts:
    """Counts what the samples of data seeds share.

    Texts are equal when they are equal after normalising, as for duplicates (`texts/rows.py`).

    Args:
        rows: ``rows`` of a `split` artifact: columns split, data_seed, text, label and, for pairs, text_pair.

    Example:
        >>> rows = [("train", 1, "a", "x"), ("train", 1, "b", "y"), ("train", 2, "B", "y"), ("train", 2, "c", "x")]
        >>> facts = sample_facts(pd.DataFrame(rows, columns=["split", "data_seed", "text", "label"]))
        >>> facts["train"], facts["train_rows"]
        ([[1, 2, 0.5]], 2)
    """
    keys = [duplicate_key(text) for text in as_inputs(rows)]
    frame = pd.DataFrame({"split": rows["split"].to_numpy(), "seed": rows["data_seed"].to_numpy(), "key": keys})
    seeds = sorted(int(seed) for seed in frame["seed"].dropna().unique())
    parts: dict[str, dict[int, set[str]]] = {"train": {}, "dev": {}}
    for part, texts in parts.items():
        part_rows = frame[frame["split"] == part]
        texts.update({int(seed): set(of_seed["key"]) for seed, of_seed in part_rows.groupby("seed")})
    train = frame[frame["split"] == "train"]
    inside: list[list[float]] = [[seed, _share_in(parts["dev"].get(seed), parts["train"].get(seed))] for seed in seeds]
    return {
        "data_seeds": seeds,
        "train_rows": int(train.groupby("seed").size().max()) if len(train) else 0,
        "train": _shared(parts["train"]),
        "dev": _shared(parts["dev"]),
        "dev_in_train": [[seed, share] for seed, share in inside if share],
        "test_classes": {
            str(label): int(count) for label, count in rows.loc[rows["split"] == "test", "label"].value_counts().items()
        },
    }


def _shared(texts: Mapping[int, set[str]]) -> list[list[float]]:
    """For each two data seeds that share a text: the share of their texts that both have."""
    shared: list[list[float]] = []
    for first, second in combinations(sorted(texts), 2):
        common = len(texts[first] & texts[second])
        if common:
            shared.append([first, second, 2 * common / (len(texts[first]) + len(texts[second]))])
    return shared


def _share_in(dev: set[str] | None, train: set[str] | None) -> float:
    return len(dev & train) / len(dev) if dev and train else 0.0


def sample_sentences(task: str, facts: Mapping[str, Any] | None) -> list[str]:
    """Sentences on what the samples of a task share.

    Args:
        task: Its name.
        facts: What `sample_facts` returned, or some of it; None where it is not known.

    Example:
        >>> facts = {"data_seeds": [1, 2], "train_rows": 80, "train": [[1, 2, 1.0]], "dev": [], "dev_in_train": []}
        >>> sample_sentences("mood", facts)
        ["Task 'mood': all 2 data seeds have the same 80 training rows: they are one few-shot sample, not 2."]
    """
    if not facts:
        return []
    seeds, where = list(facts["data_seeds"]), f"Task '{task}'"
    sentences = []
    groups = same_samples(facts["train"])
    if len(groups) == 1 and len(groups[0]) == len(seeds):
        sentences.append(
            f"{where}: all {len(seeds)} data seeds have the same {facts['train_rows']} training rows: they are one "
            f"few-shot sample, not {len(seeds)}."
        )
    else:
        for group in groups:
            seeds_listed = listed([str(seed) for seed in group])
            sentences.append(
                f"{where}: data seeds {seeds_listed} have the same training rows: they count as one few-shot sample."
            )
        share = mean_share(facts["train"], [seed for seed in seeds if not any(seed in group[1:] for group in groups)])
        if share >= REPORTED_OVERLAP:
            sentences.append(
                f"{where}: the training rows of two data seeds are the same to {100 * share:.0f} % on average; they "
                "are not independent samples."
            )
    if same_samples(facts["dev"]) and len(same_samples(facts["dev"])[0]) == len(seeds):
        sentences.append(f"{where}: all {len(seeds)} data seeds choose learning rate and step on the same dev rows.")
    overlapping = {int(seed): float(share) for seed, share in facts["dev_in_train"] if share > REPORTED_DEV_IN_TRAIN}
    if overlapping:
        which = (
            "all data seeds"
            if len(overlapping) == len(seeds)
            else f"data seed {listed([str(seed) for seed in overlapping])}"
        )
        what = "the dev rows are the training rows"
        if min(overlapping.values()) < 1:
            what = f"{100 * min(overlapping.values()):.0f} % or more of the dev rows are training rows"
        sentences.append(f"{where}: {what} ({which}): rate and step are chosen on what was trained on.")
    return sentences


def same_samples(shared: Sequence[Sequence[float]]) -> list[list[int]]:
    """Groups of data seeds whose samples are the same.

    Example:
        >>> same_samples([[1, 2, 1.0], [2, 3, 1.0], [4, 5, 0.5]])
        [[1, 2, 3]]
    """
    groups: list[set[int]] = []
    for first, second, share in shared:
        if share < 1:
            continue
        touched = [group for group in groups if first in group or second in group]
        merged = {int(first), int(second)}.union(*touched)
        groups = [group for group in groups if group not in touched] + [merged]
    return sorted(sorted(group) for group in groups)


def mean_share(shared: Sequence[Sequence[float]], seeds: Sequence[int]) -> float:
    """Mean over all pairs of these data seeds of the share of rows that both have; 0 for fewer than two.

    Example:
        >>> mean_share([[1, 2, 0.5], [1, 4, 0.9]], [1, 2, 3])
        0.16666666666666666
    """
    among = set(seeds)
    pairs = len(among) * (len(among) - 1) / 2
    return sum(share for a, b, share in shared if a in among and b in among) / pairs if pairs else 0.0


def listed(words: Sequence[str]) -> str:
    """Words joined to a list.

    Example:
        >>> listed(["1", "2", "3"])
        '1, 2 and 3'
    """
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def balanced_part(labels: Sequence[int], size: int) -> list[int]:
    """The first rows of each class in turn, so many in all, in ascending order.

    Example:
        >>> balanced_part([0, 0, 0, 1, 1, 0], 4)
        [0, 1, 3, 4]
    """
    turns: dict[int, int] = {}
    ranked = []
    for row, label in enumerate(labels):
        turns[label] = turns.get(label, 0) + 1
        ranked.append((turns[label], label, row))
    return sorted(row for _, _, row in sorted(ranked)[:size])


def other_seeds_rows(rows: pd.DataFrame, data_seeds: Sequence[int], limit: int | None) -> pd.DataFrame:
    """Dev rows of the data seeds that are not in use, each once, without any row that is in use as well.

    Their train rows are not used: pre-training texts may equal them.

    Args:
        rows: ``rows`` of a `split` artifact.
        data_seeds: Those in use.
        limit: At most so many, label-balanced.

    Raises:
        UserError: Where there are none.
    """
    few_shot, columns = rows[rows["split"] != "test"], [c for c in ("text", "text_pair") if c in rows]
    used = few_shot["data_seed"].isin(data_seeds)
    used_texts = set(few_shot.loc[used, columns].itertuples(index=False, name=None))
    others = few_shot[~used & (few_shot["split"] == "dev")].drop_duplicates(columns)
    others = others[[row not in used_texts for row in others[columns].itertuples(index=False, name=None)]]
    if others.empty:
        raise UserError(
            "evaluation.scored_on: the other data seeds have no dev row that this one does not have as well; the task "
            "has too few rows for `other_seeds`."
        )
    codes, _ = pd.factorize(others["label"], sort=True)
    return others.iloc[balanced_part(codes.tolist(), limit or len(codes))]
