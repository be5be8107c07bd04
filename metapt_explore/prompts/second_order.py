"""Attention that can be differentiated twice, for models that run through transformers' own attention."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def differentiable_attention(twice: bool) -> Iterator[None]:
    """Fused attention kernels have no second derivative; where one is asked for, plain products are used."""
    with sdpa_kernel(SDPBackend.MATH) if twice else nullcontext():
        yield
