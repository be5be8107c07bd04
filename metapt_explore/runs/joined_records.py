"""One record out of two of the same study, whose scores were computed on different days or machines.

A study of hours may be run a few initialisation seeds at a time (`metapt run --init-seeds 0-4`), on machines whose
workspaces never meet. What a pair of seeds is compared on stays together: all methods of a pair are of one record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from metapt_explore.clusters.quality_table import method_gains
from metapt_explore.errors import UserError
from metapt_explore.runs.record import Record

#: What makes a score another one.
CELL = ["method", "task", "data_seed", "init_seed"]
#: Numbers of an account that are means over pre-trainings, or over scores.
PER_PRETRAINING = ("pretraining_row_passes", "diagnostic_rows", "pretraining_seconds")
PER_SCORE = ("tuning_row_passes", "seconds")


def joined(older: Record, newer: Record) -> Record:
    """Adds the scores of one record to those of another; where both have a pair of seeds the newer's count.

    Args:
        older: A record of the same study.
        newer: Facts about texts, clusters and tasks are its.

    Raises:
        UserError: Where the records are not of the same study, or of other texts or splits.
    """
    _same_study(older, newer)
    pairs = set(zip(newer.results["init_seed"].astype("Int64"), newer.results["data_seed"], strict=True))
    results = _stacked(older.results, newer.results, pairs)
    baseline = next((m["name"] for m in newer.study["methods"] if m["kind"] == "ppt" and "clustering" not in m), "")
    methods = {m["name"]: m["clustering"] for m in newer.study["methods"] if isinstance(m.get("clustering"), str)}
    methods = {name: clustering for name, clustering in methods.items() if name != baseline}
    gains = method_gains(results, methods, baseline).groupby("clustering")[["gain", "start_gain"]].mean()
    clusterings = [
        {
            **found,
            **({key: float(gains.loc[found["name"], key]) for key in gains} if found["name"] in gains.index else {}),
        }
        for found in newer.clusterings
    ]
    return replace(
        newer,
        results=results,
        curves=_stacked(older.curves, newer.curves, pairs),
        efficiency=_stacked(older.efficiency, newer.efficiency, pairs),
        accounts=_accounts(older, newer),
        clusterings=clusterings,
        manifest=_manifest(older, newer),
    )


def _same_study(older: Record, newer: Record) -> None:
    if older.study != newer.study:
        changed = sorted(
            key for key in older.study.keys() | newer.study.keys() if older.study.get(key) != newer.study.get(key)
        )
        raise UserError(
            f"The record in the folder is of another study: its {', '.join(changed)} differ. Write elsewhere."
        )
    old, new = ({task["name"]: task["checksums"] for task in record.tasks} for record in (older, newer))
    other = [name for name in old.keys() & new.keys() if old[name] != new[name]]
    if other:
        raise UserError(
            f"The record in the folder has other few-shot rows of {', '.join(sorted(other))}: write elsewhere."
        )
    if older.texts.get("kept") != newer.texts.get("kept"):
        raise UserError("The record in the folder was made with other pre-training texts: write elsewhere.")


def _stacked(older: pd.DataFrame, newer: pd.DataFrame, pairs: set[tuple[Any, Any]]) -> pd.DataFrame:
    """The older rows whose pair of seeds the newer table does not have, and the newer ones."""
    if older.empty or newer.empty:
        return newer if older.empty else older
    of_older = zip(older["init_seed"].astype("Int64"), older["data_seed"], strict=True)
    kept = older[[pair not in pairs for pair in of_older]]
    whole = pd.concat([kept, newer], ignore_index=True)
    return whole.sort_values([c for c in ("init_seed", "data_seed") if c in whole], kind="stable", ignore_index=True)


def _accounts(older: Record, newer: Record) -> list[dict[str, Any]]:
    before = {account["method"]: account for account in older.accounts}
    found = [_account(before.pop(account["method"], None), account) for account in newer.accounts]
    return [*found, *before.values()]


def _account(old: Mapping[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """Means weighted by the seeds that they are over; what was given must have been the same."""
    if old is None:
        return new
    weights = [len(account["init_seeds"] or [0]) for account in (old, new)]

    def mean(key: str) -> float:
        return float(sum(w * a[key] for w, a in zip(weights, (old, new), strict=True)) / sum(weights))

    together: dict[str, Any] = {key: mean(key) for key in (*PER_PRETRAINING, *PER_SCORE)}
    for key in ("init_seeds", "data_seeds"):
        together[key] = sorted({*(old[key] or []), *(new[key] or [])}) or None
    together["tasks"] = list(dict.fromkeys([*old["tasks"], *new["tasks"]]))
    peaks = [account["peak_mib"] for account in (old, new) if account["peak_mib"] is not None]
    return {**new, **together, "peak_mib": max(peaks) if peaks else None}


def _manifest(older: Record, newer: Record) -> dict[str, Any]:
    """The newer's, with the others beside it."""

    def alone(manifest: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in manifest.items() if key != "others"}

    manifests = [newer.manifest, older.manifest, *newer.manifest.get("others", []), *older.manifest.get("others", [])]
    different = {json.dumps(alone(found), sort_keys=True): alone(found) for found in manifests if found}
    first, *others = different.values() if different else [{}]
    return {**first, **({"others": others} if others else {})}
