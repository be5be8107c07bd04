"""The pre-training loop: the same for every method, resumable at any step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from metapt_explore.models.backbone import Backbone
from metapt_explore.pretraining.budget import rate_factor
from metapt_explore.pretraining.episode_bank import EpisodeBank, PretrainingTelemetry, PretrainingTexts
from metapt_explore.pretraining.gate import packed_offsets
from metapt_explore.pretraining.host_reads import HostReads
from metapt_explore.pretraining.learner import Learner, PretrainingTask, TaskRecord, losses_of
from metapt_explore.pretraining.state import TrainingCallbacks, TrainingCheckpoint, TrainingState
from metapt_explore.prompts.health import HealthWatch

#: The setting to lower where numbers run away.
RATE = "pretraining.outer_lr"


@dataclass(frozen=True)
class PretrainingOutcome:
    """What pre-training gave.

    Attributes:
        learned: What was learned by name, `prompt` among it.
        telemetry: What it cost.
    """

    learned: dict[str, Tensor]
    telemetry: PretrainingTelemetry


def pretrain(
    learner: Learner,
    pretraining_task: PretrainingTask,
    initial_prompt: Tensor,
    *,
    backbone: Backbone,
    source: PretrainingTexts,
    callbacks: TrainingCallbacks,
) -> PretrainingOutcome:
    """Pre-trains one prompt.

    Args:
        learner: The method.
        pretraining_task: Tasks, sizes and seeds.
        initial_prompt: fp32, `[prompt_tokens, width]`.
        backbone: The frozen model.
        source: The texts, and how they are read.
        callbacks: Receive metrics, progress and checkpoints; where they raise, the finished steps have been saved.
    """
    initial, averaged_from = learner.parameters(initial_prompt), pretraining_task.first_averaged
    state, reads = (
        TrainingState(initial, pretraining_task.outer_lr, averaged_from=averaged_from),
        HostReads(initial_prompt.device),
    )
    every = pretraining_task.config.checkpoint_every
    checkpoint = TrainingCheckpoint(callbacks.checkpoints, state, every_steps=every, before_saving=reads.read)
    checkpoint.restore()
    episodes = EpisodeBank(learner, pretraining_task, source=source, backbone=backbone)
    objective = episodes.objective
    objective.row_passes, objective.diagnostic_rows = state.row_passes, state.diagnostic_rows
    health = HealthWatch(backbone.usual_vectors, f"Pre-training of {pretraining_task.method.name}", backbone.on_notice)

    with checkpoint.saved_when_stopped():
        for step in range(state.steps, pretraining_task.steps):
            objective.on_pass = partial(callbacks.on_pass, step)
            episode, values = episodes.draw(step), state.values()
            gradients, records = learner.gradient(values, episode, objective)
            losses = torch.stack([outer_loss(record) for record in records])[None]
            (measured,) = health.measure(values["prompt"][None], losses)
            reads.take(measured, partial(_judge, health, step))
            factor = rate_factor(pretraining_task.config, step, pretraining_task.steps)
            norms = state.apply(gradients, factor)
            # The next step would see it; the last has none.
            ((finite, _),) = health.measure(state.values()["prompt"][None], losses)
            reads.take(finite[None], partial(_judge_finite, health, step + 1))
            numbers = [
                norms["prompt"],
                measured[1],
                *(loss for record in records for loss in losses_of(record).values()),
            ]
            reads.take(torch.stack(numbers), partial(_write_metrics, callbacks, step, records))
            state.finish_step(objective.row_passes, objective.diagnostic_rows)
            checkpoint.save_if_due()
            reads.read_if_due()
            callbacks.on_step(state.steps)
        reads.read()
    checkpoint.save()
    return PretrainingOutcome(packed_offsets(state.average()), episodes.telemetry())


def outer_loss(record: TaskRecord) -> Tensor:
    """The loss that the outer step lowers: on query rows, or on all rows where a method has no query rows."""
    return record["query"] if "query" in record else record["loss"]


def _judge(health: HealthWatch, step: int, measured: Sequence[float]) -> None:
    health.judge(*measured, step=step, rate=RATE)


def _judge_finite(health: HealthWatch, step: int, finite: Sequence[float]) -> None:
    health.judge_finite(finite[0], step=step, rate=RATE)


def _write_metrics(
    callbacks: TrainingCallbacks, step: int, records: Sequence[TaskRecord], numbers: Sequence[float]
) -> None:
    """Hands out a line for each task; `numbers` are the gradient's norm, the prompt's ratio, and all losses."""
    norm, ratio, *losses = numbers
    left = iter(losses)
    for record in records:
        values = {name: next(left) for name in losses_of(record)}
        callbacks.metric({"step": step, "task": record["task"], **values, "gradient_norm": norm, "norm_ratio": ratio})
