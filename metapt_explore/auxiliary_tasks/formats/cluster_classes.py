"""Clusters as classes: many drawn tasks over many clusterings, each with its own label words.

CACTUs (Hsu, Levine and Finn, ICLR 2019, arXiv 1810.02334) draws tasks whose classes are clusters, of several
clusterings, and finds that the number and variety of clusterings matters. SUPMER (Pan et al., Findings of EMNLP 2023,
arXiv 2303.12314) does so for soft prompts. Labels of the data are not used. Words are drawn anew for each task, so that
no word can be learned by heart: what is left to learn is how to tell classes apart from few examples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from metapt_explore.errors import UserError
from metapt_explore.seeds import stream

#: Candidate words of each class: a model may cut some into several tokens.
CANDIDATES = 8
#: Draws in a row that give a task that is there already, after which no more are thought possible.
MOST_REPEATS = 5000


@dataclass(frozen=True, eq=False)
class Grouping:
    """One clustering of the texts.

    Attributes:
        name: Its name.
        clusters: ``[texts]`` cluster ids, negative for outliers.
        names: What each cluster is called.
        keywords: Of each cluster, best first.
    """

    name: str
    clusters: np.ndarray
    names: Mapping[int, str] = field(default_factory=dict)
    keywords: Mapping[int, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class DrawnTask:
    """A task whose classes are clusters.

    Attributes:
        clustering: Name of the clustering.
        clusters: Id of each class's cluster.
        words: Candidate label words of each class, best first; no word stands for two classes.
        rows: Row indices of each class's cluster, ascending. Tasks share these arrays: do not change them.
    """

    clustering: str
    clusters: tuple[int, ...]
    words: tuple[tuple[str, ...], ...]
    rows: tuple[np.ndarray, ...]


def draw_cluster_tasks(
    groupings: Sequence[Grouping],
    vocabulary: Sequence[str],
    *,
    n_tasks: int,
    classes: tuple[int, int],
    min_per_class: int,
    words: Literal["random", "keywords"],
    seed: int,
) -> list[DrawnTask]:
    """Draws tasks: a clustering, a number of classes, that many of its clusters, and words for them.

    Args:
        groupings: Clusterings of the same texts. Each that has enough clusters is equally likely.
        vocabulary: Words to draw from (`vocabulary.common_words`); with ``keywords`` for clusters that have none.
        n_tasks: How many tasks to draw.
        classes: Fewest and most classes of a task.
        min_per_class: Rows that a cluster needs.
        words: ``keywords`` takes a cluster's own keywords in an order drawn for each task (without those that another
            class of the task has, too); ``random`` draws from the vocabulary.
        seed: The study seed.

    Returns:
        Different tasks; fewer than `n_tasks` where no more are found. Two tasks are equal where the same clusters have
        the same first words.

    Raises:
        UserError: Where no clustering has enough large clusters, or words are too few.

    Example:
        >>> ids = np.array([0, 0, 1, 1, 2, -1])
        >>> kmeans = Grouping("kmeans", ids, keywords={0: ["tea"], 1: ["snow"], 2: ["cat"]})
        >>> (task,) = draw_cluster_tasks(
        ...     [kmeans], [], n_tasks=9, classes=(2, 3), min_per_class=2, words="keywords", seed=0
        ... )
        >>> sorted(zip(task.clusters, task.words, [rows.tolist() for rows in task.rows]))
        [(0, ('tea',), [0, 1]), (1, ('snow',), [2, 3])]
    """
    fewest, most = classes
    if not 2 <= fewest <= most:
        raise UserError(f"classes is [{fewest}, {most}]: give the fewest (2 or more) and the most classes of a task.")
    members = {each.name: _members(np.asarray(each.clusters), min_per_class) for each in groupings}
    keywords = {each.name: each.keywords for each in groupings}
    usable = [name for name, clusters in members.items() if len(clusters) >= fewest]
    if not usable:
        sizes = ", ".join(f"{name} {len(clusters)}" for name, clusters in members.items()) or "there is no clustering"
        raise UserError(
            f"No task can be made of clusters: a task has {fewest} classes or more, each a cluster of {min_per_class} "
            f"rows or more, and so many clusters are that large: {sizes}. Make more clusters (n_clusters, "
            "min_cluster_size), or lower min_per_class or the first number of classes."
        )
    tasks: list[DrawnTask] = []
    seen: set[tuple[str, frozenset[tuple[int, str]]]] = set()
    repeats = 0
    pool = list(dict.fromkeys(vocabulary))
    while len(tasks) < n_tasks and repeats < MOST_REPEATS:
        order = stream(seed, "cluster_classes", len(tasks), repeats)
        name = usable[int(order.integers(len(usable)))]
        large = members[name]
        number = int(order.integers(fewest, min(most, len(large)) + 1))
        ids = list(large)
        clusters = tuple(ids[index] for index in order.permutation(len(ids))[:number].tolist())
        own = [keywords.get(name, {}).get(cluster, ()) if words == "keywords" else () for cluster in clusters]
        chosen = _draw_words(own, pool, order)
        key = (name, frozenset((cluster, candidates[0]) for cluster, candidates in zip(clusters, chosen, strict=True)))
        if key in seen:
            repeats += 1
            continue
        seen.add(key)
        repeats = 0
        tasks.append(DrawnTask(name, clusters, chosen, tuple(large[cluster] for cluster in clusters)))
    return tasks


def _members(labels: np.ndarray, fewest: int) -> dict[int, np.ndarray]:
    """Rows of each cluster that has enough of them."""
    rows = {int(cluster): np.flatnonzero(labels == cluster) for cluster in np.unique(labels[labels >= 0])}
    return {cluster: members for cluster, members in rows.items() if len(members) >= max(1, fewest)}


def _draw_words(
    own: Sequence[Sequence[str]], pool: Sequence[str], order: np.random.Generator
) -> tuple[tuple[str, ...], ...]:
    """Candidates of each class: its own words, in an order that is drawn; of the pool where it has none."""
    lists = []
    for number, words in enumerate(own):
        elsewhere = {word.lower() for other, theirs in enumerate(own) if other != number for word in theirs}
        unique = [word for word in dict.fromkeys(words) if word.lower() not in elsewhere]
        lists.append([unique[index] for index in order.permutation(len(unique)).tolist()][:CANDIDATES])
    missing = [number for number, words in enumerate(lists) if not words]
    if missing:
        taken = {word.lower() for words in own for word in words}
        free = [word for word in pool if word.lower() not in taken]
        share = min(CANDIDATES, len(free) // len(missing))
        if not share:
            raise UserError(
                f"{len(missing)} classes of a task need a word each, and there are {len(free)} words to draw from. "
                "Take more texts, fewer classes, or `words: keywords`."
            )
        drawn = iter(order.permutation(len(free)).tolist())
        for number in missing:
            lists[number] = [free[next(drawn)] for _ in range(share)]
    return tuple(map(tuple, lists))
