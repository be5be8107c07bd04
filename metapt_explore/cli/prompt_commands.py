"""`metapt export`, `classify`, and the hidden `try`: prompts in use."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from metapt_explore.cli.job_commands import WorkspaceOption
from metapt_explore.progress.console import echo


def add_prompt_commands(app: typer.Typer) -> None:
    """Adds this module's commands to the command line."""
    app.command(name="try", hidden=True)(try_sentences)
    app.command()(export)
    app.command()(classify)


def try_sentences(
    study: Annotated[str, typer.Argument(help="A study of the workspace.")],
    task: Annotated[str, typer.Option(help="One of its tasks.")],
    init_seed: Annotated[int, typer.Option(help="Initialisation seed.")],
    data_seed: Annotated[int, typer.Option(help="Data seed.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Read sentences as JSON strings from standard input; answer each with every method's class probabilities."""
    from metapt_explore.cli.try_sentences import answer_sentences

    answer_sentences(sys.stdin, study, task, init_seed, data_seed, workspace)


def export(
    study: Annotated[str, typer.Argument(help="A study of the workspace.")],
    method: Annotated[str, typer.Option(help="One of its methods.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    task: Annotated[
        str | None, typer.Option(help="The prompt tuned on this task (default: the pre-trained one).")
    ] = None,
    data_seed: Annotated[int | None, typer.Option(help="Data seed of the tuning (default: the first).")] = None,
    init_seed: Annotated[int | None, typer.Option(help="Initialisation seed (default: the study's first).")] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Write a prompt into a folder of its own: safetensors, a model card, a PEFT adapter where PEFT has the layout."""
    from metapt_explore.export.export import PromptChoice, export_prompt
    from metapt_explore.storage.workspace import Workspace

    for file in export_prompt(Workspace(workspace), PromptChoice(study, method, task, data_seed, init_seed), out):
        echo(str(file))


def classify(
    prompt: Annotated[Path, typer.Option(help="A folder that `metapt export` wrote.")],
    calibration: Annotated[
        str | None,
        typer.Option(help="none, content_free or batch_mean (default: as the study did)."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Texts that are looked at together.")] = 64,
    labels_only: Annotated[bool, typer.Option("--labels-only", help="Only the label, a line each.")] = False,
    model: Annotated[str | None, typer.Option(help="Where the same model lies on this machine.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 …")] = "auto",
) -> None:
    """Classify texts from standard input, one a line, with an exported prompt; a JSON object a line, as they come."""
    from metapt_explore.cli.classify import classify_lines

    classify_lines(sys.stdin, prompt, calibration, batch, labels_only, model, device)
