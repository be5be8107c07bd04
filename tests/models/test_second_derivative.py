"""Hessian products through the model's own pass, and where there is no second derivative."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from plain_reference import FUSED, OTHER_PLACEMENTS, PLACEMENTS, Case, assert_near, make_case

from metapt_explore.config import Placement
from metapt_explore.config.pretraining import SECOND_ORDER_COST
from metapt_explore.models.causal import CausalBackbone
from metapt_explore.models.gradients import Batch
from metapt_explore.models.kv_cache.text import TextKV

BackboneOf = Callable[..., CausalBackbone]
UnmodifiedOf = Callable[[str], torch.nn.Module]

#: Width of a central difference: its own error grows with the square, fp32 rounding with the inverse.
STEP = 3e-3
#: At that width the two stay below this share of the product's length (measured: 2e-3).
DIFFERENCE_SHARE = 1e-2
#: fp32 rounding through two backward passes.
PRODUCT_SHARE = 2e-4

#: Shared key heads, biases, learned positions, capped scores.
SECOND_FAMILIES = ("llama", "qwen2", "gpt2", "gemma2", "gemma3")


#: Families that are not decoder-only, in each of their placements.
OTHERS = [(family, placement) for family, placements in OTHER_PLACEMENTS.items() for placement in placements]


@pytest.fixture(params=[*((f, p) for f in SECOND_FAMILIES for p in PLACEMENTS), *OTHERS], ids="-".join)
def family_case(request: pytest.FixtureRequest, backbone_of: BackboneOf) -> tuple[str, Case]:
    """Nine rows of three groups; the first derivative takes the fast way where there is one."""
    family, placement = request.param
    return family, make_case(backbone_of(family, placement), [5, 1, 12, 30, 3], groups=3, rows=9)


def directions(case: Case, unit: bool = False) -> torch.Tensor:
    """A vector for each group."""
    vectors = torch.randn(case.prompts.shape, generator=torch.Generator().manual_seed(9))
    return vectors / vectors.flatten(1).norm(dim=1)[:, None, None] if unit else vectors


def test_products_equal_those_through_full_forwards(family_case: tuple[str, Case], unmodified_of: UnmodifiedOf) -> None:
    """Against torch's own Hessian product of an unmodified model, in a loop over groups and rows."""
    family, case = family_case
    model, vectors = unmodified_of(family), directions(case)
    _, expected = torch.autograd.functional.hvp(
        lambda prompts: case.plain_losses(model, prompts).sum(), case.prompts, vectors
    )
    assert expected.flatten(1).norm(dim=1).min() > 1e-3
    assert_near(case.objective().hessian_products(case.prompts, case.batch, vectors), expected, PRODUCT_SHARE)


