"""Pre-training: what each auxiliary task's loss does, while it runs and afterwards."""

from __future__ import annotations

import time
from math import log

import pandas as pd
import streamlit as st

from metapt_explore import plots
from metapt_explore.config import MetaPTMethod, MethodConfig, PretrainingConfig, StudyConfig
from metapt_explore.config.support import pretrained_at
from metapt_explore.dashboard.parts import drawing, messages, screening, shared, study_choice
from metapt_explore.dashboard.parts.format_view import mean_of_formats
from metapt_explore.dashboard.parts.launch import launch
from metapt_explore.errors import UserError
from metapt_explore.pretraining.budget import outer_steps
from metapt_explore.progress.state import format_time
from metapt_explore.stages.base import listed_at, of_shots
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.checkpoint import checkpoint_meta
from metapt_explore.storage.studies import IndexEntry
from metapt_explore.storage.workspace import Workspace

PANELS = "One panel per auxiliary task, highest last query loss first; an outer step draws only some tasks. "
PANELS_OF_FORMATS = "One panel per format: the mean over the tasks that an outer step draws of it. "
CAPTION_META = (
    "Dotted: loss on support rows before the inner steps. Dashed: the same after them; the gap is what they gain. "
    "Solid: loss on query rows after the inner steps, which meta-learning lowers: where it falls, the init gets "
    "better. Points are single episodes; with many, lines are running means of seven. "
)
CAPTION_OWN = (
    "One panel per auxiliary task, highest last loss first: the loss of the rows that an outer step draws from the "
    "task, at the task's own prompt. Points are single episodes; with many, lines are running means of seven. "
)
CAPTION_POOLED = (
    "Loss on the label-balanced batch that each outer step draws from all texts. Where it falls, the "
    "prompt learns the pooled task; batches differ, so points jump. "
)

#: What the budget of row passes means for an outer step that costs more.
BUDGETS = {
    "rows": "every pre-training method gets the same number, so a method whose outer steps cost more takes fewer.",
    "updates": "every pre-training method takes equally many outer steps, so one whose steps cost more gets more.",
}

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
            _curves(workspace, name, config.at_shots(shots), method=chosen, entry=entry)

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
            )


def _curves(
    workspace: Workspace, name: str, config: StudyConfig, *, method: MethodConfig, entry: IndexEntry | None
) -> None:
    what = f"the pre-training of {method.name}"
    artifact = workspace.artifact(entry["id"]) if entry else None
    status = artifact.status if artifact else "missing"
    if artifact is None or status in ("missing", "damaged"):
        shared.ready(workspace, name, entry, what=what, job_shown=True)
        return
    # Before the prompt's guard: these files belong to other artifacts.
    names = _names(workspace, name, method)
    with messages.guard(artifact.folder):
        if status == "failed":
            shared.ready(workspace, name, entry, what=what, job_shown=True)
        elif status != "done" and not shared.job_state(workspace, name)["active"]:
            status = "interrupted"
            st.warning(
                "This pre-training is not finished and no job runs it. Unless a notebook computes it right now: "
                "Resume on the Start page goes on from its last checkpoint."
            )
            shared.go_to_start()
        metrics = artifact.metrics
        if method.topic_tasks is not None:
            names |= _topic_names(workspace, artifact, method.topic_tasks.clusterings)
        shared_settings = config.pretraining
        _numbers(artifact, status, metrics, steps=outer_steps(method, shared_settings), sizes=shared_settings)
        if status == "done" and metrics.empty:
            raise UserError(
                f"{artifact.folder} is damaged: metrics.jsonl is missing or holds no line that can be read."
            )
        if config.auxiliary_tasks.formats:
            metrics, names = mean_of_formats(metrics, workspace.artifact(artifact.stage["parents"]["tasks"]))
        figure = plots.meta_loss(metrics, names)
        panels = PANELS_OF_FORMATS if config.auxiliary_tasks.formats else PANELS
        caption = panels + CAPTION_META if method.meta_learned else CAPTION_POOLED
        if method.meta_learned and not isinstance(method, MetaPTMethod):
            caption = CAPTION_OWN
        topics = " Panels of topics tell clusters apart: a guess there costs the logarithm of their number."
        drawing.draw(figure, "meta_loss", caption + guessing(config) + (topics if method.topic_tasks else ""))


