"""A batch may be cut into passes anywhere: by rows, by memory, by length, and by memory that ran out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_reference import FAMILIES, PLACEMENTS, Case, assert_near, make_backbone, make_case, texts_of, unmodified

from metapt_explore.errors import UserError
from metapt_explore.models import gradients as gradients_module
from metapt_explore.models.backbone import PROMPTS_PER_PASS
from metapt_explore.models.causal import CausalBackbone
from metapt_explore.models.gradients import Batch, PromptObjective
from metapt_explore.models.memory import PLAIN_FACTOR
from metapt_explore.models.scoring import score_all

BackboneOf = Callable[..., CausalBackbone]
DECODERS = ("plain", "fused")


@pytest.fixture(scope="module")
def backbones(folder_of: Callable[[str], Path]) -> dict[tuple[str, str], CausalBackbone]:
    """Both ways of running Qwen2 (biases, shared key heads) in both placements."""
    folder = folder_of("qwen2")
    return {(place, way): make_backbone(folder, place, way) for place in PLACEMENTS for way in DECODERS}


@pytest.fixture(scope="module")
def plain_model(folder_of: Callable[[str], Path]) -> torch.nn.Module:
    assert FAMILIES["qwen2"] == ("qwen2", {})
    return unmodified(folder_of("qwen2"))


@pytest.fixture(params=[(place, way) for place in PLACEMENTS for way in DECODERS], ids="-".join)
def case(request: pytest.FixtureRequest, backbone_of: BackboneOf) -> Iterator[Case]:
    """Ten rows of three groups, of lengths 1 to 12."""
    yield make_case(backbone_of("qwen2", *request.param), [5, 1, 12, 30, 3, 9], groups=3, rows=10)


def count_rows(objective: PromptObjective, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Notes how many rows each pass has."""
    sizes: list[int] = []
    honest = objective.backbone.class_scores

    def class_scores(prompts: torch.Tensor, groups: torch.Tensor, *rest: object, **options: object) -> torch.Tensor:
        sizes.append(len(groups))
        return honest(prompts, groups, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(objective.backbone, "class_scores", class_scores)
    return sizes


# ------------------------------------------------------------------------------------------ any cut


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 15), min_size=1, max_size=6),
    groups=st.integers(1, 4),
    rows=st.integers(1, 7),
    prompt_tokens=st.integers(1, 5),
    way=st.tuples(st.sampled_from(PLACEMENTS), st.sampled_from(DECODERS)),
    rows_limit=st.none() | st.integers(1, 5),
    seed=st.integers(0, 1000),
)
def test_any_batch_in_any_passes_equals_a_loop(
    backbones: dict[tuple[str, str], CausalBackbone],
    plain_model: torch.nn.Module,
    lengths: list[int],
    groups: int,
    rows: int,
    prompt_tokens: int,
    way: tuple[str, str],
    rows_limit: int | None,
    seed: int,
) -> None:
    """Losses and gradients equal a loop over groups and rows through an unmodified model; empty groups have none."""
    backbone = backbones[way]
    case = make_case(backbone, lengths, groups, rows, prompt_tokens, seed)
    backbone.rows_limit = rows_limit
    losses, gradients = case.objective().losses_and_gradients(case.prompts, case.batch)
    plain = case.prompts.clone().requires_grad_(True)
    expected = case.plain_losses(plain_model, plain)
    (expected_gradients,) = torch.autograd.grad(expected.sum(), plain)
    assert_near(losses, expected.detach())
    assert_near(gradients, expected_gradients)
    for group in set(range(groups)) - set(case.batch.groups):
        assert losses[group] == 0 and not gradients[group].any()


