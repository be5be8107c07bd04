"""Six files of different make go from upload to a verdict on Compare, by clicks alone and without a dead end.

Each takes five clicks: the file, Create, Pre-training, Pre-train and compare, Compare. Nothing is typed; models are the
starter's by name, tiny ones by weight. Three at a time, all asked for before the first is finished.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import six_files
from driving import FLAGS, find_chromium, open_page, settle
from waiting import LIMIT, wait

pytestmark = pytest.mark.browser

#: Of each file what the study is called, and what the page says of reading it.
FILES = {
    "Anfragen.csv": (
        "Anfragen",
        "Read as semicolon-separated, UTF-8; 1 title line skipped; 1 blank row and 1 copy left",
    ),
    "hotel.xlsx": ("hotel", "Read as an Excel workbook."),
    "avis.tsv": ("avis", "Read as tab-separated, "),
    "评论.jsonl": ("study", "Read as JSON lines, UTF-8."),
    "intents.parquet": ("intents", "Read as a Parquet file."),
    "notes.txt": ("notes", "Read as one text a line, UTF-8."),
}
HALVES = ("Anfragen.csv", "hotel.xlsx", "avis.tsv"), ("评论.jsonl", "intents.parquet", "notes.txt")
VERDICTS = re.compile("^(helped|hurt|no difference|nothing learned|cannot tell)$")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files; the server finds tiny models and texts where the starter's are."""
    pytest.importorskip("openpyxl")
    files, packages = tmp_path / "files", tmp_path / "packages"
    files.mkdir()
    six_files.write_files(files)
    six_files.write_starter(tmp_path / "home")
    six_files.write_starter_texts(packages)
    monkeypatch.setenv("METAPT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(packages), os.environ.get("PYTHONPATH")])))
    return files


def test_the_halves_are_all_files() -> None:
    assert sorted(file for half in HALVES for file in half) == sorted(FILES) == sorted(six_files.FILES)


@pytest.mark.parametrize("files", HALVES, ids=["tables", "others"])
def test_six_files_go_from_upload_to_a_verdict(
    folder: Path, tmp_path: Path, address: str, files: tuple[str, ...]
) -> None:
    from playwright.sync_api import expect, sync_playwright

    half = {file: FILES[file] for file in files}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 1200})
        page.set_default_timeout(1000 * LIMIT)
        expect.set_options(timeout=1000 * LIMIT)
        page.goto(f"{address}/texts")
        for file, (name, reading) in half.items():
            page.locator("input[type=file]").set_input_files(str(folder / file))
            expect(page.get_by_label("Name of the study")).to_have_value(name)
            expect(page.get_by_text(reading)).to_be_visible()
            button = page.get_by_role("button", name="Create it and cluster the texts")
            expect(button).to_be_enabled()
            button.click()
            expect(page.get_by_role("heading", name="Clusters", exact=True, level=1)).to_be_visible()
            no_dead_end(page)
            open_page(page, "Texts")
        open_page(page, "Pre-training")
        for name, _ in half.values():
            choose(page, name)
            button = page.get_by_role("button", name="Pre-train and compare", exact=True)
            expect(button).to_be_enabled()  # once its texts are clustered
            button.click()
            expect(button).to_be_disabled()
            no_dead_end(page)
        open_page(page, "Compare")
        for name, _ in half.values():
            choose(page, name)
            wait(lambda name=name: ended(tmp_path, name), lambda name=name: f"{name} ends: {job(tmp_path, name)}")  # type: ignore[misc]
            assert job(tmp_path, name)["status"] == "done", job(tmp_path, name)
            expect(page.get_by_text("Does MetaPT beat pooled pre-training?").first).to_be_visible()
            expect(page.get_by_text(VERDICTS).first).to_be_visible()
            no_dead_end(page)
        browser.close()


def choose(page: Any, study: str) -> None:
    """Chooses a study in the sidebar, and waits until the page is drawn for it."""
    box = page.get_by_test_id("stSidebar").get_by_role("combobox", name="Study")
    if box.input_value() != study:
        box.click()
        page.get_by_role("option", name=study, exact=True).click()
    page.wait_for_url(f"**study={study}*")
    settle(page)


def no_dead_end(page: Any) -> None:
    """No error stands on the page."""
    errors = page.locator("[data-testid=stException], [data-testid=stAlertContentError]")
    assert not errors.count(), errors.all_inner_texts()


def job(tmp_path: Path, study: str) -> dict[str, Any]:
    """The state of a study's job."""
    file = tmp_path / "workspace" / "studies" / study / "job.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def ended(tmp_path: Path, study: str) -> bool:
    """Whether all that was asked for is computed, or has failed."""
    return job(tmp_path, study)["status"] not in ("starting", "running", "partly")
