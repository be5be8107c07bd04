"""A file on the Texts page, as somebody's spreadsheet wrote it: said, mended, or refused in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from looking import metrics, said
from streamlit.testing.v1 import AppTest

from metapt_explore.config import StudyConfig
from metapt_explore.jobs import queue
from metapt_explore.storage.workspace import Workspace

Open = Callable[..., AppTest]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[StudyConfig, Any]]:
    found: list[tuple[StudyConfig, Any]] = []

    def enqueue(workspace: Workspace, study: StudyConfig, until: Any = "all") -> bool:
        workspace.save_study(study)
        found.append((study, until))
        return True

    monkeypatch.setattr(queue, "enqueue", enqueue)
    return found


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"sep=;\ntext;label\na fine film;good\na dull film;bad\n", "fields are separated by semicolons"),
        (b'[{"text": "a fine film", "label": "good"}, {"text": "a dull film", "label": "bad"}]', "holds JSON"),
    ],
)
def test_what_is_odd_about_a_file_is_said(show: Open, tmp_path: Path, content: bytes, told: str) -> None:
    file = tmp_path / "odd.csv"
    file.write_bytes(content)
    at = show(tmp_path / "workspace", "texts")
    at.text_input(key="new_path").set_value(str(file)).run()
    assert not at.exception and not at.error and told in said(at, "caption")


@pytest.mark.parametrize(
    ("name", "content", "box", "told"),
    [
        ("half.jsonl", b'{"text": "a \\ud83d film", "label": "\\ud83d"}\n{"text": "b c"}\n', "success", "half chara"),
        ("twice.csv", b"text,text,label\na fine film,b,good\n", "success", "a repeated column name got a number"),
        ("list.jsonl", b'{"text": ["a"], "label": {"a": 1}}\n{"text": ["b"], "label": null}\n', "error", "with a list"),
        ("old.xls", b"\xd0\xcf\x11\xe0" + bytes(99), "error", "old Excel workbook (.xls); save it as .xlsx or .csv"),
    ],
)  # fmt: skip
def test_a_file_that_no_study_reads_is_mended_or_refused(
    show: Open, tmp_path: Path, name: str, content: bytes, box: str, told: str
) -> None:
    (tmp_path / name).write_bytes(content)
    at = show(tmp_path / "workspace", "texts")
    at.text_input(key="new_path").set_value(str(tmp_path / name)).run()
    assert not at.exception and told in said(at, box) and len(at.error) == (box == "error")


def test_a_spreadsheets_file_becomes_a_study_in_the_browser(
    show: Open, tmp_path: Path, asked: list[tuple[StudyConfig, Any]]
) -> None:
    """Semicolons, Windows-1252, titles, a blank and a copy: said, mended, and the study reads the copy."""
    rows = [f"Die Rechnung für März ist falsch – Nr. {n};Rechnung\nDas Päckchen {n} fehlt;Versand" for n in range(20)]
    content = "\n".join(["Export vom Mai", "Text;Thema", *rows, ";Versand", "Das Päckchen 3 fehlt;Versand"])
    file = tmp_path / "Anfragen.csv"
    file.write_bytes(content.encode("cp1252"))
    at = show(tmp_path / "workspace", "texts")
    at.text_input(key="new_path").set_value(str(file)).run()
    assert not at.exception and not at.error
    reading = "Read as semicolon-separated, Windows-1252; 1 title line skipped; 1 blank row and 1 copy left out."
    assert reading in said(at, "success") and metrics(at)["Rows"] == "40" and metrics(at)["Blank"] == "0"
    at.checkbox(key="new_own_task").uncheck().run()
    assert at.radio(key="new_kind_of_tasks").value == "cluster_classes", "clusters say the label here"
    at.radio(key="new_kind_of_tasks").set_value("labels").run()
    assert "The texts look German" in said(at, "caption")
    assert "language model (smollm2-135m), sentence encoder (minilm)" in said(at, "info")
    at.button(key="create").click().run()
    assert not at.exception and not at.error
    study = asked[0][0]
    assert study.name == "Anfragen" and set(study.auxiliary_tasks.labels) == {"Rechnung", "Versand"}
    (copy,) = (tmp_path / "workspace" / "uploads").iterdir()
    assert study.texts.file == str(copy) and file.read_bytes() == content.encode("cp1252")


def test_another_encoding_can_be_chosen(show: Open, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes("text,label\nза мир,да\nи хлеб,нет\n".encode("koi8-r"))
    at = show(tmp_path / "workspace", "texts")
    at.text_input(key="new_path").set_value(str(file)).run()
    at.selectbox(key=f"encoding{file}").set_value("koi8_r").run()
    assert not at.exception and "KOI8-R" in said(at, "success")
    assert at.dataframe[0].value["text"].tolist() == ["за мир", "и хлеб"]
