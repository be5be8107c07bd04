"""JupyterLab on the first notebook: it opens, its first cells run, and the exercise's solution is folded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from driving import FLAGS, ROOT, find_chromium, free_port
from waiting import LIMIT, wait

pytestmark = [pytest.mark.browser, pytest.mark.starter]
pytest.importorskip("jupyterlab", reason="JupyterLab is not installed (`pip install -e .[notebooks]`)")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """JupyterLab's address, in a folder with the tour; it asks nothing of any other server."""
    (tmp_path / "notebooks").mkdir()
    shutil.copy(ROOT / "notebooks" / "01_tour.ipynb", tmp_path / "notebooks")
    port = free_port()
    own = {f"JUPYTER_{part}_DIR": str(tmp_path / part.lower()) for part in ("CONFIG", "RUNTIME")}
    environment = {**os.environ, **own, "METAPT_FAST": "1", "METAPT_WORKSPACE": str(tmp_path / "workspace")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    settings = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True,
        "ServerApp.root_dir": tmp_path / "notebooks",
        "IdentityProvider.token": "",
        "LabApp.news_url": None,
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
    }
    command = [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in settings.items())]
    url = f"http://127.0.0.1:{port}"

    def is_up() -> bool:
        try:
            return bool(urllib.request.urlopen(f"{url}/api", timeout=LIMIT).read())
        except OSError:
            return False

    with (tmp_path / "lab.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait(is_up, "JupyterLab", server)
            yield url
        finally:
            server.terminate()  # and its kernels with it
            server.wait(LIMIT)


def test_the_tour_is_stepped_through(lab: str) -> None:
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1200, "height": 1000})
        page.set_default_timeout(1000 * LIMIT)
        expect.set_options(timeout=1000 * LIMIT)
        requested: list[str] = []
        page.on("request", lambda request: requested.append(request.url))
        page.goto(f"{lab}/lab/tree/01_tour.ipynb")
        expect(page.get_by_role("heading", name="01 · The tour")).to_be_visible()
        expect(page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")).to_be_attached()

        cells = page.locator(".jp-Notebook .jp-Cell")
        cells.nth(0).click()
        for _ in range(4):  # title, first cell, a heading, the texts
            page.keyboard.press("Shift+Enter")
        expect(cells.nth(1).get_by_text("MetaPT").last).to_be_visible()
        expect(cells.nth(3).get_by_text("kept:").last).to_be_visible()
        assert page.locator(".jp-OutputArea-output[data-mime-type*=error], .jp-RenderedText pre.error").count() == 0

        page.keyboard.press("Escape")
        page.keyboard.press("Control+End")
        solution = page.locator(".jp-CodeCell.jp-mod-collapsed, .jp-CodeCell:has(.jp-InputPlaceholder)")
        expect(solution.first).to_contain_text("# Solution")  # its first line stands for it
        expect(solution.first.locator(".cm-content")).not_to_be_visible()
        browser.close()
    assert all("127.0.0.1" in url or url.startswith(("data:", "blob:")) for url in requested), requested
