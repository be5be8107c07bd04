"""`metapt check` and `metapt plan`: what would go wrong in a study, and what it costs, before it runs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

from metapt_explore.cli.boundary import PARTS_FAILED
from metapt_explore.cli.options import JsonOption, StudySource, WorkspaceOption
from metapt_explore.errors import UserError
from metapt_explore.progress.console import echo, escape, make_console, say

if TYPE_CHECKING:
    from metapt_explore.config import StudyConfig
    from metapt_explore.cost.count import Cost
    from metapt_explore.diagnostics.displacement import Displacement
    from metapt_explore.progress.state import Progress
    from metapt_explore.study.problems import Findings

#: Columns of the plan: keys of a stage's cost.
NUMBERS = ("trained", "hessian", "scored", "encoded", "embedded")


def check(study: StudySource, as_json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Say what would go wrong in a study: reads its texts and tasks, loads no model, computes nothing.

    Exit code 1: something was found.
    """
    if not check_in_terminal(study, workspace, as_json=as_json):
        raise typer.Exit(PARTS_FAILED)


def plan(study: StudySource, as_json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Say what would go wrong in a study and what it costs on this machine: rows, time and memory.

    Computes nothing of the study and writes nothing into the workspace. Exit code 1: a part of it would fail.
    """
    if not plan_in_terminal(study, workspace, as_json=as_json):
        raise typer.Exit(PARTS_FAILED)


def _quiet_progress(console: Console, *, as_json: bool) -> Progress | None:
    from metapt_explore.progress.state import Progress
    from metapt_explore.progress.terminal import TerminalView

    return None if as_json else Progress(TerminalView(console, bars=False).show)


def check_in_terminal(source: str, workspace: Path | None, *, as_json: bool) -> bool:
    """Prints what would go wrong in a study; loads no model and writes nothing into the workspace.

    Returns:
        Whether nothing was found.
    """
    from metapt_explore.config import load_study
    from metapt_explore.storage.workspace import Workspace
    from metapt_explore.study.problems import looking

    config, console = load_study(source), make_console()
    with looking(config, Workspace(workspace), _quiet_progress(console, as_json=as_json)) as findings:
        if as_json:
            echo(json.dumps({"study": config.name, **_report(findings, config)}))
        else:
            print_findings(findings, config, console)
            if not findings.problems:
                say(console, f"No problem was found in '{config.name}'.")
        return not findings.problems


def plan_in_terminal(source: str, workspace: Path | None, *, as_json: bool) -> bool:
    """Prints what would go wrong in a study and what it costs on this machine.

    Returns:
        Whether nothing was found that would go wrong.

    Raises:
        UserError: Where the study would not start.
    """
    from metapt_explore.config import load_study
    from metapt_explore.cost.count import Reckoning
    from metapt_explore.diagnostics.displacement import takes_plain_steps
    from metapt_explore.models.text_lengths import format_cut
    from metapt_explore.storage.workspace import Workspace
    from metapt_explore.study.clustering_costs import clustering_costs, format_clustering
    from metapt_explore.study.inner_gradient import inner_gradient
    from metapt_explore.study.preview import text_counts
    from metapt_explore.study.problems import looking
    from metapt_explore.study.study import Study

    began = time.monotonic()
    config, console, opened = load_study(source), make_console(), Workspace(workspace)
    progress = _quiet_progress(console, as_json=as_json)
    with looking(config, opened, progress) as findings:
        if findings.refused:
            raise UserError(findings.refused)
        if not as_json:
            print_findings(findings, config, console)
            say(console, "Loading models, and timing them …")
        study = Study(config, opened, progress)
        cost = study.preview(findings.texts, findings.splits)
        cost.before_seconds = time.monotonic() - began - cost.spent
        counts = text_counts(study, findings.texts, findings.splits)
        if findings.unread is not None:
            cost.before_seconds += findings.unread.seconds
        clusterings = clustering_costs(study, Reckoning.of(config, texts=counts).text_rows, findings.texts)
        cost.clusterings = {name: each.as_dict() for name, each in clusterings.items()}
        gradient = inner_gradient(study, findings.texts) if takes_plain_steps(config) else None
    if as_json:
        shares = [share.as_dict() for share in findings.cut]
        echo(
            json.dumps(
                {
                    "study": config.name,
                    **cost.as_dict(),
                    **_report(findings, config),
                    "cut_texts": shares,
                    "displacement": {name: each.as_dict() for name, each in _moves(config, gradient).items()},
                    "power": _power(config),
                }
            )
        )
    else:
        print_plan(config, cost, console)
        for name, each in clusterings.items():
            say(console, format_clustering(name, each))
        for share in findings.cut:
            say(console, format_cut(share))
        print_displacements(config, console, gradient)
        if power := _power(config):
            say(console, power)
    return not findings.problems


def _power(config: StudyConfig) -> str:
    from metapt_explore.reporting.plan_power import detectable_sentence

    return detectable_sentence(config)


def _one_task(config: StudyConfig) -> list[str]:
    from metapt_explore.reporting.notes import one_task_sentences

    return one_task_sentences(config.model_dump(mode="json"))


def _report(findings: Findings, config: StudyConfig) -> dict[str, list[str]]:
    return {"problems": findings.problems, "notices": [*_one_task(config), *findings.notices]}


def print_findings(findings: Findings, config: StudyConfig, console: Console) -> None:
    """Prints what is wrong. The notices among the findings were printed while texts and tasks were read."""
    if findings.refused:
        say(console, f"The study would not start: {findings.refused}")
    for sentence in findings.parts:
        say(console, f"Would fail: {sentence}")
    for notice in _one_task(config):
        say(console, f"Note: {notice}")


def print_plan(config: StudyConfig, cost: Cost, console: Console) -> None:
    """Prints what a study will send through the model, how long that takes here, and the memory it needs."""
    from metapt_explore.progress.state import format_time

    table = Table(title=f"{escape(config.name)}: predicted cost")
    table.add_column("stage")
    for column in ("rows trained", "Hessian rows", "rows scored", "tokens encoded", "embedded", "time"):
        table.add_column(column, justify="right")
    for key, stage in _over_initialisations(cost.stages).items():
        numbers = [f"{stage[name]:,.0f}" for name in NUMBERS]
        table.add_row(escape(key), *numbers, format_time(stage["seconds"]))
    console.print(table)
    say(
        console,
        f"About {format_time(cost.seconds + cost.before_seconds)} in all, peak memory about "
        f"{cost.peak_mib / 1024:.1f} GiB: {format_time(cost.seconds)} with models, {format_time(cost.before_seconds)} "
        f"for reading texts and loading models. Measured in {cost.spent:.0f} s on {cost.device}, {cost.dtype}; "
        f"clusterings take {format_time(sum(each['seconds'] for each in cost.clusterings.values()))} on top.",
    )
    if cost.assumed_texts is not None:
        say(
            console,
            f"How many texts there are is not known before they are read: {cost.assumed_texts:,} are assumed. "
            "texts.limit says so, and once a run has read them this says it for certain.",
        )
    say(
        console,
        "rows trained: forward and backward; Hessian rows: second derivatives (order: exact); rows scored: forward "
        "only, times prompts; tokens encoded: texts whose states are computed once and shared; embedded: tokens "
        "through the sentence encoder.",
    )


def _moves(config: StudyConfig, gradient: float | None) -> dict[str, Displacement]:
    from metapt_explore.config import MetaPTMethod
    from metapt_explore.diagnostics.displacement import expected

    methods = [method for method in config.methods if isinstance(method, MetaPTMethod)]
    return {method.name: expected(method, config, gradient) for method in methods}


def print_displacements(config: StudyConfig, console: Console, gradient: float | None) -> None:
    """Prints how far the steps of each meta-learned method move a prompt, and where inner and tuning steps differ.

    Args:
        config: The study.
        console: Where to.
        gradient: Length of a support gradient, where it was measured: the rest is settings.
    """
    from metapt_explore.config import MetaPTMethod
    from metapt_explore.diagnostics.displacement import displacement_sentence

    for name, moves in _moves(config, gradient).items():
        method = config.method(name)
        assert isinstance(method, MetaPTMethod)
        plain = config.pretraining_of(method).inner_optimiser != "adam"
        say(console, displacement_sentence(name, moves, method.inner_steps, measured=plain))


def _over_initialisations(stages: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Adds up the stages that differ in their initialisation seed only, the last part of their keys."""
    added: dict[str, dict[str, float]] = {}
    counts: dict[str, int] = {}
    for key, stage in stages.items():
        name = key.rpartition("/")[0].replace("/", " · ") if key.count("/") > 1 else key.replace("/", " · ")
        before = added.setdefault(name, dict.fromkeys(stage, 0.0))
        added[name] = {column: before[column] + value for column, value in stage.items()}
        counts[name] = counts.get(name, 0) + 1
    return {f"{name} × {counts[name]}" if counts[name] > 1 else name: stage for name, stage in added.items()}
