"""An artifact: a folder with everything that a stage computed.

``stage.json`` holds its question, versions, hardware, status and the checksums of all files (`stage_file`); live curves
read ``metrics.jsonl``; tables are Parquet, tensors safetensors; ``checkpoint/`` exists while the stage runs. The status
``done`` is written last. What is read here is what was written, or a `UserError` names the damaged file.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from metapt_explore.errors import UserError
from metapt_explore.storage import integrity
from metapt_explore.storage.checkpoint import (
    checkpoint_content,
    checkpoint_file,
    plain_tensors,
    read_checkpoint,
)
from metapt_explore.storage.files import read_json, read_lines, read_table, write_bytes, write_json, write_table
from metapt_explore.storage.stage_file import STAGE, FileSum, StageRecord, read_stage, sum_of, sum_of_file

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Question:
    """A question: what would be computed, from what.

    Its id hashes everything the answer depends on, so that the same question is never computed
    twice and a changed one never gets an old answer.

    Attributes:
        kind: ``texts``, ``clusters``, ``prompt`` …
        title: What people call it; not part of the id.
        version: Raised whenever the stage's behaviour changes.
        config: Settings as plain values.
        parents: Ids of the artifacts it reads.
        inputs: Content hashes of what comes from outside (files, models), dtype, threads.
    """

    kind: str
    title: str
    version: int
    config: dict[str, Any]
    parents: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """``kind-`` and 16 hexadecimal digits."""
        question = [self.kind, self.version, self.config, self.parents, self.inputs]
        digest = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()
        return f"{self.kind}-{digest[:16]}"


class Artifact:
    """Reads an artifact folder.

    Args:
        folder: The folder; it may be missing, running, done or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def id(self) -> str:
        """The stage's id, which is the folder's name."""
        return self.folder.name

    @property
    def stage(self) -> StageRecord:
        """What ``stage.json`` holds; empty if it is missing or damaged."""
        return read_stage(self.folder)

    @property
    def status(self) -> str:
        """``missing``, ``running``, ``done``, ``failed``, ``cancelled`` or ``damaged``; looks at sizes only."""
        stage = self.stage
        if not stage:
            return "damaged" if integrity.has_content(self.folder) else "missing"
        status = str(stage.get("status", "damaged"))
        return "damaged" if status == "done" and integrity.lost(self.folder, stage) else status

    @property
    def finished(self) -> bool:
        """Whether it is done.

        Raises:
            UserError: If it is damaged, which nobody may take for "not computed yet".
        """
        status = self.status
        if status == "damaged":
            raise self.damage or integrity.damaged(self.folder / STAGE, "is damaged")
        return status == "done"

    @property
    def is_whole(self) -> bool:
        """Whether it is done, complete (an example leaves texts out) and as it was written; reads each file once."""
        stage = self.stage
        return stage.get("status") == "done" and not stage.get("without_texts") and self.damage is None

    @property
    def damage(self) -> UserError | None:
        """What is wrong with it and what to do; None if it is missing, unfinished or as it was written."""
        stage = self.stage
        try:
            integrity.check_file(self.folder, stage, STAGE)
        except integrity.DamagedFile as error:
            return error
        if stage.get("status") != "done":
            return None
        damage = integrity.damage(self.folder, stage)
        if damage is None:
            return None
        name, what = damage
        return integrity.damaged(self.folder / name, what, stage.get("title"))

    def file(self, name: str) -> Path:
        """Path of one of its files, after a look at its checksum.

        Raises:
            UserError: If its content is not what was written.
        """
        integrity.check_file(self.folder, self.stage, name)
        return self.folder / name

    @property
    def summary(self) -> dict[str, Any]:
        """Scores and counts: equal when the same study runs twice."""
        summary = read_json(self.file("summary.json"))
        return summary if isinstance(summary, dict) else {}

    @property
    def metrics(self) -> pd.DataFrame:
        """The metrics so far, a row a line."""
        return pd.DataFrame(read_lines(self.file("metrics.jsonl")))

    def table(self, name: str) -> pd.DataFrame:
        """Reads ``name.parquet``."""
        with self._opened(f"{name}.parquet") as path:
            return read_table(path)

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Reads ``name.safetensors``."""
        from safetensors.torch import load_file

        with self._opened(f"{name}.safetensors") as path:
            return load_file(path)

    @contextmanager
    def _opened(self, name: str) -> Iterator[Path]:
        """A file for a library to read; whatever the library raises for a damaged one becomes a `UserError`."""
        path = self.file(name)
        try:
            yield path
        except FileNotFoundError:
            raise integrity.damaged(path, "is missing", self.stage.get("title")) from None
        except MemoryError:  # says nothing of the file
            raise
        except Exception as error:
            raise integrity.damaged(path, f"is damaged: {integrity.reason(error)}", self.stage.get("title")) from error


class ArtifactWriter(Artifact):
    """An artifact that is being made.

    Args:
        folder: The folder.
        elapsed: Seconds that it took so far, earlier attempts among them.
        check: Called before anything is written; raises where another host makes the artifact by now.
    """

    def __init__(
        self, folder: Path, elapsed: Callable[[], float] = lambda: 0.0, check: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(folder)
        self._elapsed, self._check = elapsed, check
        self._written: dict[str, FileSum] = {}

    @property
    def seconds(self) -> float:
        """Seconds that it took so far, over all attempts."""
        return self._elapsed()

    def metric(self, record: dict[str, Any]) -> None:
        """Appends one line to ``metrics.jsonl``."""
        self._check()
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        """Writes ``name.parquet``."""
        self._check()
        file = self.folder / f"{name}.parquet"
        write_table(file, table)
        self._written[file.name] = sum_of_file(file)

    def write_tensors(self, name: str, tensors: dict[str, Tensor], meta: dict[str, str] | None = None) -> None:
        """Writes ``name.safetensors``."""
        from safetensors.torch import save

        content = save(plain_tensors(tensors), metadata=meta)
        self._check()
        write_bytes(self.folder / f"{name}.safetensors", content)
        self._written[f"{name}.safetensors"] = sum_of(content)

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Writes ``summary.json``."""
        self._check()
        file = self.folder / "summary.json"
        write_json(file, summary)
        self._written[file.name] = sum_of_file(file)

    def sums(self) -> dict[str, FileSum]:
        """Sizes and checksums of its files as they were written.

        Raises:
            UserError: If one of them is gone.
        """
        gone = [name for name in self._written if not (self.folder / name).is_file()]
        if gone:
            raise integrity.damaged(self.folder / gone[0], "was deleted while it was being made")
        names = integrity.payloads(self.folder)
        return {name: self._written.get(name) or sum_of_file(self.folder / name) for name in names}

    def save_checkpoint(self, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
        """Replaces the checkpoint; tensors and their step are one file, so they cannot disagree."""
        lines = sum_of_file(self._lines) if self._lines.exists() else None
        content = checkpoint_content(tensors, {**meta, "seconds": self._elapsed(), "metrics": lines})
        self._check()
        write_bytes(checkpoint_file(self.folder), content)

    def load_checkpoint(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Returns the checkpoint and drops metrics that were written after it; None if it is missing or damaged."""
        self._check()
        checkpoint = read_checkpoint(self.folder)
        if checkpoint is None or not self._has_lines_of(checkpoint[1]):
            shutil.rmtree(self.folder / "checkpoint", ignore_errors=True)
            self._lines.unlink(missing_ok=True)
            return None
        tensors, meta = checkpoint
        if self._lines.exists():  # an answer without metrics is the same, stopped on the way or not
            lines = [line for line in read_lines(self._lines) if line.get("step", 0) < meta["step"]]
            write_bytes(self._lines, "".join(json.dumps(line) + "\n" for line in lines).encode())
        return tensors, meta

    @property
    def _lines(self) -> Path:
        return self.folder / "metrics.jsonl"

    def _has_lines_of(self, meta: dict[str, Any]) -> bool:
        """Whether the metrics begin with those that were there when a checkpoint was written."""
        expected = meta.get("metrics")
        if expected is None:
            return True
        content = self._lines.read_bytes() if self._lines.exists() else b""
        return bool(sum_of(content[: expected["bytes"]]) == expected)
