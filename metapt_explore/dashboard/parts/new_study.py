"""A new study on the user's own texts: the form's order, and what its last button writes.

Each step is a part of its own: `new_source` (where texts are, what columns hold), `new_labels` (what auxiliary tasks
tell apart), `new_groups` (clusters), `new_comparison` (downstream tasks, examples, models).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import streamlit as st

from metapt_explore.config import SourceConfig, StudyConfig, TaskConfig, load_task, parse
from metapt_explore.config.embeddings import EmbeddingsConfig, FileEmbeddings
from metapt_explore.dashboard.parts import messages, own_task, shared, study_choice
from metapt_explore.dashboard.parts.new_comparison import Compared, choose_comparison, choose_models
from metapt_explore.dashboard.parts.new_groups import choose_groups
from metapt_explore.dashboard.parts.new_labels import Told, choose_told
from metapt_explore.dashboard.parts.new_source import (
    KINDS,
    Readable,
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
from metapt_explore.study.language_fit import misfits
from metapt_explore.study.new import SCALES, Choices, Scale, new_study, study_name
from metapt_explore.study.own_task_files import task_tree
from metapt_explore.study.rough_cost import rough_time, rough_tokens
from metapt_explore.study.uploads import title_of
from metapt_explore.study.vector_files import vectors_of_rows

#: Texts of a larger file that are used, until another number is chosen.
MOST_TEXTS = 2000


def builder(workspace: Workspace) -> None:
    """The form, a step at a time; nothing is written before its last button."""
    st.header("A new study on your texts")
    kind = st.segmented_control("Where are they?", KINDS, default=KINDS[0], key="new_kind", required=True)
    source = choose_source(workspace, str(kind))
    if source is None:
        return
    with messages.guard():
        table = table_of(source.model_dump_json(), stamp(source))
        read = readable(workspace, source.model_copy(update={"columns": choose_columns(table, source)}))
        source = read.source
        table = table_of(source.model_dump_json(), stamp(source))  # of its mended copy, where it has one
        preview(table)
        language = report(source)
        st.markdown("#### Labels")
        told = choose_told(table, source)
        st.markdown("#### Comparison")
        name_key, name = f"study_name_{source.name}", _free_name(workspace, source)
        compared = choose_comparison(source, told, str(st.session_state.get(name_key) or name))
        st.markdown("#### Clusters")
        limit = _limit(len(next(iter(table.values()), [])))
        groups = choose_groups(workspace, read, told, rows=compared.rows, limit=limit)
        models = choose_models()
        if notice := misfits(language, model=models["model"], encoder=models["encoder"], tasks=compared.tasks):
            st.info(messages.sentence(notice))
        st.markdown("#### How much")
        choices = compared.choices | groups.choices | models | {"limit": limit}
        draft = _Draft(read, told, compared, SCALES[0], name, choices)
        scale = st.radio(
            "How much?",
            SCALES,
            format_func=lambda s: s.name,
            captions=[f"{s.said}{draft.rough_time(s, groups.texts)}" for s in SCALES],
            key="new_scale",
            label_visibility="collapsed",
        )
        st.caption(
            "Times are counted, for the starter model on two cores; another model takes as many times longer as it is "
            "larger. *Predict the cost* on the Pre-training page measures this machine."
        )
        name = st.text_input("Name of the study", value=name, key=name_key)
        _last_step(workspace, replace(draft, scale=scale, name=name), groups.problems)


@dataclass(frozen=True)
class _Draft:
    """All that was chosen."""

    read: Readable
    told: Told
    compared: Compared
    scale: Scale
    name: str
    choices: dict[str, Any]

    @property
    def source(self) -> SourceConfig:
        """The texts as they are read."""
        return self.read.source

    def study(self, source: SourceConfig, tasks: list[str], **changes: Any) -> StudyConfig:
        """The study.

        Args:
            source: What pre-training reads.
            tasks: Downstream tasks.
            **changes: Choices that are other than was asked for.

        Raises:
            UserError: Where the choices do not make one.
        """
        chosen = Choices(template=self.told.template, labelled=self.told.labelled, **(self.choices | changes))
        return new_study(self.name, source, self.told.labels, tasks=tasks, scale=self.scale, choices=chosen)

    def problem(self, workspace: Workspace) -> str:
        """Why no study can be made of it; empty where one can."""
        try:
            if (workspace.study_folder(self.name) / "study.yaml").exists():
                return f"The workspace has a study '{self.name}' already; give this one another name."
            self.study(self.source, self.compared.tasks or ["own"])
        except UserError as error:
            return str(error)
        return ""

    def rough_time(self, scale: Scale, texts: int) -> str:
        """About how long it takes at a scale, in a sentence; empty while something is in the way."""
        own = self.compared.own
        try:
            tasks = {name: load_task(name) for name in self.compared.tasks}
            if own is not None:
                tasks[own.name] = parse(TaskConfig, task_tree(own), own.name)
            study = replace(self, scale=scale).study(self.source, list(tasks))
        except UserError:
            return ""
        return f" About {rough_time(rough_tokens(study, tasks, texts))}."


def _free_name(workspace: Workspace, source: SourceConfig) -> str:
    """A name for the study, of the source's."""
    stem = title_of(Path(source.file), workspace) if source.file else source.name.rsplit("/", 1)[-1]
    return study_name(stem, workspace)


def _limit(rows: int) -> int | None:
    """How many texts the study takes at most; all of a small file."""
    if rows <= MOST_TEXTS:
        return None
    return int(st.number_input(f"Texts to use, of {rows:,}", 50, 1_000_000, MOST_TEXTS, 500, key="new_limit"))


def _last_step(workspace: Workspace, draft: _Draft, problems: tuple[str, ...]) -> None:
    """What is in the way, and the button."""
    in_the_way = [*draft.compared.problems, *problems]
    if problem := draft.problem(workspace):
        in_the_way.append(messages.sentence(problem))
    for sentence in in_the_way:
        st.warning(sentence)
    if not setup_starter.is_set_up():
        st.warning("SmolLM2-135M-Instruct, rounded to 4 bits, is not on this machine yet: run `metapt setup`.")
    # In the body: a callback would get the values of the last redraw.
    if st.button("Create it and cluster the texts", key="create", type="primary", disabled=bool(in_the_way)):
        with messages.guard():
            study = _create(workspace, draft)
            study_choice.look_at(study)
            st.switch_page(shared.page_file("clusters"))
    st.caption("Clusters come in a moment; pre-training begins when you say so, on the page of that name.")


def _create(workspace: Workspace, draft: _Draft) -> str:
    """Writes the study and asks for its clusters; returns its name."""
    # Relative to the server here; relative to the study's folder in its file.
    tasks = [str(Path(t).expanduser().resolve()) if t.endswith((".yaml", ".yml")) else t for t in draft.compared.tasks]
    for task in tasks:
        load_task(task)
    source, rows = draft.source, draft.read.rows
    if draft.compared.own is not None:
        own, source = own_task.create(workspace, draft.compared.own, source)
        tasks, rows = [own, *tasks], [rows[row] for row in draft.compared.own.rest]
    embeddings = EmbeddingsConfig.model_validate(draft.choices["embeddings"])
    if isinstance(embeddings, FileEmbeddings):
        embeddings = vectors_of_rows(workspace, embeddings, rows)
    study = draft.study(source, tasks, embeddings=embeddings.model_dump(exclude_none=True))
    shared.ask(workspace, study, "clusters")
    return study.name
