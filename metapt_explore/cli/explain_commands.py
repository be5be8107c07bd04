"""`metapt lineage`, `agreement`, `lens`, `leave-one-out`: what is behind a score, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metapt_explore.cli.job_commands import WorkspaceOption


def add_explaining_commands(app: typer.Typer) -> None:
    """Adds this module's commands to the command line."""
    app.command()(lineage)
    app.command()(agreement)
    app.command()(lens)
    app.command(name="leave-one-out")(leave_one_out)


def lineage(
    study: Annotated[str, typer.Argument(help="A study of the workspace, or its YAML file.")],
    method: Annotated[str, typer.Option(help="One of its methods.")],
    task: Annotated[str, typer.Option(help="One of its tasks.")],
    data_seed: Annotated[int | None, typer.Option(help="Data seed (default: the study's first).")] = None,
    init_seed: Annotated[int | None, typer.Option(help="Initialisation seed (default: the study's first).")] = None,
    shots: Annotated[int | None, typer.Option(help="One of evaluation.more_shots (default: the study's own).")] = None,
    texts: Annotated[Path | None, typer.Option(help="CSV file for the texts behind the prompt.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, without texts.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show everything behind one score: artifacts, texts and how often each was drawn, versions, commands."""
    from metapt_explore.cli.lineage import show_lineage
    from metapt_explore.storage.workspace import Workspace

    seeds = {"data_seed": data_seed, "init_seed": init_seed, "shots": shots}
    show_lineage(Workspace(workspace), study, method, task, texts, as_json, **seeds)


def agreement(
    study: Annotated[str, typer.Argument(help="A study YAML file, or the name of a packaged example.")],
    method: Annotated[str | None, typer.Option(help="At this method's prompt (default: the common start).")] = None,
    clustering: Annotated[str | None, typer.Option(help="Whose clusters (default: the method's).")] = None,
    init_seed: Annotated[int | None, typer.Option(help="Initialisation seed (default: the study's first).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, a pair of tasks each.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Do auxiliary tasks pull the prompt where downstream tasks want it? Cosines of gradients, corrected for noise."""
    from metapt_explore.cli.agreement import agreement_in_terminal

    agreement_in_terminal(study, method, clustering, init_seed, as_json, workspace)


def lens(
    study: Annotated[str, typer.Argument(help="A study of the workspace, or its YAML file.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, a vector each.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show what the finished prompts look like beside the vocabulary: nearest tokens, length, drift."""
    from metapt_explore.cli.lens import lens_in_terminal

    lens_in_terminal(study, workspace, as_json)


def leave_one_out(
    study: Annotated[str, typer.Argument(help="A study YAML file, or the name of a packaged example.")],
    method: Annotated[str, typer.Option(help="One of its methods that learns from clusters.")],
    out: Annotated[
        Path | None, typer.Option(help="YAML file to write (default: beside the study in the workspace).")
    ] = None,
    run: Annotated[bool, typer.Option("--run", help="Run it: a complete pre-training for each cluster.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Write the study that leaves out one cluster at a time; with --run, say which cluster helps which task."""
    from metapt_explore.cli.leave_one_out import leave_one_out_in_terminal

    leave_one_out_in_terminal(study, method, out, run, workspace)
