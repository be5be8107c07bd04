"""Layers on several devices, float16, weights of 4 and 8 bits: the same scores and gradients, or refused.

Without a card, layers are spread over the processor and the disk, which goes by the same hooks.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch
from plain_reference import Case, assert_near, make_backbone, make_case
from safetensors.torch import load_file, save_file

from metapt_explore.baselines.model_tuning import own_backbone
from metapt_explore.config import ModelConfig, StudyConfig, parse
from metapt_explore.cost.calibrate import loaded_mib, memory_mib
from metapt_explore.errors import UserError
from metapt_explore.models import gradients as gradients_module
from metapt_explore.models import placing
from metapt_explore.models.causal import CausalBackbone
from metapt_explore.models.device import resolve_dtype
from metapt_explore.models.load import load_backbone
from metapt_explore.models.study_model import StudyModel

FolderOf = Callable[[str], Path]

ROWS, TEXTS = 4, [3, 5, 9, 2]
SPREAD: dict[str, int | str] = {
    "model.embed_tokens": "cpu",
    "model.layers.0": "disk",
    "model.layers.1": "cpu",
    "model.norm": "disk",
    "model.rotary_emb": "cpu",
    "lm_head": "disk",
}
EMBEDDINGS_AWAY = {**SPREAD, "model.embed_tokens": "disk", "model.layers.1": "disk"}
needs_bitsandbytes = pytest.mark.skipif(
    find_spec("bitsandbytes") is None, reason="bitsandbytes (the extra `quantised`) is not installed"
)


def loaded(folder: Path, placement: Any = "suffix", **settings: Any) -> CausalBackbone:
    device = {} if "device_map" in settings else {"device": "cpu"}
    config = ModelConfig(name=str(folder), max_text_tokens=32, **{"dtype": "float32", **device, **settings})
    backbone = load_backbone(config, placement, prompt_tokens=4)
    assert isinstance(backbone, CausalBackbone)
    return backbone


def case_of(backbone: CausalBackbone) -> Case:
    return make_case(backbone, TEXTS, groups=2, rows=ROWS)


def gradients(backbone: CausalBackbone) -> tuple[torch.Tensor, torch.Tensor]:
    case = case_of(backbone)
    return case.objective().losses_and_gradients(case.prompts, case.batch)


# ---------------------------------------------------------------------------------------- device_map


@pytest.mark.parametrize("placement", ["suffix", "prefix"])
@pytest.mark.parametrize("device_map", [SPREAD, EMBEDDINGS_AWAY, {"": "cpu"}, "auto"], ids=str)
def test_spread_layers_give_the_same_numbers(folder_of: FolderOf, placement: Any, device_map: Any) -> None:
    spread = loaded(folder_of("llama"), placement, device_map=device_map)
    assert spread.fast is spread.plain, "the hand-written pass reads weights that lie elsewhere"
    if isinstance(device_map, dict) and len(device_map) > 1:
        assert any(weight.is_meta for weight in spread.model.parameters()), "nothing was spread"
        assert not spread.embedding.is_meta and spread.device.type == "cpu"
    whole = make_backbone(folder_of("llama"), placement, "plain", max_text_tokens=32)
    for ours, theirs in zip(gradients(spread), gradients(whole), strict=True):
        assert_near(ours, theirs)
    products = []
    for backbone in (spread, whole):
        case = case_of(backbone)
        products.append(case.objective().hessian_products(case.prompts, case.batch, torch.ones_like(case.prompts)))
    assert_near(*products)
    assert loaded_mib(spread) == pytest.approx(memory_mib(spread.device), rel=0.1)


def test_a_part_that_is_not_placed_is_one_sentence(folder_of: FolderOf) -> None:
    with pytest.raises(UserError, match="cannot be loaded"):
        loaded(folder_of("llama"), device_map={"": "nowhere"})


# ------------------------------------------------------------------------------------------- float16


def test_float16_is_near_float32_and_takes_half(folder_of: FolderOf) -> None:
    half, whole = (loaded(folder_of("llama"), dtype=dtype) for dtype in ("float16", "float32"))
    assert half.dtype == torch.float16 and half.memory.kv_bytes_per_token * 2 == whole.memory.kv_bytes_per_token
    for ours, theirs in zip(gradients(half), gradients(whole), strict=True):
        assert ours.dtype == torch.float32
        assert_near(ours, theirs, share=0.03)
    assert half.encoded([[3, 4, 5]], spare=2).keys.dtype == torch.float16


def test_rivals_that_train_the_model_are_float32_beside_float16(folder_of: FolderOf) -> None:
    """A card without bfloat16 is given float16 by `auto`; LoRA and the others must run there as before."""
    said: list[str] = []
    model = ModelConfig(name=str(folder_of("llama")), max_text_tokens=32, dtype="float16", device="cpu")
    half = load_backbone(model, "suffix", prompt_tokens=4, on_notice=said.append)
    study = SimpleNamespace(model=model)
    copy = own_backbone(SimpleNamespace(study=study, backbone=lambda: half))  # type: ignore[arg-type]
    assert (half.dtype, copy.dtype) == (torch.float16, torch.float32)
    assert "float32" in said[-1]


def test_small_gradients_do_not_vanish_in_float16(folder_of: FolderOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gradient of 1e-8 is 0 in float16: losses are scaled while it is taken. Hessian products likewise."""
    small = 2.0**-22
    real = gradients_module.pass_losses

    def tiny_losses(*args: Any, **options: Any) -> torch.Tensor:
        return real(*args, **options) * small

    half, whole = (loaded(folder_of("llama"), dtype=dtype) for dtype in ("float16", "float32"))

    def products(backbone: CausalBackbone) -> torch.Tensor:
        case = case_of(backbone)
        return case.objective().hessian_products(case.prompts, case.batch, torch.ones_like(case.prompts))

    exact, exact_products = gradients(whole)[1], products(whole)
    monkeypatch.setattr(gradients_module, "pass_losses", tiny_losses)
    # Beside a floor of what float16 itself rounds to nothing once it is scaled.
    assert_near(gradients(half)[1] / small, exact, share=0.1)
    assert_near(products(half) / small, exact_products, share=0.2)
    monkeypatch.setattr(gradients_module, "FLOAT16_SCALE", 1.0)
    lost = gradients(half)[1] / small - exact
    assert float(lost.norm()) > 0.3 * float(exact.norm()), "without scaling much is lost: the test would see it"


