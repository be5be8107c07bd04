"""`metapt screen`: is a study of clusters worth its price? One sentence a method, before anything is pre-trained."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from metapt_explore.cli.boundary import PARTS_FAILED
from metapt_explore.cli.options import JsonLinesOption, StudySource, WorkspaceOption
from metapt_explore.progress.console import echo, make_console, say

if TYPE_CHECKING:
    from metapt_explore.diagnostics.screen import Screening
    from metapt_explore.study.study import Study


def screen(study: StudySource, as_json: JsonLinesOption = False, workspace: WorkspaceOption = None) -> None:
    """Say of each meta-learned method whether its clusters are worth trying, before anything is pre-trained.

    Clusters the texts, then measures at the initial prompt whether tasks differ, whether adapting to them gains
    anything, and how far the inner steps move. Training rows only. Exit code 1: a method could not be looked at.
    """
    from metapt_explore.config import load_study
    from metapt_explore.progress.terminal import terminal_progress
    from metapt_explore.stages.screen import Screen
    from metapt_explore.storage.workspace import Workspace
    from metapt_explore.study.failures import format_failed
    from metapt_explore.study.study import Study

    config, opened, console = load_study(study), Workspace(workspace), make_console()
    with terminal_progress(console, quiet=as_json) as progress:
        found = Study(config, opened, progress)
        found.run(until="screen")
    for stage in Screen.asked(found, config.evaluation.init_seeds):
        if not stage.is_there:
            continue
        screening = found.screen(stage.method.name)
        if as_json:
            told = {"method": stage.method.name, "word": screening.word, "sentence": screening.sentence}
            downstream = stage.artifact.summary["downstream"]
            told |= {"warning": screening.warning, **screening.as_dict(), "downstream": downstream}
            echo(json.dumps(told, ensure_ascii=False))
        else:
            print_screening(stage.method.name, screening, console, downstream=stage.artifact.summary["downstream"])
    _print_failed(found, format_failed(part.as_dict() for part in found.failed), console)


def print_screening(
    method: str, screening: Screening, console: Console, *, downstream: dict[str, float | None] | None = None
) -> None:
    """Prints the word on a method, the figures behind it, and what is wrong with its inner steps."""
    from metapt_explore.diagnostics.screen import figures_sentence

    say(console, f"{method}: {screening.sentence}")
    say(console, f"  {figures_sentence(screening)}")
    if downstream:
        told = [f"{task} {'–' if cosine is None else f'{cosine:.2f}'}" for task, cosine in downstream.items()]
        say(console, f"  Cosine with downstream tasks (0: nothing to teach them): {', '.join(told)}.".replace("-", "−"))
    if screening.warning:
        say(console, f"  Note: {screening.warning}")


def _print_failed(study: Study, failed: list[str], console: Console) -> None:
    for sentence in failed:
        say(console, f"Could not be looked at: {sentence}")
    if failed:
        raise typer.Exit(PARTS_FAILED)
