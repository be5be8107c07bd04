"""The steps of few-shot prompt tuning: all data seeds and learning rates in one batch, resumable at any step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from metapt_explore.config import EvaluationConfig, VerbalizerConfig
from metapt_explore.fewshot.checkpoint import TuningCheckpoint
from metapt_explore.fewshot.dev_scores import DevScores
from metapt_explore.fewshot.scoring import ClassReading, Split
from metapt_explore.models.backbone import Backbone
from metapt_explore.models.gradients import Batch, PromptObjective
from metapt_explore.pretraining.loop import CLIP_NORM
from metapt_explore.prompts.health import HealthWatch
from metapt_explore.seeds import stream
from metapt_explore.storage.checkpoint import CheckpointStore
from metapt_explore.texts.rows import TextInput
from metapt_explore.verbalizers.pattern import PatternVerbalizer


class TuningSteps:
    """One prompt tuned on every data seed at every learning rate.

    Args:
        start: The prompt to begin from, fp32 `[prompt_tokens, width]`.
        backbone: The frozen model.
        pattern: Template and label words of the task.
        train: The few-shot examples of each data seed.
        dev: As many held-out examples, by which learning rates drop out.
        config: Learning rates, steps, batch size.
        order_seed: What orders the examples: study seed and initialisation seed, or an order that was asked for.
        on_step: Called after each tuning step with a record of the mean training loss.
        on_pass: Called with the finished steps after each pass through the model; may raise to stop.
        verbalizer: How dev rows are read.
        record: Keeps a checkpoint; one that is found there is gone on from.

    Attributes:
        cells: Data seed and learning rate of each prompt.
        progress: What is finished; its snapshots are `[cells, prompt_tokens, width]`.
        reading: How rows are read.
        scored: What dev says of them.
    """

    def __init__(
        self,
        start: Tensor,
        backbone: Backbone,
        pattern: PatternVerbalizer,
        train: Mapping[int, Split],
        dev: Mapping[int, Split],
        config: EvaluationConfig,
        order_seed: tuple[int, ...],
        on_step: Callable[[int, dict[str, Any]], None],
        on_pass: Callable[[int], None],
        verbalizer: VerbalizerConfig,
        record: CheckpointStore | None,
    ) -> None:
        self.cells = [(seed, rate) for seed in train for rate in config.learning_rates]
        self._start, self._train, self._config, self._order_seed = start, train, config, order_seed
        self._on_step, self._on_pass = on_step, on_pass
        self._scorer, self._offsets = _training_rows(backbone, pattern, train)
        self._prompts = [torch.nn.Parameter(start.clone()) for _ in self.cells]
        groups = [{"params": [prompt], "lr": rate} for prompt, (_, rate) in zip(self._prompts, self.cells, strict=True)]
        self._optimiser = torch.optim.Adam(groups)
        self._health = HealthWatch(backbone.embedding, "Few-shot tuning", backbone.on_notice)
        self._checkpoint = TuningCheckpoint(record, self._prompts, self._optimiser)
        self.progress = self._checkpoint.restore(self._stacked())
        self._between_steps = True
        self.reading = ClassReading(backbone, pattern, verbalizer, lambda: on_pass(self.progress.steps))
        self.scored = DevScores(self.cells, self.reading, train, dev)

    def run(self) -> None:
        """Takes the steps that are left, and scores what was kept of them on dev."""
        config, scored, progress = self._config, self.scored, self.progress
        running = list(range(len(self.cells)))
        for halved in [step for step in config.halving_steps if step < progress.steps]:
            scored.score({step: of for step, of in progress.snapshots.items() if step <= halved}, running)
            running = scored.better_half(running, halved)
        while progress.steps < config.steps:
            if progress.steps in config.halving_steps:
                scored.score(progress.snapshots, running)
                running = scored.better_half(running, progress.steps)
            loss = self._step(running)
            self._on_step(progress.steps, {"step": progress.steps, "train_loss": loss})
            self.keep_sometimes()
        scored.score(progress.snapshots, running)

    def keep(self) -> None:
        """Keeps what is finished, for whoever goes on."""
        if self._between_steps:
            self._checkpoint.save(self.progress)

    def keep_sometimes(self) -> None:
        """As `keep`, where the last time is a while ago: what a killed process loses."""
        self._checkpoint.save_sometimes(self.progress)

    def _step(self, running: list[int]) -> float:
        progress = self.progress
        step, tuned = progress.steps + 1, [self.cells[cell] for cell in running]
        batch = _batch(tuned, self._train, self._offsets, self._config.batch_size, self._order_seed, step)
        self._scorer.on_pass = partial(self._on_pass, progress.steps)
        stacked = torch.stack([self._prompts[cell].detach() for cell in running])
        losses, gradients = self._scorer.losses_and_gradients(stacked, batch)
        for place, (_, rate) in enumerate(tuned):
            self._health.check(
                stacked[place], losses[place], step=step - 1, rate=f"evaluation.learning_rates: {rate:g}"
            )
        self._between_steps = False
        self._optimiser.zero_grad()  # a prompt without a gradient is left where it is
        for cell, gradient in zip(running, gradients, strict=True):
            self._prompts[cell].grad = gradient.clone()
            torch.nn.utils.clip_grad_norm_([self._prompts[cell]], CLIP_NORM)
        self._optimiser.step()
        if self._config.proximal:
            for cell, (_, rate) in zip(running, tuned, strict=True):
                self._prompts[cell].data.lerp_(self._start, min(rate * self._config.proximal, 1.0))
        if step in self._config.scored_steps:
            progress.snapshots[step] = self._stacked()
        progress.steps, progress.row_passes = step, progress.row_passes + len(batch.rows)
        self._between_steps = True
        return float(losses.mean())

    def _stacked(self) -> Tensor:
        return torch.stack([prompt.detach().clone() for prompt in self._prompts])


def _training_rows(
    backbone: Backbone, pattern: PatternVerbalizer, train: Mapping[int, Split]
) -> tuple[PromptObjective, dict[int, int]]:
    """One bank over the examples of all data seeds, and where each seed's examples begin in it."""
    texts: list[TextInput] = []
    offsets = {}
    for seed, split in train.items():
        offsets[seed] = len(texts)
        texts += split.texts
    return PromptObjective(backbone, backbone.bank(texts, pattern), pattern), offsets


def _batch(
    cells: list[tuple[int, float]],
    train: Mapping[int, Split],
    offsets: dict[int, int],
    size: int,
    order_seed: tuple[int, ...],
    step: int,
) -> Batch:
    """The examples of one tuning step: every cell of a data seed sees the same ones."""
    rows, groups, labels = [], [], []
    picked: dict[int, list[int]] = {}
    for group, (seed, _) in enumerate(cells):
        if seed not in picked:
            picked[seed] = epoch_rows(len(train[seed].texts), size, order_seed, seed, step)
        rows += [offsets[seed] + row for row in picked[seed]]
        groups += [group] * len(picked[seed])
        labels += [train[seed].labels[row] for row in picked[seed]]
    return Batch(rows, groups, labels)


def epoch_rows(total: int, size: int, order_seed: tuple[int, ...], seed: int, step: int) -> list[int]:
    """Rows of one step: epochs of shuffled rows cut into batches, stateless so that any step can be asked for."""
    if size >= total:
        return list(range(total))
    per_epoch = total // size
    epoch, part = divmod(step - 1, per_epoch)
    study_seed, *rest = order_seed
    order = stream(study_seed, "tuning_order", *rest, seed, epoch).permutation(total)
    return [int(row) for row in order[part * size : (part + 1) * size]]