def test_a_model_that_overflows_is_refused_with_advice(folder_of: FolderOf, tmp_path: Path) -> None:
    tiny.make_language_model(tmp_path / "large")
    file = tmp_path / "large" / "model.safetensors"
    weights = load_file(file)
    # First what is computed is too large, then a weight itself is.
    for scale, told in ((1e4, "Some models overflow in float16"), (1e6, "holds numbers that float16 has not")):
        larger = {name: values * scale if "layers.0.mlp" in name else values for name, values in weights.items()}
        save_file(larger, file, metadata={"format": "pt"})
        with pytest.raises(UserError, match=f"{told}.*float32"):
            loaded(tmp_path / "large", dtype="float16")
        assert loaded(tmp_path / "large").dtype == torch.float32


def test_cards_without_bfloat16(monkeypatch: pytest.MonkeyPatch, folder_of: FolderOf) -> None:
    for has, of_large, of_others in ((True, torch.bfloat16, torch.bfloat16), (False, torch.float16, torch.float32)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, has=has: has)
        assert resolve_dtype("auto", "cuda", float16=True) == of_large
        assert resolve_dtype("auto", "cuda:1") == of_others
    assert resolve_dtype("float16", "cpu") == torch.float16 and resolve_dtype("float32", "cuda") == torch.float32
    # T5 overflows in float16: never there, asked for or not.
    with pytest.raises(UserError, match=r"encoder-decoder: model\.dtype float16 goes with decoder-only"):
        load_backbone(ModelConfig(name=str(folder_of("t5")), device="cpu", dtype="float16", max_text_tokens=32))


