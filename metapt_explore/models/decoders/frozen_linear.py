"""A linear map whose weight never learns, laid out once for the machine it runs on."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from metapt_explore.models.device import fresh_memory
from metapt_explore.models.processor import can_pack, is_near

#: Rows of input that packed weights are laid out for; other numbers of rows are right, if slower.
PACKED_FOR_ROWS = 160
#: Rows up to which laying a float32 weight out is a noticeable part of its product.
MOST_PACKED_ROWS = 1024


class FrozenLinear:
    """`x @ weight.T + bias`, and the product that carries a gradient back through it.

    A product on a CPU first copies its weight into a layout of its own, which takes up to half of the time at
    the few rows of a prompt step. A frozen weight is laid out once, forward and transposed: bfloat16 when the
    map is made, float32 for the number of rows of the latest input, which seldom changes in training.

    Args:
        weight: `[out_features, in_features]`.
        bias: `[out_features]`, or None.
        pack: Whether to keep laid-out copies (two of them), where the processor takes them; on a CPU only.

    Attributes:
        refused: Whether laid-out copies were asked for, and the processor does not take them.

    Example:
        >>> linear = FrozenLinear(torch.eye(2) * 3)
        >>> linear(torch.ones(1, 2)), linear.back(torch.ones(1, 2))
        (tensor([[3., 3.]]), tensor([[3., 3.]]))
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None, *, pack: bool = False) -> None:
        self.weight, self.bias = weight.contiguous(), bias
        self._packed: Tensor | None = None
        self._packed_back: Tensor | None = None
        self._forward: _PackedForRows | None = None
        self._backward: _PackedForRows | None = None
        self.refused = False
        if not pack or weight.device.type != "cpu":
            return
        if weight.dtype == torch.bfloat16:
            self._pack()
        elif weight.dtype == torch.float32 and can_pack(torch.float32):
            self._forward = _PackedForRows(self.weight, bias)
            self._backward = _PackedForRows(self.weight.T, None)

    def _pack(self) -> None:
        """Lays a bfloat16 weight out, both ways, unless the processor refuses or computes something else with it."""
        forward, backward = _laid_out(self.weight), _laid_out(self.weight.T.contiguous())
        if forward is None or backward is None:
            self.refused = True
            return
        self._packed, self._packed_back = forward, backward
        self.weight = self.weight.new_empty(0)  # its memory is free for others

    @property
    def later_bytes(self) -> int:
        """Memory that is only taken when the map is first used."""
        return 2 * self.weight.nbytes if self._forward is not None else 0

    def __call__(self, x: Tensor) -> Tensor:
        """Maps `[rows, in_features]` to `[rows, out_features]`."""
        if self._packed is not None:
            return _product(x, self._packed, self.bias)
        if self._forward is not None:
            return self._forward(x)
        return F.linear(x, self.weight, self.bias)

    def plus(self, x: Tensor, other: Tensor) -> Tensor:
        """The same, plus `other` of the shape of the result, in one pass over memory where there is one."""
        if self._packed is not None:
            return _product_with(x, other, self._packed, bias=self.bias, operation="add")
        return self(x).add_(other)

    def back(self, gradient: Tensor) -> Tensor:
        """Carries a gradient `[rows, out_features]` back to `[rows, in_features]`."""
        if self._packed_back is not None:
            return _product(gradient, self._packed_back, None)
        if self._backward is not None:
            return self._backward(gradient)
        return gradient @ self.weight

    def back_plus(self, gradient: Tensor, other: Tensor) -> Tensor:
        """The same, plus `other`."""
        if self._packed_back is not None:
            return _product_with(gradient, other, self._packed_back, bias=None, operation="add")
        if self._backward is not None:
            return self._backward(gradient).add_(other)
        return torch.addmm(other, gradient, self.weight)

    def activated(self, x: Tensor) -> Tensor:
        """SiLU of the result."""
        if self._packed is not None:
            return _product(x, self._packed, self.bias, activation="swish")
        return F.silu(self(x))

    def times(self, x: Tensor, other: Tensor) -> Tensor:
        """The result times `other`, element by element."""
        if self._packed is not None:
            return _product_with(x, other, self._packed, bias=self.bias, operation="mul")
        return self(x).mul_(other)


def _product(x: Tensor, packed: Tensor, bias: Tensor | None, *, activation: str = "none") -> Tensor:
    """OneDNN's product with a weight in the processor's own layout, and an activation of the result."""
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, activation, [], "")
    return out


def _product_with(x: Tensor, other: Tensor, packed: Tensor, *, bias: Tensor | None, operation: str) -> Tensor:
    """The same, with an element-wise operation on the result and `other`."""
    out: Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, other, packed, bias, operation)
    return out


def _laid_out(weight: Tensor) -> Tensor | None:
    """A bfloat16 weight in the processor's own layout; None where a product with it is not the plain one."""
    if not can_pack(torch.bfloat16):
        return None
    row = torch.linspace(-1, 1, weight.shape[1])[None].to(weight)
    try:
        packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, PACKED_FOR_ROWS)
        product = _product(row, packed, None)
    except Exception:  # whatever the reason: the plain product is always there
        return None
    return packed if is_near(product, F.linear(row, weight).double(), weight.dtype) else None


class _PackedForRows:
    """A float32 product whose weight is laid out for one number of rows at a time.

    It is laid out anew whenever that number changes, which costs what the product would have spent on it
    anyway: the result depends on the input alone, never on what was asked before. A transposed weight is a view: its
    numbers are put in order for as long as that takes, not kept.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight, self.bias = weight, bias
        self._rows = 0
        self._packed: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        rows = len(x)
        if rows > MOST_PACKED_ROWS:
            return F.linear(x, self.weight.contiguous(), self.bias)
        if rows != self._rows:
            ordered = self.weight.contiguous()
            self._packed, self._rows = None, 0  # the old one makes room for the new one
            with fresh_memory():
                self._packed, self._rows = torch.ops.mkl._mkl_reorder_linear_weight(ordered, rows), rows
        out: Tensor = torch.ops.mkl._mkl_linear(x, self._packed, self.weight, self.bias, rows)
        return out


def gated(gate: FrozenLinear, up: FrozenLinear, x: Tensor) -> Tensor:
    """`silu(gate(x)) * up(x)`, where nothing in between is needed for a gradient."""
    return up.times(x, gate.activated(x))
