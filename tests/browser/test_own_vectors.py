"""Vectors of one's own go from the browser into clusters: uploaded beside the texts, refused where they do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import six_files
from driving import FLAGS, find_chromium
from waiting import LIMIT, wait

from metapt_explore.config import load_study
from metapt_explore.storage.workspace import Workspace

pytestmark = pytest.mark.browser
ROWS, GROUPS = 160, 4


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Texts whose words say nothing of their groups, vectors that say it, and some of these."""
    six_files.write_starter(tmp_path / "home")
    monkeypatch.setenv("METAPT_HOME", str(tmp_path / "home"))
    lines = [f"this is number {row} of {row * row % 97},{('good', 'bad')[row % 2]}" for row in range(ROWS)]
    (tmp_path / "mine.csv").write_text("\n".join(["text,label", *lines]) + "\n", encoding="utf-8")
    vectors = np.eye(GROUPS)[np.arange(ROWS) // 2 % GROUPS] + 0.05 * np.random.default_rng(0).normal(
        size=(ROWS, GROUPS)
    )
    np.save(tmp_path / "own.npy", vectors)
    np.save(tmp_path / "short.npy", vectors[:-1])
    return tmp_path


def test_vectors_are_uploaded_and_clustered(files: Path, address: str) -> None:
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 1200})
        page.set_default_timeout(1000 * LIMIT)
        expect.set_options(timeout=1000 * LIMIT)
        page.goto(f"{address}/texts")
        page.locator("input[type=file]").set_input_files(str(files / "mine.csv"))
        create = page.get_by_role("button", name="Create it and cluster the texts")
        expect(create).to_be_enabled()
        page.get_by_text("How texts are grouped").click()
        page.get_by_role("combobox", name="Texts are alike in").click()
        page.get_by_role("option", name="vectors of your own").click()
        expect(page.get_by_text("Choose the file of vectors").first).to_be_visible()
        expect(create).to_be_disabled()
        vectors = page.locator("input[type=file]").nth(1)
        vectors.set_input_files(str(files / "short.npy"))
        expect(page.get_by_text("holds 159 vectors, and the texts' source has 160 rows").first).to_be_visible()
        vectors.set_input_files(str(files / "own.npy"))
        expect(page.get_by_text("160 vectors of 4 numbers, one for each row of your texts").first).to_be_visible()
        expect(create).to_be_enabled()
        create.click()
        expect(page.get_by_role("heading", name="Clusters", exact=True, level=1)).to_be_visible()
        browser.close()
    folder = files / "workspace" / "studies" / "mine"
    state = folder / "job.json"
    wait(
        lambda: (
            state.exists() and json.loads(state.read_text(encoding="utf-8"))["status"] not in ("starting", "running")
        ),
        lambda: f"clusters of {folder}: {list(folder.iterdir())}",
    )
    workspace = Workspace(files / "workspace")
    assert load_study(folder / "study.yaml").embeddings.kind == "file"
    entry = next(entry for entry in workspace.index("mine") if entry.get("clustering") == "kmeans")
    found = workspace.artifact(entry["id"])
    assert found.summary["quality"]["n_clusters"] >= 2 and found.table("clusters")["cluster"].nunique() >= 2
