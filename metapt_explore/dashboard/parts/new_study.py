"""A new study on the user's own texts: the form's order, and what its last button writes.

Each step is a part of its own: `new_source` (where texts are, what columns hold), `new_labels` (what auxiliary tasks
tell apart), `new_groups` (clusters), `new_comparison` (downstream tasks, examples, models).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from metapt_explore.config import SourceConfig, load_task
from metapt_explore.dashboard.parts import messages, shared, study_choice
from metapt_explore.dashboard.parts.new_comparison import choose_comparison, choose_models, choose_tasks
from metapt_explore.dashboard.parts.new_groups import choose_groups
from metapt_explore.dashboard.parts.new_labels import Told, choose_told
from metapt_explore.dashboard.parts.new_source import (
    KINDS,
    choose_columns,
    choose_source,
    preview,
    readable,
    report,
    stamp,
    table_of,
)
from metapt_explore.errors import UserError
from metapt_explore.models import setup as setup_starter
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.new import SCALES, Choices, Scale, new_study, study_name
from metapt_explore.study.uploads import title_of


def builder(workspace: Workspace) -> None:
    """The form, a step at a time; nothing is written before its last button."""
    st.header("A new study on your texts")
    kind = st.segmented_control("Where are they?", KINDS, default=KINDS[0], key="new_kind", required=True)
    source = choose_source(workspace, str(kind))
    if source is None:
        return
    with messages.guard():
        table = table_of(source.model_dump_json(), stamp(source))
        source = readable(workspace, source.model_copy(update={"columns": choose_columns(table, source)}))
        table = table_of(source.model_dump_json(), stamp(source))  # of its mended copy, where it has one
        preview(table)
        report(source)
        told = choose_told(table, source)
        name, limit = _name_and_size(workspace, source)
        choices = choose_groups(source)
        tasks = choose_tasks()
        choices |= choose_comparison() | choose_models() | {"limit": limit}
        scale = st.radio(
            "How much?", SCALES, format_func=lambda s: s.name, captions=[s.said for s in SCALES], key="new_scale"
        )
        if not setup_starter.is_set_up():
            st.warning("SmolLM2-135M-Instruct, rounded to 4 bits, is not on this machine yet: run `metapt setup`.")
        # In the body: a callback would get the values of the last redraw.
        if st.button("Create it and cluster the texts", key="create", type="primary"):
            with messages.guard():
                study = _create(workspace, source, told, name=name, tasks=tasks, scale=scale, choices=choices)
                study_choice.look_at(study)
                st.switch_page(shared.page_file("clusters"))
        st.caption("Clusters come in a moment; pre-training begins when you say so, on the page of that name.")


def _name_and_size(workspace: Workspace, source: SourceConfig) -> tuple[str, int]:
    """What the study is called, and how many texts it takes at most."""
    left, right = st.columns(2)
    stem = title_of(Path(source.file), workspace) if source.file else source.name.rsplit("/", 1)[-1]
    name = left.text_input("Name of the study", value=study_name(stem, workspace), key=f"study_name_{source.name}")
    limit = right.number_input("Texts to use, at most", 50, 1_000_000, 2000, 500, key="new_limit")
    return name, int(limit)


def _create(
    workspace: Workspace,
    source: SourceConfig,
    told: Told,
    *,
    name: str,
    tasks: list[str],
    scale: Scale,
    choices: dict[str, Any],
) -> str:
    """Writes the study and asks for its clusters; returns its name."""
    if (workspace.study_folder(name) / "study.yaml").exists():
        raise UserError(f"The workspace has a study '{name}' already; give this one another name.")
    if not tasks:
        raise UserError("Choose a downstream task, or several: prompts are compared on them.")
    # Relative to the server here; relative to the study's folder in its file.
    tasks = [str(Path(t).expanduser().resolve()) if t.endswith((".yaml", ".yml")) else t for t in tasks]
    for task in tasks:
        load_task(task)
    chosen = Choices(template=told.template, labelled=told.labelled, formats=told.formats, **choices)
    study = new_study(name, source, told.labels, tasks=tasks, scale=scale, choices=chosen)
    shared.ask(workspace, study, "clusters")
    return study.name
