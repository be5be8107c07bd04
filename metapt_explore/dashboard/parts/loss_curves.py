"""Curves of one pre-training: its losses, task by task, and how far it is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from math import log

import pandas as pd
import streamlit as st

from metapt_explore import plots
from metapt_explore.config import MetaPTMethod, MethodConfig, PretrainingConfig, StudyConfig
from metapt_explore.dashboard.parts import drawing, messages, shared, task_names
from metapt_explore.dashboard.parts.format_view import mean_of_formats
from metapt_explore.errors import UserError
from metapt_explore.plots.losses import FIRST_PANELS, last_losses
from metapt_explore.pretraining.budget import outer_steps
from metapt_explore.progress.state import format_time
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.checkpoint import checkpoint_meta
from metapt_explore.storage.studies import IndexEntry
from metapt_explore.storage.workspace import Workspace

PANELS = (
    "One panel per auxiliary task, highest last query loss first; an outer step draws only some tasks, and a point is "
    "the mean of its draws of one. "
)
PANELS_OF_FORMATS = "One panel per format: the mean over the tasks that an outer step draws of it. "
CAPTION_META = (
    "Dotted: loss on support rows before the inner steps. Dashed: the same after them; the gap is what they gain. "
    "Solid: loss on query rows after the inner steps, which meta-learning lowers: where it falls, the init gets "
    "better. With many points, lines are running means of seven. "
)
CAPTION_OWN = (
    "One panel per auxiliary task, highest last loss first: the loss of the rows that an outer step draws from the "
    "task, at the task's own prompt. With many points, lines are running means of seven. "
)
CAPTION_POOLED = (
    "Loss on the label-balanced batch that each outer step draws from all texts. Where it falls, the "
    "prompt learns the pooled task; batches differ, so points jump. "
)

#: What the budget of row passes means for an outer step that costs more.
BUDGETS = {
    "rows": "every pre-training method gets the same number, so a method whose outer steps cost more takes fewer.",
    "updates": "every pre-training method takes equally many outer steps, so one whose steps cost more gets more.",
}


def show(
    workspace: Workspace, name: str, config: StudyConfig, *, method: MethodConfig, entry: IndexEntry | None
) -> None:
    """Draws the losses of one pre-training, and how far it is.

    Args:
        workspace: The workspace.
        name: The study.
        config: Its settings, at the number of examples that is shown.
        method: The method.
        entry: Its prompt in the study's list; None where it has none yet.
    """
    what = f"the pre-training of {method.name}"
    artifact = workspace.artifact(entry["id"]) if entry else None
    status = artifact.status if artifact else "missing"
    if artifact is None or status in ("missing", "damaged"):
        shared.ready(workspace, name, entry, what=what, job_shown=True)
        return
    # Before the prompt's guard: these files belong to other artifacts.
    names = task_names.names_of(workspace, name, method)
    with messages.guard(artifact.folder):
        if status == "failed":
            shared.ready(workspace, name, entry, what=what, job_shown=True)
        elif status != "done" and not shared.job_state(workspace, name)["active"]:
            status = "interrupted"
            st.warning(
                "This pre-training is not finished and no job runs it. Unless a notebook computes it right now: "
                "Resume on the Start page goes on from its last checkpoint."
            )
            shared.go_to_start()
        metrics = artifact.metrics
        if method.topic_tasks is not None:
            names |= task_names.topic_names(workspace, artifact, method.topic_tasks.clusterings)
        _numbers(artifact, status, metrics, method=method, sizes=config.pretraining)
        if status == "done" and metrics.empty:
            raise UserError(
                f"{artifact.folder} is damaged: metrics.jsonl is missing or holds no line that can be read."
            )
        if config.auxiliary_tasks.formats:
            metrics, names = mean_of_formats(metrics, workspace.artifact(artifact.stage["parents"]["tasks"]))
        figure = plots.meta_loss(metrics, names, _choose_tasks(metrics, names))
        panels = PANELS_OF_FORMATS if config.auxiliary_tasks.formats else PANELS
        caption = panels + CAPTION_META if method.meta_learned else CAPTION_POOLED
        if method.meta_learned and not isinstance(method, MetaPTMethod):
            caption = CAPTION_OWN
        topics = " Panels of topics tell clusters apart: a guess there costs the logarithm of their number."
        drawing.draw(figure, "meta_loss", caption + guessing(config) + (topics if method.topic_tasks else ""))


def _choose_tasks(metrics: pd.DataFrame, names: Mapping[int, str]) -> list[int]:
    """The tasks to draw, where there are more than are drawn at once; empty for the worst."""
    if metrics.empty or metrics["task"].nunique() <= FIRST_PANELS:
        return []
    worst_first = last_losses(metrics)
    titles = {int(task): names.get(int(task), f"task {task}") for task in worst_first.index}
    chosen = st.multiselect(
        f"Tasks ({len(titles)})",
        sorted(titles),
        format_func=lambda task: messages.plain(titles[task]),
        key="tasks_shown",
        placeholder=f"The {FIRST_PANELS - 1} with the highest loss; type to find others",
    )
    with st.expander("All tasks and their last losses", key="tasks_box"):
        table = pd.DataFrame(
            {
                "task": [titles[int(task)] for task in worst_first.index],
                "last loss (nats)": worst_first.round(3).to_list(),
                "times drawn": metrics["task"].value_counts().loc[worst_first.index].to_list(),
            }
        )
        drawing.show_table(table, key="tasks_table", hide_index=True)
    return [int(task) for task in chosen]


def _numbers(
    artifact: Artifact, status: str, metrics: pd.DataFrame, *, method: MethodConfig, sizes: PretrainingConfig
) -> None:
    summary, stage = artifact.summary, artifact.stage
    finished = 0 if metrics.empty else int(metrics["step"].max()) + 1
    # Earlier attempts count: their seconds stand in the stage from its beginning.
    # Never negative, even if the clock was set back.
    running = max(0.0, time.time() - stage["began"]) if status == "running" else 0.0
    spent = float(stage.get("seconds", 0.0)) + running
    if status == "interrupted":
        # A killed process recorded no time; its last checkpoint did.
        spent = max(spent, float(checkpoint_meta(artifact.folder).get("seconds", 0.0)))
    shown = [
        ("Status", "finished" if status == "done" else status),
        ("Outer steps", f"{finished} of {outer_steps(method, sizes)}"),
        ("Row passes", f"{summary['row_passes']:,}" if status == "done" else "…"),
        ("Diagnostic rows", f"{summary['diagnostic_rows']:,}" if status == "done" else "…"),
        ("Time", format_time(spent)),
    ]
    passes = finished * method.row_passes_per_step(sizes)
    rate = _rows_a_second(artifact, status, passes=passes if finished > 1 else 0.0, spent=spent)
    if rate is not None:
        shown.append(("Rows a second", f"{rate:.1f}"))
    for column, (label, value) in zip(st.columns(len(shown)), shown, strict=True):
        column.metric(label, value)
    st.caption(
        "A row pass is one text forward and backward through the language model; "
        f"{BUDGETS[sizes.budget]} Diagnostic rows went forward only, for "
        f"these curves, and are counted apart.{_found(artifact) if status == 'done' else ''}"
    )


def _rows_a_second(artifact: Artifact, status: str, *, passes: float, spent: float) -> float | None:
    """Rows that were trained in a second; None before anything is known.

    Args:
        artifact: The pre-training.
        status: How it stands.
        passes: Row passes of the finished outer steps.
        spent: Seconds.
    """
    if status == "done":
        telemetry = artifact.folder / "telemetry.parquet"
        seconds = float(artifact.table("telemetry")["seconds"].iloc[0]) if telemetry.exists() else spent
        return float(artifact.summary["row_passes"]) / seconds if seconds > 0 else None
    return passes / spent if passes > 0 and spent > 0 else None


def _found(artifact: Artifact) -> str:
    """Hit rate of the cache of text states, if the model has one."""
    if not (artifact.folder / "telemetry.parquet").exists():
        return ""
    rate = artifact.table("telemetry").iloc[0].get("state_hit_rate")
    if rate is None or pd.isna(rate):
        return ""
    return f" {100 * rate:.0f} % of the text states came from the cache."


def guessing(config: StudyConfig) -> str:
    """The loss of a guess, for comparison."""
    if config.verbalizer.decode == "whole_vocabulary":
        return "Label words compete with every token, so a guess between the labels costs more than its logarithm."
    if config.auxiliary_tasks.formats:
        return "A guess between n classes costs ln n nats: 0.69 for two, 1.10 for three, 1.39 for four."
    classes = len(config.auxiliary_tasks.labels)
    return f"ln {classes} ≈ {log(classes):.2f} nats is guessing between {classes} labels."
