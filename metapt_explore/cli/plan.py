"""`metapt check` and `metapt plan`: what a study would stumble over, and what it costs, before it runs."""

from __future__ import annotations

import json
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from metapt_explore.config import StudyConfig, load_study
from metapt_explore.cost.count import Cost
from metapt_explore.errors import UserError
from metapt_explore.models.text_lengths import format_cut
from metapt_explore.progress.console import echo, escape, make_console, say
from metapt_explore.progress.state import Progress, format_time
from metapt_explore.progress.terminal import TerminalView
from metapt_explore.reporting.notes import one_task_sentences
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.problems import Findings, looking

#: Columns of the plan.
NUMBERS = ("trained", "hessian", "scored", "encoded", "embedded")


def check_in_terminal(source: str, workspace: Path | None, as_json: bool) -> bool:
    """Prints what a study would stumble over; loads no model and writes nothing into the workspace.

    Returns:
        Whether nothing was found.
    """
    config, console = load_study(source), make_console()
    progress = None if as_json else Progress(TerminalView(console, bars=False).show)
    with looking(config, Workspace(workspace), progress) as found:
        if as_json:
            echo(json.dumps({"study": config.name, "problems": found.problems, "notices": found.notices}))
        else:
            print_findings(found, config, console)
            if not found.problems:
                say(console, f"Nothing was found that '{config.name}' would stumble over.")
        return not found.problems


def plan_in_terminal(source: str, workspace: Path | None, as_json: bool) -> bool:
    """Prints what a study would stumble over and what it costs on this machine.

    Returns:
        Whether nothing was found that it would stumble over.

    Raises:
        UserError: Where the study would not start.
    """
    from metapt_explore.study.study import Study

    began = time.monotonic()
    config, console, opened = load_study(source), make_console(), Workspace(workspace)
    progress = None if as_json else Progress(TerminalView(console, bars=False).show)
    with looking(config, opened, progress) as found:
        if found.refused:
            raise UserError(found.refused)
        if not as_json:
            print_findings(found, config, console)
            say(console, "Loading models, and timing them …")
        study = Study(config, opened, progress)
        cost = study.preview(found.texts, found.splits)
        cost.before_seconds = time.monotonic() - began - cost.spent
    if as_json:
        shares = [share.as_dict() for share in found.cut]
        told = {"problems": found.problems, "notices": found.notices, "cut_texts": shares}
        echo(json.dumps({"study": config.name, **cost.as_dict(), **told}))
    else:
        print_plan(config, cost, console)
        for share in found.cut:
            say(console, format_cut(share))
    return not found.problems


def print_findings(found: Findings, config: StudyConfig, console: Console) -> None:
    """Prints what is wrong, and what a user should know."""
    if found.refused:
        say(console, f"The study would not start: {found.refused}")
    for sentence in found.parts:
        say(console, f"Would fail: {sentence}")
    for notice in [*one_task_sentences(config.model_dump(mode="json")), *found.notices]:
        say(console, f"Note: {notice}")


def print_plan(config: StudyConfig, cost: Cost, console: Console) -> None:
    """Prints what a study will send through the model, how long that takes here, and the memory it needs."""
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
        "clusterings come on top.",
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
