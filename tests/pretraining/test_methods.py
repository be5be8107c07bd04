"""Each method's outer gradient equals a hand-written reference; the loop resumes to the same bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
import torch.nn.functional as F
from tampering import writer_in
from torch import Tensor
from transformers import AutoModelForCausalLM

from metapt_explore.config import LabelsConfig, MethodConfig, ModelConfig, PretrainingConfig
from metapt_explore.errors import Cancelled, UserError
from metapt_explore.models.causal import CausalBackbone
from metapt_explore.models.gradients import PromptObjective
from metapt_explore.models.load import load_backbone
from metapt_explore.pretraining.episode_bank import PretrainingTexts
from metapt_explore.pretraining.episodes import Episode
from metapt_explore.pretraining.learner import PretrainingTask
from metapt_explore.pretraining.loop import pretrain
from metapt_explore.pretraining.registry import make_learner
from metapt_explore.pretraining.state import TrainingCallbacks

LABELS = LabelsConfig(template="{text} Sentiment :", labels={"negative": "negative", "positive": "positive"})
CONFIG = PretrainingConfig(steps=6, meta_batch_size=3, support_size=4, query_size=6, inner_lr=0.7, outer_lr=0.05)
TASKS = {
    task: {name: list(range(20 * task + 10 * c, 20 * task + 10 * c + 10)) for c, name in enumerate(LABELS.labels)}
    for task in range(4)
}
TEXTS = [" ".join(tiny.WORDS[20 + (11 * row + 3 * i) % 60] for i in range(2 + row % 5)) for row in range(80)]
CLOSE = {"rtol": 1e-4, "atol": 1e-5}
#: Several inner steps and second derivatives magnify rounding: both sides are some 2e-5 of the largest number off
#: what double precision gives.
BENT = {"rtol": 1e-3, "atol": 2e-4}
LEARNERS = {
    "ppt": {},
    "first-order": {},
    "first-order, three steps": {"inner_steps": 3},
    "first-order, adam inside": {"inner_optimiser": "adam", "inner_lr": 0.05, "inner_steps": 2},
    "exact": {"order": "exact"},
    "exact, three steps": {"order": "exact", "inner_steps": 3},
    "partial, exact": {"adapted": 0.4, "inner_steps": 2, "order": "exact"},
    "partial, adam inside": {"adapted": 0.4, "inner_optimiser": "adam", "inner_lr": 0.05, "inner_steps": 2},
    "reptile": {"learner": "reptile", "inner_steps": 2},
    "reptile, same rows": {"learner": "reptile", "inner_steps": 2, "inner_rows": "same"},
    "meta-sgd": {"learner": "meta_sgd", "inner_steps": 2},
    "leap": {"learner": "leap", "inner_steps": 2},
    "leap, energy, adam inside": {"learner": "leap", "path": "energy", "inner_optimiser": "adam", "inner_lr": 0.05},
    "meta-sgd, vector and step": {"learner": "meta_sgd", "inner_steps": 2, "rates": "vector_and_step"},
    "meta-sgd, exact": {"learner": "meta_sgd", "inner_steps": 2, "order": "exact"},
    "prompt per cluster": {"learner": "prompt_per_cluster"},
    "hsml": {"learner": "hsml", "families": 2, "inner_steps": 2},
}


def task_of(name: str, config: PretrainingConfig = CONFIG, init_seed: int = 0) -> PretrainingTask:
    kind = "ppt" if name == "ppt" else "metapt"
    method = MethodConfig(name=name, kind=kind, clustering="c", **LEARNERS[name])
    return PretrainingTask(TASKS, config, method, 5, init_seed)


@pytest.fixture(scope="module")
def backbone(world: Path) -> CausalBackbone:
    return load_backbone(ModelConfig(name=str(world / "lm"), dtype="float32", device="cpu"))


def plain_loss_by(world: Path, backbone: CausalBackbone, labels_config: LabelsConfig) -> Any:
    """Mean loss of rows under a prompt: one row at a time through an unmodified model."""
    model = AutoModelForCausalLM.from_pretrained(world / "lm", attn_implementation="eager").eval().requires_grad_(False)
    embed, pattern = model.get_input_embeddings(), backbone.pattern(labels_config, "test")

    def loss(prompt: Tensor, rows: list[int], labels: list[int]) -> Tensor:
        scores = []
        for row in rows:
            ids = torch.tensor(backbone.tokenizer(TEXTS[row], add_special_tokens=False)["input_ids"])
            whole = torch.cat([embed(ids), prompt, embed(torch.tensor(pattern.tail))])[None]
            scores.append(model(inputs_embeds=whole).logits[0, -1][torch.tensor(pattern.words)])
        return F.cross_entropy(torch.stack(scores), torch.tensor(labels))

    return loss


@pytest.fixture(scope="module")
def plain_loss(world: Path, backbone: CausalBackbone) -> Any:
    return plain_loss_by(world, backbone, LABELS)


def gradient_of(loss: Any, prompt: Tensor, rows: list[int], labels: list[int]) -> tuple[Tensor, Tensor]:
    prompt = prompt.clone().requires_grad_(True)
    value = loss(prompt, rows, labels)
    return value.detach(), torch.autograd.grad(value, prompt)[0]


def objective_of(backbone: CausalBackbone) -> PromptObjective:
    pattern = backbone.pattern(LABELS, "test")
    return PromptObjective(backbone, backbone.bank(TEXTS, pattern), pattern)


def outer_loss(
    loss: Any, prompt: Tensor, rates: float | Tensor, episode: Episode, steps: int, exact: bool = True
) -> Tensor:
    """MAML's objective written out: adapt on support rows, loss on query rows, mean over tasks."""
    total = torch.zeros(())
    for index in range(len(episode.tasks)):
        adapted = prompt
        for _ in range(steps):
            support = loss(adapted, episode.support[index], episode.support_labels[index])
            (gradient,) = torch.autograd.grad(support, adapted, create_graph=exact, retain_graph=True)
            adapted = adapted - rates * gradient
        total = total + loss(adapted, episode.query[index], episode.query_labels[index]) / len(episode.tasks)
    return total


