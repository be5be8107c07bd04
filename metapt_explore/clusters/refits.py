"""Clustering again in the way that a clustering was made, where that is not all texts by its own algorithm.

On four fifths of 240,000 texts k-means would be its own again, and no mini-batches; on four fifths of 120,000 HDBSCAN
would be fitted on all of them, and not on a sample of 50,000. Such refits differ from the clustering by how they were
made, so that their agreement says nothing of the texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metapt_explore.clusters.fit_words import fit_facts
from metapt_explore.config import ClusteringConfig


def refit_config(config: ClusteringConfig, rows: int) -> ClusteringConfig:
    """Settings that group any part of so many texts in the way all of them were: the same sample, or mini-batches.

    A part that is smaller than the sample is fitted as a whole.

    Args:
        config: The clustering.
        rows: Texts that it grouped.

    Example:
        >>> dense = ClusteringConfig(name="dense", algorithm="hdbscan")
        >>> refit_config(dense, 120_000).fitted_rows(96_000), refit_config(dense, 90_000).fitted_rows(72_000)
        (50000, 72000)
        >>> refit_config(ClusteringConfig(name="k", algorithm="kmeans"), 240_000).algorithm
        'minibatch_kmeans'
    """
    if config.in_mini_batches(rows):
        return ClusteringConfig.model_validate({**config.model_dump(), "algorithm": "minibatch_kmeans"})
    if (fitted := config.fitted_rows(rows)) < rows:
        return config.model_copy(update={"fit_rows": fitted})
    return config


def refit_facts(config: ClusteringConfig, rows: int) -> dict[str, Any]:
    """How a clustering of so many texts, and so each refit, is made; empty where all texts are fitted by its algorithm.

    Example:
        >>> refit_facts(ClusteringConfig(name="dense", algorithm="hdbscan"), 120_000)
        {'by': 'sample', 'rows': 50000, 'of': 120000, 'algorithm': 'hdbscan'}
    """
    facts = fit_facts(config, rows)
    return {key: facts[key] for key in ("by", "rows", "of", "algorithm")} if facts else {}


def format_refits(facts: Mapping[str, Any] | None, part: int) -> str:
    """The same as a sentence; empty where all texts were fitted.

    Args:
        facts: See `refit_facts`.
        part: Texts of a sub-sample.

    Example:
        >>> format_refits({"by": "sample", "rows": 50000, "of": 120000, "algorithm": "hdbscan"}, 96000)
        'Each refit was made as the clustering was: fitted on 50,000 texts drawn anew, the others assigned.'
        >>> format_refits({"by": "mini_batches", "rows": 240000, "of": 240000, "algorithm": "kmeans"}, 192000)
        'Each refit was made as the clustering was: in mini-batches.'
    """
    if not facts:
        return ""
    begin = "Each refit was made as the clustering was: "
    if facts["by"] == "mini_batches":
        return f"{begin}in mini-batches."
    whole = f" (all {part:,} of a sub-sample)" if part <= facts["rows"] else ""
    return f"{begin}fitted on {facts['rows']:,} texts drawn anew{whole}, the others assigned."
