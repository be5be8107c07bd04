"""Beside an answer over seeds: how far it hangs on the test rows, where decisions are kept."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from metapt_explore.dashboard.parts import messages
from metapt_explore.dashboard.parts.study_scores import StudyScores
from metapt_explore.errors import UserError
from metapt_explore.reporting.notes import grounds_of
from metapt_explore.results.predictions import predictions_of
from metapt_explore.statistics import Comparison, compare
from metapt_explore.statistics.two_level import COVERS, TwoLevel, two_level

#: Differences further apart are not of the same scores: of some no decision is kept.
EQUAL = 1e-6


def show_over_rows(scores: StudyScores, comparison: Comparison) -> None:
    """The difference with its intervals over seeds, rows and both; nothing where decisions are not kept.

    Args:
        scores: The study's.
        comparison: Of two of its methods. Decisions tell of accuracy only: where it is by another score, the caption
            says so and gives accuracy's.
    """
    tasks, pair = comparison.tasks, (comparison.method, comparison.baseline)
    of = "With test rows"
    if comparison.metric != "accuracy":
        results = scores.results[scores.results["task"].isin(tasks)]
        comparison = compare(results, *pair, grounds=grounds_of(scores.record))
        of = "With test rows, by accuracy (decisions tell of no other score)"
    found = _found(scores.stamp, tasks, pair, _scores=scores)
    if isinstance(found, str):
        st.caption(messages.sentence(f"No interval over test rows: {found}"))
    elif found is not None and abs(found.difference - comparison.difference) < EQUAL:
        st.caption(messages.sentence(f"{of}: {found.sentence} {COVERS}"))


@st.cache_resource(max_entries=64, show_spinner="Drawing seeds and rows …")
def _found(stamp: str, tasks: tuple[str, ...], pair: tuple[str, str], *, _scores: StudyScores) -> TwoLevel | str | None:
    """What `two_level` finds; a sentence where the decisions are too many; None where there is nothing to say."""
    workspace, record = _scores.workspace, _scores.record
    if workspace is None:
        kept = record.predictions
        tables = [] if kept.empty else [kept[kept["task"].isin(tasks)].astype({"task": object})]
    else:
        tables = [predictions_of(workspace, _scores.name, task, methods=list(pair)) for task in tasks]
    tables = [table for table in tables if len(table)]
    if not tables:
        return None
    whole = pd.concat(tables, ignore_index=True)
    first, second = (whole[whole["method"] == name] for name in pair)
    try:
        return two_level(first, second, grounds=grounds_of(record)) if len(first) and len(second) else None
    except ValueError:  # rows of their own, or no pair of seeds with every task
        return None
    except UserError as error:
        return str(error)
