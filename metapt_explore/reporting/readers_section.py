"""Readers together: what ensembles took and how often, and whether they beat the best of what they combine."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pandas as pd

from metapt_explore.errors import UserError
from metapt_explore.reporting.document import Document, Heading, Paragraph, Table
from metapt_explore.reporting.notes import grounds_of, metric_of
from metapt_explore.reporting.over_seeds import over_seeds
from metapt_explore.results.readers import readers_table
from metapt_explore.results.record import Record
from metapt_explore.statistics.compare import compare

#: What each kind does, and how its table is read.
CAPTIONS = {
    "choose": "{name} takes one of its readers for each pair of seeds, by dev rows: share of the scores of a task in "
    "which it took each.",
    "average": "{name} is the mean of what its readers say, each divided by a temperature that dev chose: share of all "
    "weights, mean over scores.",
    "stack": "{name} weighs what its readers say by dev rows, pulled towards equal weights: share of all weights, mean "
    "over scores.",
}


def add_readers(document: Document, record: Record) -> None:
    """A table for each ensemble, and how it compares with the best of its readers; nothing without ensembles."""
    table = readers_table(record.results)
    ensembles = [entry for entry in record.study.get("baselines", []) if isinstance(entry, dict) and "of" in entry]
    ensembles = [entry for entry in ensembles if entry["name"] in set(table["method"])]
    if not ensembles:
        return
    document.add(Heading("Readers together"))
    for entry in ensembles:
        if decides(entry):
            document.add(Table(taken_table(table, entry), caption(entry)))
        else:
            document.add(Paragraph(caption(entry)))
        document.add(*(Paragraph(sentence) for sentence in _sentences(record, table, entry)))


def caption(entry: Mapping[str, Any]) -> str:
    """How the table of an ensemble is read.

    Args:
        entry: Its settings, as the study's file has them.
    """
    if not decides(entry):
        return f"{entry['name']} is the mean of what {', '.join(entry['of'])} say, which count alike."
    return CAPTIONS[entry["kind"]].format(name=entry["name"])


def decides(entry: Mapping[str, Any]) -> bool:
    """Whether dev rows have a say in an ensemble.

    Args:
        entry: Its settings, as the study's file has them.
    """
    return entry["kind"] != "average" or bool(entry.get("calibrated"))


def taken_table(table: pd.DataFrame, entry: Mapping[str, Any]) -> pd.DataFrame:
    """A row for each task, a column for each reader, in percent.

    Args:
        table: What `readers_table` returned.
        entry: The ensemble's settings.
    """
    own = table[table["method"] == entry["name"]]
    shares = own.pivot_table(
        index="task", columns="reader", values="taken" if entry["kind"] == "choose" else "weight", sort=False
    )
    shares.loc["all tasks"] = shares.mean()
    return (100 * shares[list(entry["of"])]).map("{:.0f} %".format).rename_axis(columns=None).reset_index()


def undecided_sentence(table: pd.DataFrame, entry: Mapping[str, Any]) -> str:
    """In how many scores dev rows decided nothing; empty where they always did, or never do.

    Args:
        table: What `readers_table` returned.
        entry: The ensemble's settings.
    """
    own = table[table["method"] == entry["name"]].drop_duplicates("task")
    open_scores, scores = int(own["undecided"].sum()), int(own["scores"].sum())
    if not open_scores or not decides(entry):
        return ""
    tasks = ", ".join(own.loc[own["undecided"] > 0, "task"])
    does = "its first reader is taken" if entry["kind"] == "choose" else "all count alike"
    return (
        f"Dev rows decide nothing in {open_scores} of {scores} scores ({tasks}): too few of them are no training rows, "
        f"and {does}."
    )


def _sentences(record: Record, table: pd.DataFrame, entry: Mapping[str, Any]) -> list[str]:
    sentences = [undecided_sentence(table, entry)]
    results = over_seeds(record.results, record.study).results
    metric = metric_of(record)
    scored = results[results["method"].isin(entry["of"])].dropna(subset=[metric])
    means = scored.groupby("method", sort=False)[metric].mean()
    if len(means):
        best = str(means.idxmax())
        margin = float(record.study["evaluation"].get("margin", 0.02))
        with suppress(UserError):  # no pair of seeds may have all tasks yet
            found = compare(results, entry["name"], best, metric=metric, margin=margin, grounds=grounds_of(record))
            sentences.append(
                f"Against {best}, of its readers the best by these very scores, which nobody knows beforehand: "
                f"{found.sentence}"
            )
    return [sentence for sentence in sentences if sentence]
