"""Soft clusters: how probable each cluster is for a text, and which texts lie between clusters."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from metapt_explore import plots
from metapt_explore.config import RandomGroups, StudyConfig
from metapt_explore.dashboard.parts import drawing, messages, shared
from metapt_explore.dashboard.parts.cluster_view import View
from metapt_explore.errors import UserError
from metapt_explore.statistics.numbers import number
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.workspace import Workspace

#: Uncertain texts, and clusters of one text, that are listed.
TEXTS_SHOWN, CLUSTERS_SHOWN = 200, 10
PROBABILITY = st.column_config.ProgressColumn("probability", min_value=0.0, max_value=1.0, format="%.3f")


def show(workspace: Workspace, config: StudyConfig, view: View) -> None:
    """What the membership probabilities of a clustering say; a button where they are not computed yet."""
    st.header("Membership probabilities")
    clustering = config.clustering(view.name)
    if not clustering.probabilities:
        like = f" Look at those of {messages.plain(clustering.like)}." if isinstance(clustering, RandomGroups) else ""
        st.caption(f"This is a control: a text is in its group or it is not.{like}")
        return
    found = _finished(workspace, config.name, view)
    if found is None:
        _offer(workspace, config, view.name)
        return
    if view.edits:
        st.info("Without the unsaved edits: save them as a clustering, and compute its probabilities there.")
    with messages.guard(found.folder):
        table, summary = drawing.table(found, "memberships"), found.summary
        boxes = st.columns(3)
        boxes[0].metric(
            "Uncertain texts",
            f"{summary['uncertain']:,}",
            help="Their most probable cluster is less probable than one half.",
        )
        boxes[1].metric("Mean probability", number(summary["mean"], 2), help="Of the most probable cluster.")
        boxes[2].metric(
            "More probable elsewhere",
            f"{summary['elsewhere']:,}",
            help="Texts that are in a cluster while another one is more probable.",
        )
        drawing.draw(
            plots.membership_histogram(summary["histogram"]),
            "membership_histogram",
            "Each text has a most probable cluster: the bars count texts by its probability. Below one half a text is "
            f"uncertain. Probabilities: {summary['is']}.",
        )
        left, right = st.columns([3, 2])
        with left:
            _uncertain(view, table)
        with right:
            _one_text(view, found, len(table))


def _finished(workspace: Workspace, study: str, view: View) -> Artifact | None:
    """The finished probabilities of the clustering that is shown."""
    for entry in reversed(shared.entries(workspace, study, "memberships", clustering=view.name)):
        artifact = workspace.artifact(entry["id"])
        if artifact.status == "done" and artifact.stage.get("parents", {}).get("clusters") == view.artifact.id:
            return artifact
    return None


def _offer(workspace: Workspace, config: StudyConfig, name: str) -> None:
    """A button that computes them, and why the last time failed."""
    for entry in reversed(shared.entries(workspace, config.name, "memberships", clustering=name)):
        artifact = workspace.artifact(entry["id"])
        if artifact.status == "failed":
            st.error(messages.sentence(f"It failed: {artifact.stage.get('error', 'no reason given')}"))
        break
    st.caption("How probable each cluster is for each text: not computed yet. It takes seconds to minutes.")
    active = shared.job_state(workspace, config.name)["active"]
    if st.button("Compute membership probabilities", key="ask_memberships", disabled=active):
        shared.ask(workspace, config, "memberships")
        st.rerun()


def _uncertain(view: View, table: pd.DataFrame) -> None:
    """The texts whose most probable cluster is least probable."""
    st.markdown("**Most uncertain texts**")
    least = table[table["first"] >= 0].sort_values(["first_probability", "row"], kind="stable").head(TEXTS_SHOWN)
    names = view.artifact_names
    shown = pd.DataFrame(
        {
            "text": view.written["text"].loc[least["row"]].to_numpy(),
            "first": least["first"].map(names).to_numpy(),
            "probability": least["first_probability"].to_numpy(),
            "second": least["second"].map(names).to_numpy(),
            "its probability": least["second_probability"].to_numpy(),
            "row": least["row"].to_numpy(),
        }
    )
    drawing.show_table(
        shown,
        key="uncertain",
        hide_index=True,
        height=400,
        column_config={
            "probability": PROBABILITY,
            "its probability": st.column_config.ProgressColumn(min_value=0.0, max_value=1.0, format="%.3f"),
        },
    )


def _one_text(view: View, found: Artifact, rows: int) -> None:
    """The most probable clusters of one text."""
    st.markdown("**Clusters of one text**")
    row = st.number_input("Row of the text", 0, rows - 1, value=0, key=f"member_{view.artifact.id}")
    st.text(str(view.written["text"].loc[int(row)])[:600])
    probabilities = _matrix(str(found.file("memberships.safetensors")))[int(row)].astype(np.float64)
    best = np.argsort(-probabilities, kind="stable")[:CLUSTERS_SHOWN]
    names = view.artifact_names
    drawing.show_table(
        pd.DataFrame({"cluster": [names.get(int(c), str(c)) for c in best], "probability": probabilities[best]}),
        key="members",
        hide_index=True,
        column_config={"probability": PROBABILITY},
    )
    if len(probabilities) > len(best):
        rest = probabilities.sum() - probabilities[best].sum()
        st.caption(f"All {len(probabilities) - len(best):,} others together: {number(rest, 3)}.")
    if (left := 1 - probabilities.sum()) > 0.005:
        st.caption(f"In none of them: {number(left, 3)}.")


@st.cache_resource(max_entries=2, show_spinner=False)
def _matrix(path: str) -> np.ndarray:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        matrix: np.ndarray = load_file(path)["memberships"]
        return matrix
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read, and this needs it: {messages.reason(error)}.") from None
