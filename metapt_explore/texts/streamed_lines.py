"""Lines of a large text file, read in parts: UTF-8 only, and no carriage return but at the end of a line."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path

from metapt_explore.texts.encodings import SAMPLE_BYTES
from metapt_explore.texts.row_source import Irregular

#: Bytes that are read at a time, and bytes that a line may have.
CHUNK_BYTES, LONGEST_LINE = 4 * 2**20, 64 * 2**20
#: Lines with their ends, as `first_lines.lines_of` splits them.
LINE = re.compile(r"[^\n]*\n|[^\n]+")


def line_chunks(path: Path) -> Iterator[list[str]]:
    """All lines of a file, with their ends, some at a time.

    Args:
        path: An unpacked text file.

    Raises:
        Irregular: Where it is not UTF-8, or has ends of lines inside of lines: a whole look at it says what it is.
    """
    line = 1
    with path.open("rb") as stream:
        rest = b""
        first = True
        while data := stream.read(CHUNK_BYTES):
            if first:
                _check_first(data)
                first = False
                while data.startswith(codecs.BOM_UTF8):
                    data = data[len(codecs.BOM_UTF8) :]
            cut = data.rfind(b"\n") + 1
            if not cut:
                rest += data
                if len(rest) > LONGEST_LINE:
                    raise Irregular(f"line {line:,} is longer than {LONGEST_LINE // 2**20} MiB")
                continue
            whole, rest = rest + data[:cut], data[cut:]
            lines = _lines(whole, line)
            yield lines
            line += len(lines)
        if rest:
            yield _lines(rest, line)


def _check_first(data: bytes) -> None:
    """Refuses what `encodings.decode` does not take for UTF-8."""
    if b"\x00" in data[:SAMPLE_BYTES] or b"\x1b$" in data[:SAMPLE_BYTES]:
        raise Irregular("its first bytes are not those of UTF-8 text")


def _lines(data: bytes, number: int) -> list[str]:
    if data.count(b"\r") != data.count(b"\r\n"):
        raise Irregular(f"behind line {number:,} stands a carriage return inside a line")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        bad = number + data[: error.start].count(b"\n")
        raise Irregular(f"line {bad:,} is not UTF-8") from None
    return LINE.findall(text)
