"""The files of a study's folder: what is written into them is kept a second time, so that damage is found and repaired.

A study's ``study.yaml``, ``index.json`` and ``tasks.json`` may be edited by hand, so that a checksum alone would call
an edit damage. Beside each of them lies a hidden copy with a checksum of its own. A file that is empty, cut off or one
letter away from the copy is damaged; any other difference is an edit.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from metapt_explore.storage.files import read_json, write_bytes, write_json

#: Files of a study that are kept a second time.
KEPT = ("study.yaml", "index.json", "tasks.json", "cut_texts.json")
#: What a study was before it became another one, beside its ``study.yaml``: ``study.before-1.yaml`` and so on.
BEFORE = "study.before-{}.yaml"


def copy_of(file: Path) -> Path:
    """Where a file is kept a second time."""
    return file.with_name(f".{file.name}.copy")


def write_kept(file: Path, content: bytes) -> None:
    """Writes a file, its copy first: what is cut off between the two is the older file, which is whole."""
    text = content.decode()
    write_json(copy_of(file), {"text": text, "checksum": hashlib.sha256(content).hexdigest()})
    write_bytes(file, content)


def write_kept_json(file: Path, tree: Any) -> None:
    """As `write_kept`, as JSON."""
    write_kept(file, (json.dumps(tree, indent=2, ensure_ascii=False) + "\n").encode())


def remove_kept(file: Path) -> None:
    """Removes a file and its copy."""
    copy_of(file).unlink(missing_ok=True)
    file.unlink(missing_ok=True)


def undamaged(file: Path) -> bytes | None:
    """What to put in a file's place; None where it is whole, edited by hand, or nothing better is known."""
    found = read_json(copy_of(file))
    text, checksum = (found.get("text"), found.get("checksum")) if isinstance(found, dict) else (None, None)
    if not isinstance(text, str):
        return None
    written = text.encode("utf-8", errors="replace")
    if hashlib.sha256(written).hexdigest() != checksum:
        return None
    try:
        there = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return written
    if there == written:
        return None
    odd = is_damaged(there, written) or (file.suffix == ".json" and read_json(file) is None)
    return written if odd else None


def is_damaged(there: bytes, written: bytes) -> bool:
    """Whether a file looks damaged rather than edited: cut off, or one letter away from what was written.

    Example:
        >>> is_damaged(b"steps: 1", b"steps: 100"), is_damaged(b"steps: 900", b"steps: 100")
        (True, True)
        >>> is_damaged(b"steps: 1000", b"steps: 100")
        False
    """
    if len(there) < len(written):
        return written.startswith(there)
    return len(there) == len(written) and sum(a != b for a, b in zip(there, written, strict=True)) == 1


def read_kept_json(file: Path) -> Any:
    """What a JSON file holds, or its copy where it is damaged; None where neither can be read. Writes nothing."""
    better = undamaged(file)
    return read_json(file) if better is None else json.loads(better)


def repair(file: Path, aside: Path) -> bool:
    """Puts back what was written into a damaged file; says whether that was needed.

    Args:
        file: The file.
        aside: Folder for the damaged one, which is kept.
    """
    better = undamaged(file)
    if better is None:
        return False
    if file.exists():
        move_aside(file, aside)
    write_kept(file, better)
    return True


def move_aside(file: Path, aside: Path) -> Path:
    """Moves a damaged file of a study into the workspace's folder for what is damaged; returns its place there."""
    number = 1
    while (target := aside / f"{file.parent.name}-{number}-{file.name}").exists():
        number += 1
    aside.mkdir(parents=True, exist_ok=True)
    file.replace(target)
    return target


def keep_before(file: Path) -> Path:
    """Keeps a study as it is before another one takes its place; none that was kept is ever overwritten.

    Returns:
        Where it is kept: it may have clusterings that were edited by hand, or methods that were added on a page.
    """
    content = file.read_bytes()
    known = where_kept(file.parent, content)
    if known is not None:
        return known
    number = 1
    while (target := file.with_name(BEFORE.format(number))).exists():
        number += 1
    write_bytes(target, content)
    return target


def where_kept(folder: Path, content: bytes) -> Path | None:
    """Which of the studies that were kept in a study's folder has this content; None where none has."""
    for file in sorted(folder.glob("study.before*.yaml")):
        if file.read_bytes() == content:
            return file
    return None
