"""Changing what an artifact holds as if it had been computed so: its checksums are made anew."""

from __future__ import annotations

from pathlib import Path

from metapt_explore.storage import integrity
from metapt_explore.storage.artifact import ArtifactWriter, write_stage
from metapt_explore.storage.files import read_json


def reseal(folder: Path) -> None:
    """Takes what lies in an artifact's folder for what was written."""
    files = {name: integrity.sum_of_file(folder / name) for name in integrity.payloads(folder)}
    write_stage(folder, {**read_json(folder / integrity.STAGE), integrity.FILES: files})


def writer_in(folder: Path) -> ArtifactWriter:
    """A writer of an artifact that is being made there."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / integrity.STAGE).exists():
        write_stage(folder, {"status": "running"})
    return ArtifactWriter(folder)
