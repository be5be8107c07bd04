"""Pre-training: what each auxiliary task's loss does, while it runs and afterwards."""

from __future__ import annotations

import streamlit as st

from metapt_explore import plots
from metapt_explore.config import MethodConfig, StudyConfig
from metapt_explore.config.support import pretrained_at
from metapt_explore.dashboard.parts import drawing, loss_curves, messages, screening, shared, study_choice
from metapt_explore.dashboard.parts.launch import launch
from metapt_explore.stages.base import listed_at, of_shots
from metapt_explore.storage.workspace import Workspace

#: In the session: the method and seed that the page showed by itself, and those that it shows next. Who has chosen
#: others looks at those undisturbed.
FOLLOWED, FOLLOW_TO = "pretraining_followed", "pretraining_follow_to"


def _page(workspace: Workspace, name: str) -> None:
    config = shared.study_config(workspace, name)
    with messages.guard():
        launch(workspace, name)
    st.header("Losses, task by task")
    pretrained = [method.name for method in config.methods if method.pretrained]
    if not pretrained:
        st.info(
            "No method of this study is pre-trained: PT tunes from its init at once."
            if config.methods
            else "This study compares baselines only: nothing is pre-trained. A method can be added above."
        )
        return
    left, right = st.columns(2)
    meta = [name for name in pretrained if config.method(name).meta_learned]
    active = shared.job_state(workspace, name)["active"]
    seeds = config.evaluation.init_seeds
    # Show the prompt that is being pre-trained.
    first, seed_first = (active and _at_work(workspace, name, methods=pretrained, seeds=seeds)) or (
        (meta or pretrained)[0],
        seeds[0],
    )
    state = st.session_state
    follow = state.pop(FOLLOW_TO, None)
    if follow and follow[0] in pretrained and follow[1] in seeds:  # another study may have been opened since
        state["method"], state["init_seed"] = state[FOLLOWED] = follow
    method = study_choice.choose(left, "Method", pretrained, key="method", first=pretrained.index(first))
    seed = study_choice.choose(right, "Initialisation seed", seeds, key="init_seed", first=seeds.index(seed_first))
    st.caption(
        "PT has no pre-training, so it is not listed. Each initialisation seed is a complete pre-training."
        + (" The page follows the running one, unless you choose another." if active else "")
    )
    if method is None or seed is None:
        return
    chosen = config.method(method)
    shots = _number_of_examples(config, chosen)
    if (method, seed) == (first, seed_first):
        state[FOLLOWED] = (method, seed)

    def curves() -> None:
        with messages.guard():
            if active and state.get(FOLLOWED) == (method, seed):
                now = _at_work(workspace, name, methods=pretrained, seeds=seeds)
                if now and now != (method, seed):
                    state[FOLLOW_TO] = now
                    st.rerun()
            about = of_shots({"method": method, "init_seed": seed}, shots)
            entry = next(iter(shared.entries(workspace, name, listed_at("prompt", shots), **about)), None)
            loss_curves.show(workspace, name, config.at_shots(shots), method=chosen, entry=entry)

    st.fragment(curves, run_every=shared.POLL if active else None, key="live_curves")()
    with messages.guard():
        screening.section(workspace, name, config)
    with messages.guard():
        _agreements(workspace, name)


def _number_of_examples(config: StudyConfig, method: MethodConfig) -> int | None:
    """The number of examples whose pre-training is shown, where each has its own; None is the study's own number."""
    numbers = pretrained_at(config, method)
    if len(numbers) < 2:
        return None
    return st.selectbox(
        "Pre-trained for so many labelled examples a class",
        numbers,
        format_func=lambda shots: str(shots or config.evaluation.shots),
        key="pretrained_at",
        help="`pretraining.support_shots: match`: an inner step sees as many rows of each class.",
    )


def _at_work(workspace: Workspace, name: str, *, methods: list[str], seeds: list[int]) -> tuple[str, int] | None:
    """Method and initialisation seed of the prompt in pre-training; None without one.

    What a killed process left behind says that it is running, too: the last one counts.
    """
    for entry in reversed(shared.entries(workspace, name, "prompt")):
        listed = entry.get("method") in methods and entry.get("init_seed") in seeds
        if listed and workspace.artifact(entry["id"]).status == "running":
            return str(entry["method"]), int(entry["init_seed"])
    return None


def _agreements(workspace: Workspace, name: str) -> None:
    """Cosines of the tasks' gradients, if they were computed."""
    for entry in shared.entries(workspace, name, "agreement"):
        artifact = workspace.artifact(entry["id"])
        if not shared.finished(artifact):
            continue
        with messages.guard(artifact.folder):
            at = f"the prompt of {entry['method']}" if entry.get("method") else "the init that all methods share"
            st.header("Do tasks agree?")
            drawing.draw(
                plots.agreement_map(drawing.table(artifact, "agreement"), artifact.summary["tasks"]),
                f"agreement_{artifact.id}",
                f"Cosine of the gradients of two tasks at {messages.plain(at)}, corrected for noise. Blue: they pull "
                "the prompt the same way; vermilion: against one another. Auxiliary tasks that are blue among "
                "themselves are nearly one task, and learning from them apart adds little to pooling them. Right of "
                "the line: whether a step on an auxiliary task helps a downstream task.",
                wide=True,
            )


shared.show_page("Pre-training", _page)
