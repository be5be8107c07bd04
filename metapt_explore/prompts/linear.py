"""A linear map whose weight never learns, laid out once for the machine it runs on."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

#: Rows of input that packed weights are laid out for; other numbers of rows are right, if slower.
PACKED_FOR_ROWS = 160


def can_pack() -> bool:
    """Whether this torch has the operators that keep a weight in the layout of the CPU's matrix unit."""
    ops = torch.ops.mkldnn
    return torch.backends.mkldnn.is_available() and all(
        hasattr(ops, name) for name in ("_reorder_linear_weight", "_linear_pointwise")
    )


class FrozenLinear:
    """`x @ weight.T + bias`, and the product that carries a gradient back through it.

    A bfloat16 product on a CPU reorders its weight at every call, which costs up to half of the
    time at the few rows of a prompt step. A frozen weight is reordered once, forward and transposed.

    Args:
        weight: `[out_features, in_features]`.
        bias: `[out_features]`, or None.
        pack: Whether to keep reordered copies (two of them; bfloat16 on a CPU only).

    Example:
        >>> linear = FrozenLinear(torch.eye(2) * 3)
        >>> linear(torch.ones(1, 2)), linear.back(torch.ones(1, 2))
        (tensor([[3., 3.]]), tensor([[3., 3.]]))
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None, pack: bool = False) -> None:
        self.weight, self.bias = weight.contiguous(), bias
        self._packed: Tensor | None = None
        self._packed_back: Tensor | None = None
        if pack and weight.dtype == torch.bfloat16 and weight.device.type == "cpu":
            reorder = torch.ops.mkldnn._reorder_linear_weight
            self._packed = reorder(self.weight, PACKED_FOR_ROWS)
            self._packed_back = reorder(self.weight.T.contiguous(), PACKED_FOR_ROWS)

    def __call__(self, x: Tensor) -> Tensor:
        """Maps `[rows, in_features]` to `[rows, out_features]`."""
        if self._packed is None:
            return F.linear(x, self.weight, self.bias)
        return torch.ops.mkldnn._linear_pointwise(x, self._packed, self.bias, "none", [], "")

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """The same, plus `other` of the shape of the result, in one pass over memory where there is one."""
        if self._packed is None:
            return F.linear(x, self.weight, self.bias).add_(other)
        return torch.ops.mkldnn._linear_pointwise.binary(x, other, self._packed, self.bias, "add")

    def back(self, gradient: Tensor) -> Tensor:
        """Carries a gradient `[rows, out_features]` back to `[rows, in_features]`."""
        if self._packed_back is None:
            return gradient @ self.weight
        return torch.ops.mkldnn._linear_pointwise(gradient, self._packed_back, None, "none", [], "")

    def back_plus(self, gradient: Tensor, other: Tensor) -> Tensor:
        """The same, plus `other`."""
        if self._packed_back is None:
            return torch.addmm(other, gradient, self.weight)
        return torch.ops.mkldnn._linear_pointwise.binary(gradient, other, self._packed_back, None, "add")

    def activated(self, x: Tensor) -> Tensor:
        """SiLU of the result."""
        if self._packed is None:
            return F.silu(F.linear(x, self.weight, self.bias))
        return torch.ops.mkldnn._linear_pointwise(x, self._packed, self.bias, "swish", [], "")

    def times(self, x: Tensor, other: Tensor) -> Tensor:
        """The result times `other`, element by element."""
        if self._packed is None:
            return F.linear(x, self.weight, self.bias).mul_(other)
        return torch.ops.mkldnn._linear_pointwise.binary(x, other, self._packed, self.bias, "mul")


def gated(gate: FrozenLinear, up: FrozenLinear, x: Tensor) -> Tensor:
    """`silu(gate(x)) * up(x)`, where nothing in between is needed for a gradient."""
    return up.times(x, gate.activated(x))
