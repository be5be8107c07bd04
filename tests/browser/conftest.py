"""The address of a dashboard that is up."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from driving import ROOT, free_port, is_up
from waiting import LIMIT, wait


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The app over an empty workspace, in a process of its own."""
    port = free_port()
    environment = {**os.environ, "METAPT_WORKSPACE": str(tmp_path / "workspace"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py"), "--server.port", str(port)]
    log = (tmp_path / "server.log").open("wb")
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    try:
        wait(lambda: is_up(url), "the server", server)
        yield url
    finally:
        server.terminate()
        server.wait(LIMIT)
        log.close()
        # Workers outlive the server by design.
        for told in (tmp_path / "workspace" / "queue").glob("worker-*.json"):
            with contextlib.suppress(OSError, KeyError):
                os.kill(json.loads(told.read_text(encoding="utf-8"))["pid"], signal.SIGTERM)
