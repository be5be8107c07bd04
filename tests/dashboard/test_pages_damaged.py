"""Pages over damaged files: a message that names the folder, never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from looking import PAGES, metrics, said
from streamlit.testing.v1 import AppTest

from metapt_explore.storage.files import write_json
from metapt_explore.storage.study_files import copy_of
from metapt_explore.storage.workspace import Workspace

Open = Callable[..., AppTest]


def artifact(kind: str, number: int = 0) -> str:
    return f"artifacts/{kind}-{number:016d}"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def scribble(path: Path) -> None:
    path.write_text('{"half": ', encoding="utf-8")


DAMAGES = [
    (f"{artifact('texts')}/stage.json", scribble, "clusters"),
    (f"{artifact('clusters')}/stage.json", scribble, "clusters"),
    (f"{artifact('clusters')}/stage.json", lambda path: path.write_text("[]", encoding="utf-8"), "clusters"),
    (f"{artifact('clusters')}/summary.json", scribble, "clusters"),
    (f"{artifact('clusters')}/summary.json", Path.unlink, "clusters"),
    (f"{artifact('clusters')}/clusters.parquet", Path.unlink, "clusters"),
    (f"{artifact('clusters')}/clusters.parquet", cut, "clusters"),
    (f"{artifact('texts')}/texts.parquet", cut, "clusters"),
    (f"{artifact('texts')}/stage.json", scribble, "texts"),
    (f"{artifact('texts')}/leaks.parquet", cut, "texts"),
    (f"{artifact('texts')}/summary.json", lambda path: path.write_text('{"kept": "x"}', encoding="utf-8"), "texts"),
    ("studies/demo/index.json", scribble, "texts"),
    (f"{artifact('prompt', 2)}/stage.json", scribble, "pretraining"),
    (f"{artifact('prompt', 2)}/summary.json", scribble, "pretraining"),
    (f"{artifact('prompt', 2)}/metrics.jsonl", Path.unlink, "pretraining"),
    (
        f"{artifact('prompt', 2)}/metrics.jsonl",
        lambda path: path.write_text("17\n18\n", encoding="utf-8"),
        "pretraining",
    ),
    (f"{artifact('fewshot', 2)}/stage.json", scribble, "fewshot"),
    (f"{artifact('fewshot', 2)}/results.parquet", cut, "fewshot"),
    (f"{artifact('fewshot', 2)}/results.parquet", Path.unlink, "fewshot"),
    (f"{artifact('fewshot', 2)}/curves.parquet", cut, "fewshot"),
    ("studies/demo/index.json", scribble, "start"),
    ("studies/demo/index.json", scribble, "clusters"),
    ("studies/demo/index.json", lambda path: path.write_text('[{"x": 1}, 3]', encoding="utf-8"), "fewshot"),
    ("studies/demo/index.json", scribble, "pretraining"),
    ("studies/demo/study.yaml", scribble, "start"),
    ("studies/demo/study.yaml", lambda path: path.write_text("name: demo\nmethodz: []", encoding="utf-8"), "clusters"),
    ("studies/demo/study.yaml", scribble, "pretraining"),
    ("studies/demo/study.yaml", lambda path: path.write_bytes(b"\xff\xfe\x00"), "fewshot"),
]


@pytest.mark.parametrize(("file", "damage", "page"), DAMAGES)
def test_damage_is_named_with_what_to_do(
    show: Open, demo: Workspace, file: str, damage: Callable[[Path], object], page: str
) -> None:
    damage(demo.folder / file)
    copy_of(demo.folder / file).unlink(missing_ok=True)
    at = show(demo.folder, page)
    assert not at.exception
    told = said(at, "error")
    assert str((demo.folder / file).parent) in told
    assert "run the study again" in told
    # A study's folder holds the only copy of its settings: nobody is told to delete that.
    assert not ("Delete the folder" in told and file.startswith("studies/"))


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("damage", [scribble, Path.unlink, lambda path: path.write_text("", encoding="utf-8")])
def test_a_damaged_list_is_read_from_its_copy(
    show: Open, demo: Workspace, damage: Callable[[Path], object], page: str
) -> None:
    before = show(demo.folder, page)
    damage(demo.study_folder("demo") / "index.json")
    at = show(demo.folder, page)
    assert not at.exception
    assert (said(at, "error"), metrics(at)) == (said(before, "error"), metrics(before))


HURT = [
    "texts-*/texts.parquet",
    "texts-*/stage.json",
    "split-*/rows.parquet",
    "clusters-*/clusters.parquet",
    "clusters-*/summary.json",
    "prompt-*/metrics.jsonl",
    "prompt-*/summary.json",
    "fewshot-*/results.parquet",
    "fewshot-*/stage.json",
]


@pytest.mark.parametrize("page", PAGES)
def test_one_bit_is_a_message_on_every_page_that_reads_it(show: Open, copied: Workspace, page: str) -> None:
    """With each kind of file in turn: what a page shows is what was written, or it says which file is damaged."""
    right = show(copied.folder, page)
    assert not right.exception and not said(right, "error")
    for pattern in HURT:
        file = next(copied.folder.glob(f"artifacts/{pattern}"))
        content = file.read_bytes()
        half = len(content) // 2
        file.write_bytes(content[:half] + bytes([content[half] ^ 4]) + content[half + 1 :])
        at = show(copied.folder, page)
        assert not at.exception, (pattern, at.exception)
        told = said(at, "error")
        if told:
            assert str(file.parent) in told and "metapt verify --repair" in told, pattern
            assert "Delete the folder" not in told
        else:
            assert metrics(at) == metrics(right), pattern
        file.write_bytes(content)


def test_damage_to_the_job_file_is_no_obstacle(show: Open, demo: Workspace) -> None:
    scribble(demo.study_folder("demo") / "job.json")
    at = show(demo.folder, "start")
    assert not at.exception and not at.error
    assert "No job has run" in said(at, "info")


def test_what_is_whole_is_still_shown_beside_damage(show: Open, demo: Workspace) -> None:
    cut(demo.folder / artifact("clusters") / "clusters.parquet")
    at = show(demo.folder, "clusters")
    assert metrics(at)["Silhouette"] == "0.43"


def test_a_deleted_artifact_is_said_to_be_gone(show: Open, demo: Workspace) -> None:
    import shutil

    shutil.rmtree(demo.folder / artifact("clusters"))
    at = show(demo.folder, "clusters")
    assert not at.exception and "is gone" in said(at, "info")


def test_a_score_whose_prompt_is_unknown_is_explained(show: Open, demo: Workspace) -> None:
    file = demo.folder / artifact("fewshot", 2) / "stage.json"
    write_json(file, {**json.loads(file.read_text(encoding="utf-8")), "parents": {}})
    at = show(demo.folder, "fewshot")
    assert not at.exception
    assert str(file.parent) in said(at, "error") and "'prompt' is missing" in said(at, "error")


def test_a_failed_stage_says_why(show: Open, demo: Workspace) -> None:
    file = demo.folder / artifact("clusters") / "stage.json"
    write_json(file, {"status": "failed", "error": "ValueError: too few texts"})
    at = show(demo.folder, "clusters")
    assert not at.exception and "failed: ValueError: too few texts" in said(at, "error")


@pytest.mark.parametrize("page", PAGES)
def test_a_workspace_that_is_a_file_is_explained(show: Open, tmp_path: Path, page: str) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    at = show(tmp_path / "file", page)
    assert not at.exception and "is a file; give a folder" in said(at, "error")
