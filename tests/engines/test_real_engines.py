"""Processes and SLURM themselves, on this machine: two workers answer what one process does, whatever befalls."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from forked_engine import Serial
from real_run import PROMPTS, RealRun
from waiting import wait

from metapt_explore.config.machine import SlurmConfig, machine_config
from metapt_explore.engines.base import Job
from metapt_explore.engines.slurm import script_of
from metapt_explore.errors import UserError
from metapt_explore.jobs.state import job_state
from metapt_explore.storage.files import read_json
from metapt_explore.study.worker_file import open_batches, read_worker


def test_processes(serial: Serial, tmp_path: Path) -> None:
    with RealRun(serial, tmp_path, "local:2", os.environ) as run:
        run.start_held()
        run.let_go()
        assert run.wait_for_end() == 0, run.told()
        run.assert_as_serial()


def test_slurm(serial: Serial, tmp_path: Path, slurm_environment: dict[str, str]) -> None:
    """One job is queued again, one is told that its time is over, the coordinator dies, and then another job."""

    def slurm(*words: str) -> str:
        answer = subprocess.run(words, env=slurm_environment, capture_output=True, check=True, encoding="utf-8")
        return answer.stdout

    with RealRun(serial, tmp_path, "slurm", slurm_environment) as run:
        run.start_held()
        requeued, warned = (run.batch(key) for key in PROMPTS)
        first = run.handle(requeued)
        listed = slurm("squeue", "--me", "--noheader", "--array", "--format=%i|%o").split()
        assert any(line.startswith(f"{first}|{run.folder}") for line in listed), "a job is found by its script"
        slurm("scontrol", "requeue", first)
        wait(lambda: read_worker(run.folder, requeued).get("state") == "stopped", run.told, run.process)
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
        run.start()
        wait(lambda: job_state(run.workspace, "tiny")["status"] == "running", run.told, run.process)
        wait(lambda: job_state(run.workspace, "tiny").get("stage", "").startswith("2 workers"), run.told, run.process)
        lost = run.batch(PROMPTS[1])
        slurm("scancel", "--signal=KILL", "--full", run.handle(lost))
        wait(lambda: (run.ended / f"{lost}.batch.json").exists(), run.told, run.process)
        run.let_go()
        assert run.wait_for_end() == 0, run.told()
        run.assert_as_serial()
        kept = {key for batch, record in before.items() if batch != lost for key in record["cells"]}
        later = [
            read_json(file) for file in run.ended.glob("*.batch.json") if file.name.partition(".")[0] > max(before)
        ]
        assert not kept & {key for record in later for key in record["cells"]}, "what runs was taken over"


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