def test_products_equal_differences_of_gradients(family_case: tuple[str, Case]) -> None:
    """Finite differences know nothing of second derivatives; the gradients are those of the fast way."""
    family, case = family_case
    if family == "t5":
        pytest.skip("its ReLU has kinks, where gradients jump; t5-gated has none")
    objective, vectors = case.objective(), directions(case, unit=True)
    after, before = (
        objective.losses_and_gradients(case.prompts + sign * STEP * vectors, case.batch)[1] for sign in (1, -1)
    )
    expected = (after - before) / (2 * STEP)
    products = objective.hessian_products(case.prompts, case.batch, vectors)
    for ours, theirs in zip(products, expected, strict=True):
        assert (ours - theirs).norm() < DIFFERENCE_SHARE * theirs.norm()


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_products_are_symmetric_and_linear(placement: Placement, backbone_of: BackboneOf) -> None:
    """`<u, H v> = <v, H u>` for each group, and `H (2v) = 2 H v`."""
    case = make_case(backbone_of("llama", placement), [5, 1, 12], groups=2, rows=6)
    objective, v = case.objective(), directions(case)
    u = v.flip(-1)
    along_v, along_u, twice = (
        objective.hessian_products(case.prompts, case.batch, vectors) for vectors in (v, u, 2 * v)
    )
    assert_near((u * along_v).sum((1, 2)), (v * along_u).sum((1, 2)), share=1e-3)
    assert_near(twice, 2 * along_v)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_products_in_passes_equal_the_whole(placement: Placement, backbone_of: BackboneOf) -> None:
    """Cut by a row limit and by memory; groups without rows have none; the work is counted."""
    backbone = backbone_of("qwen2", placement)
    case = make_case(backbone, [5, 1, 12, 30, 3], groups=4, rows=9)
    case.batch = Batch(case.batch.rows, [group % 3 for group in case.batch.groups], case.batch.labels)
    vectors = directions(case)
    whole = case.objective()
    expected = whole.hessian_products(case.prompts, case.batch, vectors)
    assert whole.passes == 1 and whole.row_passes == SECOND_ORDER_COST * 9 and not expected[3].any()
    for rows_limit, pass_bytes in ((1, None), (2, None), (4, None), (None, 1.0)):
        backbone.rows_limit = rows_limit
        if pass_bytes is not None:
            backbone.pass_bytes = pass_bytes
        objective = case.objective()
        assert_near(objective.hessian_products(case.prompts, case.batch, vectors), expected)
        assert objective.passes == -(-9 // (rows_limit or 1))


def test_passes_of_a_second_derivative_are_smaller(backbone_of: BackboneOf) -> None:
    """They keep several times as much, so that the same budget holds fewer rows."""
    backbone = backbone_of("llama", "suffix")
    case = make_case(backbone, [5, 6], groups=1, rows=40)
    backbone.pass_bytes = 40 * backbone.memory.row_bytes(backbone.new_tokens(case.pattern, 3), 7)
    objective = case.objective()
    objective.losses_and_gradients(case.prompts, case.batch)
    first = objective.passes
    objective.hessian_products(case.prompts, case.batch, directions(case))
    assert first == 1 and objective.passes - first > 4


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("family", FUSED)
def test_the_fused_pass_has_no_second_derivative(family: str, placement: Placement, backbone_of: BackboneOf) -> None:
    """It says so before a meta-gradient could lose its second-order part in silence."""
    case = make_case(backbone_of(family, placement), [4, 6], groups=1, rows=2)
    case.prompts.requires_grad_(True)
    loss = F.cross_entropy(case.class_scores(), torch.tensor(case.batch.labels))
    with pytest.raises(RuntimeError, match="no second derivative"):
        torch.autograd.grad(loss, case.prompts, create_graph=True)


# ------------------------------------------------------------------------- one text state, several passes


@pytest.fixture
def sharing(backbone_of: BackboneOf) -> tuple[Case, TextKV]:
    case = make_case(backbone_of("llama", "suffix"), [4, 6], groups=1, rows=2)
    state = case.prepared()
    assert isinstance(state, TextKV)
    return case, state


def run(case: Case, state: TextKV, prompts: torch.Tensor) -> torch.Tensor:
    groups = torch.tensor(case.batch.groups)
    return case.backbone.class_scores(prompts, groups, state, pattern=case.pattern)


def test_a_pass_over_text_states_that_another_pass_wrote_into_raises(sharing: tuple[Case, TextKV]) -> None:
    """The new tokens' keys lie in the text states: a second pass before the first gradient would corrupt it."""
    case, state = sharing
    first, second = (case.prompts.clone().requires_grad_(True) for _ in range(2))
    first_scores = run(case, state, first)
    second_scores = run(case, state, 2 * second)
    with pytest.raises(RuntimeError, match="another pass has written into these text states"):
        torch.autograd.grad(first_scores.sum(), first)
    (gradient,) = torch.autograd.grad(second_scores.sum(), second)
    assert gradient.any(), "the last pass is sound"


def test_scoring_without_a_gradient_counts_as_another_pass(sharing: tuple[Case, TextKV]) -> None:
    case, state = sharing
    prompts = case.prompts.clone().requires_grad_(True)
    scores = run(case, state, prompts)
    with torch.no_grad():
        run(case, state, 2 * prompts)
    with pytest.raises(RuntimeError, match="another pass has written"):
        torch.autograd.grad(scores.sum(), prompts)


def test_passes_one_after_another_share_text_states(sharing: tuple[Case, TextKV]) -> None:
    """Nothing of an earlier pass is left in what a later one sees."""
    case, state = sharing
    gradients = []
    for factor in (1.0, 3.0, 1.0):
        prompts = (factor * case.prompts).requires_grad_(True)
        gradients.append(torch.autograd.grad(run(case, state, prompts).sum(), prompts)[0])
    assert torch.equal(gradients[0], gradients[2]) and not torch.equal(gradients[0], gradients[1])


def test_the_plain_decoder_leaves_text_states_alone(sharing: tuple[Case, TextKV]) -> None:
    case, state = sharing
    case.backbone.fast = case.backbone.plain
    prompts = case.prompts.clone().requires_grad_(True)
    scores = run(case, state, prompts)
    run(case, state, 2 * prompts)
    (gradient,) = torch.autograd.grad(scores.sum(), prompts)
    assert gradient.any()


def test_text_states_without_room_are_refused(sharing: tuple[Case, TextKV]) -> None:
    """The fused pass writes new tokens in front of the text; it needs the columns."""
    case, _ = sharing
    bank = case.backbone.bank(case.texts, case.pattern)
    state = bank.batch([0, 1], spare=2)
    assert isinstance(state, TextKV)
    with pytest.raises(ValueError, match="have room for 2 new tokens, but 5 were given"):
        run(case, state, case.prompts)


def test_more_room_than_needed_changes_nothing(sharing: tuple[Case, TextKV]) -> None:
    """The last prompts of `score_all` fill only part of the room."""
    case, state = sharing
    bank = case.backbone.bank(case.texts, case.pattern)
    roomy = bank.batch(case.batch.rows, spare=state.spare + 7)
    assert isinstance(roomy, TextKV)
    roomy.keys[..., :7, :] = float("nan")
    assert_near(run(case, roomy, case.prompts), run(case, state, case.prompts))
