"""Processes, SLURM and Ray themselves, on this machine: two workers answer what one process does, whatever befalls."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
import slurm_here
from answers import assert_whole
from forked_engine import Serial, said
from waiting import LIMIT, wait

from metapt_explore.config.machine import RayConfig, SlurmConfig, machine_config
from metapt_explore.engines.base import Job
from metapt_explore.engines.ray import places
from metapt_explore.engines.slurm import script_of
from metapt_explore.errors import UserError
from metapt_explore.jobs.state import job_state
from metapt_explore.storage.files import read_json
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.worker_file import cell_states, cells_folder, open_batches, read_worker

MACHINE = """
slurm: {gpus: 0, cpus: 1, at_once: 2, minutes: 10}
ray: {address: local, cpus: 1, at_once: 2}
"""
#: Python reads it at the start of every process: workers take no third step of pre-training while a file is there.
HOLD = """
import sys
if "--batch" in sys.orig_argv:
    import time
    from pathlib import Path
    from metapt_explore.progress.state import Progress
    advance = Progress.advance
    def slowly(self, done):
        advance(self, done)
        while self.state.stage.startswith("prompt") and done == 2 and Path(__file__).with_name("hold").exists():
            time.sleep(0.05)
            advance(self, done)
    Progress.advance = slowly
