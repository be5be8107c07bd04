"""How long the dashboard's pages take on a large workspace: 50 studies, one of them with 88,000 texts.

    python benchmarks/pages.py [--rounds 3] [--texts 88000] [--out benchmarks/results/pages.jsonl]

The workspace is made of the packaged example study and of made-up sentences with random places on the map; nothing is
computed. For each page: seconds from asking for its address to its title, and to everything on it; then seconds from
letting go of a box on the map to the texts inside it. Medians of the rounds; the first round, in which caches are
empty, stands apart. Needs chromium.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from metapt_explore.storage.files import read_json, write_bytes, write_json, write_table
from metapt_explore.storage.manifest import manifest
from metapt_explore.storage.stage_file import FILES, write_stage
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study import example as example_study

ROOT = Path(__file__).parents[1]
PAGES = ["", "texts", "clusters", "pretraining", "fewshot", "compare", "lens", "export"]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WORDS = [
    "phone",
    "camera",
    "battery",
    "book",
    "story",
    "film",
    "music",
    "sound",
    "price",
    "service",
    "food",
    "good",
    "bad",
]


def make_workspace(folder: Path, studies: int, texts: int) -> Workspace:
    """The example study many times, and once with many texts."""
    workspace = Workspace(folder)
    name = example_study.open_example(workspace)
    source = workspace.study_folder(name)
    yaml = (source / "study.yaml").read_text(encoding="utf-8")
    for number in range(studies - 2):
        target = workspace.study_folder(f"study-{number:02d}")
        shutil.copytree(source, target)
        write_bytes(target / "study.yaml", yaml.replace(f"name: {name}", f"name: {target.name}", 1).encode())
    _large_study(workspace, name, yaml, texts=texts)
    return workspace


def _large_study(workspace: Workspace, name: str, yaml: str, *, texts: int) -> None:
    rng, numbers = random.Random(0), np.random.default_rng(0)
    target = workspace.study_folder("large")
    shutil.copytree(workspace.study_folder(name), target)
    write_bytes(target / "study.yaml", yaml.replace(f"name: {name}", "name: large", 1).encode())
    index = read_json(target / "index.json")
    renamed: dict[str, str] = {}
    for entry in index:
        if entry["kind"] not in ("texts", "clusters"):
            continue
        old = workspace.artifact(entry["id"])
        entry["id"] = f"{entry['kind']}-{'f' * 15}{'0123456789'[len(entry.get('clustering', '')) % 10]}"
        new = workspace.artifact(entry["id"])
        shutil.copytree(old.folder, new.folder, dirs_exist_ok=True)
        renamed[old.id] = new.id
        stage = new.stage
        # The clusters are those of the new texts: the page reads the texts that its clusters were made of.
        parents = {role: renamed.get(parent, parent) for role, parent in stage.get("parents", {}).items()}
        stage.pop(FILES, None)  # its tables become other ones below
        write_stage(new.folder, {**stage, "id": new.id, "parents": parents})
        if entry["kind"] == "texts":
            sentences = [" ".join(rng.choices(WORDS, k=rng.randint(8, 40))) for _ in range(texts)]
            table = {"source_row": range(texts), "text": sentences, "label": rng.choices(["0", "1"], k=texts)}
            write_table(new.folder / "texts.parquet", pd.DataFrame({**table, "group": "made up"}))
        else:
            summary = new.summary
            clusters = numbers.integers(0, len(summary["clusters"]), texts)
            place = numbers.normal(size=(texts, 2)) + numbers.normal(size=(len(summary["clusters"]), 2))[clusters] * 3
            points = {"row": range(texts), "cluster": clusters, "membership": numbers.random(texts)}
            write_table(new.folder / "clusters.parquet", pd.DataFrame({**points, "x": place[:, 0], "y": place[:, 1]}))
    write_json(target / "index.json", index)


@contextmanager
def server(workspace: Workspace) -> Iterator[str]:
    """The app over a workspace."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "METAPT_WORKSPACE": str(workspace.folder), "METAPT_WORKERS": "0"}
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py"), "--server.port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{address}/_stcore/health", timeout=1).read()
                break
            except OSError:
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(10)


