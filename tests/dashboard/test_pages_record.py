"""A published record on the pages: read-only, as far as it holds facts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import call
from looking import charts, metrics, said, tab
from streamlit.testing.v1 import AppTest

from metapt_explore.cli import app
from metapt_explore.reporting import published
from metapt_explore.storage.workspace import Workspace

Open = Callable[..., AppTest]
LOOK = Path(__file__).parents[2] / "studies" / "look"


@pytest.fixture
def opened(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "workspace")
    published.open_record(workspace, LOOK)
    return workspace


def test_a_record_is_opened_from_start_and_taken_out_again(show: Open, tmp_path: Path) -> None:
    at = show(tmp_path / "workspace", "start")
    at.text_input(key="record_path").set_value(str(tmp_path / "nothing"))
    at.button(key="open_record").click().run()
    assert not at.exception and "There is no folder or file" in said(at, "error")
    at.text_input(key="record_path").set_value(str(LOOK))
    at.button(key="open_record").click().run()
    assert not at.exception and not at.error
    assert at.selectbox(key="study").value == "record:look" and metrics(at)["Scores"] == "60"
    at.button(key="remove_record").click().run()
    assert not at.exception and not published.record_names(Workspace(tmp_path / "workspace"))


def test_the_answer_and_every_tab_of_a_record(show: Open, opened: Workspace) -> None:
    at = show(opened.folder, "compare", "record:look")
    assert not at.exception and not at.error
    told = said(at, "markdown", "caption")
    assert "Does MetaPT beat pooled pre-training?" in told and "read-only" in told and "What is in doubt" in told
    tabs = [box.label for box in at.tabs]
    assert tabs == ["Task by task", "Seeds", "All methods", "Curves", "Cost", "Questions"]  # nothing to trace
    for name in tabs:
        assert not tab(at, "compare", name).exception and not at.error, name
    at = show(opened.folder, "fewshot", "record:look")
    assert "scores highest in the mean over 5 tasks" in said(at, "markdown")
    for name in [box.label for box in at.tabs]:
        assert not tab(at, "scores", name).exception and not at.error, name
    assert not at.button  # nothing can be computed


def test_clusters_of_a_record_and_pages_that_have_nothing_of_it(show: Open, opened: Workspace) -> None:
    at = show(opened.folder, "clusters", "record:look")
    assert not at.exception and not at.error and charts(at) is not None
    shown = at.dataframe[0].value
    assert shown["cluster"].iloc[0] == "0: use, product, phone" and shown["texts"].iloc[0] == 264
    for page in ("texts", "pretraining", "lens", "export"):
        at = show(opened.folder, page, "record:look")
        assert not at.exception and not at.error and not at.button, page
        assert "a record holds scores and facts only" in said(at, "info")


def test_a_damaged_record_is_explained(show: Open, opened: Workspace) -> None:
    (opened.folder / "records" / "look" / "results.parquet").write_bytes(b"no")
    for page in ("start", "compare", "clusters"):
        at = show(opened.folder, page, "record:look")
        assert not at.exception and "is damaged" in said(at, "error"), page


def test_metapt_app_opens_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "open_dashboard", lambda *_, **__: 0)
    folder = tmp_path / "workspace"
    codes = [call(monkeypatch, "app", "--workspace", folder, "--record", source) for source in (LOOK, tmp_path)]
    assert codes == [0, 2] and published.record_names(Workspace(folder)) == ["record:look"]
