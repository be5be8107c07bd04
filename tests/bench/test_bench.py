"""The benchmarks do the same work on both sides, and report what they say; nothing here is timed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from metapt_explore.bench import measure
from metapt_explore.bench.cases import CASES, LABELS, Bench, Case, initial_prompt, random_texts
from metapt_explore.bench.peft_reference import PeftReference
from metapt_explore.bench.run import as_line, layer_weights, run_bench, run_case, second_order_cost
from metapt_explore.errors import UserError
from metapt_explore.models.gradients import Batch, PromptObjective

#: fp32 through two layers.
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def small(case: Case) -> Case:
    return replace(case, prompt_tokens=3, text_tokens=8, rows=4, groups=min(case.groups, 2))


@pytest.fixture(scope="module")
def bench(world: Path) -> Bench:
    return Bench(str(world / "lm"), dtype="float32", device="cpu")


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_every_case_runs_and_reports(name: str, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(measure, "PEAK_SIDE", 64)
    case = small(next(case for case in CASES if case.name == name))
    record = json.loads(as_line(run_case(bench, case, repeats=1)))
    for key in ("case", "ratio", "target", "ours_rows_per_s", "theirs_rows_per_s", "peak_share", "peak_mib"):
        assert key in record
    assert record["ratio"] > 0 and record["dtype"] == "float32" and record["target"] == case.target
    assert ("against_own_in_turn" in record) == (case.kind == "grid")


@pytest.mark.parametrize("name", ["prefix-20", "deep-20"])
def test_both_sides_of_a_step_give_one_gradient(name: str, bench: Bench) -> None:
    case = small(next(case for case in CASES if case.name == name))
    sides = bench.sides(case)
    losses, gradients = sides.ours()
    torch.testing.assert_close(gradients[0], sides.theirs(), **CLOSE)
    assert torch.isfinite(losses).all() and float(gradients.norm()) > 1e-3


@pytest.mark.parametrize("full_head", [True, False])
def test_both_heads_of_peft_score_alike(full_head: bool, world: Path, bench: Bench) -> None:
    backbone = bench.backbone(small(CASES[0]))
    pattern = backbone.pattern(LABELS, "test")
    prompt = backbone.embedding[10:13].float()
    words = torch.tensor(pattern.words)
    peft_reference = PeftReference(
        world / "lm", prompt, words, dtype=torch.float32, device=torch.device("cpu"), full_head=full_head
    )
    ids = torch.arange(12, 36).view(4, 6)
    with torch.no_grad():
        found = peft_reference.scores(ids)
        embed = backbone.model.get_input_embeddings()
        backbone.model.set_attn_implementation("eager")
        whole = torch.cat([prompt.expand(4, -1, -1), embed(ids)], dim=1)
        expected = backbone.model(inputs_embeds=whole, use_cache=False).logits[:, -1][:, words]
        backbone.model.set_attn_implementation("metapt_text_state")
    torch.testing.assert_close(found, expected, **CLOSE)


def test_pefts_meta_step_is_first_order_maml(bench: Bench) -> None:
    """Prefix on both sides: their loop over tasks gives our grouped gradient."""
    case = replace(small(next(case for case in CASES if case.name == "meta-warm")), placement="prefix")
    sides = bench.sides(case)
    gradients, _ = sides.ours()
    torch.testing.assert_close(gradients["prompt"], sides.theirs(), **CLOSE)


def test_texts_are_cut_to_the_length_that_the_case_names(bench: Bench) -> None:
    case = small(next(case for case in CASES if case.name == "suffix-48"))
    backbone = bench.backbone(case)
    bank = backbone.bank(random_texts(backbone, 5, 8), backbone.pattern(LABELS, "test"))
    assert [len(row) for row in bank.token_ids] == [8] * 5


def test_operations_are_counted_from_the_layers_matrices(bench: Bench) -> None:
    """Llama of the tests: width 32, 4 heads of 8, 2 key heads, MLP 48, 2 layers."""
    attention = 32 * 32 + 2 * (32 * 16) + 32 * 32
    assert layer_weights(bench.backbone(small(CASES[0]))) == 2 * (attention + 3 * 32 * 48)


def test_a_cold_case_encodes_every_time(bench: Bench) -> None:
    case = small(next(case for case in CASES if case.name == "meta-cold"))
    sides = bench.sides(case)
    before = sides.backbone.banks.numbered
    sides.ours()
    sides.ours()
    assert sides.backbone.banks.numbered == before + 2


def test_second_order_cost_is_measured_on_equal_work(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "TURN_SECONDS", 0.0)
    monkeypatch.setattr("metapt_explore.bench.run.CASES", tuple(small(case) for case in CASES))
    found = second_order_cost(str(world / "lm"), dtype="float32", device="cpu")
    assert found["hessian_product"] > 0 and found["hessian_product_against_fast"] > 0
    assert found["forward_only"] > 0


def test_an_unknown_case_is_named() -> None:
    with pytest.raises(UserError, match="prefix-20"):
        run_bench(["prefix-2"], lambda record: None)


def test_groups_at_once_equal_groups_in_turn(bench: Bench) -> None:
    case = small(next(case for case in CASES if case.name == "grid"))
    sides = bench.sides(case)
    losses, _ = sides.ours()
    backbone = sides.backbone
    pattern = backbone.pattern(LABELS, "benchmark")
    bank = backbone.bank(random_texts(backbone, 8, 8), pattern)
    objective, prompt = PromptObjective(backbone, bank, pattern), initial_prompt(backbone, 3)
    for group in range(2):
        batch = Batch(range(4 * group, 4 * group + 4), [0] * 4, [0, 1] * 2)
        alone, _ = objective.losses_and_gradients(prompt[None], batch)
        torch.testing.assert_close(losses[group], alone[0], **CLOSE)
