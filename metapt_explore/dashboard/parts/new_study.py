"""A new study on the user's own texts: source, columns, size."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from metapt_explore.config import (
    TASK_SETS,
    BaselineConfig,
    ClusteringConfig,
    Columns,
    EncoderConfig,
    ModelConfig,
    SourceConfig,
    load_task,
    packaged_tasks,
)
from metapt_explore.config.families import PLACEMENT_TITLES, placement_title
from metapt_explore.config.task_formats import TaskFormat
from metapt_explore.dashboard.parts import messages, shared, study_choice
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
from metapt_explore.texts.guess import can_be_said, guess_labels, guess_template
from metapt_explore.texts.rows import cell_text

MODEL_HELP = (
    "A starter model, a folder on this machine, or a name on the hub (google/flan-t5-base, Qwen/Qwen2.5-0.5B …)."
)
MOST_CLASSES = 20
EXAMPLE_LETTERS = 60
OTHER_SHOTS = (1, 2, 4, 8, 16, 32, 64)
#: Default tasks: they come with the starter packages.
FIRST_TASKS = ["rotten_tomatoes", "subjectivity"]


def builder(workspace: Workspace) -> None:
    """The form, a step at a time; nothing is written before its last button."""
    st.subheader("A new study on your texts")
    kind = st.segmented_control("Where are they?", KINDS, default=KINDS[0], key="new_kind", required=True)
    source = choose_source(workspace, str(kind))
    if source is None:
        return
    with messages.guard():
        table = table_of(source.model_dump_json(), stamp(source))
        columns = choose_columns(table, source)
        chosen = readable(workspace, source.model_copy(update={"columns": columns}))
        table = table_of(chosen.model_dump_json(), stamp(chosen))  # of its mended copy, where it has one
        preview(table)
        report(chosen)
        formats = [] if columns.label is not None else _formats()
        labels, labelled = ({}, False) if formats else _labels(table, columns)
        _rest(workspace, chosen, labels, labelled=labelled, formats=formats)


def _formats() -> list[str]:
    """Formats of tasks that are made of texts without labels; none where the model shall label them."""
    st.markdown("**The texts have no labels. What is learned from them?**")
    return st.multiselect(
        "Tasks made of the raw texts",
        [name for name, kind in TaskFormat.kinds.items() if name != "labels"],
        default=["cluster_classes"],
        format_func=lambda name: str(TaskFormat.kinds[name].title),
        key="new_formats",
        help="Clusters as classes: which cluster is a text from? Sentence pairs and selection need texts of several "
        "sentences. None chosen: the language model labels the texts, by words that you give it.",
    )


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
    wanted = {label["value"].strip() for label in list(guessed.values())[:MOST_CLASSES]}
    examples = {} if columns.label is None else _examples(table, columns, wanted)
    frame = pd.DataFrame(
        [
            {
                "value in the data": label["value"],
                "class": name,
                "word": label["word"],
                **({"one of its texts": examples.get(label["value"].strip(), "")} if examples else {}),
            }
            for name, label in guessed.items()
        ]
    )
    edited = st.data_editor(
        frame.head(MOST_CLASSES),
        key=f"classes_{columns.label}",
        hide_index=True,
        num_rows="delete",
        disabled=["value in the data", "one of its texts"],
    )
    if len(frame) > MOST_CLASSES:
        st.warning(f"{len(frame)} different values: only the {MOST_CLASSES} commonest can be classes. Is it the label?")
    labels = labels_of(edited.to_dict(orient="records"))
    if unsaid := [label["word"] for label in labels.values() if not can_be_said(label["word"])]:
        st.warning(
            f"{', '.join(messages.plain(word) for word in unsaid)}: a number is no word that the model would say of a "
            "text. Write a word for each in the column *word*."
        )
    return labels, columns.label is not None


def _examples(table: dict[str, list[Any]], columns: Columns, wanted: set[str]) -> dict[str, str]:
    """Each wanted value of the label column to the beginning of its first text."""
    first_texts: dict[str, str] = {}
    for label, text in zip(table[columns.label or ""], table[columns.text], strict=True):
        if len(first_texts) == len(wanted):
            break
        value = "" if label is None else cell_text(label).strip()
        if value in wanted and value not in first_texts and text is not None:
            first_texts[value] = " ".join(str(text).split())[:EXAMPLE_LETTERS]
    return first_texts


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


def _rest(
    workspace: Workspace,
    source: SourceConfig,
    labels: dict[str, dict[str, str]],
    *,
    labelled: bool,
    formats: list[str],
) -> None:
    left, right = st.columns(2)
    stem = title_of(Path(source.file), workspace) if source.file else source.name.rsplit("/", 1)[-1]
    name = left.text_input("Name of the study", value=study_name(stem, workspace), key=f"study_name_{source.name}")
    limit = right.number_input("Texts to use, at most", 50, 1_000_000, 2000, 500, key="new_limit")
    grouping = _grouping(source)
    guessed = guess_template(source.columns, labels) if labelled else "{text}\nSentiment:"
    template = guessed
    if not formats:
        template = st.text_area(
            "How a text is read ({text} is the text; the label word comes next)",
            guessed,
            key=f"new_template_{source.name}_{guessed}",  # another file, another guess
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
    shots = st.number_input(
        "Labelled examples a class, for tuning and again for dev",
        1,
        500,
        16,
        key="new_shots",
        help="As few as a user of the prompt would have.",
    )
    comparison = _comparison(int(shots))
    with st.expander("Models and prompt", key="new_models"):
        one, other = st.columns(2)
        model = one.text_input("Language model, frozen", ModelConfig().name, key="new_model", help=MODEL_HELP)
        encoder = other.text_input("Sentence encoder, for clusters", EncoderConfig().name, key="new_encoder")
        prompt = _prompt()
    scale = st.radio(
        "How much?", SCALES, format_func=lambda s: s.name, captions=[s.said for s in SCALES], key="new_scale"
    )
    if not setup_starter.is_set_up():
        st.warning("SmolLM2-135M-Instruct, rounded to 4 bits, is not on this machine yet: run `metapt setup`.")
    # In the body: a callback would get the values of the last redraw.
    if st.button("Create it and cluster the texts", key="create", type="primary"):
        with messages.guard():
            study = _create(
                workspace, source, labels=labels, tasks=tasks, name=name, scale=scale, labelled=labelled,
                formats=formats, template=template, limit=int(limit), shots=int(shots), model=model.strip(),
                encoder=encoder.strip(), **grouping, **comparison, **prompt,
            )  # fmt: skip
            study_choice.look_at(study)
            st.switch_page(shared.page_file("clusters"))
    st.caption("Clusters come in a moment; pre-training begins when you say so, on the page of that name.")


def _grouping(source: SourceConfig) -> dict[str, Any]:
    """How texts become auxiliary tasks."""
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    kinds = ClusteringConfig.kinds
    offered = [algorithm for algorithm, facts in kinds.items() if facts.offered(grouped=bool(source.columns.group))]
    algorithms = left.multiselect(
        "Texts are grouped by",
        offered,
        default=["kmeans"],
        format_func=lambda algorithm: kinds[algorithm].title,
        key=f"new_algorithms_{source.columns.group}",
        help="MetaPT learns on the groups of each, so each costs one more pre-training a seed.",
    )
    n_clusters = right.number_input("Clusters", 2, 200, 8, key="new_clusters")
    control = st.checkbox(
        "Also on random groups of the same sizes",
        value=True,
        key="new_control",
        help="The control: does the meaning of the groups matter, or would any groups do?",
    )
    return {"algorithms": algorithms, "n_clusters": int(n_clusters), "control": control}


def _prompt() -> dict[str, Any]:
    """How long the prompt is and where it stands."""
    one, other = st.columns(2)
    length = one.number_input("Vectors of the prompt", 1, 1000, 8, key="new_length")
    placement = other.selectbox(
        "Where it stands",
        [None, *PLACEMENT_TITLES],
        format_func=lambda place: "where the model's family has it first" if place is None else placement_title(place),
        key="new_placement",
        help="A placement that the model cannot do is refused before anything is computed.",
    )
    return {"length": int(length), "placement": placement}


def _comparison(shots: int) -> dict[str, Any]:
    """What prompts are compared with, and at how many examples."""
    with st.expander("Compared with", key="new_comparison"):
        st.caption("Always: prompt tuning from the same start (PT), and pooled pre-training (PPT).")
        probe = st.checkbox(
            "The same prompts read beside a probe of the frozen model, too",
            value=True,
            key="new_probe",
            help="Logistic regression on the model's states of the few labelled rows has a say beside the label words, "
            "weighed on dev. Three more rows of the comparison, and nothing more to tune.",
        )
        baselines = st.multiselect(
            "Other ways to use the same few rows",
            list(BaselineConfig.kinds),
            default=["tfidf"],
            format_func=lambda kind: BaselineConfig.kinds[kind].title,
            key="new_baselines",
        )
        more_shots = st.multiselect(
            "Scored with other numbers of labelled examples, too",
            [count for count in OTHER_SHOTS if count != shots],
            key="new_more_shots",
            help="For the curve of label efficiency; each costs as much tuning again.",
        )
    return {"probe": probe, "baselines": baselines, "more_shots": sorted(more_shots)}


def _create(
    workspace: Workspace,
    source: SourceConfig,
    *,
    labels: dict[str, dict[str, str]],
    tasks: list[str],
    name: str,
    scale: Scale,
    **chosen: Any,
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
    study = new_study(name, source, labels, tasks=tasks, scale=scale, choices=Choices(**chosen))
    shared.ask(workspace, study, "clusters")
    return study.name
