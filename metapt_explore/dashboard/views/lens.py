"""Prompt lens: prompts against the vocabulary, their similarity, and their predictions for a sentence."""

from __future__ import annotations

import json

import pandas as pd
import streamlit as st

from metapt_explore import plots
from metapt_explore.dashboard.parts import drawing, messages, shared, study_choice
from metapt_explore.dashboard.parts.inference_process import TunedPrompts, ask
from metapt_explore.errors import UserError
from metapt_explore.results.tables import fewshot_entries
from metapt_explore.stages.base import listed_at
from metapt_explore.stages.lens import NOT_FOR_DEEP
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.workspace import Workspace


def _page(workspace: Workspace, name: str) -> None:
    with messages.guard():
        _try(workspace, name)
    st.divider()
    entry = next(iter(shared.entries(workspace, name, "lens")), None)
    artifact = workspace.artifact(entry["id"]) if entry else None
    _offer(workspace, name, artifact)
    if artifact is not None and shared.finished(artifact):
        with messages.guard(artifact.folder):
            vectors = _of_shots(drawing.table(artifact, "vectors"), name)
            _vectors(vectors, [m.name for m in shared.study_config(workspace, name).methods])
            likeness, names = drawing.table(artifact, "similarities"), set(vectors["prompt"])
            _alike(likeness[likeness["first"].isin(names) & likeness["second"].isin(names)])


def _of_shots(vectors: pd.DataFrame, name: str) -> pd.DataFrame:
    """Those of one number of examples, where methods are pre-trained for each."""
    if "shots" not in vectors:
        return vectors
    numbers = [int(shots) for shots in dict.fromkeys(vectors["shots"])]
    chosen = st.selectbox("Pre-trained for so many examples a class", numbers, key=f"lens_shots_{name}")
    return vectors[vectors["shots"] == chosen]


def _offer(workspace: Workspace, name: str, artifact: Artifact | None) -> None:
    """The button that computes the lens, with a note if newer prompts are missing from it."""
    st.header("Prompt vectors")
    kinds = ("prompt", listed_at("prompt", 1))
    listed = [entry for kind in kinds for entry in shared.entries(workspace, name, kind)]
    done = [entry for entry in listed if workspace.artifact(entry["id"]).status == "done"]
    if not done:
        shared.first_prompt_missing(workspace, name)
        return
    if shared.study_config(workspace, name).prompt.placement == "deep":
        st.info(NOT_FOR_DEEP)
        return
    active = shared.job_state(workspace, name)["active"]
    label = "Analyse the prompts" if artifact is None or artifact.status != "done" else "Analyse again"
    if st.button(label, key="look", disabled=active, help="Loads the model and compares the vectors: half a minute."):
        try:
            shared.ask(workspace, shared.study_config(workspace, name), "lens")
        except (UserError, OSError) as error:
            st.error(messages.sentence(error))
            return
        st.rerun()
    job = shared.job_state(workspace, name)
    if active:
        st.info("A job of this study runs or waits; its result appears when it ends.")
    elif artifact is not None and artifact.status == "failed":
        st.error(messages.sentence(f"The analysis failed: {artifact.stage.get('error', 'no reason given')}"))
    elif artifact is None and job.get("status") == "failed":
        st.error(messages.sentence(f"The job failed: {job.get('error', 'no reason given')}"))
    elif artifact is None:
        st.caption("Not analysed yet. The analysis changes no prompt and no score.")
    elif artifact.status == "done":
        seen = set(artifact.stage.get("parents", {}).values())
        missing = [entry for entry in done if entry.get("method") and entry["id"] not in seen]
        if missing:
            st.info(f"{len(missing)} prompts were finished since; analyse again to see them.")


