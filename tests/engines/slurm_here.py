"""A SLURM of one node on this machine: munged, slurmctld and slurmd as root, out of a folder of their own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")
#: Debian puts daemons where not every path leads.
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
#: Seconds until it must answer.
START_S = 60.0

CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
SlurmctldPort={controller_port}
SlurmdPort={node_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
KillWait=5
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why there can be no SLURM here; empty if there can. In CI Debian's is installed.

    What is installed there must run: a test that is always skipped tests nothing.
    """
    if _absent() and os.environ.get("CI") and shutil.which("apt-get") and os.geteuid() == 0:
        _install()
    if absent := _absent():
        return f"{', '.join(absent)} not installed (Debian: slurm-wlm, munge)"
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return ""
    assert not os.environ.get("CI"), (
        "SLURM is installed, and its daemons are started as root only: run this test as root"
    )
    return "SLURM's daemons are started as root only"


def _install() -> None:
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # The browser tests install with the same lock: there is one package manager.
    with FileLock(Path(tempfile.gettempdir()) / "metapt-tests-chromium.lock"):
        for words in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", "slurm-wlm", "munge"]):
            subprocess.run(["apt-get", *words], check=False, capture_output=True, env=quiet)


def _absent() -> list[str]:
    return [program for program in PROGRAMS if shutil.which(program, path=PATH) is None]


@contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Inside, SLURM runs; yields the environment in which its commands find it.

    Raises:
        RuntimeError: If it does not come up.
    """
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    ports = [_free_port(), _free_port()]
    host = socket.gethostname().partition(".")[0]
    conf = CONF.format(folder=folder, host=host, controller_port=ports[0], node_port=ports[1])
    (folder / "slurm.conf").write_text(conf, encoding="utf-8")
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n", encoding="utf-8")
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o600)
    environment = {**os.environ, "PATH": PATH, "SLURM_CONF": str(folder / "slurm.conf")}
    munge = ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", f"--key-file={folder}/munge.key"]
    munge += [f"--{name}-file={folder}/munge.{name}" for name in ("pid", "log", "seed")]
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        for words in (munge, ["slurmctld", "-D"], ["slurmd", "-D"]):
            with (folder / "daemons.log").open("ab") as log:
                daemons.append(subprocess.Popen(words, env=environment, stdout=log, stderr=log))
            time.sleep(0.5)  # each reads the socket of the one before
        _wait_for_node(environment, folder)
        yield environment
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def _wait_for_node(environment: dict[str, str], folder: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        words = ["sinfo", "--noheader", "--format=%T"]
        answer = subprocess.run(words, env=environment, capture_output=True, text=True, encoding="utf-8", check=False)
        if answer.stdout.strip() == "idle":
            return
        time.sleep(0.3)
    logs = [file.read_text(encoding="utf-8", errors="replace")[-1500:] for file in sorted(folder.glob("*.log"))]
    raise RuntimeError("\n".join(["SLURM did not come up", *logs]))


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
