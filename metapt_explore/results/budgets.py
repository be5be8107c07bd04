"""What each method of a study spent and was given, from its artifacts: the facts that a fair comparison rests on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from metapt_explore.config import BaselineConfig, MethodConfig, PTMethod, StudyConfig
from metapt_explore.pretraining.budget import tuning_of
from metapt_explore.results.readers import readers_of
from metapt_explore.results.tables import ordered_index, seconds_of, tuned_by
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.studies import IndexEntry
from metapt_explore.storage.workspace import Workspace

#: What a baseline may run beside the study's own models, as its summary begins.
OWN_MODELS = ("sentence encoder", "sequence classifier", "static embeddings")


class Budget(TypedDict, total=False):
    """What one method spent and was given. Keys that a baseline does not have are missing or None.

    Attributes:
        method: Its name.
        kind: Its kind.
        start: What the prompt began from.
        pretraining_row_passes: Rows forward and backward of one pre-training.
        pretraining_updates: Outer steps of one pre-training.
        diagnostic_rows: Rows apart from the budget, of one pre-training.
        tuning_row_passes: Rows forward and backward of one score's tuning, mean.
        forward_rows: Rows forward only of one score, to choose and to score; None where they were not counted.
        tuning_row_passes_of_a_rate: Of one rate that is never dropped: what is compared between methods.
        learning_rates: Rates that were tried.
        tuning_steps: Tuning steps.
        extra_tuning: Whether it tunes for as many rows as others spend on pre-training.
        proximal: How strongly tuning is pulled back to the start.
        choice: How dev chose, or ``last``: nothing was chosen.
        kept_rates: Whether tuning goes by inner rates that pre-training learned.
        begins: What each data seed's tuning begins from; empty where all begin from the prompt as it is.
        average_last: Share of the last outer steps that its prompt is the mean over; None without pre-training.
        auxiliary: What its auxiliary tasks tell apart.
        reading: How classes are read.
        selected_on: Where settings were chosen.
        data_seeds: Few-shot samples.
        init_seeds: Initialisation seeds; None for baselines without.
        tasks: Downstream tasks.
        shots: Labelled examples a class.
        trained_parameters: Numbers that are trained.
        seconds: Of tuning and scoring, mean of a score.
        pretraining_seconds: Mean.
        peak_mib: The highest; None where it was not measured.
        made_by: Package with its version, and model of its own, of a baseline that has one.
    """

    method: str
    kind: str
    start: str
    pretraining_row_passes: float
    pretraining_updates: float
    diagnostic_rows: float
    tuning_row_passes: float
    forward_rows: float | None
    tuning_row_passes_of_a_rate: float
    learning_rates: list[float] | None
    tuning_steps: int | None
    extra_tuning: bool
    proximal: float
    choice: str
    kept_rates: bool
    begins: str
    average_last: float | None
    auxiliary: str
    reading: str
    selected_on: str
    data_seeds: list[int]
    init_seeds: list[int] | None
    tasks: list[str]
    shots: int
    trained_parameters: int
    seconds: float
    made_by: str
    pretraining_seconds: float
    peak_mib: float | None


def method_budgets(workspace: Workspace, study: StudyConfig) -> list[Budget]:
    """The budget of each method of which something is finished."""
    index = ordered_index(workspace, study.name)

    def of(name: str) -> list[IndexEntry]:
        return [entry for entry in index if entry.get("method") == name]

    budgets = [_budget(workspace, study, method, of(method.name)) for method in study.methods]
    budgets += [_baseline_budget(workspace, study, baseline, of(baseline.name)) for baseline in study.baselines]
    return [budget for budget in budgets if budget is not None]


def _budget(workspace: Workspace, study: StudyConfig, method: MethodConfig, entries: list[IndexEntry]) -> Budget | None:
    prompts, scores, tasks = [], [], []
    for entry in entries:
        artifact = workspace.artifact(entry["id"])
        if not artifact.finished:
            continue
        if entry["kind"] == "prompt":
            prompts.append(artifact)
        elif entry["kind"] == "fewshot":
            scores.append(artifact)
            tasks.append(entry["task"])
    if not prompts or not scores:
        return None
    configs = [artifact.stage["config"] for artifact in scores]
    cells = sum(len(config["data_seeds"]) for config in configs)
    tuned = tuning_of(method, study)
    tuning = [tuned_by(workspace, artifact) for artifact in scores]
    stages = [*(artifact.stage for artifact in (*prompts, *scores)), *tuning]
    peaks = [stage["peak_mib"] for stage in stages if stage.get("peak_mib") is not None]
    width = next(iter(prompts[0].tensors("prompt").values())).shape[-1]
    return {
        "method": method.name,
        "kind": method.kind,
        "start": json.dumps(prompts[0].stage["config"]["init"], sort_keys=True),
        "pretraining_row_passes": _mean([artifact.summary.get("row_passes", 0) for artifact in prompts]),
        "pretraining_updates": _mean([artifact.summary.get("outer_steps", 0) for artifact in prompts]),
        "diagnostic_rows": _mean([artifact.summary.get("diagnostic_rows", 0) for artifact in prompts]),
        "tuning_row_passes": sum(artifact.summary.get("row_passes", 0) for artifact in scores) / max(cells, 1),
        "forward_rows": _forward([artifact.summary for artifact in scores], cells),
        # Of one rate that is never dropped: what is compared between methods.
        "tuning_row_passes_of_a_rate": sum(map(_of_steps, scores))
        / max(cells, 1)
        * tuned.steps
        / max(1, sum(tuned.rates_running)),
        "learning_rates": sorted({rate for config in configs for rate in config["learning_rates"]}),
        "tuning_steps": max(config["steps"] for config in configs),
        "extra_tuning": isinstance(method, PTMethod) and method.extra_tuning,
        "proximal": tuned.proximal,
        "choice": tuned.select_by + (f", mean of the best {tuned.soup}" if tuned.soup > 1 else ""),
        "kept_rates": method.keeps_rates,
        "begins": _begins(method),
        "average_last": study.pretraining_of(method).average_last if method.pretrained else None,
        "auxiliary": _auxiliary(method),
        "reading": study.reading_of(method).sentence or "By label words.",
        "selected_on": "none" if tuned.select_by == "last" else "dev",
        "data_seeds": sorted({seed for config in configs for seed in config["data_seeds"]}),
        "init_seeds": sorted({config["init_seed"] for config in configs}),
        "tasks": list(dict.fromkeys(tasks)),
        "shots": study.evaluation.shots,
        "trained_parameters": (max(1, round(method.tuned_share * study.prompt.length)) + method.added_vectors)
        * int(width)
        + max(artifact.summary.get("probe_parameters", 0) for artifact in scores),
        "seconds": sum(stage.get("seconds", 0.0) for stage in (*(a.stage for a in scores), *tuning)) / max(cells, 1),
        "pretraining_seconds": _mean([artifact.stage.get("seconds", 0.0) for artifact in prompts]),
        "peak_mib": max(peaks) if peaks else None,
    }


def _of_steps(score: Artifact) -> float:
    """Row passes of a score's tuning steps, without those that chose among several starts."""
    return float(score.summary.get("row_passes", 0) - score.summary.get("choosing_row_passes", 0))


