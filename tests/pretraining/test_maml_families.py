"""Exact MAML of other families and of deep prompts: against finite differences of the written-out objective."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent / "models"))
import tiny
from plain_reference import FAMILIES, LABELS, Case, make_backbone, make_case, unmodified

from metapt_explore.config import MethodConfig, Placement, PretrainingConfig
from metapt_explore.pretraining.learner import PretrainingTask
from metapt_explore.pretraining.registry import make_learner

ROWS = 16
TASKS = {
    task: {name: [8 * task + 4 * place + row for row in range(4)] for place, name in enumerate(LABELS.labels)}
    for task in range(2)
}


def objective(
    case: Case, model: torch.nn.Module, episode: object, steps: int, rate: float
) -> Callable[[Tensor], Tensor]:
    """Adapt on support rows, loss on query rows, mean over tasks: one row at a time through the unmodified model."""

    def loss(prompt: Tensor, rows: list[int], labels: list[int]) -> Tensor:
        scores = [case.plain_scores(model, prompt, case.texts[row]) for row in rows]
        return F.cross_entropy(torch.stack(scores), torch.tensor(labels))

    def value(prompt: Tensor) -> Tensor:
        total = torch.zeros(())
        for index in range(len(episode.tasks)):
            adapted = prompt
            for _ in range(steps):
                support = loss(adapted, episode.support[index], episode.support_labels[index])
                (gradient,) = torch.autograd.grad(support, adapted, create_graph=True)
                adapted = adapted - rate * gradient
            total = total + loss(adapted, episode.query[index], episode.query_labels[index]) / len(episode.tasks)
        return total

    return value


#: Inner rates at which the second-order part is not negligible, and differences are still exact.
RATES = {
    ("t5", "encoder"): 5.0,
    ("t5", "decoder"): 0.5,
    ("t5-gated", "encoder"): 5.0,
    ("t5-gated", "decoder"): 0.5,
    ("bart", "encoder"): 2.0,
    ("bert", "prefix"): 0.05,
    ("llama", "deep"): 2.0,
    ("gpt2", "deep"): 2.0,
}


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize(("family", "placement"), list(RATES), ids=["-".join(way) for way in RATES])
def test_exact_maml_equals_finite_differences(family: str, placement: Placement, steps: int, tmp_path: Path) -> None:
    kind, settings = FAMILIES[family]
    folder = tiny.make_language_model(tmp_path / family, kind, **settings)
    rate = RATES[family, placement]
    backbone = make_backbone(folder, placement)
    case = make_case(backbone, [2 + row % 5 for row in range(ROWS)], groups=1, rows=1)
    config = PretrainingConfig(steps=2, meta_batch_size=2, support_size=4, query_size=4, inner_lr=rate)
    gradients = {}
    for order in ("first", "exact"):
        method = MethodConfig(name="m", kind="metapt", clustering="c", order=order, inner_steps=steps)
        learner = make_learner(PretrainingTask(TASKS, config, method, 5, 0))
        episode = learner.draw(1)
        gradients[order] = learner.gradient({"prompt": case.prompts[0]}, episode, case.objective())[0]["prompt"]
    value = objective(case, unmodified(folder), episode, steps, rate)

    leaf = case.prompts[0].clone().requires_grad_(True)
    (written_out,) = torch.autograd.grad(value(leaf), leaf)
    size = float(written_out.norm())
    assert float((gradients["exact"] - written_out).norm()) < 1e-3 * size
    assert float((gradients["first"] - written_out).norm()) > 1e-2 * size, "the second-order part is not negligible"

    if family == "t5":
        return  # its ReLU has kinks: no difference is small enough to miss them all

    def central(direction: Tensor, step: float) -> float:
        moved = [case.prompts[0] + sign * step * direction for sign in (1, -1)]
        after, before = (float(value(prompt.requires_grad_(True)).detach()) for prompt in moved)
        return (after - before) / (2 * step)

    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        direction = torch.randn(leaf.shape, generator=generator)
        direction = F.normalize((direction / direction.norm() + written_out / size).flatten(), dim=0).view_as(leaf)
        slope = (4 * central(direction, 1e-3) - central(direction, 2e-3)) / 3
        assert abs(slope - float((gradients["exact"] * direction).sum())) < 0.02 * size
