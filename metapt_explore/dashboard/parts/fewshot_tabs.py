"""Scores of a study's methods, of a workspace or published: who leads, and the tabs behind it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pandas as pd
import streamlit as st

from metapt_explore.dashboard.parts import drawing, efficiency, many_methods, messages
from metapt_explore.dashboard.parts.begins import show_begins
from metapt_explore.dashboard.parts.readers import show_readers
from metapt_explore.dashboard.parts.study_scores import StudyScores
from metapt_explore.escaping import csv_text, file_name
from metapt_explore.plots.matrix import method_means
from metapt_explore.reporting.leader import leader_sentence
from metapt_explore.results.begins import begins_table
from metapt_explore.results.readers import readers_table
from metapt_explore.results.tables import caution, summary_table
from metapt_explore.statistics.matrix import MEAN

PERCENT = ("start", "mean", "std", "worst", "macro_f1")


def show_leader(scores: StudyScores) -> None:
    """One sentence, one figure, the doubt."""
    st.markdown(messages.sentence(leader_sentence(scores.matrix, scores.rows)))
    tasks = scores.results["task"].nunique()
    drawing.draw(
        method_means(
            scores.matrix,
            scores.methods,
            scores.rows,
            task=MEAN if tasks > 1 else scores.results["task"].iloc[0],
            metric=scores.metric,
        ),
        "means",
        f"Mean {scores.metric_name} over tasks and pairs of seeds, with its 95 % interval. Intervals that overlap say "
        "little about two methods that had the same seeds: *Compare* tests them pair by pair.",
    )
    st.warning(caution(scores.results))


def score_tabs(scores: StudyScores, choice: str) -> dict[str, Callable[[], None]]:
    """What stands behind the answer, by the names of the tabs.

    Args:
        scores: The study's scores.
        choice: How learning rate and step were found, in a sentence.
    """
    results = scores.results
    of_question = scores.answered.primary
    highlighted = [] if of_question is None else [of_question.method, of_question.baseline]
    tabs: dict[str, Callable[[], None]] = {
        "Methods and tasks": lambda: many_methods.show_matrix(scores),
        "Start and worst": lambda: _summary(scores, choice),
        "Curves": lambda: many_methods.show_curves(scores, highlighted),
        "Seeds": lambda: many_methods.show_spread(scores),
        "Cost": lambda: many_methods.show_cost(scores),
    }
    if scores.record.study["evaluation"].get("more_shots"):
        tabs["Examples"] = lambda: efficiency.show(scores)
    if not begins_table(results).empty:
        tabs["Where tuning began"] = lambda: show_begins(results)
    if not readers_table(results).empty:
        tabs["Readers together"] = lambda: show_readers(scores)
    if "words" in results:
        tabs["Label words"] = lambda: _chosen_words(results)
    tabs["All scores"] = lambda: _all(scores)
    return tabs


def _summary(scores: StudyScores, choice: str) -> None:
    summary = summary_table(scores.results)
    for column in PERCENT:
        summary[column] = (100 * summary[column]).round(1)
    formats = {column: st.column_config.NumberColumn(f"{column} (%)", format="%.1f") for column in PERCENT}
    drawing.show_table(summary, key="summary", hide_index=True, column_config=formats)
    st.caption(
        f"Accuracy on {scores.rows}, and mean macro F1. Start: before tuning. Mean, std (sample standard "
        "deviation, in points) and worst are over all pairs of a data seed and an initialisation seed. "
        f"{messages.sentence(choice)} Nothing is chosen on test."
    )


def _chosen_words(results: pd.DataFrame) -> None:
    """Label words that each data seed chose on its few-shot rows."""
    st.header("Chosen label words")
    rows = []
    read = results.dropna(subset=["words"]).drop_duplicates(["task", "data_seed", "words"])
    for row in read.to_dict(orient="records"):
        words_of_label = {label: ", ".join(words) for label, words in json.loads(row["words"]).items()}
        rows.append({"task": row["task"], "data seed": row["data_seed"], **words_of_label})
    drawing.show_table(pd.DataFrame(rows), key="chosen_words", hide_index=True)


def _all(scores: StudyScores) -> None:
    st.header("All scores")
    drawing.show_table(scores.results, key="results", hide_index=True)
    st.download_button(
        "Download as CSV",
        data=csv_text(scores.results).encode(),
        file_name=file_name(f"{scores.name}-results.csv"),
        mime="text/csv",
        key="download",
        on_click="ignore",
    )
