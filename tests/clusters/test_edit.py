"""Clusters edited by hand: what becomes of every row, of ids and of names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metapt_explore.clusters.algorithms import cluster
from metapt_explore.clusters.edit import apply_edits, kmeans_cut
from metapt_explore.config import ClusterEdit, ClusteringConfig, StudyConfig, parse, to_yaml
from metapt_explore.errors import UserError

LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, -1])


def halves(rows: np.ndarray, into: int, place: int) -> np.ndarray:
    """Cuts the first row off, then the second …; what is left is the largest part."""
    return np.minimum(np.arange(len(rows)), into - 1)


def edit(**what: Any) -> ClusterEdit:
    return ClusterEdit.model_validate(what)


def test_edits_name_clusters_as_they_stand_after_those_before() -> None:
    edits = [edit(split=0, into=3), edit(merge=[3, 1]), edit(rename={3: "both", 0: "rest"}), edit(exclude=[2])]
    made = apply_edits(LABELS, edits, halves)
    # Of 0 its last two rows are the largest part and keep the id; the first two rows become 3 and 4.
    assert made.labels.tolist() == [3, 4, 0, 0, 3, 3, 3, -1, -1, -1]
    assert made.names == {3: "both", 0: "rest"} and made.excluded == 2
    plain = made.without_gaps()
    assert plain.labels.tolist() == [1, 2, 0, 0, 1, 1, 1, -1, -1, -1] and plain.names == {1: "both", 0: "rest"}


def test_single_texts_are_gathered_into_a_new_cluster() -> None:
    edits = [edit(gather="0, 7-9"), edit(rename={3: "mine"}), edit(merge=[0, 3])]
    made = apply_edits(LABELS, edits[:2], halves, names={0: "a", 2: "c"})
    # Outliers can be gathered, too; cluster 2 lost all its rows, and so its name.
    assert made.labels.tolist() == [3, 0, 0, 0, 1, 1, 1, 3, 3, 3] and made.names == {0: "a", 3: "mine"}
    assert apply_edits(LABELS, edits, halves).labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 0, 0, 0]
    assert str(edits[0]) == "gather 4 texts into a new cluster"
    with pytest.raises(UserError, match="edit 1: there is no row 10: the study has 10 texts, rows 0 to 9"):
        apply_edits(LABELS, [edit(gather="4-10")], halves)
    for wrong in ("one", ", "):
        with pytest.raises(ValueError, match="gather"):
            edit(gather=wrong)


def test_names_leave_with_their_clusters() -> None:
    given = {0: "a", 1: "b", 2: "c"}
    assert apply_edits(LABELS, [edit(merge=[0, 1])], halves, names=given).names == {0: "a", 2: "c"}
    assert apply_edits(LABELS, [edit(split=1)], halves, names=given).names == {0: "a", 2: "c"}
    assert apply_edits(LABELS, [edit(exclude=[0, 2])], halves, names=given).names == {1: "b"}


@pytest.mark.parametrize(
    ("edits", "told"),
    [
        ([edit(merge=[0, 7])], r"edit 1 \(merge 0, 7\): there is no cluster 7 at that point; there are 0, 1, 2"),
        ([edit(merge=[0, 1]), edit(split=1)], r"edit 2 \(split 1 into 2\): there is no cluster 1"),
        ([edit(split=2, into=3)], "cluster 2 has 2 texts and cannot be split into 3"),
        ([edit(exclude=[0]), edit(exclude=[1, 2])], "edit 2 .*: no cluster would be left"),
    ],
)
def test_what_cannot_be_done_is_said_with_the_edits_place(edits: list[ClusterEdit], told: str) -> None:
    with pytest.raises(UserError, match=told):
        apply_edits(LABELS, edits, halves)


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ({}, "this one has 0"),
        ({"merge": [0, 1], "split": 2}, "this one has 2"),
        ({"merge": [0, 0]}, "stands twice"),
        ({"merge": [0]}, "at least 2"),
        ({"exclude": [0], "into": 3}, "`into` goes with `split`"),
        ({"rename": {0: " "}}, "blank"),
    ],
)
def test_an_edit_is_one_thing(what: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        edit(**what)


@st.composite
def some_edits(draw: st.DrawFn) -> list[ClusterEdit]:
    """Edits that can be done on LABELS: the ids that exist are followed by hand."""
    alive, free, edits = [0, 1, 2], 3, []
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(["merge", "exclude", "rename"]))
        if kind == "rename":
            edits.append(edit(rename={draw(st.sampled_from(alive)): "n"}))
        elif len(alive) > 1:
            chosen = draw(st.lists(st.sampled_from(alive), min_size=2, max_size=len(alive), unique=True))
            chosen = chosen if kind == "merge" else chosen[: len(alive) - 1][:1]
            edits.append(edit(**{kind: chosen}))
            alive = [c for c in alive if c not in (chosen[1:] if kind == "merge" else chosen)]
    assert free == 3
    return edits


@given(some_edits())
def test_no_row_is_lost_or_won(edits: list[ClusterEdit]) -> None:
    made = apply_edits(LABELS, edits, halves)
    assert len(made.labels) == len(LABELS)
    assert (made.labels == -1).sum() == 1 + made.excluded
    plain = made.without_gaps().labels
    assert set(plain[plain >= 0]) == set(range(plain.max() + 1))
    # Rows that were together and are in a cluster are together still: nothing was split.
    for one in range(3):
        inside = plain[(one == LABELS) & (plain >= 0)]
        assert len(set(inside)) <= 1


# --------------------------------------------------------------------------------- as an algorithm


def clouds() -> np.ndarray:
    """Four tight groups of ten in the plane."""
    noise = np.random.default_rng(0).normal(scale=0.02, size=(40, 2))
    centres = np.repeat([[1.0, 0.0], [0.6, 0.8], [-0.8, 0.6], [0.0, -1.0]], 10, axis=0)
    return centres + noise


def config(edits: list[dict[str, Any]]) -> ClusteringConfig:
    return ClusteringConfig.model_validate({"name": "hand", "algorithm": "edited", "like": "kmeans", "edits": edits})


def test_a_split_finds_the_groups_that_were_thrown_together() -> None:
    like = np.repeat([0, 0, 1, 2], 10)
    found = cluster(clouds(), config([{"split": 0}, {"rename": {1: "one"}}]), 0, like=like, like_names={2: "two"})
    assert [len(set(found.labels[start : start + 10])) for start in range(0, 40, 10)] == [1, 1, 1, 1]
    assert len(set(found.labels)) == 4 and found.names == {1: "one", 2: "two"}
    assert (found.membership > 0.99).all()
    again = cluster(clouds(), config([{"split": 0}, {"rename": {1: "one"}}]), 0, like=like)
    assert again.labels.tolist() == found.labels.tolist()


def test_rows_that_are_all_the_same_cannot_be_split() -> None:
    cut = kmeans_cut(np.ones((6, 3)), 50, 0)
    with pytest.raises(UserError, match="only 1 different embeddings"):
        apply_edits(np.zeros(6, dtype=int), [edit(split=0)], cut)


def test_an_edited_clustering_is_a_line_of_the_study(tmp_path: Any) -> None:
    import tiny

    tree = tiny.study_tree(tmp_path)
    hand = config([{"merge": [0, 1]}, {"rename": {0: "both"}}]).model_dump(mode="json", exclude_unset=True)
    study = parse(StudyConfig, {**tree, "clusterings": [*tree["clusterings"], hand]}, "test")
    for brief in (False, True):
        import yaml

        again = parse(StudyConfig, yaml.safe_load(to_yaml(study, brief=brief)), "test")
        assert again.clustering("hand") == study.clustering("hand")
    with pytest.raises(UserError, match="`edits` belongs to edited, not to kmeans"):
        parse(
            StudyConfig, {**tree, "clusterings": [{"name": "k", "algorithm": "kmeans", "edits": [{"split": 0}]}]}, "x"
        )
    with pytest.raises(UserError, match="not a clustering listed before"):
        parse(StudyConfig, {**tree, "clusterings": [hand, *tree["clusterings"]]}, "x")
