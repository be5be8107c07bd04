"""Addresses of pages: what they name is shown, or said not to be there; nothing else in its place."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import handmade
import pytest
from looking import PAGES, charts, said
from streamlit.testing.v1 import AppTest

from metapt_explore.storage.files import write_json
from metapt_explore.storage.workspace import Workspace

Open = Callable[..., AppTest]
GONE = "There is no study 'gone' in this workspace (renamed or deleted?)."


@pytest.fixture
def two(demo: Workspace) -> Workspace:
    """A workspace of the studies demo and other."""
    config = demo.study_config(handmade.NAME).model_copy(update={"name": "other"})
    demo.save_study(config)
    index = demo.study_folder(handmade.NAME) / "index.json"
    shutil.copy(index, demo.study_folder("other") / "index.json")
    return demo


@pytest.mark.parametrize("page", PAGES)
def test_a_study_that_is_gone_is_said_and_no_other_is_shown(show: Open, demo: Workspace, page: str) -> None:
    at = show(demo.folder, page, "gone")
    assert not at.exception and GONE in said(at, "error")
    assert at.selectbox(key="study").value is None and at.query_params == {"study": "gone"}
    assert not charts(at) and not at.metric and handmade.NAME not in " ".join(head.value for head in at.header)
    # The same on the next page, and until another one is chosen.
    at.switch_page("metapt_explore/dashboard/views/fewshot.py").run()
    assert GONE in said(at, "error") and not charts(at)
    at.selectbox(key="study").set_value(handmade.NAME).run()
    assert not at.error, said(at, "error")
    assert at.query_params == {"study": handmade.NAME} and charts(at)


def test_a_gone_study_in_an_empty_workspace_is_said(show: Open, tmp_path: Path) -> None:
    assert GONE in said(show(tmp_path, "compare", "gone"), "error")


def test_a_study_that_is_deleted_while_it_is_looked_at(show: Open, two: Workspace) -> None:
    at = show(two.folder, "clusters", handmade.NAME)
    assert not at.error
    shutil.rmtree(two.study_folder(handmade.NAME))
    at.run()
    assert f"There is no study '{handmade.NAME}'" in said(at, "error") and not charts(at)


def test_the_address_decides_when_it_changes(show: Open, two: Workspace) -> None:
    """As Back and Forward of a browser change it."""
    at = show(two.folder, "start", "demo")
    at.selectbox(key="study").set_value("other").run()
    assert at.query_params == {"study": "other"}
    at.query_params["study"] = "demo"
    at.run()
    assert at.selectbox(key="study").value == "demo" and at.query_params == {"study": "demo"}
    at.query_params["study"] = "gone"
    at.run()
    assert GONE in said(at, "error")
    at.query_params["study"] = "other"
    at.run()
    assert at.selectbox(key="study").value == "other" and not at.error


@pytest.mark.parametrize(
    ("page", "key", "label"),
    [
        ("clusters", "clustering", "clustering"),
        ("pretraining", "method", "method"),
        ("pretraining", "init_seed", "seed"),
    ],
)
def test_what_a_study_has_not_is_said(show: Open, demo: Workspace, page: str, key: str, label: str) -> None:
    at = show(demo.folder, "start", handmade.NAME)
    at.query_params[key] = "<b>nonsense</b>"
    at.switch_page(f"metapt_explore/dashboard/views/{page}.py").run()
    told = said(at, "error")
    assert not at.exception and f"{label} '<b>nonsense</b>' (renamed or deleted?)" in told
    assert not charts(at)
    box = at.selectbox(key=f"{key}_instead")
    box.set_value(box.options[0]).run()
    assert not at.error and charts(at) and str(at.selectbox(key=key).value) == box.options[0]
    assert at.query_params.get(key) in (None, box.options[0])


def test_another_study_forgets_what_the_first_had(show: Open, two: Workspace) -> None:
    """A choice of this session is no link: it is silently another one in another study."""
    config = two.study_config("other")
    renamed = config.clusterings[0].model_copy(update={"name": "mine"})
    methods = [m.model_copy(update={"clustering": ["mine"]}) if m.clusterings else m for m in config.methods]
    index = two.index("other")
    two.save_study(config.model_copy(update={"clusterings": [renamed], "methods": methods}))
    mine = [{**entry, "clustering": "mine"} if "clustering" in entry else entry for entry in index]
    write_json(two.study_folder("other") / "index.json", mine)
    at = show(two.folder, "clusters", "demo")
    at.selectbox(key="study").set_value("other").run()
    assert not at.error and at.selectbox(key="clustering").value == "mine"
