"""Tables of a report: records in, rows that are ready to be shown out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from metapt_explore.config import VerbalizerConfig
from metapt_explore.config.renamed import with_new_names
from metapt_explore.progress.state import format_time
from metapt_explore.results.budgets import Budget
from metapt_explore.statistics.numbers import MISSING, number

UNIT = ["init_seed", "data_seed"]
FORWARD = "forward only, of a score"
UPDATES = "updates, pre-training"


def percent(value: float | None, *, digits: int = 1, sign: bool = False) -> str:
    """Writes a share in percent, or an en dash where there is none.

    Example:
        >>> percent(0.7123), percent(-0.004, sign=True), percent(None)
        ('71.2', '−0.4', '–')
    """
    if value is None or pd.isna(value):
        return MISSING
    return number(100 * value, digits, sign=sign)


def score_table(results: pd.DataFrame, methods: list[str], column: str = "accuracy") -> pd.DataFrame:
    """Mean ± standard deviation over pairs of seeds: a row for each method, a column for each task, and their mean.

    The spread of the last column is that of the mean over tasks, not the mean of the spreads.
    """
    tasks = list(dict.fromkeys(results["task"]))
    rows = []
    for method in methods:
        own = results[results["method"] == method]
        if own.empty:
            continue
        row: dict[str, Any] = {"method": method}
        for task in tasks:
            row[task] = _mean_and_spread(own.loc[own["task"] == task, column])
        units = own.groupby(UNIT, dropna=False)[column].agg(["mean", "size"])
        row["mean"] = _mean_and_spread(units.loc[units["size"] == len(tasks), "mean"])
        row["pairs"] = str(int((units["size"] == len(tasks)).sum()))
        rows.append(row)
    return pd.DataFrame(rows)


def _mean_and_spread(values: pd.Series) -> str:
    if values.empty:
        return "–"
    return percent(values.mean()) + (f" ± {percent(values.std(ddof=1))}" if len(values) > 1 else "")


def budget_table(budgets: list[Budget]) -> pd.DataFrame:
    """What each method spent: rows forward and backward, or forward only, parameters, time and memory."""
    table = pd.DataFrame(
        [
            {
                "method": a["method"],
                "rows, pre-training": _count(a["pretraining_row_passes"]),
                UPDATES: _count(a.get("pretraining_updates")),
                "rows, tuning of a score": _count(a["tuning_row_passes"]),
                FORWARD: _count(a.get("forward_rows")),
                "diagnostic rows": _count(a["diagnostic_rows"]),
                "tuning steps": a["tuning_steps"] or "–",
                "learning rates": ", ".join(f"{rate:g}" for rate in a["learning_rates"] or []) or "–",
                "parameters": _count(a["trained_parameters"]),
                "pre-training": format_time(a["pretraining_seconds"]),
                "tuning and scoring": format_time(a["seconds"]),
                "peak memory": f"{peak / 1024:.1f} GiB" if (peak := a.get("peak_mib")) else "–",
            }
            for a in budgets
        ]
    )
    # Older evaluations did not count them.
    counted = {FORWARD: "forward_rows", UPDATES: "pretraining_updates"}
    unknown = [column for column, key in counted.items() if all(a.get(key) is None for a in budgets)]
    return table.drop(columns=unknown)


def read_twice(study: Mapping[str, Any], methods: list[str]) -> dict[str, str]:
    """Methods that read the prompts of another beside a probe: all that is said of a prompt is the same of both.

    Args:
        study: The study's settings as plain values.
        methods: Methods that are spoken of.

    Example:
        >>> probed = {"name": "PT and probe", "kind": "pt", "verbalizer": {"read": "probe_ensemble"}}
        >>> read_twice({"methods": [{"name": "PT", "kind": "pt"}, probed]}, ["PT", "PT and probe"])
        {'PT and probe': 'PT'}
    """
    study, _ = with_new_names(study)  # a record may be older than the names

    def reading(method: Mapping[str, Any]) -> VerbalizerConfig:
        return VerbalizerConfig(**(method.get("verbalizer") or study.get("verbalizer") or {}))

    def prompt(method: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in method.items() if key not in ("name", "verbalizer") and value is not None}

    spoken_of = [method for method in study.get("methods", []) if method["name"] in methods]
    plain = [method for method in spoken_of if reading(method) == VerbalizerConfig()]
    earlier: dict[str, str] = {}
    for method in spoken_of:
        same = [other["name"] for other in plain if prompt(other) == prompt(method)]
        if reading(method).has_probe and same:
            earlier[method["name"]] = same[0]
    return earlier


def choice_table(results: pd.DataFrame, methods: list[str]) -> pd.DataFrame:
    """How often dev chose each learning rate, of prompts that were tuned at all, and after how many steps (median)."""
    chosen = results.dropna(subset=["learning_rate"])
    rates = sorted(chosen["learning_rate"].unique())
    rows = []
    for method in methods:
        choices = chosen[chosen["method"] == method]
        if choices.empty:
            continue
        # Before the first step all rates have one prompt.
        tuned = choices.loc[choices["step"] > 0, "learning_rate"]
        counts, steps = tuned.value_counts(), choices["step"]
        rows.append(
            {
                "method": method,
                **{f"rate {rate:g}": _share(counts.get(rate, 0), len(tuned)) for rate in rates},
                "median step": f"{steps.median():g}",
                "kept the start": f"{100 * (steps == 0).mean():.0f} %",
            }
        )
    return pd.DataFrame(rows)


def _share(count: int, total: int) -> str:
    return f"{100 * count / total:.0f} %" if total else "–"


def edge_notes(
    results: pd.DataFrame, methods: list[str], grids: Mapping[str, Sequence[float]], *, often: float = 0.4
) -> list[str]:
    """Says which methods often chose the lowest or highest learning rate that was tried: a better one may lie beyond.

    Args:
        results: Scores.
        methods: Which of them.
        grids: Learning rates that a method tried; where it is not named, those that it chose.
        often: From which share of a method's scores it is said.

    Example:
        >>> scores = pd.DataFrame({"method": ["PT"] * 3, "learning_rate": [0.1, 0.1, 0.01]})
        >>> edge_notes(scores, ["PT"], {})
        ['PT: dev chose the highest learning rate tried (0.1) for 67 % of the scores; a higher one may be better.']
        >>> edge_notes(scores, ["PT"], {"PT": [0.01, 0.1, 1.0]})
        []
    """
    chosen = results.dropna(subset=["learning_rate"])
    notes = []
    for method in methods:
        of_method = chosen[chosen["method"] == method]
        rates = sorted(grids.get(method) or of_method["learning_rate"].unique())
        tuned = of_method.loc[of_method["step"] > 0 if "step" in chosen else slice(None), "learning_rate"]
        if len(rates) < 2 or tuned.empty:
            continue
        for edge, word, beyond in ((rates[0], "lowest", "lower"), (rates[-1], "highest", "higher")):
            share = float((tuned == edge).mean())
            if share > often:
                notes.append(
                    f"{method}: dev chose the {word} learning rate tried ({edge:g}) for {100 * share:.0f} % of the "
                    f"scores; a {beyond} one may be better."
                )
    return notes


def late_notes(results: pd.DataFrame, methods: list[str], steps: int, *, often: float = 0.5) -> list[str]:
    """Says on which tasks dev mostly kept the prompt of the last tuning step: more steps may be worth something there.

    Args:
        results: Scores.
        methods: Methods that were tuned for so many steps.
        steps: How many.
        often: From which share of a task's scores it is said.

    Example:
        >>> scores = pd.DataFrame({"method": "PT", "task": ["subj"] * 3 + ["mr"] * 3, "step": [30, 30, 20, 5, 0, 30]})
        >>> late_notes(scores, ["PT"], 30)
        ['Dev kept the last of 30 tuning steps for 67 % of the scores on subj: more steps may be better there.']
    """
    tuned = results[results["method"].isin(methods)].dropna(subset=["step"])
    share = (tuned["step"] >= steps).groupby(tuned["task"], sort=False).mean()
    shares = [f"{100 * value:.0f} % of the scores on {task}" for task, value in share.items() if value > often]
    on_tasks = " and ".join(filter(None, [", ".join(shares[:-1]), *shares[-1:]]))
    return (
        [f"Dev kept the last of {steps} tuning steps for {on_tasks}: more steps may be better there."] if shares else []
    )


def cluster_table(clusterings: list[dict[str, Any]]) -> pd.DataFrame:
    """Sizes and quality of each clustering."""
    return pd.DataFrame(
        [
            {
                "clustering": c["name"],
                "algorithm": c["algorithm"],
                "clusters": c["n_clusters"],
                "tasks": "–" if c["tasks"] is None else c["tasks"],
                "smallest – largest": f"{min(c['sizes'])} – {max(c['sizes'])}" if c["sizes"] else "–",
                "outliers": MISSING if c["outliers"] is None else c["outliers"],
                "silhouette": number(c["quality"].get("silhouette"), 3),
                "Davies–Bouldin": number(c["quality"].get("davies_bouldin"), 2),
                "Calinski–Harabasz": number(c["quality"].get("calinski_harabasz"), 1),
                "DBCV": number(c["quality"].get("dbcv"), 3),
                "stability": number(c.get("stability"), 2),
                "ARI with known groups": number((c["agreement"] or {}).get("adjusted_rand_index"), 3),
                "label information": number(c.get("label_information"), 3),
                "gain over PPT": "–" if c.get("gain") is None else percent(c["gain"], sign=True),
                "gain at the start": "–" if c.get("start_gain") is None else percent(c["start_gain"], sign=True),
            }
            for c in clusterings
        ]
    )


def task_table(tasks: list[dict[str, Any]]) -> pd.DataFrame:
    """Classes, sizes, template and words of the downstream tasks."""
    return pd.DataFrame(
        [
            {
                "task": t["name"],
                "classes": len(t["classes"]),
                "train rows": (t["sizes"] or {}).get("train"),
                "test rows": (t["sizes"] or {}).get("test"),
                "chance": percent(1 / len(t["classes"])),
                "template": f"`{(t['template'] or '–').replace(chr(10), '⏎')}`",
                "words": ", ".join("/".join(words) for words in t["words"].values()) or "–",
            }
            for t in tasks
        ]
    )


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"
