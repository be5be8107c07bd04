"""Jobs of a run that is gone: asked to stop, and taken out of the queue in which they wait."""

from __future__ import annotations

from contextlib import suppress

from metapt_explore.config.machine import machine_config
from metapt_explore.engines.base import Engine
from metapt_explore.engines.slurm import SlurmEngine
from metapt_explore.errors import UserError
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.given_out import put_away, stop_workers
from metapt_explore.study.worker_file import cells_folder


def call_back(workspace: Workspace, name: str) -> str:
    """Stops what a run that is gone has given out.

    Args:
        workspace: The workspace.
        name: The study.

    Returns:
        What was done, for people; empty where there was nothing.
    """
    batches = stop_workers(workspace, name)
    taken: list[str] = []
    queued = {
        record["handle"]: batch
        for batch, record in batches.items()
        if "handle" in record and record.get("engine", "") == SlurmEngine.name
    }
    engine = slurm_engine() if queued else None
    if engine is not None:
        engine.cancel(list(queued))
        states = engine.states(list(queued))
        taken = [batch for handle, batch in queued.items() if states[handle] == "gone"]
        for batch in taken:
            put_away(cells_folder(workspace, name), batch)
    parts = []
    if len(batches) > len(taken):
        parts.append(f"its workers ({len(batches) - len(taken)}) were asked to stop")
    if taken:
        parts.append(f"its jobs ({len(taken)}) were taken out of the queue, or had ended")
    if queued and engine is None:
        parts.append("jobs that wait at SLURM, which is not reached from here, end when they begin")
    return "; ".join(parts)


def slurm_engine() -> Engine | None:
    """SLURM; None where it is not reached from this machine."""
    with suppress(UserError):
        return SlurmEngine(machine_config().slurm)
    return None
