"""PPT: the prompt is pre-trained on all rows together (Gu et al., ACL 2022, arXiv 2109.04332)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from metapt_explore.models.gradients import Batch, PromptObjective
from metapt_explore.pretraining.episodes import Episode
from metapt_explore.pretraining.inner_loop import support_and_query
from metapt_explore.pretraining.learner import PretrainingTask, TaskRecord


class Pooled:
    """One gradient of the mean loss over a label-balanced batch from the whole pool.

    A step has as many rows as a meta-step has in support and query together, so that pooled
    pre-training and meta-learning spend the same number of backbone passes and of updates.

    Each row is in the pool once. Where clusters are the classes, a row has different words in different tasks. An
    inner step can adapt to a task's words; one prompt for all tasks cannot, and a row under every word would only
    teach that all words are equally likely. So a row keeps the word of the first task that holds it.

    Tasks of several formats have no pool, as each is read in its own way: pooled pre-training draws the very tasks
    and rows that a meta-learner draws, and lowers their mean loss without adapting to any.
    """

    def __init__(self, pretraining_task: PretrainingTask) -> None:
        self.pretraining_task = pretraining_task
        config = pretraining_task.config
        self._pool: dict[str, list[int]] = {}
        pooled: set[int] = set()
        for task in sorted(pretraining_task.tasks):
            for name, rows in pretraining_task.tasks[task].items():
                new = [int(row) for row in rows if int(row) not in pooled]
                self._pool.setdefault(name, []).extend(new)
                pooled.update(new)
        # One "task", the pool, with the rows of a whole meta-step: half as support, half as query.
        label_tasks = pretraining_task.label_tasks
        self._config = config.model_copy(
            update={
                "meta_batch_size": 1,
                "support_size": label_tasks * config.support_size,
                "query_size": label_tasks * config.query_size,
            }
        )

    def draw(self, step: int) -> Episode:
        """Draws a balanced batch from the pool (of several formats: tasks), and topic tasks where there are some."""
        if self.pretraining_task.formats is not None:
            return self.pretraining_task.draw(self.pretraining_task.tasks, self.pretraining_task.config, step)
        return self.pretraining_task.draw({0: self._pool}, self._config, step)

    def parameters(self, initial_prompt: Tensor) -> dict[str, Tensor]:
        """The prompt."""
        return {"prompt": initial_prompt}

    def gradient(
        self, parameters: Mapping[str, Tensor], episode: Episode, objective: PromptObjective
    ) -> tuple[dict[str, Tensor], list[TaskRecord]]:
        """Gradient of the mean loss over all rows of the step."""
        support, query = support_and_query(episode)
        labels, patterns = [*support.labels, *query.labels], [*support.patterns, *query.patterns]
        batch = Batch(episode.rows, [0] * len(episode.rows), labels, patterns)
        losses, gradients = objective.losses_and_gradients(parameters["prompt"][None], batch)
        return {"prompt": gradients[0]}, [TaskRecord(task=-1, loss=losses[0])]
