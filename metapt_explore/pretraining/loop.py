"""The pre-training loop: the same for every method, resumable at any step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from metapt_explore.models.backbone import Backbone
from metapt_explore.pretraining.budget import rate_factor
from metapt_explore.pretraining.episode_bank import EpisodeBank, PretrainingTelemetry, PretrainingTexts
from metapt_explore.pretraining.gate import packed_offsets
from metapt_explore.pretraining.learner import Learner, PretrainingTask, TaskRecord
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
    state = TrainingState(initial, pretraining_task.outer_lr, averaged_from=averaged_from)
    every = pretraining_task.config.checkpoint_every
    checkpoint = TrainingCheckpoint(callbacks.checkpoints, state, every_steps=every)
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
            losses = torch.tensor([outer_loss(record) for record in records])
            ratio = health.check(values["prompt"], losses, step=step, rate=RATE)
            factor = rate_factor(pretraining_task.config, step, pretraining_task.steps)
            norms = state.apply(gradients, factor)
            # The next step would see it; the last has none.
            health.check_finite(state.values()["prompt"], losses, step=step + 1, rate=RATE)
            norm = float(norms["prompt"])
            for record in records:
                callbacks.metric({"step": step, **record, "gradient_norm": norm, "norm_ratio": ratio})
            state.finish_step(objective.row_passes, objective.diagnostic_rows)
            checkpoint.save_if_due()
            callbacks.on_step(state.steps)
    checkpoint.save()
    return PretrainingOutcome(packed_offsets(state.average()), episodes.telemetry())


def outer_loss(record: TaskRecord) -> float:
    """The loss that the outer step lowers: on query rows, or on all rows where a method has no query rows."""
    return record.get("query", record.get("loss", 0.0))
