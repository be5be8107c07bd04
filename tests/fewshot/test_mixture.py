"""Mixtures of starts: what each data seed's training rows choose, what that costs, and a study that does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from kept import KeptInMemory, StopAt
from small_inputs import split
from tuned import LABELS, data_of, run, same

from metapt_explore.config import EvaluationConfig, StudyConfig, parse
from metapt_explore.config.tuning import MIXTURE_STEPS
from metapt_explore.errors import Cancelled
from metapt_explore.export.export import PromptChoice, export_prompt
from metapt_explore.fewshot.mixture import LEARNED_RATE, FromMixture, batch_of
from metapt_explore.fewshot.scoring import FewShotData
from metapt_explore.fewshot.starts import TrainRows
from metapt_explore.fewshot.tuning import TuningOutcome, tune
from metapt_explore.fewshot.tuning_steps import TuningPlan
from metapt_explore.models.causal import CausalBackbone
from metapt_explore.results.begins import begins_of, format_begins
from metapt_explore.results.find_lineage import lineage
from metapt_explore.study.study import Study

STARTS, NAMES = 3, ["task 0", "task 4", "task 7"]


def prompt_and_offsets(backbone: CausalBackbone) -> tuple[torch.Tensor, torch.Tensor]:
    offsets = torch.randn(STARTS, 3, backbone.width, generator=torch.Generator().manual_seed(0))
    return backbone.embedding[20:23].clone(), offsets


def losses_of(backbone: CausalBackbone, data: FewShotData, prompts: torch.Tensor) -> torch.Tensor:
    """Loss of each data seed's training rows under each of its prompts, one at a time, `[seeds, prompts]`."""
    rows = TrainRows.of(backbone, backbone.pattern(LABELS, "test"), data.train)
    return torch.stack(
        [
            torch.cat([rows.objective.losses(each[None], batch_of(rows, [seed])) for each in of_seed])
            for seed, of_seed in zip(data.train, prompts, strict=True)
        ]
    )


def made(backbone: CausalBackbone, data: FewShotData, mixture: Any, temperature: float = 0.5) -> Any:
    prompt, offsets = prompt_and_offsets(backbone)
    rows = TrainRows.of(backbone, backbone.pattern(LABELS, "test"), data.train)
    return FromMixture(offsets, NAMES, mixture, temperature)(prompt, rows)


def test_gate_best_and_mean_equal_their_formulas(backbone: CausalBackbone) -> None:
    data = data_of([3, 8])
    prompt, offsets = prompt_and_offsets(backbone)
    losses = losses_of(backbone, data, (prompt + offsets).expand(2, -1, -1, -1))
    weights = {
        "gate": (-losses / 0.5).exp() / (-losses / 0.5).exp().sum(dim=1, keepdim=True),
        "best": (losses == losses.min(dim=1, keepdim=True).values).float(),
        "mean": torch.full((2, STARTS), 1 / STARTS),
    }
    for mixture, expected in weights.items():
        starts = made(backbone, data, mixture)
        for place, seed in enumerate((3, 8)):
            told = starts.begins[seed].record()
            assert list(told["weights"].values()) == pytest.approx(expected[place].tolist(), abs=1e-3)
            assert list(told["weights"]) == NAMES and told["mixture"] == mixture
            by_hand = prompt + sum(float(expected[place, k]) * offsets[k] for k in range(STARTS))
            torch.testing.assert_close(starts.prompts[seed], by_hand, rtol=1e-3, atol=1e-4)
        assert (starts.row_passes, starts.forward_rows) == (0, 0 if mixture == "mean" else STARTS * 16)


def test_learned_weights_go_down_the_loss_of_the_mixture(backbone: CausalBackbone) -> None:
    """By Adam written out, with the chain rule by hand; and the loss is lower than that of the mean."""
    data = data_of([3, 8])
    prompt, offsets = prompt_and_offsets(backbone)
    rows = TrainRows.of(backbone, backbone.pattern(LABELS, "test"), data.train)
    starts = made(backbone, data, "learned")
    for seed in (3, 8):
        logits, mean, square = (torch.zeros(STARTS) for _ in range(3))
        for step in range(1, MIXTURE_STEPS + 1):
            weights = torch.softmax(logits, dim=0)
            mixture = prompt + torch.einsum("s,spw->pw", weights, offsets)
            _, (gradient,) = rows.objective.losses_and_gradients(mixture[None], batch_of(rows, [seed]))
            slope = (offsets * gradient).sum(dim=(1, 2))
            slope = weights * (slope - (weights * slope).sum())
            mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
            logits = logits - LEARNED_RATE * (mean / (1 - 0.9**step)) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
        told = list(starts.begins[seed].record()["weights"].values())
        assert told == pytest.approx(torch.softmax(logits, dim=0).tolist(), abs=2e-3)
    assert (starts.row_passes, starts.forward_rows) == (MIXTURE_STEPS * 16, 0)
    both = [torch.stack([made(backbone, data, by).prompts[seed] for by in ("mean", "learned")]) for seed in (3, 8)]
    losses = losses_of(backbone, data, torch.stack(both))
    assert (losses[:, 1] < losses[:, 0]).all()


def outcome_of(backbone: CausalBackbone, data: FewShotData, mixture: Any) -> TuningOutcome:
    config = EvaluationConfig(tasks=["x"], learning_rates=[0.01, 0.1], steps=4, batch_size=4, curve_steps=[0, 4])
    prompt, offsets = prompt_and_offsets(backbone)
    plan = TuningPlan(config, (0, 0), starts=FromMixture(offsets, NAMES, mixture, 0.5))
    return tune(prompt, data, plan, backbone=backbone, pattern=backbone.pattern(LABELS, "test"))


