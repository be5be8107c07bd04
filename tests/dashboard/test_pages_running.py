"""Pages while a job runs, after it was killed, and after it failed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import handmade
import pytest
from looking import PAGES, charts, decoded, metrics, said
from streamlit.testing.v1 import AppTest

from metapt_explore.cost.count import Cost
from metapt_explore.dashboard.parts import job
from metapt_explore.jobs import queue
from metapt_explore.storage.files import write_json
from metapt_explore.storage.stage_file import write_stage
from metapt_explore.storage.workspace import Workspace

Open = Callable[..., AppTest]


def test_start_follows_a_running_job_and_cancels_it(show: Open, demo: Workspace, running: Any) -> None:
    running(demo, "demo", 2)
    at = show(demo.folder, "start")
    assert not at.exception and not at.error
    assert at.dataframe[0].value.iloc[0][["status", "progress"]].tolist() == ["running", "25 %"]
    assert at.get("progress")[0].proto.value == 25
    assert "about 1 min 15 s left" in said(at, "text")
    assert at.button(key="resume").disabled
    at.button(key="cancel").click().run()
    assert (demo.study_folder("demo") / "cancel").exists()
    assert "Asked to stop" in said(at, "text") and at.button(key="cancel").disabled


@pytest.mark.parametrize("page", PAGES)
def test_pages_over_a_running_study(show: Open, copied: Workspace, running: Any, page: str) -> None:
    running(copied, "tiny", 2)
    at = show(copied.folder, page)
    assert not at.exception and not at.error
    if page == "fewshot":
        assert "the study is running" in said(at, "info")


def test_curves_grow_while_the_job_runs(show: Open, demo: Workspace, running: Any) -> None:
    folder = running(demo, "demo", 4)
    at = show(demo.folder, "pretraining")
    assert not at.exception and not at.error
    assert metrics(at)["Status"] == "running" and metrics(at)["Outer steps"] == "2 of 3"
    assert decoded(charts(at)[0]["data"][2]["y"]) == pytest.approx([0.7, 0.6])
    with (folder / "metrics.jsonl").open("a", encoding="utf-8") as stream:
        stream.write("\n" + (folder / "later").read_text(encoding="utf-8"))
    at.run()
    assert metrics(at)["Outer steps"] == "3 of 3"
    assert decoded(charts(at)[0]["data"][2]["y"]) == pytest.approx([0.7, 0.6, 0.5])


def test_of_many_tasks_any_can_be_found(show: Open, demo: Workspace) -> None:
    prompt = next(e for e in demo.index("demo") if e["kind"] == "prompt" and e["method"] == "MetaPT")
    lines = [
        {"step": step, "task": task, "support_before": 0.8, "support_after": 0.6, "query": task / 100}
        for step in range(2)
        for task in range(64)
    ]
    metrics_file = demo.artifact(prompt["id"]).folder / "metrics.jsonl"
    metrics_file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    at = show(demo.folder, "pretraining")
    assert not at.exception and not at.error
    assert len(charts(at)[0]["layout"]["annotations"]) == 6
    table = next(frame.value for frame in at.dataframe if "times drawn" in frame.value)
    assert len(table) == 64 and table.iloc[0].to_list() == ["task 63", 0.63, 2]
    at.multiselect(key="tasks_shown").select(5).run()
    assert [note["text"] for note in charts(at)[0]["layout"]["annotations"]] == ["task 5"] and not at.exception


def test_rows_a_second_count_every_inner_step(show: Open, demo: Workspace, running: Any) -> None:
    """Two steps of 4 tasks with three inner steps on 8 rows, and 8 query rows."""
    config = demo.study_config("demo")
    metapt = config.method("MetaPT").model_copy(update={"inner_steps": 3})
    one, three = (m.row_passes_per_step(config.pretraining) for m in (config.method("MetaPT"), metapt))
    index = demo.index("demo")
    demo.save_study(config.model_copy(update={"methods": [*config.methods[:2], metapt]}))
    write_json(demo.study_folder("demo") / "index.json", index)
    folder = running(demo, "demo", 4)
    stage = json.loads((folder / "stage.json").read_text(encoding="utf-8"))
    write_stage(folder, {**stage, "seconds": 100.0, "began": time.time()})
    at = show(demo.folder, "pretraining")
    assert three > one and float(metrics(at)["Rows a second"]) == pytest.approx(2 * three / 100, rel=0.1)


def test_what_is_at_work_is_shown_first(show: Open, demo: Workspace, running: Any) -> None:
    assert show(demo.folder, "pretraining").selectbox(key="method").value == "MetaPT"
    running(demo, "demo", 1, "PPT")
    at = show(demo.folder, "pretraining")
    assert not at.exception and at.selectbox(key="method").value == "PPT" and metrics(at)["Status"] == "running"


def test_the_page_follows_what_is_at_work_until_another_is_chosen(show: Open, demo: Workspace, running: Any) -> None:
    running(demo, "demo", 2, "MetaPT")
    at = show(demo.folder, "pretraining")
    assert at.selectbox(key="method").value == "MetaPT"
    finish = demo.artifact(next(e["id"] for e in demo.index("demo") if e.get("method") == "MetaPT")).folder
    handmade.make_running(demo, "demo", 1, "PPT")
    write_json(
        finish / "stage.json", {**json.loads((finish / "stage.json").read_text(encoding="utf-8")), "status": "failed"}
    )
    at.run()
    assert not at.exception and at.selectbox(key="method").value == "PPT"
    at.selectbox(key="method").set_value("MetaPT").run()
    at.run()
    assert not at.exception and at.selectbox(key="method").value == "MetaPT"


def test_a_start_that_is_being_made_is_no_pretraining(show: Open, demo: Workspace, running: Any) -> None:
    index = demo.index("demo")
    entry = next(e for e in index if e["kind"] == "prompt" and e["method"] == "PPT")
    running(demo, "demo", 1, "PPT")
    # The same artifact under the name of PT: prompts of PT are listed, too, and the page does not offer them.
    write_json(demo.study_folder("demo") / "index.json", [*index, {**entry, "method": "PT"}])
    at = show(demo.folder, "pretraining")
    assert not at.exception and at.selectbox(key="method").value == "PPT"


def test_before_the_first_step_the_curve_says_so(show: Open, demo: Workspace, running: Any) -> None:
    running(demo, "demo", 0)
    at = show(demo.folder, "pretraining")
    assert not at.exception and not at.error
    assert charts(at)[0]["layout"]["title"]["text"] == "No step is finished yet."


def test_a_killed_job_can_be_resumed(show: Open, demo: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    handmade.make_running(demo, "demo", 2)  # nobody holds the lock
    asked: list[str] = []
    monkeypatch.setattr(queue, "enqueue", lambda workspace, study, until: asked.append(study.name) or True)
    at = show(demo.folder, "pretraining")
    assert "is not finished and no job runs it" in said(at, "warning")
    at = show(demo.folder, "start")
    assert "Interrupted at 25 %" in said(at, "warning")
    at.button(key="resume").click().run()
    assert asked == ["demo"] and not at.error


def test_a_failed_job_shows_its_reason_and_the_end_of_its_log(show: Open, demo: Workspace) -> None:
    folder = demo.study_folder("demo")
    write_json(folder / "job.json", {"status": "failed", "error": "no label *here*", "fraction": 0.1})
    (folder / "log.txt").write_text("".join(f"line {n} <b>\n" for n in range(100)), encoding="utf-8")
    at = show(demo.folder, "start")
    assert not at.exception
    assert "The job failed: no label *here*" in said(at, "error")
    log = next(code.value for code in at.code if "line 99 <b>" in code.value)
    assert log.count("\n") + 1 == job.LOG_LINES and "line 69 " not in log
    assert not at.button(key="resume").disabled


def test_notices_and_the_predicted_cost_are_shown(show: Open, demo: Workspace, running: Any) -> None:
    """As text: a notice may hold names with markup."""
    running(demo, "demo", 2)
    folder = demo.study_folder("demo")
    state = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    write_json(folder / "job.json", {**state, "notices": ["Memory ran out with 64 rows in a pass of *MetaPT*."]})
    cost = Cost({}, 250.0, 2048.0, "cpu", "float32", 4.0)
    write_json(folder / "cost.json", cost.as_dict())
    at = show(demo.folder, "start")
    assert not at.exception and not at.error
    assert "Memory ran out" in said(at, "warning") and "*MetaPT*" in said(at, "warning")
    assert "4 min 10 s" in said(at, "caption")
    cost.real_seconds, cost.real_peak_mib = 271.0, 1946.0
    write_json(folder / "cost.json", cost.as_dict())
    at.run()
    assert "took 4 min 31 s" in said(at, "caption")


@pytest.mark.parametrize("until", ["plan", "screen", "prompts", "agreement", "all"])
def test_the_pretraining_page_asks_for_the_next_step(
    show: Open, demo: Workspace, monkeypatch: pytest.MonkeyPatch, until: str
) -> None:
    monkeypatch.setattr(queue, "ensure_workers", lambda workspace: 0)
    at = show(demo.folder, "pretraining")
    at.button(key=f"ask_{until}").click().run()
    assert not at.exception and not at.error
    ((name, request),) = queue.requests(demo)
    assert (name, request["until"]) == (handmade.NAME, until)
    assert "In the queue: waits for a worker" in said(at, "info")
    assert all(at.button(key=f"ask_{other}").disabled for other in ("plan", "screen", "prompts", "agreement", "all"))
    at.button(key="cancel").click().run()
    assert not queue.requests(demo) and "Cancelled" in said(at, "warning")


def test_what_waits_stands_in_its_order(show: Open, demo: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "ensure_workers", lambda workspace: 0)
    for name in ("second", "third"):
        queue.enqueue(demo, handmade.config().model_copy(update={"name": name}))
    at = show(demo.folder, "pretraining", "third")
    shown = next(frame.value for frame in at.dataframe if "fraction" in frame.value)
    assert shown["study"].tolist() == ["second", "third"]
    assert "waits (1 before it)" in said(at, "info")
    at = show(demo.folder, "start", "demo")
    overview = at.dataframe[0].value.set_index("study")["status"].to_dict()
    assert overview == {"demo": "finished", "second": "waits for a worker", "third": "waits (1 before it)"}


@pytest.mark.parametrize("page", PAGES)
def test_a_job_that_failed_says_why_on_every_page(show: Open, demo: Workspace, page: str) -> None:
    folder = demo.study_folder(handmade.NAME)
    write_json(folder / "index.json", [])
    write_json(folder / "job.json", {"status": "failed", "error": "no label *here*", "fraction": 0.1})
    at = show(demo.folder, page)
    assert not at.exception and "The job failed: no label *here*" in said(at, "error")


@pytest.mark.parametrize("page", PAGES)
def test_a_study_that_waits_has_nothing_yet_on_any_page(
    show: Open, demo: Workspace, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    write_json(demo.study_folder(handmade.NAME) / "index.json", [])
    queue.enqueue(demo, demo.study_config(handmade.NAME))
    at = show(demo.folder, page)
    assert not at.exception and not at.error
    told = said(at, "info", "caption")
    assert "the study is running" not in told
    assert "waits" in told or "In the queue" in told or "not there yet" in told