@pytest.mark.parametrize("name", ["first-order", "first-order, three steps", "exact", "exact, three steps"])
def test_maml_equals_the_written_out_algorithm(name: str, backbone: CausalBackbone, plain_loss: Any) -> None:
    pretraining_task = task_of(name)
    learner, objective = make_learner(pretraining_task), objective_of(backbone)
    prompt = backbone.embedding[20:23].clone()
    episode = learner.draw(2)
    gradients, records = learner.gradient({"prompt": prompt}, episode, objective)

    steps, exact = pretraining_task.method.inner_steps, pretraining_task.method.order == "exact"
    leaf = prompt.clone().requires_grad_(True)
    value = outer_loss(plain_loss, leaf, 0.7, episode, steps, exact)
    # Without the inner graph, the gradient of the adapted prompt reaches the start as it is: first order.
    (expected,) = torch.autograd.grad(value, leaf)
    torch.testing.assert_close(gradients["prompt"], expected, **(BENT if steps > 1 or exact else CLOSE))
    assert sum(record["query"] for record in records) / 3 == pytest.approx(float(value.detach()), rel=1e-4)
    assert [record["task"] for record in records] == episode.tasks
    for index, record in enumerate(records):
        before = plain_loss(prompt, episode.support[index], episode.support_labels[index])
        assert record["support_before"] == pytest.approx(float(before), rel=1e-4)
        assert abs(record["support_before"] - record["support_after"]) > 1e-4
    assert objective.row_passes == pytest.approx(pretraining_task.method.row_passes_per_step(CONFIG))
    assert objective.diagnostic_rows == 3 * 4


@pytest.mark.parametrize("steps", [1, 3])
def test_exact_maml_equals_finite_differences(steps: int, backbone: CausalBackbone, plain_loss: Any) -> None:
    """Through the whole objective, with no gradient of ours in it; the first-order gradient fails this."""
    # A gentle inner rate: at 0.7 three steps bend the objective so much that no difference is small enough.
    config = CONFIG.model_copy(update={"inner_lr": 0.02})
    prompt = backbone.embedding[20:23].clone()
    found = {}
    for name in ("first-order", "exact") if steps == 1 else ("first-order, three steps", "exact, three steps"):
        learner = make_learner(task_of(name, config))
        episode = learner.draw(1)
        found[name.split(",")[0]] = learner.gradient({"prompt": prompt}, episode, objective_of(backbone))[0]["prompt"]
    generator = torch.Generator().manual_seed(0)

    def value(moved: Tensor) -> float:
        return float(outer_loss(plain_loss, moved.requires_grad_(True), 0.02, episode, steps).detach())

    def central(direction: Tensor, step: float) -> float:
        return (value(prompt + step * direction) - value(prompt - step * direction)) / (2 * step)

    errors: dict[str, list[float]] = {"first-order": [], "exact": []}
    for _ in range(4):
        direction = F.normalize(torch.randn(prompt.numel(), generator=generator), dim=0).view_as(prompt)
        direction = F.normalize((direction + found["exact"] / found["exact"].norm()).flatten(), dim=0).view_as(prompt)
        # Two step sizes cancel the leading error of a central difference (Richardson).
        slope = (4 * central(direction, 1e-3) - central(direction, 2e-3)) / 3
        for name, gradient in found.items():
            errors[name].append(abs(slope - float((gradient * direction).sum())) / float(gradient.norm()))
    assert max(errors["exact"]) < 0.01, errors
    assert min(errors["first-order"]) > 0.02, errors


