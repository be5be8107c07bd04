"""What an outer step sees: balance, disjointness, independence of the past."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from metapt_explore.config import PretrainingConfig
from metapt_explore.pretraining.episode_bank import in_bank
from metapt_explore.pretraining.episodes import Episode, draw_episode

TASKS = {
    task: {label: list(range(100 * task + 50 * c, 100 * task + 50 * c + 20)) for c, label in enumerate("ab")}
    for task in range(5)
}


@given(
    support=st.integers(2, 12),
    query=st.integers(2, 12),
    tasks=st.integers(1, 12),
    seed=st.integers(0, 9),
    step=st.integers(0, 50),
)
def test_rows_are_balanced_disjoint_and_of_their_task(
    support: int, query: int, tasks: int, seed: int, step: int
) -> None:
    config = PretrainingConfig(meta_batch_size=tasks, support_size=support, query_size=query)
    episode = draw_episode(TASKS, config, seed=seed, init_seed=0, step=step)
    assert len(episode.tasks) == tasks
    # No task comes again before all have come.
    uses = Counter(episode.tasks)
    assert max(uses.values()) - min(uses.get(task, 0) for task in TASKS) <= 1
    for index, task in enumerate(episode.tasks):
        own = episode.support[index] + episode.query[index]
        assert len(set(own)) == len(own) == support + query
        for rows, labels, size in (
            (episode.support[index], episode.support_labels[index], support),
            (episode.query[index], episode.query_labels[index], query),
        ):
            assert len(rows) == len(labels) == size
            counts = Counter(labels)
            assert abs(counts[0] - counts[1]) <= 1
            for row, label in zip(rows, labels, strict=True):
                assert row in TASKS[task]["ab"[label]]


def test_a_step_does_not_depend_on_other_steps() -> None:
    config = PretrainingConfig()
    alone = draw_episode(TASKS, config, seed=3, init_seed=1, step=17)
    for step in range(17):
        draw_episode(TASKS, config, seed=3, init_seed=1, step=step)
    assert draw_episode(TASKS, config, seed=3, init_seed=1, step=17) == alone
    assert draw_episode(TASKS, config, seed=3, init_seed=2, step=17) != alone


def test_a_class_with_too_few_rows_is_drawn_with_replacement() -> None:
    config = PretrainingConfig(meta_batch_size=1, support_size=4, query_size=4)
    episode = draw_episode({0: {"a": [1, 2], "b": list(range(10, 20))}}, config, seed=0, init_seed=0, step=0)
    assert Counter(episode.support_labels[0]) == {0: 2, 1: 2}
    assert set(episode.rows) & {1, 2}


def test_episode_rows_are_moved_into_the_bank() -> None:
    episode = Episode([0], [[7, 9]], [[3]], [[0, 1]], [[1]])
    moved = in_bank(episode, [{3: 0, 7: 1, 9: 2}] * len(episode.tasks))
    assert moved == replace(episode, support=[[1, 2]], query=[[0]])
