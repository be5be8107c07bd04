"""The attention function of transformers that a model runs with, for families that use its own forward pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

EAGER, FUSED = "eager", "sdpa"


class AttentionBackend:
    """Picks the attention function of each pass.

    Fused attention is transformers' default. On a CPU its backward pass in bfloat16 is slow, because it computes
    unneeded gradients of keys and values: a step of a T5 of base size takes 1.4 times as long as with plain products,
    and one of its decoder over cached texts 2.2 times (`benchmarks/encoder_decoder.py`). It has no second derivative.

    Args:
        model: A transformers model.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._loaded = self._current = str(model.config._attn_implementation)

    @contextmanager
    def for_pass(self, *, second_derivative: bool) -> Iterator[None]:
        """Wraps a forward pass.

        Args:
            second_derivative: Whether the result will be differentiated twice.
        """
        self._use(EAGER if torch.is_grad_enabled() and self._slow_backward else self._loaded)
        # The plain form of fused attention has a second derivative.
        with sdpa_kernel(SDPBackend.MATH) if second_derivative else nullcontext():
            yield

    @property
    def _slow_backward(self) -> bool:
        parameter = next(self._model.parameters())
        return self._loaded == FUSED and parameter.device.type == "cpu" and parameter.dtype == torch.bfloat16

    def _use(self, name: str) -> None:
        if name != self._current:
            self._model.set_attn_implementation(name)
            self._current = name
