"""Files that grow by lines with checksums, and a copy beside each: adding one costs the same however many there are.

A line that a killed writer left half is dropped. Damage is found by the checksums, or where the copy has more lines,
and what was written is read from the copy.
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from metapt_explore.storage.files import write_bytes


def copy_of(file: Path) -> Path:
    """The copy of a file."""
    return file.with_name(f".{file.name}.copy")


def to_line(record: Any) -> bytes:
    """A record and its checksum on one line.

    Example:
        >>> read_lines(to_line({"id": "texts-1"}) + b'{"half')
        ([{'id': 'texts-1'}], True)
    """
    text = json.dumps(record, ensure_ascii=False)
    return json.dumps({"sum": _sum(text), "line": text}, ensure_ascii=False).encode() + b"\n"


def read_lines(content: bytes) -> tuple[list[Any], bool]:
    """The records of whole lines, and whether all lines are as they were written; a last half line is none."""
    texts, whole = _whole_lines(content)
    return json.loads(f"[{','.join(texts)}]"), whole


@lru_cache(maxsize=16)
def _whole_lines(content: bytes) -> tuple[tuple[str, ...], bool]:
    """The JSON of whole lines; pages read the same file again and again."""
    texts, whole = [], True
    for line in content.split(b"\n")[:-1]:
        try:
            pair = json.loads(line)
            if pair["sum"] != _sum(pair["line"]):
                raise ValueError("another checksum")
            texts.append(pair["line"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            whole = False
    return tuple(texts), whole


def written(file: Path) -> bytes | None:
    """The lines as they were written, from the file or its copy; None if there are none, or both are damaged."""
    best: bytes | None = None
    for each in (file, copy_of(file)):
        content = _read(each)
        if content is not None and content != best and _whole_lines(content)[1]:
            whole = content[: content.rfind(b"\n") + 1]
            best = whole if best is None or len(whole) > len(best) else best
    return best


def undamaged(file: Path) -> bytes | None:
    """The content to restore a file to; None if it is whole, or its copy is damaged, too."""
    content, right = _read(file), written(file)
    if right is None or (content is not None and content.startswith(right)):
        return None
    return right


def is_lost(file: Path) -> bool:
    """Whether there are lines that neither the file nor its copy can give back."""
    return written(file) is None and (_read(file) is not None or _read(copy_of(file)) is not None)


def write(file: Path, content: bytes) -> None:
    """Writes all lines and their copy anew."""
    write_bytes(file, content)
    write_bytes(copy_of(file), content)


def append(file: Path, line: bytes) -> None:
    """Adds a line, flushed to disk; file and copy must end with whole lines, and nobody else may write."""
    for each in (file, copy_of(file)):
        with each.open("ab") as stream:
            stream.write(line)
            stream.flush()
            os.fsync(stream.fileno())


def remove(file: Path) -> None:
    """Removes a file and its copy."""
    copy_of(file).unlink(missing_ok=True)
    file.unlink(missing_ok=True)


def _read(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", errors="replace")).hexdigest()[:16]
