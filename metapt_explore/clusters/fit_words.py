"""On what a clustering was fitted, where that is not all texts by its own algorithm: for summary, page and report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metapt_explore.config import ClusteringConfig

#: What becomes of texts that were not fitted, by algorithm.
ASSIGNED = {
    "hdbscan": "the others were assigned to its clusters (approximate_predict of the package hdbscan)",
    "lda": "the others got their shares of its topics",
    "gaussian_mixture": "the others got their most probable component",
}
NEAREST = "the others went to the cluster with the nearest mean"


def fit_facts(config: ClusteringConfig, rows: int, found: int | None = None) -> dict[str, Any]:
    """How so many texts are fitted; empty where all of them are, by the algorithm that was asked for.

    Args:
        config: The clustering.
        rows: Texts.
        found: Clusters that were found, once they are. Where mini-batches left some empty, ``clusters`` (found) and
            ``clusters_asked`` say so.

    Example:
        >>> dense = ClusteringConfig(name="dense", algorithm="hdbscan")
        >>> fit_facts(dense, 1_000_000), fit_facts(dense, 1_000)
        ({'rows': 50000, 'of': 1000000, 'algorithm': 'hdbscan', 'by': 'sample', 'asked': False}, {})
    """
    fitted = config.fitted_rows(rows)
    mini = config.in_mini_batches(rows)
    batches = mini or config.algorithm == "minibatch_kmeans"
    asked = getattr(config, "n_clusters", 0)
    fewer = {"clusters": found, "clusters_asked": asked} if batches and found is not None and found < asked else {}
    if fitted >= rows and not mini and not fewer:
        return {}
    return {
        "rows": fitted,
        "of": rows,
        "algorithm": config.algorithm,
        "by": "sample" if fitted < rows else "mini_batches",
        "asked": getattr(config, "fit_rows", None) is not None,
        **fewer,
    }


def format_fit(facts: Mapping[str, Any] | None) -> str:
    """The same as a sentence; empty where all texts were fitted.

    Example:
        >>> format_fit({"rows": 50000, "of": 1000000, "algorithm": "hdbscan", "by": "sample", "asked": False})[:42]
        'Fitted on 50,000 of 1,000,000 texts, drawn'
        >>> format_fit({"rows": 300000, "of": 300000, "algorithm": "kmeans", "by": "mini_batches", "asked": False})
        'Fitted in mini-batches of all 300,000 texts: these are too many for k-means itself.'
    """
    if not facts:
        return ""
    fewer = ""
    if "clusters_asked" in facts:
        fewer = (
            f" Mini-batches left clusters empty: {facts['clusters']} of the {facts['clusters_asked']} that were asked "
            "for hold texts."
        )
    if facts.get("by") == "mini_batches":
        why = "." if facts.get("algorithm") == "minibatch_kmeans" else ": these are too many for k-means itself."
        return f"Fitted in mini-batches of all {facts['of']:,} texts{why}{fewer}"
    why = "" if facts.get("asked") else " All are too many for this algorithm; `fit_rows` says otherwise."
    others = ASSIGNED.get(str(facts.get("algorithm")), NEAREST)
    return f"Fitted on {facts['rows']:,} of {facts['of']:,} texts, drawn at random; {others}.{why}{fewer}"
