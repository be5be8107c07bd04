"""Classes read from words, against hand-written sums over the full vocabulary of unmodified models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import log

import pytest
import tiny
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from plain_reference import Case, assert_near, make_case

from metapt_explore.config import LabelsConfig, ModelConfig, Placement
from metapt_explore.errors import UserError
from metapt_explore.fewshot.automatic_words import likeliest_words, with_automatic_words, word_tokens
from metapt_explore.fewshot.scoring import LabelledTexts, measure
from metapt_explore.models.causal import CausalLayout
from metapt_explore.models.scoring import calibrated, score_all
from metapt_explore.verbalizers.pattern import space_writer
from metapt_explore.verbalizers.prototypes import TEMPERATURE, Prototypes
from metapt_explore.verbalizers.template import tokenise

BackboneOf = Callable[..., object]
UnmodifiedOf = Callable[[str], torch.nn.Module]

WAYS: list[tuple[str, Placement, str]] = [
    ("llama", "suffix", "fused"),
    ("llama", "suffix", "plain"),
    ("llama", "prefix", "fused"),
    ("gpt2", "prefix", "plain"),
    ("t5", "encoder", "plain"),
    ("t5", "decoder", "plain"),
    ("bart", "decoder", "plain"),
    ("bert", "prefix", "plain"),
    ("roberta", "prefix", "plain"),
]
#: Several words, words of two and three tokens, of which two begin alike.
WORDS = {"negative": ["bad", "very poor", "really so broken"], "positive": ["good", "very solid"]}


@pytest.fixture(params=WAYS, ids="-".join)
def case(request: pytest.FixtureRequest, backbone_of: BackboneOf) -> tuple[str, Case]:
    family, placement, decoder = request.param
    return family, make_case(backbone_of(family, placement, decoder), [5, 1, 12, 3], groups=2, rows=6)


def with_labels(case: Case, labels: dict[str, list[str]]) -> Case:
    return replace(case, labels=LabelsConfig(template=case.labels.template, labels=labels))


def plain_word(case: Case, model: torch.nn.Module, prompt: torch.Tensor, text: str, word: str) -> torch.Tensor:
    """Log-probability of a word."""
    tokens = case.backbone.tokenizer(word, add_special_tokens=False)["input_ids"]
    mask = case.backbone.tokenizer.mask_token_id
    if type(case.backbone).__name__ == "MaskedBackbone":
        at_masks = case.plain_vocabulary(model, prompt, text, [mask] * (len(tokens) - 1)).log_softmax(-1)
        return at_masks[range(len(tokens)), tokens].sum()
    total = torch.zeros(())
    for place, token in enumerate(tokens):
        total = total + case.plain_vocabulary(model, prompt, text, tokens[:place])[0].log_softmax(-1)[token]
    return total


def plain_classes(case: Case, model: torch.nn.Module, prompt: torch.Tensor, text: str) -> torch.Tensor:
    """Log of each class's mean word probability."""
    return torch.stack(
        [
            torch.stack([plain_word(case, model, prompt, text, word) for word in label.words]).logsumexp(0)
            - log(len(label.words))
            for label in case.labels.labels.values()
        ]
    )


def test_several_words_of_several_tokens(case: tuple[str, Case], unmodified_of: UnmodifiedOf) -> None:
    """Scores, scores of many prompts at once, and gradients."""
    family, plain = case
    case_ = with_labels(plain, WORDS)
    model = unmodified_of(family)
    prompts = case_.prompts.clone().requires_grad_(True)
    every = torch.stack(
        [torch.stack([plain_classes(case_, model, prompt, text) for text in case_.texts]) for prompt in prompts]
    )
    own = every[case_.batch.groups, case_.batch.rows]
    assert every.std() > 0.1
    assert_near(case_.class_scores(), own.detach())
    bank = case_.backbone.bank(case_.texts, case_.pattern)
    assert_near(score_all(case_.backbone, case_.prompts, bank, pattern=case_.pattern), every.detach())

    row_losses = F.cross_entropy(own, torch.tensor(case_.batch.labels), reduction="none")
    counts = torch.bincount(torch.tensor(case_.batch.groups), minlength=2).clamp(min=1)
    (expected,) = torch.autograd.grad((row_losses / counts[case_.batch.groups]).sum(), prompts)
    assert expected.norm() > 1e-3
    _, gradients = case_.objective().losses_and_gradients(case_.prompts, case_.batch)
    assert_near(gradients, expected, share=1e-4)


