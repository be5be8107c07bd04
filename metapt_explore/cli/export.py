"""`metapt export`: a prompt in a folder of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from metapt_explore.cli.options import InitSeedOption, ShotsOption, WorkspaceOption, takes_options
from metapt_explore.progress.console import echo


@dataclass(frozen=True)
class WhichPrompt:
    """Which prompt of a method, by options of its own."""

    task: Annotated[str | None, typer.Option(help="The prompt tuned on this task (default: the pre-trained one).")] = (
        None
    )
    data_seed: Annotated[int | None, typer.Option(help="Data seed of the tuning (default: the first).")] = None
    init_seed: InitSeedOption = None
    shots: ShotsOption = None


@takes_options
def export(
    study: Annotated[str, typer.Argument(help="A study of the workspace.")],
    *,
    method: Annotated[str, typer.Option(help="One of its methods.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    which: WhichPrompt,
    workspace: WorkspaceOption = None,
) -> None:
    """Write a prompt into a folder: safetensors, a model card, and a PEFT adapter where PEFT has the layout."""
    from metapt_explore.export.export import PromptChoice, export_prompt
    from metapt_explore.storage.workspace import Workspace

    chosen = PromptChoice(study, method, which.task, which.data_seed, which.init_seed, which.shots)
    for file in export_prompt(Workspace(workspace), chosen, out):
        echo(str(file))
