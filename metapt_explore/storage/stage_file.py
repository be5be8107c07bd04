"""``stage.json``, the record of an artifact: its question, how it stands, and the checksums of its files."""

from __future__ import annotations

import hashlib
import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypedDict, cast

from metapt_explore.storage.files import Stamp, remembered, stamp_of, write_json

STAGE = "stage.json"
#: Keys of the record.
FILES: Final = "files"
CHECKSUM: Final = "checksum"


class FileSum(TypedDict):
    """Size and SHA-256 of a file."""

    bytes: int
    sha256: str


class StageRecord(TypedDict, total=False):
    """What ``stage.json`` holds.

    Attributes:
        id: The artifact's id.
        kind: ``texts``, ``clusters``, ``prompt`` …
        title: What people call it.
        version: Of the stage's behaviour.
        config: Settings as plain values.
        parents: Ids of the artifacts it was made from, by role.
        inputs: Content hashes of what comes from outside.
        manifest: Versions and hardware (`storage.manifest`).
        began: When the attempt began, in seconds since 1970.
        status: ``running``, ``done``, ``failed`` or ``cancelled``.
        seconds: How long it took, over all attempts.
        peak_mib: Peak memory; once it is done.
        files: Size and checksum of each file; once it is done.
        error: Why it failed.
        without_texts: Whether the texts were left out of it (examples).
        checksum: SHA-256 over all of the above.
    """

    id: str
    kind: str
    title: str
    version: int
    config: dict[str, Any]
    parents: dict[str, str]
    inputs: dict[str, Any]
    manifest: dict[str, Any]
    began: float
    status: str
    seconds: float
    peak_mib: float
    files: dict[str, FileSum]
    error: str
    without_texts: bool
    checksum: str


def sum_of(content: bytes) -> FileSum:
    """Size and checksum of a file's content."""
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def sum_of_file(file: Path) -> FileSum:
    """Size and checksum of a file as it is now."""
    with file.open("rb") as stream:
        return {"bytes": os.fstat(stream.fileno()).st_size, "sha256": hashlib.file_digest(stream, "sha256").hexdigest()}


def write_stage(folder: Path, stage: StageRecord) -> None:
    """Writes ``stage.json`` with its checksum."""
    write_json(folder / STAGE, sealed(stage))


def sealed(stage: StageRecord) -> dict[str, Any]:
    """A record with a checksum over all of it."""
    plain: dict[str, Any] = json.loads(json.dumps(stage))
    plain.pop(CHECKSUM, None)
    return {**plain, CHECKSUM: _checksum(plain)}


def _checksum(plain: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def read_stage(folder: Path) -> StageRecord:
    """What ``stage.json`` holds; empty if it is missing or damaged."""
    file = folder / STAGE
    try:
        stamp = stamp_of(file)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    text = remembered(_stage_text, file, stamp)
    record: StageRecord = {} if text is None else json.loads(text)
    return record


@lru_cache(maxsize=4096)
def _stage_text(path: str, stamp: Stamp) -> str | None:
    """The text of a ``stage.json``; None if it is not what was written."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
        return None
    return None if parse_stage(text) is None else text


def parse_stage(text: str) -> StageRecord | None:
    """A record out of the text of a ``stage.json``; None if it is not what was written."""
    try:
        stage = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(stage, dict):
        return None
    if CHECKSUM not in stage:
        # The list of files was never written without a checksum.
        return None if FILES in stage else cast(StageRecord, stage)
    plain = {key: value for key, value in stage.items() if key != CHECKSUM}
    return cast(StageRecord, stage) if stage[CHECKSUM] == _checksum(plain) else None
