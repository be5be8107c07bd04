"""Printing of commands: control characters in foreign text never reach the terminal.

Everything that a command prints goes through this module (`tests/progress/test_console.py` holds them to it).
"""

from __future__ import annotations

import re
import sys
from typing import TextIO

import typer
from rich import markup
from rich.console import Console

#: Characters that a terminal obeys: control characters, those that change the writing direction, other line ends; and
#: halves of characters, which cannot be written.
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(text: object) -> str:
    r"""A text with the characters that a terminal would obey written out; line breaks and tabs stay.

    They are written as JSON does: a line of JSON keeps its meaning.

    Example:
        >>> print(shown("\x1b[31mred"))
        \u001b[31mred
    """
    return OBEYED.sub(lambda match: f"\\u{ord(match[0]):04x}", str(text))


def one_line(text: object) -> str:
    r"""`shown` text with line breaks and tabs written out, too.

    Example:
        >>> print(one_line("a\nb"))
        a\nb
    """
    return shown(text).replace("\n", "\\n").replace("\t", "\\t")


def escape(text: object) -> str:
    r"""A foreign text for rich's markup: its brackets and codes mean nothing.

    Example:
        >>> print(escape("[red]"))
        \[red]
    """
    return markup.escape(shown(text))


def make_console(stream: TextIO | None = None) -> Console:
    """A console on a stream (default: standard output) that does not fold lines at 80 columns in a file."""
    stream = stream or sys.stdout
    return Console(file=stream, emoji=False, width=None if stream.isatty() else 120)


def say(console: Console, line: str) -> None:
    """Prints a line without markup, colours or folding."""
    console.print(shown(line), markup=False, highlight=False, soft_wrap=True)


def echo(line: object, *, err: bool = False, nl: bool = True) -> None:
    """Prints a line at once, for pipes and for messages.

    Args:
        line: What to print.
        err: To standard error.
        nl: With a line break.
    """
    typer.echo(shown(line), err=err, nl=nl)
