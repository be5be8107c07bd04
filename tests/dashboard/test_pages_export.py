"""The Export page: a prompt that classifies, the report, the study."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import handmade
import pytest
from local_hub import TOKEN, LocalHub
from looking import said
from streamlit.testing.v1 import AppTest
from waiting import LIMIT

from metapt_explore.export.classify import Classifier
from metapt_explore.export.facts import PromptFacts
from metapt_explore.storage.workspace import Workspace

Open = Callable[..., AppTest]


def test_a_prompt_is_packed_and_classifies(show: Open, copied: Workspace, tmp_path: Path) -> None:
    at = show(copied.folder, "export")
    assert not at.exception and not at.error
    assert at.selectbox(key="away_method_tiny").value == "MetaPT"
    at.button(key="make_export").click().run(timeout=LIMIT)
    assert not at.exception and not at.error
    ((files, archive),) = at.session_state["exports"].values()
    assert set(files) == {"prompt.safetensors", "prompt.json", "README.md", "prompt_pipeline.py"}
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        opened.extractall(tmp_path / "out")
    assert PromptFacts.load(tmp_path / "out").made_by["task"] == "mood"
    (found,) = Classifier(tmp_path / "out", dtype="float32").classify(["a good book"])
    assert found.label in ("negative", "positive")
    assert any("Soft prompt of MetaPT" in code.value for code in at.code)
    commands = "\n".join(code.value for code in at.code)
    assert "metapt classify --prompt" in commands and "metapt run tiny.yaml" in commands


def test_a_prompt_goes_to_a_hub(
    show: Open, copied: Workspace, a_hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a token in the environment; without one the page says which variable it looks at."""
    monkeypatch.delenv("HF_TOKEN")
    at = show(copied.folder, "export")
    at.button(key="make_export").click().run(timeout=LIMIT)
    assert at.button(key="push_now").disabled and "HF_TOKEN" in said(at, "info")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    at.text_input(key="push_name").set_value("another/mood").run()
    assert "HF_TOKEN" not in said(at, "info") and TOKEN not in str(at)
    at.button(key="push_now").click().run(timeout=LIMIT)
    assert "may not write to 'another'" in said(at, "error") and not a_hub.repositories
    at.text_input(key="push_name").set_value("somebody/mood").run()
    at.button(key="push_now").click().run(timeout=LIMIT)
    assert not at.exception and not at.error and "somebody/mood/commit" in said(at, "success")
    ((files, _),) = at.session_state["exports"].values()
    assert a_hub.repositories["somebody/mood"].files == files


def test_a_prompt_of_another_number_of_examples(show: Open, matched: Path) -> None:
    at = show(matched, "export", "tiny")
    assert at.selectbox(key="away_shots_tiny").options == ["4", "1", "2"]
    assert not any("--shots" in code.value for code in at.code)
    at.selectbox(key="away_shots_tiny").set_value(2).run()
    assert not at.exception and not at.error
    assert any("--task mood --data-seed 1 --shots 2" in code.value for code in at.code)


def test_the_report_is_written(show: Open, copied: Workspace) -> None:
    at = show(copied.folder, "export")
    at.button(key="make_report").click().run(timeout=LIMIT)
    assert not at.exception and not at.error
    ((files, _),) = at.session_state["reports"].values()
    assert b"The answer" in files["report.html"] and "report.md" in files


def test_what_cannot_be_exported_says_why(show: Open, demo: Workspace) -> None:
    """The prompts written by hand hold no tensor."""
    at = show(demo.folder, "export")
    at.button(key="make_export").click().run(timeout=LIMIT)
    assert not at.exception and "Error" in said(at, "error")


def test_before_the_first_prompt(show: Open, demo: Workspace, running: Callable[..., Path]) -> None:
    from metapt_explore.storage.files import write_json

    running(demo, handmade.NAME, 2)
    kept = [entry for entry in demo.index(handmade.NAME) if entry["kind"] not in ("prompt", "fewshot")]
    write_json(demo.study_folder(handmade.NAME) / "index.json", kept)
    at = show(demo.folder, "export")
    assert not at.exception and "the study is running" in said(at, "info")
    assert "needs a first finished score" in said(at, "caption")
