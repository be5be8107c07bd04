"""Few-shot: which method scores highest and in what doubt, then tasks, curves, seeds, costs and every score."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from metapt_explore.config import NOT_ON_TEST, StudyConfig
from metapt_explore.dashboard.parts import drawing, messages, shared, study_scores
from metapt_explore.dashboard.parts.fewshot_tabs import score_tabs, show_leader
from metapt_explore.dashboard.parts.study_scores import StudyScores
from metapt_explore.dashboard.parts.tabs import show_tabs
from metapt_explore.dashboard.parts.template_ranking import show_ranking
from metapt_explore.errors import UserError
from metapt_explore.reporting.notes import choice_sentence
from metapt_explore.results.tables import fewshot_entries, split_warnings
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.overview import asked_of, asked_scores, finished_of, finished_scores


def _page(workspace: Workspace, name: str) -> None:
    rankings = [
        artifact
        for entry in shared.entries(workspace, name, "template_ranking")
        if shared.finished(artifact := workspace.artifact(entry["id"]))
    ]
    scores = _checked(workspace, name)
    if scores is not None:
        _scores(workspace, scores, rankings)
        return
    _rankings(rankings)


def _checked(workspace: Workspace, name: str) -> StudyScores | None:
    """The study's scores; None where a table is damaged or nothing is there yet, which it says."""
    config = shared.study_config(workspace, name)
    listed = shared.entries(workspace, name, "fewshot")
    # Scores on other data or from other prompts are left out until recomputed.
    current = {entry["id"] for entry in fewshot_entries(workspace, name)}
    entries = [entry for entry in listed if entry["id"] in current]
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
        return None
    scored, asked = finished_scores(workspace, config), asked_scores(config)
    if not finished and not scored:
        shared.ready(workspace, name, None, what="the first few-shot evaluation")
        return None
    if scored < asked:
        st.info(f"{scored} of {asked} scores are finished; the rest follows as it is computed.")
        _grid(workspace, name, config)
    return study_scores.of_study(workspace, name)


def _scores(workspace: Workspace, scores: StudyScores, rankings: list[Artifact]) -> None:
    config = shared.study_config(workspace, scores.name)
    scores = _leader(scores)
    if config.evaluation.scored_on != "test":
        st.info(NOT_ON_TEST)
    for sentence in config.reading_sentences:
        st.info(messages.sentence(sentence))
    warnings = split_warnings(workspace, scores.name)
    tabs = score_tabs(scores, choice_sentence(config.model_dump(mode="json")))
    if warnings:
        tabs[f"Warnings ({len(warnings)})"] = lambda: _warnings(warnings)
    if rankings:
        tabs["Templates"] = lambda: _rankings(rankings)
    show_tabs("scores", tabs)


def _rankings(rankings: list[Artifact]) -> None:
    for artifact in rankings:
        show_ranking(artifact)


def _warnings(warnings: list[str]) -> None:
    st.caption("What is odd about the few-shot rows.")
    for warning in warnings:
        st.markdown(messages.sentence(warning))


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
            drawing.show_table(pd.DataFrame(rows), key="grid", hide_index=True, column_config=bars)

    active = shared.job_state(workspace, name)["active"]
    st.fragment(body, run_every=shared.POLL if active else None, key="grid_box")()


def _leader(scores: StudyScores) -> StudyScores:
    """The answer, above the choice of the score that it is of."""
    answer = st.container()
    scores = study_scores.choose_metric(scores)
    with answer:
        show_leader(scores)
    return scores


def _record(scores: StudyScores) -> None:
    scores = _leader(scores)
    if scores.rows != "test":
        st.info(NOT_ON_TEST)
    show_tabs("scores", score_tabs(scores, choice_sentence(scores.record.study)))


shared.show_page("Few-shot", _page, record=_record)
