"""The auxiliary tasks of several clusterings together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metapt_explore.auxiliary_tasks.labels import AuxiliaryTasks, used_rows


def task_offsets(parts: Sequence[AuxiliaryTasks], labels: Sequence[np.ndarray]) -> list[int]:
    """Offsets that make the ids of all clusterings' tasks and clusters unique.

    Example:
        >>> nothing = AuxiliaryTasks({}, {}, {})
        >>> task_offsets([nothing, nothing], [np.array([0, 1, 2]), np.array([0, 0, -1])])
        [0, 3]
    """
    offsets = [0]
    for part, clusters in zip(parts[:-1], labels[:-1], strict=True):
        ids = max(int(np.max(clusters, initial=-1)), max(part.tasks, default=-1)) + 1
        offsets.append(offsets[-1] + ids)
    return offsets


def join_tasks(parts: Sequence[AuxiliaryTasks], labels: Sequence[np.ndarray], unlabelled: np.ndarray) -> AuxiliaryTasks:
    """Puts the tasks of several clusterings of the same rows together.

    Args:
        parts: The tasks of each clustering.
        labels: ``[rows]`` cluster ids of each clustering, negative for outliers.
        unlabelled: ``[rows]`` whether a row has no label.

    Returns:
        Tasks and dropped clusters with ids moved by `task_offsets`. A row counts once: as used where it is in any task,
        as an outlier where it is one in every clustering.

    Example:
        >>> first = AuxiliaryTasks({0: {"good": np.array([0]), "bad": np.array([1])}}, {1: "small"}, {})
        >>> second = AuxiliaryTasks({0: {"good": np.array([0]), "bad": np.array([2])}}, {}, {})
        >>> joined = join_tasks(
        ...     [first, second], [np.array([0, 0, 1, -1]), np.array([0, -1, 0, -1])], np.zeros(4, dtype=bool)
        ... )
        >>> sorted(joined.tasks), joined.dropped, joined.counts["used"], joined.counts["outliers"]
        ([0, 2], {1: 'small'}, 3, 1)
    """
    offsets = task_offsets(parts, labels)
    tasks = {
        offset + key: task for part, offset in zip(parts, offsets, strict=True) for key, task in part.tasks.items()
    }
    dropped = {
        offset + key: why for part, offset in zip(parts, offsets, strict=True) for key, why in part.dropped.items()
    }
    used = used_rows(tasks, len(unlabelled))
    left = ~used & ~unlabelled
    outlier = np.all([clusters < 0 for clusters in labels], axis=0)
    # With clusters as classes, rows of a cluster that is large enough may still be in no task.
    drawable = np.any(
        [
            (clusters >= 0) & ~np.isin(clusters, list(part.dropped))
            for part, clusters in zip(parts, labels, strict=True)
        ],
        axis=0,
    )
    counts = {
        "unlabelled": int((~used & unlabelled).sum()),
        "outliers": int((left & outlier).sum()),
        "dropped_clusters": int((left & ~outlier & ~drawable).sum()),
        "used": int(used.sum()),
    }
    if any("not_drawn" in part.counts for part in parts):
        counts["not_drawn"] = int((left & drawable).sum())
    return AuxiliaryTasks(tasks, dropped, counts)
