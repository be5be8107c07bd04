"""Buttons for a study's next steps, the predicted cost, and the queue."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from metapt_explore.config import MetaPTMethod, StudyConfig
from metapt_explore.dashboard.parts import drawing, job, label_words, messages, method_form, screening, shared
from metapt_explore.errors import UserError
from metapt_explore.jobs import queue
from metapt_explore.jobs.gpus import gpus
from metapt_explore.progress.state import format_time
from metapt_explore.reporting.plan_power import detectable_sentence
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.extend import with_method
from metapt_explore.study.preview import read_cost

if TYPE_CHECKING:
    from metapt_explore.stages.registry import Until

#: Step, label and help of each button.
STEPS: tuple[tuple[str, str, str], ...] = (
    ("plan", "Predict the cost", "A few timed passes with the model; nothing is trained."),
    (
        "screen",
        "Worth trying?",
        "Do tasks differ, does adapting to them help, how far do inner steps go? Minutes; nothing is pre-trained.",
    ),
    ("prompts", "Pre-train", "All prompts of all methods, without the few-shot comparison."),
    ("agreement", "Do tasks agree?", "Cosines of the tasks' gradients at the common start: minutes."),
    ("all", "Pre-train and compare", "Everything that the study asks for."),
)


def launch(workspace: Workspace, name: str) -> None:
    """Buttons that put the study into the queue, its predicted cost, and its running job."""
    state, config = shared.job_state(workspace, name), shared.study_config(workspace, name)
    nothing = {"agreement"} if not config.clusterings else set()
    nothing |= {"prompts"} if not config.methods else set()
    nothing |= {"screen"} if not any(isinstance(method, MetaPTMethod) for method in config.methods) else set()
    for box, (until, label, meaning) in zip(st.columns(len(STEPS)), STEPS, strict=True):
        if box.button(
            label,
            key=f"ask_{until}",
            type="primary" if until == "all" else "secondary",
            disabled=state["active"] or until in nothing,
            help=meaning,
            width="stretch",
        ):
            _ask(workspace, name, until)
    if st.session_state.get("ask_error"):
        st.error(messages.sentence(st.session_state.pop("ask_error")))
    with messages.guard():
        screening.word(workspace, name, config)
    _cost(workspace, name)
    if power := _power(config.model_dump_json(), _config=config):
        st.caption(messages.sentence(power))
    job.panel(workspace, name)

    def body() -> None:
        with messages.guard():
            _queue(workspace, name)

    busy = bool(queue.requests(workspace)) or state["active"]
    st.fragment(body, run_every=shared.POLL if busy else shared.IDLE_POLL, key="queue_box")()
    label_words.section(workspace, name, config)
    _add_method(workspace, name)
    _log(workspace, name)


@st.cache_data(max_entries=32, show_spinner=False)
def _power(stamp: str, *, _config: StudyConfig) -> str:
    return detectable_sentence(_config)


def _log(workspace: Workspace, name: str) -> None:
    """Log of the job so far."""
    file = workspace.study_folder(name) / "log.txt"
    if file.exists() and shared.job_state(workspace, name).get("status") not in ("failed", "stopped"):
        with st.expander("Log", key="whole_log"):
            st.code(job.last_lines(file) or "(empty)", language=None, wrap_lines=True)


def _add_method(workspace: Workspace, name: str) -> None:
    """A form for one more method; nothing else of the study changes."""
    config = shared.study_config(workspace, name)
    key = f"method_{name}"
    with st.expander("Add a method", key="add_method"):
        # Outside the form: the fields of the form depend on it.
        method_class, chosen = method_form.choose_class(config, key)
        with st.form("new_method", border=False):
            method = chosen | method_form.settings(method_class, config, key)
            if st.form_submit_button("Add it to the study"):
                with messages.guard(), queue.queue_lock(workspace):
                    # A job that is starting has read the study and would write it back without the method.
                    if shared.job_state(workspace, name)["status"] in ("starting", "running"):
                        raise UserError("A job of this study is running: cancel it, or add the method when it ends.")
                    workspace.save_study(with_method(config, method))
                    st.success(
                        messages.sentence(f"'{method['name']}' is in the study; Pre-train computes what it lacks.")
                    )


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
        drawing.show_table(pd.DataFrame(rows), key="cost_table", hide_index=True)
        when = "" if cost.measured_at is None else f" on {datetime.fromtimestamp(cost.measured_at):%d %b %Y, %H:%M}"
        st.caption(
            f"Measured{when} in {cost.spent:.0f} s on {messages.plain(f'{cost.device}, {cost.dtype}')}. Rows trained "
            "go forward and backward, rows scored forward only. Texts, embeddings and clusters come on top. "
            "A run goes on with this measurement; **Predict the cost** measures anew."
        )


def _queue(workspace: Workspace, name: str) -> None:
    """What runs and waits in this workspace, and the cards that it runs on."""
    table = queue.jobs_table(workspace)
    waiting = table[table["status"].isin(["running", "starting", "queued"])]
    if len(waiting) > 1 or (len(waiting) == 1 and waiting["study"].iloc[0] != name):
        shown = waiting[["study", "status", "fraction", "stage"]]
        bar = st.column_config.ProgressColumn("progress", format="percent", min_value=0, max_value=1)
        drawing.show_table(shown, key="queue", hide_index=True, column_config={"fraction": bar})
        st.caption("Jobs of this workspace: one at a time on each device, in the order in which they were asked for.")
    cards = gpus()
    for box, card in zip(st.columns(max(1, len(cards))), cards, strict=False):
        busy = "–" if card.busy is None else f"{100 * card.busy:.0f} % busy"
        memory = f"{card.used_mib / 1024:.1f} of {card.total_mib / 1024:.0f} GiB"
        box.metric(messages.plain(f"{card.name} ({card.index})"), memory, busy, delta_color="off")
