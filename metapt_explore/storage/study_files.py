"""Copies of a study's files, by which damage is found and repaired.

``study.yaml``, ``index.json`` and ``tasks.json`` may be edited by hand, so a checksum alone would take an edit for
damage. Beside each lies a hidden copy with a checksum. A file that is empty, cut off or one letter away from its copy
is damaged; any other difference is an edit. ``index.jsonl``, to which a run adds, has checksums of its lines instead
(`checked_lines`).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from metapt_explore.storage import checked_lines
from metapt_explore.storage.files import read_json, write_bytes, write_json

#: Files of a study that have a copy.
COPIED = ("study.yaml", "index.json", "index.jsonl", "tasks.json", "cut_texts.json")
#: A study that was replaced by another of its name, beside the new ``study.yaml``.
BEFORE = "study.before-{}.yaml"


def copy_of(file: Path) -> Path:
    """The copy of a file."""
    return file.with_name(f".{file.name}.copy")


def write_with_copy(file: Path, content: bytes) -> None:
    """Writes the copy, then the file: if this stops in between, the older file is still whole."""
    text = content.decode()
    write_json(copy_of(file), {"text": text, "checksum": hashlib.sha256(content).hexdigest()})
    write_bytes(file, content)


def write_json_with_copy(file: Path, tree: Any) -> None:
    """Writes JSON and its copy."""
    write_with_copy(file, (json.dumps(tree, indent=2, ensure_ascii=False) + "\n").encode())


def remove_with_copy(file: Path) -> None:
    """Removes a file and its copy."""
    copy_of(file).unlink(missing_ok=True)
    file.unlink(missing_ok=True)


def undamaged(file: Path) -> bytes | None:
    """The content to restore a file to; None if it is whole or edited by hand, or its copy is damaged, too."""
    if file.suffix == ".jsonl":
        return checked_lines.undamaged(file)
    copy = read_json(copy_of(file))
    text, checksum = (copy.get("text"), copy.get("checksum")) if isinstance(copy, dict) else (None, None)
    if not isinstance(text, str):
        return None
    written = text.encode("utf-8", errors="replace")
    if hashlib.sha256(written).hexdigest() != checksum:
        return None
    try:
        content = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return written
    if content == written:
        return None
    damaged = is_damaged(content, written) or (file.suffix == ".json" and read_json(file) is None)
    return written if damaged else None


def is_damaged(content: bytes, written: bytes) -> bool:
    """Whether a file looks damaged rather than edited: cut off, or one letter away from what was written.

    Example:
        >>> is_damaged(b"steps: 1", b"steps: 100"), is_damaged(b"steps: 900", b"steps: 100")
        (True, True)
        >>> is_damaged(b"steps: 1000", b"steps: 100")
        False
    """
    if len(content) < len(written):
        return written.startswith(content)
    return len(content) == len(written) and sum(a != b for a, b in zip(content, written, strict=True)) == 1


def read_json_or_copy(file: Path) -> Any:
    """Reads a JSON file, or its copy if damaged; None if neither can be read. Writes nothing."""
    copy = undamaged(file)
    return read_json(file) if copy is None else json.loads(copy)


def repair(file: Path, aside: Path) -> bool:
    """Restores a damaged file from its copy; returns whether that was needed.

    Args:
        file: The file.
        aside: Folder to move the damaged file to.
    """
    copy = undamaged(file)
    if copy is None:
        return False
    if file.exists():
        move_aside(file, aside)
    if file.suffix == ".jsonl":
        checked_lines.write(file, copy)
    else:
        write_with_copy(file, copy)
    return True


def is_lost(file: Path) -> bool:
    """Whether a file is damaged and its copy cannot help."""
    if file.suffix == ".jsonl":
        return checked_lines.is_lost(file)
    return file.suffix == ".json" and file.exists() and read_json(file) is None


def move_aside(file: Path, aside: Path) -> Path:
    """Moves a damaged file of a study into the workspace's folder for damaged files; returns its new path."""
    number = 1
    while (target := aside / f"{file.parent.name}-{number}-{file.name}").exists():
        number += 1
    aside.mkdir(parents=True, exist_ok=True)
    file.replace(target)
    return target


def keep_replaced(file: Path) -> Path:
    """Keeps a study that another one is about to replace; overwrites none that was kept before.

    It may have clusterings that were edited by hand, or methods that were added on a page.

    Returns:
        The file that keeps it.
    """
    content = file.read_bytes()
    same = find_replaced(file.parent, content)
    if same is not None:
        return same
    number = 1
    while (target := file.with_name(BEFORE.format(number))).exists():
        number += 1
    write_bytes(target, content)
    return target


def find_replaced(folder: Path, content: bytes) -> Path | None:
    """The replaced study with this content in a study's folder; None if there is none."""
    for file in sorted(folder.glob("study.before*.yaml")):
        if file.read_bytes() == content:
            return file
    return None
