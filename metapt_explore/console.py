"""How terminal commands print."""

from __future__ import annotations

import sys

from rich.console import Console


def make_console() -> Console:
    """A console that does not fold lines at 80 columns when written to a file."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else 120)


def say(console: Console, line: str) -> None:
    """Prints a line as it is: no markup, no colours, no folding."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)
