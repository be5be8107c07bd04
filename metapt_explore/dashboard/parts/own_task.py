"""Compare on the user's own labels: the tick of the form, and what is set aside for it."""

from __future__ import annotations

import streamlit as st

from metapt_explore.config import Columns, LabelsConfig, SourceConfig
from metapt_explore.dashboard.parts import messages
from metapt_explore.dashboard.parts.new_source import stamp, table_of
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.own_task import OwnTask, Sizes, plan_own_task
from metapt_explore.study.own_task_files import write_own_task

TICK = "new_own_task"
TICK_HELP = (
    "Makes a downstream task of the label column. Its train, dev and test rows are set aside before pre-training, so "
    "that no score rests on a text that was learned from."
)


def own_task(
    source: SourceConfig, labels: LabelsConfig | None, *, name: str, title: str = "", sizes: Sizes
) -> OwnTask | None:
    """The tick, and what would be set aside and left; nothing is written.

    Args:
        source: The file, with its columns.
        labels: Template and classes; None where they are not right yet.
        name: The task's name, such as the study's.
        title: What it is.
        sizes: What the comparison asks for.

    Returns:
        The plan where the tick is set and the file has a label column; check `OwnTask.problems` before creating.
    """
    if source.columns.label is None:
        return None
    if not st.checkbox("Compare on my own labels", value=True, key=TICK, help=TICK_HELP) or labels is None:
        return None
    own = plan(source, labels, name=name, title=title, sizes=sizes)
    if own.problems:
        st.warning(messages.sentence(" ".join(own.problems)))
    else:
        first, *others = own.sentences
        st.info(messages.sentence(first))
        for sentence in others:
            st.caption(messages.sentence(sentence))
    return own


def plan(source: SourceConfig, labels: LabelsConfig, *, name: str, title: str = "", sizes: Sizes) -> OwnTask:
    """The plan for a source; rows are chosen once for the same file, columns, values and sizes.

    Args:
        source: The file, with its columns.
        labels: Template and classes.
        name: The task's name; it does not change which rows are set aside.
        title: What it is.
        sizes: What the comparison asks for.
    """
    values = tuple((each, label.value) for each, label in labels.labels.items())
    chosen = _chosen(
        source.model_copy(update={"columns": Columns()}).model_dump_json(), stamp(source), source.columns, values, sizes
    )
    return chosen.renamed(name=name, title=title, labels=labels)


@st.cache_data(
    max_entries=8,
    show_spinner="Setting rows aside …",
    hash_funcs={Columns: lambda columns: columns.model_dump_json(), Sizes: repr},
)
def _chosen(source: str, stamp: float, columns: Columns, values: tuple[tuple[str, str], ...], sizes: Sizes) -> OwnTask:
    labels = LabelsConfig(
        labels={name: {"value": value, "word": f"word {n}"} for n, (name, value) in enumerate(values)}
    )
    return plan_own_task(table_of(source, stamp), columns, labels, name="own", sizes=sizes)


def create(workspace: Workspace, own: OwnTask, source: SourceConfig) -> tuple[str, SourceConfig]:
    """Writes the task's files; returns the task's path, and what pre-training reads in place of the source.

    Args:
        workspace: The workspace.
        own: The plan.
        source: What it was made of.

    Raises:
        UserError: Where the plan has problems.
    """
    whole = source.model_copy(update={"columns": Columns()})
    written = write_own_task(workspace, own, table_of(whole.model_dump_json(), stamp(source)))
    return str(written.file), written.texts
