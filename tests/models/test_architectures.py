"""Models of other makes load, which compares them with their own full forward, and can be tuned; or say why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
import transformers as tf

from metapt_explore.config import LabelsConfig, ModelConfig
from metapt_explore.config.families import FAMILIES
from metapt_explore.models.families import family_of
from metapt_explore.models.gradients import Batch, PromptObjective
from metapt_explore.models.load import load_backbone
from metapt_explore.models.scoring import answer_states

LABELS = LabelsConfig(template="{text} Type :", labels={"a": "bad", "b": ["good", "very solid"]})
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
T5 = {"d_model": 32, "d_ff": 48, "num_layers": 2, "num_heads": 4, "d_kv": 8, "decoder_start_token_id": 0}
BART = {
    "d_model": 32,
    **{
        f"{part}_{size}": number for part in ("encoder", "decoder") for size, number in (("layers", 2), ("ffn_dim", 48))
    },
    **{f"{part}_attention_heads": 4 for part in ("encoder", "decoder")},
    "max_position_embeddings": 64,
    "decoder_start_token_id": 0,
}
NARROW = {**SIZES, "embedding_size": 16}
DISTIL = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}
DEBERTA = {**SIZES, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]}
ENDS = {"bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}

#: Class, and settings of its configuration.
MODELS: list[tuple[str, dict[str, Any]]] = [
    ("DistilBertForMaskedLM", DISTIL),
    ("ElectraForMaskedLM", NARROW),
    ("AlbertForMaskedLM", NARROW),
    ("MPNetForMaskedLM", SIZES),
    ("ModernBertForMaskedLM", {**SIZES, **ENDS}),
    ("DebertaV2ForMaskedLM", DEBERTA),
    ("XLMRobertaForMaskedLM", SIZES),
    ("BertForPreTraining", SIZES),
    ("MT5ForConditionalGeneration", T5),
    ("UMT5ForConditionalGeneration", T5),
    ("PegasusForConditionalGeneration", BART),
    ("MBartForConditionalGeneration", BART),
    ("MPNetModel", SIZES),
    ("DistilBertModel", DISTIL),
    ("ElectraModel", NARROW),
    ("Phi3ForCausalLM", SIZES),
    ("Olmo2ForCausalLM", SIZES),
]


def make(folder: Path, name: str, settings: dict[str, Any]) -> ModelConfig:
    torch.manual_seed(0)
    model_class = getattr(tf, name)
    config = model_class.config_class(**{"vocab_size": 120, **settings})
    model_class(config).save_pretrained(folder)
    tiny.tokenizer("t5" if "T5" in name else "bert").save_pretrained(folder)
    return ModelConfig(name=str(folder), dtype="float32", device="cpu", max_text_tokens=16)


@pytest.mark.parametrize(("name", "settings"), MODELS, ids=[name for name, _ in MODELS])
def test_it_loads_in_every_placement_and_has_gradients(name: str, settings: dict[str, Any], tmp_path: Path) -> None:
    config = make(tmp_path, name, settings)
    for placement in FAMILIES[family_of(tmp_path, config)].placements:
        backbone = load_backbone(config, placement)
        pattern = backbone.pattern(LABELS, "test")
        texts = ["my book", "a good camera was bad"]
        objective = PromptObjective(backbone, backbone.bank(texts, pattern), pattern)
        prompts = 0.3 * torch.randn(1, 3, backbone.width, generator=torch.Generator().manual_seed(0))
        batch = Batch([0, 1], [0, 0], [0, 1])
        _, gradients = objective.losses_and_gradients(prompts, batch)
        assert gradients.isfinite().all() and gradients.any()
        assert objective.hessian_products(prompts, batch, prompts).any()
        assert answer_states(backbone, prompts, objective.bank, pattern=pattern).shape[:2] == (1, 2)
