"""`metapt setup`, `metapt convert` and `metapt starters`: models and texts on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metapt_explore.progress.console import echo


def setup() -> None:
    """Install the starters once: SmolLM2-135M-Instruct (rounded to 4 bits), a sentence encoder, texts."""
    from metapt_explore.models.setup import set_up

    set_up(echo)


def convert(
    file: Annotated[Path, typer.Argument(help="The model's GGUF file.")],
    folder: Annotated[Path, typer.Argument(help="A new folder for it.")],
) -> None:
    """Make a folder that studies load of a language model in a GGUF file, as llama.cpp keeps it."""
    from metapt_explore.models.gguf import convert_gguf

    convert_gguf(file, folder, echo)
    echo(f"Ready. In a study: `model: {{name: {folder}}}`.")


def starters() -> None:
    """List the packaged starter texts, with their origin and terms."""
    from metapt_explore.starter.texts import starter_sets

    for name, entry in starter_sets().items():
        echo(f"{name:16} {entry.title}")
        echo(f"{'':16} {entry.note}")