def measure(address: str, study: str, rounds: int) -> dict[str, Any]:
    """Seconds of every page and of two selections."""
    from playwright.sync_api import sync_playwright

    titles: dict[str, list[float]] = {page or "start": [] for page in PAGES}
    wholes: dict[str, list[float]] = {page or "start": [] for page in PAGES}
    chosen: list[Selection] = []
    frames: list[tuple[str, float]] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 1100})
        page.set_default_timeout(120_000)
        page.on("websocket", lambda socket: _listen(socket, frames))
        for _ in range(rounds + 1):
            for name in PAGES:
                began = time.perf_counter()
                page.goto(f"{address}/{name}?study={study}")
                page.locator("h1").first.wait_for()
                titles[name or "start"].append(time.perf_counter() - began)
                page.wait_for_function(
                    "() => !document.querySelector('[data-testid=stSkeleton]') "
                    "&& !document.querySelector('[data-testid=stStatusWidget]')"
                )
                wholes[name or "start"].append(time.perf_counter() - began)
                if name == "clusters":
                    chosen.append(_select(page, frames))
        browser.close()
    return {
        "title": {name: _said(times) for name, times in titles.items()},
        "whole page": {name: _said(times) for name, times in wholes.items()},
        "box on the map": _said([each.whole for each in chosen]),
        "of it until the browser asks": _said([each.asked for each in chosen]),
        "of it until the server answers": _said([each.answered - each.asked for each in chosen]),
    }


class Selection(NamedTuple):
    """Seconds after letting go of the mouse.

    Attributes:
        asked: The browser has told the server what is chosen. Before that plotly draws the selection.
        answered: The server's first message has come.
        whole: The texts are on the page.
    """

    asked: float
    answered: float
    whole: float


def _listen(socket: Any, frames: list[tuple[str, float]]) -> None:
    """Notes when messages go and come."""
    socket.on("framesent", lambda _: frames.append(("sent", time.perf_counter())))
    socket.on("framereceived", lambda _: frames.append(("received", time.perf_counter())))


def _select(page: Any, frames: list[tuple[str, float]]) -> Selection:
    """Draws a small box on the map."""
    page.locator(".js-plotly-plot .gl-canvas").first.wait_for(state="attached")
    page.wait_for_timeout(3_000)
    drawn = page.locator(".js-plotly-plot .nsewdrag").first.bounding_box()
    page.locator(".js-plotly-plot").first.hover()
    page.locator('[data-title="Box Select"]').first.click()
    left, top = drawn["x"] + drawn["width"] * 0.45, drawn["y"] + drawn["height"] * 0.45
    page.mouse.move(left, top)
    page.mouse.down()
    page.mouse.move(left + 25, top + 25, steps=3)
    frames.clear()
    began = time.perf_counter()
    page.mouse.up()
    page.get_by_text("texts chosen on the map").wait_for()
    whole = time.perf_counter() - began
    assert not page.get_by_text("is damaged").count(), "the workspace of this benchmark does not hold together"
    page.wait_for_timeout(500)
    asked = next(moment for kind, moment in frames if kind == "sent")
    answered = next(moment for kind, moment in frames if kind == "received" and moment > asked)
    return Selection(asked - began, answered - began, whole)


def _said(times: list[float]) -> dict[str, float]:
    """The first time, in which caches are empty, and the median of the others."""
    later = times[1:] or times
    return {"first": round(times[0], 2), "then": round(statistics.median(later), 2)} if times else {}


def main() -> None:
    """Measures, prints, and appends the record to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--studies", type=int, default=50)
    parser.add_argument("--texts", type=int, default=88_000)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        workspace = make_workspace(Path(temporary) / "workspace", asked.studies, asked.texts)
        with server(workspace) as address:
            found = {
                "small study": measure(address, example_study.NAME, asked.rounds),
                "large study": measure(address, "large", asked.rounds),
            }
    record = {"studies": asked.studies, "texts": asked.texts, **found, "manifest": manifest()}
    print(json.dumps(record, indent=1))
    if asked.out:
        with asked.out.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
