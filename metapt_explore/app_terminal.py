"""Starts the dashboard from an installed package, where there is no `app.py` and no `.streamlit` folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from metapt_explore import frame

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
        The server's exit code; 0 where it was stopped with Ctrl-C.
    """
    settings = {**SETTINGS, "server.port": str(port), "server.address": address}
    command = [sys.executable, "-m", "streamlit", "run", frame.__file__]
    command += [part for name, value in settings.items() for part in (f"--{name}", value)]
    environment = dict(os.environ)
    if workspace is not None:
        environment["METAPT_WORKSPACE"] = str(workspace)
    try:
        return subprocess.call(command, env=environment)
    except KeyboardInterrupt:
        return 0
