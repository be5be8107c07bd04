"""Gradients of several tasks at one prompt, a group for each half of each draw."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from metapt_explore.diagnostics.agreement import Kind, TaskGradients
from metapt_explore.models.gradients import Batch, PromptObjective

#: Rows and their class indices.
Half = tuple[list[int], list[int]]
#: Rows of one gradient: two halves, or one part where they cannot be halved.
Draw = list[Half]


def balanced_draws(
    classes: Mapping[str, Sequence[int]], rows: int, *, draws: int, rng: np.random.Generator
) -> tuple[list[Draw], int]:
    """Draws label-balanced sets of rows, each in two halves that share no row.

    Draws share no row either until a class has too few left; then it is shuffled anew, so that a small task is halved
    in many ways.

    Args:
        classes: Rows of each class, in the order of the label words.
        rows: Rows of a draw; fewer where a class has not enough.
        draws: How many.
        rng: The stream.

    Returns:
        The draws, and how many of them share no row with another: with fewer than `draws` the spread over draws is
        smaller than that of new rows. Where a class has a single row a draw is one part.

    Example:
        >>> classes = {"bad": [0, 1, 2, 3], "good": [4, 5, 6, 7]}
        >>> drawn, apart = balanced_draws(classes, 4, draws=2, rng=np.random.default_rng(0))
        >>> sorted(row for draw in drawn for half, _ in draw for row in half), apart
        ([0, 1, 2, 3, 4, 5, 6, 7], 2)
    """
    smallest = min(len(members) for members in classes.values())
    halves = 2 if smallest >= 2 else 1
    each = max(1, min(rows // (halves * len(classes)), smallest // halves))
    pools: list[list[int]] = [[] for _ in classes]
    drawn: list[Draw] = []
    for _ in range(draws):
        draw: Draw = [([], []) for _ in range(halves)]
        for index, members in enumerate(classes.values()):
            if len(pools[index]) < halves * each:
                pools[index] = [int(members[position]) for position in rng.permutation(len(members))]
            for half_rows, labels in draw:
                half_rows.extend(pools[index][:each])
                labels.extend([index] * each)
                del pools[index][:each]
        drawn.append(draw)
    return drawn, min(draws, smallest // (halves * each))


def halved(labels: Sequence[int], first: int = 0) -> Draw:
    """Halves rows so that every class is in both halves as often as it can be.

    Args:
        labels: Class index of each row.
        first: Number of the first row.

    Returns:
        Two halves; one part with all rows where a class has a single one.

    Example:
        >>> halved([0, 0, 1, 1])
        [([0, 3], [0, 1]), ([1, 2], [0, 1])]
    """
    by_class: dict[int, list[int]] = {}
    for row, label in enumerate(labels):
        by_class.setdefault(label, []).append(row)
    if min(len(rows) for rows in by_class.values()) < 2:
        return [([first + row for row in range(len(labels))], list(labels))]
    draw: Draw = [([], []), ([], [])]
    for turn, (label, rows) in enumerate(sorted(by_class.items())):
        for position, row in enumerate(rows):
            # Classes take turns with the larger half.
            part = draw[(position + turn) % 2]
            part[0].append(first + row)
            part[1].append(label)
    return draw


def gradients_of(
    objective: PromptObjective,
    prompt: Tensor,
    *,
    tasks: Mapping[str, Sequence[Draw]],
    kind: Kind,
    apart: Collection[str] = (),
    patterns: Mapping[str, int] | None = None,
    on_draw: Callable[[], None] = lambda: None,
) -> list[TaskGradients]:
    """Gradients of the mean class loss of every task on every draw.

    All tasks' halves of one draw go through the model together, each a group with the same prompt.

    Args:
        objective: The backbone over the rows that draws point into, with the templates and words of the tasks.
        prompt: fp32, ``[prompt_tokens, width]``.
        tasks: Draws of each task by its name; all have the same number.
        kind: Auxiliary or downstream.
        apart: Tasks of which no two draws share a row.
        patterns: Which pattern of the objective each task is read by; all by the first when absent.
        on_draw: Called after each draw; may raise to stop.
    """
    parts: dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {name: [] for name in tasks}
    for draw in range(max(len(draws) for draws in tasks.values())):
        owners = [(name, half) for name, draws in tasks.items() for half in draws[draw]]
        batch = Batch(
            [row for _, (rows, _) in owners for row in rows],
            [group for group, (_, (rows, _)) in enumerate(owners) for _ in rows],
            [label for _, (_, labels) in owners for label in labels],
            [] if patterns is None else [patterns[name] for name, (rows, _) in owners for _ in rows],
        )
        objective.prepare(batch)
        stacked = prompt.detach()[None].expand(len(owners), -1, -1).contiguous()
        losses, gradients = objective.losses_and_gradients(stacked, batch)
        values = gradients.flatten(1).double().cpu().numpy()
        for name, draws in tasks.items():
            own_groups = [group for group, (owner, _) in enumerate(owners) if owner == name]
            sizes = np.array([len(rows) for rows, _ in draws[draw]], dtype=float)
            share = sizes / sizes.sum()
            loss = losses[torch.tensor(own_groups, device=losses.device)].double().cpu().numpy()
            parts[name].append((share @ values[own_groups], values[own_groups], share @ loss))
        on_draw()
    return [
        TaskGradients(
            name,
            kind,
            np.stack([whole for whole, _, _ in task_draws]),
            np.stack([halves for _, halves, _ in task_draws])
            if all(len(halves) == 2 for _, halves, _ in task_draws)
            else None,
            np.array([loss for _, _, loss in task_draws]),
            halves_apart=name in apart,
        )
        for name, task_draws in parts.items()
    ]
