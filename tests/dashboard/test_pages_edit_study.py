"""The Start page: a study is renamed, duplicated, deleted; its clusterings and methods are edited and removed."""

from __future__ import annotations

from collections.abc import Callable

import handmade
import pytest
from looking import said
from streamlit.testing.v1 import AppTest

from metapt_explore.jobs import queue
from metapt_explore.storage.workspace import Workspace

Open = Callable[..., AppTest]
NAME = handmade.NAME


def test_title_copy_and_deletion(show: Open, demo: Workspace) -> None:
    at = show(demo.folder, "start")
    at.text_input(key="edit_title_demo").input("A title").run()
    at.button(key="edit_title").click().run()
    assert demo.study_config(NAME).title == "A title" and "The title is changed." in said(at, "success")
    at.text_input(key="copy_name_demo").input("no/name").run()
    at.button(key="duplicate_study").click().run()
    assert at.error and demo.study_names() == [NAME]
    at.text_input(key="copy_name_demo").input("second").run()
    at.button(key="duplicate_study").click().run()
    assert not at.exception and not at.error and at.selectbox(key="study").value == "second"
    assert len(demo.index("second")) == len(demo.index(NAME))
    at.button(key="delete_study").click().run()
    assert "other studies use them" in said(at, "markdown") and demo.study_names(), (
        "nothing goes before it is confirmed"
    )
    at.button(key="delete_really").click().run()
    assert demo.study_names() == [NAME] and "'second' is deleted" in said(at, "success")
    assert not at.exception and not at.error and at.selectbox(key="study").value == NAME and not at.toast


def test_a_clustering_is_edited_copied_and_removed_with_what_depends_on_it(show: Open, demo: Workspace) -> None:
    at = show(demo.folder, "start")
    key = "edit_clusterings_demo_kmeans"
    assert at.number_input(key=f"{key}_n_clusters").value == 2, "filled with what it is"
    assert "clustering 'kmeans', 'MetaPT'" in said(at, "caption")
    at.number_input(key=f"{key}_n_clusters").set_value(3)
    next(b for b in at.button if b.label == "Save the settings").click().run()
    assert demo.study_config(NAME).clustering("kmeans").n_clusters == 3 and not at.exception
    assert {e.get("method") for e in demo.index(NAME)} == {None, "PT", "PPT"}
    at.button(key="duplicate_clusterings").click().run()
    assert [c.name for c in demo.study_config(NAME).clusterings] == ["kmeans", "kmeans 2"]
    at.button(key="remove_clusterings").click().run()
    assert "clustering 'kmeans', 'MetaPT'" in said(at, "markdown")
    at.button(key="remove_clusterings_really").click().run()
    config = demo.study_config(NAME)
    assert [c.name for c in config.clusterings] == ["kmeans 2"] and [m.name for m in config.methods] == ["PT", "PPT"]
    assert not at.exception and not at.error and not at.toast, "the page's own edits are no news"


def test_a_method_keeps_what_the_form_does_not_ask(show: Open, demo: Workspace) -> None:
    at = show(demo.folder, "start")
    at.selectbox(key="edit_methods_demo").select("MetaPT").run()
    at.number_input(key="edit_methods_demo_MetaPT_inner_steps").set_value(3)
    [b for b in at.button if b.label == "Save the settings"][-1].click().run()
    method = demo.study_config(NAME).method("MetaPT")
    before = handmade.config().method("MetaPT")
    assert not at.exception and not at.error and method == before.model_copy(update={"inner_steps": 3})


def test_nothing_is_edited_while_a_job_waits(show: Open, demo: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "ensure_workers", lambda workspace: 0)
    at = show(demo.folder, "start")
    queue.enqueue(demo, demo.study_config(NAME))  # in another tab
    at.button(key="edit_title").click().run()
    assert "runs or waits" in said(at, "error") and not at.exception
    assert not [b for b in at.button if b.key == "delete_study"]


def test_all_settings_are_edited_as_yaml(show: Open, demo: Workspace) -> None:
    """What no form asks for is set in a text; what is wrong is named, and nothing is saved."""
    at = show(demo.folder, "start")

    def write(old: str, new: str) -> None:
        (area,) = (area for area in at.text_area if area.label == "All settings of the study")
        assert old in area.value, area.value
        area.set_value(area.value.replace(old, new))
        at.button(key="save_yaml").click().run()

    before = demo.study_config(NAME)
    write("evaluation:", "evaluation:\n  margn: 0.1")
    assert not at.exception and "Did you mean 'margin'" in said(at, "error") and demo.study_config(NAME) == before
    write("margn", "margin")  # what was written is still there
    assert not at.exception and not at.error and "The study is saved" in said(at, "success")
    assert demo.study_config(NAME).evaluation.margin == 0.1
    write("name: demo", "name: another")
    assert "`name` must stay 'demo'" in said(at, "error") and demo.study_names() == [NAME]
    write("name: another", "name: [")
    assert not at.exception and at.error and demo.study_config(NAME).evaluation.margin == 0.1
