"""The check at load: for this very model, do the shortcuts give what its own full forward gives?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from metapt_explore.errors import UserError
from metapt_explore.prompts import attention
from metapt_explore.prompts.reader import Reader
from metapt_explore.prompts.text_state import pad_rows

if TYPE_CHECKING:
    from metapt_explore.prompts.causal import CausalBackbone, Prepared

#: Allowed difference of scores and gradients, as a share of their size.
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1}


def check_exact(backbone: CausalBackbone) -> None:
    """Compares both ways of running the model with its own full forward, in eager attention, on two short rows.

    Where only the hand-written pass differs, the model's own is used instead, and the user is told.

    Raises:
        UserError: Where the model's own pass over cached keys and values differs as well: the architecture
            does something that they do not cover, and results could not be trusted.
    """
    vocabulary = backbone.embedding.shape[0]
    rows = [[(7 * i + 3) % vocabulary for i in range(5)], [(11 * i + 5) % vocabulary for i in range(3)]]
    reader = Reader((), (2 % vocabulary, 9 % vocabulary), (1, 4), ("a", "b"))
    prompt = backbone.embedding[:3].float()
    name, placement = backbone.config.name, backbone.placement
    tolerance = TOLERANCE.get(backbone.dtype, 1e-3)
    # Texts are encoded by the decoder that is checked, so that a mistake is laid to the right one.
    fast, backbone.fast = backbone.fast, backbone.plain
    try:
        backbone.model.set_attn_implementation("eager")
        try:
            plain_scores = torch.stack([_full_forward(backbone, prompt, ids, reader) for ids in rows])
        finally:
            backbone.model.set_attn_implementation(attention.NAME)
        ours, gradient = _scores(backbone, prompt, rows, reader)
    except KeyError as error:
        raise UserError(
            f"The model '{name}' cannot be used: its attention cannot be replaced ({error} is not known to it)."
        ) from error
    except (TypeError, AttributeError, IndexError, RuntimeError) as error:
        raise UserError(f"The model '{name}' cannot be used with the {placement} placement ({error}).") from error
    difference = _apart(ours, plain_scores)
    if not difference <= tolerance:  # also where it is not a number
        raise UserError(
            f"The model '{name}' gives other scores over cached keys and values than in a full forward "
            f"(difference {difference:.2g}), so it cannot be used with the {placement} placement."
        )
    if fast is backbone.plain:
        return
    backbone.fast = fast
    try:
        fast_scores, fast_gradient = _scores(backbone, prompt, rows, reader)
        gradient_difference = float((fast_gradient - gradient).norm() / gradient.norm().clamp(min=1e-12))
        exact = _apart(fast_scores, plain_scores) <= tolerance and gradient_difference < 3 * tolerance
    except (TypeError, AttributeError, IndexError, RuntimeError, ValueError):
        exact = False  # a variant that the hand-written pass was not made for
    if not exact:
        backbone.fast = backbone.plain
        backbone.on_notice(f"'{name}' runs through its own forward pass: the faster one is not exact for it.")


def _apart(scores: Tensor, expected: Tensor) -> float:
    """How far two scores of two label words differ; what counts is how far the words lie apart."""
    ours, theirs = scores[:, 0] - scores[:, 1], expected[:, 0] - expected[:, 1]
    return float(((ours - theirs).abs().max() / (theirs.abs().max() + 1)).detach())


def _scores(
    backbone: CausalBackbone, prompt: Tensor, rows: Sequence[Sequence[int]], reader: Reader
) -> tuple[Tensor, Tensor]:
    """Scores through the shortcuts, and the prompt's gradient of a loss."""
    leaf = prompt[None].clone().requires_grad_(True)
    prepared: Prepared
    if backbone.placement == "prefix":
        prepared = pad_rows([[*ids, *reader.tail] for ids in rows], backbone.device)
    else:
        prepared = backbone.encoded(rows, spare=backbone.new_tokens(reader, len(prompt)))
    groups = torch.zeros(len(rows), dtype=torch.long, device=backbone.device)
    scores = backbone.class_scores(leaf, groups, prepared, reader)
    loss = F.cross_entropy(scores, torch.tensor([0, 1], device=backbone.device))
    (gradient,) = torch.autograd.grad(loss, leaf)
    return scores.detach(), gradient


@torch.no_grad()
def _full_forward(backbone: CausalBackbone, prompt: Tensor, token_ids: Sequence[int], reader: Reader) -> Tensor:
    """Scores of one row by the unmodified model with its full head."""
    embed = backbone.model.get_input_embeddings()
    text = embed(torch.tensor(token_ids, device=backbone.device))
    tail = embed(torch.tensor(reader.tail, device=backbone.device))
    vectors = prompt.to(backbone.dtype)
    whole = torch.cat([text, vectors, tail] if backbone.placement == "suffix" else [vectors, text, tail])[None]
    logits = backbone.model(inputs_embeds=whole, use_cache=False).logits[0, -1]
    return logits[torch.tensor(reader.words, device=backbone.device)].float()
