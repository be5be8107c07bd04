"""What a new study compares prompts on and with, and which models it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from metapt_explore import hub
from metapt_explore.config import (
    TASK_SETS,
    BaselineConfig,
    ModelConfig,
    SourceConfig,
    packaged_tasks,
)
from metapt_explore.config.families import PLACEMENT_TITLES, placement_title
from metapt_explore.config.fixed_recipe import FEW_DEV_ROWS
from metapt_explore.dashboard.parts import messages, model_field, own_task, shared
from metapt_explore.dashboard.parts.new_labels import Told
from metapt_explore.study.new import FIXED_RECIPE, SCALES
from metapt_explore.study.own_task import OwnTask, Sizes

MODEL_HELP = (
    "A starter model, a folder on this machine, or a name on the hub (google/flan-t5-base, Qwen/Qwen2.5-0.5B …)."
)
OTHER_SHOTS = (1, 2, 4, 8, 16, 32, 64)
USUAL_SHOTS = 16
METRICS = {"accuracy": "accuracy", "macro_f1": "macro F1 (classes of unequal size)"}
#: Default tasks where the labels of the texts make none: they come with the starter packages.
FIRST_TASKS = ["rotten_tomatoes", "subjectivity"]


@dataclass(frozen=True)
class Compared:
    """On what prompts are compared, and with what.

    Attributes:
        tasks: Names of packaged tasks, paths of the user's own.
        own: The task on the labels of the texts themselves; None without one.
        choices: Settings of `study.new.Choices`.
        problems: Why no study can be made so, a sentence each.
    """

    tasks: list[str]
    own: OwnTask | None
    choices: dict[str, Any]
    problems: tuple[str, ...]

    @property
    def rows(self) -> tuple[int, ...] | None:
        """Rows of the source that are left for pre-training; None for all."""
        return None if self.own is None else self.own.rest


def choose_comparison(source: SourceConfig, told: Told, name: str) -> Compared:
    """Asks for the downstream tasks and the number of examples.

    Args:
        source: The source, with its columns.
        told: What auxiliary tasks tell apart: an own task has the same labels.
        name: What the study is called so far; an own task has the same name.
    """
    labels = told.config if told.labelled else None
    possible = None if labels is None else own_task.plan(source, labels, name=name, sizes=Sizes())
    proposed = 0 if possible is None else possible.proposed_shots
    shared.suggest("new_shots", proposed or USUAL_SHOTS, (source.name, source.columns.model_dump_json()))
    shots = int(
        st.number_input(
            "Labelled examples a class, for tuning and again for dev",
            1,
            500,
            key="new_shots",
            help="As few as a user of the prompt would have.",
        )
    )
    aside = st.container()
    with st.expander("Other tasks, other numbers of examples, what prompts are compared with", key="new_comparison"):
        others = st.container()
        ticked = possible is not None and proposed and st.session_state.get(own_task.TICK, True)
        most = possible.most_shots if possible is not None and ticked else max(OTHER_SHOTS)
        choices = {
            "shots": shots,
            **_compared_with([count for count in OTHER_SHOTS if count != shots and count <= most]),
        }
    with aside:
        _say_fixed(shots, choices["more_shots"])
        own = None
        if proposed:
            scale = st.session_state.get("new_scale", SCALES[0]).evaluation
            sizes = Sizes(max(shots, *choices["more_shots"], 0), len(scale["data_seeds"]), scale["test_rows"])
            own = own_task.own_task(source, labels, name=name, sizes=sizes)
        elif labels is not None:
            st.info(
                "Some labels have too few different texts (6 are needed) to compare prompts on them, so packaged tasks "
                "are taken. Take rare labels out of the table above, or add texts."
            )
    with others:
        tasks = _tasks(own)
        choices["all_rows"] = _all_rows(tasks)
    if own is None and tasks:
        aside.caption(messages.sentence(f"Prompts are compared on {', '.join(tasks)}. Choose other tasks below."))
    problems = [] if own is None else list(own.problems)
    if own is None and not tasks:
        problems.append("Choose a downstream task, or several: prompts are compared on them.")
    return Compared(tasks, own, choices, tuple(messages.sentence(problem) for problem in problems))


def _tasks(own: OwnTask | None) -> list[str]:
    """Downstream tasks beside the user's own."""
    known = packaged_tasks()
    sets = {task: label for label, of in TASK_SETS.items() for task in of}
    shared.suggest("new_tasks", [] if own else [task for task in FIRST_TASKS if task in known], own is None)
    return st.multiselect(
        "Other downstream tasks" if own else "Downstream tasks, on which prompts are compared",
        known,
        format_func=lambda task: f"{task} ({sets[task]})" if task in sets else task,
        key="new_tasks",
        accept_new_options=True,
        help="`starter` tasks come with `metapt setup`; `benchmark` tasks are read from the hub. A task of your own "
        "is a YAML file: write its path.",
    )


