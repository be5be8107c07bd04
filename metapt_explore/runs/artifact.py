"""An artifact is a folder, and the folder is the truth.

``stage.json`` holds the configuration, the parents, versions, hardware and the status;
``metrics.jsonl`` is what live curves read; tables are Parquet, tensors safetensors;
``checkpoint/`` exists while the stage runs. The status ``done`` is written last.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from metapt_explore.runs.files import read_json, read_lines, read_table, write_bytes, write_json, write_table
from metapt_explore.runs.peak_memory import PeakWatch

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Stage:
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
    def stage(self) -> dict[str, Any]:
        """What ``stage.json`` holds; empty where it is missing or damaged."""
        found = read_json(self.folder / "stage.json")
        return found if isinstance(found, dict) else {}

    @property
    def status(self) -> str:
        """``missing``, ``running``, ``done``, ``failed``, ``cancelled`` or ``damaged``."""
        if not self.folder.exists():
            return "missing"
        return str(self.stage.get("status", "damaged"))

    @property
    def is_whole(self) -> bool:
        """Whether it is done and holds all that it should: an example leaves texts out, and what is made of them."""
        stage = self.stage
        return stage.get("status") == "done" and not stage.get("without_texts")

    @property
    def summary(self) -> dict[str, Any]:
        """Scores and counts: equal when the same study runs twice."""
        found = read_json(self.folder / "summary.json")
        return found if isinstance(found, dict) else {}

    @property
    def metrics(self) -> pd.DataFrame:
        """The metrics so far, a row a line."""
        return pd.DataFrame(read_lines(self.folder / "metrics.jsonl"))

    def table(self, name: str) -> pd.DataFrame:
        """Reads ``name.parquet``."""
        return read_table(self.folder / f"{name}.parquet")

    def tensors(self, name: str) -> dict[str, Tensor]:
        """Reads ``name.safetensors``."""
        from safetensors.torch import load_file

        return load_file(self.folder / f"{name}.safetensors")


class ArtifactWriter(Artifact):
    """An artifact that is being made.

    Args:
        folder: The folder.
        elapsed: Seconds that it took so far, earlier attempts among them.
    """

    def __init__(self, folder: Path, elapsed: Callable[[], float] = lambda: 0.0) -> None:
        super().__init__(folder)
        self._elapsed = elapsed

    @property
    def seconds(self) -> float:
        """Seconds that it took so far, over all attempts."""
        return self._elapsed()

    def metric(self, record: dict[str, Any]) -> None:
        """Appends one line to ``metrics.jsonl``."""
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")

    def write_table(self, name: str, table: pd.DataFrame) -> None:
        """Writes ``name.parquet``."""
        write_table(self.folder / f"{name}.parquet", table)

    def write_tensors(self, name: str, tensors: dict[str, Tensor], meta: dict[str, str] | None = None) -> None:
        """Writes ``name.safetensors``."""
        import torch
        from safetensors.torch import save

        plain = {
            key: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for key, tensor in tensors.items()
        }
        write_bytes(self.folder / f"{name}.safetensors", save(plain, metadata=meta))

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Writes ``summary.json``."""
        write_json(self.folder / "summary.json", summary)

    def save_checkpoint(self, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
        """Replaces the checkpoint; tensors and their step are one file, so they cannot disagree."""
        told = json.dumps({**meta, "seconds": self._elapsed()})
        self.write_tensors("checkpoint/state", tensors, {"meta": told})

    def load_checkpoint(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Returns the checkpoint and drops metrics that were written after it; None where there is none."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(_checkpoint(self.folder), framework="pt") as stored:
                tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118
        except (FileNotFoundError, SafetensorError):
            (self.folder / "metrics.jsonl").unlink(missing_ok=True)
            return None
        meta = checkpoint_meta(self.folder)
        kept = [line for line in read_lines(self.folder / "metrics.jsonl") if line.get("step", 0) < meta["step"]]
        write_bytes(self.folder / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in kept).encode())
        return tensors, meta


def _checkpoint(folder: Path) -> Path:
    return folder / "checkpoint" / "state.safetensors"


def checkpoint_meta(folder: Path) -> dict[str, Any]:
    """What a checkpoint says beside its tensors; empty where there is none."""
    if not _checkpoint(folder).exists():
        return {}
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(_checkpoint(folder), framework="pt") as stored:
            meta: dict[str, Any] = json.loads(stored.metadata()["meta"])
            return meta
    except SafetensorError:
        return {}


@contextmanager
def making(folder: Path, stage: Stage, manifest: dict[str, Any]) -> Iterator[ArtifactWriter]:
    """Makes an artifact: marks it running, and done, cancelled or failed at the end.

    What an interrupted attempt left (checkpoint, metrics) stays for the next one.
    """
    from metapt_explore.errors import Cancelled

    folder.mkdir(parents=True, exist_ok=True)
    clock = time.monotonic()  # a time of day may be set back meanwhile
    head: dict[str, Any] = {
        "id": stage.id,
        "kind": stage.kind,
        "title": stage.title,
        "version": stage.version,
        "config": stage.config,
        "parents": stage.parents,
        "inputs": stage.inputs,
        "manifest": manifest,
        "began": time.time(),
    }
    before = read_json(folder / "stage.json") or {}
    spent = float(before.get("seconds", 0.0)) if isinstance(before, dict) else 0.0
    # Of an attempt that was killed the seconds up to its last checkpoint are known.
    spent = max(spent, float(checkpoint_meta(folder).get("seconds", 0.0)))

    def mark(status: str, **more: Any) -> None:
        # Seconds add up over attempts.
        seconds = spent + time.monotonic() - clock
        write_json(folder / "stage.json", {**head, "status": status, "seconds": seconds, **more})

    mark("running")
    watch = PeakWatch().start()
    try:
        yield ArtifactWriter(folder, lambda: spent + time.monotonic() - clock)
    except (Cancelled, KeyboardInterrupt):
        mark("cancelled")
        raise
    except BaseException as error:
        mark("failed", error=f"{type(error).__name__}: {error}")
        raise
    finally:
        watch.stop()
    mark("done", peak_mib=round(watch.peak, 1))
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
