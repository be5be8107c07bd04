"""The steps of few-shot prompt tuning: all data seeds and learning rates in one batch, resumable at any step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from metapt_explore.config import EvaluationConfig, MethodConfig, VerbalizerConfig
from metapt_explore.fewshot.dev_scores import DevScores
from metapt_explore.fewshot.scoring import BY_WORDS, ClassReading, FewShotData
from metapt_explore.fewshot.selection import Cell
from metapt_explore.fewshot.starts import StartMaker, TrainRows, same_start
from metapt_explore.fewshot.state import TuningState
from metapt_explore.models.backbone import Backbone
from metapt_explore.models.gradients import Batch
from metapt_explore.pretraining.host_reads import HostReads
from metapt_explore.pretraining.learner import last_vectors
from metapt_explore.pretraining.state import TrainingCallbacks, TrainingCheckpoint
from metapt_explore.prompts.health import HealthWatch
from metapt_explore.seeds import stream
from metapt_explore.verbalizers.pattern import PatternVerbalizer

#: Seconds of work that a killed process may lose; one that is asked to stop loses the current pass.
CHECKPOINT_SECONDS = 30.0


@dataclass(frozen=True)
class TuningPlan:
    """How a prompt is tuned, and how rows are read.

    Attributes:
        config: Learning rates, steps, batch size, and what dev chooses by.
        order_seeds: Order of the examples: study seed and initialisation seed, or an order that was asked for.
        verbalizer: How dev and scored rows are read; tuning itself goes by the pattern's label words.
        scale: What each number's step is multiplied by (`step_scale`); 1 when absent.
        starts: Makes each data seed's start of the prompt that is given.
    """

    config: EvaluationConfig
    order_seeds: tuple[int, ...]
    verbalizer: VerbalizerConfig = BY_WORDS
    scale: Tensor | None = None
    starts: StartMaker = same_start


def kept_rates(log_rates: Tensor, added: int = 0) -> Tensor:
    """Scale of tuning steps by learned inner rates (Meta-SGD, Li et al., 2017, arXiv 1707.09835).

    Divided by their geometric mean, so that the learning rate that dev chooses stays the typical step; what
    pre-training has learned is which numbers of the prompt move further than others. Where each inner step has rates of
    its own, that is the mean of the last one's, by which tuning goes on after as many steps.

    Args:
        log_rates: Logarithms of the inner rates, of each number `[prompt_tokens, width]` or of each vector
            `[prompt_tokens, 1]`; with a third dimension in front those of each step.
        added: Vectors behind them that pre-training did not know: their steps are the typical ones.

    Example:
        >>> kept_rates(torch.tensor([[0.01, 0.04]]).log()).round(decimals=3).tolist()
        [[0.5, 2.0]]
    """
    last = log_rates[-1] if log_rates.ndim == 3 else log_rates
    scale = (log_rates - last.mean()).exp()
    if scale.ndim == 3 and scale.shape[1] == 1:
        return scale  # the rates of a step are those of all its vectors
    return torch.cat([scale, scale.new_ones(*scale.shape[:-2], added, scale.shape[-1])], dim=-2)


def step_scale(learned: Mapping[str, Tensor], method: MethodConfig) -> Tensor | None:
    """What tuning steps of a method's prompt are multiplied by: kept rates, and 0 for vectors that stay; None for 1.

    Args:
        learned: What pre-training has learned, by name.
        method: The method.
    """
    scale = last_vectors(learned["prompt"], method.tuned_share, method.added_vectors)
    if not method.keeps_rates:
        return scale
    rates = kept_rates(learned["log_rates"], method.added_vectors)
    return rates if scale is None else rates * scale


class TuningSteps:
    """One prompt tuned on every data seed at every learning rate.

    Args:
        initial_prompt: fp32, `[prompt_tokens, width]`.
        data: The few-shot examples and dev rows of each data seed, and the scored rows.
        plan: How it is tuned.
        backbone: The frozen model.
        pattern: Template and label words of the task.
        callbacks: Receive metrics, progress and checkpoints; may raise to stop.

    Attributes:
        cells: Data seed and learning rate of each prompt.
        starts: Where each data seed begins; made again after a restart.
        state: What is finished.
        checkpoint: Saves it.
        reading: How rows are read.
        dev_scores: Scores of the snapshots on dev.
    """

    def __init__(
        self,
        initial_prompt: Tensor,
        data: FewShotData,
        plan: TuningPlan,
        *,
        backbone: Backbone,
        pattern: PatternVerbalizer,
        callbacks: TrainingCallbacks,
    ) -> None:
        self.data, self.plan, self._callbacks = data, plan, callbacks
        self.cells: list[Cell] = [(seed, rate) for seed in data.train for rate in plan.config.learning_rates]
        rows = TrainRows.of(backbone, pattern, data.train)
        self._objective, self._first = rows.objective, rows.first
        self._objective.on_pass = partial(callbacks.on_pass, 0)
        self.starts = plan.starts(initial_prompt, rows)
        initial = torch.stack([self.starts.prompts[seed] for seed, _ in self.cells])
        self.state = TuningState(initial, [rate for _, rate in self.cells], plan.scale)
        self._reads = HostReads(initial_prompt.device)
        self.checkpoint = TrainingCheckpoint(
            callbacks.checkpoints, self.state, every_seconds=CHECKPOINT_SECONDS, before_saving=self._reads.read
        )
        self.checkpoint.restore()
        self._health = HealthWatch(backbone.usual_vectors, "Few-shot tuning", backbone.on_notice)
        self.reading = ClassReading(backbone, pattern, plan.verbalizer, lambda: callbacks.on_pass(self.state.steps))
        self.dev_scores = DevScores(self.cells, self.reading, data)

    def run(self) -> None:
        """Takes the steps that are left, and scores their snapshots on dev."""
        config, dev, state = self.plan.config, self.dev_scores, self.state
        running = list(range(len(self.cells)))
        for halved in [step for step in config.halving_steps if step < state.steps]:
            dev.score({step: prompts for step, prompts in state.snapshots.items() if step <= halved}, running)
            running = dev.better_half(running, halved)
        while state.steps < config.steps:
            if state.steps in config.halving_steps:
                dev.score(state.snapshots, running)
                running = dev.better_half(running, state.steps)
            self._step(running)
            self.checkpoint.save_if_due()
            self._reads.read_if_due()
            self._callbacks.on_step(state.steps)
        self._reads.read()
        dev.score(state.snapshots, running)

    def _step(self, running: list[int]) -> None:
        state, config = self.state, self.plan.config
        step, cells = state.steps + 1, [self.cells[cell] for cell in running]
        batch = self._draw(cells, step)
        self._objective.on_pass = partial(self._callbacks.on_pass, state.steps)
        prompts = state.prompts(running)
        losses, gradients = self._objective.losses_and_gradients(prompts, batch)
        self._reads.take(self._health.measure(prompts, losses).flatten(), partial(self._judge, cells, step - 1))
        state.apply_to(running, gradients)
        if config.proximal:
            for cell, (_, rate) in zip(running, cells, strict=True):
                state.pull(cell, min(rate * config.proximal, 1.0))
        if step in config.scored_steps:
            state.take_snapshot(step)
        self._reads.take(losses.mean()[None], partial(self._write_loss, step))
        state.finish_step(state.row_passes + len(batch.rows))

    def _judge(self, cells: Sequence[Cell], step: int, measured: Sequence[float]) -> None:
        for finite, ratio, (_, rate) in zip(measured[::2], measured[1::2], cells, strict=True):
            self._health.judge(finite, ratio, step=step, rate=f"evaluation.learning_rates: {rate:g}")

    def _write_loss(self, step: int, losses: Sequence[float]) -> None:
        self._callbacks.metric({"step": step, "train_loss": losses[0]})

    def _draw(self, cells: Sequence[Cell], step: int) -> Batch:
        """The examples of one step: every cell of a data seed sees the same ones."""
        train, size = self.data.train, self.plan.config.batch_size
        picked = {
            seed: epoch_rows(len(train[seed].texts), size, step, seed=seed, order_seeds=self.plan.order_seeds)
            for seed in dict.fromkeys(seed for seed, _ in cells)
        }
        rows, groups, labels = [], [], []
        for group, (seed, _) in enumerate(cells):
            rows += [self._first[seed] + row for row in picked[seed]]
            groups += [group] * len(picked[seed])
            labels += [train[seed].labels[row] for row in picked[seed]]
        return Batch(rows, groups, labels)


def epoch_rows(total: int, size: int, step: int, *, seed: int, order_seeds: tuple[int, ...]) -> list[int]:
    """Rows of one step: epochs of shuffled rows cut into batches, so that any step can be asked for alone.

    Args:
        total: Number of rows.
        size: Rows of a batch.
        step: The step, counted from 1.
        seed: Data seed.
        order_seeds: See `TuningPlan`.
    """
    if size >= total:
        return list(range(total))
    per_epoch = total // size
    epoch, part = divmod(step - 1, per_epoch)
    study_seed, *rest = order_seeds
    order = stream(study_seed, "tuning_order", *rest, seed, epoch).permutation(total)
    return [int(row) for row in order[part * size : (part + 1) * size]]
