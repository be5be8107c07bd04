"""Template and label words of a study's tasks: ranked on train rows, and edited where the task is the user's own."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from metapt_explore.config import StudyConfig, TaskConfig, load_study_task
from metapt_explore.dashboard.parts import drawing, messages, shared
from metapt_explore.errors import UserError
from metapt_explore.jobs import queue
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.own_words import is_own, with_reading

RANKING = "template_ranking"
#: Candidates that the table shows.
SHOWN = 12
NOW = "as it is now"


def section(workspace: Workspace, name: str, config: StudyConfig) -> None:
    """Each task's template and words, a button that ranks others, and their ranking.

    Args:
        workspace: The workspace.
        name: The study.
        config: Its settings.
    """
    with st.expander("Label words and templates", key="label_words"):
        st.caption(
            "A bad template or word costs more than any method gains. The ranking reads the train rows with each "
            "candidate, without a prompt: minutes, and no test row is touched. Change words before you pre-train."
        )
        active = shared.job_state(workspace, name)["active"]
        if st.button("Rank templates and words", key="ask_ranking", disabled=active):
            with messages.guard():
                shared.ask(workspace, config, RANKING)
                st.rerun()
        for source in config.evaluation.tasks:
            try:
                task = load_study_task(config.evaluation, source)
            except UserError as error:  # a run says so, too
                st.caption(messages.sentence(str(error)))
                continue
            with messages.guard():
                _task(workspace, config, source, task)


def _task(workspace: Workspace, config: StudyConfig, source: str, task: TaskConfig) -> None:
    st.markdown(f"**{messages.plain(task.name)}**")
    ranking = _ranking(workspace, config.name, task)
    if ranking:
        drawing.show_table(_table(ranking[:SHOWN]), key=f"ranked_{task.name}", hide_index=True)
    if not is_own(workspace, source):
        st.code(_written(task.template, {each: label.words for each, label in task.labels.items()}), language=None)
        return
    readable = [record for record in ranking if record["reason"] is None]
    chosen: Any = NOW
    if readable:
        chosen = st.selectbox(
            "Begin with",
            [NOW, *(record["rank"] for record in readable)],
            format_func=lambda rank: rank if rank == NOW else f"number {rank} of the ranking",
            key=f"reading_{task.name}",
        )
    record: dict[str, Any] = next((each for each in readable if each["rank"] == chosen), {})
    template = str(record.get("template", task.template))
    own = {each: label.words for each, label in task.labels.items()}
    written, words = _edited(source, template, record.get("words") or own)
    if (written, words) != (task.template, own) and st.button("Use them", key=f"use_{task.name}"):
        with queue.queue_lock(workspace):
            if shared.job_state(workspace, config.name)["active"]:
                raise UserError("A job of this study runs or waits: cancel it, or change the words when it has ended.")
            workspace.save_study(with_reading(config, source, written, words))
        st.toast("The study's own texts are read so from now on.")
        st.rerun()


def _edited(source: str, template: str, words: dict[str, list[str]]) -> tuple[str, dict[str, list[str]]]:
    """Template and words as the user writes them, beginning with some."""
    key = f"{source}_{template}_{words}"  # another beginning, other fields
    written = st.text_area("How a text is read (the label word comes next)", template, key=f"template_{key}")
    frame = pd.DataFrame([{"class": each, "words": ", ".join(of)} for each, of in words.items()])
    edited = st.data_editor(frame, key=f"words_{key}", hide_index=True, disabled=["class"])
    rows = edited.to_dict(orient="records")
    return written, {str(row["class"]): _split("" if pd.isna(row["words"]) else str(row["words"])) for row in rows}


def _split(words: str) -> list[str]:
    return [word.strip() for word in words.split(",") if word.strip()]


def _ranking(workspace: Workspace, name: str, task: TaskConfig) -> list[dict[str, Any]]:
    """The ranking of a task, best first; empty where there is none."""
    for entry in reversed(shared.entries(workspace, name, RANKING, task=task.name)):
        artifact = workspace.artifact(entry["id"])
        if shared.finished(artifact):
            records: list[dict[str, Any]] = artifact.summary["ranking"]
            return records
    return []


def _table(records: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "rank": record["rank"],
                "template": record["template"].replace("\n", "\\n"),
                "label words": _words(record["words"]),
                "loss": None if record["reason"] else round(record["calibrated_loss"], 3),
                "accuracy (%)": None if record["reason"] else round(100 * record["calibrated_accuracy"], 1),
                "": record["reason"] or ("level with the best" if record["level"] and record["rank"] > 1 else ""),
            }
            for record in records
        ]
    )


def _words(words: dict[str, list[str]]) -> str:
    return " / ".join(", ".join(of) or "(description)" for of in words.values())


def _written(template: str, words: dict[str, list[str]]) -> str:
    return f"{template}   {_words(words)}"
