"""What the clusterings of a study cost, measured on this machine where that is worth it, in words."""

from __future__ import annotations

from metapt_explore.cost.clusterings import ClusteringCost
from metapt_explore.progress.state import format_time


def about(seconds: float) -> str:
    """A long or short time in words.

    Example:
        >>> about(40), about(360), about(216_000)
        ('40 s', '6 min 00 s', '2.5 days')
    """
    return f"{seconds / 86_400:.1f} days" if seconds > 2 * 86_400 else format_time(seconds)


def format_clustering(name: str, cost: ClusteringCost) -> str:
    """One line of a plan: how long, and where the wall is.

    Example:
        >>> cost = ClusteringCost(360.0, 1700.0, 1_000_000, 50_000, "hdbscan", 216_000.0, 3_000.0)
        >>> format_clustering("dense", cost).partition(": ")[2]
        'hdbscan on 1,000,000 texts: about 2.5 days; on a sample of 50,000: about 6 min 00 s, 1.7 GiB.'
    """
    all_texts = f"Clustering '{name}': {cost.algorithm} on {cost.rows:,} texts: about "
    own = f"about {about(cost.seconds)}, {cost.mib / 1024:.1f} GiB."
    if cost.whole_seconds is None:
        return all_texts + own.removeprefix("about ")
    return f"{all_texts}{about(cost.whole_seconds)}; on a sample of {cost.fitted:,}: {own}"