def test_the_whole_vocabulary(case: tuple[str, Case], unmodified_of: UnmodifiedOf) -> None:
    """The loss is that of the label word among all tokens; another word than a label word is a wrong answer."""
    family, plain = case
    labels = LabelsConfig(template=plain.labels.template, labels={"negative": ["bad", "poor"], "positive": "good"})
    backbone, model = plain.backbone, unmodified_of(family)
    pattern = backbone.pattern(labels, "test", whole_vocabulary=True)
    bank = backbone.bank(plain.texts, pattern)
    with torch.no_grad():
        logs = torch.stack(
            [plain.plain_vocabulary(model, plain.prompts[1], text)[0].log_softmax(-1) for text in plain.texts]
        )
    scores = score_all(backbone, plain.prompts, bank, pattern=pattern)[1]
    tokens = {
        word: backbone.tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in ("bad", "poor", "good")
    }
    words = [[tokens["bad"], tokens["poor"]], [tokens["good"]]]
    others = [token for token in range(logs.shape[1]) if token not in tokens.values()]
    sums = torch.stack([logs[:, own].logsumexp(1) for own in [*words, others]], dim=1)
    bests = torch.stack([logs[:, own].max(1).values for own in [*words, others]], dim=1)
    assert_near(pattern.verbalizer.for_loss(scores), sums)
    assert_near(pattern.verbalizer.for_choice(scores), bests)
    assert_near(sums.logsumexp(1), torch.zeros(len(plain.texts)), floor=1e-4)
    # Classes 0, 1, and 2 for a word of no class, which no row's label is.
    choice = logs.argmax(1)
    truth = [0, 1, 0, 1]
    right = [int(choice[row]) in words[truth[row]] for row in range(4)]
    assert measure(scores, truth, pattern.verbalizer)["accuracy"] == sum(right) / 4


def test_words_of_several_tokens_cannot_compete_with_the_vocabulary(backbone_of: BackboneOf) -> None:
    backbone = backbone_of("llama")
    labels = LabelsConfig(template="{text} :", labels={"a": "bad", "b": "very good"})
    with pytest.raises(UserError, match="label word 'very good' of class 'b' is 2 tokens"):
        backbone.pattern(labels, "test", whole_vocabulary=True)


# --------------------------------------------------------------------------------------- pairs and masks

PAIRS = [("the camera is good", "a lens was bad"), ("so", "this is very old and new"), ("my book", "a page")]


@pytest.mark.parametrize(("family", "placement", "decoder"), WAYS, ids=lambda value: value)
def test_pairs_of_texts(family: str, placement: Placement, decoder: str, backbone_of: BackboneOf) -> None:
    """A pair in a template with two slots is the same as one text that holds it all."""
    backbone = backbone_of(family, placement, decoder)
    pair = LabelsConfig(template="{text} but {text_pair} Type :", labels={"a": "bad", "b": "good"})
    one = LabelsConfig(template="{text} Type :", labels={"a": "bad", "b": "good"})
    prompts = make_case(backbone, [3], groups=2, rows=1).prompts
    scores = [
        score_all(backbone, prompts, backbone.bank(texts, pattern), pattern=pattern)
        for texts, pattern in (
            (PAIRS, backbone.pattern(pair, "test")),
            ([f"{a} but {b}" for a, b in PAIRS], backbone.pattern(one, "test")),
        )
    ]
    assert scores[0].std() > 0.1
    assert_near(*scores)


