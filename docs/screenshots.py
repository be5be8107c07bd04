"""Takes the pictures of the dashboard that the documentation shows, so that they stay true.

    python docs/screenshots.py                     # docs/images/*.png
    python docs/screenshots.py --all shots         # every page, 390, 1024 and 1440 pixels wide, light and dark

The dashboard is opened on the finished example, in a workspace that goes away afterwards. Needs chromium, and the
starter packages (`metapt setup`) for the texts on the map.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
PAGES = ("start", "texts", "clusters", "pretraining", "fewshot", "compare", "errors", "lens", "export")
WIDTHS = (390, 1024, 1440)
THEMES = ("light", "dark")
#: Pictures of the documentation: page, width, height.
PICTURES = {
    "dashboard": ("clusters", 1400, 872),
    "compare": ("compare", 1120, 784),
}
#: Pages longer than this are cut: a browser draws no picture of any height.
MAX_HEIGHT = 8000
#: The page's script has ended, nothing is stale, and every figure is drawn.
SETTLED = """() => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'
    && document.querySelector('h1') && !document.querySelector('[data-testid=stSkeleton], [data-stale=true]')
    && [...document.querySelectorAll('.stPlotlyChart')].every(chart => chart.querySelector('.main-svg'))"""


@contextmanager
def dashboard(folder: Path) -> Iterator[str]:
    """The address of a server on a workspace with the finished example."""
    from metapt_explore.storage.workspace import Workspace
    from metapt_explore.study.example import open_example

    open_example(Workspace(folder / "workspace"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "METAPT_WORKSPACE": "workspace", "METAPT_WORKERS": "0", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py"), "--server.port", str(port)]
    server = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{address}/_stcore/health", timeout=5).read()
                break
            except OSError:
                time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait(30)


def go_to(page: Any, address: str, name: str) -> None:
    """Opens a page of the example and waits until all of it is drawn."""
    page.goto(f"{address}/{'' if name == 'start' else name}?study=tour-example")
    for _ in range(2):  # what is drawn may ask for more
        page.wait_for_function(SETTLED)
        page.wait_for_timeout(700)


def whole(page: Any, width: int, file: Path) -> None:
    """The whole page, not only the window."""
    content = page.locator("[data-testid=stMainBlockContainer]")
    page.set_viewport_size({"width": width, "height": 900})
    page.set_viewport_size({"width": width, "height": min(MAX_HEIGHT, 80 + content.evaluate("e => e.scrollHeight"))})
    page.wait_for_timeout(700)
    page.screenshot(path=file)


def take(address: str, everything: Path | None, pages: tuple[str, ...]) -> list[Path]:
    """Takes the pictures; returns their files."""
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    files = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        if everything is None:
            for name, (view, width, height) in PICTURES.items():
                page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
                go_to(page, address, view)
                # Where the workspace lies on this machine is nobody's business.
                page.evaluate(
                    "document.querySelectorAll('[data-testid=stSidebar] code').forEach(e => e.innerText = 'workspace')"
                )
                files.append(IMAGES / f"{name}.png")
                page.screenshot(path=files[-1])
                page.close()
        else:
            everything.mkdir(parents=True, exist_ok=True)
            for theme in THEMES:
                for width in WIDTHS:
                    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)
                    for view in pages:
                        go_to(page, address, view)
                        files.append(everything / f"{view}-{width}-{theme}.png")
                        whole(page, width, files[-1])
                        page.set_viewport_size({"width": width, "height": 900})
                    page.close()
        browser.close()
    return files


def main() -> None:
    """Reads the arguments, takes the pictures, names them."""
    asked = argparse.ArgumentParser(description="Pictures of the dashboard on the finished example.")
    asked.add_argument("--all", type=Path, metavar="FOLDER", help="every page, width and theme, into this folder")
    asked.add_argument("--pages", nargs="+", choices=PAGES, default=PAGES, help="with --all: only these")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder, dashboard(Path(folder)) as address:
        for file in take(address, given.all, tuple(given.pages)):
            print(file)


if __name__ == "__main__":
    main()
