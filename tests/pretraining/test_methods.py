"""Each method's outer gradient equals a hand-written reference; the loop resumes to the same bits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AutoModelForCausalLM

from metapt_explore.config import LabelsConfig, ModelConfig, PretrainingConfig
from metapt_explore.errors import Cancelled
from metapt_explore.pretraining.episodes import Episode
from metapt_explore.pretraining.learner import Setting
from metapt_explore.pretraining.loop import pretrain
from metapt_explore.pretraining.methods import make_learner
from metapt_explore.prompts.causal import CausalBackbone
from metapt_explore.prompts.gradients import Scorer
from metapt_explore.prompts.models import load_backbone
from metapt_explore.runs.artifact import ArtifactWriter

LABELS = LabelsConfig(template="{text} Sentiment :", labels={"negative": "negative", "positive": "positive"})
CONFIG = PretrainingConfig(steps=6, meta_batch_size=3, support_size=4, query_size=6, inner_lr=0.7, outer_lr=0.05)
TASKS = {
    task: {name: list(range(20 * task + 10 * c, 20 * task + 10 * c + 10)) for c, name in enumerate(LABELS.labels)}
    for task in range(4)
}
TEXTS = [" ".join(tiny.WORDS[20 + (11 * row + 3 * i) % 60] for i in range(2 + row % 5)) for row in range(80)]
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(scope="module")
def backbone(world: Path) -> CausalBackbone:
    return load_backbone(ModelConfig(name=str(world / "lm"), dtype="float32", device="cpu"))


@pytest.fixture(scope="module")
def plain_loss(world: Path, backbone: CausalBackbone) -> Any:
    """Mean loss of rows under a prompt: one row at a time through an unmodified model."""
    model = AutoModelForCausalLM.from_pretrained(world / "lm", attn_implementation="eager").eval().requires_grad_(False)
    embed, reader = model.get_input_embeddings(), backbone.reader(LABELS, "test")

    def loss(prompt: Tensor, rows: list[int], labels: list[int]) -> Tensor:
        scores = []
        for row in rows:
            ids = torch.tensor(backbone.tokenizer(TEXTS[row], add_special_tokens=False)["input_ids"])
            whole = torch.cat([embed(ids), prompt, embed(torch.tensor(reader.tail))])[None]
            scores.append(model(inputs_embeds=whole).logits[0, -1][torch.tensor(reader.words)])
        return F.cross_entropy(torch.stack(scores), torch.tensor(labels))

    return loss


def gradient_of(loss: Any, prompt: Tensor, rows: list[int], labels: list[int]) -> tuple[Tensor, Tensor]:
    prompt = prompt.clone().requires_grad_(True)
    value = loss(prompt, rows, labels)
    return value.detach(), torch.autograd.grad(value, prompt)[0]


def scorer_of(backbone: CausalBackbone) -> Scorer:
    reader = backbone.reader(LABELS, "test")
    return Scorer(backbone, backbone.bank(TEXTS, reader), reader)


def test_first_order_maml_equals_the_written_out_algorithm(backbone: CausalBackbone, plain_loss: Any) -> None:
    learner = make_learner("metapt", Setting(TASKS, CONFIG, 5, 0))
    prompt = backbone.embedding[20:23].clone()
    scorer = scorer_of(backbone)
    episode = learner.draw(2)
    gradient, records = learner.gradient(prompt, episode, scorer)

    expected = torch.zeros_like(prompt)
    for index, task in enumerate(episode.tasks):
        support, support_labels = episode.support[index], episode.support_labels[index]
        before, inner = gradient_of(plain_loss, prompt, support, support_labels)
        adapted = prompt - 0.7 * inner
        query, outer = gradient_of(plain_loss, adapted, episode.query[index], episode.query_labels[index])
        after = plain_loss(adapted, support, support_labels)
        expected += outer / len(episode.tasks)
        assert records[index]["task"] == task
        assert records[index]["support_before"] == pytest.approx(float(before), rel=1e-4)
        assert records[index]["support_after"] == pytest.approx(float(after), rel=1e-4)
        assert records[index]["query"] == pytest.approx(float(query), rel=1e-4)
        assert abs(records[index]["support_before"] - records[index]["support_after"]) > 1e-4
    torch.testing.assert_close(gradient, expected, **CLOSE)
    assert scorer.row_passes == 3 * (4 + 6) and scorer.diagnostic_rows == 3 * 4


def test_pooled_equals_the_gradient_of_the_mean_loss(backbone: CausalBackbone, plain_loss: Any) -> None:
    learner = make_learner("ppt", Setting(TASKS, CONFIG, 5, 0))
    prompt = backbone.embedding[20:23].clone()
    scorer = scorer_of(backbone)
    episode = learner.draw(0)
    gradient, records = learner.gradient(prompt, episode, scorer)
    labels = episode.support_labels[0] + episode.query_labels[0]
    loss, expected = gradient_of(plain_loss, prompt, episode.rows, labels)
    torch.testing.assert_close(gradient, expected, **CLOSE)
    assert records == [{"task": -1, "loss": pytest.approx(float(loss), rel=1e-4)}]
    # Honesty: as many rows as a meta-step, balanced, from all tasks together.
    assert scorer.row_passes == 3 * (4 + 6) and labels.count(0) == labels.count(1)


@pytest.mark.parametrize("kind", ["ppt", "metapt"])
def test_stopped_and_resumed_gives_the_same_bits(kind: str, backbone: CausalBackbone, tmp_path: Path) -> None:
    reader = backbone.reader(LABELS, "test")
    setting = Setting(TASKS, CONFIG, 5, 1)
    start = backbone.embedding[20:23].clone()

    steps: list[int] = []

    def run(folder: Path, stop_at: int | None) -> Tensor:
        folder.mkdir(exist_ok=True)
        steps.clear()

        def on_step(step: int) -> None:
            steps.append(step)
            if step == stop_at:
                raise Cancelled

        return pretrain(
            make_learner(kind, setting), setting, start, backbone, TEXTS, reader, ArtifactWriter(folder), on_step
        )[0]

    straight = run(tmp_path / "straight", None)
    with pytest.raises(Cancelled):
        run(tmp_path / "stopped", 4)
    # What a killed writer may leave behind: a torn line, and lines after the checkpoint.
    metrics = tmp_path / "stopped" / "metrics.jsonl"
    metrics.write_text(metrics.read_text() + '{"step": 5, "task": 0}\n{"step": 5, "ta')
    backbone._banks.clear()
    resumed = run(tmp_path / "stopped", None)
    assert steps == [5, 6], "it went on from the checkpoint and did not begin again"
    assert torch.equal(straight, resumed)
    assert not torch.equal(straight, start)
    a, b = ArtifactWriter(tmp_path / "straight").metrics, ArtifactWriter(tmp_path / "stopped").metrics
    assert a.equals(b) and a["step"].nunique() == CONFIG.steps


def test_training_lowers_the_loss(backbone: CausalBackbone, tmp_path: Path) -> None:
    """Texts whose feeling word tells their label can be learned."""
    texts = [
        f"the {tiny.FEELINGS[name][row % 5]} w{row % 7}"
        for rows in TASKS.values()
        for name in rows
        for row in rows[name]
    ]
    setting = Setting(TASKS, CONFIG.model_copy(update={"steps": 40}), 0, 0)
    reader = backbone.reader(LABELS, "test")
    out = ArtifactWriter(tmp_path)
    start = backbone.embedding[20:23].clone()
    pretrain(make_learner("ppt", setting), setting, start, backbone, texts, reader, out, lambda step: None)
    losses = out.metrics["loss"]
    assert losses.tail(5).mean() < 0.7 * losses.head(5).mean()


def test_episode_rows_are_moved_into_the_bank() -> None:
    episode = Episode([0], [[7, 9]], [[3]], [[0, 1]], [[1]])
    from metapt_explore.pretraining.loop import _in_bank

    moved = _in_bank(episode, {3: 0, 7: 1, 9: 2})
    assert moved == replace(episode, support=[[1, 2]], query=[[0]])
