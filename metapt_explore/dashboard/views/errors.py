"""Errors: where one method is right and another wrong, text by text; confusion, calibration, slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from metapt_explore.config import StudyConfig
from metapt_explore.dashboard.parts import shared, study_choice
from metapt_explore.dashboard.parts.error_tabs import ChosenPair, show_pair
from metapt_explore.dashboard.parts.study_scores import StudyScores, of_study
from metapt_explore.reporting.notes import grounds_of
from metapt_explore.results.decisions import TaskDecisions, decisions_in, decisions_of, recorded_tasks
from metapt_explore.results.row_facts import SIMILARITY
from metapt_explore.results.tables import ordered_index
from metapt_explore.stages.base import listed_at
from metapt_explore.storage.workspace import Workspace

#: Seconds after which texts of a record's rows are looked for again among the studies of the workspace.
LOOK_AGAIN = 60
EARLIER = "Scores keep their decisions when they are made; those of earlier versions have none."


def _page(workspace: Workspace, name: str) -> None:
    config = shared.study_config(workspace, name)
    index = ordered_index(workspace, name)
    scored = {e["task"] for e in index if e["kind"] in ("fewshot", "baseline")}
    tasks = [
        task for task in dict.fromkeys(e["task"] for e in shared.entries(workspace, name, "split")) if task in scored
    ]
    if not tasks:
        shared.ready(workspace, name, None, what="the first score")
        return
    boxes = st.columns(4)
    task = study_choice.choose(boxes[0], "Task", tasks, key="errors_task")
    if task is None:
        return
    counts = [config.evaluation.shots, *config.evaluation.more_shots]
    shown = boxes[3].selectbox("Examples a class", counts, key="errors_shots") if len(counts) > 1 else counts[0]
    shots = None if shown == config.evaluation.shots else shown
    stamp = _stamp(workspace, name)
    decisions = _decisions(str(workspace.folder), name, task, shots, stamp)
    if not decisions.methods:
        st.info(f"No decision is kept for this task yet. {EARLIER}")
        return
    chosen = _methods(boxes[1:3], decisions, _proposed(decisions, {m.name: m.kind for m in config.methods}))
    if chosen is None:
        return
    scores = of_study(workspace, name)
    show_pair(
        ChosenPair(
            decisions,
            *chosen,
            grounds={} if scores is None else grounds_of(scores.record),
            everywhere=lambda: [_decisions(str(workspace.folder), name, each, shots, stamp) for each in tasks],
            stamp=f"{workspace.folder} {name} {shots} {stamp}",
            ask_slices=lambda: _ask_slices(workspace, config, decisions),
        )
    )


def _stamp(workspace: Workspace, name: str) -> str:
    """A value that changes when a score, a task's rows or their slices are made."""
    kinds = {listed_at(kind, shots) for kind in ("fewshot", "baseline", "split") for shots in (None, 1)} | {"slices"}
    entries = [e["id"] for e in workspace.index(name) if e["kind"] in kinds]
    return str(hash(tuple((entry, workspace.artifact(entry).status) for entry in entries)))


@st.cache_resource(max_entries=64, show_spinner="Reading decisions …")
def _decisions(folder: str, name: str, task: str, shots: int | None, stamp: str) -> TaskDecisions:
    workspace = Workspace(folder)
    return decisions_in(workspace, workspace.study_config(name), task, shots)


def _methods(boxes: Sequence[Any], decisions: TaskDecisions, proposed: tuple[str, str]) -> tuple[str, str] | None:
    """Asks for two methods; None where the address names one that is not there."""
    methods = decisions.methods
    chosen = [
        study_choice.choose(box, label, methods, key=key, first=methods.index(name))
        for box, label, key, name in zip(
            boxes, ("Method", "Against"), ("errors_method", "errors_against"), proposed, strict=True
        )
    ]
    return None if None in chosen else (str(chosen[0]), str(chosen[1]))


def _proposed(decisions: TaskDecisions, kinds: Mapping[str, str]) -> tuple[str, str]:
    """The first meta-learned method against the first pooled one, where both are there."""
    methods = decisions.methods
    by_kind = {kind: [name for name in methods if kinds.get(name) == kind] for kind in ("metapt", "ppt")}
    first = (by_kind["metapt"] or methods)[0]
    second = next((name for name in [*by_kind["ppt"], *methods] if name != first), first)
    return first, second


def _ask_slices(workspace: Workspace, config: StudyConfig, decisions: TaskDecisions) -> None:
    """Offers to look for nearest clusters and texts where that was not done yet: it takes the sentence encoder."""
    if not config.clusterings or SIMILARITY in decisions.rows:
        return
    left, right = st.columns([3, 1], vertical_alignment="center")
    left.caption(
        "Rows can also be cut by their nearest cluster, and by how much they are like the nearest pre-training text: "
        "the study's sentence encoder embeds them once, and pre-training texts too where clusters are made from other "
        "vectors."
    )
    active = shared.job_state(workspace, config.name)["active"]
    if right.button("Find nearest clusters", key="ask_slices", disabled=active, width="stretch"):
        shared.ask(workspace, config, "slices")
        st.rerun()


def _record_page(scores: StudyScores) -> None:
    record, workspace = scores.record, shared.open_workspace()
    tasks = recorded_tasks(record)
    if not tasks:
        st.info(f"This record keeps no decisions. {EARLIER}")
        return
    boxes = st.columns(3)
    task = study_choice.choose(boxes[0], "Task", tasks, key="errors_task")
    if task is None:
        return
    studies = ", ".join(sorted(workspace.study_names()))
    decisions = _of_record(str(workspace.folder), task, scores.stamp, studies, _scores=scores)
    kinds = {method["name"]: str(method.get("kind")) for method in record.study.get("methods", [])}
    chosen = _methods(boxes[1:], decisions, _proposed(decisions, kinds))
    if chosen is not None:
        show_pair(
            ChosenPair(
                decisions,
                *chosen,
                grounds=grounds_of(record),
                everywhere=lambda: [decisions_of(record, each) for each in tasks],
                stamp=scores.stamp,
            )
        )


@st.cache_resource(max_entries=32, ttl=LOOK_AGAIN, show_spinner="Reading decisions …")
def _of_record(folder: str, task: str, stamp: str, studies: str, *, _scores: StudyScores) -> TaskDecisions:
    return decisions_of(_scores.record, task, Workspace(folder))


shared.show_page("Errors", _page, record=_record_page)
