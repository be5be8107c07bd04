"""One pass of a batch as the device takes it, and its losses: nothing here is read back by the host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from metapt_explore.models.backbone import Backbone, Prepared
from metapt_explore.verbalizers.on_device import send
from metapt_explore.verbalizers.pattern import PatternVerbalizer

#: Logit of a word of another task in the same pass: its probability is exactly 0 in fp32.
NO_CHANCE = -1e4


@dataclass(frozen=True)
class Batch:
    """Rows of a bank, each with its class and the group whose prompt it is read under.

    Attributes:
        rows: Row indices into the bank.
        groups: Group of each row.
        labels: Class index of each row.
        patterns: Which pattern each row is read by; empty: the first.
    """

    rows: Sequence[int]
    groups: Sequence[int]
    labels: Sequence[int]
    patterns: Sequence[int] = ()


@dataclass(frozen=True)
class PassRows:
    """The rows of one pass.

    Attributes:
        texts: Their texts, prepared.
        pattern: How all of them are read.
        numbers: `[3 or 5, rows]`, whole numbers: group, label, rows of the group in the whole batch; where rows of
            several patterns share the pass, the first column of the row's own words and the one behind the last.
    """

    texts: Prepared
    pattern: PatternVerbalizer
    numbers: Tensor


def pass_rows(
    texts: Prepared, batch: Batch, part: Sequence[int], patterns: Sequence[PatternVerbalizer], device: torch.device
) -> PassRows:
    """Gathers what a pass needs to know of its rows, and sends it as one tensor.

    Args:
        texts: The texts of these rows.
        batch: The whole batch.
        part: Positions in the batch.
        patterns: All patterns, as the batch numbers them.
        device: Of the model.
    """
    sizes = Counter(batch.groups)
    groups = [batch.groups[position] for position in part]
    labels = [batch.labels[position] for position in part]
    columns = [groups, labels, [sizes[group] for group in groups]]
    numbers = [batch.patterns[position] for position in part] if batch.patterns else [0]
    several = sorted(set(numbers))
    pattern = patterns[several[0]]
    if len(several) > 1:
        pattern, first = joined([patterns[number] for number in several])
        bounds = [*first, pattern.verbalizer.classes]
        own = [several.index(number) for number in numbers]
        columns[1] = [label + first[number] for label, number in zip(labels, own, strict=True)]
        columns += [[bounds[number] for number in own], [bounds[number + 1] for number in own]]
    return PassRows(texts, pattern, send(torch.tensor(columns, dtype=torch.long), device))


def tensors_of(rows: PassRows) -> list[Tensor]:
    """All that differs between passes of one shape and pattern."""
    texts = [value for value in vars(rows.texts).values() if isinstance(value, Tensor)]
    return [rows.numbers, *texts]


def with_tensors(rows: PassRows, tensors: Sequence[Tensor]) -> PassRows:
    """The same rows over other tensors, in the order of `tensors_of`."""
    texts: Any = rows.texts
    names = [name for name, value in vars(texts).items() if isinstance(value, Tensor)]
    numbers, *others = tensors
    return replace(rows, numbers=numbers, texts=replace(texts, **dict(zip(names, others, strict=True))))


def pass_losses(backbone: Backbone, prompts: Tensor, rows: PassRows, *, second_derivative: bool = False) -> Tensor:
    """One pass's share of the groups' mean losses, `[groups]`.

    Args:
        backbone: The model.
        prompts: fp32, `[groups, prompt_tokens, width]`.
        rows: The rows of the pass.
        second_derivative: Whether the result will be differentiated twice.
    """
    groups, labels, sizes, *bounds = rows.numbers.unbind(0)
    verbalizer = rows.pattern.verbalizer
    scores = backbone.class_scores(
        prompts, groups, rows.texts, pattern=rows.pattern, second_derivative=second_derivative
    )
    if bounds:
        columns = torch.arange(verbalizer.classes, device=scores.device)
        others = (columns < bounds[0][:, None]) | (columns >= bounds[1][:, None])
        scores = scores.masked_fill(others, NO_CHANCE)
    row_losses = F.cross_entropy(verbalizer.for_loss(scores), labels, reduction="none")
    return torch.zeros(len(prompts), device=scores.device).index_add(0, groups, row_losses / sizes)


def joined(patterns: Sequence[PatternVerbalizer]) -> tuple[PatternVerbalizer, list[int]]:
    """One pattern that reads the words of several at once, and where the classes of each begin."""
    first, classes = [], 0
    for pattern in patterns:
        first.append(classes)
        classes += pattern.verbalizer.classes
    words = tuple(words for pattern in patterns for words in pattern.verbalizer.words)
    names = tuple(name for pattern in patterns for name in pattern.classes)
    verbalizer = replace(patterns[0].verbalizer, words=words)
    return replace(patterns[0], verbalizer=verbalizer, classes=names), first
