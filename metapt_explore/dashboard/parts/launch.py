"""Asking for a study's next steps, what they will cost, and the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from metapt_explore.config import MethodConfig
from metapt_explore.dashboard.parts import job, messages, shared
from metapt_explore.errors import UserError
from metapt_explore.jobs import queue
from metapt_explore.jobs.gpus import gpus
from metapt_explore.progress.state import format_time
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.extend import with_method
from metapt_explore.study.preview import read_cost

if TYPE_CHECKING:
    from metapt_explore.stages.registry import Until

#: What a button asks for, what it says, and what it is good for.
STEPS: tuple[tuple[str, str, str], ...] = (
    ("plan", "Predict the cost", "A few timed passes with the model; nothing is trained."),
    ("prompts", "Pre-train", "All prompts of all methods, without the few-shot comparison."),
    ("agreement", "Do tasks agree?", "Cosines of the tasks' gradients at the common start: minutes."),
    ("all", "Pre-train and compare", "Everything that the study asks for."),
)


def launch(workspace: Workspace, name: str) -> None:
    """Buttons that put the study into the queue, its predicted cost, and the job that is at it."""
    state, config = shared.job_state(workspace, name), shared.study_config(workspace, name)
    nothing = {"agreement"} if not config.clusterings else set()
    nothing |= {"prompts"} if not config.methods else set()
    for box, (until, label, said) in zip(st.columns(len(STEPS)), STEPS, strict=True):
        if box.button(
            label,
            key=f"ask_{until}",
            type="primary" if until == "all" else "secondary",
            disabled=state["active"] or until in nothing,
            help=said,
            width="stretch",
        ):
            _ask(workspace, name, until)
    if st.session_state.get("ask_error"):
        st.error(messages.plain(st.session_state.pop("ask_error")))
    _cost(workspace, name)
    job.panel(workspace, name)

    def body() -> None:
        with messages.guard():
            _queue(workspace, name)

    busy = bool(queue.requests(workspace)) or state["active"]
    st.fragment(body, run_every=shared.POLL if busy else shared.IDLE_POLL, key="queue_box")()
    _add_method(workspace, name)
    _log(workspace, name)


def _log(workspace: Workspace, name: str) -> None:
    """What the job has said so far, as it stands in the file."""
    file = workspace.study_folder(name) / "log.txt"
    if file.exists() and shared.job_state(workspace, name).get("status") not in ("failed", "stopped"):
        with st.expander("Log", key="whole_log"):
            st.code(job.last_lines(file) or "(empty)", language=None, wrap_lines=True)


def _add_method(workspace: Workspace, name: str) -> None:
    """A form for one more method; the study keeps all that it has."""
    config = shared.study_config(workspace, name)
    with st.expander("Add a method", key="add_method"), st.form("new_method", border=False):
        own_key = f"method_{name}"
        shared_settings = config.pretraining
        one, two, three = st.columns(3)
        called = one.text_input("Name", "MetaPT 2", key=f"{own_key}_name")
        kinds = "pt: no pre-training; ppt: pooled"
        names = [clustering.name for clustering in config.clusterings]
        # Without clusters there is nothing that MetaPT could learn over.
        choice = [kind for kind in reversed(MethodConfig.choices("kind")) if names or kind != "metapt"]
        kind = two.selectbox("Kind", choice, key=f"{own_key}_kind", help=kinds)
        clusterings = three.multiselect("Clusterings", names, key=f"{own_key}_of", help="Whose clusters are its tasks")
        learner = one.selectbox("Learner", MethodConfig.choices("learner"), key=f"{own_key}_learner")
        price = "exact: costs more passes a step"
        order = two.selectbox("Order", ["first", "exact"], key=f"{own_key}_order", help=price)
        inner_steps = three.number_input("Inner steps", 1, 20, 1, key=f"{own_key}_steps")
        rate: dict[str, Any] = {"min_value": 0.0, "format": "%.4f"}
        inner_lr = one.number_input("inner_lr", value=shared_settings.inner_lr, key=f"{own_key}_inner", **rate)
        outer_lr = two.number_input("outer_lr", value=shared_settings.outer_lr, key=f"{own_key}_outer", **rate)
        average = three.number_input("Mean over the last share of steps", 0.0, 1.0, 0.0, 0.1, key=f"{own_key}_average")
        if st.form_submit_button("Add it to the study"):
            own: dict[str, Any] = {"name": called.strip(), "kind": kind}
            if kind != "pt":
                own |= {"average_last": average}
                # What is as the study says is left to the study.
                own |= {} if outer_lr == shared_settings.outer_lr else {"outer_lr": outer_lr}
            if clusterings:
                own["clustering"] = clusterings
            if kind == "metapt":
                own |= {"learner": learner, "order": order, "inner_steps": int(inner_steps)}
                own |= {} if inner_lr == shared_settings.inner_lr else {"inner_lr": inner_lr}
            with messages.guard(), queue.queue_lock(workspace):
                # A process that is starting has read the study already, and would put back what it read.
                if shared.job_state(workspace, name)["status"] in ("starting", "running"):
                    raise UserError("A job of this study is at work: cancel it, or add the method when it has ended.")
                workspace.save_study(with_method(config, own))
                st.success(messages.plain(f"'{called}' is in the study; Pre-train computes what it lacks."))


def _ask(workspace: Workspace, name: str, until: str) -> None:
    try:
        far: Until = until
        shared.ask(workspace, shared.study_config(workspace, name), far)
    except (UserError, OSError) as error:
        st.session_state["ask_error"] = str(error)
    st.rerun()


def _cost(workspace: Workspace, name: str) -> None:
    cost = read_cost(workspace, name)
    if cost is None:
        return
    with st.expander(
        messages.plain(f"Predicted cost: {format_time(cost.seconds)}, {cost.peak_mib / 1024:.1f} GiB"), key="cost_box"
    ):
        rows = [
            {
                "stage": key,
                "rows trained": round(stage.get("trained", 0)),
                "rows scored": round(stage.get("scored", 0)),
                "time": format_time(stage["seconds"]),
            }
            for key, stage in cost.stages.items()
        ]
        st.dataframe(pd.DataFrame(rows), key="cost_table", hide_index=True)
        st.caption(
            f"Measured in {cost.spent:.0f} s on {messages.plain(f'{cost.device}, {cost.dtype}')}. Rows trained go "
            "forward and backward, rows scored forward only. Texts, embeddings and clusters come on top."
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
        box.metric(messages.plain(f"{card.name} ({card.index})"), memory, busy, delta_color="off")
