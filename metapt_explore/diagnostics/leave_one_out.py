"""Which cluster helps which task? The method once more without each of its clusters.

A cluster's help is the score with all clusters minus the score without it, on the same initialisation and data seeds
(data valuation by leaving one out; compare Data Shapley, Ghorbani & Zou, ICML 2019, arXiv 1904.02868, which also looks
at combinations). Positive: the cluster helps.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from metapt_explore.config import PretrainedMethod, StudyConfig, parse, to_yaml
from metapt_explore.config.reading import parse_yaml
from metapt_explore.errors import UserError
from metapt_explore.statistics.designs import mean_over_pairs
from metapt_explore.statistics.numbers import points
from metapt_explore.statistics.significance import holm
from metapt_explore.statistics.units import paired_scores

#: What the mean over tasks is called in a table of help.
ALL_TASKS = "all tasks"
#: Fewer independent seeds than this show nothing, whatever their interval (as in `statistics/compare.py`).
MIN_SEEDS_FOR_VERDICT = 5
COLUMNS = ["cluster", "task", "help", "low", "high", "p", "p_holm", "wins", "ties", "losses", "units", "verdict"]


def leave_one_out(study: StudyConfig, method: str, clusters: list[int]) -> StudyConfig:
    """Expands a study into one with the method as it is, and once without each cluster.

    Args:
        study: The study; its other methods are dropped.
        method: A method that learns from a clustering.
        clusters: Its auxiliary tasks.

    Raises:
        UserError: Where the method learns from no clustering or from some clusters only, or there is but one cluster.

    Example:
        >>> from metapt_explore.config import load_study
        >>> expanded = leave_one_out(load_study("tour"), "MetaPT", [0, 1])
        >>> expanded.name, [(method.name, method.without) for method in expanded.methods]
        ('tour-MetaPT-leave-one-out', [('MetaPT', []), ('MetaPT without 0', [0]), ('MetaPT without 1', [1])])
    """
    base = study.method(method)
    if not isinstance(base, PretrainedMethod) or base.clustering is None:
        raise UserError(f"Method '{method}' has no `clustering`: there is no cluster to leave out.")
    if base.without or base.only:
        raise UserError(f"Method '{method}' learns from some clusters already; leave out clusters of one that has all.")
    if len(clusters) < 2:
        raise UserError(f"Method '{method}' learns from a single cluster; without it there is nothing to learn from.")
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{study.name}-{method}-leave-one-out")
    others = [
        base.model_copy(update={"name": f"{method} without {cluster}", "without": [cluster]})
        for cluster in sorted(clusters)
    ]
    title = f"{study.title or study.name}: {method} without each of its clusters"
    expanded = study.model_copy(update={"name": name, "title": title, "methods": [base, *others]})
    return parse(StudyConfig, parse_yaml(to_yaml(expanded), name), name)


def left_out(study: StudyConfig, method: str) -> dict[int, str]:
    """Names of the methods that leave out one cluster of the given method, by cluster.

    Example:
        >>> from metapt_explore.config import load_study
        >>> left_out(leave_one_out(load_study("tour"), "MetaPT", [0, 1]), "MetaPT")
        {0: 'MetaPT without 0', 1: 'MetaPT without 1'}
    """
    base = study.method(method)
    return {
        other.without[0]: other.name
        for other in study.methods
        if isinstance(other, PretrainedMethod)
        and len(other.without) == 1
        and other == base.model_copy(update={"name": other.name, "without": other.without})
    }


def help_table(
    results: pd.DataFrame, method: str, without: Mapping[int, str], *, metric: str = "accuracy"
) -> pd.DataFrame:
    """How much each cluster helps each task.

    Args:
        results: Columns method, task, data_seed, init_seed and `metric` (`results_table`).
        method: The method with all clusters.
        without: The method without a cluster, by cluster (`left_out`).
        metric: ``accuracy``, ``start_accuracy``, ``macro_f1`` …

    Returns:
        A line for each cluster and task, and one for their mean (task ``all tasks``): ``help`` (score with all
        clusters minus score without this one, as a share of 1), its 95 % interval ``low`` to ``high`` and ``p`` over
        units (pairs of an initialisation and a data seed; a test that knows which of them share a seed), ``p_holm``
        (corrected over all clusters and tasks; for the means over all clusters), ``wins``, ``ties`` and ``losses`` of
        the method with all clusters, ``units``, and ``verdict``: helps or hurts where the corrected p is under 5 % and
        there are five units or more, else cannot tell. A cluster that has no scores yet has no line.

    Example:
        >>> rows = [(m, "t", s, s, a + s / 1000 * (m == "X")) for m, a in (("X", 0.7), ("X-0", 0.6)) for s in range(5)]
        >>> columns = ["method", "task", "data_seed", "init_seed", "accuracy"]
        >>> table = help_table(pd.DataFrame(rows, columns=columns), "X", {0: "X-0"})
        >>> table[["task", "help", "verdict"]].round(3).to_numpy().tolist()
        [['t', 0.102, 'helps'], ['all tasks', 0.102, 'helps']]
    """
    scored = set(results["method"]) if len(results) else set()
    records: list[dict[str, Any]] = []
    for cluster, name in sorted(without.items()):
        if method not in scored or name not in scored:
            continue
        scores = paired_scores(results, method, name, metric=metric).complete
        by_task = scores.method - scores.baseline
        columns = {str(task): by_task[task] for task in by_task}
        for task, differences in {**columns, ALL_TASKS: by_task.mean(axis=1)}.items():
            if differences.empty:
                continue
            estimate = mean_over_pairs(differences)
            wins, losses = int((differences > 1e-12).sum()), int((differences < -1e-12).sum())
            records.append(
                {
                    "cluster": cluster,
                    "task": task,
                    "help": estimate.mean,
                    "low": estimate.low,
                    "high": estimate.high,
                    "p": estimate.p,
                    "wins": wins,
                    "ties": len(differences) - wins - losses,
                    "losses": losses,
                    "units": len(differences),
                    "independent": estimate.design.independent,
                }
            )
    for means in (False, True):
        family = [record for record in records if (record["task"] == ALL_TASKS) == means]
        for record, p in zip(family, holm([record["p"] for record in family]), strict=True):
            record["p_holm"] = p
            sure = p is not None and p < 0.05 and record["independent"] >= MIN_SEEDS_FOR_VERDICT
            record["verdict"] = ("helps" if record["help"] > 0 else "hurts") if sure else "cannot tell"
    return pd.DataFrame(records, columns=COLUMNS)


def format_help(table: pd.DataFrame, names: Mapping[int, str]) -> list[str]:
    """Which cluster helps which task, a sentence for each task.

    Args:
        table: What `help_table` returned.
        names: Names of the clusters.

    Example:
        >>> table = pd.DataFrame([[0, "t", 0.1, "helps"]], columns=["cluster", "task", "help", "verdict"])
        >>> format_help(table, {0: "0: phones"})
        ['t: 0: phones helps (+10.0 points).']
    """
    sentences = []
    for task, rows in table.groupby("task", sort=False):
        clear = rows[rows["verdict"] != "cannot tell"].sort_values("help", ascending=False)
        if clear.empty:
            sentences.append(f"{task}: cannot tell of any cluster whether it helps.")
            continue
        phrases = [
            f"{names.get(int(row['cluster']), row['cluster'])} {row['verdict']} ({points(row['help'])} points)"
            for row in clear.to_dict(orient="records")
        ]
        sentences.append(f"{task}: {'; '.join(phrases)}.")
    return sentences
