"""How stable a clustering is under other seeds, and on parts of the texts.

A grouping that does not come back with another seed, or on four fifths of the texts, says nothing about the texts,
whatever its silhouette.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from metapt_explore.clusters.refits import format_refits
from metapt_explore.config import limits
from metapt_explore.errors import UserError
from metapt_explore.seeds import derived_seed, stream

#: Rows of a sub-sample, as a share of all.
SHARE = 0.8
#: Rows that an agreement of two runs is measured on, where there are many.
AGREEMENT_ROWS = 50_000
#: Lower ends of mean Jaccard similarity, and what clusters above them are called (Hennig, 2007, 2008; the same bounds
#: are in `clusterboot` of the R package fpc). At 0.5 or less a cluster is dissolved.
VERDICTS = (
    (0.85, "highly stable"),
    (0.75, "stable"),
    (0.6, "a pattern, but which texts belong to it is in doubt"),
    (0.5, "not stable"),
)
DISSOLVED = "dissolved"

Rerun = Callable[[np.ndarray, int], np.ndarray]


def stability(
    labels: np.ndarray,
    rerun: Rerun,
    *,
    runs: int,
    seed: int,
    seeded: bool = True,
    refits: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Runs a clustering again, with other seeds and on sub-samples, and compares.

    Agreement of two runs is taken over the rows that both saw (of more than 200,000, over 50,000 of these); outliers
    count as one group of their own, because whether a text is one is part of the answer. The stability of a cluster is
    Hennig's: on each sub-sample (80 % of the rows, drawn without replacement) the Jaccard similarity of the cluster's
    rows with the most similar new cluster, averaged. (Hennig, Computational Statistics & Data Analysis 52, 2007; sub-
    samples rather than bootstrap samples, whose repeated rows would be dense places to hdbscan.)

    Args:
        labels: ``[rows]`` cluster ids of the clustering itself, negative for outliers.
        rerun: Called with ascending row indices and a seed; returns the labels of these rows. Where it raises a
            `UserError` (no cluster found, say) the run counts as one without clusters.
        runs: Other seeds, and sub-samples; at least two.
        seed: Draws seeds and sub-samples.
        seeded: Whether the algorithm draws random numbers, or the texts that it is fitted on; if not, only sub-samples
            are run.
        refits: How the clustering and each refit are made, where not all texts are fitted (`refits.refit_facts`).

    Returns:
        ``over_seeds`` (None where not seeded) and ``over_samples``: each with ``adjusted_rand_index`` and
        ``adjusted_mutual_information`` (mean over every two runs; over seeds the clustering itself is one of them),
        ``lowest_adjusted_rand_index``, ``runs``, ``failed``; ``clusters``: for each id ``jaccard`` (over sub-samples),
        ``jaccard_over_seeds``, ``dissolved`` (sub-samples where it was 0.5 or less) and ``verdict``; ``jaccard`` (mean
        over clusters, weighted by rows), ``runs``, ``share`` and ``sentence``; ``refits`` (as given, and ``part``: the
        rows of a sub-sample) where not all texts are fitted.

    Raises:
        ValueError: Where there are fewer than two runs.

    Example:
        >>> labels = np.repeat([0, 1], 20)
        >>> summary = stability(labels, lambda rows, seed: labels[rows], runs=3, seed=0)
        >>> summary["jaccard"], summary["clusters"]["0"]["verdict"]
        (1.0, 'highly stable')
    """
    if runs < 2:
        raise ValueError(f"{runs} runs cannot be compared; ask for two or more")
    labels = np.asarray(labels)
    everything = np.arange(len(labels))
    size = max(2, round(SHARE * len(labels)))
    samples = [np.sort(stream(seed, "stability", "rows", run).permutation(len(labels))[:size]) for run in range(runs)]
    on_samples = [_run(rerun, rows, derived_seed(seed, "stability", "sample", run)) for run, rows in enumerate(samples)]
    over_samples = list(zip(samples, on_samples, strict=True))
    over_seeds: list[tuple[np.ndarray, np.ndarray | None]] = []
    if seeded:
        others = [_run(rerun, everything, derived_seed(seed, "stability", "seed", run)) for run in range(runs)]
        over_seeds = [(everything, rerun_labels) for rerun_labels in others]
    clusters: dict[str, Any] = {}
    ids, sizes = np.unique(labels[labels >= 0], return_counts=True)
    over_parts = [_jaccards(labels, ids, *other) for other in over_samples]
    over_again = [_jaccards(labels, ids, *other) for other in over_seeds]
    for place, cluster in enumerate(ids.tolist()):
        likeness = [float(each[place]) for each in over_parts if not np.isnan(each[place])]
        mean = float(np.mean(likeness)) if likeness else 0.0
        again = [float(each[place]) for each in over_again]
        clusters[str(cluster)] = {
            "jaccard": mean,
            "jaccard_over_seeds": float(np.mean(again)) if again else None,
            "dissolved": sum(value <= 0.5 for value in likeness),
            "verdict": verdict(mean),
        }
    weighted = [clusters[str(cluster)]["jaccard"] * rows for cluster, rows in zip(ids.tolist(), sizes, strict=True)]
    made: dict[str, Any] = {
        "runs": runs,
        "share": SHARE,
        "over_seeds": _agreement([(everything, labels), *over_seeds], seed) if seeded else None,
        "over_samples": _agreement(over_samples, seed),
        "clusters": clusters,
        "jaccard": float(sum(weighted) / sizes.sum()) if len(ids) else 0.0,
        **({"refits": {**refits, "part": size}} if refits else {}),
    }
    return {**made, "sentence": format_stability(made)}