@pytest.mark.parametrize("exact", [False, True])
def test_meta_sgd_learns_its_rates(exact: bool, backbone: CausalBackbone, plain_loss: Any) -> None:
    pretraining_task = task_of("meta-sgd, exact" if exact else "meta-sgd")
    learner, objective = make_learner(pretraining_task), objective_of(backbone)
    start = backbone.embedding[20:23].clone()
    parameters = learner.parameters(start)
    torch.testing.assert_close(parameters["log_rates"].exp(), torch.full_like(start, 0.7))
    parameters["log_rates"] += 0.3 * torch.randn(start.shape, generator=torch.Generator().manual_seed(1))
    episode = learner.draw(0)
    gradients, _ = learner.gradient(parameters, episode, objective)

    leaf, log_rates = start.clone().requires_grad_(True), parameters["log_rates"].clone().requires_grad_(True)
    value = outer_loss(plain_loss, leaf, log_rates.exp(), episode, steps=2, exact=exact)
    expected = torch.autograd.grad(value, (leaf, log_rates))
    torch.testing.assert_close(gradients["prompt"], expected[0], **BENT)
    torch.testing.assert_close(gradients["log_rates"], expected[1], **BENT)
    assert float(gradients["log_rates"].norm()) > 1e-3


@pytest.mark.parametrize("name", ["reptile", "reptile, same rows"])
def test_reptile_goes_where_the_tasks_end(name: str, backbone: CausalBackbone, plain_loss: Any) -> None:
    learner, objective = make_learner(task_of(name)), objective_of(backbone)
    prompt = backbone.embedding[20:23].clone()
    episode = learner.draw(1)
    gradients, _ = learner.gradient({"prompt": prompt}, episode, objective)
    expected = torch.zeros_like(prompt)
    for index in range(3):
        end = prompt
        rows, labels = episode.support[index], episode.support_labels[index]
        steps = [(rows[:4], labels[:4]), (rows[4:], labels[4:])] if name == "reptile" else [(rows, labels)] * 2
        for rows, labels in (*steps, (episode.query[index], episode.query_labels[index])):
            assert len(rows) in (4, 6) and 2 * sum(labels) == len(labels), "each step is on a balanced set"
            end = end - 0.7 * gradient_of(plain_loss, end, rows, labels)[1]
        expected += (prompt - end) / (3 * 0.7 * 3)
    torch.testing.assert_close(gradients["prompt"], expected, **CLOSE)


def test_pooled_equals_the_gradient_of_the_mean_loss(backbone: CausalBackbone, plain_loss: Any) -> None:
    learner = make_learner(task_of("ppt"))
    prompt = backbone.embedding[20:23].clone()
    objective = objective_of(backbone)
    episode = learner.draw(0)
    gradients, records = learner.gradient({"prompt": prompt}, episode, objective)
    labels = episode.support_labels[0] + episode.query_labels[0]
    loss, expected = gradient_of(plain_loss, prompt, episode.rows, labels)
    torch.testing.assert_close(gradients["prompt"], expected, **CLOSE)
    assert records == [{"task": -1, "loss": pytest.approx(float(loss), rel=1e-4)}]
    # Honesty: as many rows as a meta-step, balanced, from all tasks together.
    assert objective.row_passes == 3 * (4 + 6) and labels.count(0) == labels.count(1)


def test_every_method_spends_the_same_passes() -> None:
    """A dearer outer step means fewer of them; the budget is met within one outer step."""
    config = PretrainingConfig(steps=60, meta_batch_size=4, support_size=8, query_size=8)
    for name in LEARNERS:
        pretraining_task = task_of(name, config)
        cost = pretraining_task.method.row_passes_per_step(config)
        assert abs(pretraining_task.steps * cost - 60 * 4 * 16) <= cost / 2
    assert task_of("ppt", config).steps == task_of("first-order", config).steps == 60
    # three inner steps on 8 rows and a query step on 8: 32 rows a task against 16
    assert task_of("first-order, three steps", config).steps == 30


