"""The self-check at load: do the shortcuts give the same as this model's own full forward?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from metapt_explore.config import LabelsConfig
from metapt_explore.errors import UserError
from metapt_explore.models.heads import SimilarityHead
from metapt_explore.models.kv_cache.text import TokenBank
from metapt_explore.models.placing import is_placed
from metapt_explore.verbalizers.pattern import PatternVerbalizer
from metapt_explore.verbalizers.template import Slot, Template
from metapt_explore.verbalizers.verbalizer import Run, Term, Verbalizer

if TYPE_CHECKING:
    from metapt_explore.models.backbone import Backbone, Prepared

#: Allowed difference of scores and gradients, as a share of their size.
TOLERANCE = {torch.float32: 1e-3, torch.float16: 0.02, torch.bfloat16: 0.1}
#: The same of quantised weights: bitsandbytes rounds what is multiplied with 8-bit weights as well, batch by batch.
QUANTISED_TOLERANCE = 0.1
#: What to do where a model cannot be used in float16.
OVERFLOW = " Some models overflow in float16: try `model.dtype: float32`."


def check_exact(backbone: Backbone) -> None:
    """Compares our ways to run a model with its own full forward, on two short rows.

    If only the hand-written pass differs, the model's own is used instead, and the user is told.

    Raises:
        UserError: If the model's own pass over cached texts, or with our attention, differs as well: the
            architecture does something that they do not cover, and results would be wrong.
    """
    vocabulary = backbone.embedding.shape[0]
    texts = [[(7 * i + 3) % vocabulary for i in range(5)], [(11 * i + 5) % vocabulary for i in range(3)]]
    prompt = backbone.as_prompt(backbone.embedding[:3].float())
    name, placement = backbone.config.name, backbone.placement
    tolerance = TOLERANCE.get(backbone.dtype, 1e-3)
    if backbone.config.quantised is not None:
        tolerance = max(tolerance, QUANTISED_TOLERANCE)
    # The decoder that is checked also encodes the texts, so that a mistake is its own.
    fast = getattr(backbone, "fast", None)
    if fast is not None:
        backbone.fast = backbone.plain  # type: ignore[attr-defined]
    try:
        pattern = _check_pattern(backbone, (2 % vocabulary, 9 % vocabulary))
        rows = [backbone.layout.row(ids, None, pattern) for ids in texts]
        full = torch.stack([backbone.full_logits(prompt, ids, position, pattern=pattern) for ids, position in rows])
        expected = full[:, list(pattern.words)]
        ours, gradient = _scores(backbone, prompt, rows, pattern=pattern)
    except KeyError as error:
        raise UserError(
            f"The model '{name}' cannot be used: its attention cannot be replaced ({error} is not known to it)."
        ) from error
    except (TypeError, AttributeError, IndexError, RuntimeError, ValueError) as error:
        raise UserError(f"The model '{name}' cannot be used with the {placement} placement ({error}).") from error
    difference = _apart(ours, expected)
    if not difference <= tolerance:  # NaN too
        raise UserError(
            f"The model '{name}' gives other scores over cached keys and values than in a full forward "
            f"(difference {difference:.2g}), so it cannot be used with the {placement} placement."
            + (OVERFLOW if backbone.dtype == torch.float16 else "")
        )
    if is_placed(backbone.config) and not (gradient.isfinite().all() and gradient.any()):
        raise UserError(
            f"The model '{name}' gives no gradient with model.device_map or model.quantised, so that no prompt can be "
            "learned: leave them out, or try another version of accelerate or bitsandbytes."
        )
    if fast is None or fast is backbone.plain:  # type: ignore[attr-defined]
        return
    backbone.fast = fast  # type: ignore[attr-defined]
    try:
        fast_scores, fast_gradient = _scores(backbone, prompt, rows, pattern=pattern)
        gradient_difference = float((fast_gradient - gradient).norm() / gradient.norm().clamp(min=1e-12))
        exact = _apart(fast_scores, expected) <= tolerance and gradient_difference < 3 * tolerance
    except (TypeError, AttributeError, IndexError, RuntimeError, ValueError):
        exact = False  # a variant that the hand-written pass was not made for
    if not exact:
        backbone.fast = backbone.plain  # type: ignore[attr-defined]
        backbone.on_notice(f"'{name}' runs through its own forward pass: the faster one is not exact for it.")


def _check_pattern(backbone: Backbone, tail: tuple[int, ...]) -> PatternVerbalizer:
    """A pattern of token ids: a template with a tail, and two label words of one token."""
    template = Template((Slot("text"), tail))
    if isinstance(backbone.head, SimilarityHead):
        described = backbone.pattern(LabelsConfig(labels={"a": "good", "b": "bad"}), "the check at load")
        return replace(described, template=template)
    return PatternVerbalizer(template, Verbalizer((Run(),), (((Term(0, 0, 1),),), ((Term(0, 0, 4),),))), ("a", "b"))


def _apart(scores: Tensor, expected: Tensor) -> float:
    """Difference of the margins between two label words."""
    ours, theirs = scores[:, 0] - scores[:, 1], expected[:, 0] - expected[:, 1]
    return float(((ours - theirs).abs().max() / (theirs.abs().max() + 1)).detach())


def _scores(
    backbone: Backbone, prompt: Tensor, rows: Sequence[tuple[list[int], int]], *, pattern: PatternVerbalizer
) -> tuple[Tensor, Tensor]:
    """Scores through the shortcuts, and the prompt's gradient of a loss."""
    leaf = prompt[None].clone().requires_grad_(True)
    token_ids = [ids for ids, _ in rows]
    prepared: Prepared
    if backbone.caches_texts:
        prepared = backbone.encoded(token_ids, spare=backbone.spare(pattern, len(prompt)))
    else:
        positions = [position for _, position in rows]
        prepared = TokenBank(token_ids, backbone.device, positions).batch(range(len(rows)))
    groups = torch.zeros(len(rows), dtype=torch.long, device=backbone.device)
    scores = backbone.class_scores(leaf, groups, prepared, pattern=pattern)
    loss = F.cross_entropy(scores, torch.tensor([0, 1], device=backbone.device))
    (gradient,) = torch.autograd.grad(loss, leaf)
    return scores.detach(), gradient