def test_the_longer_text_of_a_pair_is_cut_first(backbone_of: BackboneOf) -> None:
    backbone = backbone_of("llama", "suffix")  # 12 tokens of text
    limit = backbone.config.max_text_tokens
    labels = LabelsConfig(template="{text} but {text_pair} :", labels={"a": "bad", "b": "good"})
    pattern = backbone.pattern(labels, "test")

    def lengths(first: int, second: int) -> tuple[int, int]:
        texts = (" ".join(["w1"] * first), " ".join(["w2"] * second))
        ids = backbone.layout.rows([texts], pattern)[0][0]
        one, two = (backbone.tokenizer(word)["input_ids"][0] for word in ("w1", "w2"))
        return ids.count(one), ids.count(two)

    assert lengths(3, 4) == (3, 4)
    assert lengths(3, 99) == (3, limit - 3)
    assert lengths(99, 3) == (limit - 3, 3)
    assert lengths(99, 99) == (limit - limit // 2, limit // 2)


def test_a_pair_template_says_where_the_second_text_is_missing(backbone_of: BackboneOf) -> None:
    backbone = backbone_of("llama")
    pattern = backbone.pattern(LabelsConfig(template="{text} {text_pair} :", labels={"a": "bad", "b": "good"}), "test")
    with pytest.raises(UserError, match=r"Text 1 has no second text.*text_pair"):
        backbone.bank([("a", "b"), "alone"], pattern)


def test_a_mask_may_stand_anywhere(backbone_of: BackboneOf, unmodified_of: UnmodifiedOf) -> None:
    backbone, model = backbone_of("bert", "prefix"), unmodified_of("bert")
    labels = LabelsConfig(template="it was {mask} : {text}", labels={"a": ["bad", "very poor"], "b": "good"})
    pattern = backbone.pattern(labels, "test")
    prompt = make_case(backbone, [3], groups=1, rows=1).prompts
    words = backbone.tokenizer

    def at_masks(count: int) -> torch.Tensor:
        written = ["[CLS]", "it", "was", *["[MASK]"] * count, ":", "my", "book", "[SEP]"]
        ids = torch.tensor(words.convert_tokens_to_ids(written))
        whole = torch.cat([prompt[0], model.get_input_embeddings()(ids)])[None]
        return model(inputs_embeds=whole).logits[0, prompt.shape[1] + 3 :][:count].log_softmax(-1)

    bad, good, very, poor = words.convert_tokens_to_ids(["bad", "good", "very", "poor"])
    two = at_masks(2)
    negative = torch.stack([at_masks(1)[0, bad], two[0, very] + two[1, poor]]).logsumexp(0) - log(2)
    expected = torch.stack([negative, at_masks(1)[0, good]])
    scores = score_all(backbone, prompt, backbone.bank(["my book"], pattern), pattern=pattern)
    assert_near(scores[0, 0], expected.detach())


@given(
    st.lists(st.sampled_from(["{text}", "{mask}", "{text_pair}", " ", "word", "other words", "."]), max_size=8).filter(
        lambda parts: parts.count("{text}") == 1 and parts.count("{mask}") <= 1 and parts.count("{text_pair}") <= 1
    )
)
def test_filled_templates_hold_everything_in_order(parts: list[str]) -> None:
    """Literal words by their length, texts as 100 and 200, the mask as 300: nothing is lost or moved."""
    template = tokenise("".join(parts), lambda text: [len(word) for word in text.split()])
    ids, position = template.row([100, 100], [200], [300])
    expected = "".join(parts)
    for slot, filling in (("{text}", " 1x 1x "), ("{text_pair}", " 2x "), ("{mask}", " 3x ")):
        expected = expected.replace(slot, filling)
    numbers = {"1x": 100, "2x": 200, "3x": 300}
    assert ids == [numbers.get(word, len(word)) for word in expected.split()]
    assert ids[position] == 300 if "{mask}" in parts else position == len(ids) - 1


# ----------------------------------------------------------------------- calibration, prototypes, automatic words


def test_calibration_by_hand() -> None:
    scores = torch.tensor([[0.8, 0.2], [0.6, 0.4]]).log()
    # Mean probabilities 0.7 and 0.3.
    assert_near(calibrated(scores, scores).exp(), torch.tensor([[0.8 / 0.7, 0.2 / 0.3], [0.6 / 0.7, 0.4 / 0.3]]))
    assert_near(calibrated(scores + 5, scores - 3), calibrated(scores, scores))  # logits up to a constant
    content_free = torch.tensor([[0.5, 0.5]]).log()
    assert_near(calibrated(scores, content_free).softmax(-1), scores.exp())


def test_prototypes_by_hand() -> None:
    """Two prompts, classes of unequal numbers of examples; directions count and lengths do not."""
    features = torch.tensor([[[2.0, 0.0], [0.0, 5.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0], [3.0, 0.0]]])
    rows, words = torch.tensor([[4.0, 0.0]]), torch.tensor([[0.2, 0.8]]).log()
    only = Prototypes(features, [0, 1, 1], 2, words_share=0.0)
    expected = torch.tensor([[1.0 / TEMPERATURE, 0.0]]).log_softmax(-1)
    assert_near(only.mixed(words, rows, 0), expected)
    assert_near(only.mixed(words, rows, 1), expected.flip(1))
    half = Prototypes(features, [0, 1, 1], 2, words_share=0.5)
    assert_near(half.mixed(words, rows, 0).exp(), (words.exp() + expected.exp()) / 2)


def test_automatic_words_are_those_of_the_classes() -> None:
    """Token 3 is likely with class 0, 4 with class 1, 5 with both; 6 is no candidate."""
    base = torch.full((4, 8), -6.0)
    base[:, 5], base[:2, 3], base[2:, 4] = 2.0, 0.0, 0.0
    base[:2, 6] = 1.0
    logs = base.log_softmax(-1)
    assert likeliest_words(logs, [0, 0, 1, 1], [0, 1, 2, 3, 4, 5], count=2, per_class=1) == [[3], [4]]
    two = likeliest_words(logs, [0, 0, 1, 1], [0, 1, 2, 3, 4, 5], count=2, per_class=2)
    assert [own[0] for own in two] == [3, 4] and len({token for own in two for token in own}) == 4
    with pytest.raises(UserError, match=r"lower verbalizer\.automatic_words"):
        likeliest_words(logs, [0, 0, 1, 1], [3, 4, 5], count=2, per_class=2)


def test_word_tokens_are_whole_words_as_the_model_sees_them() -> None:
    found = word_tokens(tiny.tokenizer("qwen2"), spaced=True, vocabulary=10_000)
    assert {"camera", "good", "really"} <= set(found.values())
    assert all(word.isalpha() and word.islower() and len(word) > 2 for word in found.values())
    tokenizer = tiny.tokenizer("qwen2")
    assert all(tokenizer(f" {word}")["input_ids"] == [token] for token, word in found.items())


def test_a_tokenizer_that_writes_the_space_itself_gets_none() -> None:
    """As Llama 2's: " good" would be a space and "▁good"; to a byte-level one the space is part of the word."""
    from tokenizers import Tokenizer, models, normalizers
    from transformers import PreTrainedTokenizerFast

    pieces = ["<unk>", "▁", "▁good", "▁bad", "▁it", "▁:", "▁a", ":"]
    raw = Tokenizer(models.Unigram([(piece, -1.0) for piece in pieces], unk_id=0))
    raw.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    llama = PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="<unk>")
    layout = CausalLayout(llama, ModelConfig(), "prefix")
    pattern = layout.pattern(LabelsConfig(template="{text} :", labels={"x": "bad", "y": "good"}), "test")
    assert [llama.convert_ids_to_tokens(token) for token in pattern.words] == ["▁bad", "▁good"]
    assert space_writer(tiny.tokenizer("qwen2"))("good") == " good"
    # Nor does a template's piece that follows a text.
    for template, tokens in (("{text} it :", ["▁it", "▁:"]), ("{text}: it", [":", "▁it"])):
        made = layout.pattern(LabelsConfig(template=template, labels={"x": "bad", "y": "good"}), "test").template
        assert llama.convert_ids_to_tokens(list(made.tail)) == tokens


def test_automatic_words_leave_template_and_classes_alone(backbone_of: BackboneOf) -> None:
    backbone = backbone_of("gpt2", "prefix")
    labels = LabelsConfig(template="{text} Type :", labels={"a": "bad", "b": {"value": "1", "word": "good"}})
    rows = LabelledTexts(["the camera is good", "a lens was bad", "my book", "this page"], [0, 0, 1, 1])
    chosen = with_automatic_words(labels, backbone, rows, words_per_class=2, where="test")
    assert chosen.template == labels.template
    assert {name: label.value for name, label in chosen.labels.items()} == {"a": "a", "b": "1"}
    words = [word for label in chosen.labels.values() for word in label.words]
    assert len(set(words)) == 4 and set(words) <= set(tiny.WORDS)
    assert chosen == with_automatic_words(labels, backbone, rows, words_per_class=2, where="test")
