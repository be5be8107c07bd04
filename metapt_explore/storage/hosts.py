"""Which host this is: its name, its kernel since the last start, and where its process numbers count.

Two containers on one machine share the kernel, so a lock of one is seen by the other; but number 7 is another process
in each. Two machines on one disk share neither.
"""

from __future__ import annotations

import re
import socket
import sys
import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path

#: Linux gives each start of the machine a new number.
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
#: Where process numbers count: another one in each container.
PID_NAMESPACE = Path("/proc/self/ns/pid")
#: The number of the place that is no container's.
NO_CONTAINER = "4026531836"
#: What a Linux keeps over restarts.
MACHINE_ID = Path("/etc/machine-id")
#: Characters of a host's name that file names keep.
NAME_LENGTH = 24


@dataclass(frozen=True)
class Host:
    """A host as its processes see it.

    Attributes:
        name: What people call it.
        boot: Its kernel since the last start of the machine: equal for all containers on it.
        namespace: Where its process numbers count; empty if the system has one place only.
        machine: What stays over restarts of the machine; empty if nobody knows.
    """

    name: str
    boot: str
    namespace: str
    machine: str = ""

    def was_restarted_as(self, later: Host) -> bool:
        """Whether this is the other host before a restart of the machine, so that none of its processes lives.

        Images of containers may hold the same machine's id, so containers are none.
        """
        plain = {self.namespace, later.namespace} <= {"", NO_CONTAINER}
        same = (self.name, self.machine) == (later.name, later.machine)
        return plain and same and bool(self.machine) and self.boot != later.boot

    @property
    def key(self) -> str:
        """The host in the names of files: letters, digits, ``-`` and ``_``.

        Example:
            >>> Host("gpu 1", "3d1219c7-c4c5", "4026531836").key
            'gpu_1-3d1219c7-4026531836'
        """
        plain = [re.sub(r"[^A-Za-z0-9_-]", "_", part) for part in (self.name, self.boot, self.namespace)]
        return "-".join([plain[0][:NAME_LENGTH], plain[1][:8], plain[2]]).rstrip("-")


@cache
def this_host() -> Host:
    """The host that this process runs on."""
    return Host(socket.gethostname() or "host", _boot(), _namespace(), _machine())


def _boot() -> str:
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return _boot_of_a_mac() or f"{uuid.getnode():012x}"


def _boot_of_a_mac() -> str:
    if sys.platform != "darwin":
        return ""
    import subprocess

    try:
        command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
        return subprocess.run(command, capture_output=True, encoding="utf-8", check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _namespace() -> str:
    try:
        return str(PID_NAMESPACE.stat().st_ino)
    except OSError:
        return ""


def _machine() -> str:
    try:
        return MACHINE_ID.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        node = uuid.getnode()
        is_drawn = bool(node >> 40 & 1)  # of a machine without a network card: another one each time
        return "" if is_drawn else f"{node:012x}"
