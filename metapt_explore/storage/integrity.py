"""Whether the files of an artifact are as they were written, by the sizes and checksums in ``stage.json``.

- Existence and size are checked whenever the status of an artifact is asked for (`lost`), without reading files;
- the checksum of a file when it is read (`check_file`);
- all checksums before an artifact counts as finished in a run (`damage`), and by ``metapt verify``.

A checksum is computed once for each time that a file was written. Artifacts without checksums (written by hand) are
accepted if their files can be opened.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path

from metapt_explore.errors import UserError
from metapt_explore.storage.files import Stamp, remembered, stamp_of
from metapt_explore.storage.stage_file import FILES, STAGE, FileSum, StageRecord, sum_of_file

#: What to do: the end of each message.
REMEDY = (
    "Please run the study again: it sets aside what is damaged and computes it anew. `metapt verify --repair` looks "
    "through the whole workspace."
)
#: Files of a finished artifact by its kind, besides its summary; for artifacts without checksums.
HOLDS = {
    "split": ["rows.parquet"],
    "texts": ["texts.parquet", "leaks.parquet"],
    "embeddings": ["embeddings.safetensors"],
    "labels": ["labels.parquet"],
    "clusters": ["clusters.parquet"],
    "memberships": ["memberships.safetensors", "memberships.parquet"],
    "tasks": ["tasks.parquet"],
    "prompt": ["prompt.safetensors"],
    "hidden_states": ["hidden_states.safetensors"],
    "fewshot": ["results.parquet", "curves.parquet"],
    "baseline": ["results.parquet"],
}


class DamagedFile(UserError):
    """A file of a workspace is damaged or lost; the message names it and says what to do."""


def damaged(file: Path, what: str, title: object = None) -> DamagedFile:
    """The error for a damaged file.

    Args:
        file: The file.
        what: What is wrong with it: the end of a sentence that begins with its name.
        title: The part of the study that it belongs to.
    """
    part = f" (of: {title})" if title else ""
    return DamagedFile(f"{file}{part} {what}. {REMEDY}")


def payloads(folder: Path) -> list[str]:
    """Names of an artifact's files besides ``stage.json``, without checkpoints, locks and temporary files."""
    if not folder.is_dir():
        return []
    return sorted(
        entry.name
        for entry in os.scandir(folder)
        if entry.name != STAGE and not entry.name.startswith(".") and entry.is_file()
    )


def lost(folder: Path, stage: StageRecord) -> tuple[str, str] | None:
    """The first missing file, or file of another size, of a finished artifact, with the reason; reads no content."""
    for name, expected in stage.get(FILES, {}).items():
        what = _other_size(folder / name, expected)
        if what is not None:
            return name, what
    return None


def damage(folder: Path, stage: StageRecord, *, anew: bool = False) -> tuple[str, str] | None:
    """The first file of a finished artifact that is not as it was written, and what is wrong.

    Args:
        folder: Its folder.
        stage: What `read_stage` returned.
        anew: Read each file, whatever is remembered of it; ``metapt verify`` does that.
    """
    if FILES not in stage:
        return _unreadable(folder, stage, anew=anew)
    for name, expected in stage[FILES].items():
        what = _difference(folder / name, expected, anew=anew)
        if what is not None:
            return name, what
    return None


def check_file(folder: Path, stage: StageRecord, name: str) -> None:
    """Raises a `DamagedFile` if a file of an artifact is not as it was written."""
    if not stage:
        if has_content(folder):
            exists = (folder / STAGE).exists()
            raise damaged(folder / STAGE, "is damaged: its content is not what was written" if exists else "is missing")
        return
    # An artifact that is not finished has no checksums yet.
    expected = stage.get(FILES, {}).get(name) if stage.get("status") == "done" else None
    what = None if expected is None else _difference(folder / name, expected)
    if what is not None:
        raise damaged(folder / name, what, stage.get("title"))


def has_content(folder: Path) -> bool:
    """Whether a folder holds more than a lock."""
    return (folder / STAGE).exists() or bool(payloads(folder)) or (folder / "checkpoint").is_dir()


def _other_size(file: Path, expected: FileSum) -> str | None:
    try:
        size = file.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    if size != expected["bytes"]:
        return f"is damaged: it has {size:,} bytes, and {expected['bytes']:,} were written"
    return None


def _difference(file: Path, expected: FileSum, *, anew: bool = False) -> str | None:
    what = _other_size(file, expected)
    if what is not None:
        return what
    try:
        digest = sum_of_file(file)["sha256"] if anew else remembered(_digest, file, stamp_of(file))
    except FileNotFoundError:
        return "is missing"
    return None if digest == expected["sha256"] else "is damaged: its content is not what was written"


def _read_digest(path: str, stamp: Stamp) -> str:
    return str(sum_of_file(Path(path))["sha256"])


def _unreadable(folder: Path, stage: StageRecord, *, anew: bool) -> tuple[str, str] | None:
    """The first file that is missing or cannot be opened, of an artifact without checksums."""
    names = payloads(folder)
    if not stage.get("without_texts"):
        for name in ["summary.json", *HOLDS.get(str(stage.get("kind")), [])]:
            if name not in names:
                return name, "is missing"
    for name in names:
        file = folder / name
        what = (
            _read_openable(str(file), stamp_of(file), whole=anew)
            if anew
            else remembered(_openable, file, stamp_of(file))
        )
        if what is not None:
            return name, what
    return None


def _read_openable(path: str, stamp: Stamp, *, whole: bool = False) -> str | None:
    """Why a file cannot be opened; None if it can."""
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
    except MemoryError:  # says nothing of the file
        raise
    except Exception as error:  # any error that a library raises on a damaged file
        return f"is damaged: {reason(error)}"
    return None


def set_aside(folder: Path, to: Path) -> Path:
    """Moves the files of a damaged artifact out of its folder; the caller holds the artifact's lock.

    The folder itself stays: the lock and its owner are in it.

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
    # `stage.json` goes first: without it nobody takes the artifact for finished if this process is killed in between.
    for file in sorted(folder.iterdir(), key=lambda file: (file.name != STAGE, file.name)):
        if not file.name.startswith(".lock"):
            file.replace(aside / file.name)
    return aside


def reason(error: Exception) -> str:
    """The first line of an error, without the full stop."""
    line = str(error).splitlines()[0] if str(error) else type(error).__name__
    return line[:300].rstrip(". ")


_digest = lru_cache(maxsize=65536)(_read_digest)
_openable = lru_cache(maxsize=65536)(_read_openable)
