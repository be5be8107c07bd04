"""Ray: each job of a study is a task, which runs `metapt make` as a process of its node."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metapt_explore.config.machine import RayConfig
from metapt_explore.engines.base import Job, JobState
from metapt_explore.engines.local import THREADS, cores
from metapt_explore.errors import UserError, first_line

#: Times that Ray is started on this machine, which has 30 seconds to answer each time: a busy one takes longer.
MOST_STARTS = 3
#: What Ray says when it did not answer in time.
TOO_SLOW = "timed out during startup"
#: Runs what follows as a child of the shell and hands on how it ended.
BETWEEN = ("sh", "-c", '"$@" & wait $!', "sh")
#: A shell says 128 + N of a process that signal N has ended.
SIGNALLED = 128


class RayEngine:
    """Workers that are tasks of Ray. They end with this process; the next one gives their cells out again.

    Args:
        settings: How tasks are asked for.
    """

    name = "ray"
    poll_s = 0.5
    trouble = ""

    def __init__(self, settings: RayConfig) -> None:
        try:
            import ray
        except ImportError:
            raise UserError(
                "--on ray needs a package that is not installed: pip install 'metapt-explore[ray]'"
            ) from None
        self._ray: Any = ray
        self._settings = settings
        self._began = not ray.is_initialized()
        if self._began:
            self._join()
        try:
            self.slots = places(settings, self._ray.cluster_resources())
        except UserError:
            self.close()
            raise
        self._tasks: dict[str, Any] = {}

    def _join(self) -> None:
        """Joins the cluster, or starts one here.

        Raises:
            UserError: Where it cannot be.
        """
        settings = self._settings
        is_here = settings.address == "local"
        options: dict[str, Any] = {"num_cpus": max(settings.cpus, cores())} if is_here else {}
        for left in reversed(range(MOST_STARTS if is_here else 1)):
            try:
                self._ray.init(address=settings.address, include_dashboard=False, log_to_driver=False, **options)
                return
            except Exception as error:  # Ray raises `Exception` itself where a node does not start in time
                if left and TOO_SLOW in str(error):
                    continue
                if is_here:
                    where, advice = "Ray did not start on this machine", "Where the machine was busy, try it again."
                else:
                    where = f"Ray at '{settings.address}' cannot be reached"
                    advice = "`ray.address` stands in the machine file."
                raise UserError(f"{where}: {first_line(error)}. {advice}") from error

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        """Submits a task for each job."""
        settings = self._settings
        # A lost task is the coordinator's to give out again: it counts the attempts.
        task = self._ray.remote(num_cpus=settings.cpus, num_gpus=settings.gpus, max_retries=0)(run_command)
        handles = []
        for job in jobs:
            handle = f"{os.getpid()}:{job.batch}"
            self._tasks[handle] = task.remote(job.command(), str(job.log), settings.cpus)
            handles.append(handle)
        return handles

    def states(self, handles: Sequence[str]) -> dict[str, JobState]:
        """How tasks of this process stand; those of another have ended with it."""
        known = {handle: self._tasks[handle] for handle in handles if handle in self._tasks}
        ended = set()
        if known:
            ready, _ = self._ray.wait(list(known.values()), num_returns=len(known), timeout=0)
            ended = set(ready)
        return {handle: "running" if handle in known and known[handle] not in ended else "gone" for handle in handles}

    def cancel(self, handles: Sequence[str], *, now: bool = False) -> None:
        """Kills tasks; without `now` nothing is done, since workers look for the file that asks them to stop."""
        for handle in handles:
            if now and self.states([handle])[handle] != "gone":
                self._ray.cancel(self._tasks[handle], force=True)

    def end_of(self, handle: str) -> str:
        """The exit code of a task's process, or what Ray says of a lost one."""
        if handle not in self._tasks:
            return "its run has ended"
        try:
            code = self._ray.get(self._tasks[handle], timeout=0)
        except Exception as error:  # Ray's errors are of many classes
            return f"Ray: {type(error).__name__}"
        return f"exit code {code}" if code >= 0 else f"killed by signal {-code}"

    def close(self) -> None:
        """Leaves Ray, if this engine has joined it."""
        if self._began and self._ray.is_initialized():
            self._ray.shutdown()
        self._began = False


def places(settings: RayConfig, resources: Mapping[str, float]) -> int:
    """Tasks at once: no more than this machine has room for, where Ray runs on it alone. A cluster may grow.

    Args:
        settings: How tasks are asked for.
        resources: What Ray has.

    Raises:
        UserError: Where this machine has too few cards for one task, which would wait for ever.

    Example:
        >>> places(RayConfig(cpus=2), {"CPU": 5.0})
        2
    """
    if settings.address != "local":
        return settings.at_once
    room = [settings.at_once, int(resources.get("CPU", 1.0)) // settings.cpus]
    if settings.gpus:
        room.append(int(resources.get("GPU", 0.0) / settings.gpus))
        if not room[-1]:
            raise UserError(
                f"`ray.gpus: {settings.gpus:g}` in the machine file: Ray finds {resources.get('GPU', 0.0):g} on this "
                "machine, so no task would ever begin. Set `ray.gpus: 0`, or `ray.address: auto` for a cluster."
            )
    return max(1, min(room))


def run_command(command: Sequence[str], log: str, threads: int) -> int:
    """Runs a worker on a node: Ray has set `CUDA_VISIBLE_DEVICES` for the task. Returns its exit code.

    Where Ray kills the task, or the run that submitted it is killed, the worker sees that its parent is gone and stops
    with a checkpoint. A shell stands between the two: a task that ends takes its own children with it at once.
    """
    import signal
    import subprocess

    environment = {**os.environ, **dict.fromkeys(THREADS, str(threads)), "PYTHONUNBUFFERED": "1"}
    with (
        Path(log).open("ab") as output,
        subprocess.Popen(
            [*BETWEEN, *command, "--parent", str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        ) as process,
    ):
        try:
            code = process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            raise
    return SIGNALLED - code if code > SIGNALLED else code