# ------------------------------------------------------------------------------------------ settings


def test_settings_that_do_not_go_together(folder_of: FolderOf, world: Path) -> None:
    for settings in ({"device_map": SPREAD}, {"quantised": "4bit", "device": "cpu"}):
        key = next(iter(settings))
        with pytest.raises(UserError, match=f"is masked: model.{key} goes with decoder-only"):
            load_backbone(ModelConfig(name=str(folder_of("bert")), max_text_tokens=32, dtype="float32", **settings))
    with pytest.raises(ValueError, match="leave `device` out"):
        ModelConfig(device_map="auto", device="cpu")
    with pytest.raises(ValueError, match="is empty"):
        ModelConfig(device_map={})
    tree = tiny.study_tree(world)
    baselines = [{"kind": "lora", "name": "lora"}, "majority"]
    with pytest.raises(UserError, match=r"'lora' trains inside the language model.*model.quantised"):
        parse(
            StudyConfig,
            {**tree, "baselines": baselines, "model": {**tree["model"], "quantised": "4bit"}},
            "the study",
        )


def test_ids_name_these_settings_only_where_they_are_used(world: Path) -> None:
    tree = tiny.study_tree(world)

    def identity(**model: Any) -> dict[str, Any]:
        of_model = {key: value for key, value in tree["model"].items() if key != "device" or "device_map" not in model}
        config = parse(StudyConfig, {**tree, "model": {**of_model, **model}}, "the study")
        return StudyModel(config, lambda message: None).identity

    plain = identity()
    assert plain.keys() & {"device_map", "quantised"} == set()
    assert identity(quantised="4bit") == {**plain, "quantised": "4bit"}
    assert identity(device_map={"": "cpu"}) == {**plain, "device_map": {"": "cpu"}}
    assert identity(dtype="float16") == {**plain, "dtype": "float16"}


def test_a_placed_model_without_gradients_is_refused(folder_of: FolderOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some products of libraries have no gradient, and say nothing."""
    real = CausalBackbone.features

    def without(*args: Any, **options: Any) -> torch.Tensor:
        features = real(*args, **options)
        return features.detach() + 0 * features

    monkeypatch.setattr(CausalBackbone, "features", without)
    with pytest.raises(UserError, match="gives no gradient"):
        loaded(folder_of("llama"), device_map={"": "cpu"})


def test_bitsandbytes_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch, folder_of: FolderOf) -> None:
    monkeypatch.setattr(placing, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'metapt-explore\[quantised\]'"):
        loaded(folder_of("llama"), quantised="4bit")


@needs_bitsandbytes
@pytest.mark.parametrize(("bits", "share"), [("4bit", 0.5), ("8bit", 0.1)])
def test_quantised_weights(tmp_path: Path, bits: Any, share: float) -> None:
    # Rows of weights are quantised in blocks of 64: the tiny models of other tests are narrower.
    folder = tiny.make_language_model(tmp_path / "wide", hidden_size=64, intermediate_size=128)
    ours, whole = loaded(folder, quantised=bits), loaded(folder)
    assert ours.fast is ours.plain and ours.dtype == torch.float32
    sizes = [backbone.model.get_memory_footprint() for backbone in (ours, whole)]
    assert sizes[0] < sizes[1]
    losses, gradient = gradients(ours)
    exact_losses, exact = gradients(whole)
    assert_near(losses, exact_losses, share=share)
    # Rounded weights, the same direction; and a second derivative, as exact meta-gradients need it.
    assert float(torch.cosine_similarity(gradient.flatten(), exact.flatten(), dim=0)) > 0.7
    case = case_of(ours)
    # Not after a pass without a gradient either, as texts are encoded.
    with torch.no_grad():
        case.objective().losses(case.prompts, case.batch)
    assert torch.equal(gradients(ours)[1], gradient)
    product = case.objective().hessian_products(case.prompts, case.batch, gradient)
    assert torch.isfinite(product).all() and float(product.norm()) > 0
