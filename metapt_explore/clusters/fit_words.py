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


def fit_facts(config: ClusteringConfig, rows: int) -> dict[str, Any]:
    """How so many texts are fitted; empty where all of them are, by the algorithm that was asked for.

    Args:
        config: The clustering.
        rows: Texts.

    Example:
        >>> dense = ClusteringConfig(name="dense", algorithm="hdbscan")
        >>> fit_facts(dense, 1_000_000), fit_facts(dense, 1_000)
        ({'rows': 50000, 'of': 1000000, 'algorithm': 'hdbscan', 'by': 'sample', 'asked': False}, {})
    """
    fitted = config.fitted_rows(rows)
    mini = config.in_mini_batches(rows)
    if fitted >= rows and not mini:
        return {}
    return {
        "rows": fitted,
        "of": rows,
        "algorithm": config.algorithm,
        "by": "mini_batches" if mini else "sample",
        "asked": getattr(config, "fit_rows", None) is not None,
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
    if facts.get("by") == "mini_batches":
        return f"Fitted in mini-batches of all {facts['of']:,} texts: these are too many for k-means itself."
    why = "" if facts.get("asked") else " All are too many for this algorithm; `fit_rows` says otherwise."
    others = ASSIGNED.get(str(facts.get("algorithm")), NEAREST)
    return f"Fitted on {facts['rows']:,} of {facts['of']:,} texts, drawn at random; {others}.{why}"
