"""Changing what an artifact holds as if it had been computed so: its checksums are made anew."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from metapt_explore.storage import integrity
from metapt_explore.storage.artifact import ArtifactWriter
from metapt_explore.storage.files import read_json
from metapt_explore.storage.stage_file import FILES, STAGE, sum_of_file, write_stage


def reseal(folder: Path) -> None:
    """Takes what lies in an artifact's folder for what was written."""
    files = {name: sum_of_file(folder / name) for name in integrity.payloads(folder)}
    write_stage(folder, {**read_json(folder / STAGE), FILES: files})


def writer_in(folder: Path) -> ArtifactWriter:
    """A writer of an artifact that is being made there."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / STAGE).exists():
        write_stage(folder, {"status": "running"})
    return ArtifactWriter(folder)


def dead_process() -> int:
    """The id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid
