"""Tables of how tasks' gradients agree."""

from __future__ import annotations

from typing import Any

import pandas as pd

from metapt_explore.statistics.numbers import MISSING, number


def agreement_table(agreement: pd.DataFrame) -> pd.DataFrame:
    """Mean corrected cosines of auxiliary tasks with one another and with each downstream task.

    Args:
        agreement: `Record.agreement`.

    Returns:
        A row for each clustering, place and initialisation seed.
    """
    rows = []
    for (clustering, at, seed), pairs in agreement.groupby(["clustering", "at", "init_seed"], sort=False):
        both = pairs[(pairs["first_kind"] == "auxiliary") & (pairs["second_kind"] == "auxiliary")]
        down = pairs[(pairs["first_kind"] == "auxiliary") & (pairs["second_kind"] == "downstream")]
        tasks = {str(task): _mean(own) for task, own in down.groupby("second", sort=False)}
        rows.append({"clusters": clustering, "at": at, "init seed": seed, "one another": _mean(both), **tasks})
    return pd.DataFrame(rows)


def agreement_by_cluster(pairs: pd.DataFrame) -> pd.DataFrame:
    """Corrected cosines of each auxiliary task with each downstream task, ± one standard error.

    Args:
        pairs: The rows of `Record.agreement` of one clustering, place and initialisation seed.

    Returns:
        A row for each auxiliary task; ``the others`` is its mean cosine with the other auxiliary tasks.
    """
    auxiliary = pairs[pairs["first_kind"] == "auxiliary"]
    both = auxiliary[auxiliary["second_kind"] == "auxiliary"]
    down = auxiliary[auxiliary["second_kind"] == "downstream"]
    rows = []
    for cluster, own in down.groupby("first", sort=False):
        others = both[(both["first"] == cluster) | (both["second"] == cluster)]
        cosines = {str(pair.second): _cosine(pair) for pair in own.itertuples()}
        rows.append({"cluster": cluster, "the others": _mean(others), **cosines})
    return pd.DataFrame(rows)


def _mean(pairs: pd.DataFrame) -> str:
    known = pairs["corrected"].dropna()
    return MISSING if known.empty else number(known.mean())


def _cosine(pair: Any) -> str:
    if pd.isna(pair.corrected):
        return "–"
    error = "" if pd.isna(pair.corrected_standard_error) else f" ± {number(pair.corrected_standard_error)}"
    return f"{number(pair.corrected)}{error}"
