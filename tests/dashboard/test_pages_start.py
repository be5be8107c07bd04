"""The Start page: the pipeline with what exists, and three ways in."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import handmade
import pandas as pd
import pytest
from looking import PAGES, said
from streamlit.testing.v1 import AppTest

from metapt_explore.config import load_study, load_task
from metapt_explore.errors import UserError
from metapt_explore.results.record import record_of
from metapt_explore.results.tables import results_table
from metapt_explore.stages.split import drawn_rows
from metapt_explore.storage.artifact import Artifact, ArtifactWriter, Question
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study import example as example_study
from metapt_explore.study.overview import pipeline

Open = Callable[..., AppTest]
needs_example = pytest.mark.skipif(not example_study.ARCHIVE.exists(), reason="this checkout holds no example study")


def test_the_pipeline_says_what_exists(demo: Workspace) -> None:
    steps = {step.name: (step.status, step.said) for step in pipeline(demo, handmade.config())}
    assert steps == {
        "Texts": ("done", "7 texts"),
        "Clusters": ("done", "1 clustering"),
        "Tasks": ("done", "1 auxiliary task"),
        "Prompts": ("done", "3 prompts"),
        "Scores": ("done", "3 scores"),
        "Answer": ("done", "compare methods"),
    }
    handmade.make_running(demo, handmade.NAME, 2)
    steps = {step.name: (step.status, step.said) for step in pipeline(demo, handmade.config())}
    assert steps["Prompts"] == ("running", "2 of 3 prompts") and steps["Scores"] == ("partly", "2 of 3 scores")
    assert {status for status, _ in (steps["Texts"], steps["Clusters"])} == {"done"}


def test_an_empty_study_has_nothing_yet(tmp_path: Path) -> None:
    assert {step.status for step in pipeline(Workspace(tmp_path), handmade.config())} == {"none"}


def test_boxes_lead_to_their_pages(show: Open, demo: Workspace) -> None:
    at = show(demo.folder, "start")
    assert not at.exception and not at.error
    labels = [link.proto.label for link in at.get("page_link")]
    assert labels == ["Texts", "Clusters", "Tasks", "Prompts", "Scores", "Answer"]
    assert "7 texts" in said(at, "caption")


def test_one_click_leads_to_ones_own_texts(show: Open, tmp_path: Path) -> None:
    at = show(tmp_path / "none", "start")
    at.button(key="own_texts").click().run()
    assert not at.exception and at.title[0].value == "Texts"


# -------------------------------------------------------------------------------------- the example


@needs_example
def test_the_example_opens_at_once_and_every_page_shows_it(show: Open, tmp_path: Path) -> None:
    at = show(tmp_path / "w", "start")
    at.button(key="open_example").click().run()
    assert not at.exception and not at.error
    assert at.selectbox(key="study").value == example_study.NAME and at.button(key="open_example").disabled
    for page in PAGES:
        at = show(tmp_path / "w", page, example_study.NAME)
        assert not at.exception and not at.error, page


@needs_example
def test_the_example_is_a_real_run_with_its_manifest(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert example_study.open_example(workspace) == example_study.NAME
    example_study.open_example(workspace)  # twice does no harm
    record = record_of(workspace, example_study.NAME)
    assert len(record.results) == record.cells > 0
    assert record.manifest["versions"]["torch"] and record.manifest["cpu"]
    for entry in workspace.index(example_study.NAME):
        stage = workspace.artifact(entry["id"]).stage
        question = Question(stage["kind"], "", stage["version"], stage["config"], stage["parents"], stage["inputs"])
        assert question.id == entry["id"], "its id is the hash of what it says"


@needs_example
def test_the_example_holds_no_text_and_no_path() -> None:
    with zipfile.ZipFile(example_study.ARCHIVE) as archive:
        names = archive.namelist()
        for name in names:
            content = archive.read(name)
            assert b"/home/" not in content and b"/work/" not in content and b"/tmp/" not in content, name
            if name.endswith(".parquet"):
                import io

                table = pd.read_parquet(io.BytesIO(content))
                for column in example_study.TEXT_COLUMNS:
                    assert column not in table or not table[column].astype(bool).any(), (name, column)
        assert sum(info.file_size for info in archive.infolist()) < 8_000_000
    assert example_study.ARCHIVE.stat().st_size < 2_000_000


def test_a_packed_study_opens_with_the_same_scores(
    copied: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "packed.zip"
    size = example_study.pack_example(copied, "tiny", file)
    assert size == file.stat().st_size
    monkeypatch.setattr(example_study, "ARCHIVE", file)
    workspace = Workspace(tmp_path / "other")
    name = example_study.open_example(workspace)
    columns = ["method", "task", "data_seed", "init_seed", "accuracy"]
    assert results_table(workspace, name)[columns].equals(results_table(copied, "tiny")[columns])
    texts = next(workspace.artifact(e["id"]) for e in workspace.index(name) if e["kind"] == "texts")
    assert set(texts.table("texts")["text"]) != {""}


@needs_example
@pytest.mark.starter
def test_rows_of_tasks_are_read_where_their_texts_are_on_this_machine(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    entries = [e for e in workspace.index(example_study.open_example(workspace)) if e["kind"] == "split"]
    for entry in entries:
        split = workspace.artifact(entry["id"])
        if not split.is_whole:
            pytest.skip("the starter packages are not installed (`metapt setup`)")
        rows, drawn = split.table("rows"), drawn_rows(load_study("tour"), load_task(entry["task"]))[1]
        assert rows["text"].tolist() == drawn["text"].tolist() and rows["label"].tolist() == drawn["label"].tolist()
    assert len(entries) == 2


@needs_example
def test_what_the_example_leaves_out_is_made_anew_where_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the tour, whose splits have the same ids, would be tested on sentences that stand for texts."""
    monkeypatch.setattr(example_study, "_task_texts", lambda split, entry: None)  # as where the packages are missing
    workspace = Workspace(tmp_path)
    name = example_study.open_example(workspace)
    for entry in workspace.index(name):
        artifact = workspace.artifact(entry["id"])
        assert artifact.status == "done"
        assert artifact.is_whole == (entry["kind"] not in ("split", "embeddings") and _has_texts(artifact, entry))
    split = next(e for e in workspace.index(name) if e["kind"] == "split")
    stage = workspace.artifact(split["id"]).stage
    asked = Question(stage["kind"], "", stage["version"], stage["config"], stage["parents"], stage["inputs"])
    made = []

    def compute(out: ArtifactWriter) -> None:
        made.append(out.id)
        out.write_table("rows", pd.DataFrame({"text": ["real"]}))

    assert workspace.make(asked, compute).table("rows")["text"].tolist() == ["real"] and made == [split["id"]]
    workspace.make(asked, compute)
    assert len(made) == 1 and workspace.artifact(split["id"]).is_whole


def _has_texts(artifact: Artifact, entry: dict[str, str]) -> bool:
    return entry["kind"] != "texts" or example_study.MISSING not in set(artifact.table("texts")["text"])


def test_a_damaged_example_writes_nothing_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "evil.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../escaped.txt", "x")
    monkeypatch.setattr(example_study, "ARCHIVE", file)
    with pytest.raises(UserError, match="damaged"):
        example_study.open_example(Workspace(tmp_path / "w"))
    assert not (tmp_path / "escaped.txt").exists()
