"""Class scores and hidden states of many rows under many prompts, forward only.

The longest rows come first, as many in a pass as fit the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from metapt_explore.models.backbone import Backbone
from metapt_explore.models.kv_cache.banks import Bank
from metapt_explore.models.memory import is_out_of_memory
from metapt_explore.texts.rows import TextInput
from metapt_explore.verbalizers.on_device import send
from metapt_explore.verbalizers.pattern import PatternVerbalizer
from metapt_explore.verbalizers.prototypes import Prototypes
from metapt_explore.verbalizers.verbalizer import Run


@torch.no_grad()
def score_all(
    backbone: Backbone,
    prompts: Tensor,
    bank: Bank,
    *,
    pattern: PatternVerbalizer,
    on_pass: Callable[[], None] = lambda: None,
    prototypes: Prototypes | None = None,
) -> Tensor:
    """Scores every row of a bank under every prompt.

    With the prompt behind the text, up to eight prompts share one pass over a text; else the rows of a pass share
    their prompt.

    Args:
        backbone: The model.
        prompts: `[groups, prompt_tokens, width]`.
        bank: The rows.
        pattern: Template and label words.
        on_pass: Called after each pass through the model; may raise to stop.
        prototypes: Class prototypes of each prompt, mixed into the label words' scores.

    Returns:
        `[groups, rows, columns]`, fp32, on the CPU.
    """
    verbalizer, head = pattern.verbalizer, pattern.head or backbone.head
    # Where the model runs: what is copied to the host pass by pass makes a card wait for it.
    scores = torch.empty(len(prompts), len(bank), verbalizer.columns, device=backbone.device)

    def score(part: Pass) -> None:
        for offset in range(part.hidden[0].shape[1]):
            row_scores = verbalizer.scores([run[:, offset] for run in part.hidden], head)
            if prototypes is not None:
                row_scores = prototypes.mixed(row_scores, part.hidden[0][:, offset, 0], part.first_prompt + offset)
            scores[part.first_prompt + offset].index_copy_(
                0, send(torch.tensor(part.rows), scores.device), row_scores.float()
            )

    _over_rows(backbone, prompts, bank, pattern=pattern, runs=verbalizer.runs, on_hidden=score, on_pass=on_pass)
    return scores.cpu()


@torch.no_grad()
def answer_states(
    backbone: Backbone,
    prompts: Tensor,
    bank: Bank,
    *,
    pattern: PatternVerbalizer,
    on_pass: Callable[[], None] = lambda: None,
) -> Tensor:
    """Hidden states at the place of the answer, of every row under every prompt: fp32 `[groups, rows, width]`.

    Arguments as for `score_all`.
    """
    parts: list[tuple[int, list[int], Tensor]] = []

    def collect(part: Pass) -> None:
        parts.append((part.first_prompt, part.rows, part.hidden[0][:, :, 0].transpose(0, 1).float().cpu()))

    _over_rows(backbone, prompts, bank, pattern=pattern, runs=(Run(),), on_hidden=collect, on_pass=on_pass)
    # Not every model's hidden states are as wide as its embeddings (ALBERT, ELECTRA).
    states = torch.empty(len(prompts), len(bank), parts[0][2].shape[-1])
    for first, rows, hidden in parts:
        states[first : first + len(hidden), rows] = hidden
    return states


@torch.no_grad()
def zero_shot(backbone: Backbone, texts: Sequence[TextInput], pattern: PatternVerbalizer) -> Tensor:
    """Scores texts without any prompt: template and label words only, `[rows, columns]`, fp32, on the CPU."""
    none = torch.zeros(1, 0, backbone.width, device=backbone.device)
    bank = backbone.bank(texts, pattern)
    scores = score_all(backbone, none, bank, pattern=pattern)[0]
    backbone.forget(texts, pattern)
    return scores


def calibrated(scores: Tensor, reference: Tensor) -> Tensor:
    """Divides each class's probability by its mean over reference rows.

    With the scored rows themselves as reference this is batch calibration (Zhou et al., ICLR 2024, arXiv 2309.17249),
    with texts that say nothing contextual calibration (Zhao et al., ICML 2021, arXiv 2102.09690).

    Args:
        scores: Logits, `[..., rows, classes]`.
        reference: Logits of the reference rows, `[..., reference_rows, classes]`.

    Returns:
        Logits, `[..., rows, classes]`, whose softmax is the calibrated probability.

    Example:
        >>> import torch
        >>> scores = torch.tensor([[2.0, 1.0], [3.0, 1.0]])  # the first class, whatever the text
        >>> calibrated(scores, scores).argmax(dim=1).tolist()
        [1, 0]
    """
    mean = reference.log_softmax(-1).logsumexp(-2, keepdim=True) - log(reference.shape[-2])
    return scores.log_softmax(-1) - mean


@dataclass(frozen=True)
class Pass:
    """What one pass through the model gave.

    Attributes:
        first_prompt: Index of its first prompt; the others follow.
        rows: Its rows of the bank.
        hidden: For each run the hidden states, `[rows, prompts, offsets, width]`.
    """

    first_prompt: int
    rows: list[int]
    hidden: list[Tensor]


def _over_rows(
    backbone: Backbone,
    prompts: Tensor,
    bank: Bank,
    *,
    pattern: PatternVerbalizer,
    runs: Sequence[Run],
    on_hidden: Callable[[Pass], None],
    on_pass: Callable[[], None],
) -> None:
    """Runs all rows under all prompts; passes are halved where memory runs out.

    Args:
        backbone: The model.
        prompts: `[groups, prompt_tokens, width]`.
        bank: The rows.
        pattern: Template and label words.
        runs: What the model is run for.
        on_hidden: Given what each pass gave.
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
            prepared = backbone.prepared(bank, rows, pattern, prompt_tokens=length, prompts=together)
            for first in range(0, groups, together):
                part = prompts[first : first + together].to(backbone.device)
                on_hidden(
                    Pass(
                        first,
                        rows,
                        [backbone.features_of_each_prompt(part, prepared, pattern, run=run) for run in runs],
                    )
                )
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
