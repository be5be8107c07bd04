"""Joins two records of one study whose scores were computed on different days or machines.

A study of hours may be run a few initialisation seeds at a time (`metapt run --init-seeds 0-4`), or be given further
methods later, on machines whose workspaces never meet.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pandas as pd

from metapt_explore.clusters.quality_table import method_gains, on_one_clustering
from metapt_explore.config import StudyConfig, parse
from metapt_explore.config.renamed import with_new_names
from metapt_explore.errors import UserError, shortened
from metapt_explore.results.budgets import Budget
from metapt_explore.results.kept_rows import joined_decisions, joined_rows, lost_decisions
from metapt_explore.results.record import Record, asked_cells
from metapt_explore.results.study_order import StudyOrder

#: Columns that identify a score.
CELL = ["method", "task", "data_seed", "init_seed"]
#: Columns that identify a pair of tasks whose gradients were compared.
AGREEMENT = ["clustering", "at", "init_seed", "first", "second"]
#: Lists of a study that may grow from one record to the next; an entry that both have must be the same.
GROWING = ("clusterings", "methods", "baselines")
#: Numbers of a budget that are means over pre-trainings, or over scores.
PER_PRETRAINING = ("pretraining_row_passes", "diagnostic_rows", "pretraining_seconds")
PER_SCORE = ("tuning_row_passes", "tuning_row_passes_of_a_rate", "forward_rows", "seconds")


def joined(older: Record, newer: Record) -> Record:
    """Joins the scores of two records; the newer record wins if both have a score.

    Args:
        older: A record of the same study.
        newer: Facts about texts, tasks and what both have are its.

    Raises:
        UserError: Where the records are not of the same study, or of other texts or splits.
    """
    study = _one_study(older, newer)
    _same_data(older, newer)
    listed = [entry["name"] for key in GROWING[1:] for entry in _entries(study, key)]
    order = StudyOrder([task["name"] for task in newer.tasks], listed)
    results = order.rows(_stacked(older.results, newer.results, CELL))
    methods, baseline = on_one_clustering(study.get("methods", []))
    gains = method_gains(results, methods, baseline).groupby("clustering")[["gain", "start_gain"]].mean()
    # Gains are computed again from all scores.
    unknown: dict[str, Any] = dict.fromkeys(("gain", "start_gain"))
    known = {clustering["name"]: {**clustering, **unknown} for clustering in (*older.clusterings, *newer.clusterings)}
    for name in gains.index:
        known[name] = {**known[name], **{key: float(gains.loc[name, key]) for key in gains}}
    return replace(
        newer,
        study=study,
        results=results,
        curves=order.rows(_stacked(older.curves, newer.curves, CELL)),
        efficiency=_stacked(older.efficiency, newer.efficiency, [*CELL, "shots"]),
        agreement=_stacked(older.agreement, newer.agreement, AGREEMENT),
        screenings=newer.screenings or older.screenings,
        published=newer.published or older.published,
        predictions=joined_decisions(older.predictions, newer.predictions, newer.results),
        rows=joined_rows(older.rows, newer.rows),
        budgets=_budgets(older, newer, listed),
        clusterings=[known[entry["name"]] for entry in study.get("clusterings", []) if entry["name"] in known],
        manifest=_manifest(older, newer),
        cells=asked_cells(parse(StudyConfig, study, "the joined record")),
    )


def refuse_to_lose(older: Record, newer: Record, folder: Path, *, but_scores: bool = False) -> None:
    """Raises an error if replacing a record would lose scores, or what stands behind them.

    Args:
        older: The record in the folder.
        newer: What would be written.
        folder: Where.
        but_scores: Look at scores only: the user wants decisions, curves and looks replaced.

    Raises:
        UserError: Where something would be lost.
    """
    missing = _gone(older.results, newer.results, CELL)
    if missing:
        raise UserError(
            f"The record in {folder} has {missing} scores that this one has not, and they would be lost: add them "
            "together with --add, or write elsewhere with --out."
        )
    lost = [] if but_scores else _lost_behind_scores(older, newer)
    if lost:
        raise UserError(
            f"The record in {folder} keeps what this one lacks, and it would be lost: {'; '.join(lost)}. Write "
            "elsewhere with --out, keep it with --add where that joins the two, or say --replace to lose it."
        )


def _lost_behind_scores(older: Record, newer: Record) -> list[str]:
    """What only the older record keeps, beside the scores themselves."""
    lost = []
    decisions = lost_decisions(older.predictions, newer.predictions)
    if decisions:
        named = ", ".join(dict.fromkeys(f"{method} on {task}" for method, task, *_ in decisions))
        lost.append(f"decisions (what a method said of each row) behind {len(decisions)} scores: {shortened(named)}")
    for name, cell in (("curves", CELL), ("efficiency", [*CELL, "shots"]), ("agreement", AGREEMENT)):
        count = _gone(getattr(older, name), getattr(newer, name), cell)
        if count:
            lost.append(f"{count} lines of {name}.parquet")
    lost += ["what was seen of methods beforehand (screenings)"] if older.screenings and not newer.screenings else []
    return lost + (["numbers of others (published.yaml)"] if older.published and not newer.published else [])


def _gone(older: pd.DataFrame, newer: pd.DataFrame, cell: list[str]) -> int:
    """How many lines of a table are about a cell that the newer one has not."""
    if older.empty or newer.empty:
        return len(older)
    return int((~_keys(older, cell).isin(_keys(newer, cell))).sum())


def _one_study(older: Record, newer: Record) -> dict[str, Any]:
    """The settings of both, with the clusterings, methods and baselines of either."""
    old, new = (with_new_names(dict(record.study))[0] for record in (older, newer))
    if _any_machine(old) == _any_machine(new):
        new = {key: value for key, value in new.items() if key != "model"}
        new |= {"model": old["model"]} if "model" in old else {}
    changed = sorted(key for key in (old.keys() | new.keys()) - set(GROWING) if old.get(key) != new.get(key))
    study: dict[str, Any] = new
    for key in GROWING:
        before, now = ({entry["name"]: entry for entry in _entries(side, key)} for side in (old, new))
        changed += [f"{key} ({name})" for name in before.keys() & now.keys() if before[name] != now[name]]
        if before or now:
            # Which test is primary goes by the order of the methods: that of whichever study names them all.
            order = {**now, **before} if before.keys() <= now.keys() else {**before, **now}
            study[key] = list(order.values())
    if changed:
        raise UserError(f"The record in the folder is of another study: {', '.join(changed)} differ. Write elsewhere.")
    return study


def _any_machine(study: Mapping[str, Any]) -> dict[str, Any]:
    """A study without device and number format, which the manifests record."""
    return {key: value for key, value in study.get("model", {}).items() if key not in ("device", "dtype", "device_map")}


def _entries(study: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    return [{"name": entry, "kind": entry} if isinstance(entry, str) else entry for entry in study.get(key, [])]


def _same_data(older: Record, newer: Record) -> None:
    before, now = (_number_formats(record) for record in (older, newer))
    if before and now and before != now:
        raise UserError(
            f"The record in the folder was computed in {' and '.join(before)}, these scores in {' and '.join(now)}; "
            "rounding is no part of a comparison. Set `dtype` of `model` in the study and run it again, or write "
            "elsewhere."
        )
    old, new = ({task["name"]: task["checksums"] for task in record.tasks} for record in (older, newer))
    other = [name for name in old.keys() & new.keys() if old[name] != new[name]]
    if other:
        raise UserError(
            f"The record in the folder has other few-shot rows of {', '.join(sorted(other))}: write elsewhere."
        )
    if older.texts.get("kept") != newer.texts.get("kept"):
        raise UserError("The record in the folder was made with other pre-training texts: write elsewhere.")
    sizes, sizes_now = ({c["name"]: c["sizes"] for c in record.clusterings} for record in (older, newer))
    other = [name for name in sizes.keys() & sizes_now.keys() if sizes[name] != sizes_now[name]]
    if other:
        raise UserError(
            f"The record in the folder has other clusters of {', '.join(sorted(other))} (another machine or version "
            "may cluster differently): write elsewhere."
        )


def _number_formats(record: Record) -> list[str]:
    manifests = [record.manifest, *record.manifest.get("others", [])]
    return sorted({str(manifest["dtype"]) for manifest in manifests if manifest.get("dtype")})


def _stacked(older: pd.DataFrame, newer: pd.DataFrame, cell: list[str]) -> pd.DataFrame:
    """The newer rows, and older rows of cells that the newer table lacks."""
    if older.empty or newer.empty:
        return newer if older.empty else older

    whole = pd.concat([older[~_keys(older, cell).isin(_keys(newer, cell))], newer], ignore_index=True)
    seeds = [column for column in ("init_seed", "data_seed") if column in whole]
    return whole.sort_values(seeds, kind="stable", ignore_index=True)


def _keys(frame: pd.DataFrame, cell: list[str]) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(frame[cell].astype({"init_seed": "Int64"}).fillna({"init_seed": -1}))


def _budgets(older: Record, newer: Record, order: list[str]) -> list[Budget]:
    before, now = ({budget["method"]: budget for budget in record.budgets} for record in (older, newer))
    both = {name: _budget(before.get(name), budget) for name, budget in now.items()}
    budgets = before | both
    return [budgets[name] for name in order if name in budgets]


def _budget(old: Budget | None, new: Budget) -> Budget:
    """Means weighted by their numbers of seeds; the newer record counts for seeds that both have."""
    if old is None:
        return new
    before: dict[str, Any] = {**old}
    now: dict[str, Any] = {**new}
    known = set(new["init_seeds"] or [])
    weights = [len([seed for seed in old["init_seeds"] or [] if seed not in known]), len(known) or 1]

    def mean(key: str) -> float:
        return float(sum(w * a[key] for w, a in zip(weights, (before, now), strict=True)) / sum(weights))

    means = (key for key in (*PER_PRETRAINING, *PER_SCORE) if None not in (before.get(key), now.get(key)))
    together: dict[str, Any] = {key: mean(key) for key in means}
    # A count in one record only covers a part of the scores.
    together |= {"forward_rows": together.get("forward_rows")}
    for key in ("init_seeds", "data_seeds"):
        together[key] = sorted({*(before[key] or []), *(now[key] or [])}) or None
    together["tasks"] = list(dict.fromkeys([*old["tasks"], *new["tasks"]]))
    peaks = [peak for budget in (old, new) if (peak := budget["peak_mib"]) is not None]
    return cast(Budget, {**now, **together, "peak_mib": max(peaks) if peaks else None})


def _manifest(older: Record, newer: Record) -> dict[str, Any]:
    """The newer manifest, with the other ones under `others`."""

    def alone(manifest: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in manifest.items() if key != "others"}

    manifests = [newer.manifest, older.manifest, *newer.manifest.get("others", []), *older.manifest.get("others", [])]
    different = {json.dumps(alone(manifest), sort_keys=True): alone(manifest) for manifest in manifests if manifest}
    first, *others = different.values() if different else [{}]
    return {**first, **({"others": others} if others else {})}
