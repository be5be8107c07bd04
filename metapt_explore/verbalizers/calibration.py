"""Taking off what the model says whatever the text: calibration of class scores."""

from __future__ import annotations

from math import log

from torch import Tensor


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