@pytest.mark.parametrize("rows_limit", [1, 2, 3, 4, 5])
def test_rows_limit_cuts_passes(case: Case, rows_limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = case.objective()
    expected = whole.losses_and_gradients(case.prompts, case.batch)
    assert whole.passes == 1
    case.backbone.rows_limit = rows_limit
    objective = case.objective()
    sizes = count_rows(objective, monkeypatch)
    found = objective.losses_and_gradients(case.prompts, case.batch)
    assert max(sizes) == rows_limit and sum(sizes) == 10 and objective.passes == len(sizes) == -(-10 // rows_limit)
    for ours, theirs in zip(found, expected, strict=True):
        assert_near(ours, theirs)


def test_a_small_budget_of_memory_cuts_passes(case: Case) -> None:
    """Losses, gradients and the scores of `score_all`; a budget below one row's need still takes one row."""
    expected = case.objective().losses_and_gradients(case.prompts, case.batch)
    bank = case.backbone.bank(case.texts, case.pattern)
    expected_scores = score_all(case.backbone, case.prompts, bank, pattern=case.pattern)
    passes = []
    new_tokens = case.backbone.new_tokens(case.pattern, 3)
    factor = PLAIN_FACTOR if case.backbone.fast is case.backbone.plain else 1
    for budget in (4 * case.backbone.memory.row_bytes(new_tokens, 16, factor=factor), 1.0):
        case.backbone.pass_bytes = budget
        objective = case.objective()
        for ours, theirs in zip(objective.losses_and_gradients(case.prompts, case.batch), expected, strict=True):
            assert_near(ours, theirs)
        passes.append(objective.passes)
        scores = score_all(case.backbone, case.prompts, bank, pattern=case.pattern)
        assert_near(scores, expected_scores)
    assert 1 < passes[0] < passes[1] == 10


def test_a_batch_of_one(case: Case) -> None:
    """One row alone is the row's share of a larger batch: no row sees another."""
    one = Batch([3], [1], [1])
    losses, gradients = case.objective().losses_and_gradients(case.prompts, one)
    twice_losses, twice = case.objective().losses_and_gradients(case.prompts, Batch([3, 3, 1], [1, 1, 0], [1, 1, 0]))
    assert losses[1] > 0 and gradients[1].any() and not gradients[[0, 2]].any()
    assert_near(losses[1], twice_losses[1])
    assert_near(gradients[1], twice[1])


def test_texts_are_cut_and_the_template_is_not(case: Case) -> None:
    """What stands behind `max_text_tokens` changes nothing; what stands before it does."""
    limit = case.backbone.config.max_text_tokens
    words = texts_of([limit + 5])[0].split()
    assert words[-1] != words[-2]
    texts = [" ".join(words), " ".join(words[:limit]), " ".join(words[: limit - 1])]
    bank = case.backbone.bank(texts, case.pattern)
    tail = 0 if case.backbone.placement == "suffix" else len(case.pattern.tail)
    assert [len(ids) for ids in bank.token_ids] == [limit + 1 + tail, limit + 1 + tail, limit + tail]
    scores = score_all(case.backbone, case.prompts, bank, pattern=case.pattern)
    assert_near(scores[:, 0], scores[:, 1])
    assert (scores[:, 1] - scores[:, 2]).abs().max() > 1e-3


# --------------------------------------------------------------------------------- lengths and prompts


def test_rows_of_like_length_share_a_pass(backbones: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `prefix`, buckets keep padding small and change no result."""
    lengths = [1, 12, 2, 11, 1, 12, 6, 5, 3, 12]
    for decoder in DECODERS:
        case = make_case(backbones["prefix", decoder], lengths, groups=2, rows=1)
        case.batch = Batch(range(10), [0, 1] * 5, [0, 1, 1, 0, 1] * 2)
        case.backbone.rows_limit = None
        whole = case.objective()
        expected = whole.losses_and_gradients(case.prompts, case.batch)
        with monkeypatch.context() as patch:
            patch.setattr(gradients_module, "BUCKET_TOKENS", 8)
            bucketed = case.objective()
            found = bucketed.losses_and_gradients(case.prompts, case.batch)
            parts = bucketed._cut(case.prompts, case.batch, second_derivative=False)
        assert whole.passes == 1 and bucketed.passes == len(parts) > 2
        assert sorted(place for part in parts for place in part) == list(range(10))
        for part in parts:
            tokens = [len(bucketed.bank.token_ids[case.batch.rows[place]]) for place in part]
            below = sum(tokens[:-1]) < 8
            assert below or len(tokens) * max(tokens) <= (1 + gradients_module.PADDING_SHARE) * sum(tokens)
        for ours, theirs in zip(found, expected, strict=True):
            assert_near(ours, theirs)


def test_prompts_that_share_a_pass_do_not_see_each_other(case: Case) -> None:
    """`score_all` lays several prompts over one text; each scores as if it were alone. The last pass is not full."""
    groups = PROMPTS_PER_PASS + 3
    case = make_case(case.backbone, [4, 9, 1, 12, 7], groups, rows=1)
    bank, called = case.backbone.bank(case.texts, case.pattern), []
    together = score_all(case.backbone, case.prompts, bank, pattern=case.pattern, on_pass=lambda: called.append(1))
    assert len(called) == (2 if case.backbone.placement == "suffix" else groups)
    for group in range(groups):
        alone = score_all(case.backbone, case.prompts[group : group + 1], bank, pattern=case.pattern)[0]
        assert_near(together[group], alone)
    shuffled = torch.randperm(groups, generator=torch.Generator().manual_seed(0))
    again = score_all(case.backbone, case.prompts[shuffled], bank, pattern=case.pattern)
    assert_near(again, together[shuffled])


def test_gradients_are_equal_with_two_threads(case: Case) -> None:
    """The same study twice gives equal scores; rows that add to one prompt in no fixed order would break that.

    256 rows of 5 prompt vectors of width 32: enough that torch shares the addition among threads.
    """
    case = make_case(case.backbone, [3, 5, 4, 6], groups=1, rows=256, prompt_tokens=5)
    case.backbone.pass_bytes = 2**40
    torch.set_num_threads(2)
    try:
        found = [case.objective().losses_and_gradients(case.prompts, case.batch)[1] for _ in range(5)]
    finally:
        torch.set_num_threads(1)
    assert found[0].abs().max() > 0
    assert all(torch.equal(found[0], other) for other in found[1:])


# -------------------------------------------------------------------------------------- interruptions


def test_on_pass_is_called_after_each_pass_and_may_stop(case: Case) -> None:
    """A cancel is noticed between two passes; counts say what was done."""

    class Stopped(Exception):
        pass

    def stop() -> None:
        called.append(objective.passes)
        if len(called) == 2:
            raise Stopped

    case.backbone.rows_limit = 3
    objective, called = case.objective(), list[int]()
    objective.on_pass = stop
    with pytest.raises(Stopped):
        objective.losses_and_gradients(case.prompts, case.batch)
    assert called == [1, 2] and objective.passes == 2

    objective, called = case.objective(), []
    objective.on_pass = lambda: called.append(objective.passes)
    objective.losses_and_gradients(case.prompts, case.batch)
    objective.losses(case.prompts, case.batch)
    assert called == list(range(1, 9)) and objective.row_passes == 10 and objective.diagnostic_rows == 10


class Failing:
    """Stands for `class_scores` of a machine on which more than `rows` rows do not fit."""

    def __init__(self, backbone: CausalBackbone, rows: int, error: BaseException) -> None:
        self.honest, self.rows, self.error = backbone.class_scores, rows, error
        self.sizes: list[int] = []

    def __call__(self, prompts: torch.Tensor, groups: torch.Tensor, *rest: object, **options: object) -> torch.Tensor:
        self.sizes.append(len(groups))
        if len(groups) > self.rows:
            raise self.error
        return self.honest(prompts, groups, *rest, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried …"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 17179869184 bytes."),
        MemoryError(),
    ],
    ids=["cuda", "linux", "windows", "python"],
)
def test_passes_are_halved_where_memory_runs_out(
    case: Case, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten rows do not fit, nor do five; three do. No row is lost or counted twice."""
    expected = case.objective().losses_and_gradients(case.prompts, case.batch)
    failing, notices = Failing(case.backbone, 4, error), list[str]()
    monkeypatch.setattr(case.backbone, "class_scores", failing)
    case.backbone.on_notice = notices.append
    objective = case.objective()
    found = objective.losses_and_gradients(case.prompts, case.batch)
    for ours, theirs in zip(found, expected, strict=True):
        assert_near(ours, theirs)
    assert case.backbone.rows_limit == 3
    assert failing.sizes[:2] == [10, 5] and max(failing.sizes[2:]) == 3 and sum(failing.sizes[2:]) == 10
    assert objective.row_passes == 10, "what failed is not counted as work of the method"
    assert len(notices) == 2 and "at most 5 rows" in notices[0] and "at most 3 rows" in notices[1]

    failing.sizes.clear()
    objective.losses_and_gradients(case.prompts, case.batch)
    assert max(failing.sizes) == 3 and len(notices) == 2, "the limit stays"


def test_memory_that_runs_out_in_the_backward_pass(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass whose forward fitted adds nothing before it is run again in halves."""
    expected = case.objective().losses_and_gradients(case.prompts, case.batch)
    honest, failed = torch.autograd.grad, []

    def grad(*args: object, **options: object) -> object:
        if not failed:
            failed.append(1)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return honest(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(torch.autograd, "grad", grad)
    for ours, theirs in zip(case.objective().losses_and_gradients(case.prompts, case.batch), expected, strict=True):
        assert_near(ours, theirs)
    assert failed and case.backbone.rows_limit == 5


def test_one_row_that_does_not_fit_is_one_sentence(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case.backbone, "class_scores", Failing(case.backbone, 0, torch.OutOfMemoryError("no")))
    with pytest.raises(UserError, match=r"one row in a pass.*smaller model"):
        case.objective().losses_and_gradients(case.prompts, case.batch)


def test_another_error_is_not_taken_for_memory(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = Failing(case.backbone, 4, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    monkeypatch.setattr(case.backbone, "class_scores", failing)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        case.objective().losses_and_gradients(case.prompts, case.batch)
    assert failing.sizes == [10] and case.backbone.rows_limit is None
