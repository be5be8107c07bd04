"""Processes of another host that shares our disk: really in namespaces of their own, or pretended."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
#: A process with numbers and a name of its own, as in a container.
UNSHARE = ["unshare", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc"]
NAMED = "import socket; socket.sethostname('second')\n"
#: Another machine: another kernel, whose locks ours does not see. Its heart beats fast.
ANOTHER_MACHINE = """
import sys
sys.path[:0] = [{tests!r}]
from metapt_explore.storage import hosts
hosts.socket.gethostname = lambda: "second"
hosts._boot = lambda: "another-boot"
from filelock import FileLock
from metapt_explore.storage import host_lock, presence
host_lock.FileLock = lambda file, **options: FileLock(f"{{file}}.second", **options)
host_lock.lock_state = presence.lock_state = lambda file: "free"
presence.hold = lambda descriptor: None
presence.BEAT_S = 0.05
from pathlib import Path
from metapt_explore.storage.workspace import Workspace
workspace = Workspace(sys.argv[1])
"""


@cache
def why_no_namespaces() -> str:
    """Why no process of its own namespaces can be started here; empty if it can."""
    if shutil.which("unshare") is None:
        return "this system has no unshare"
    done = subprocess.run([*UNSHARE, sys.executable, "-c", NAMED], capture_output=True, encoding="utf-8", check=False)
    return "" if done.returncode == 0 else f"no namespaces may be made here: {done.stderr.strip()[:80]}"


def in_container(script: str, *words: object) -> subprocess.Popen[str]:
    """Runs a script in namespaces of its own; the workspace is its first word."""
    return _start([*UNSHARE, sys.executable, "-c", NAMED + script, *map(str, words)])


def on_this_host(script: str, *words: object) -> subprocess.Popen[str]:
    """Runs a script in a plain process."""
    return _start([sys.executable, "-c", script, *map(str, words)])


def on_another_machine(script: str, *words: object) -> subprocess.Popen[str]:
    """Runs a script as on another machine; it has `workspace`, which its first word names."""
    return _start([sys.executable, "-c", another_machine() + script, *map(str, words)])


def another_machine() -> str:
    """How a script begins that runs as on another machine."""
    return ANOTHER_MACHINE.format(tests=str(ROOT / "tests"))


def _start(command: list[str]) -> subprocess.Popen[str]:
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "encoding": "utf-8"}
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths}, **pipes)


def line(process: subprocess.Popen[str]) -> str:
    """The next line that a process prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> int:
    """Lets a process that reads its input go on to its end; returns its exit code."""
    process.communicate(timeout=300)
    return process.returncode
