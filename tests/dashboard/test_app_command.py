"""`metapt app`: the dashboard of an installed package, from any folder."""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import psutil
import pytest
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner
from waiting import LIMIT, wait

from metapt_explore.cli import app as app_terminal
from metapt_explore.cli.main import metapt
from metapt_explore.models import setup as setup_starter


def asks_for_a_page(port: int, host: str, origin: str | None = None) -> int:
    """The status with which the server answers a browser that opens the connection through which pages come."""
    asked = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {
        "Host": host,
        "Origin": origin or f"http://{host}",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef").decode(),
    }
    asked.putrequest("GET", "/_stcore/stream", skip_host=True)
    for name, value in headers.items():
        asked.putheader(name, value)
    asked.endheaders()
    with contextlib.closing(asked):
        return asked.getresponse().status


def plain_answer(port: int, host: str) -> str:
    """What the server says without that connection: the frame of every page, which holds nothing of a workspace."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/?study=mine", headers={"Host": host})
    with urllib.request.urlopen(request, timeout=30) as answer:
        body: bytes = answer.read()
    return body.decode()


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
    command = [
        sys.executable,
        "-m",
        "metapt_explore.cli.main",
        "app",
        "--port",
        str(port),
        "-w",
        str(tmp_path / "mine"),
    ]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as server:
        try:
            wait(lambda: answers(port), "the server answers", server)
            # A foreign page whose name was made to lead here (DNS rebinding) gets no connection, and so no data.
            assert asks_for_a_page(port, f"localhost:{port}") == asks_for_a_page(port, f"127.0.0.1:{port}") == 101
            assert asks_for_a_page(port, f"evil.example:{port}") == 403
            assert asks_for_a_page(port, f"localhost:{port}", origin="http://evil.example") == 403
            assert "mine" not in plain_answer(port, "evil.example")
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
    assert {file.name for file in app_terminal.SCRIPT.parent.glob("*.py")} == {"__init__.py", "frame.py", "main.py"}


def test_settings_are_those_of_the_repository() -> None:
    file = Path(__file__).parents[2] / ".streamlit" / "config.toml"
    written = tomllib.loads(file.read_text(encoding="utf-8"))
    written["theme.light"] = written.pop("theme")["light"]
    there = {f"{part}.{key}": value for part, settings in written.items() for key, value in settings.items()}
    own = {name: {"true": True, "false": False}.get(value, value) for name, value in app_terminal.SETTINGS.items()}
    assert {"server.address": "127.0.0.1", "server.allowedHosts": list(app_terminal.LOCAL_HOSTS), **own} == there


@pytest.mark.parametrize(
    ("address", "more", "allowed", "refused"),
    [
        ("127.0.0.1", [], ["localhost", "127.0.0.1", "::1"], ["evil.example", "*"]),
        ("192.168.1.5", ["lab.example.org"], ["localhost", "192.168.1.5", "lab.example.org"], ["*"]),
        ("0.0.0.0", [], ["localhost", "127.0.0.1", socket.gethostname()], ["*", ""]),
    ],
)
def test_names_by_which_browsers_may_call(
    address: str, more: list[str], allowed: list[str], refused: list[str]
) -> None:
    hosts = app_terminal.allowed_hosts(address, more)
    assert set(allowed) <= set(hosts) and not set(refused) & set(hosts)


def test_the_command_passes_names_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(app_terminal, "open_dashboard", lambda *given, hosts: asked.append((*given, hosts)) or 0)
    run = CliRunner().invoke(metapt, ["app", "--address", "0.0.0.0", "--host", "lab.example", "--host", "b.example"])
    assert run.exit_code == 0 and asked == [(None, 8501, "0.0.0.0", ["lab.example", "b.example"])]