def _vectors(vectors: pd.DataFrame, methods: list[str]) -> None:
    pretrained = vectors[vectors["task"].isna()]
    shown = study_choice.choose(st, "Prompt", list(dict.fromkeys(vectors["prompt"])), key="lens_prompt")
    if shown is None:
        return
    vectors_of_prompt = vectors[vectors["prompt"] == shown]
    drawing.show_table(
        pd.DataFrame(
            {
                "vector": vectors_of_prompt["vector"],
                "nearest tokens": [
                    " · ".join(repr(token)[1:-1] for token in json.loads(n)) for n in vectors_of_prompt["nearest"]
                ],
                "similarity": vectors_of_prompt["similarity"].round(3),
                "length": vectors_of_prompt["norm_ratio"].round(2),
                "drift": vectors_of_prompt["drift"].astype(float).round(3),
                "cosine to init": vectors_of_prompt["cosine_to_start"].astype(float).round(3),
            }
        ),
        key="vectors",
        hide_index=True,
    )
    st.caption(
        "Similarity: cosine with the nearest token; 1 is a token of the vocabulary. Length: relative to the mean of "
        "the vocabulary. Drift: distance from the init (of a tuned prompt: from its pre-training), relative to the "
        "length of the init. Nearest tokens are a hint, not a translation: prompts use directions that no word has."
    )
    drawn = pretrained if shown in set(pretrained["prompt"]) else vectors[vectors["prompt"] == shown]
    drawing.draw(
        plots.prompt_health(drawn, methods),
        "health",
        "A point is a vector of a prompt. Right: further from its init. Up: longer than the average vector of the "
        "vocabulary (dotted: equal; dashed: three times as long or as short, where prompts learn badly).",
    )


def _alike(likeness: pd.DataFrame) -> None:
    st.header("Similarity of prompts")
    moved = st.toggle("Compare changes from the init, not the prompts themselves", value=True, key="lens_moved")
    drawing.draw(
        plots.likeness_map(likeness, "moved" if moved else "cosine"),
        "likeness",
        "Cosine of two prompts, vector by vector. Prompts from one init are alike whatever they learned, so their "
        "changes say more: blue, the same direction; white, unrelated; vermilion, opposite. Changes from different "
        "inits are not compared.",
        wide=True,
    )


# ---------------------------------------------------------------------------------------- try it


def _try(workspace: Workspace, name: str) -> None:
    st.header("Try it")
    config = shared.study_config(workspace, name)
    shots = shared.choose_shots(st, config, key=f"try_shots_{name}")
    scored = [e for e in fewshot_entries(workspace, name, shots) if workspace.artifact(e["id"]).status == "done"]
    if not scored:
        st.caption("Once a prompt is tuned on a task, you can try a sentence under it here.")
        return
    tasks = list(dict.fromkeys(entry["task"] for entry in scored))
    first, second, third = st.columns(3)
    task = first.selectbox("Task", tasks, key=f"try_task_{name}")
    seeds = sorted({entry["init_seed"] for entry in scored if entry["task"] == task})
    init_seed = second.selectbox("Initialisation seed", seeds, key=f"try_init_{name}")
    data_seed = third.selectbox(
        "Data seed", config.evaluation.data_seeds_of(int(init_seed or 0)), key=f"try_data_{name}"
    )
    sentence = st.text_input("A sentence", key="sentence", placeholder="what a film, I would see it again at once")
    if not sentence.strip():
        st.caption("Every method's tuned prompt reads it; the first answer waits for the model to load.")
        return
    used = tuple(e["id"] for e in scored if e["task"] == task and e["init_seed"] == init_seed)
    with st.spinner("Reading …"):
        pair = int(init_seed or 0), int(data_seed or 0)
        answer, left_out = ask(TunedPrompts(str(workspace.folder), name, str(task), *pair, used, shots), sentence)
    readings = {method.name: config.reading_of(method) for method in config.methods}
    by_rows = [name for name, reading in readings.items() if reading.read != "words" and not reading.has_probe]
    for method, why in left_out.items():
        st.warning(messages.sentence(f"Not shown: {method}. {why}"))
    if by_rows:
        st.caption(messages.plain(f"Not shown: {', '.join(by_rows)}, whose classes are read from the few-shot rows."))
    drawing.draw(
        plots.class_shares(answer),
        "answer",
        "Probability of each class under each method's prompt, uncalibrated, of the label words against one another"
        f"{', and beside them the probe' if any(reading.has_probe for reading in readings.values()) else ''}. "
        "One sentence proves nothing about a method.",
    )


shared.show_page("Prompt lens", _page)
