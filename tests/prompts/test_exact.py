"""The fast path equals the plain one: cached text states, stacked prompts, shared passes, micro-batches."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from metapt_explore.config import LabelsConfig, ModelConfig
from metapt_explore.errors import UserError
from metapt_explore.prompts import attention
from metapt_explore.prompts.causal import CausalBackbone
from metapt_explore.prompts.gradients import Batch, Scorer
from metapt_explore.prompts.models import load_backbone

LABELS = LabelsConfig(template="so {text} Sentiment :", labels={"negative": "negative", "positive": "positive"})
#: fp32 rounding over two layers.
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(scope="module")
def llama(world: Path) -> CausalBackbone:
    return load_backbone(ModelConfig(name=str(world / "lm"), dtype="float32", device="cpu", max_text_tokens=12))


@pytest.fixture(scope="module", params=["llama", "qwen2", "gpt2"])
def any_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[CausalBackbone, Path]:
    # Built by hand: for some families AutoTokenizer ignores which tokenizer lies in the folder.
    folder = tiny.make_language_model(tmp_path_factory.mktemp(request.param), request.param)
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation=attention.register())
    backbone = CausalBackbone(model, tiny.tokenizer(), ModelConfig(name=request.param, max_text_tokens=12))
    backbone.check_exact()
    return backbone, folder


def texts_of(lengths: list[int]) -> list[str]:
    return [
        " ".join(tiny.WORDS[20 + (7 * row + 3 * i) % 60] for i in range(length)) for row, length in enumerate(lengths)
    ]


def plain_scores(model: torch.nn.Module, backbone: CausalBackbone, text: str, prompt: torch.Tensor) -> torch.Tensor:
    """The whole sequence through an unmodified transformers model with eager attention, one row at a time."""
    reader = backbone.reader(LABELS, "test")
    ids = backbone.tokenizer(text, add_special_tokens=False)["input_ids"][: backbone.config.max_text_tokens]
    embed = model.get_input_embeddings()
    whole = torch.cat(
        [embed(torch.tensor([*reader.before, *ids])), prompt, embed(torch.tensor(reader.tail))],
    )
    logits = model(inputs_embeds=whole[None], use_cache=False).logits[0, -1]
    return logits[torch.tensor(reader.words)]


def eager(folder: Path) -> torch.nn.Module:
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)
    return model.eval().requires_grad_(False)


def test_cached_suffix_equals_full_forward(any_model: tuple[CausalBackbone, Path]) -> None:
    """Loss and prompt gradient, ragged lengths, one text longer than the limit, for three architectures."""
    backbone, folder = any_model
    model = eager(folder)
    texts = texts_of([5, 1, 12, 30, 3])
    labels = [0, 1, 1, 0, 1]
    prompt = backbone.embedding[10:13].clone() * 1.5
    reader = backbone.reader(LABELS, "test")
    scorer = Scorer(backbone, backbone.bank(texts, reader), reader)
    loss, gradient = scorer.losses_and_gradients(prompt[None], Batch(range(5), [0] * 5, labels))

    plain = prompt.clone().requires_grad_(True)
    scores = torch.stack([plain_scores(model, backbone, text, plain) for text in texts])
    expected = F.cross_entropy(scores, torch.tensor(labels))
    (expected_gradient,) = torch.autograd.grad(expected, plain)

    assert expected_gradient.norm() > 1e-3
    torch.testing.assert_close(loss[0], expected.detach(), **CLOSE)
    torch.testing.assert_close(gradient[0], expected_gradient, **CLOSE)


@settings(max_examples=15, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=7),
    groups=st.integers(1, 3),
    length=st.integers(1, 4),
    rows_per_pass=st.integers(1, 5),
    seed=st.integers(0, 5),
)
def test_group_axis_equals_a_loop(
    llama: CausalBackbone, lengths: list[int], groups: int, length: int, rows_per_pass: int, seed: int
) -> None:
    """Losses and gradients of stacked prompts, cut into passes anywhere, equal one prompt at a time."""
    generator = torch.Generator().manual_seed(seed)
    prompts = torch.randn(groups, length, llama.width, generator=generator)
    reader = llama.reader(LABELS, "test")
    bank = llama.bank(texts_of(lengths), reader)
    rows = torch.randint(0, len(lengths), (6,), generator=generator).tolist()
    group_of = torch.randint(0, groups, (6,), generator=generator).tolist()
    labels = torch.randint(0, 2, (6,), generator=generator).tolist()

    config = llama.config
    try:
        llama.config = config.model_copy(update={"rows_per_pass": rows_per_pass})
        losses, gradients = Scorer(llama, bank, reader).losses_and_gradients(prompts, Batch(rows, group_of, labels))
    finally:
        llama.config = config
    for group in range(groups):
        own = [i for i in range(6) if group_of[i] == group]
        if not own:
            assert losses[group] == 0 and not gradients[group].any()
            continue
        batch = Batch([rows[i] for i in own], [0] * len(own), [labels[i] for i in own])
        loss, gradient = Scorer(llama, bank, reader).losses_and_gradients(prompts[group : group + 1], batch)
        torch.testing.assert_close(losses[group], loss[0], **CLOSE)
        torch.testing.assert_close(gradients[group], gradient[0], **CLOSE)


def test_prompts_that_share_a_pass_do_not_see_each_other(llama: CausalBackbone) -> None:
    """`score_all` lays several prompts over one text; each scores as if it were alone. 11 prompts: two passes."""
    reader = llama.reader(LABELS, "test")
    bank = llama.bank(texts_of([4, 9, 1, 12, 7]), reader)
    prompts = torch.randn(11, 3, llama.width, generator=torch.Generator().manual_seed(1))
    together = llama.score_all(prompts, bank, reader)
    for group in range(11):
        alone = llama.class_scores(
            prompts[group : group + 1], torch.zeros(5, dtype=torch.long), bank.batch(range(5)), reader
        )
        torch.testing.assert_close(together[group], alone, **CLOSE)


def test_states_do_not_depend_on_the_order_of_requests(llama: CausalBackbone) -> None:
    """A resumed run asks for rows in another order and must get the same bits."""
    reader = llama.reader(LABELS, "test")
    texts = texts_of([(5 * i) % 12 + 1 for i in range(70)])
    first, second = llama.bank(texts, reader), llama.bank([*texts], reader)
    assert first is second, "the same texts share a bank"
    llama._banks.clear()
    fresh = llama.bank(texts, reader)
    fresh.batch([69, 3])
    a, b = first.batch([3, 40, 7]), fresh.batch([3, 40, 7])
    assert torch.equal(a.keys, b.keys) and torch.equal(a.values, b.values)


def test_without_memory_for_states_scores_are_equal(llama: CausalBackbone) -> None:
    """Beyond its budget a bank encodes each batch for itself; a row asked for twice is encoded once."""
    reader = llama.reader(LABELS, "test")
    texts = texts_of([4, 9, 2])
    cached = llama.bank(texts, reader)
    config = llama.config
    try:
        llama.config = config.model_copy(update={"text_state_gib": 0.0})
        llama._banks.clear()
        uncached = llama.bank(texts, reader)
    finally:
        llama.config = config
        llama._banks.clear()
    assert cached.cached and not uncached.cached
    a, b = cached.batch([2, 0, 2]), uncached.batch([2, 0, 2])
    assert uncached.encoded_rows == 2
    prompts = torch.randn(1, 2, llama.width)
    groups = torch.zeros(3, dtype=torch.long)
    torch.testing.assert_close(
        llama.class_scores(prompts, groups, a, reader), llama.class_scores(prompts, groups, b, reader), **CLOSE
    )


def test_second_derivative_exists(llama: CausalBackbone) -> None:
    """Exact MAML will need it; fused attention would raise here."""
    reader = llama.reader(LABELS, "test")
    state = llama.bank(texts_of([4, 6]), reader).batch([0, 1])
    prompt = torch.randn(1, 2, llama.width, requires_grad=True)
    loss = F.cross_entropy(
        llama.class_scores(prompt, torch.zeros(2, dtype=torch.long), state, reader), torch.tensor([0, 1])
    )
    (gradient,) = torch.autograd.grad(loss, prompt, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), prompt)
    assert torch.isfinite(second).all() and second.abs().max() > 0


def test_a_model_that_is_not_exact_is_refused(llama: CausalBackbone, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = llama._forward
    monkeypatch.setattr(llama, "_forward", lambda new, state, blocks: honest(new, state, blocks) * 1.5)
    with pytest.raises(UserError, match="other scores over cached texts"):
        llama.check_exact()


def test_label_word_of_two_tokens_is_refused(llama: CausalBackbone) -> None:
    labels = LabelsConfig(template="{text} :", labels={"a": "good great", "b": "bad"})
    with pytest.raises(UserError, match="label word 'good great' of class 'a' is 2 tokens"):
        llama.reader(labels, "task x")


def test_template_without_tail_is_refused(llama: CausalBackbone) -> None:
    labels = LabelsConfig(template="{text}", labels={"a": "good", "b": "bad"})
    with pytest.raises(UserError, match="add something after it"):
        llama.reader(labels, "task x")


def test_unreachable_model_is_one_sentence() -> None:
    with pytest.raises(UserError, match="Cannot load the model 'nobody/no-such-model'"):
        load_backbone(ModelConfig(name="nobody/no-such-model"))
    with pytest.raises(UserError, match="There is no model folder"):
        load_backbone(ModelConfig(name="/no/such/folder"))


def test_bfloat16_scores_are_close_and_never_tie(world: Path, llama: CausalBackbone) -> None:
    """Label words are read in fp32 also from a bfloat16 model."""
    half = load_backbone(ModelConfig(name=str(world / "lm"), dtype="bfloat16", device="cpu", max_text_tokens=12))
    reader = llama.reader(LABELS, "test")
    texts = texts_of([5, 1, 12, 7, 3, 9])
    prompts = llama.embedding[10:13].clone()[None]
    ours = half.score_all(prompts, half.bank(texts, reader), reader)[0]
    full = llama.score_all(prompts, llama.bank(texts, reader), reader)[0]
    assert ours.dtype == torch.float32
    # 8 bits of precision over two layers.
    torch.testing.assert_close(ours, full, rtol=0.05, atol=0.05 * float(full.abs().max()))
    assert (ours.bfloat16().float() != ours).any(), "scores have more precision than bfloat16"


def test_texts_longer_than_the_model_are_refused(world: Path) -> None:
    with pytest.raises(UserError, match="holds 128 tokens in all; use at most 96"):
        load_backbone(ModelConfig(name=str(world / "lm"), max_text_tokens=97))


def test_gradients_are_equal_with_two_threads(llama: CausalBackbone) -> None:
    """The same study twice gives equal scores; rows that add to one prompt in no fixed order would break that.

    256 rows of 5 prompt vectors of width 32: enough that torch shares the addition among threads.
    """
    reader = llama.reader(LABELS, "test")
    bank = llama.bank(texts_of([3, 5, 4, 6]), reader)
    prompts = torch.randn(1, 5, llama.width, generator=torch.Generator().manual_seed(2))
    batch = Batch([i % 4 for i in range(256)], [0] * 256, [i % 2 for i in range(256)])
    config = llama.config
    torch.set_num_threads(2)
    try:
        llama.config = config.model_copy(update={"rows_per_pass": 256})
        found = [Scorer(llama, bank, reader).losses_and_gradients(prompts, batch)[1] for _ in range(5)]
    finally:
        llama.config = config
        torch.set_num_threads(1)
    assert found[0].abs().max() > 0
    assert all(torch.equal(found[0], other) for other in found[1:])