@pytest.mark.parametrize("name", list(LEARNERS))
def test_stopped_and_resumed_gives_the_same_bits(name: str, backbone: CausalBackbone, tmp_path: Path) -> None:
    """Stopped after a step, and between two passes of a step; every learned tensor and metric is the same."""
    pattern = backbone.pattern(LABELS, "test")
    rates = {"steps": 12, "outer_schedule": "cosine", "warmup": 0.3}  # they change at every step
    pretraining_task = task_of(name, CONFIG.model_copy(update=rates), init_seed=1)
    start = backbone.embedding[20:23].clone()
    steps: list[int] = []

    def run(folder: Path, stop_at_call: int | None) -> dict[str, Tensor]:
        folder.mkdir(exist_ok=True)
        steps.clear()
        backbone.forget_texts()

        def on_step(step: int) -> None:
            steps.append(step)
            if len(steps) == stop_at_call:
                raise Cancelled

        learner = make_learner(pretraining_task)
        out = TrainingCallbacks(writer_in(folder).metric, on_step, on_step, writer_in(folder))
        source = PretrainingTexts(TEXTS, pattern)
        return pretrain(learner, pretraining_task, start, backbone=backbone, source=source, callbacks=out).learned

    straight = run(tmp_path / "straight", None)
    calls = len(steps)
    for stop_at_call in (calls // 2, calls // 2 + 1):
        folder = tmp_path / f"stopped{stop_at_call}"
        with pytest.raises(Cancelled):
            run(folder, stop_at_call)
        reached = steps[-1]
        # What a killed writer may leave behind: a torn line, and lines after the checkpoint.
        metrics = folder / "metrics.jsonl"
        metrics.write_text(
            metrics.read_text(encoding="utf-8") + '{"step": 11, "task": 0}\n{"step": 11, "ta', encoding="utf-8"
        )
        resumed = run(folder, None)
        assert steps[0] == reached > 0 or steps[0] == reached + 1, "it went on and did not begin again"
        assert all(torch.equal(straight[key], resumed[key]) for key in straight) and straight.keys() == resumed.keys()
        a, b = writer_in(tmp_path / "straight").metrics, writer_in(folder).metrics
        assert a.equals(b) and a["step"].nunique() == pretraining_task.steps
    assert not torch.equal(straight["prompt"], start)


def test_numbers_that_run_away_are_an_error_and_a_far_prompt_a_notice(backbone: CausalBackbone, tmp_path: Path) -> None:
    pattern = backbone.pattern(LABELS, "test")
    pretraining_task = task_of("first-order")
    notices: list[str] = []
    backbone.on_notice = notices.append

    def run(start: Tensor) -> None:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        learner = make_learner(pretraining_task)
        source, out = PretrainingTexts(TEXTS, pattern), TrainingCallbacks(checkpoints=writer_in(folder))
        pretrain(learner, pretraining_task, start, backbone=backbone, source=source, callbacks=out)

    try:
        run(backbone.embedding[20:23].clone())
        assert notices == []
        run(10 * backbone.embedding[20:23].clone())
        assert len(notices) == 1 and "prompt.init" in notices[0]
        with pytest.raises(UserError, match=r"pretraining\.outer_lr"):
            run(torch.full((3, backbone.width), float("nan")))
    finally:
        backbone.on_notice = lambda message: None


def test_training_lowers_the_loss(backbone: CausalBackbone, tmp_path: Path) -> None:
    """Texts whose feeling word tells their label can be learned."""
    texts = [
        f"the {tiny.FEELINGS[name][row % 5]} w{row % 7}"
        for rows in TASKS.values()
        for name in rows
        for row in rows[name]
    ]
    pretraining_task = task_of("ppt", CONFIG.model_copy(update={"steps": 40}))
    pattern = backbone.pattern(LABELS, "test")
    out = writer_in(tmp_path)
    start = backbone.embedding[20:23].clone()
    learner, callbacks = make_learner(pretraining_task), TrainingCallbacks(out.metric, checkpoints=out)
    source = PretrainingTexts(texts, pattern)
    pretrain(learner, pretraining_task, start, backbone=backbone, source=source, callbacks=callbacks)
    losses = out.metrics["loss"]
    assert losses.tail(5).mean() < 0.7 * losses.head(5).mean()
