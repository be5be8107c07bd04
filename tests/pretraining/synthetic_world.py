"""A world without a language model, where it is known whether there is something to meta-learn.

A text is a vector `x`; a prompt is two vectors, gates `g` and a direction `c`; the score of the second class is
`sum(g * c * x)`. A task labels texts by a few relevant numbers of `x`, with signs of its own. Where signs differ, the
tasks cancel out in a pool: nothing can be learned but how fast and where to adapt, by gates that are wide on relevant
numbers and narrow elsewhere. Where all tasks have the same signs, a pool learns them as well as any meta-learner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metapt_explore.config import MethodConfig, PretrainingConfig
from metapt_explore.fewshot.mixture import FromMixture
from metapt_explore.fewshot.scoring import LabelledTexts
from metapt_explore.fewshot.starts import TrainRows
from metapt_explore.fewshot.state import TuningState
from metapt_explore.models.gradients import Batch, PromptObjective
from metapt_explore.models.kv_cache.text import TokenBank, TokenRows
from metapt_explore.pretraining.episode_bank import PretrainingTexts
from metapt_explore.pretraining.learner import PretrainingTask
from metapt_explore.pretraining.loop import pretrain
from metapt_explore.pretraining.registry import make_learner
from metapt_explore.pretraining.state import NO_CALLBACKS

NUMBERS, RELEVANT = 24, 3
ROWS_PER_TASK, TEST_ROWS = 40, 200
PRETRAINING_TASKS, TEST_TASKS = 24, 24
SHOTS, TUNING_STEPS, TUNING_RATE = 4, 6, 0.1
SIZES = PretrainingConfig(
    steps=150, meta_batch_size=4, support_size=8, query_size=16, inner_lr=1.0, outer_lr=0.02, checkpoint_every=1000
)


class Words:
    """Stands in for a verbalizer: scores are class scores already."""

    simple = False

    def for_loss(self, scores: Tensor) -> Tensor:
        return scores


class Pattern:
    """Stands in for a pattern."""

    verbalizer = Words()


class WorldBackbone:
    """Stands in for a backbone: texts are numbers of rows of `vectors`."""

    dtype = torch.float32

    device = torch.device("cpu")
    caches_texts = False
    graphs = None

    def __init__(self, vectors: Tensor) -> None:
        self.vectors = vectors
        self.embedding = self.usual_vectors = torch.full((4, NUMBERS), 0.3)

    def on_notice(self, message: str) -> None:
        """Nobody reads it."""

    def bank(self, texts: Sequence[str], pattern: Any) -> TokenBank:
        return TokenBank([[int(text)] for text in texts], self.device, [0] * len(texts))

    def prepared(self, bank: TokenBank, rows: Sequence[int], pattern: Any, *, prompt_tokens: int) -> TokenRows:
        return bank.batch(rows, spare=0)

    def rows_within(self, *args: Any, **kwargs: Any) -> int:
        return 100_000

    def class_scores(self, prompts: Tensor, groups: Tensor, rows: TokenRows, **kwargs: Any) -> Tensor:
        gates, direction = prompts[groups].unbind(dim=1)
        score = (gates * direction * self.vectors[rows.token_ids[:, 0]]).sum(dim=1)
        return torch.stack([torch.zeros_like(score), score], dim=1)


class World:
    """Tasks to pre-train on, and others of the same kind to be tuned to.

    Args:
        signs_differ: Whether tasks have signs of their own.
        seed: Of everything that is drawn.
    """

    def __init__(self, *, signs_differ: bool, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        sizes = [ROWS_PER_TASK] * PRETRAINING_TASKS + [2 * SHOTS + TEST_ROWS] * TEST_TASKS
        self.vectors = torch.tensor(rng.standard_normal((sum(sizes), NUMBERS)), dtype=torch.float32)
        self.tasks: list[dict[str, list[int]]] = []
        signs, first = np.ones(RELEVANT), 0
        for number, size in enumerate(sizes):
            # Pooled, each pair of tasks cancels out exactly.
            if signs_differ:
                signs = -signs if number < PRETRAINING_TASKS and number % 2 else rng.choice([-1.0, 1.0], RELEVANT)
            positive = self.vectors[first : first + size, :RELEVANT].double().numpy() @ signs > 0
            rows = np.arange(first, first + size)
            self.tasks.append({"no": rows[~positive].tolist(), "yes": rows[positive].tolist()})
            first += size
        self.backbone: Any = WorldBackbone(self.vectors)
        self.initial = torch.stack([torch.full((NUMBERS,), 0.3), torch.zeros(NUMBERS)])
        self.texts = [str(row) for row in range(len(self.vectors))]

    def pretrained(self, method: MethodConfig, sizes: PretrainingConfig = SIZES) -> dict[str, Tensor]:
        """What a method learns from the tasks, by the real loop."""
        tasks = dict(enumerate(self.tasks[:PRETRAINING_TASKS]))
        task = PretrainingTask(tasks, sizes, method, seed=1, init_seed=2)
        source = PretrainingTexts(self.texts, Pattern())
        learner = make_learner(task)
        return pretrain(
            learner, task, self.initial, backbone=self.backbone, source=source, callbacks=NO_CALLBACKS
        ).learned

    def tuned_accuracy(self, learned: Mapping[str, Tensor], mixture: Mapping[str, Any] | None = None) -> float:
        """Mean accuracy on tasks that were not pre-trained on, after a few tuning steps on a few examples each.

        Args:
            learned: What pre-training learned; the prompt, and offsets where there are several starts.
            mixture: How a task's examples choose among the starts (`MethodConfig.mixture`).
        """
        bank = self.backbone.bank(self.texts, None)
        objective = PromptObjective(self.backbone, bank, Pattern())
        accuracies = []
        for task in self.tasks[PRETRAINING_TASKS:]:
            train = [*task["no"][:SHOTS], *task["yes"][:SHOTS]]
            labels = [0] * SHOTS + [1] * SHOTS
            start = learned["prompt"]
            if mixture is not None:
                examples = LabelledTexts([self.texts[row] for row in train], labels)
                names = [str(number) for number in range(len(learned["offsets"]))]
                maker = FromMixture(learned["offsets"], names, **mixture)
                start = maker(start, TrainRows.of(self.backbone, Pattern(), {0: examples})).prompts[0]
            state = TuningState(start, [TUNING_RATE])
            for _ in range(TUNING_STEPS):
                batch = Batch(train, [0] * len(train), labels)
                _, gradients = objective.losses_and_gradients(state.prompts([0]), batch)
                state.apply_to([0], gradients)
                state.finish_step(0)
            tested = [(row, label) for label, name in enumerate(task) for row in task[name][SHOTS:]]
            rows = bank.batch([row for row, _ in tested], spare=0)
            groups = torch.zeros(len(tested), dtype=torch.long)
            scores = self.backbone.class_scores(state.prompts([0]), groups, rows)
            right = scores.argmax(dim=1) == torch.tensor([label for _, label in tested])
            accuracies.append(float(right.float().mean()))
        return float(np.mean(accuracies))
