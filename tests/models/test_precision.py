"""bfloat16, and weights laid out for the machine: close to the plain product, never far off."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from plain_reference import PLACEMENTS, assert_near, make_case

from metapt_explore.config import Placement
from metapt_explore.models.causal import CausalBackbone
from metapt_explore.models.decoders import fused_weights
from metapt_explore.models.decoders.frozen_linear import (
    MOST_PACKED_ROWS,
    PACKED_FOR_ROWS,
    FrozenLinear,
    gated,
)
from metapt_explore.models.processor import can_pack
from metapt_explore.models.scoring import score_all

BackboneOf = Callable[..., CausalBackbone]

#: bfloat16 has 8 bits: one rounding of a result …
ONE_ROUNDING = 2**-8
#: … and many of them over two layers, forward, and back again: middle of several draws, as single ones scatter
#: (measured: at most 0.05 and 0.09, alike for both decoders).
SCORE_SHARE, GRADIENT_SHARE = 0.08, 0.15

#: fp32 sums of 32 products in another order.
FLOAT32_SHARE = 1e-6

KINDS = [torch.bfloat16, torch.float32]


# -------------------------------------------------------------------------------------- linear maps


def numbers(*size: int, seed: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed)).to(dtype)


def is_packed(linear: FrozenLinear) -> bool:
    return linear._packed is not None or linear._forward is not None


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("rows", [1, 7, PACKED_FOR_ROWS, PACKED_FOR_ROWS + 3, MOST_PACKED_ROWS + 1])
@pytest.mark.parametrize("with_bias", [False, True])
def test_packed_weights_give_the_same_products(rows: int, with_bias: bool, dtype: torch.dtype) -> None:
    """Every use against exact products of the same numbers; what is added is left as it was.

    Where the processor takes no packed weights, the plain product runs instead.
    """
    weight = numbers(48, 32, seed=1, dtype=dtype)
    bias = numbers(48, seed=2, dtype=dtype) if with_bias else None
    packed, plain = FrozenLinear(weight, bias, pack=True), FrozenLinear(weight, bias)
    assert is_packed(packed) == can_pack(dtype) and not is_packed(plain)
    x, gradient = numbers(rows, 32, seed=3, dtype=dtype), numbers(rows, 48, seed=4, dtype=dtype)
    like_x, like_out = numbers(rows, 32, seed=5, dtype=dtype), numbers(rows, 48, seed=6, dtype=dtype)
    given = (x, gradient, like_x, like_out)
    kept = [tensor.clone() for tensor in given]
    exact = x.double() @ weight.double().T + (0 if bias is None else bias.double())
    exact_back = gradient.double() @ weight.double()
    # Where two operations are not one, there are two roundings, or three.
    share = 3 * ONE_ROUNDING if dtype == torch.bfloat16 else FLOAT32_SHARE
    for linear in (packed, plain):
        for ours, theirs in (
            (linear(x), exact),
            (linear.plus(x, like_out), exact + like_out.double()),
            (linear.times(x, like_out), exact * like_out.double()),
            (linear.activated(x), torch.nn.functional.silu(exact)),
            (gated(linear, linear, x), torch.nn.functional.silu(exact) * exact),
            (linear.back(gradient), exact_back),
            (linear.back_plus(gradient, like_x), exact_back + like_x.double()),
        ):
            assert ours.dtype == dtype and ours.shape == theirs.shape
            assert_near(ours.double(), theirs, share)
    assert all(torch.equal(tensor, before) for tensor, before in zip(given, kept, strict=True))


@pytest.mark.parametrize("dtype", KINDS)
def test_packed_weights_take_rows_that_lie_apart(dtype: torch.dtype) -> None:
    """Columns of a wider matrix, as a slice gives them."""
    weight = numbers(48, 32, seed=1, dtype=dtype)
    packed, plain = FrozenLinear(weight, pack=True), FrozenLinear(weight)
    x, gradient = numbers(5, 64, seed=2, dtype=dtype)[:, 32:], numbers(5, 96, seed=3, dtype=dtype)[:, 48:]
    assert_near(packed(x), plain(x), ONE_ROUNDING)
    assert_near(packed.back(gradient), plain.back(gradient), ONE_ROUNDING)


@pytest.mark.parametrize("dtype", KINDS)
def test_a_product_does_not_depend_on_what_was_asked_before(dtype: torch.dtype) -> None:
    """A resumed run asks for other numbers of rows in another order and must get the same bits."""
    linear = FrozenLinear(numbers(48, 32, seed=1, dtype=dtype), pack=True)
    x, gradient = numbers(7, 32, seed=2, dtype=dtype), numbers(7, 48, seed=3, dtype=dtype)
    first, first_back = linear(x), linear.back(gradient)
    for rows in (3, 200, 1):
        linear(numbers(rows, 32, seed=4, dtype=dtype))
        linear.back(numbers(rows, 48, seed=5, dtype=dtype))
    assert torch.equal(linear(x), first) and torch.equal(linear.back(gradient), first_back)


# ------------------------------------------------------------------------------------- whole models


def errors(
    ours: CausalBackbone, theirs: CausalBackbone, lengths: Sequence[int] = (5, 1, 12, 30, 3)
) -> tuple[float, float]:
    """How far scores and gradients lie apart, as a share of their size: the middle of nine draws."""
    found = []
    for seed in range(9):
        # Prompts at the scale of the same embeddings.
        case = make_case(theirs, lengths, groups=2, rows=8, seed=seed)
        scores, gradients = [], []
        for backbone in (ours, theirs):
            case.backbone = backbone
            bank = backbone.bank(case.texts, case.pattern)
            scores.append(score_all(backbone, case.prompts, bank, pattern=case.pattern))
            gradients.append(case.objective().losses_and_gradients(case.prompts, case.batch)[1])
            assert scores[-1].dtype == gradients[-1].dtype == torch.float32
        found.append([float((a - b).norm() / b.norm()) for a, b in (scores, gradients)])
    score_error, gradient_error = torch.tensor(found).median(dim=0).values.tolist()
    return score_error, gradient_error


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize(
    ("family", "decoder"), [("llama", "fused"), ("qwen2", "fused"), ("llama", "plain"), ("gpt2", "plain")]
)
def test_bfloat16_is_close_to_float32(family: str, decoder: str, placement: Placement, backbone_of: BackboneOf) -> None:
    half, full = (backbone_of(family, placement, decoder, dtype) for dtype in ("bfloat16", "float32"))
    score_error, gradient_error = errors(half, full)
    assert 1e-3 < score_error < SCORE_SHARE and 1e-3 < gradient_error < GRADIENT_SHARE


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_label_words_are_read_in_float32(placement: Placement, backbone_of: BackboneOf) -> None:
    """In bfloat16 two label words would often have the same score, and the first class would win the tie."""
    case = make_case(backbone_of("llama", placement, "fused", "bfloat16"), [5, 1, 12, 7, 3, 9], groups=3, rows=1)
    scores = score_all(case.backbone, case.prompts, case.objective().bank, pattern=case.pattern)
    assert scores.dtype == torch.float32
    assert (scores.bfloat16().float() != scores).any(dim=-1).all()


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_a_packed_model_is_close_to_the_same_model_unpacked(
    family: str, placement: Placement, backbone_of: BackboneOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Biases included; where memory is short, weights are not packed."""
    packed = backbone_of(family, placement, dtype="bfloat16")
    monkeypatch.setattr(fused_weights, "PACK_SHARE", 0.0)
    plain = backbone_of(family, placement, dtype="bfloat16")
    assert is_packed(packed.fast.layers[1].query) == can_pack(torch.bfloat16)
    assert not is_packed(plain.fast.layers[1].query)
    score_error, gradient_error = errors(packed, plain)
    assert score_error < SCORE_SHARE and gradient_error < GRADIENT_SHARE