def verdict(jaccard: float) -> str:
    """What a mean Jaccard similarity says of a cluster.

    Example:
        >>> verdict(0.8), verdict(0.5)
        ('stable', 'dissolved')
    """
    if jaccard <= 0.5:
        return DISSOLVED
    return next(words for least, words in VERDICTS if jaccard >= least)


def format_stability(summary: dict[str, Any]) -> str:
    """One sentence or two on what `stability` found."""
    clusters = list(summary["clusters"].values())
    held = sum(cluster["jaccard"] >= 0.75 for cluster in clusters)
    gone = sum(cluster["verdict"] == DISSOLVED for cluster in clusters)
    sentence = (
        f"On {summary['runs']} sub-samples of {100 * summary['share']:.0f} % of the texts, {held} of {len(clusters)} "
        f"clusters come back (mean Jaccard similarity of 0.75 or more), {gone} dissolve (0.5 or less); on average "
        f"{summary['jaccard']:.2f}: {verdict(summary['jaccard'])} (bounds of Hennig, 2007)."
    )
    if (over_seeds := summary["over_seeds"]) is not None:
        sentence += (
            f" Over {over_seeds['runs']} seeds the adjusted Rand index is {over_seeds['adjusted_rand_index']:.2f}."
        )
    if failed := summary["over_samples"]["failed"]:
        sentence += f" {failed} sub-sample(s) had no cluster at all."
    if refits := summary.get("refits"):
        sentence += f" {format_refits(refits, refits['part'])}"
    return sentence


def _run(rerun: Rerun, rows: np.ndarray, seed: int) -> np.ndarray | None:
    try:
        return np.asarray(rerun(rows, seed))
    except UserError:
        return None


def _jaccards(labels: np.ndarray, ids: np.ndarray, rows: np.ndarray, other: np.ndarray | None) -> np.ndarray:
    """Similarity of each cluster with the most similar one of another run; NaN where that saw none of its rows.

    Args:
        labels: ``[rows]`` of the clustering.
        ids: ``[clusters]`` its clusters, ascending.
        rows: Which rows the other run saw.
        other: Their labels there; None where it found no cluster.
    """
    here = labels[rows]
    sizes = np.bincount(here[here >= 0], minlength=int(ids.max(initial=-1)) + 1)[ids]
    best = np.where(sizes > 0, 0.0, np.nan)
    if other is None:
        return best
    theirs = np.bincount(other[other >= 0])
    both = (here >= 0) & (other >= 0)
    # Pairs of clusters that share rows, and how many.
    pairs, shared = np.unique(here[both].astype(np.int64) * len(theirs) + other[both], return_counts=True)
    own, candidate = np.searchsorted(ids, pairs // max(len(theirs), 1)), pairs % max(len(theirs), 1)
    np.maximum.at(best, own, shared / (sizes[own] + theirs[candidate] - shared))
    return best


def _agreement(runs: Sequence[tuple[np.ndarray, np.ndarray | None]], seed: int) -> dict[str, Any]:
    """Agreement of every two runs, over the rows that both saw; of more than 200,000, over 50,000 of these."""
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

    rand, information = [], []
    for (left_rows, left), (right_rows, right) in combinations(runs, 2):
        _, in_left, in_right = np.intersect1d(left_rows, right_rows, assume_unique=True, return_indices=True)
        if left is None or right is None:
            # A run without clusters agrees with no other run, not even with another one without clusters.
            rand.append(0.0)
            information.append(0.0)
            continue
        if len(in_left) > limits.MANY_TEXTS:
            drawn = stream(seed, "stability", "agreement").choice(len(in_left), AGREEMENT_ROWS, replace=False)
            in_left, in_right = in_left[drawn], in_right[drawn]
        first, second = left[in_left], right[in_right]
        rand.append(float(adjusted_rand_score(first, second)))
        information.append(float(adjusted_mutual_info_score(first, second)))
    return {
        "adjusted_rand_index": float(np.mean(rand)),
        "adjusted_mutual_information": float(np.mean(information)),
        "lowest_adjusted_rand_index": min(rand),
        "runs": len(runs),
        "failed": sum(labels is None for _, labels in runs),
    }
