"""SLURM: each job of a study is one element of a job array; a plain `sbatch` script runs `metapt make`.

submitit is not used: it pickles what it runs and loads pickled results, and neither is needed here, since workers speak
through the workspace. The script lies beside the batch's files and can be read, and submitted by hand.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from metapt_explore.config.machine import SlurmConfig
from metapt_explore.engines.base import Job, JobState, SubmitFailed
from metapt_explore.errors import UserError, first_line, shortened

#: What squeue calls jobs that have no process yet, or none any more but will be run again.
WAITING = (
    "PENDING",
    "CONFIGURING",
    "REQUEUED",
    "REQUEUE_HOLD",
    "REQUEUE_FED",
    "SPECIAL_EXIT",
    "SUSPENDED",
    "RESV_DEL_HOLD",
)
#: Jobs with a process.
RUNNING = ("RUNNING", "COMPLETING", "SIGNALING", "STAGE_OUT", "STOPPED", "RESIZING")
#: Seconds that a command of SLURM may take.
COMMAND_S = 60.0
#: What SLURM says when it is busy, away, or has enough jobs of this user: the same job may be taken later.
PASSING = re.compile(
    r"unable to contact|timed out|temporar|try again|retry|refused|transport endpoint|zero bytes|authentication|"
    r"MaxSubmit|MaxJob|QOSGrp|AssocGrp|no space left",
    re.IGNORECASE,
)


class SlurmEngine:
    """Workers that are jobs of SLURM. They outlive this process, and the next one finds them.

    A job that is preempted is queued again by SLURM (`--requeue`) and goes on from its checkpoint; one whose time is
    nearly over gets SIGUSR2, writes a checkpoint and ends, and what is left of it is submitted again.

    Args:
        settings: How jobs are asked for.
    """

    name = "slurm"
    poll_s = 3.0

    def __init__(self, settings: SlurmConfig) -> None:
        if shutil.which("sbatch") is None:
            raise UserError("--on slurm: there is no `sbatch` here; start the run where jobs are submitted.")
        self._settings = settings
        self.slots = settings.at_once
        self.trouble = ""

    def submit(self, jobs: Sequence[Job]) -> list[str]:
        """Submits one job array; where `sbatch` failed and SLURM has it all the same, that one is taken."""
        script = jobs[0].log.with_suffix(".sbatch")
        script.write_text(script_of(jobs, self._settings), encoding="utf-8")
        answer = _run(["sbatch", "--parsable", str(script)])
        number = answer.stdout.strip().partition(";")[0]
        if answer.returncode or not number.isdecimal():
            number = _number_of(script)
        if not number:
            said = _said(answer)
            where = f"The script is {script}; its settings stand in the machine file."
            raise SubmitFailed(f"SLURM refuses the job: {said}. {where}", passing=bool(PASSING.search(said)))
        return [f"{number}_{index}" for index in range(len(jobs))]

    def states(self, handles: Sequence[str]) -> dict[str, JobState]:
        """How jobs stand; unknown where SLURM does not answer: it may well run them."""
        if not handles:
            return {}
        numbers = sorted({handle.partition("_")[0] for handle in handles})
        answer = _run(["squeue", "--noheader", "--array", "--format=%i %T", f"--jobs={','.join(numbers)}"])
        if answer.returncode and "invalid job id" not in answer.stderr.lower():
            self.trouble = _said(answer)
            return dict.fromkeys(handles, "unknown")
        self.trouble = ""
        lines = [line.split() for line in answer.stdout.splitlines()]
        listed = {words[0]: words[1] for words in lines if len(words) == 2}
        return {handle: state_of(listed.get(handle)) for handle in handles}

    def cancel(self, handles: Sequence[str], *, now: bool = False) -> None:
        """Takes waiting jobs out of the queue and sends SIGTERM to running ones; or ends all."""
        if not handles:
            return
        if now:
            _run(["scancel", *handles])
            return
        _run(["scancel", "--state=PENDING", *handles])
        _run(["scancel", "--signal=TERM", "--full", "--state=RUNNING", *handles])

    def end_of(self, handle: str) -> str:
        """The last state of a job that SLURM still remembers."""
        answer = _run(["scontrol", "show", "job", handle, "--oneliner"])
        found = dict(re.findall(r"(JobState|ExitCode|Reason)=(\S+)", answer.stdout))
        return f"SLURM: {found['JobState']}, exit code {found.get('ExitCode', '?')}" if "JobState" in found else ""

    def close(self) -> None:
        """Holds nothing."""


def state_of(word: str | None) -> JobState:
    """A state of squeue; a job that it does not list is gone.

    Example:
        >>> state_of("PENDING"), state_of("RUNNING"), state_of("NODE_FAIL"), state_of(None)
        ('waiting', 'running', 'gone', 'gone')
    """
    return "waiting" if word in WAITING else "running" if word in RUNNING else "gone"


def script_of(jobs: Sequence[Job], settings: SlurmConfig) -> str:
    """The script of a job array.

    Args:
        jobs: Its elements.
        settings: How they are asked for.
    """
    options: dict[str, str | int | None] = {
        "job-name": f"metapt-{re.sub(r'[^A-Za-z0-9_.-]', '_', jobs[0].study)}",
        "array": f"0-{len(jobs) - 1}",
        "output": "/dev/null",
        "open-mode": "append",
        "partition": settings.partition,
        "time": settings.minutes,
        "cpus-per-task": settings.cpus,
        "mem": None if settings.memory_gib is None else f"{round(1024 * settings.memory_gib)}M",
        "gpus": settings.gpus or None,
        # B: to the batch shell, which is the worker itself (`exec`).
        "signal": f"B:USR2@{settings.warn_seconds}",
        **settings.options,
    }
    lines = [f"#SBATCH --{name}={value}" for name, value in options.items() if value is not None]
    batches = " ".join(shlex.quote(job.batch) for job in jobs)
    words = jobs[0].command(settings.python or sys.executable)
    # Each element of the array makes another batch.
    place = words.index("--batch") + 1
    command = " ".join("$batch" if number == place else shlex.quote(word) for number, word in enumerate(words))
    return "\n".join(
        [
            "#!/bin/bash",
            *lines,
            "#SBATCH --requeue",
            f"batches=({batches})",
            'batch="${batches[$SLURM_ARRAY_TASK_ID]}"',
            f'exec >>{shlex.quote(str(jobs[0].log.parent))}/"$batch".log 2>&1',
            *settings.setup,
            f"export OMP_NUM_THREADS={settings.cpus} PYTHONUNBUFFERED=1",
            # Where jobs ask for no card, a node's cards may be seen all the same, and ids are those of a CPU.
            *([] if settings.has_cards or settings.device else ["export CUDA_VISIBLE_DEVICES="]),
            f"exec {command}",
            "",
        ]
    )


def _number_of(script: Path) -> str:
    """The number of the job array that was submitted with a script; empty if there is none, or SLURM does not say."""
    answer = _run(["squeue", "--me", "--noheader", "--array", "--format=%i|%o"])
    lines = [line.strip().partition("|") for line in answer.stdout.splitlines()]
    return next((name.partition("_")[0] for name, _, command in lines if command == str(script)), "")


def _said(answer: subprocess.CompletedProcess[str]) -> str:
    """What a command of SLURM said, in one line."""
    return shortened(" ".join((answer.stderr or answer.stdout).split()), 300)


def _run(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Runs a command of SLURM; one that does not answer counts as failed."""
    try:
        return subprocess.run(
            words, capture_output=True, text=True, encoding="utf-8", timeout=COMMAND_S, check=False, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(list(words), 1, "", first_line(error))