def _all_rows(tasks: list[str]) -> list[str]:
    """Asks for the tasks that take every training row; files as they were written, and as a study names them."""
    chosen = st.multiselect(
        "Every training row, whatever the number of examples, of",
        tasks,
        key="new_all_rows",
        help="For published sets of a few dozen rows with unequal classes. Dev is the task's dev file; where train and "
        "dev are one source, half of each class.",
    )
    files = [task for task in chosen if task.endswith((".yaml", ".yml"))]
    return [*chosen, *(str(Path(file).expanduser().resolve()) for file in files)]


def _say_fixed(shots: int, more_shots: list[int]) -> None:
    """Says where nothing is chosen on dev."""
    few = sorted(count for count in {shots, *more_shots} if count <= FEW_DEV_ROWS)
    if few:
        st.caption(
            f"At {' and '.join(map(str, few))} example{'s' * (few != [1])} a class dev has as few rows, and choosing "
            f"by them would be luck: there every prompt is tuned for {FIXED_RECIPE['steps']} steps at the one learning "
            f"rate {FIXED_RECIPE['learning_rate']}, fixed beforehand."
        )


def choose_models() -> dict[str, Any]:
    """Asks for models and prompt: settings of `study.new.Choices`."""
    with st.expander("Models and prompt", key="new_models"):
        one, other = st.columns(2)
        model = one.text_input("Language model, frozen", ModelConfig().name, key="new_model", help=MODEL_HELP)
        with other:
            encoder = model_field.choose(
                "Sentence encoder, for clusters and for rivals that name no other",
                model_field.ENCODERS,
                key="new_encoder",
                kind=hub.ENCODER,
            )
        return {"model": model.strip(), "encoder": encoder, **_prompt(), **_more()}


def _more() -> dict[str, Any]:
    """How much of a text is read, the score that counts, and the seed."""
    one, two, three = st.columns(3)
    tokens = one.number_input(
        "Tokens of a text that the language model reads",
        8,
        4096,
        40,
        8,
        key="new_max_text_tokens",
        help="A token is most of a word. Longer texts are cut; twice as many take about twice the time.",
    )
    metric = two.selectbox(
        "Score that the verdict is of",
        list(METRICS),
        format_func=lambda name: METRICS[name],
        key="new_metric",
        help="Macro F1 counts every class alike, however rare. Both are always shown.",
    )
    seed = three.number_input(
        "Seed", 0, 2**31 - 1, 0, key="new_seed", help="Of the sample of texts, the clusters and the drawn rows."
    )
    return {"max_text_tokens": int(tokens), "metric": metric, "seed": int(seed)}


def _compared_with(other_shots: list[int]) -> dict[str, Any]:
    """What prompts are compared with, and at how many other numbers of examples."""
    more_shots = st.multiselect(
        "Scored with other numbers of labelled examples, too",
        other_shots,
        key="new_more_shots",
        help="For the curve of label efficiency; each costs as much tuning again.",
    )
    st.caption("Compared are always prompt tuning from the same start (PT), and pooled pre-training (PPT).")
    probe = st.checkbox(
        "The same prompts read beside a probe of the frozen model, too",
        value=True,
        key="new_probe",
        help="Logistic regression on the model's states of the few labelled rows has a say beside the label words, "
        "weighed on dev. Three more rows of the comparison, and nothing more to tune.",
    )
    together = st.checkbox(
        "Readers together: *PPT and probe* averaged with a logistic regression on embeddings",
        key="new_together",
        disabled=not probe,
        help="The best of thirteen rivals on the recorded starter tasks. Embeddings are the sentence encoder's, or of "
        "the one that you choose for *logistic regression on embeddings* below.",
    )
    baselines = st.multiselect(
        "Other ways to use the same few rows",
        [kind for kind, cls in BaselineConfig.kinds.items() if not cls.combines],
        default=["tfidf"],
        format_func=lambda kind: BaselineConfig.kinds[kind].title,
        key="new_baselines",
    )
    own = [_rival(kind) for kind in baselines]
    return {
        "probe": probe, "together": together and probe, "baselines": own, "more_shots": sorted(more_shots),
    }  # fmt: skip


def _rival(kind: str) -> str | dict[str, str]:
    """A rival as a study lists it: its kind, and a model of its own where another than usual is chosen."""
    fields = BaselineConfig.kinds[kind].model_fields
    title = BaselineConfig.kinds[kind].title
    for key, nothing in (("encoder", "the study's sentence encoder"), ("model", "")):
        if key not in fields:
            continue
        offered: Sequence[str] = model_field.ENCODERS if key == "encoder" else (fields[key].default,)
        if kind == "static_embeddings":
            offered = model_field.STATIC_MODELS
        named = {"encoder": hub.ENCODER, "model": hub.STATIC if kind == "static_embeddings" else hub.CLASSIFIER}
        label = f"{'Encoder' if key == 'encoder' else 'Model'} of *{title}*"
        chosen = model_field.choose(label, offered, key=f"new_{key}_{kind}", kind=named[key], nothing=nothing)
        if chosen is not None and chosen != fields[key].default:
            return {"name": kind, "kind": kind, key: chosen}
    return kind


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
