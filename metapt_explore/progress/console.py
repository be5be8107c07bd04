"""How terminal commands print: whatever is not ours (names, titles, texts, paths) is shown and never obeyed.

Everything that a command prints goes through this module (`tests/test_console.py` looks for what does not).
"""

from __future__ import annotations

import re
import sys
from typing import TextIO

import typer
from rich import markup
from rich.console import Console

#: Characters that a terminal obeys: control characters, those that turn the order of letters around, other line ends,
#: and halves of characters, which cannot be written at all.
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(text: object) -> str:
    r"""A text with what a terminal would obey written out; line breaks and tabs stay.

    The written form is also the one of JSON: a line of JSON says the same as before.

    Example:
        >>> print(shown("\x1b[31mred"))
        \u001b[31mred
    """
    return OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", str(text))


def one_line(text: object) -> str:
    r"""As `shown`, with line breaks and tabs written out, too.

    Example:
        >>> print(one_line("a\nb"))
        a\nb
    """
    return shown(text).replace("\n", "\\n").replace("\t", "\\t")


def escape(text: object) -> str:
    r"""A foreign text inside rich's markup: neither its brackets nor its codes mean anything.

    Example:
        >>> print(escape("[red]"))
        \[red]
    """
    return markup.escape(shown(text))


def make_console(stream: TextIO | None = None) -> Console:
    """A console that does not fold lines at 80 columns when written to a file; standard output when absent."""
    stream = stream or sys.stdout
    return Console(file=stream, emoji=False, width=None if stream.isatty() else 120)


def say(console: Console, line: str) -> None:
    """Prints a line as it is: no markup, no colours, no folding."""
    console.print(shown(line), markup=False, highlight=False, soft_wrap=True)


def echo(line: object, *, err: bool = False, nl: bool = True) -> None:
    """Prints a line at once, for pipes and for messages.

    Args:
        line: What to print.
        err: Whether to standard error.
        nl: Whether a line break follows.
    """
    typer.echo(shown(line), err=err, nl=nl)
