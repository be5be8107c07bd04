"""Recorded passes: played again on other rows of the same shape they give what the pass itself gives, bit for bit.

Here operations are recorded on a CPU (`recorded_ops.py`); a card's own recording needs a card.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import recorded_ops
import torch
from plain_reference import LABELS, texts_of
from torch import Tensor

from metapt_explore.config import LabelsConfig
from metapt_explore.models import step_graphs
from metapt_explore.models.causal import CausalBackbone
from metapt_explore.models.gradients import Batch, PromptObjective
from metapt_explore.models.kv_cache import text
from metapt_explore.models.step_graphs import StepGraphs

#: As many texts of each length, in one bank.
LENGTHS = [3, 9, 5, 14, 7, 2, 11, 6] * 3
THREE = LabelsConfig(template=LABELS.template, labels={"a": "camera", "b": "book", "c": "music"})


@pytest.fixture(autouse=True)
def padded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts are padded as on a card."""
    monkeypatch.setattr(text, "padded_length", lambda longest, most, device: min(-(-longest // 8) * 8, most))


class Counting:
    """`recorded_ops.record`, and how often it recorded and played."""

    def __init__(self) -> None:
        self.recorded = self.played = 0

    def __call__(self, compute: Callable[[], tuple[Tensor, ...]]) -> tuple[Callable[[], object], tuple[Tensor, ...]]:
        replay, outputs = recorded_ops.record(compute)
        self.recorded += 1

        def counted() -> None:
            self.played += 1
            replay()

        return counted, outputs


def steps_of(backbone: CausalBackbone, *, mixed: bool = False) -> list[tuple[Tensor, Tensor]]:
    """Six steps over rows, labels, groups and prompts of their own; in the last two the rows stay."""
    patterns = [backbone.pattern(labels, "test") for labels in ((LABELS, THREE) if mixed else (LABELS,))]
    banks = [backbone.bank(texts_of(LENGTHS), pattern) for pattern in patterns]
    others = list(zip(banks[1:], patterns[1:], strict=True))
    objective = PromptObjective(backbone, banks[0], patterns[0], others=others)
    generator = torch.Generator().manual_seed(0)

    def draw(top: int) -> list[int]:
        return torch.randint(0, top, (8,), generator=generator).tolist()

    results, rows = [], []
    for step in range(6):
        rows = rows if step > 4 else [3, *draw(len(LENGTHS))]  # the longest text is among them
        prompts = torch.stack([backbone.as_prompt(backbone.embedding[at : at + 3].float()) for at in (20 + step, 40)])
        read = [0, 1, *([0, 1] * 3), 1] if mixed else []
        batch = Batch(rows, [0, *draw(2)], [1, *draw(2)], read)
        results.append(objective.losses_and_gradients(prompts, batch))
    return results


@pytest.mark.parametrize(
    ("family", "placement", "mixed"),
    [
        ("llama", "suffix", False),
        ("llama", "suffix", True),
        ("llama", "prefix", False),
        ("qwen2", "prefix", True),
        ("llama", "deep", False),
        ("gpt2", "suffix", False),
        ("gpt2", "prefix", False),
    ],
)
def test_a_recorded_pass_gives_what_the_pass_gives(
    family: str, placement: str, mixed: bool, backbone_of: Callable[..., CausalBackbone]
) -> None:
    backbone = backbone_of(family, placement)
    expected = steps_of(backbone, mixed=mixed)
    said: list[str] = []
    counting = Counting()
    backbone.graphs = StepGraphs(backbone.dtype, said.append, counting)
    found = steps_of(backbone, mixed=mixed)
    assert not said and counting.recorded == 1 and counting.played >= 4, (said, counting.recorded, counting.played)
    for (loss, gradient), (exact_loss, exact_gradient) in zip(found, expected, strict=True):
        assert torch.equal(loss, exact_loss) and torch.equal(gradient, exact_gradient)
    assert not torch.equal(found[4][0], found[5][0]), "steps differ, so that equality says something"


@pytest.mark.parametrize("fault", ["refuses", "wrong"])
def test_where_recording_fails_steps_go_on_and_the_user_is_told_once(
    fault: str, backbone_of: Callable[..., CausalBackbone]
) -> None:
    backbone = backbone_of("llama", "suffix")
    expected = steps_of(backbone)
    said: list[str] = []

    def record(compute: Callable[[], tuple[Tensor, ...]]) -> Any:
        if fault == "refuses":
            raise RuntimeError("operation not permitted when stream is capturing\nmore")
        outputs = compute()
        return (lambda: outputs[1].mul_(1.01)), outputs

    backbone.graphs = StepGraphs(backbone.dtype, said.append, record)
    found = steps_of(backbone)
    assert all(torch.equal(one, other) for one, other in zip(sum(found, ()), sum(expected, ()), strict=True))
    (message,) = said
    assert ("capturing)" in message) == (fault == "refuses") and "model.cuda_graphs" in message
    assert not backbone.graphs.works


def test_only_so_many_shapes_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_graphs, "MOST_GRAPHS", 1)
    counting = Counting()
    graphs = StepGraphs(torch.float32, pytest.fail, counting)
    for _ in range(3):
        for size in (2, 3):
            (twice,) = graphs.run(size, lambda value: (2 * value,), [torch.ones(size)])
            assert torch.equal(twice, torch.full((size,), 2.0))
    assert counting.recorded == 1
    graphs.clear()
    graphs.run("new", lambda value: (value,), [torch.ones(1)])


def test_a_graph_that_would_look_at_numbers_is_refused() -> None:
    said: list[str] = []
    graphs = StepGraphs(torch.float32, said.append, recorded_ops.record)

    def looks(value: Tensor) -> tuple[Tensor]:
        return (value * 2 if float(value[0]) > 0 else -value,)

    for number in (1.0, 1.0, -1.0):
        (result,) = graphs.run("key", looks, [torch.tensor([number])])
        assert float(result) == (2.0 if number > 0 else 1.0)
    assert len(said) == 1 and "_local_scalar_dense" in said[0]
