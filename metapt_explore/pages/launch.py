"""Asking for a study's next steps, what they will cost, and the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from metapt_explore.errors import UserError
from metapt_explore.pages import job, shared
from metapt_explore.runs import queue
from metapt_explore.runs.gpus import gpus
from metapt_explore.runs.preview import read_cost
from metapt_explore.runs.progress import say_time
from metapt_explore.runs.workspace import Workspace

if TYPE_CHECKING:
    from metapt_explore.runs.run_all import Until

#: What a button asks for, what it says, and what it is good for.
STEPS: tuple[tuple[str, str, str], ...] = (
    ("plan", "Predict the cost", "A few timed passes with the model; nothing is trained."),
    ("prompts", "Pre-train", "All prompts of all methods, without the few-shot comparison."),
    ("agreement", "Do tasks agree?", "Cosines of the tasks' gradients at the common start: minutes."),
    ("all", "Pre-train and compare", "Everything that the study asks for."),
)


def launch(workspace: Workspace, name: str) -> None:
    """Buttons that put the study into the queue, its predicted cost, and the job that is at it."""
    state = shared.job_state(workspace, name)
    for box, (until, label, said) in zip(st.columns(len(STEPS)), STEPS, strict=True):
        if box.button(
            label,
            key=f"ask_{until}",
            type="primary" if until == "all" else "secondary",
            disabled=state["active"],
            help=said,
            width="stretch",
        ):
            _ask(workspace, name, until)
    if st.session_state.get("ask_error"):
        st.error(shared.plain(st.session_state.pop("ask_error")))
    _cost(workspace, name)
    job.panel(workspace, name)
    _queue(workspace, name)


def _ask(workspace: Workspace, name: str, until: str) -> None:
    try:
        far: Until = until  # type: ignore[assignment]
        if not queue.enqueue(workspace, shared.study_config(workspace, name), until=far):
            raise UserError(f"The study '{name}' runs already, or waits for its turn.")
    except (UserError, OSError) as error:
        st.session_state["ask_error"] = str(error)
    st.rerun()


def _cost(workspace: Workspace, name: str) -> None:
    cost = read_cost(workspace, name)
    if cost is None:
        return
    with st.expander(
        shared.plain(f"Predicted cost: {say_time(cost.seconds)}, {cost.peak_mib / 1024:.1f} GiB"), key="cost_box"
    ):
        rows = [
            {
                "stage": key,
                "rows trained": round(stage.get("trained", 0)),
                "rows scored": round(stage.get("scored", 0)),
                "time": say_time(stage["seconds"]),
            }
            for key, stage in cost.stages.items()
        ]
        st.dataframe(pd.DataFrame(rows), key="cost_table", hide_index=True)
        st.caption(
            f"Measured in {cost.spent:.0f} s on {cost.device}, {cost.dtype}. Rows trained go forward and backward, "
            "rows scored forward only. Texts, embeddings and clusters come on top."
        )


def _queue(workspace: Workspace, name: str) -> None:
    """What runs and waits in this workspace, and the cards that it runs on."""
    table = queue.jobs_table(workspace)
    waiting = table[table["status"].isin(["running", "starting", "queued"])]
    if len(waiting) > 1 or (len(waiting) == 1 and waiting["study"].iloc[0] != name):
        shown = waiting[["study", "status", "fraction", "stage"]]
        bar = st.column_config.ProgressColumn("progress", format="percent", min_value=0, max_value=1)
        st.dataframe(shown, key="queue", hide_index=True, column_config={"fraction": bar})
        st.caption("Jobs of this workspace: one at a time on each device, in the order in which they were asked for.")
    cards = gpus()
    for box, card in zip(st.columns(max(1, len(cards))), cards, strict=False):
        busy = "–" if card.busy is None else f"{card.busy:.0%} busy"
        memory = f"{card.used_mib / 1024:.1f} of {card.total_mib / 1024:.0f} GiB"
        box.metric(f"{card.name} ({card.index})", memory, busy, delta_color="off")
