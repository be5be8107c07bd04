"""SLURM and Ray themselves, on this machine: two workers answer what one process does, and lost ones are replaced."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import slurm_here
from answers import assert_whole
from forked_engine import Serial, said
from waiting import LIMIT, wait

from metapt_explore.config.machine import SlurmConfig, machine_config
from metapt_explore.engines.base import Job
from metapt_explore.engines.slurm import script_of
from metapt_explore.storage.files import read_json
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.worker_file import cell_states, cells_folder, open_batches

MACHINE = """
slurm: {gpus: 0, cpus: 1, at_once: 2, minutes: 10}
ray: {address: local, cpus: 1, at_once: 2}
"""


@pytest.fixture(scope="module")
def slurm_environment() -> Iterator[dict[str, str]]:
    if reason := slurm_here.missing():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:  # a socket's path must be short
        try:
            running = slurm_here.slurm(Path(folder))
            environment = running.__enter__()
        except RuntimeError as error:
            pytest.skip(str(error))
        yield environment
        running.__exit__(None, None, None)


def start(serial: Serial, workspace: Workspace, on: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Runs the study with a machine file of two workers."""
    machine = workspace.folder.with_name("machine.yaml")
    machine.write_text(MACHINE, encoding="utf-8")
    environment = {**environment, "METAPT_MACHINE": str(machine), "METAPT_HOME": str(serial.home)}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    words = ["run", str(serial.file), "--workspace", str(workspace.folder), "--on", on]
    with workspace.folder.with_name(f"{workspace.folder.name}.log").open("ab") as log:
        command = [sys.executable, "-m", "metapt_explore", *words]
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def test_slurm(serial: Serial, tmp_path: Path, slurm_environment: dict[str, str]) -> None:
    """A job is cancelled by somebody, and the coordinator dies: the next one takes over its jobs."""
    workspace = Workspace(tmp_path / "workspace")

    def running() -> list[str]:
        return [row["batch"] for row in cell_states(workspace, "tiny") if row["state"] == "running"]

    def told() -> str:
        return said(workspace.folder)

    run = start(serial, workspace, "slurm", slurm_environment)
    wait(running, told, run)
    handle = open_batches(workspace, "tiny")[running()[0]]["handle"]
    subprocess.run(["scancel", "--signal=KILL", "--full", handle], env=slurm_environment, check=True)
    ended = cells_folder(workspace, "tiny") / "ended"
    wait(lambda: list(ended.glob("*.batch.json")), told, run)
    wait(running, told, run)
    run.kill()
    run.wait()
    before = open_batches(workspace, "tiny")
    assert before
    run = start(serial, workspace, "slurm", slurm_environment)
    assert run.wait(LIMIT) == 0, told()
    assert_whole(workspace, "tiny", serial.answers, told())
    assert open_batches(workspace, "tiny") == {}
    taken = {key for record in before.values() for key in record["cells"]}
    later = [read_json(file) for file in ended.glob("*.batch.json") if file.name.partition(".")[0] > max(before)]
    again = taken & {key for record in later for key in record["cells"]}
    assert not again, "what the first one has submitted was taken over, not submitted once more"


@pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed (metapt-explore[ray])")
def test_ray(serial: Serial, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    run = start(serial, workspace, "ray", environment)
    assert run.wait(LIMIT) == 0, said(workspace.folder)
    assert_whole(workspace, "tiny", serial.answers, said(workspace.folder))
    files = (cells_folder(workspace, "tiny") / "ended").glob("*.worker.json")
    assert len({read_json(file)["process"]["pid"] for file in files}) >= 3


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
    from metapt_explore.errors import UserError

    file = tmp_path / "machine.yaml"
    file.write_text("slurm: {partitoin: gpu}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"machine\.yaml.*partition"):
        machine_config(file)
    file.write_text("on: local:4\nbatch_minutes: 5\n", encoding="utf-8")
    assert (machine_config(file).on, machine_config(file).batch_minutes) == ("local:4", 5)
