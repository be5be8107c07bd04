"""Starts the dashboard from an installed package, where there is no `app.py` and no `.streamlit` folder."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

#: Beside a folder `pages/` Streamlit would show its files until the frame has run once; hence `views/`.
SCRIPT = Path(__file__).parents[1] / "dashboard" / "main.py"
#: What `.streamlit/config.toml` says in the repository.
SETTINGS = {
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "minimal",
}
#: Names of this machine that only its own browsers use.
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
#: Addresses that mean each of this machine's.
ANY_ADDRESS = ("0.0.0.0", "::", "")


def open_dashboard(workspace: Path | None, port: int, address: str, hosts: Sequence[str] = ()) -> int:
    """Runs the dashboard until it is stopped.

    Args:
        workspace: The workspace folder; what the environment says, else ``./workspace``, when absent.
        port: Where the server listens.
        address: On which address; only this machine reaches 127.0.0.1.
        hosts: More names by which browsers may call the server, see `allowed_hosts`.

    Returns:
        The server's exit code, 0 where it was stopped with Ctrl-C. On POSIX it does not return: this process becomes
        the server.
    """
    settings = {**SETTINGS, "server.port": str(port), "server.address": address}
    command = [sys.executable, "-m", "streamlit", "run", str(SCRIPT)]
    command += [part for name, value in settings.items() for part in (f"--{name}", value)]
    command += [part for host in allowed_hosts(address, hosts) for part in ("--server.allowedHosts", host)]
    environment = dict(os.environ)
    if workspace is not None:
        environment["METAPT_WORKSPACE"] = str(workspace)
    if os.name == "posix":
        # This process becomes the server: whoever stops the one stops the other.
        os.execve(sys.executable, command, environment)
    with subprocess.Popen(command, env=environment) as server:
        try:
            return server.wait()
        except KeyboardInterrupt:
            # The server has been told by the same key; it has time to end by itself.
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
            return 0


def allowed_hosts(address: str, more: Sequence[str] = ()) -> list[str]:
    """Names by which browsers may call the server; requests for pages under any other name are refused.

    A foreign web page can make its own name lead to this machine (DNS rebinding): the browser then takes the dashboard
    for a part of that page, but still says the page's name.

    Args:
        address: What the server listens on. Of an address that means all of the machine's, their numbers and the
            machine's own names are allowed.
        more: Other names, for example of a proxy in front of the server; ``*`` allows any.

    Example:
        >>> allowed_hosts("192.168.1.5", ["lab.example.org"])
        ['localhost', '127.0.0.1', '::1', '192.168.1.5', 'lab.example.org']
    """
    own = [address]
    if address in ANY_ADDRESS:
        import psutil

        numbers = [entry.address for entries in psutil.net_if_addrs().values() for entry in entries]
        own = [socket.gethostname(), socket.getfqdn(), *(number for number in numbers if _is_number(number))]
    return list(dict.fromkeys([*LOCAL_HOSTS, *own, *more]))


def _is_number(address: str) -> bool:
    """Whether it is an address of the internet protocol, not one of a network card."""
    import ipaddress

    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True
