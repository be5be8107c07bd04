from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metapt_explore.auxiliary_tasks.joined import join_tasks, task_offsets
from metapt_explore.auxiliary_tasks.labels import auxiliary_tasks
from metapt_explore.auxiliary_tasks.soft import own_members, probable_members, shuffled_members, soft_members
from metapt_explore.clusters.reduce import normalise
from metapt_explore.config import AuxiliaryTasksConfig
from metapt_explore.errors import UserError

NAMES = ["negative", "positive"]
CONFIG = AuxiliaryTasksConfig.model_validate(
    {"labels": {name: name for name in NAMES}, "min_size": 2, "min_per_label": 1}
)


def points(rows: int = 80) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    labels = np.concatenate([np.arange(4), random.integers(-1, 4, rows - 4)])
    return (np.eye(6)[labels] + 0.6 * random.normal(size=(rows, 6))) * random.uniform(0.1, 9, (rows, 1)), labels


def test_the_rule_row_by_row() -> None:
    vectors, labels = points()
    found = soft_members(vectors, labels, 0.3)
    unit = normalise(vectors)
    centres = [unit[labels == cluster].mean(axis=0) for cluster in range(4)]
    for row, own in enumerate(labels):
        likeness = [unit[row] @ centre / np.linalg.norm(centre) for centre in centres]
        for cluster in range(4):
            near = likeness[cluster] >= max(likeness) - 0.3
            assert found[row, cluster] == (own >= 0 and (near or cluster == own))


def test_softer_is_more_and_2_is_everything() -> None:
    vectors, labels = points()
    sizes = []
    for softness in (0.01, 0.1, 0.5, 2.0):
        found = soft_members(vectors, labels, softness)
        inside = labels >= 0
        assert found[inside, labels[inside]].all() and not found[~inside].any()
        sizes.append(found.sum())
    assert sizes == sorted(sizes) and len(set(sizes)) == 4 and sizes[-1] == 4 * (labels >= 0).sum()


def test_random_groups_overlap_as_the_clusters_do() -> None:
    vectors, labels = points()
    members = soft_members(vectors, labels, 0.2)
    inside = np.flatnonzero(labels >= 0)
    random_labels = labels.copy()
    random_labels[inside] = labels[np.random.default_rng(0).permutation(inside)]
    found = shuffled_members(members, labels, random_labels, generator=np.random.default_rng(1))
    overlap = members.astype(int).T @ members
    np.testing.assert_array_equal(found.astype(int).T @ found, overlap)  # sizes on the diagonal
    assert found[inside, random_labels[inside]].all() and not found[labels < 0].any()
    assert (found != members).any()


def test_tasks_of_soft_clusters_share_rows_that_count_once() -> None:
    members = np.array([[1, 0], [1, 1], [1, 1], [0, 1], [0, 1], [0, 0]], dtype=bool)
    classes = ["negative", "positive", "negative", "positive", None, "positive"]
    made = auxiliary_tasks(np.array([0, 0, 0, 1, 1, -1]), classes, NAMES, config=CONFIG, members=members)
    assert {task: {name: rows.tolist() for name, rows in by.items()} for task, by in made.tasks.items()} == {
        0: {"negative": [0, 2], "positive": [1]},
        1: {"negative": [2], "positive": [1, 3]},
    }
    assert made.counts == {"unlabelled": 1, "outliers": 1, "dropped_clusters": 0, "used": 4}


ROWS = st.lists(
    st.tuples(st.integers(-1, 2), st.integers(-1, 2), st.sampled_from([*NAMES, None])), min_size=1, max_size=40
)


@given(ROWS)
def test_joined_tasks_are_those_of_each_and_account_for_every_row(rows: list[tuple[int, int, str | None]]) -> None:
    config = CONFIG.model_copy(update={"min_size": 2})
    groupings = [np.array([row[place] for row in rows]) for place in (0, 1)]
    classes = [row[2] for row in rows]
    try:
        parts = [auxiliary_tasks(labels, classes, NAMES, config=config) for labels in groupings]
    except UserError:  # no cluster is large enough
        return
    joined = join_tasks(parts, groupings, np.array([name is None for name in classes]))
    assert sum(joined.counts.values()) == len(rows)
    assert len(joined.tasks) == sum(len(part.tasks) for part in parts)
    for part, offset in zip(parts, task_offsets(parts, groupings), strict=True):
        for task, by in part.tasks.items():
            assert joined.tasks[offset + task] is by
        assert all(joined.dropped[offset + cluster] == why for cluster, why in part.dropped.items())


def test_softness_has_no_place_where_clusters_are_the_classes() -> None:
    with pytest.raises(ValueError, match="`softness` goes with `classes: labels`"):
        AuxiliaryTasksConfig.model_validate({"labels": {"a": "a", "b": "b"}, "classes": "clusters", "softness": 0.1})


@given(st.integers(0, 10_000), st.floats(0.01, 1.0))
def test_by_probability_a_row_is_where_it_is_probable_and_in_its_own_cluster(seed: int, least: float) -> None:
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.ones(4), size=20)
    labels = np.array([0, 1, 2, 3, *generator.integers(-1, 4, size=16)])
    found = probable_members(probabilities, labels, least)
    for row, cluster in np.ndindex(20, 4):
        wanted = labels[row] >= 0 and (labels[row] == cluster or probabilities[row, cluster] >= least)
        assert found[row, cluster] == wanted
    assert (own_members(labels).sum(axis=1) == (labels >= 0)).all()


def test_softness_and_probability_are_two_rules() -> None:
    tree = {"labels": {"a": "a", "b": "b"}, "min_probability": 0.2}
    with pytest.raises(ValueError, match="give `softness` or `min_probability`, not both"):
        AuxiliaryTasksConfig.model_validate({**tree, "softness": 0.1})
    with pytest.raises(ValueError, match="`min_probability` goes with `classes: labels`"):
        AuxiliaryTasksConfig.model_validate({**tree, "classes": "clusters"})
