"""What a model, a template and texts must be like: refused with one sentence that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
from plain_reference import LABELS, PLACEMENTS
from transformers import T5Config

from metapt_explore.config import LabelsConfig, ModelConfig, Placement
from metapt_explore.errors import UserError
from metapt_explore.models.causal import CausalBackbone, CausalLayout
from metapt_explore.models.load import load_backbone
from metapt_explore.models.model_checks import ROOM_FOR_TEMPLATE


@pytest.fixture
def llama(backbone_of: Callable[..., CausalBackbone]) -> CausalBackbone:
    return backbone_of("llama")


def test_label_word_of_two_tokens_cannot_compete_with_the_vocabulary(llama: CausalBackbone) -> None:
    labels = LabelsConfig(template="{text} :", labels={"a": "good great", "b": "bad"})
    with pytest.raises(UserError, match="label word 'good great' of class 'a' is 2 tokens"):
        llama.pattern(labels, "task x", whole_vocabulary=True)


def test_two_classes_with_one_label_word_are_refused(llama: CausalBackbone) -> None:
    """Their scores would always be equal."""
    labels = LabelsConfig(template="{text} :", labels={"a": "blorp", "b": "unknown"})
    with pytest.raises(UserError, match="classes 'a' and 'b' have the same label word token"):
        llama.pattern(labels, "task x")


def test_template_without_tail_is_refused(llama: CausalBackbone) -> None:
    labels = LabelsConfig(template="{text}", labels={"a": "good", "b": "bad"})
    with pytest.raises(UserError, match="add something after it"):
        llama.pattern(labels, "task x")


def test_a_blank_text_is_refused(llama: CausalBackbone) -> None:
    """With nothing in front of it there would be no token to attend to."""
    pattern = llama.pattern(LabelsConfig(template="{text} :", labels={"a": "good", "b": "bad"}), "task x")
    with pytest.raises(UserError, match="Text 1 is blank"):
        llama.bank(["good", "", "bad"], pattern)
    assert len(llama.bank(["good", ""], llama.pattern(LABELS, "task x"))) == 2, "its template stands in front"


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_text_begins_as_the_tokenizer_begins_it(
    placement: Placement, backbone_of: Callable[..., CausalBackbone]
) -> None:
    """A beginning-of-sequence token where the tokenizer sets one; the template is never cut."""
    backbone = backbone_of("llama", placement)
    pattern = backbone.pattern(LABELS, "test")
    before, tail = list(pattern.before), list(pattern.tail) if placement != "suffix" else []
    word = backbone.tokenizer.convert_tokens_to_ids("good")
    assert backbone.bank(["good"], pattern).token_ids == [[*before, word, *tail]]

    from tokenizers.processors import TemplateProcessing

    marked = tiny.tokenizer()
    first = marked.convert_tokens_to_ids("[CLS]")
    marked.bos_token = "[CLS]"
    marked.backend_tokenizer.post_processor = TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", first)])
    backbone.layout = CausalLayout(marked, backbone.config, placement)
    del backbone.banks
    long = " ".join(["good"] * 40)
    assert backbone.bank([long], pattern).token_ids == [[first, *before, *[word] * 12, *tail]]


def test_unreachable_model_is_one_sentence() -> None:
    with pytest.raises(UserError, match="Cannot load the model 'nobody/no-such-model'"):
        load_backbone(ModelConfig(name="nobody/no-such-model"))
    with pytest.raises(UserError, match="There is no model folder"):
        load_backbone(ModelConfig(name="/no/such/folder"))


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_placement_that_a_family_cannot_do_is_refused(placement: Placement, tmp_path: Path) -> None:
    """Before its weights are read, and with the placements that it can do."""
    T5Config().save_pretrained(tmp_path)
    expected = f"prompt.placement is `{placement}`.* family encoder-decoder, which can do `encoder` or `decoder`"
    with pytest.raises(UserError, match=expected):
        load_backbone(ModelConfig(name=str(tmp_path)), placement)


def test_texts_longer_than_the_model_are_refused(folder_of: Callable[[str], Path]) -> None:
    with pytest.raises(UserError, match="holds 128 tokens in all; use at most 96"):
        load_backbone(ModelConfig(name=str(folder_of("llama")), max_text_tokens=97))


def test_texts_longer_than_a_window_of_attention_are_refused(tmp_path: Path) -> None:
    """Our attention sees everything; the model would not. Within its window the two are the same."""
    folder = tiny.make_language_model(tmp_path, "mistral", sliding_window=40)
    room = 40 - ROOM_FOR_TEMPLATE - 16
    with pytest.raises(UserError, match=f"windows of 40 tokens; model.max_text_tokens must be at most {room}"):
        load_backbone(ModelConfig(name=str(folder), max_text_tokens=room + 1))
    backbone = load_backbone(ModelConfig(name=str(folder), dtype="float32", device="cpu", max_text_tokens=room))
    assert backbone.fast is backbone.plain