def _begins(method: MethodConfig) -> str:
    """What each data seed's tuning begins from, where that is not the prompt as it is."""
    if method.mixture is not None:
        return f"a mixture of several starts that its few-shot rows choose ({method.mixture['mixture']})"
    if method.added_vectors:
        return f"the prompt with {method.added_vectors} vectors of its few-shot rows behind it"
    return "its few-shot rows" if method.from_demonstrations else ""


def _auxiliary(method: MethodConfig) -> str:
    """What its auxiliary tasks tell apart."""
    topics = method.topic_tasks
    if topics is None:
        return "one kind of task"
    share = f"{100 * topics.share:.0f} %"
    return f"{share} topics of {' + '.join(topics.clusterings)}"


def _baseline_budget(
    workspace: Workspace, study: StudyConfig, baseline: BaselineConfig, entries: list[IndexEntry]
) -> Budget | None:
    """What a baseline spent; terms that it does not have (a start, a pre-training) are None or 0."""
    made = [(entry, workspace.artifact(entry["id"])) for entry in entries if entry["kind"] == "baseline"]
    made = [(entry, artifact) for entry, artifact in made if artifact.finished]
    if not made:
        return None
    stages, summaries = [artifact.stage for _, artifact in made], [artifact.summary for _, artifact in made]
    # Of an ensemble with all that it combines.
    seconds = [seconds_of(workspace, artifact) for _, artifact in made]
    readers = [reader for _, artifact in made for reader in readers_of(workspace, artifact)]
    cells = sum(len(stage["config"]["data_seeds"]) for stage in stages)
    run = [*stages, *(reader.stage for reader in readers)]
    peaks = [stage["peak_mib"] for stage in run if stage.get("peak_mib") is not None]
    inits = sorted({stage["config"]["init_seed"] for stage in stages if "init_seed" in stage["config"]})
    rates = sorted({rate for stage in stages for rate in stage["config"].get("learning_rates") or ()})
    budget: Budget = {
        "method": baseline.name,
        "kind": baseline.kind,
        "pretraining_row_passes": _mean([_pretraining_passes(workspace, artifact) for _, artifact in made]),
        "diagnostic_rows": 0.0,
        "tuning_row_passes": sum(summary.get("row_passes") or 0 for summary in summaries) / max(cells, 1),
        "forward_rows": _forward(summaries, cells),
        "learning_rates": rates or None,
        "tuning_steps": None,
        "selected_on": "dev",
        "data_seeds": sorted({seed for stage in stages for seed in stage["config"]["data_seeds"]}),
        "init_seeds": inits or None,
        "tasks": list(dict.fromkeys(entry["task"] for entry, _ in made)),
        "shots": study.evaluation.shots,
        "trained_parameters": max((summary.get("trained_parameters") or 0) for summary in summaries),
        "seconds": sum(own for own, _ in seconds) / max(cells, 1),
        "pretraining_seconds": _mean([before for _, before in seconds]),
        "peak_mib": max(peaks) if peaks else None,
    }
    if by := made_by(summaries[0]):
        budget["made_by"] = by
    return budget