def test_its_rows_are_counted_and_only_training_rows_choose(backbone: CausalBackbone) -> None:
    data = data_of([3, 8])
    tuned = {mixture: outcome_of(backbone, data, mixture) for mixture in ("mean", "gate", "learned")}
    assert tuned["gate"].forward == tuned["mean"].forward + STARTS * 16
    assert tuned["learned"].passes == tuned["mean"].passes + MIXTURE_STEPS * 16 == 2 * 2 * 4 * 4 + MIXTURE_STEPS * 16
    other = FewShotData(data.train, {seed: split(900 + seed, 8) for seed in (3, 8)}, split(901, 24))
    again = outcome_of(backbone, other, "gate")
    assert all(torch.equal(tuned["gate"].starts[seed], again.starts[seed]) for seed in (3, 8))
    assert not torch.equal(again.starts[3], again.starts[8])


@pytest.mark.parametrize("mixture", ["gate", "learned"])
def test_what_was_stopped_at_any_pass_goes_on_to_the_same_outcome(mixture: Any, backbone: CausalBackbone) -> None:
    maker = FromMixture(prompt_and_offsets(backbone)[1], NAMES, mixture, 0.5)
    size: dict[str, Any] = {"seeds": [3, 8], "rates": [0.01, 0.1], "starts": maker, "proximal": 2.0}
    counted = StopAt(None)
    whole = run(backbone, **size, on_pass=counted)
    for n in range(1, counted.calls + 1, 3):
        kept, taken = KeptInMemory(), StopAt(None)
        with pytest.raises(Cancelled):
            run(backbone, **size, on_step=taken, on_pass=StopAt(n), store=kept)
        assert same(whole, run(backbone, **size, on_step=taken, store=kept))
        assert taken.calls == 5  # no step is taken twice


METHODS = [
    {"name": "HSML", "kind": "metapt", "clustering": "kmeans", "learner": "hsml", "families": 2},
    {"name": "Per cluster", "kind": "metapt", "clustering": "kmeans", "learner": "prompt_per_cluster", "outer_lr": 0.5},
    {
        "name": "Best cluster",
        "kind": "metapt",
        "clustering": "kmeans",
        "learner": "prompt_per_cluster",
        "outer_lr": 0.5,
        "tuning": {"mixture": "best"},
    },
]


@pytest.fixture(scope="module")
def study(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    evaluation = {"tasks": [str(world / "mood.yaml")], "data_seeds": [1, 2], "init_seeds": [0]}
    tree = tiny.study_tree(world, methods=METHODS, evaluation=evaluation)
    made = Study(parse(StudyConfig, tree, "study.yaml"), tmp_path_factory.mktemp("several"))
    made.run()
    return made


def test_a_study_of_several_starts(study: Study) -> None:
    results = study.run().set_index(["method", "data_seed"])
    assert study.prompt("Per cluster").id == study.prompt("Best cluster").id, "one pre-training serves both"
    prompt = study.prompt("Per cluster")
    offsets, numbers = prompt.tensors("prompt")["offsets"], prompt.summary["starts"]
    assert offsets.shape == (len(numbers), 3, 32) and len(numbers) > 1
    assert study.prompt("HSML").tensors("prompt")["offsets"].shape == (2, 3, 32)
    assert "inner_lr" not in prompt.stage["config"]
    gate = study.fewshot("Per cluster", "mood").stage["config"]["begins"]
    assert gate == {"mixture": "gate", "temperature": 0.1}
    begins = begins_of({"begins": results.loc[("Best cluster", 1), "begins"]})
    (best,) = [name for name, weight in begins["weights"].items() if weight == 1.0]
    assert best in [f"task {number}" for number in numbers]
    start = study.fewshot("Best cluster", "mood").tensors("starts")["data_seed_1"]
    place = [f"task {number}" for number in numbers].index(best)
    assert torch.allclose(start, prompt.tensors("prompt")["prompt"] + offsets[place], atol=1e-6)
    told = str(lineage(study.workspace, "tiny", "HSML", "mood", data_seed=1, init_seed=0))
    assert "began from family " in told and " by gate" in told


def test_an_export_drops_no_start(study: Study, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    export_prompt(study.workspace, PromptChoice("tiny", "HSML"), tmp_path / "start")
    held = load_file(tmp_path / "start" / "prompt.safetensors")
    assert held["offsets"].shape == (2, 3, 32) and held["prompt"].shape == (3, 32)
    assert "pre-trained with 2 starts" in (tmp_path / "start" / "README.md").read_text(encoding="utf-8")
    export_prompt(study.workspace, PromptChoice("tiny", "HSML", "mood"), tmp_path / "tuned")
    assert set(load_file(tmp_path / "tuned" / "prompt.safetensors")) == {"prompt"}
    assert "starts" not in (tmp_path / "tuned" / "README.md").read_text(encoding="utf-8")


def test_who_begins_from_such_a_prompt_is_told(study: Study, world: Path) -> None:
    init = {"artifact": study.prompt("HSML").id}
    tree = tiny.study_tree(world, name="next", prompt={"init": init}, methods=[{"name": "PT", "kind": "pt"}])
    after = Study(parse(StudyConfig, tree, "study.yaml"), study.workspace.folder)
    after.prompt("PT")
    assert any("that prompt has 2 starts" in notice for notice in after.progress.state.notices)


def test_a_mixture_in_words() -> None:
    weights = {"task 0": 0.05, "task 1": 0.6, "task 2": 0.2, "task 3": 0.15, "task 4": 0.0}
    told = format_begins({"weights": weights, "mixture": "gate"})
    assert told == "began from task 1 (0.60), task 2 (0.20), task 3 (0.15) and 1 other by gate"
