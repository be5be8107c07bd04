"""A new study on somebody's own texts: where they are, what their columns hold, how much to compute."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from metapt_explore import setup_starter
from metapt_explore.config import (
    TASK_SETS,
    Columns,
    EncoderConfig,
    ModelConfig,
    SourceConfig,
    load_task,
    packaged_tasks,
)
from metapt_explore.errors import UserError
from metapt_explore.pages import shared
from metapt_explore.runs import queue
from metapt_explore.runs.new_study import SCALES, Scale, keep_upload, new_study, study_name
from metapt_explore.runs.workspace import Workspace
from metapt_explore.texts.guess import guess_columns, guess_labels

KINDS = ("a file of mine", "a packaged set", "a data set on the hub")
NONE = "(none)"
MODEL_HELP = (
    "A starter model, a folder on this machine, or a name on the hub (google/flan-t5-base, Qwen/Qwen2.5-0.5B …)."
)
SHOWN = 5
MOST_CLASSES = 20
#: What the first study of a newcomer is scored on: they come with the starter packages.
FIRST_TASKS = ["rotten_tomatoes", "subjectivity"]


def builder(workspace: Workspace) -> None:
    """The form, a step at a time; nothing is written before its last button."""
    st.subheader("A new study on your texts")
    kind = st.segmented_control("Where are they?", KINDS, default=KINDS[0], key="new_kind", required=True)
    source = _source(workspace, str(kind))
    if source is None:
        return
    with shared.guard():
        table = _table(source.model_dump_json(), _stamp(source))
        columns = _columns(table, source)
        chosen = source.model_copy(update={"columns": columns})
        _preview(table)
        _report(chosen)
        labels, labelled = _labels(table, columns)
        _rest(workspace, chosen, labels, labelled)


# ---------------------------------------------------------------------------------------- the source


def _source(workspace: Workspace, kind: str) -> SourceConfig | None:
    if kind == KINDS[0]:
        upload = st.file_uploader(
            "CSV, TSV, JSONL or Parquet; it stays on this machine",
            type=["csv", "tsv", "jsonl", "parquet"],
            key="upload",
        )
        path = st.text_input("Or its path on the machine where this server runs", key="new_path").strip()
        if upload is not None:
            return SourceConfig(file=str(keep_upload(workspace, upload.name, upload.getvalue())))
        return SourceConfig(file=str(Path(path).expanduser().resolve())) if path else None
    if kind == KINDS[1]:
        from metapt_explore.texts.starter import installed_sets, starter_sets

        names = installed_sets()
        if not names:
            st.warning("The packaged texts are not on this machine yet. Run this in a terminal:")
            st.code("metapt setup", language="bash")
            return None
        titles = {name: entry.title for name, entry in starter_sets().items()}
        return SourceConfig(
            starter=st.selectbox("Set", names, format_func=lambda n: f"{n}: {titles[n]}", key="new_starter")
        )
    left, middle, right = st.columns([3, 1, 1])
    name = left.text_input("Its name on the hub", placeholder="fancyzhx/amazon_polarity", key="new_hub").strip()
    subset = middle.text_input("Subset, if any", key="new_subset").strip()
    split = right.text_input("Split", value="train", key="new_split").strip()
    return SourceConfig(hub=name, subset=subset or None, split=split or "train") if name else None


def _stamp(source: SourceConfig) -> float:
    """Changes when a file does."""
    file = Path(source.file) if source.file else None
    return file.stat().st_mtime if file is not None and file.exists() else 0.0


@st.cache_resource(max_entries=2, show_spinner="Reading …")
def _table(source: str, stamp: float) -> dict[str, list[Any]]:
    """All columns of a source; of a hub data set or a packaged one, those that it has."""
    from metapt_explore.texts.hub_data import read_hub
    from metapt_explore.texts.sources import read_table
    from metapt_explore.texts.starter import read_starter

    found = SourceConfig.model_validate_json(source)
    if found.file is not None:
        return read_table(Path(found.file))
    if found.starter is not None:
        frame = read_starter(found.starter)
        return {str(name): frame[name].tolist() for name in frame.columns}
    rows = read_hub(found)
    return {name: list(rows[name]) for name in rows.column_names}


def _columns(table: dict[str, list[Any]], source: SourceConfig) -> Columns:
    guessed = guess_columns(table)
    names = list(table)
    left, middle, right = st.columns(3)
    key = source.name
    text = left.selectbox("Text", names, index=names.index(guessed.text) if guessed.text in names else 0, key=f"t{key}")
    optional = [NONE, *names]
    picked = {
        role: box.selectbox(
            said, optional, index=optional.index(value) if value in optional else 0, key=f"{role}{key}", help=helps
        )
        for role, box, said, value, helps in (
            ("label", middle, "Label", guessed.label, "What auxiliary tasks tell apart, for example good and bad."),
            ("group", right, "Group", guessed.group, "Known groups (a department, a source): a control for clusters."),
        )
    }
    assert text is not None
    return Columns(text=text, **{role: None if value == NONE else value for role, value in picked.items()})


def _preview(table: dict[str, list[Any]]) -> None:
    rows = len(next(iter(table.values()), []))
    frame = pd.DataFrame({name: [str(cell) for cell in cells[:SHOWN]] for name, cells in table.items()})
    st.dataframe(frame, key="new_rows", hide_index=True)
    st.caption(f"The first {min(SHOWN, rows)} of {rows:,} rows.")


@st.cache_data(max_entries=4, show_spinner="Counting …")
def _counted(source: str, stamp: float) -> dict[str, Any]:
    from metapt_explore.texts.report import data_report
    from metapt_explore.texts.sources import load_source

    return data_report(load_source(SourceConfig.model_validate_json(source)))


def _report(source: SourceConfig) -> None:
    counted = _counted(source.model_dump_json(), _stamp(source))
    shared.data_report(counted, own_labels=source.columns.label is not None, key="new_source_labels")


# ------------------------------------------------------------------------------- labels and the rest


def _labels(table: dict[str, list[Any]], columns: Columns) -> tuple[dict[str, dict[str, str]], bool]:
    """Classes of the auxiliary tasks, and whether the texts have labels."""
    st.markdown("**What do auxiliary tasks tell apart?**")
    if columns.label is None:
        st.caption(
            "The texts have no labels, so the language model gives them some, by these words and without a prompt "
            "(`labelling: {by: zero_shot}`); the Clusters page then says how sure it was."
        )
        guessed = guess_labels(["negative", "positive"])
    else:
        guessed = guess_labels(table[columns.label])
        st.caption("A class for each value of the label column; the word is what the model says for it. Correct both.")
    frame = pd.DataFrame(
        [{"value in the data": of["value"], "class": name, "word": of["word"]} for name, of in guessed.items()]
    )
    edited = st.data_editor(
        frame.head(MOST_CLASSES),
        key=f"classes_{columns.label}",
        hide_index=True,
        num_rows="delete",
        disabled=["value in the data"],
    )
    if len(frame) > MOST_CLASSES:
        st.warning(f"{len(frame)} different values: only the {MOST_CLASSES} commonest can be classes. Is it the label?")
    return labels_of(edited.to_dict(orient="records")), columns.label is not None


def labels_of(rows: list[dict[Hashable, Any]]) -> dict[str, dict[str, str]]:
    """Classes out of the rows of the table; a row without a class is left out.

    Raises:
        UserError: Where two values have one class, or a class has no word.
    """
    labels: dict[str, dict[str, str]] = {}
    for row in rows:
        name = "" if pd.isna(row["class"]) else str(row["class"]).strip()
        word = "" if pd.isna(row["word"]) else str(row["word"]).strip()
        if not name:
            continue
        if name in labels:
            raise UserError(
                f"Two values have the class '{name}': a class stands for one value of the data. Give one of them "
                "another class, or join the values in the file."
            )
        if not word:
            raise UserError(f"The class '{name}' has no word for the model to say.")
        labels[name] = {"value": str(row["value in the data"]), "word": word}
    return labels


def _rest(workspace: Workspace, source: SourceConfig, labels: dict[str, dict[str, str]], labelled: bool) -> None:
    left, middle, right = st.columns(3)
    stem = Path(source.name).stem.rsplit("-", 1)[0] if source.file else source.name.rsplit("/", 1)[-1]
    name = left.text_input("Name of the study", value=study_name(stem, workspace), key=f"study_name_{source.name}")
    n_clusters = middle.number_input("Clusters", 2, 200, 8, key="new_clusters")
    limit = right.number_input("Texts to use, at most", 50, 1_000_000, 2000, 500, key="new_limit")
    template = st.text_area(
        "How a text is read ({text} is the text; the label word comes next)", "{text}\nSentiment:", key="new_template"
    )
    known = packaged_tasks()
    sets = {task: label for label, of in TASK_SETS.items() for task in of}
    tasks = st.multiselect(
        "Downstream tasks, on which prompts are compared",
        known,
        default=[task for task in FIRST_TASKS if task in known],
        format_func=lambda task: f"{task} ({sets[task]})" if task in sets else task,
        key="new_tasks",
        accept_new_options=True,
        help="`starter` tasks come with `metapt setup`; `benchmark` tasks are read from the hub. A task of your own "
        "is a YAML file: write its path.",
    )
    with st.expander("Models", key="new_models"):
        one, other = st.columns(2)
        model = one.text_input("Language model, frozen", ModelConfig().name, key="new_model", help=MODEL_HELP)
        encoder = other.text_input("Sentence encoder, for clusters", EncoderConfig().name, key="new_encoder")
    shots = st.number_input(
        "Labelled examples a class, for tuning and again for dev",
        1,
        500,
        16,
        key="new_shots",
        help="As few as a user of the prompt would have.",
    )
    scale = st.radio(
        "How much?", SCALES, format_func=lambda s: s.name, captions=[s.said for s in SCALES], key="new_scale"
    )
    if not setup_starter.is_set_up():
        st.warning("The starter model is not on this machine yet: `metapt setup` in a terminal fetches it.")
    # In the body, not a callback: a callback is given what the form held when it was last drawn.
    if st.button("Create it and cluster the texts", key="create", type="primary"):
        with shared.guard():
            study = _create(
                workspace, source, labels, tasks, name=name, scale=scale, labelled=labelled, template=template,
                n_clusters=int(n_clusters), limit=int(limit), shots=int(shots), model=model.strip(),
                encoder=encoder.strip(),
            )  # fmt: skip
            shared.look_at(study)
            st.switch_page("metapt_explore/pages/clusters.py")
    st.caption("Clusters come in a moment; pre-training begins when you say so, on the page of that name.")


def _create(
    workspace: Workspace,
    source: SourceConfig,
    labels: dict[str, dict[str, str]],
    tasks: list[str],
    *,
    name: str,
    scale: Scale,
    **chosen: Any,
) -> str:
    """Writes the study and asks for its clusters; returns its name."""
    if (workspace.study_folder(name) / "study.yaml").exists():
        raise UserError(f"The workspace has a study '{name}' already; give this one another name.")
    if not tasks:
        raise UserError("Choose a downstream task, or several: prompts are compared on them.")
    # A path is meant from where this server runs; in the study's file it would be read from the study's folder.
    tasks = [str(Path(t).expanduser().resolve()) if t.endswith((".yaml", ".yml")) else t for t in tasks]
    for task in tasks:
        load_task(task)
    study = new_study(name, source, labels, tasks, scale, **chosen)
    queue.enqueue(workspace, study, until="clusters")
    return study.name
