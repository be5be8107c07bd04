"""The Prompt lens page: vectors, likeness, and sentences under every prompt."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import handmade
import pytest
from looking import charts, said
from streamlit.testing.v1 import AppTest
from waiting import LIMIT

from metapt_explore.config import load_study
from metapt_explore.dashboard.parts import inference_process as trying
from metapt_explore.errors import UserError
from metapt_explore.export.classify import Classifier
from metapt_explore.export.export import PromptChoice, export_prompt
from metapt_explore.jobs import queue
from metapt_explore.results.tables import fewshot_entries
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study

Open = Callable[..., AppTest]


def test_before_anybody_has_looked(show: Open, demo: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "ensure_workers", lambda workspace: 0)
    at = show(demo.folder, "lens")
    assert not at.exception and not at.error and "Not analysed yet" in said(at, "caption")
    at.button(key="look").click().run()
    ((name, request),) = queue.requests(demo)
    assert (name, request["until"]) == (handmade.NAME, "lens")
    assert at.button(key="look").disabled and "runs or waits" in said(at, "info")


def test_deep_prompts_have_no_lens(show: Open, demo: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    config = demo.study_config(handmade.NAME)
    deep = config.model_copy(update={"prompt": config.prompt.model_copy(update={"placement": "deep"})})
    monkeypatch.setattr(Workspace, "study_config", lambda workspace, name: deep)
    at = show(demo.folder, "lens")
    assert not at.exception and "not for deep prompts" in said(at, "info")
    assert not [button for button in at.button if button.key == "look"]


def test_vectors_and_likeness(show: Open, copied: Workspace, world: Path) -> None:
    Study(load_study(world / "tiny.yaml"), copied).lens()
    at = show(copied.folder, "lens")
    assert not at.exception and not at.error
    vectors = next(frame.value for frame in at.dataframe if "nearest tokens" in frame.value)
    assert vectors["vector"].tolist() == [0, 1, 2]
    health, alike = charts(at)
    assert {trace["name"] for trace in health["data"]} == {"PT", "PPT", "MetaPT"}
    names = alike["layout"]["xaxis"]["ticktext"]
    assert "MetaPT, seed 0" in names and "MetaPT on mood" in names
    at.selectbox(key="lens_prompt").set_value("MetaPT on mood").run()
    assert not at.exception and not at.error


def test_prompts_of_another_number_of_examples(show: Open, matched: Path, tmp_path: Path) -> None:
    shutil.copytree(matched, tmp_path / "ws", ignore=shutil.ignore_patterns("*.lock", ".lock"))
    workspace = Workspace(tmp_path / "ws")
    Study(workspace.study_config("tiny"), workspace).lens()
    at = show(workspace.folder, "lens", "tiny")
    assert not at.exception and not at.error
    assert at.selectbox(key="lens_shots_tiny").value == 4 and "finished since" not in said(at, "info")
    at.selectbox(key="lens_shots_tiny").set_value(1).run()
    assert not at.exception and not at.error
    assert at.selectbox(key="lens_prompt").options[0] == "PPT at 1 shot, seed 0"
    assert all(" at 1 shot" in name for name in charts(at)[-1]["layout"]["xaxis"]["ticktext"])
    assert at.selectbox(key="try_shots_tiny").options == ["4", "1", "2"]


def test_a_sentence_is_read_under_every_prompt(show: Open, copied: Workspace, tmp_path: Path) -> None:
    at = show(copied.folder, "lens")
    at.text_input(key="sentence").set_value("a good book").run(timeout=LIMIT)
    try:
        assert not at.exception and not at.error
        bars = charts(at)[0]["data"]
        assert [bar["name"] for bar in bars] == ["negative", "positive"]
        assert bars[0]["y"] == ["PT", "PPT", "MetaPT"]
        export_prompt(copied, PromptChoice("tiny", "MetaPT", "mood", 1, 0), tmp_path / "out")
        (alone,) = Classifier(tmp_path / "out", dtype="float32").classify(["a good book"])
        assert bars[1]["x"][2] == pytest.approx(100 * alone.probabilities["positive"], abs=1e-3)
        # The same process answers the next one; another choice takes its place.
        before = trying._current[0].process.pid
        used = tuple(e["id"] for e in fewshot_entries(copied, "tiny") if e["task"] == "mood")
        answer, _ = trying.ask(trying.TunedPrompts(str(copied.folder), "tiny", "mood", 0, 1, used), "bad <b>pan</b>")
        assert trying._current[0].process.pid == before and set(answer) == {"PT", "PPT", "MetaPT"}
        with pytest.raises(UserError, match=r"No prompt .* was tuned on 'mood'"):
            trying.ask(trying.TunedPrompts(str(copied.folder), "tiny", "mood", 0, 77), "anything")
    finally:
        for reader in trying._current:
            reader.close()
        trying._current.clear()
