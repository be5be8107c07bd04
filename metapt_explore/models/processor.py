"""What this machine's processor can do with packed weights and bfloat16, found by trying.

An operator may exist and still fail: the one that packs bfloat16 weights is there on every x86 machine and throws
without AVX-512.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

#: Allowed difference of a product from the exact one, as a share of its size.
NEAR = {torch.float32: 1e-4, torch.bfloat16: 0.03}

SLOW_BFLOAT16 = (
    "This processor computes bfloat16 more slowly than float32, by up to ten times: `model.dtype: float32` is faster "
    "here, and its scores differ a little."
)
UNPACKED = (
    "This processor does not take bfloat16 weights that are packed in advance: plain products run instead, which is "
    "slower and as exact."
)


def is_near(product: Tensor, exact: Tensor, dtype: torch.dtype) -> bool:
    """Whether a product is right up to rounding; never if it holds NaN."""
    return float((product.double() - exact).norm()) <= NEAR[dtype] * float(exact.norm())


def can_pack(dtype: torch.dtype) -> bool:
    """Whether a weight of this number format can be packed for this processor, with right products."""
    probe = _PROBES.get(dtype)
    return probe is not None and probe()


def has_fast_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 faster than float32.

    Intel's AVX-512 has instructions for it, at the rate of float32's (two cores, 768 × 576 × 3072: 159 against 268
    GFLOP/s); AMD's are several times faster than float32's, and so is Intel's matrix unit (AMX).
    """
    processor = torch.cpu.get_capabilities()
    vector_unit = processor.get("avx512_bf16", False) and "Intel" not in str(processor.get("cpu_name", ""))
    return bool((processor.get("amx_bf16", False) or vector_unit) and _library_has_bfloat16())


def is_bfloat16_slow() -> bool:
    """Whether float32 is the faster format on this processor."""
    on_arm = torch.cpu.get_capabilities().get("bf16", False) and _library_has_bfloat16()
    return not (has_fast_bfloat16() or on_arm)


def _library_has_bfloat16() -> bool:
    """Whether oneDNN computes in bfloat16 here; an old torch, another build or `ONEDNN_MAX_CPU_ISA` may forbid it."""
    ask = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return _library("mkldnn") and ask is not None and bool(ask())


def _library(name: str) -> bool:
    """Whether this torch was built with a library of matrix products, ``mkl`` or ``mkldnn`` (oneDNN)."""
    library: Any = getattr(torch.backends, name)
    return bool(library.is_available())


@cache
def _packs_bfloat16() -> bool:
    return _library("mkldnn") and _works(torch.bfloat16, _try_bfloat16)


@cache
def _packs_float32() -> bool:
    return _library("mkl") and _works(torch.float32, _try_float32)


_PROBES: dict[torch.dtype, Callable[[], bool]] = {torch.bfloat16: _packs_bfloat16, torch.float32: _packs_float32}


def _works(dtype: torch.dtype, attempt: Callable[[Tensor, Tensor, Tensor], list[tuple[Tensor, Tensor]]]) -> bool:
    numbers = torch.Generator().manual_seed(0)
    weight, x, other = (torch.randn(size, generator=numbers).to(dtype) for size in ((24, 32), (5, 32), (5, 24)))
    try:
        return all(is_near(product, exact, dtype) for product, exact in attempt(weight, x, other))
    except Exception:  # missing operators, instructions or library: the plain product runs
        return False


def _try_bfloat16(weight: Tensor, x: Tensor, other: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Results of each operator that `FrozenLinear` calls, and the exact ones."""
    ops: Any = torch.ops.mkldnn
    packed, product = ops._reorder_linear_weight(weight, len(x)), x.double() @ weight.double().T
    return [
        (ops._linear_pointwise(x, packed, None, "none", [], ""), product),
        (ops._linear_pointwise(x, packed, None, "swish", [], ""), torch.nn.functional.silu(product)),
        (ops._linear_pointwise.binary(x, other, packed, None, "add"), product + other.double()),
        (ops._linear_pointwise.binary(x, other, packed, None, "mul"), product * other.double()),
    ]


def _try_float32(weight: Tensor, x: Tensor, other: Tensor) -> list[tuple[Tensor, Tensor]]:
    ops: Any = torch.ops.mkl
    packed = ops._mkl_reorder_linear_weight(weight, len(x))
    return [(ops._mkl_linear(x, packed, weight, None, len(x)), x.double() @ weight.double().T)]
