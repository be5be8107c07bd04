"""Self-supervised tasks: the cluster is the label.

CACTUs (Hsu, Levine & Finn, ICLR 2019, arXiv 1810.02334) meta-learns over tasks whose classes are clusters; SUPMER
(Pan et al., EMNLP Findings 2023, arXiv 2303.12314) does so for soft prompts. A task draws one cluster for each label
word, so that a word means something else in each task: what can be learned is how to tell classes apart from few
examples. Labels of the data are not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import perm

import numpy as np

from metapt_explore.auxiliary_tasks.labels import AuxiliaryTasks
from metapt_explore.config import AuxiliaryTasksConfig
from metapt_explore.errors import UserError
from metapt_explore.seeds import stream


def cluster_tasks(
    labels: np.ndarray, label_names: Sequence[str], config: AuxiliaryTasksConfig, *, seed: int
) -> AuxiliaryTasks:
    """Draws tasks whose classes are clusters.

    Args:
        labels: ``[rows]`` cluster ids, negative for outliers.
        label_names: Classes of the auxiliary tasks, whose words stand for the clusters.
        config: `n_tasks`, and `min_per_label` (rows that a cluster needs).
        seed: The study seed.

    Returns:
        Different tasks numbered from 0; fewer than `n_tasks` where the clusters allow no more. A row is
        counted as used where its cluster is in any task.

    Raises:
        UserError: Where fewer clusters are large enough than there are classes.

    Example:
        >>> words = {"negative": "bad", "positive": "good"}
        >>> config = AuxiliaryTasksConfig(labels=words, classes="clusters", n_tasks=1, min_per_label=1)
        >>> made = cluster_tasks(np.array([0, 0, 1, -1]), list(words), config, seed=0)
        >>> sorted(rows.tolist() for rows in made.tasks[0].values())
        [[0, 1], [2]]
    """
    labels = np.asarray(labels)
    members = {int(cluster): np.flatnonzero(labels == cluster) for cluster in np.unique(labels[labels >= 0])}
    need = config.min_per_label
    dropped = {
        cluster: f"{len(rows)} rows, min_per_label is {need}" for cluster, rows in members.items() if len(rows) < need
    }
    usable = [cluster for cluster in members if cluster not in dropped]
    if len(usable) < len(label_names):
        raise UserError(
            f"No task can be made of clusters: {len(usable)} of them have {need} rows or more, and {len(label_names)} "
            "classes need as many. Make more clusters (n_clusters, min_cluster_size) or lower "
            "auxiliary_tasks.min_per_label."
        )
    tasks: dict[int, dict[str, np.ndarray]] = {}
    seen: set[tuple[int, ...]] = set()
    for task in range(min(config.n_tasks, perm(len(usable), len(label_names)))):
        order = stream(seed, "cluster_tasks", task)
        while True:
            drawn = order.permutation(len(usable))[: len(label_names)].tolist()
            # The same clusters with other words are another task.
            if tuple(drawn) not in seen:
                break
        seen.add(tuple(drawn))
        tasks[task] = {name: members[usable[index]] for name, index in zip(label_names, drawn, strict=True)}
    used = {int(row) for task_rows in tasks.values() for rows in task_rows.values() for row in rows}
    small = sum(len(members[cluster]) for cluster in dropped)
    counts = {
        "unlabelled": 0,
        "outliers": int((labels < 0).sum()),
        "dropped_clusters": small,
        "not_drawn": len(labels) - int((labels < 0).sum()) - small - len(used),
        "used": len(used),
    }
    return AuxiliaryTasks(tasks, dropped, counts)
