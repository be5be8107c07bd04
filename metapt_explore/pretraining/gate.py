"""Several starts: offsets from one prompt, and a gate that weighs them by their losses.

Start `k` is the prompt plus offset `k`. Each offset is a parameter of its own while it is learned, so that it has
moments and clipping of its own; a finished prompt holds them stacked, as ``offsets``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from metapt_explore.models.gradients import Batch, PromptObjective

_PREFIX = "offset."
#: Name of the stacked offsets of a finished prompt, `[starts, prompt_tokens, width]`.
OFFSETS = "offsets"


def offset_name(start: int) -> str:
    """Name of the parameter that is one start's offset."""
    return f"{_PREFIX}{start}"


def numbers_of_offsets(names: Sequence[str]) -> list[int]:
    """Numbers of the starts among parameters, in the order in which `packed_offsets` stacks them.

    Example:
        >>> numbers_of_offsets(["prompt", "offset.10", "offset.9"])
        [9, 10]
    """
    return sorted(int(name.removeprefix(_PREFIX)) for name in names if name.startswith(_PREFIX))


def packed_offsets(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same parameters with all offsets stacked as one, in the order of their numbers; any others as they are.

    Example:
        >>> learned = {"prompt": torch.zeros(2), "offset.1": torch.ones(2), "offset.0": torch.zeros(2)}
        >>> packed_offsets(learned)["offsets"].tolist()
        [[0.0, 0.0], [1.0, 1.0]]
    """
    numbers = numbers_of_offsets(list(values))
    others = {name: value for name, value in values.items() if not name.startswith(_PREFIX)}
    if not numbers:
        return others
    return {**others, OFFSETS: torch.stack([values[offset_name(number)] for number in numbers])}


def gate_weights(losses: Tensor, temperature: float) -> Tensor:
    """Weights of starts, which sum to 1: softmax of minus their losses over the temperature.

    Args:
        losses: `[..., starts]`.
        temperature: A start whose loss is lower by this much weighs e times as much.

    Example:
        >>> [round(weight, 3) for weight in gate_weights(torch.tensor([0.5, 0.4]), 0.1).tolist()]
        [0.269, 0.731]
    """
    return torch.softmax(-losses / temperature, dim=-1)


def mixed(prompt: Tensor, offsets: Tensor, weights: Tensor) -> Tensor:
    """The mixture of starts of each task.

    Args:
        prompt: `[prompt_tokens, width]`.
        offsets: `[starts, prompt_tokens, width]`.
        weights: `[tasks, starts]`; each row sums to 1.

    Returns:
        `[tasks, prompt_tokens, width]`.
    """
    return prompt + torch.einsum("ts,spw->tpw", weights, offsets)


def losses_at_starts(
    prompt: Tensor, offsets: Tensor, batch: Batch, objective: PromptObjective, *, for_gradient: bool = True
) -> Tensor:
    """Loss of each task at each start, without a gradient.

    Args:
        prompt: `[prompt_tokens, width]`.
        offsets: `[starts, prompt_tokens, width]`.
        batch: Rows of one or more tasks; task i is group i.
        objective: The backbone over the rows.
        for_gradient: How they are counted, see `PromptObjective.losses`.

    Returns:
        `[tasks, starts]`.
    """
    starts, tasks = len(offsets), max(batch.groups) + 1
    repeated = Batch(
        [row for row in batch.rows for _ in range(starts)],
        [group * starts + start for group in batch.groups for start in range(starts)],
        [label for label in batch.labels for _ in range(starts)],
        [pattern for pattern in batch.patterns for _ in range(starts)],
    )
    prompts = (prompt + offsets).repeat(tasks, 1, 1)
    return objective.losses(prompts, repeated, for_gradient=for_gradient).view(tasks, starts)
