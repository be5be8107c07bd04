"""One journey in the real browser: start a tiny job, see its curve move, reload, cancel, go on to the table."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny
import yaml
from driving import FLAGS, cancel_job, find_chromium, held, lasso_all, open_page, settle, wait_for_job
from waiting import LIMIT

from metapt_explore.pretraining.budget import outer_steps
from metapt_explore.storage.workspace import Workspace

pytestmark = pytest.mark.browser


def test_a_tiny_job_and_its_moving_curve(world: Path, tmp_path: Path, address: str) -> None:
    from playwright.sync_api import expect, sync_playwright

    study = tmp_path / "tiny.yaml"
    # The job is held wherever this test looks on, so it need not be long; one method, so one curve to follow.
    tree = tiny.study_tree(world, pretraining={"steps": 400, "checkpoint_every": 50})
    tree["methods"] = [{"name": "PT", "kind": "pt"}, {"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"}]
    study.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    # The chart is drawn anew now and then: a look in between finds none.
    points = "() => document.querySelector('.js-plotly-plot')?.data?.[0]?.y?.length ?? 0"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(1000 * LIMIT)
        expect.set_options(timeout=1000 * LIMIT)
        requested: list[str] = []
        page.on("request", lambda request: requested.append(request.url))

        page.goto(address)
        expect(page.get_by_text("This workspace is empty")).to_be_visible()
        page.get_by_label("Or the path of a study file").fill(str(study))
        page.get_by_label("Or the path of a study file").press("Enter")
        page.get_by_role("button", name="Start this study").click()
        expect(page.get_by_role("heading", name="tiny", exact=True)).to_be_visible()

        with held(tmp_path):
            page.get_by_role("link", name="Pre-training", exact=True).first.click()
            page.wait_for_selector(".js-plotly-plot .scatterlayer .js-line")
            first = page.wait_for_function(points).json_value()
        # A panel's task is one of four, and two are drawn a step: by then each has far more points than any had before.
        with held(tmp_path, points=240):
            grown = f"() => {{ const n = ({points})(); return n > {first} && n }}"
            second = page.wait_for_function(grown).json_value()
            page.get_by_role("link", name="Start", exact=True).first.click()
            cancel_job(page, tmp_path)
        expect(page.get_by_text("cancelled").first).to_be_visible()
        page.reload()
        page.get_by_role("button", name="Resume", exact=True).click()
        wait_for_job(tmp_path)

        # It goes on from where it was; and it does not belong to the page: a reload finds it again.
        open_page(page, "Pre-training")
        page.wait_for_selector(".js-plotly-plot .scatterlayer .js-line")
        page.reload()
        page.wait_for_selector(".js-plotly-plot .scatterlayer .js-line")
        page.wait_for_function(f"({points})() > {second}")
        page.get_by_role("link", name="Start", exact=True).first.click()
        expect(page.get_by_text("finished").first).to_be_visible(timeout=1000 * LIMIT)

        open_page(page, "Few-shot")
        expect(page.get_by_text("this proves nothing").first).to_be_visible()
        page.get_by_role("tab", name="Curves").click()
        page.wait_for_selector(".js-plotly-plot .scatterlayer .js-line")
        page.get_by_role("link", name="Clusters", exact=True).first.click()
        page.wait_for_selector(".js-plotly-plot")
        assert page.get_by_text("Traceback").count() == 0

        # A page that Streamlit's own fault took down loads itself anew, at most once in a while.
        torn = "window.dispatchEvent(new ErrorEvent('error', {message: 'Error: Bad delta path index 5'}))"
        page.evaluate(f"window.marked = 1; {torn}")
        page.wait_for_function("() => !window.marked")
        page.wait_for_selector(".js-plotly-plot")
        # A slow machine draws a page for longer than that while, so the last time is set to now.
        just_now = "sessionStorage.setItem('metapt-recovery', String(Date.now()))"
        page.evaluate(f"window.marked = 1; {just_now}; {torn}")
        settle(page)
        assert page.evaluate("window.marked") == 1
        browser.close()
    assert all("127.0.0.1" in url or url.startswith(("data:", "blob:")) for url in requested), requested


def test_from_a_file_to_a_prompt_that_is_taken_away(world: Path, tmp_path: Path, address: str) -> None:
    """Upload, cluster, merge two clusters, launch, watch, cancel, resume, compare, take away; the same predictions."""
    from playwright.sync_api import expect, sync_playwright

    from metapt_explore.export.classify import Classifier

    points = "() => document.querySelector('.js-plotly-plot')?.data?.[0]?.y?.length ?? 0"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 1400})
        page.set_default_timeout(1000 * LIMIT)
        expect.set_options(timeout=1000 * LIMIT)

        page.goto(address)
        page.get_by_role("button", name="Choose texts").click()
        expect(page.get_by_role("heading", name="Texts", exact=True)).to_be_visible()
        page.locator("input[type=file]").set_input_files(str(world / "texts.csv"))
        # The task and the way of the study that this journey is about, in place of what is proposed.
        settle(page)
        page.get_by_text("Compare on my own labels", exact=True).click()
        settle(page)
        page.get_by_text("the labels, inside each cluster", exact=True).click()
        settle(page)
        write(page, page.get_by_role("spinbutton", name="Clusters", exact=True), "4")
        write(page, page.get_by_label("How a text is read"), "{text} Sentiment :", "Control+Enter")
        page.get_by_text("Other tasks, other numbers of examples", exact=False).click()
        tasks = page.get_by_role("combobox", name="Downstream tasks")
        chosen = page.locator(".stMultiSelect", has=tasks)
        chosen.get_by_role("button", name="Clear all").click()
        settle(page)
        write(page, tasks, str(world / "mood.yaml"))
        page.get_by_text("Models and prompt", exact=True).click()
        fields = (("textbox", "Language model", "lm"), ("combobox", "Sentence encoder", "encoder"))
        for role, label, model in fields:
            write(page, page.get_by_role(role, name=label), str(world / model))
        write(page, page.get_by_role("spinbutton", name="Labelled examples"), "4")
        page.get_by_text("a look", exact=True).click()
        settle(page)
        expect(chosen).to_contain_text("mood.yaml")
        expect(chosen).not_to_contain_text("starter")
        page.get_by_role("button", name="Create it and cluster the texts").click()

        expect(page.get_by_role("tab", name="Comparison")).to_be_visible(timeout=1000 * LIMIT)
        study = Workspace(tmp_path / "workspace").study_names()[0]
        lasso_all(page)
        page.get_by_role("tab", name="Edit").click()
        chooser = page.get_by_role("combobox", name="Clusters", exact=True)
        for cluster in ("0:", "1:"):
            chooser.click()
            page.get_by_role("option", name=cluster).first.click()
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Merge", exact=True).click()
        expect(page.get_by_text("an edit that is not saved")).to_be_visible()
        page.get_by_role("button", name="Save as a new clustering").click()
        expect(page.get_by_text("kmeans by hand").first).to_be_visible()
        expect(page.get_by_role("tab", name="Comparison")).to_be_visible(timeout=1000 * LIMIT)

        open_page(page, "Pre-training")
        page.get_by_role("button", name="Pre-train and compare").click()
        with held(tmp_path):
            page.wait_for_selector(".js-plotly-plot .scatterlayer .trace")
            page.wait_for_function(points)
            cancel_job(page, tmp_path)
        expect(page.get_by_text("Cancelled at")).to_be_visible()
        page.get_by_role("button", name="Resume", exact=True).click()
        expect(page.get_by_text("This study is finished").first).to_be_visible(timeout=1000 * LIMIT)
        page.wait_for_function(points)
        assert_whole_curves(Workspace(tmp_path / "workspace"), study)

        open_page(page, "Compare")
        expect(page.get_by_text("Does MetaPT beat pooled pre-training?").first).to_be_visible()
        page.get_by_role("tab", name="Questions").click()  # what stands behind a tab is made when it is opened
        expect(page.get_by_text("MetaPT kmeans by hand − PPT").first).to_be_attached()
        open_page(page, "Export")
        page.get_by_role("button", name="Export the prompt").click()
        with page.expect_download() as download:
            page.get_by_role("button", name="Download (ZIP)").click()
        archive = tmp_path / "away.zip"
        download.value.save_as(archive)
        assert page.get_by_text("Traceback").count() == 0
        browser.close()

    shutil.unpack_archive(archive, tmp_path / "away")
    classifier = Classifier(tmp_path / "away")
    made = classifier.facts.made_by
    workspace = Workspace(tmp_path / "workspace")
    entries = workspace.index(study)
    rows = workspace.artifact(next(e["id"] for e in entries if e["kind"] == "split")).table("rows")
    rows = rows[rows["split"] == "test"]
    found = [prediction.label for prediction in classifier.classify(rows["text"])]
    assert made["method"] == "MetaPT" and made["task"] == "mood"
    assert sum(a == b for a, b in zip(found, rows["label"], strict=True)) / len(rows) == pytest.approx(made["accuracy"])


def assert_whole_curves(workspace: Workspace, study: str) -> None:
    """Each pre-training has all of its steps, each once, though one was cancelled and resumed."""
    config = workspace.study_config(study)
    prompts = [entry for entry in workspace.index(study) if entry["kind"] == "prompt"]
    pretrained = [entry for entry in prompts if entry.get("method") and config.method(entry["method"]).pretrained]
    assert len(pretrained) >= 3  # PPT, and MetaPT on both clusterings
    for entry in pretrained:
        draws = workspace.artifact(entry["id"]).metrics.groupby("step").size()
        steps = outer_steps(config.method(entry["method"]), config.pretraining)
        assert draws.index.to_list() == list(range(steps)) and draws.nunique() == 1, entry


def write(page: Any, field: Any, text: str, key: str = "Enter") -> None:
    """Writes into a field, and waits until the page has taken it."""
    field.fill(text)
    field.press(key)
    settle(page)


def test_hostile_names_and_addresses(tmp_path: Path, address: str) -> None:
    """On no page a script of a name runs, or a link of one is there; an address shows its study, or says it is gone."""
    from faults import hostile
    from playwright.sync_api import expect, sync_playwright

    workspace = hostile.study(tmp_path / "workspace", hostile.NAMES[5:] + hostile.NAMES[:5])
    demo = workspace.study_config("demo")
    workspace.save_study(demo.model_copy(update={"name": "other"}))
    shutil.copy(workspace.study_folder("demo") / "index.json", workspace.study_folder("other") / "index.json")
    live = "() => [...document.querySelectorAll('a[href*=evil], img[src*=evil], [data-testid=stException]')].length"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(60_000)
        requested: list[str] = []
        page.on("request", lambda request: requested.append(request.url))
        last = {  # what a page draws at its end
            "": "A score is one method",
            "texts": "A new study on your texts",
            "clusters": "With two finished clusterings",
            "pretraining": "Row passes",
            "fewshot": "All scores",
            "compare": "Task by task",
            "lens": "Similarity of prompts",
            "export": "Show study.yaml",
        }
        for name, text in last.items():
            page.goto(f"{address}/{name}?study=demo")
            expect(page.get_by_text(text).first).to_be_attached()
            assert page.evaluate("window.hacked") is None and page.evaluate(live) == 0, name
        assert not [url for url in requested if "evil" in url]

        box = page.get_by_test_id("stSidebar").get_by_role("combobox", name="Study")
        page.goto(f"{address}/fewshot?study=demo")
        expect(page.get_by_text("All scores")).to_be_attached()
        box.click()
        page.get_by_role("option", name="other", exact=True).click()
        page.wait_for_url("**/fewshot?study=other")
        page.go_back()
        page.wait_for_url("**/fewshot?study=demo")
        expect(box).to_have_value("demo")
        page.goto(f"{address}/compare?study=gone")
        expect(page.get_by_text("There is no study 'gone' in this workspace")).to_be_visible()
        expect(page.get_by_text("Task by task")).to_have_count(0)
        browser.close()
