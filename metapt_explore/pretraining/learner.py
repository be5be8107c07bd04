"""What a pre-training method is: three functions, `draw`, `parameters` and `gradient`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, Required, TypedDict

import torch
from torch import Tensor

from metapt_explore.config import MetaPTMethod, PretrainedMethod, PretrainingConfig
from metapt_explore.config.pretraining import GRADIENT_LR, InnerOptimiser
from metapt_explore.models.gradients import PromptObjective
from metapt_explore.pretraining.budget import outer_steps
from metapt_explore.pretraining.episodes import Episode, TaskFormats, Tasks, draw_episode
from metapt_explore.pretraining.topics import Topics


class TaskRecord(TypedDict, total=False):
    """Losses of one task in an outer step: fp32 tensors of one number, which stay on the device until they are read.

    Attributes:
        task: Its id; -1 for all tasks together.
        support_before: On support rows before the inner steps.
        support_after: On support rows after them.
        query: On query rows after them.
        loss: On all rows, where a method makes no difference between support and query.
        median_rate: Median of the learned inner rates.
    """

    task: Required[int]
    support_before: Tensor
    support_after: Tensor
    query: Tensor
    loss: Tensor
    median_rate: Tensor


def losses_of(record: TaskRecord) -> dict[str, Tensor]:
    """All of a record but the task's id, by name.

    Example:
        >>> losses_of(TaskRecord(task=3, loss=torch.tensor(0.5)))
        {'loss': tensor(0.5000)}
    """
    return {name: value for name, value in record.items() if isinstance(value, Tensor)}


class Learner(Protocol):
    """A pre-training method.

    The loop draws an episode, asks for the outer gradient and takes an optimiser step. Methods differ in these
    functions only, and spend the same number of passes.
    """

    def draw(self, step: int) -> Episode:
        """Draws what outer step `step` sees."""

    def parameters(self, initial_prompt: Tensor) -> dict[str, Tensor]:
        """Initial values of what the outer loop learns, by name; `prompt` is one of them."""

    def gradient(
        self, parameters: Mapping[str, Tensor], episode: Episode, objective: PromptObjective
    ) -> tuple[dict[str, Tensor], list[TaskRecord]]:
        """Outer gradients, and one record for each task of the episode.

        Args:
            parameters: Current values; `prompt` is fp32, `[prompt_tokens, width]`.
            episode: What `draw` returned, with rows counted in the objective's bank.
            objective: The backbone over the rows.

        Returns:
            A gradient for each parameter, and records with the task's losses.
        """


@dataclass(frozen=True)
class PretrainingTask:
    """What every method is given.

    Attributes:
        tasks: Auxiliary tasks; pooled pre-training draws from the same ones together.
        config: Sizes and rates, with the defaults that depend on the study (`StudyConfig.pretraining_of`).
        method: The method's own choices.
        seed: The study seed.
        init_seed: The initialisation seed.
        labelled_rows: Every row with a label, whether or not a task holds it.
        topics: Tasks that tell clusters apart, where the method has some.
        formats: Which format each task is of, where there are several.
        patterns: Which pattern each task is read by, where there are several; not needed for drawing.
    """

    tasks: Tasks
    config: PretrainingConfig
    method: PretrainedMethod
    seed: int
    init_seed: int
    labelled_rows: Sequence[int] = ()
    topics: Topics | None = None
    formats: TaskFormats | None = None
    patterns: Mapping[int, int] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Outer steps that spend the study's budget of passes."""
        return outer_steps(self.method, self.config)

    @property
    def inner_lr(self) -> float:
        """Rate of the inner steps."""
        method_lr = self.method.inner_lr if isinstance(self.method, MetaPTMethod) else None
        return method_lr or self.config.inner_lr or GRADIENT_LR

    @property
    def inner_optimiser(self) -> InnerOptimiser:
        """How the inner steps move the prompt."""
        return self.method.inner_optimiser_among(self.config) if isinstance(self.method, MetaPTMethod) else "gradient"

    @property
    def inner_steps(self) -> int:
        """Gradient steps on each task's support rows."""
        return self.method.inner_steps if isinstance(self.method, MetaPTMethod) else 0

    def adapted_vectors(self, prompt: Tensor) -> Tensor | None:
        """Which vectors of a prompt the inner steps move: 1 or 0 for each, `[prompt_tokens, 1]`; None where all move.

        Args:
            prompt: `[prompt_tokens, width]`.
        """
        return last_vectors(prompt, self.method.adapted_share)

    @property
    def outer_lr(self) -> float:
        """Rate of the outer optimiser."""
        return self.method.outer_lr or self.config.outer_lr

    @property
    def label_tasks(self) -> int:
        """Tasks of a meta-batch that tell labels apart; the others are topic tasks."""
        size = self.config.meta_batch_size
        return size - (self.topics.slots(size) if self.topics is not None else 0)

    def draw(self, tasks: Tasks, sizes: PretrainingConfig, step: int) -> Episode:
        """Draws the episode of a step, and topic tasks after it where the method has some.

        Args:
            tasks: Tasks that tell labels apart.
            sizes: How many of them, and their support and query rows.
            step: The outer step.
        """
        episode = draw_episode(tasks, sizes, seed=self.seed, init_seed=self.init_seed, step=step, formats=self.formats)
        if self.patterns:
            episode = replace(episode, patterns=[self.patterns[task] for task in episode.tasks])
        if self.topics is None:
            return episode
        return self.topics.added_to(episode, self.config, seed=self.seed, init_seed=self.init_seed, step=step)

    @property
    def first_averaged(self) -> int:
        """First outer step that counts in the mean over late prompts; beyond the last step where none does."""
        own = self.method.average_last
        return self.steps - round((self.config.average_last if own is None else own) * self.steps)


def last_vectors(prompt: Tensor, share: float, added: int = 0) -> Tensor | None:
    """1 for a share of a prompt's vectors, the last ones and at least one; 0 for the others; None where it is all.

    Args:
        prompt: `[prompt_tokens, width]`.
        share: The share.
        added: Vectors that stand behind them, all 1.

    Example:
        >>> last_vectors(torch.zeros(4, 8), 0.5).flatten().tolist()
        [0.0, 0.0, 1.0, 1.0]
    """
    if share == 1:
        return None
    vectors = prompt.shape[-2]
    last = torch.arange(vectors + added, device=prompt.device) >= vectors - max(1, round(share * vectors))
    return last[:, None].to(prompt.dtype)


class TaskLearner:
    """What meta-learners share: an episode is a few tasks, the prompt is what is learned."""

    def __init__(self, pretraining_task: PretrainingTask) -> None:
        self.pretraining_task = pretraining_task

    def draw(self, step: int) -> Episode:
        """Draws tasks, support and query rows."""
        pretraining_task = self.pretraining_task
        sizes = pretraining_task.config.model_copy(update={"meta_batch_size": pretraining_task.label_tasks})
        return pretraining_task.draw(pretraining_task.tasks, sizes, step)

    def parameters(self, initial_prompt: Tensor) -> dict[str, Tensor]:
        """The prompt."""
        return {"prompt": initial_prompt}
