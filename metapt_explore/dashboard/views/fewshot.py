"""Few-shot: scores of every method, what the start was worth, and how far seeds lie apart."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import streamlit as st

from metapt_explore import plots
from metapt_explore.config import NOT_ON_TEST, StudyConfig
from metapt_explore.dashboard.parts import drawing, efficiency, messages, shared
from metapt_explore.dashboard.parts.begins import show_begins
from metapt_explore.errors import UserError
from metapt_explore.escaping import csv_text, file_name
from metapt_explore.reporting.notes import choice_sentence
from metapt_explore.results.tables import (
    caution,
    curves_table,
    fewshot_entries,
    results_table,
    split_warnings,
    summary_table,
)
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.overview import asked_of, asked_scores, finished_of, finished_scores

PERCENT = ("start", "mean", "std", "worst")


def _page(workspace: Workspace, name: str) -> None:
    _scores(workspace, name)
    for entry in shared.entries(workspace, name, "template_ranking"):
        artifact = workspace.artifact(entry["id"])
        if shared.finished(artifact):
            with messages.guard(artifact.folder):
                _probe(artifact)


def _scores(workspace: Workspace, name: str) -> None:
    config = shared.study_config(workspace, name)
    listed = shared.entries(workspace, name, "fewshot")
    # Scores on other data or from other prompts are left out until recomputed.
    current = {entry["id"] for entry in fewshot_entries(workspace, name)}
    entries = [entry for entry in listed if entry["id"] in current]
    scored, asked = finished_scores(workspace, config), asked_scores(config)
    artifacts = [workspace.artifact(entry["id"]) for entry in entries]
    finished = [artifact for artifact in artifacts if artifact.status == "done"]
    for artifact, entry in zip(artifacts, entries, strict=True):
        if artifact.status in ("damaged", "failed", "missing"):
            shared.ready(workspace, name, entry, what=entry.get("title") or "a few-shot evaluation")
    # Check each table first, to name a damaged one.
    read = 0
    for artifact in finished:
        with messages.guard(artifact.folder):
            stage = artifact.stage
            _ = stage["seconds"], stage["parents"]["prompt"]
            for part in ("results", "curves"):
                if drawing.table(artifact, part).empty:
                    raise UserError(f"{artifact.folder} is damaged: {part}.parquet has no rows.")
            read += 1
    if read < len(finished):
        return
    if not finished and not scored:
        shared.ready(workspace, name, None, what="the first few-shot evaluation")
        return
    if scored < asked:
        st.info(f"{scored} of {asked} scores are finished; the rest follows as it is computed.")
        _grid(workspace, name, config)
    methods = [*(method.name for method in config.methods), *(baseline.name for baseline in config.baselines)]
    with messages.guard():
        results = results_table(workspace, name)
        _summary(results, config.evaluation.scored_rows, choice_sentence(config.model_dump(mode="json")))
        if config.evaluation.scored_on != "test":
            st.info(NOT_ON_TEST)
        for sentence in config.reading_sentences:
            st.info(messages.plain(sentence))
        warnings = split_warnings(workspace, name)
        if warnings:
            with st.expander(f"Warnings about the few-shot rows ({len(warnings)})", key="split_warnings"):
                for warning in warnings:
                    st.text(warning)
        if finished:
            _tuning_curves(workspace, name, config, methods=methods)
        st.header("Variance across seeds")
        drawing.draw(
            plots.seed_spread(*_spread(results, config, methods), config.evaluation.scored_rows),
            "seed_spread",
            "A point is one pair of a data seed and an initialisation seed; the bar is the mean. Thin lines join the "
            "same pair: where nearly all rise, the difference is steady; where they cross, seeds matter more than the "
            "method. A tall column is a large variance.",
        )
        if config.evaluation.more_shots:
            efficiency.show(workspace, name, config, methods)
        st.header("Cost against accuracy")
        drawing.draw(
            plots.cost_against_accuracy(results, methods),
            "cost",
            "Right: more seconds per score, with its share of pre-training, as measured. Up: better. The bar is one "
            "standard deviation over seeds. Methods above and to the left are better and cheaper.",
        )
        show_begins(results)
        if "words" in results:
            _chosen_words(results)
        _all(results, name)


def _tuning_curves(workspace: Workspace, name: str, config: StudyConfig, *, methods: list[str]) -> None:
    probed = [method.name for method in config.methods if config.reading_of(method).has_probe]
    st.header("Tuning curves")
    drawing.draw(
        plots.tuning_curves(curves_table(workspace, name), methods, config.evaluation.scored_rows),
        "tuning_curves",
        "Mean accuracy after so many tuning steps, at the chosen learning rate; the band spans the worst to "
        "the best seed. Left end: the init, before any tuning. A line that begins higher has a better init; where "
        "lines meet on the right, tuning makes up for it."
        + (f" Over {some} rows per task." if (some := config.evaluation.curve_rows) else "")
        + (" A rate that is dropped keeps its last score." if config.evaluation.halving_steps else ""),
    )
    if probed:
        st.caption(
            messages.plain(f"Not drawn, because a probe ensemble reads the last step only: {', '.join(probed)}.")
        )


def _spread(results: pd.DataFrame, config: StudyConfig, every: list[str]) -> tuple[pd.DataFrame, list[str]]:
    """Scores and rows of the spread figure; without baselines, which would stretch the axis, unless asked for."""
    names = [method.name for method in config.methods]
    of_methods = results[results["method"].isin(names)]
    if (
        of_methods.empty
        or len(of_methods) == len(results)
        or st.toggle("With the baselines", key="spread_of_baselines")
    ):
        return results, every
    return of_methods, names


def _grid(workspace: Workspace, name: str, config: StudyConfig) -> None:
    """Share of finished scores by method and task, baselines last."""
    asked = asked_of(config)

    def body() -> None:
        with messages.guard():
            done = finished_of(workspace, name)
            drawn = [str(entry["task"]) for entry in shared.entries(workspace, name, "split")]
            tasks = list(dict.fromkeys([*drawn, *(task for _, task in done)]))
            rows = [
                {"method": title, **{task: done[title, task] / count for task in tasks}}
                for title, count in asked.items()
            ]
            bars = {
                task: st.column_config.ProgressColumn(task, format="percent", min_value=0, max_value=1)
                for task in tasks
            }
            st.dataframe(pd.DataFrame(rows), key="grid", hide_index=True, column_config=bars)

    active = shared.job_state(workspace, name)["active"]
    st.fragment(body, run_every=shared.POLL if active else None, key="grid_box")()


def _summary(results: pd.DataFrame, rows: str, choice: str) -> None:
    st.header(f"Accuracy on {rows}")
    summary = summary_table(results)
    for column in PERCENT:
        summary[column] = (100 * summary[column]).round(1)
    formats = {column: st.column_config.NumberColumn(f"{column} (%)", format="%.1f") for column in PERCENT}
    st.dataframe(summary, key="summary", hide_index=True, column_config=formats)
    st.caption(
        "Start: before tuning. Mean, std (sample standard deviation, in points) and worst are over all pairs of a "
        f"data seed and an initialisation seed. {choice} Nothing is chosen on test."
    )
    st.warning(caution(results))


def _probe(artifact: Artifact) -> None:
    summary = artifact.summary
    ranking, task = summary["ranking"], summary["task"]
    figure, table = plots.probe_dots(ranking), pd.DataFrame([_probed(record) for record in ranking])
    st.header(f"Template ranking of {messages.plain(task)}")
    drawing.draw(
        figure,
        f"probe_{task}",
        "The frozen model on the few-shot training rows, without a prompt (`metapt rank-templates`): the dot is the "
        "mean over data seeds, the line spans the worst to the best. Best first, by calibrated loss; accuracy on so "
        "few rows is mostly ties and luck.",
    )
    st.dataframe(table, key=f"probe_table_{task}", hide_index=True)


def _probed(record: dict[str, Any]) -> dict[str, Any]:
    def percent(key: str) -> float | None:
        return None if record.get(key) is None else round(100 * record[key], 1)

    return {
        "rank": record["rank"],
        "template": record["template"],
        "label words": " / ".join(", ".join(words) for words in record["words"].values()),
        "loss, calibrated": None if record["reason"] else round(record["calibrated_loss"], 3),
        "level with the best": record.get("level"),
        "accuracy, calibrated (%)": percent("calibrated_accuracy"),
        "accuracy (%)": percent("accuracy"),
        "commonest prediction (%)": percent("commonest"),
        "not readable because": record["reason"] or "",
    }


def _chosen_words(results: pd.DataFrame) -> None:
    """Label words that each data seed chose on its few-shot rows."""
    st.header("Chosen label words")
    rows = []
    read = results.dropna(subset=["words"]).drop_duplicates(["task", "data_seed", "words"])
    for row in read.to_dict(orient="records"):
        words_of_label = {label: ", ".join(words) for label, words in json.loads(row["words"]).items()}
        rows.append({"task": row["task"], "data seed": row["data_seed"], **words_of_label})
    st.dataframe(pd.DataFrame(rows), key="chosen_words", hide_index=True)


def _all(results: pd.DataFrame, name: str) -> None:
    st.header("All scores")
    st.dataframe(results, key="results", hide_index=True)
    st.download_button(
        "Download as CSV",
        data=csv_text(results).encode(),
        file_name=file_name(f"{name}-results.csv"),
        mime="text/csv",
        key="download",
        on_click="ignore",
    )


shared.show_page("Few-shot", _page)
