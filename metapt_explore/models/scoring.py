"""All rows of a bank under all prompts, forward only: the longest rows first, as many in a pass as fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from metapt_explore.models.kv_cache.banks import Bank
from metapt_explore.models.memory import is_out_of_memory
from metapt_explore.verbalizers.pattern import PatternVerbalizer
from metapt_explore.verbalizers.verbalizer import Run

if TYPE_CHECKING:
    from metapt_explore.models.backbone import Backbone


def over_rows(
    backbone: Backbone,
    prompts: Tensor,
    bank: Bank,
    pattern: PatternVerbalizer,
    runs: Sequence[Run],
    read: Callable[[int, Tensor, list[int], list[Tensor]], None],
    on_pass: Callable[[], None],
) -> None:
    """Runs all rows under all prompts.

    Args:
        backbone: The model.
        prompts: `[groups, prompt_tokens, width]`.
        bank: The rows.
        pattern: Template and label words.
        runs: What the model is run for.
        read: Given the place of a pass's first prompt, its prompts, its rows, and for each run the hidden states
            `[rows, prompts, offsets, width]`.
        on_pass: Called after each pass; may raise to stop.
    """
    groups, length, _ = prompts.shape
    together = backbone.prompts_together(groups)
    order = sorted(range(len(bank)), key=lambda row: (len(bank.token_ids[row]), row))
    while order:
        longest = len(bank.token_ids[order[-1]])
        size = backbone.rows_within(pattern, length, longest, prompts=together, scoring=True)
        # The longest rows first: a pass that does not fit fails at once.
        rows = order[-size:]
        exhausted = False
        try:
            prepared = backbone.prepared(bank, rows, pattern, length, together)
            for first in range(0, groups, together):
                part = prompts[first : first + together].to(backbone.device)
                read(first, part, rows, [backbone.features_of_all(part, prepared, pattern, run) for run in runs])
                on_pass()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            exhausted = True  # handled outside of `except`, where the error still holds the tensors
        if exhausted:
            prepared = None  # type: ignore[assignment]
            backbone.halve_passes(len(rows), together)
        else:
            order = order[: -len(rows)]
