"""A server of the dashboard, a real browser, and what a hand does in it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from waiting import LIMIT, wait

ROOT = Path(__file__).parents[2]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find_chromium() -> str:
    """The browser's path; in CI it is installed where it is missing, and its absence is a failure."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None and os.environ.get("CI") and shutil.which("apt-get") and os.geteuid() == 0:
        with FileLock(Path(tempfile.gettempdir()) / "metapt-tests-chromium.lock"):  # of all parallel workers
            if not shutil.which("chromium"):
                for words in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", "chromium"]):
                    subprocess.run(["apt-get", *words], check=True, capture_output=True)
        found = shutil.which("chromium")
    if found is None and os.environ.get("CI"):
        pytest.fail("no chromium on this machine, and it could not be installed")
    if found is None:
        pytest.skip("no chromium on this machine: install Debian's package `chromium` or Google Chrome")
    return found


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def is_up(url: str) -> bool:
    """Whether the server answers."""
    try:
        urllib.request.urlopen(f"{url}/_stcore/health", timeout=LIMIT).read()
    except OSError:
        return False
    return True


def wait_for_job(tmp_path: Path) -> None:
    """Until the folder says that the job is on its way (pages come and go, the folder is the truth)."""
    job = tmp_path / "workspace" / "studies" / "tiny" / "job.json"
    wait(
        lambda: json.loads(job.read_text(encoding="utf-8"))["status"] in ("starting", "running"),
        lambda: f"Resume was clicked, and the job stays {job.read_text(encoding='utf-8')}",
    )


@contextlib.contextmanager
def held(tmp_path: Path, points: int = 40) -> Iterator[None]:
    """Holds the one job of a workspace once its curve has points: it cannot end while the browser takes its time."""
    workspace = tmp_path / "workspace"

    def jobs() -> list[dict[str, Any]]:
        return [json.loads(file.read_text(encoding="utf-8")) for file in workspace.glob("studies/*/job.json")]

    def running() -> list[int]:
        curves = [
            file.read_text(encoding="utf-8").count("\n") for file in workspace.glob("artifacts/prompt-*/metrics.jsonl")
        ]
        return [job["pid"] for job in jobs() if max(curves, default=0) >= points and job["status"] == "running"]

    found: list[int] = []
    wait(lambda: found.extend(running()) or found, lambda: f"a curve of {points} points: {jobs()}")
    pid = found[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def cancel_job(page: Any, tmp_path: Path) -> None:
    """Clicks Cancel, and waits until the job has been asked to stop."""
    page.get_by_role("button", name="Cancel", exact=True).click()
    wait(lambda: list((tmp_path / "workspace").glob("studies/*/cancel")), "the job is asked to stop")


def settle(page: Any) -> None:
    """Waits until the page is drawn, and stays so: what a hand does meanwhile meets values that are being set anew."""
    state = page.locator("[data-testid=stApp][data-test-script-state=notRunning]")
    still = 0
    while still < 3:
        state.wait_for(state="attached")
        page.wait_for_timeout(100)  # a change that was just made has to reach the server
        still = still + 1 if state.count() else 0


def open_page(page: Any, name: str) -> None:
    """Clicks a page's link until its heading is there: a click while the page before is being redrawn can be lost."""
    from playwright.sync_api import expect

    for seconds in (8, 16, 32, 64, 128):  # longer each time, for a machine that is slow
        page.get_by_role("link", name=name, exact=True).first.click()
        with contextlib.suppress(AssertionError):
            expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible(timeout=1000 * seconds)
            return
    raise AssertionError(f"the page '{name}' does not open")


def lasso_all(page: Any) -> None:
    """Draws a lasso around the whole map: every text is chosen, and can be read."""
    from playwright.sync_api import expect

    drawn = page.locator(".js-plotly-plot .nsewdrag").first
    drawn.wait_for(state="attached")
    page.locator(".js-plotly-plot").first.hover()
    page.locator('[data-title="Lasso Select"]').first.click()
    box = drawn.bounding_box()
    left, top, width, height = box["x"], box["y"], box["width"], box["height"]
    corners = ((0.01, 0.01), (0.99, 0.01), (0.99, 0.99), (0.01, 0.99), (0.01, 0.02))
    page.mouse.move(left + corners[0][0] * width, top + corners[0][1] * height)
    page.mouse.down()
    for across, down in corners[1:]:
        page.mouse.move(left + across * width, top + down * height, steps=8)
    page.mouse.up()
    expect(page.get_by_text("texts selected on the map")).to_be_visible()
