"""Models whose files are not what they seem are refused, or read as what they are."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch
import transformers as tf

from metapt_explore.config import InitConfig, LabelsConfig, ModelConfig
from metapt_explore.errors import UserError
from metapt_explore.models.encoder_decoder import EncoderDecoderLayout
from metapt_explore.models.families import family_of
from metapt_explore.models.load import load_backbone
from metapt_explore.models.masked import MaskedLayout
from metapt_explore.models.model_checks import check_rows_fit, positions_of
from metapt_explore.prompts.init import InitSources, initial_prompt


def test_a_head_that_is_not_in_the_files_is_not_made_up(tmp_path: Path) -> None:
    """Transformers would fill it at random, and the model would agree with itself."""
    folder = tiny.make_language_model(tmp_path, "sentence")
    config = ModelConfig(name=str(folder), family="masked", dtype="float32", device="cpu")
    with pytest.raises(UserError, match=r"lack weights that a masked model has \(cls\.predictions.*would be random"):
        load_backbone(config)


def test_a_model_that_scales_elsewhere_is_refused(tmp_path: Path) -> None:
    sizes = {f"{part}_{size}": 2 for part in ("encoder", "decoder") for size in ("layers", "attention_heads")}
    config = tf.PegasusConfig(
        vocab_size=120, d_model=16, encoder_ffn_dim=8, decoder_ffn_dim=8, scale_embedding=True, **sizes
    )
    tf.PegasusForConditionalGeneration(config).save_pretrained(tmp_path)
    tiny.tokenizer("bert").save_pretrained(tmp_path)
    with pytest.raises(UserError, match="it scales its embeddings where a prompt cannot be put"):
        load_backbone(ModelConfig(name=str(tmp_path), dtype="float32", device="cpu", max_text_tokens=16))


@pytest.mark.parametrize(
    ("settings", "family"),
    [
        ({"architectures": ["BartModel"], "is_encoder_decoder": True}, "encoder_decoder"),
        ({"architectures": ["T5WithLMHeadModel"], "is_encoder_decoder": True}, "encoder_decoder"),
        ({"architectures": ["BertModel"]}, "sentence"),
        ({"architectures": ["Gemma3ForConditionalGeneration"]}, "causal"),
        ({"architectures": ["GPT2LMHeadModel"]}, "causal"),
    ],
)
def test_families_by_their_files(settings: dict[str, Any], family: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    assert family_of(tmp_path, ModelConfig(name="x")) == family


def test_the_sentinel_as_mt5_writes_it() -> None:
    words = tiny.tokenizer()
    words.add_tokens(["▁<extra_id_0>"])
    layout = EncoderDecoderLayout(words, ModelConfig(), "encoder")
    assert layout.sentinel == (words.convert_tokens_to_ids("▁<extra_id_0>"),)
    assert EncoderDecoderLayout(words, ModelConfig(sentinel=False), "encoder").sentinel == ()


@pytest.mark.parametrize(
    ("template", "spaced"),
    [
        ("{text} It was {mask}.", True),
        ("{text} ({mask})", False),
        ("{mask} : {text}", False),
        ("{text}\n{mask}", False),
        ("{text}\nSentiment:", True),
    ],
)
def test_label_words_of_masked_models_have_the_space_that_stands_there(template: str, spaced: bool) -> None:
    assert MaskedLayout(tiny.tokenizer("bert"), ModelConfig(), "prefix").spaced(template) is spaced


def test_a_long_template_is_refused_before_anything_runs() -> None:
    """30 words, [CLS], [SEP], a mask and one more for a word of two tokens, 4 of the prompt, 20 of the text: 57."""
    layout = MaskedLayout(tiny.tokenizer("bert"), ModelConfig(max_text_tokens=20), "prefix")
    template = "{text} " + " ".join(["it"] * 30)
    pattern = layout.pattern(LabelsConfig(template=template, labels={"a": "bad", "b": "very good"}), "test")
    settings = SimpleNamespace(max_position_embeddings=58, model_type="bert", pad_token_id=0)
    check_rows_fit(pattern, layout, settings, prompt_tokens=4, where="test")
    settings.max_position_embeddings = 57
    with pytest.raises(UserError, match=r"test: the template's 30 tokens.*to at most 19"):
        check_rows_fit(pattern, layout, settings, prompt_tokens=4, where="test")
    # RoBERTa counts from behind its padding token.
    assert positions_of(SimpleNamespace(max_position_embeddings=514, model_type="roberta", pad_token_id=1)) == 512


def test_places_of_a_vocabulary_that_no_text_uses_are_no_start() -> None:
    pieces = ["[PAD]", "[unused0]", "[unused1]", "good", "bad"]
    words = SimpleNamespace(convert_ids_to_tokens=lambda ids: [pieces[token] for token in ids])
    made = initial_prompt(
        InitConfig(kind="vocabulary"), 50, InitSources(torch.eye(5), tokenizer=words), seed=0, init_seed=0
    )
    assert made.sum(0)[1:3].eq(0).all() and made.sum(0)[[0, 3, 4]].gt(0).all()
