"""Above every page: the jobs that run, a failure with the button that mends it, and what changed elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import handmade
import pytest
from looking import said
from streamlit.testing.v1 import AppTest

from metapt_explore.dashboard.parts import job_mending
from metapt_explore.jobs import queue
from metapt_explore.models import setup as setup_starter
from metapt_explore.storage.files import write_json
from metapt_explore.storage.workspace import Workspace

Open = Callable[..., AppTest]
KILLED = "Its process was killed by SIGKILL, 2 times; often the machine ran out of memory."


def fail(workspace: Workspace, error: str) -> None:
    job = {"status": "failed", "error": error, "fraction": 0.1, "until": "prompts", "init_seeds": None}
    write_json(workspace.study_folder(handmade.NAME) / "job.json", job)


def test_a_running_job_stands_on_other_pages_with_its_percent_and_time(
    show: Open, demo: Workspace, running: Any
) -> None:
    running(demo, "demo", 2)
    at = show(demo.folder, "compare")
    (bar,) = at.get("progress")
    assert bar.proto.value == 25
    text = bar.proto.text.replace("\\", "")
    assert text == "demo: 25 % of the study, about 1 min 15 s left (prompt of MetaPT)"
    assert "See it" in [link.proto.label for link in at.get("page_link")]
    assert len(show(demo.folder, "start").get("progress")) == 1, "the Start page shows the job itself"


@pytest.mark.parametrize("page", ["texts", "start"])
def test_too_little_memory_is_mended_by_a_button(
    show: Open, demo: Workspace, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    monkeypatch.setattr(queue, "ensure_workers", lambda workspace: 0)
    fail(demo, KILLED)
    listed = demo.index(handmade.NAME)
    at = show(demo.folder, page)
    assert f"The job failed: {KILLED}" in said(at, "error")
    at.button(key=f"{'banner' if page == 'texts' else 'panel'}_less_memory").click().run()
    assert not at.exception and not at.error
    ((name, request),) = queue.requests(demo)
    assert (name, request["until"]) == (handmade.NAME, "prompts"), "as much as was asked for"
    assert demo.study_config(handmade.NAME).model.text_state_gib == 1.0
    assert demo.index(handmade.NAME) == listed
    assert not at.toast, "the page itself changed the study"


def test_a_missing_starter_is_mended_by_a_button(show: Open, demo: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    fail(demo, "'smollm2-135m' is not on this machine yet: run `metapt setup` once.")
    assert not [b for b in show(demo.folder, "texts").button if b.key == "banner_install"], "it is there by now"
    started: list[int] = []
    monkeypatch.setattr(job_mending, "_start_setup", lambda: started.append(1))
    at = show(demo.folder, "texts")
    monkeypatch.setattr(setup_starter, "is_set_up", lambda: False)
    at.run()
    at.button(key="banner_install").click().run()
    assert started == [1] and not at.exception and at.button(key="banner_resume")


def test_what_happened_elsewhere_is_told_once(show: Open, demo: Workspace, running: Any) -> None:
    running(demo, "demo", 2)
    at = show(demo.folder, "lens")
    assert not at.toast
    fail(demo, "no label")
    at.run()
    assert said(at, "toast") == "The job of 'demo' failed."
    config = demo.study_config("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Workspace, "is_locked", lambda self, name: False)
        demo.save_study(config.model_copy(update={"title": "another"}))
    at.run()
    assert said(at, "toast") == "'demo' was changed elsewhere; the page shows it now."
    at.run()
    assert not at.toast and not at.exception


def test_a_button_that_could_not_do_its_work_says_why(show: Open, demo: Workspace, running: Any) -> None:
    fail(demo, "no label")
    at = show(demo.folder, "export")
    running(demo, "demo", 2)  # meanwhile a terminal has begun
    at.button(key="banner_resume").click().run()
    assert "A job of the study 'demo' runs or waits" in said(at, "error") and not at.exception