"""
PROMPTS = ("prompt/PPT/0", "prompt/MetaPT/0")
WITHOUT_RAY = pytest.mark.skipif(
    find_spec("ray") is None and not os.environ.get("CI"), reason="ray is not installed (metapt-explore[ray])"
)


@pytest.fixture(scope="module")
def slurm_environment() -> Iterator[dict[str, str]]:
    if reason := slurm_here.missing():
        pytest.skip(reason)
    with (
        tempfile.TemporaryDirectory(prefix="slurm-") as folder,  # a socket's path must be short
        slurm_here.slurm(Path(folder)) as environment,
    ):
        yield environment


class Run:
    """A study over two workers, both of which wait in the middle of a prompt until `go_on`.

    Args:
        serial: The study.
        folder: A folder of its own.
        on: The engine.
        environment: Of its processes.
    """

    def __init__(self, serial: Serial, folder: Path, on: str, environment: dict[str, str]) -> None:
        self.serial, self.on, self.workspace = serial, on, Workspace(folder / "workspace")
        self._hold = folder / "hold"
        self._hold.touch()
        (folder / "sitecustomize.py").write_text(HOLD, encoding="utf-8")
        machine = folder / "machine.yaml"
        machine.write_text(MACHINE, encoding="utf-8")
        paths = os.pathsep.join([str(folder), str(Path(__file__).parents[2])])
        own = {"METAPT_MACHINE": str(machine), "METAPT_HOME": str(serial.home), "PYTHONPATH": paths}
        self._environment = {**environment, **own}
        self.process = self.start(on)

    def start(self, on: str) -> subprocess.Popen[bytes]:
        """The coordinator, once more."""
        words = ["run", str(self.serial.file), "--workspace", str(self.workspace.folder), "--on", on]
        with self.workspace.folder.with_name("workspace.log").open("ab") as log:
            command = [sys.executable, "-m", "metapt_explore", *words]
            self.process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        return self.process

    def told(self) -> str:
        """For messages."""
        return f"{cell_states(self.workspace, 'tiny')} {said(self.workspace.folder)}"

    def wait_for_both(self) -> None:
        """Until both prompts stand in their middle, each at a worker of its own, and both work."""

        def both() -> bool:
            rows = {row["key"]: row for row in cell_states(self.workspace, "tiny")}
            return all(rows.get(key, {}).get("fraction") == 0.5 for key in PROMPTS) and len(self.workers()) == 2

        wait(both, self.told, self.process)

    def workers(self) -> dict[str, int]:
        """Processes that make batches now."""
        found: dict[str, int] = {}
        for process in psutil.process_iter(["cmdline"]):
            words: Sequence[str] = process.info["cmdline"] or []
            if "--batch" in words and str(self.workspace.folder) in words and process.is_running():
                found[words[words.index("--batch") + 1]] = process.pid
        return found

    def batch(self, key: str) -> str:
        """The batch whose worker is at a cell."""
        return str(next(row["batch"] for row in cell_states(self.workspace, "tiny") if row["key"] == key))

    def handle(self, batch: str) -> str:
        """What the engine calls it."""
        return open_batches(self.workspace, "tiny")[batch]["handle"]

    @property
    def ended(self) -> Path:
        """Where the files of batches lie that have ended."""
        return cells_folder(self.workspace, "tiny") / "ended"

    def kill(self) -> None:
        """Kills the coordinator."""
        self.process.kill()
        self.process.wait()

    def go_on(self) -> None:
        """Lets workers go on to the end, which is that of the serial run."""
        self._hold.unlink()
        assert self.process.wait(LIMIT) == 0, self.told()
        assert_whole(self.workspace, "tiny", self.serial.answers, self.told())
        assert open_batches(self.workspace, "tiny") == {}
        assert self.workers() == {}


def test_processes(serial: Serial, tmp_path: Path) -> None:
    run = Run(serial, tmp_path, "local:2", dict(os.environ))
    run.wait_for_both()
    run.go_on()


def test_slurm(serial: Serial, tmp_path: Path, slurm_environment: dict[str, str]) -> None:
    """One job is queued again, one is told that its time is over, the coordinator dies, and then another job."""

    def slurm(*words: str) -> str:
        answer = subprocess.run(words, env=slurm_environment, capture_output=True, check=True, encoding="utf-8")
        return answer.stdout

    run = Run(serial, tmp_path, "slurm", slurm_environment)
    run.wait_for_both()
    requeued, warned = (run.batch(key) for key in PROMPTS)
    first, folder = run.handle(requeued), cells_folder(run.workspace, "tiny")
    listed = slurm("squeue", "--me", "--noheader", "--array", "--format=%i|%o").split()
    assert any(line.startswith(f"{first}|{folder}") for line in listed), "a job is found by its script"
    slurm("scontrol", "requeue", first)
    wait(lambda: read_worker(folder, requeued).get("state") == "stopped", run.told, run.process)
    wait(lambda: "PENDING" in slurm("squeue", "--noheader", "--array", "--format=%T", f"--jobs={first}"))
    slurm("scontrol", "update", f"JobId={first}", "StartTime=now")
    slurm("scancel", "--batch", "--signal=USR2", run.handle(warned))
    wait(lambda: (run.ended / f"{warned}.worker.json").exists(), run.told, run.process)
    assert read_json(run.ended / f"{warned}.worker.json")["state"] == "stopped"
    run.wait_for_both()
    assert run.batch(PROMPTS[0]) == requeued and run.handle(requeued) == first, "it goes on as the job that it was"
    assert run.batch(PROMPTS[1]) > warned, "what is left of it is submitted again"

    run.kill()
    before = open_batches(run.workspace, "tiny")
    assert set(run.workers()) == set(before)
    run.start("slurm")
    wait(lambda: job_state(run.workspace, "tiny")["status"] == "running", run.told, run.process)
    wait(lambda: job_state(run.workspace, "tiny").get("stage", "").startswith("2 workers"), run.told, run.process)
    lost = run.batch(PROMPTS[1])
    slurm("scancel", "--signal=KILL", "--full", run.handle(lost))
    wait(lambda: (run.ended / f"{lost}.batch.json").exists(), run.told, run.process)
    run.go_on()
    kept = {key for batch, record in before.items() if batch != lost for key in record["cells"]}
    later = [read_json(file) for file in run.ended.glob("*.batch.json") if file.name.partition(".")[0] > max(before)]
    assert not kept & {key for record in later for key in record["cells"]}, "what runs was taken over"


@WITHOUT_RAY
def test_ray(serial: Serial, tmp_path: Path) -> None:
    """The coordinator is killed, and the next one is cancelled: each time workers end with a checkpoint."""
    run = Run(serial, tmp_path, "ray", {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"})
    for how in ("killed", "cancelled"):
        run.wait_for_both()
        if how == "killed":
            run.kill()
        else:
            (run.workspace.study_folder("tiny") / "cancel").touch()
            assert run.process.wait(LIMIT) == 130, run.told()
        wait(lambda: not run.workers(), run.told)
        folder = cells_folder(run.workspace, "tiny") if how == "killed" else run.ended
        stopped = [read_json(file) for file in sorted(folder.glob("*.worker.json"))[-2:]]
        assert [record["state"] for record in stopped] == ["stopped", "stopped"], how
        assert len(list(run.workspace.folder.glob("artifacts/prompt-*/checkpoint/*"))) == 2, how
        run.start("ray" if how == "killed" else "here")
    run.go_on()


@pytest.mark.parametrize(
    ("settings", "resources", "tasks"),
    [
        ({}, {"CPU": 2.0}, 2),
        ({"at_once": 2}, {"CPU": 16.0}, 2),
        ({"cpus": 4}, {"CPU": 4.0}, 1),
        ({"gpus": 0.5}, {"CPU": 16.0, "GPU": 2.0}, 4),
        ({"address": "auto", "gpus": 1}, {"CPU": 2.0}, 8),
    ],
)
def test_ray_has_no_more_tasks_than_this_machine_has_room_for(
    settings: dict[str, object], resources: dict[str, float], tasks: int
) -> None:
    assert places(RayConfig.model_validate(settings), resources) == tasks


def test_a_task_that_would_wait_for_ever_is_refused() -> None:
    with pytest.raises(UserError, match=r"ray\.gpus: 1.*Ray finds 0"):
        places(RayConfig(gpus=1), {"CPU": 2.0})


def test_a_script_is_a_job_array_that_can_be_read(tmp_path: Path) -> None:
    jobs = [Job("my study", tmp_path / "w s", batch, tmp_path / "w s" / f"{batch}.log") for batch in ("00001", "00002")]
    settings = SlurmConfig(partition="gpu", memory_gib=16, setup=["module load cuda"], options={"account": "lab"})
    lines = script_of(jobs, settings).splitlines()
    assert lines[0] == "#!/bin/bash"
    wanted = ["--array=0-1", "--partition=gpu", "--time=240", "--mem=16384M", "--gpus=1", "--account=lab", "--requeue"]
    assert set(f"#SBATCH {option}" for option in [*wanted, "--signal=B:USR2@120", "--job-name=metapt-my_study"]) <= {
        *lines
    }
    assert "batches=(00001 00002)" in lines
    assert lines[-1].startswith("exec ") and "make 'my study' --batch $batch" in lines[-1]
    assert lines.index("module load cuda") < len(lines) - 1
    subprocess.run(["bash", "-n"], input="\n".join(lines).encode(), check=True)


def test_a_machine_file_that_is_wrong_names_the_key(tmp_path: Path) -> None:
    file = tmp_path / "machine.yaml"
    file.write_text("slurm: {partitoin: gpu}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"machine\.yaml.*partition"):
        machine_config(file)
    file.write_text("on: local:4\nbatch_minutes: 5\n", encoding="utf-8")
    assert (machine_config(file).on, machine_config(file).batch_minutes) == ("local:4", 5)
