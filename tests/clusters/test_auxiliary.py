from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metapt_explore.auxiliary_tasks.labels import AuxiliaryTasks, auxiliary_tasks
from metapt_explore.config import AuxiliaryTasksConfig
from metapt_explore.errors import UserError

NAMES = ["negative", "positive"]


def config(min_size: int = 4, min_per_label: int = 1) -> AuxiliaryTasksConfig:
    labels = {name: name for name in NAMES}
    return AuxiliaryTasksConfig.model_validate({"labels": labels, "min_size": min_size, "min_per_label": min_per_label})


def make(clusters: str, classes: str, min_size: int = 4, min_per_label: int = 1) -> AuxiliaryTasks:
    """One character a row: cluster digit or `-`; class `n`, `p`, `.` (None) or another value."""
    labels = np.array([-1 if char == "-" else int(char) for char in clusters])
    values: dict[str, str | None] = {"n": "negative", "p": "positive", ".": None}
    return auxiliary_tasks(
        labels, [values.get(char, char) for char in classes], NAMES, config=config(min_size, min_per_label)
    )


def test_by_hand() -> None:
    made = make("0000011112222--0", "nnppp.npnpppnp.n")
    assert {name: rows.tolist() for name, rows in made.tasks[0].items()} == {
        "negative": [0, 1, 15],
        "positive": [2, 3, 4],
    }
    assert list(made.tasks) == [0, 2]
    assert made.dropped == {1: "3 labelled rows, min_size is 4"}


def test_counts_by_hand() -> None:
    made = make("00000111---0", "nnppxnn.np..")
    assert made.counts == {"unlabelled": 4, "outliers": 2, "dropped_clusters": 2, "used": 4}
    assert made.dropped == {1: "2 labelled rows, min_size is 4; no row of label 'positive', min_per_label is 1"}


def test_every_label_counts_alone() -> None:
    made = make("00001111", "nnppnnnp", min_per_label=2)
    assert list(made.tasks) == [0]
    assert made.dropped == {1: "1 row of label 'positive', min_per_label is 2"}


def test_a_value_outside_the_labels_is_unlabelled() -> None:
    made = make("000000", "nnppxx")
    assert made.counts["unlabelled"] == 2 and made.counts["used"] == 4


@given(
    st.lists(st.tuples(st.integers(-1, 2), st.sampled_from([*NAMES, "neutral", None])), max_size=60),
    st.integers(2, 8),
    st.integers(1, 3),
)
def test_tasks_are_disjoint_and_account_for_every_row(
    rows: list[tuple[int, str | None]], min_size: int, min_per_label: int
) -> None:
    labels = np.array([label for label, _ in rows], dtype=np.int64)
    classes = [value for _, value in rows]
    try:
        made = auxiliary_tasks(labels, classes, NAMES, config=config(min_size, min_per_label))
    except UserError:
        return
    assert sum(made.counts.values()) == len(rows)
    used = [int(row) for task in made.tasks.values() for found in task.values() for row in found]
    assert len(used) == len(set(used)) == made.counts["used"]
    for cluster_id, task in made.tasks.items():
        assert list(task) == NAMES and sum(map(len, task.values())) >= min_size
        for name, found in task.items():
            assert len(found) >= min_per_label
            assert all(labels[row] == cluster_id and classes[row] == name for row in found)
    assert set(made.tasks) | set(made.dropped) == set(labels[labels >= 0].tolist())
    assert not set(made.tasks) & set(made.dropped)


def test_the_nearest_cluster_is_named() -> None:
    # Cluster 0 has all its rows but no positive one; cluster 1 misses one row.
    with pytest.raises(UserError) as caught:
        make("0000001110", "nnnnnnnpnn")
    message = str(caught.value)
    assert "the nearest is cluster 1 with 3 labelled rows, min_size is 4." in message
    assert "Lower auxiliary_tasks.min_size to 3, or make fewer, larger clusters" in message


def test_both_rules_fail() -> None:
    with pytest.raises(UserError) as caught:
        make("000", "nnp", min_size=4, min_per_label=3)
    message = str(caught.value)
    assert "3 labelled rows, min_size is 4; 2 rows of label 'negative', min_per_label is 3;" in message
    assert "Lower auxiliary_tasks.min_size to 3 and auxiliary_tasks.min_per_label to 1, or" in message


def test_the_advice_works() -> None:
    made = make("000", "nnp", min_size=3, min_per_label=1)
    assert made.counts["used"] == 3


def test_a_missing_label_cannot_be_cured_by_lowering() -> None:
    with pytest.raises(UserError) as caught:
        make("00000", "nnnnn")
    assert "no row of label 'positive', min_per_label is 1. Make fewer, larger clusters" in str(caught.value)
    assert "Lower" not in str(caught.value)


def test_no_clusters_or_no_labels() -> None:
    with pytest.raises(UserError, match="every text is an outlier"):
        make("---", "npn")
    with pytest.raises(UserError, match=r"no text has a label among negative, positive\. Check"):
        make("000", "x..")
    with pytest.raises(ValueError, match="2 classes for 3 rows"):
        auxiliary_tasks(np.zeros(3, dtype=int), ["negative", None], NAMES, config=config())
