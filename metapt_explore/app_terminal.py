"""Starts the dashboard from an installed package, where there is no `app.py` and no `.streamlit` folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

#: Apart from `pages/`: beside a folder of that name Streamlit shows its files until the frame has run once.
SCRIPT = Path(__file__).parent / "dashboard" / "main.py"
#: What `.streamlit/config.toml` says in the repository.
SETTINGS = {
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "minimal",
}


def open_dashboard(workspace: Path | None, port: int, address: str) -> int:
    """Runs the dashboard until it is stopped.

    Args:
        workspace: The workspace folder; what the environment says, else ``./workspace``, when absent.
        port: Where the server listens.
        address: On which address; only this machine reaches 127.0.0.1.

    Returns:
        The server's exit code, 0 where it was stopped with Ctrl-C. On POSIX it does not return: this process becomes
        the server.
    """
    settings = {**SETTINGS, "server.port": str(port), "server.address": address}
    command = [sys.executable, "-m", "streamlit", "run", str(SCRIPT)]
    command += [part for name, value in settings.items() for part in (f"--{name}", value)]
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
