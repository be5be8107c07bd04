"""`metapt app`: the dashboard of an installed package, from any folder."""

from __future__ import annotations

import socket
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import psutil
import pytest
from streamlit.testing.v1 import AppTest
from waiting import LIMIT, wait

from metapt_explore import app_terminal, setup_starter


def answers(port: int) -> bool:
    """Whether the server says that it is well."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=LIMIT) as answer:
            return bool(answer.read() == b"ok")
    except OSError:
        return False


def test_it_listens_on_this_machine_only_and_needs_no_repository(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "metapt_explore.cli", "app", "--port", str(port), "-w", str(tmp_path / "mine")]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as server:
        try:
            wait(lambda: answers(port), "the server answers", server)
            streamlit = psutil.Process(server.pid)
            assert {c.laddr.ip for c in streamlit.net_connections() if c.status == "LISTEN"} == {"127.0.0.1"}
            assert streamlit.environ()["METAPT_WORKSPACE"] == str(tmp_path / "mine")
        finally:
            server.terminate()
        server.wait(LIMIT)
        # Whoever stops the command has stopped the server.
        with socket.socket() as again:
            assert again.connect_ex(("127.0.0.1", port)) != 0


def test_pages_lead_to_one_another_from_the_installed_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup_starter, "is_set_up", lambda: True)
    monkeypatch.setenv("METAPT_WORKERS", "0")
    monkeypatch.setenv("METAPT_WORKSPACE", str(tmp_path))
    at = AppTest.from_file(str(app_terminal.SCRIPT), default_timeout=LIMIT).run()
    assert not at.exception and at.title[0].value == "metapt_explore"
    at.button(key="own_texts").click().run()
    assert not at.exception and at.title[0].value == "Texts"


def test_no_pages_of_streamlits_own_lie_beside_the_script() -> None:
    """Streamlit would show them alone, without the frame, to whoever opens another address first."""
    assert not (app_terminal.SCRIPT.parent / "pages").exists()
    # The script's folder stands first on the path of modules: nothing there may be called as others are.
    assert {file.name for file in app_terminal.SCRIPT.parent.glob("*.py")} == {"__init__.py", "main.py"}


def test_settings_are_those_of_the_repository() -> None:
    file = Path(__file__).parents[2] / ".streamlit" / "config.toml"
    written = tomllib.loads(file.read_text(encoding="utf-8"))
    there = {f"{part}.{key}": value for part, settings in written.items() for key, value in settings.items()}
    own = {name: {"true": True, "false": False}.get(value, value) for name, value in app_terminal.SETTINGS.items()}
    assert {"server.address": "127.0.0.1", **own} == there
