"""Making an artifact: its status while and after a stage computes it, whatever happens meanwhile."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from metapt_explore.errors import Cancelled, TakenOver, UserError
from metapt_explore.storage.artifact import ArtifactWriter, Question
from metapt_explore.storage.checkpoint import checkpoint_meta, seconds_of
from metapt_explore.storage.peak_memory import PeakWatch
from metapt_explore.storage.stage_file import StageRecord, read_stage, write_stage


@contextmanager
def making(
    folder: Path,
    question: Question,
    manifest: dict[str, Any],
    *,
    is_ours: Callable[[], bool] = lambda: True,
    is_lost: Callable[[], bool] = lambda: False,
) -> Iterator[ArtifactWriter]:
    """Makes an artifact: marks it running, then done, cancelled or failed; an interrupted attempt's checkpoint stays.

    Args:
        folder: The artifact's folder.
        question: What it answers.
        manifest: Versions and hardware.
        is_ours: Whether its lock is ours still; asked before its status is written.
        is_lost: Whether it is known to be another host's, which costs little to ask; asked before anything is written.

    Raises:
        TakenOver: Where another host has taken it over; nothing is written or marked then, and its answer stands.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Durations are measured by the monotonic clock: the time of day may be set back.
    start = time.monotonic()
    head: StageRecord = {
        "id": question.id,
        "kind": question.kind,
        "title": question.title,
        "version": question.version,
        "config": question.config,
        "parents": question.parents,
        "inputs": question.inputs,
        "manifest": manifest,
        "began": time.time(),
    }
    # Of a killed attempt, only the seconds up to its last checkpoint are known.
    spent = max(seconds_of(read_stage(folder)), seconds_of(checkpoint_meta(folder)))

    def elapsed() -> float:
        """Seconds over all attempts."""
        return spent + time.monotonic() - start

    taken_over = TakenOver(f"Stopped: another host goes on with '{question.title}'.")

    def check() -> None:
        if is_lost():
            raise taken_over

    def mark(status: str, more: StageRecord | None = None) -> None:
        if not is_ours():
            raise taken_over
        write_stage(folder, {**head, **(more or {}), "status": status, "seconds": elapsed()})

    mark("running")
    watch = PeakWatch().start()
    writer = ArtifactWriter(folder, elapsed, check)
    try:
        yield writer
        files = writer.sums()
    except (Cancelled, KeyboardInterrupt):
        mark("cancelled")
        raise
    except BaseException as error:
        mark("failed", {"error": str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"})
        raise
    finally:
        watch.stop()
    mark("done", {"peak_mib": round(watch.peak, 1), "files": files})
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
