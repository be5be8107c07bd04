"""Whether an artifact is what was written: its files have their sizes and checksums in ``stage.json``.

``stage.json`` lists each file of a finished artifact with its bytes and SHA-256 (`files`), and holds a checksum over
itself (`checksum`). Three things are checked at three moments:

- existence and size, whenever somebody asks how an artifact stands (`lost`): a look at the folder, no more;
- the checksum of a file, when it is read (`check_file`);
- all checksums, before an artifact counts as finished in a run (`damage`), and by ``metapt verify``.

A checksum is computed once for each time that a file was written: size, time and place on the disk tell. Artifacts of
earlier versions have no checksums: nothing is known of them, and they are accepted where they can be opened.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path

from metapt_explore.errors import UserError
from metapt_explore.storage.files import Stamp, remembered, stamp_of
from metapt_explore.storage.stage_file import FILES, STAGE, FileSum, StageRecord, sum_of_file

#: What to do, at the end of each message.
REMEDY = (
    "Please run the study again: it sets aside what is damaged and computes it anew. `metapt verify --repair` looks "
    "through the whole workspace."
)
#: What a finished artifact of a kind holds besides its summary; asked of artifacts that have no list of their own.
HOLDS = {
    "split": ["rows.parquet"],
    "texts": ["texts.parquet", "leaks.parquet"],
    "embeddings": ["embeddings.safetensors"],
    "labels": ["labels.parquet"],
    "clusters": ["clusters.parquet"],
    "tasks": ["tasks.parquet"],
    "prompt": ["prompt.safetensors"],
    "hidden_states": ["hidden_states.safetensors"],
    "fewshot": ["results.parquet", "curves.parquet"],
    "baseline": ["results.parquet"],
}


class DamagedFile(UserError):
    """A file of a workspace is damaged or lost; the message names it and says what to do."""


def damaged(file: Path, what: str, title: object = None) -> DamagedFile:
    """The error for a file.

    Args:
        file: The file.
        what: What is wrong with it: the end of a sentence that begins with its name.
        title: What people call the part of the study that it belongs to.
    """
    of = f" (of: {title})" if title else ""
    return DamagedFile(f"{file}{of} {what}. {REMEDY}")


def payloads(folder: Path) -> list[str]:
    """Names of an artifact's files besides ``stage.json``; no checkpoint, no lock, nothing that is half written."""
    if not folder.is_dir():
        return []
    return sorted(
        entry.name
        for entry in os.scandir(folder)
        if entry.name != STAGE and not entry.name.startswith(".") and entry.is_file()
    )


def lost(folder: Path, stage: StageRecord) -> tuple[str, str] | None:
    """Which file of a finished artifact is gone or has another size, and what is wrong with it; reads no file."""
    for name, expected in stage.get(FILES, {}).items():
        what = _other_size(folder / name, expected)
        if what is not None:
            return name, what
    return None


def damage(folder: Path, stage: StageRecord, anew: bool = False) -> tuple[str, str] | None:
    """Which file of a finished artifact is not what was written, and what is wrong with it.

    Args:
        folder: Its folder.
        stage: What `read_stage` returned.
        anew: Whether each file is read from the disk, whatever is known of it; ``metapt verify`` does that.
    """
    if FILES not in stage:
        return _unreadable(folder, stage, anew)
    for name, expected in stage[FILES].items():
        what = _difference(folder / name, expected, anew)
        if what is not None:
            return name, what
    return None


def check_file(folder: Path, stage: StageRecord, name: str) -> None:
    """Refuses a file of an artifact that is not what was written.

    Raises:
        DamagedFile: Naming it, and what to do.
    """
    if not stage:
        if has_content(folder):
            there = (folder / STAGE).exists()
            raise damaged(folder / STAGE, "is damaged: its content is not what was written" if there else "is missing")
        return
    # What is being made has no list yet; whoever stopped in the middle left some files of it.
    expected = stage.get(FILES, {}).get(name) if stage.get("status") == "done" else None
    what = None if expected is None else _difference(folder / name, expected)
    if what is not None:
        raise damaged(folder / name, what, stage.get("title"))


def has_content(folder: Path) -> bool:
    """Whether a folder holds anything of an artifact: whoever is about to make one has made a lock only."""
    return (folder / STAGE).exists() or bool(payloads(folder)) or (folder / "checkpoint").is_dir()


def _other_size(file: Path, expected: FileSum) -> str | None:
    try:
        size = file.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    if size != expected["bytes"]:
        return f"is damaged: it has {size:,} bytes, and {expected['bytes']:,} were written"
    return None


def _difference(file: Path, expected: FileSum, anew: bool = False) -> str | None:
    what = _other_size(file, expected)
    if what is not None:
        return what
    try:
        found = sum_of_file(file)["sha256"] if anew else remembered(_digest, file, stamp_of(file))
    except FileNotFoundError:
        return "is missing"
    return None if found == expected["sha256"] else "is damaged: its content is not what was written"


def _read_digest(path: str, stamp: Stamp) -> str:
    return str(sum_of_file(Path(path))["sha256"])


def _unreadable(folder: Path, stage: StageRecord, anew: bool) -> tuple[str, str] | None:
    """What can be seen without checksums: files that are not there, and those that cannot be opened."""
    names = payloads(folder)
    if not stage.get("without_texts"):
        for name in ["summary.json", *HOLDS.get(str(stage.get("kind")), [])]:
            if name not in names:
                return name, "is missing"
    for name in names:
        file = folder / name
        what = _read_openable(str(file), stamp_of(file), anew) if anew else remembered(_openable, file, stamp_of(file))
        if what is not None:
            return name, what
    return None


def _read_openable(path: str, stamp: Stamp, whole: bool = False) -> str | None:
    """Why a file cannot be opened; None where it can."""
    file = Path(path)
    try:
        if file.suffix == ".json":
            json.loads(file.read_text(encoding="utf-8"))
        elif file.suffix == ".parquet":
            import pyarrow.parquet as pq

            opened = pq.ParquetFile(file)
            if whole:
                opened.read()
        elif file.suffix == ".safetensors":
            from safetensors import safe_open

            with safe_open(file, framework="np") as tensors:
                tensors.keys()
    except Exception as error:  # whatever a library makes of a damaged file
        return f"is damaged: {reason(error)}"
    return None


def set_aside(folder: Path, to: Path) -> Path:
    """Moves the files of a damaged artifact out of its folder; the caller holds the artifact's lock.

    The folder itself stays: the lock is in it.

    Args:
        folder: The artifact's folder.
        to: The workspace's folder for what is damaged.

    Returns:
        Where the files are: a folder with the artifact's id and a number.
    """
    number = 1
    while (aside := to / f"{folder.name}-{number}").exists():
        number += 1
    aside.mkdir(parents=True)
    # Whoever is killed in between leaves an artifact without a `stage.json`, which nobody takes for a finished one.
    for file in sorted(folder.iterdir(), key=lambda file: (file.name != STAGE, file.name)):
        if file.name != ".lock":
            file.replace(aside / file.name)
    return aside


def reason(error: Exception) -> str:
    """The first line of an error, without the dot at its end."""
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    return said[:300].rstrip(". ")


_digest = lru_cache(maxsize=65536)(_read_digest)
_openable = lru_cache(maxsize=65536)(_read_openable)
