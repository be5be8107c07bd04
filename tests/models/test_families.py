"""Every family, placement and decoder gives what an unmodified model gives in full forwards, one row at a time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from plain_reference import FAMILIES, FUSED, WAYS, Case, assert_near, make_case

from metapt_explore.config import Placement
from metapt_explore.models.causal import CausalBackbone
from metapt_explore.models.decoders.fused import FusedDecoder
from metapt_explore.models.scoring import score_all
from metapt_explore.models.self_check import check_exact

#: Ragged; the shortest, the limit, and one that is cut to the limit.
LENGTHS = [5, 1, 12, 30, 3]

BackboneOf = Callable[..., CausalBackbone]
UnmodifiedOf = Callable[[str], torch.nn.Module]


@pytest.fixture
def case(way: tuple[str, Placement, str], backbone_of: BackboneOf) -> Case:
    family, placement, decoder = way
    backbone = backbone_of(family, placement, decoder)
    assert isinstance(getattr(backbone, "fast", None), FusedDecoder) == (decoder == "fused"), (
        "the decoder that is meant is tested"
    )
    return make_case(backbone, LENGTHS, groups=3, rows=9)


@pytest.mark.parametrize("way", WAYS, ids="-".join)
def test_scores_equal_full_forwards(way: tuple[str, Placement, str], case: Case, unmodified_of: UnmodifiedOf) -> None:
    """Cached texts or shared prompts, several prompts over one text, label words at one position."""
    model = unmodified_of(way[0])
    with torch.no_grad():
        every = torch.stack(
            [torch.stack([case.plain_scores(model, prompt, text) for text in case.texts]) for prompt in case.prompts]
        )
        scores = case.class_scores()
    bank = case.backbone.bank(case.texts, case.pattern)
    together = score_all(case.backbone, case.prompts, bank, pattern=case.pattern)

    assert every.std() > 0.1, "scores differ, so that equality says something"
    assert_near(scores, every[case.batch.groups, case.batch.rows])
    assert_near(together, every)


@pytest.mark.parametrize("way", WAYS, ids="-".join)
def test_gradients_equal_full_forwards(
    way: tuple[str, Placement, str], case: Case, unmodified_of: UnmodifiedOf
) -> None:
    """Losses of three groups in one pass, and the gradient of each group's prompt."""
    losses, gradients = case.objective().losses_and_gradients(case.prompts, case.batch)
    plain = case.prompts.clone().requires_grad_(True)
    expected = case.plain_losses(unmodified_of(way[0]), plain)
    (expected_gradients,) = torch.autograd.grad(expected.sum(), plain)

    assert expected_gradients.flatten(1).norm(dim=1).min() > 1e-3
    assert_near(losses, expected.detach())
    assert_near(gradients, expected_gradients)
    assert_near(case.objective().losses(case.prompts, case.batch), losses)


@pytest.mark.parametrize("way", WAYS, ids="-".join)
def test_the_check_at_load_accepts_it(way: tuple[str, Placement, str], case: Case) -> None:
    """A check that is too strict would refuse a model, or silently slow it down."""
    decoder, notices = getattr(case.backbone, "fast", None), list[str]()
    case.backbone.on_notice = notices.append
    check_exact(case.backbone)
    assert getattr(case.backbone, "fast", None) is decoder and not notices


@pytest.mark.parametrize("family", FAMILIES)
def test_prompts_start_from_vectors_that_the_model_sees(family: str, backbone_of: BackboneOf) -> None:
    """Some models scale what they look up; a start from the bare table would be far off."""
    backbone = backbone_of(family)
    tokens = torch.tensor([3, 50, 7])
    assert torch.equal(backbone.embedding[tokens], backbone.model.get_input_embeddings()(tokens))


@pytest.mark.parametrize("family", FUSED)
def test_the_tiny_models_have_what_fused_weights_fold(family: str, unmodified_of: UnmodifiedOf) -> None:
    """Without uneven norms and biases, mistakes with them would not show."""
    parameters = dict(unmodified_of(family).named_parameters())
    norms = [value for name, value in parameters.items() if "layernorm" in name]
    biases = [value for name, value in parameters.items() if name.endswith("bias")]
    assert len(norms) == 4 and all(value.std() > 0.1 for value in norms)
    assert all(value.abs().min() > 0 for value in biases)
    assert bool(biases) == (family in ("qwen2", "llama-biased"))