def _pretraining_passes(workspace: Workspace, score: Artifact) -> float:
    """Row passes of the pre-trainings behind an ensemble, each once; 0 for other baselines."""
    parents = [reader.stage.get("parents", {}) for reader in readers_of(workspace, score)]
    prompts = {each["prompt"] for each in parents if "prompt" in each}
    return float(sum(workspace.artifact(prompt).summary.get("row_passes", 0) for prompt in prompts))


def made_by(summary: Mapping[str, Any]) -> str:
    """Package with its version, and model of its own, that a baseline's score was made by; empty without either.

    Example:
        >>> made_by({"runs": "sentence encoder /models/mpnet", "package": "setfit 1.2.0"})
        'setfit 1.2.0, sentence encoder mpnet'
    """
    runs = str(summary.get("runs", ""))
    kind = next((kind for kind in OWN_MODELS if runs.startswith(f"{kind} ")), "")
    name = runs.removeprefix(f"{kind} ")
    # Where a folder lies is nobody's business.
    own = f"{kind} {Path(name).name if Path(name).is_absolute() else name}" if kind else ""
    return ", ".join(filter(None, [summary.get("package"), own]))


def _forward(summaries: list[dict[str, Any]], cells: int) -> float | None:
    """Rows forward only of a score; None where some evaluation did not count them."""
    counted = [summary.get("forward_rows") for summary in summaries]
    return None if None in counted else sum(filter(None, counted)) / max(cells, 1)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
