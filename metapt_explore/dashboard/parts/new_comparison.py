"""What a new study compares prompts on and with, and which models it takes."""

from __future__ import annotations

from typing import Any

import streamlit as st

from metapt_explore.config import TASK_SETS, BaselineConfig, EncoderConfig, ModelConfig, packaged_tasks
from metapt_explore.config.families import PLACEMENT_TITLES, placement_title

MODEL_HELP = (
    "A starter model, a folder on this machine, or a name on the hub (google/flan-t5-base, Qwen/Qwen2.5-0.5B …)."
)
OTHER_SHOTS = (1, 2, 4, 8, 16, 32, 64)
#: Default tasks: they come with the starter packages.
FIRST_TASKS = ["rotten_tomatoes", "subjectivity"]


def choose_tasks() -> list[str]:
    """Asks for the downstream tasks: names of packaged ones, paths of the user's own."""
    known = packaged_tasks()
    sets = {task: label for label, of in TASK_SETS.items() for task in of}
    return st.multiselect(
        "Downstream tasks, on which prompts are compared",
        known,
        default=[task for task in FIRST_TASKS if task in known],
        format_func=lambda task: f"{task} ({sets[task]})" if task in sets else task,
        key="new_tasks",
        accept_new_options=True,
        help="`starter` tasks come with `metapt setup`; `benchmark` tasks are read from the hub. A task of your own "
        "is a YAML file: write its path.",
    )


def choose_comparison() -> dict[str, Any]:
    """Asks at how many examples prompts are compared, and with what: settings of `study.new.Choices`."""
    shots = st.number_input(
        "Labelled examples a class, for tuning and again for dev",
        1,
        500,
        16,
        key="new_shots",
        help="As few as a user of the prompt would have.",
    )
    return {"shots": int(shots), **_compared_with(int(shots))}


def choose_models() -> dict[str, Any]:
    """Asks for models and prompt: settings of `study.new.Choices`."""
    with st.expander("Models and prompt", key="new_models"):
        one, other = st.columns(2)
        model = one.text_input("Language model, frozen", ModelConfig().name, key="new_model", help=MODEL_HELP)
        encoder = other.text_input("Sentence encoder, for clusters", EncoderConfig().name, key="new_encoder")
        return {"model": model.strip(), "encoder": encoder.strip(), **_prompt()}


def _compared_with(shots: int) -> dict[str, Any]:
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
