"""A way of running a model that gives other results than the model is not used, and the user is told."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
import torch
import transformers
from plain_reference import PLACEMENTS, assert_near, make_backbone, make_case

from metapt_explore.config import ModelConfig, Placement
from metapt_explore.errors import UserError
from metapt_explore.models.causal import CausalBackbone
from metapt_explore.models.decoders.frozen_linear import FrozenLinear
from metapt_explore.models.decoders.fused import FusedDecoder
from metapt_explore.models.decoders.fused_layout import Given
from metapt_explore.models.decoders.fused_pass import FusedPass
from metapt_explore.models.decoders.fused_weights import LayerWeights
from metapt_explore.models.decoders.plain import PlainDecoder
from metapt_explore.models.load import load_backbone
from metapt_explore.models.self_check import check_exact

BackboneOf = Callable[..., CausalBackbone]

PARTS = [field.name for field in dataclasses.fields(LayerWeights)]
NUMBERS = pytest.mark.parametrize("factor", [1.5, float("nan")], ids=["wrong", "not a number"])


def checked(backbone: CausalBackbone) -> list[str]:
    notices: list[str] = []
    backbone.on_notice = notices.append
    check_exact(backbone)
    return notices


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("part", PARTS)
@NUMBERS
def test_a_fused_weight_that_is_wrong_is_noticed(
    part: str, factor: float, placement: Placement, backbone_of: BackboneOf
) -> None:
    """The model's own pass is used instead, whose results are right."""
    backbone = backbone_of("llama", placement)
    expected = make_case(backbone_of("llama", placement, "plain"), [3, 5], groups=1, rows=4)
    assert isinstance(backbone.fast, FusedDecoder)
    layers = backbone.fast.layers
    linear = getattr(layers[0], part)
    wrong = FrozenLinear(factor * linear.weight, linear.bias)
    layers[0] = dataclasses.replace(layers[0], **{part: wrong})
    (notice,) = checked(backbone)
    assert "runs through its own forward pass: the faster one is not exact for it" in notice
    assert backbone.fast is backbone.plain
    case = make_case(backbone, [3, 5], groups=1, rows=4)
    ours, theirs = (c.objective().losses_and_gradients(c.prompts, c.batch) for c in (case, expected))
    assert torch.equal(ours[0], theirs[0]) and torch.equal(ours[1], theirs[1])
    assert checked(backbone) == []


@pytest.mark.parametrize("placement", PLACEMENTS)
@NUMBERS
def test_a_fused_gradient_that_is_wrong_is_noticed(
    factor: float, placement: Placement, backbone_of: BackboneOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores alone would not show it."""
    backbone = backbone_of("llama", placement)
    if placement == "deep":
        of_keys = Given.gradients
        monkeypatch.setattr(Given, "gradients", lambda self: tuple(factor * each for each in of_keys(self)))
    honest = FusedPass.backward
    monkeypatch.setattr(FusedPass, "backward", lambda self, gradient: factor * honest(self, gradient))
    assert len(checked(backbone)) == 1 and backbone.fast is backbone.plain


@pytest.mark.parametrize("placement", PLACEMENTS)
@NUMBERS
def test_a_model_whose_own_pass_differs_is_refused(
    factor: float, placement: Placement, backbone_of: BackboneOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = {"suffix": "after_text", "prefix": "after_prompt", "deep": "after_keys"}[placement]
    honest = getattr(PlainDecoder, name)
    monkeypatch.setattr(PlainDecoder, name, lambda self, *args, **rest: factor * honest(self, *args, **rest))
    with pytest.raises(UserError, match="other scores over cached keys and values"):
        check_exact(backbone_of("gpt2", placement))


def test_text_states_that_are_wrong_are_noticed(backbone_of: BackboneOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions off by one, as an architecture with other positions would have them."""
    backbone = backbone_of("llama", "suffix", "plain")
    base = backbone.model.base_model
    honest = base.forward
    monkeypatch.setattr(
        base,
        "forward",
        lambda *args, position_ids=None, **rest: honest(
            *args, position_ids=None if position_ids is None else position_ids + 1, **rest
        ),
    )
    with pytest.raises(UserError, match="other scores over cached keys and values"):
        check_exact(backbone)


#: Real architectures that do something which the shortcuts do not cover, and how they are refused.
UNFIT = {
    # Linear biases instead of positions, and attention of its own.
    "Bloom": ({"hidden_size": 32, "n_layer": 2, "n_head": 4}, "its attention cannot be replaced"),
    # The same, and known as such when it is loaded.
    "Falcon": (
        {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4},
        "its attention cannot be replaced",
    ),
    # No attention at all.
    "Mamba": ({"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}, "its attention cannot be replaced"),
    # The head scales its scores.
    "Cohere": (
        {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4},
        "other scores over cached",
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("family", UNFIT)
def test_architectures_that_are_not_covered_are_refused(family: str, placement: Placement, tmp_path: Path) -> None:
    """In one sentence, whatever goes wrong inside."""
    shape, message = UNFIT[family]
    words = tiny.tokenizer()
    tokens = {"pad_token_id": 0, "bos_token_id": None, "eos_token_id": None, "initializer_range": 0.3}
    config = getattr(transformers, f"{family}Config")(vocab_size=len(words), **shape, **tokens)
    torch.manual_seed(0)
    getattr(transformers, f"{family}ForCausalLM")(config).save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    with pytest.raises(UserError, match=message):
        load_backbone(ModelConfig(name=str(tmp_path), dtype="float32", device="cpu"), placement)


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_the_text_part_of_a_model_with_images_can_be_used(placement: Placement, tmp_path: Path) -> None:
    """Gemma 3 beyond 1B is such a model; its sizes lie in a part of the configuration."""
    text_folder = tiny.make_language_model(tmp_path / "text", "gemma3", uneven=True)
    text = transformers.Gemma3ForCausalLM.from_pretrained(text_folder)
    vision = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28)
    config = transformers.Gemma3Config(text_config=text.config.to_dict(), vision_config={**vision, "patch_size": 14})
    both = transformers.Gemma3ForConditionalGeneration(config)
    both.model.language_model.load_state_dict(text.model.state_dict())
    both.save_pretrained(tmp_path / "both")
    tiny.tokenizer().save_pretrained(tmp_path / "both")
    with pytest.raises(UserError, match="holds 128 tokens in all"):
        load_backbone(ModelConfig(name=str(tmp_path / "both"), max_text_tokens=97), placement)
    settings = ModelConfig(name=str(tmp_path / "both"), dtype="float32", device="cpu", max_text_tokens=12)
    cases = (
        make_case(backbone, [5, 1, 12], groups=2, rows=4)
        for backbone in (load_backbone(settings, placement), make_backbone(text_folder, placement))
    )
    (losses, gradients), (expected, expected_gradients) = (
        case.objective().losses_and_gradients(case.prompts, case.batch) for case in cases
    )
    assert_near(losses, expected)
    assert_near(gradients, expected_gradients)


def test_a_notice_at_load_reaches_the_caller(folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    honest, notices = FusedPass.backward, list[str]()
    monkeypatch.setattr(FusedPass, "backward", lambda self, gradient: 2 * honest(self, gradient))
    settings = ModelConfig(name=str(folder_of("llama")), dtype="float32", device="cpu")
    load_backbone(settings, on_notice=notices.append)
    assert len(notices) == 1 and "its own forward pass" in notices[0]
