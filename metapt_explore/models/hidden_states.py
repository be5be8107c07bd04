"""Hidden states of texts in a frozen model, without prompt and template, pooled over the tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from metapt_explore.models.backbone import Backbone
from metapt_explore.models.kv_cache.text import TokenRows, pad_rows
from metapt_explore.texts.rows import TextInput

#: Rows of a pass through the language model.
ROWS = 16


def text_passes(
    backbone: Backbone,
    texts: Sequence[TextInput],
    *,
    on_pass: Callable[[], None] = lambda: None,
    every_layer: bool = False,
) -> Iterator[tuple[list[int], Any, TokenRows]]:
    """Runs texts through a frozen model, of an encoder-decoder through its encoder.

    Args:
        backbone: The model.
        texts: The texts, cut to `max_text_tokens`; of a pair the longer one is cut first.
        on_pass: Called after each pass; may raise to stop.
        every_layer: Whether the output holds the states behind every layer (`hidden_states`), not the last ones only.

    Yields:
        For each pass the indices of its texts, the model's output, and the tokens.
    """
    layout, model = backbone.layout, backbone.model
    base = model.get_encoder() if model.config.is_encoder_decoder else model.base_model
    tokens = [[*layout.special_before, *ids, *layout.special_after] for ids in layout.bare_tokens(texts)]
    order = sorted(range(len(tokens)), key=lambda row: (len(tokens[row]), row))
    for start in range(0, len(order), ROWS):
        chosen = order[start : start + ROWS]
        rows = pad_rows([tokens[row] for row in chosen], backbone.device)
        # A decoder-only model never sees the padding behind a text.
        seen = {"use_cache": False} if backbone.left_to_right else {"attention_mask": rows.mask()}
        yield chosen, base(input_ids=rows.token_ids, output_hidden_states=every_layer, **seen), rows
        on_pass()


def mean_over_tokens(hidden: Tensor, rows: TokenRows) -> Tensor:
    """Mean over each row's own tokens, fp32: `[rows, tokens, width]` to `[rows, width]`."""
    mask = rows.mask()[..., None].float()
    return (hidden.float() * mask).sum(1) / mask.sum(1)


@torch.no_grad()
def text_hidden_states(
    backbone: Backbone, texts: Sequence[TextInput], on_pass: Callable[[], None] = lambda: None
) -> Tensor:
    """Hidden states of texts from the middle layer of a frozen model: the mean over tokens, and the last token's.

    The upper layers turn to the next word. Only a decoder-only model's last token has read all of the text; other
    models give the mean alone.

    Args:
        backbone: The model.
        texts: The texts, cut to `max_text_tokens`; of a pair the longer one is cut first.
        on_pass: Called after each pass; may raise to stop.

    Returns:
        fp32 on the CPU, `[poolings, texts, width]`.
    """
    parts: list[tuple[list[int], Tensor]] = []
    for chosen, output, rows in text_passes(backbone, texts, on_pass=on_pass, every_layer=True):
        hidden = output.hidden_states
        middle = hidden[max(1, (len(hidden) - 1) // 2)]
        pooled = [mean_over_tokens(middle, rows)]
        if backbone.left_to_right:
            last = rows.lengths - 1
            pooled.append(middle[torch.arange(len(chosen), device=last.device), last].float())
        parts.append((chosen, torch.stack(pooled).cpu()))
    states = torch.empty(len(parts[0][1]), len(texts), parts[0][1].shape[-1])
    for chosen, pooled_states in parts:
        states[:, chosen] = pooled_states
    return states
