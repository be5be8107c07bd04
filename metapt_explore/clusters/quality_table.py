"""Does a better clustering give a better prompt? Quality and downstream gain of every clustering, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from metapt_explore.config import shared_terms

#: Fewer clusterings than this say nothing about a correlation.
MIN_CLUSTERINGS = 5
#: Measures that are put beside the gain, and whether more is better.
MEASURES = {
    "silhouette": True,
    "davies_bouldin": False,
    "calinski_harabasz": True,
    "dbcv": True,
    "stability": True,
    "seed_agreement": True,
    "known_groups_ari": True,
    "known_groups_ami": True,
    "label_information": True,
    "outlier_share": False,
    "n_clusters": True,
    "tasks": True,
}
UNIT = ["task", "data_seed", "init_seed"]


def label_information(clusters: Sequence[Mapping[str, Any]]) -> float | None:
    """Normalised mutual information of cluster and label: does a clustering just split the texts by their labels?

    Args:
        clusters: ``summary["clusters"]`` of a clustering, whose ``labels`` count texts by label; texts without one, and
            outliers, are left out.

    Returns:
        0 (clusters say nothing about the label, as auxiliary tasks need) to 1 (each cluster is a label); normalised by
        the mean of both entropies. None where labels are not counted, or there are
        fewer than two clusters or labels.

    Example:
        >>> apart = [{"labels": {"good": 5}}, {"labels": {"bad": 5}}]
        >>> label_information(apart)
        1.0
    """
    counts = pd.DataFrame([dict(cluster.get("labels", {})) for cluster in clusters]).fillna(0)
    counts = counts.drop(columns="unlabelled", errors="ignore")
    table = counts.to_numpy(dtype=float)
    table = table[table.sum(axis=1) > 0] if table.size else table
    if table.shape[0] < 2 or (table.sum(axis=0) > 0).sum() < 2:
        return None
    share = table / table.sum()
    rows, columns = share.sum(axis=1), share.sum(axis=0)
    expected = np.outer(rows, columns)
    both = share > 0
    information = float((share[both] * np.log(share[both] / expected[both])).sum())
    entropies = [float(-(p[p > 0] * np.log(p[p > 0])).sum()) for p in (rows, columns)]
    return max(0.0, min(1.0, information / float(np.mean(entropies))))


def on_one_clustering(methods: Sequence[Mapping[str, Any]]) -> tuple[dict[str, str], str]:
    """Methods whose gain over pooled pre-training is attributed to one clustering.

    Args:
        methods: Of a study, as plain values.

    Returns:
        Method to clustering, and the first pooled method without a clustering (empty where there is none). Left out:
        methods of several clusterings, and methods with other topics, tuning or verbalizer than the pooled one.

    Example:
        >>> ppt, meta = {"name": "PPT", "kind": "ppt"}, {"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"}
        >>> on_one_clustering([ppt, meta, {**meta, "name": "probed", "verbalizer": {"read": "probe_ensemble"}}])
        ({'MetaPT': 'kmeans'}, 'PPT')
    """
    pooled = next((m for m in methods if m["kind"] == "ppt" and not m.get("clustering")), None)
    if pooled is None:
        return {}, ""
    terms = [(m.get("topics"), shared_terms(m.get("tuning")), m.get("verbalizer")) for m in (*methods, pooled)]
    alike = [m for m, term in zip(methods, terms[:-1], strict=True) if term == terms[-1]]
    on_one = [m for m in alike if m["kind"] == "metapt" and isinstance(m["clustering"], str)]
    on_one = [m for m in on_one if not m.get("without") and not m.get("only")]  # these learn from some of its clusters
    return {m["name"]: m["clustering"] for m in on_one}, str(pooled["name"])


def method_gains(results: pd.DataFrame, methods: Mapping[str, str], baseline: str) -> pd.DataFrame:
    """What each method gains over the baseline on the same units.

    A unit is a task with a data seed and an initialisation seed; both methods must have been scored on it.

    Args:
        results: Columns method, task, data_seed, init_seed, accuracy, start_accuracy, as `results_table` returns.
        methods: Clustering of each method.
        baseline: The method that is compared with (pooled pre-training).

    Returns:
        A row for each method with scores: method, clustering, ``gain`` and ``start_gain`` (differences of accuracies
        in 0..1: mean over the units of a task, then over tasks, so that no task counts more for having more units),
        ``units``. Empty where the baseline has no score.
    """
    columns = ["method", "clustering", "gain", "start_gain", "units"]
    scores = ["accuracy", "start_accuracy"]
    if results.empty or baseline not in set(results["method"]):
        return pd.DataFrame(columns=columns)
    wide = results.groupby(["method", *UNIT])[scores].mean()
    reference = wide.loc[baseline]
    records = []
    for method, clustering in methods.items():
        if method == baseline or method not in wide.index.get_level_values("method"):
            continue
        difference = (wide.loc[method] - reference).dropna()
        if difference.empty:
            continue
        by_task = difference.groupby("task").mean().mean()
        records.append([method, clustering, by_task["accuracy"], by_task["start_accuracy"], len(difference)])
    return pd.DataFrame(records, columns=columns)


def quality_table(records: Sequence[Mapping[str, Any]], gains: pd.DataFrame) -> pd.DataFrame:
    """One row for each clustering: its quality by each measure, and the gain of the prompts learned with it.

    Args:
        records: For each clustering ``name``, ``algorithm``, and the summaries ``clusters`` (of its clusters artifact),
            ``tasks`` and ``stability`` (None where they have not been made).
        gains: What `method_gains` returned.

    Returns:
        Columns clustering, algorithm, those of `MEASURES`, ``methods`` (names of the methods that used it), ``gain``
        and ``start_gain`` (mean over these methods) and ``units`` (the fewest that one of them was scored on). Missing
        values are NaN: an older artifact has no ``dbcv``.
    """
    rows = []
    for record in records:
        clusters, tasks, stable = record["clusters"], record.get("tasks") or {}, record.get("stability") or {}
        quality, groups = clusters["quality"], clusters.get("agreement") or {}
        used = gains[gains["clustering"] == record["name"]]
        rows.append(
            {
                "clustering": record["name"],
                "algorithm": record["algorithm"],
                **{key: quality.get(key) for key in ("silhouette", "davies_bouldin", "calinski_harabasz", "dbcv")},
                "stability": stable.get("jaccard"),
                "seed_agreement": (stable.get("over_seeds") or {}).get("adjusted_rand_index"),
                "known_groups_ari": groups.get("adjusted_rand_index"),
                "known_groups_ami": groups.get("adjusted_mutual_information"),
                "label_information": label_information(clusters["clusters"]),
                "outlier_share": quality["outlier_share"],
                "n_clusters": quality["n_clusters"],
                "tasks": tasks.get("tasks"),
                "methods": ", ".join(used["method"]),
                "gain": used["gain"].mean() if len(used) else None,
                "start_gain": used["start_gain"].mean() if len(used) else None,
                "units": int(used["units"].min()) if len(used) else 0,
            }
        )
    columns = ["clustering", "algorithm", *MEASURES, "methods", "gain", "start_gain", "units"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype(dict.fromkeys([*MEASURES, "gain", "start_gain"], float))


def quality_correlations(table: pd.DataFrame, gain: str = "gain") -> pd.DataFrame:
    """Does a cluster measure predict the gain? Spearman's rank correlation of each measure with it, over clusterings.

    The clusterings of a study share texts, encoder and seeds, so they are no random sample: no p-value is given.

    Args:
        table: What `quality_table` returned.
        gain: ``gain`` or ``start_gain``.

    Returns:
        A row for each measure: ``measure``, ``higher_is_better``, ``spearman`` (-1..1; NaN where fewer than three
        clusterings have both, or one of them is the same for all), ``clusterings`` (how many have both) and ``caveat``
        (empty where there are five or more).

    Example:
        >>> table = pd.DataFrame({**dict.fromkeys(MEASURES, [1.0, 2.0, 3.0]), "gain": [0.1, 0.2, 0.4]})
        >>> row = quality_correlations(table).iloc[0]
        >>> float(row["spearman"]), row["caveat"]
        (1.0, 'only 3 clusterings: says next to nothing')
    """
    records = []
    for measure, higher in MEASURES.items():
        both = table[[measure, gain]].dropna()
        known = len(both) >= 3 and bool((both.nunique() > 1).all())
        ranks = both.rank()
        correlation = float(np.corrcoef(ranks[measure], ranks[gain])[0, 1]) if known else np.nan
        caveat = f"only {len(both)} clusterings: says next to nothing" if len(both) < MIN_CLUSTERINGS else ""
        records.append([measure, higher, round(correlation, 12), len(both), caveat])
    return pd.DataFrame(records, columns=["measure", "higher_is_better", "spearman", "clusterings", "caveat"])
