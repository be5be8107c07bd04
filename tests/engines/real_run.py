"""A study over two workers of a real engine: processes, SLURM or Ray, started by its command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from answers import assert_whole
from forked_engine import Serial, said
from in_processes import computed_twice, write_sitecustomize
from waiting import LIMIT, wait

from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.worker_file import cell_states, cells_folder, open_batches

#: Two workers, of whichever engine.
MACHINE = """
slurm: {gpus: 0, cpus: 1, at_once: 2, minutes: 10}
ray: {address: local, cpus: 1, at_once: 2}
"""
#: In CI Ray is there: a test that is always skipped tests nothing.
WITHOUT_RAY = pytest.mark.skipif(
    find_spec("ray") is None and not os.environ.get("CI"), reason="ray is not installed (metapt-explore[ray])"
)
PROMPTS = ("prompt/PPT/0", "prompt/MetaPT/0")


class RealRun:
    """A study over two workers.

    Args:
        serial: The study.
        folder: A folder of its own.
        on: The engine.
        environment: Of its processes.
    """

    def __init__(self, serial: Serial, folder: Path, on: str, environment: Mapping[str, str]) -> None:
        folder.mkdir(exist_ok=True)
        self.serial, self.on, self.workspace = serial, on, Workspace(folder / "workspace")
        self._hold = folder / "hold"
        write_sitecustomize(folder, self.workspace.folder, self._hold)
        machine = folder / "machine.yaml"
        machine.write_text(MACHINE, encoding="utf-8")
        self._environment = {
            **environment,
            "METAPT_MACHINE": str(machine),
            "METAPT_HOME": str(serial.home),
            "PYTHONPATH": os.pathsep.join([str(folder), str(Path(__file__).parents[2])]),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> RealRun:
        return self

    def __exit__(self, *reason: object) -> None:
        """Leaves no process behind, also where a test failed."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        for worker in self.workers().values():
            with suppress(psutil.NoSuchProcess):
                worker.kill()

    def start(self, on: str = "") -> subprocess.Popen[bytes]:
        """The coordinator, for the first time or once more."""
        words = ["run", str(self.serial.file), "--workspace", str(self.workspace.folder), "--on", on or self.on]
        with self.workspace.folder.with_name("workspace.log").open("ab") as log:
            command = [sys.executable, "-m", "metapt_explore", *words]
            self.process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        return self.process

    def start_held(self) -> None:
        """The coordinator; both prompts wait in their middle until `let_go`."""
        self._hold.touch()
        self.start()
        self.wait_for_both()

    def wait_for_both(self) -> None:
        """Until both prompts stand in their middle, each at a worker of its own."""

        def both() -> bool:
            rows = {row["key"]: row for row in cell_states(self.workspace, "tiny")}
            return all(rows.get(key, {}).get("fraction") == 0.5 for key in PROMPTS) and len(self.workers()) == 2

        wait(both, self.told, self.process)

    def let_go(self) -> None:
        """Lets prompts go on."""
        self._hold.unlink()

    def told(self) -> str:
        """How it stands, for messages."""
        return f"{cell_states(self.workspace, 'tiny')} {said(self.workspace.folder)}"

    def workers(self) -> dict[str, psutil.Process]:
        """Processes that make batches now, by batch."""
        found: dict[str, psutil.Process] = {}
        for process in psutil.process_iter(["cmdline"]):
            words: Sequence[str] = process.info["cmdline"] or []
            is_shell = words[:1] == ["sh"]  # stands between a task of Ray and its worker
            if not is_shell and "--batch" in words and str(self.workspace.folder) in words and process.is_running():
                found[words[words.index("--batch") + 1]] = process
        return found

    def is_at_cell(self) -> bool:
        """Whether a worker makes a cell now, not only begins."""
        return any(row["state"] == "running" for row in cell_states(self.workspace, "tiny"))

    def batch(self, key: str) -> str:
        """The batch whose worker is at a cell."""
        return str(next(row["batch"] for row in cell_states(self.workspace, "tiny") if row["key"] == key))

    def handle(self, batch: str) -> str:
        """What the engine calls it."""
        return open_batches(self.workspace, "tiny")[batch]["handle"]

    @property
    def folder(self) -> Path:
        """Where the files of batches lie."""
        return cells_folder(self.workspace, "tiny")

    @property
    def ended(self) -> Path:
        """Where those lie that have ended."""
        return self.folder / "ended"

    def kill(self) -> None:
        """Kills the coordinator."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def wait_for_end(self) -> int:
        """Waits for the coordinator's end; its exit code."""
        assert self.process is not None
        return self.process.wait(LIMIT)

    def assert_as_serial(self, story: object = "") -> None:
        """Scores and tensors are those of the serial run, each computed once, and no worker is left."""
        told = f"{story} {self.told()}"
        assert_whole(self.workspace, "tiny", self.serial.answers, told)
        assert computed_twice(self.workspace) == [], told
        assert open_batches(self.workspace, "tiny") == {}, told
        wait(lambda: not self.workers(), told)
