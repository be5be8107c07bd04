"""Topic tasks in an outer step: some of its tasks tell clusters apart, the others labels."""

from __future__ import annotations

from dataclasses import dataclass, replace

from metapt_explore.config import PretrainingConfig
from metapt_explore.pretraining.episodes import Episode, Tasks, draw_episode


@dataclass(frozen=True)
class Topics:
    """Tasks that ask which cluster a text is from, one for each clustering.

    Attributes:
        tasks: Task id -> cluster -> rows. Ids continue after those of the label tasks; the i-th topic task is read by
            the i-th topic pattern.
        share: Share of an outer step's tasks.
    """

    tasks: Tasks
    share: float

    def slots(self, meta_batch_size: int) -> int:
        """How many tasks of a meta-batch are topic tasks: at least one, and not all.

        Example:
            >>> Topics({}, 0.5).slots(4), Topics({}, 0.1).slots(4), Topics({}, 0.9).slots(2)
            (2, 1, 1)
        """
        return min(max(1, round(self.share * meta_batch_size)), meta_batch_size - 1)

    def added_to(self, episode: Episode, config: PretrainingConfig, *, seed: int, init_seed: int, step: int) -> Episode:
        """The same episode with topic tasks after its own.

        Args:
            episode: Tasks of labels.
            config: Sizes; `meta_batch_size` counts tasks of both kinds.
            seed: The study seed.
            init_seed: The initialisation seed.
            step: The outer step; draws depend on nothing else.
        """
        slots = self.slots(config.meta_batch_size)
        sizes = config.model_copy(update={"meta_batch_size": slots})
        drawn = draw_episode(self.tasks, sizes, seed=seed, init_seed=init_seed, step=step, stream_name="topic_episodes")
        order = sorted(self.tasks)
        return replace(
            episode,
            tasks=[*episode.tasks, *drawn.tasks],
            support=[*episode.support, *drawn.support],
            query=[*episode.query, *drawn.query],
            support_labels=[*episode.support_labels, *drawn.support_labels],
            query_labels=[*episode.query_labels, *drawn.query_labels],
            patterns=[*[0] * len(episode.tasks), *(1 + order.index(task) for task in drawn.tasks)],
        )
