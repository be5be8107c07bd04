"""Standard input and output, whatever the locale."""

from __future__ import annotations

import codecs
import os
import sys
from typing import TextIO


def prepare_streams() -> None:
    """Makes the standard streams UTF-8 where they are pipes or files, and printing never fails for a letter.

    By itself Python takes the encoding of the locale: ASCII under `LC_ALL=C`, a code page on Windows. Whoever sets
    `PYTHONIOENCODING` keeps that encoding.
    """
    codecs.register_error("as_json_escapes", _as_json_escapes)
    for stream, errors in ((sys.stdin, None), (sys.stdout, "as_json_escapes"), (sys.stderr, "as_json_escapes")):
        if hasattr(stream, "reconfigure"):
            _prepare(stream, errors)


def _prepare(stream: TextIO, errors: str | None) -> None:
    if not stream.isatty() and "PYTHONIOENCODING" not in os.environ:
        stream.reconfigure(encoding="utf-8", errors=errors)  # type: ignore[attr-defined]
    elif errors:
        stream.reconfigure(errors=errors)  # type: ignore[attr-defined]


def _as_json_escapes(error: UnicodeError) -> tuple[str, int]:
    """What an encoding does not have, written so that a line of JSON stays one with the same text."""
    assert isinstance(error, UnicodeEncodeError)
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2)), error.end