def _numbers(artifact: Artifact, status: str, metrics: pd.DataFrame, *, steps: int, sizes: PretrainingConfig) -> None:
    summary, stage = artifact.summary, artifact.stage
    finished = 0 if metrics.empty else int(metrics["step"].max()) + 1
    # Earlier attempts count: their seconds stand in the stage from its beginning.
    # Never negative, even if the clock was set back.
    running = max(0.0, time.time() - stage["began"]) if status == "running" else 0.0
    spent = float(stage.get("seconds", 0.0)) + running
    if status == "interrupted":
        # A killed process recorded no time; its last checkpoint did.
        spent = max(spent, float(checkpoint_meta(artifact.folder).get("seconds", 0.0)))
    shown = [
        ("Status", "finished" if status == "done" else status),
        ("Outer steps", f"{finished} of {steps}"),
        ("Row passes", f"{summary['row_passes']:,}" if status == "done" else "…"),
        ("Diagnostic rows", f"{summary['diagnostic_rows']:,}" if status == "done" else "…"),
        ("Time", format_time(spent)),
    ]
    rows = sizes.meta_batch_size * (sizes.support_size + sizes.query_size)
    rate = _rows_a_second(artifact, status, finished=finished, spent=spent, rows=rows)
    if rate is not None:
        shown.append(("Rows a second", f"{rate:.1f}"))
    for column, (label, value) in zip(st.columns(len(shown)), shown, strict=True):
        column.metric(label, value)
    st.caption(
        "A row pass is one text forward and backward through the language model; "
        f"{BUDGETS[sizes.budget]} Diagnostic rows went forward only, for "
        f"these curves, and are counted apart.{_found(artifact) if status == 'done' else ''}"
    )


def _rows_a_second(artifact: Artifact, status: str, *, finished: int, spent: float, rows: int) -> float | None:
    """Rows that were trained in a second; None before anything is known.

    Args:
        artifact: The pre-training.
        status: How it stands.
        finished: Outer steps.
        spent: Seconds.
        rows: Rows of an outer step of first order.
    """
    if status == "done":
        telemetry = artifact.folder / "telemetry.parquet"
        seconds = float(artifact.table("telemetry")["seconds"].iloc[0]) if telemetry.exists() else spent
        return float(artifact.summary["row_passes"]) / seconds if seconds > 0 else None
    return finished * rows / spent if finished > 1 and spent > 0 else None


def _found(artifact: Artifact) -> str:
    """Hit rate of the cache of text states, if the model has one."""
    if not (artifact.folder / "telemetry.parquet").exists():
        return ""
    rate = artifact.table("telemetry").iloc[0].get("state_hit_rate")
    if rate is None or pd.isna(rate):
        return ""
    return f" {rate:.0%} of the text states came from the cache."


def guessing(config: StudyConfig) -> str:
    """The loss of a guess, for comparison."""
    if config.verbalizer.decode == "whole_vocabulary":
        return "Label words compete with every token, so a guess between the labels costs more than its logarithm."
    if config.auxiliary_tasks.formats:
        return "A guess between n classes costs ln n nats: 0.69 for two, 1.10 for three, 1.39 for four."
    classes = len(config.auxiliary_tasks.labels)
    return f"ln {classes} ≈ {log(classes):.2f} nats is guessing between {classes} labels."


def _topic_names(workspace: Workspace, artifact: Artifact, clusterings: list[str]) -> dict[int, str]:
    """Names of topic tasks; their numbers follow those of label tasks."""
    sizes = workspace.artifact(artifact.stage["parents"]["tasks"]).summary.get("sizes", {})
    first = max(map(int, sizes), default=-1) + 1
    return {first + index: f"topics of {name}" for index, name in enumerate(clusterings)}


def _names(workspace: Workspace, name: str, method: MethodConfig) -> dict[int, str]:
    """Cluster names by task number; empty if unknown."""
    if len(method.clusterings) > 1:
        entry = next(iter(shared.entries(workspace, name, "tasks", clustering=" + ".join(method.clusterings))), None)
        named = workspace.artifact(entry["id"]).summary.get("names", {}) if entry else {}
        return {int(task): str(label) for task, label in named.items()}
    if shared.study_config(workspace, name).auxiliary_tasks.classes == "clusters":
        return _cluster_words(workspace, name, method)
    clusters = _done(workspace, name, kind="clusters", method=method)
    if clusters is not None:
        with messages.guard(clusters.folder):
            return {int(cluster["cluster"]): str(cluster["name"]) for cluster in clusters.summary["clusters"]}
    return {}


def _cluster_words(workspace: Workspace, name: str, method: MethodConfig) -> dict[int, str]:
    """Classes of tasks whose classes are clusters: each word with its cluster."""
    artifacts = [_done(workspace, name, kind=kind, method=method) for kind in ("tasks", "clusters")]
    tables = []
    for artifact, columns in zip(artifacts, (["task", "label", "row"], ["row", "cluster"]), strict=True):
        if artifact is None:
            return {}
        with messages.guard(artifact.folder):
            tables.append(drawing.table(artifact, artifact.stage["kind"])[columns])
    if len(tables) < 2:
        return {}
    tasks, clusters = tables
    of_row = clusters.set_index("row")["cluster"]
    words: dict[int, list[str]] = {}
    for task, label, row in tasks.drop_duplicates(["task", "label"]).itertuples(index=False):
        words.setdefault(int(task), []).append(f"{label}: cluster {of_row[row]}")
    return {task: ", ".join(entries) for task, entries in words.items()}


def _done(workspace: Workspace, name: str, *, kind: str, method: MethodConfig) -> Artifact | None:
    """The finished artifact of the method's clustering, if any."""
    entry = next(iter(shared.entries(workspace, name, kind, clustering=" + ".join(method.clusterings))), None)
    artifact = workspace.artifact(entry["id"]) if entry else None
    return artifact if artifact is not None and shared.finished(artifact) else None


shared.show_page("Pre-training", _page)
