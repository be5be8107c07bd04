"""Vectors of one's own in the form of a new study: checked at once, and with their texts wherever these go."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from looking import said
from streamlit.testing.v1 import AppTest

from metapt_explore.clusters.own_vectors import read_vectors
from metapt_explore.config import StudyConfig
from metapt_explore.config.embeddings import FileEmbeddings
from metapt_explore.jobs import queue
from metapt_explore.storage.workspace import Workspace
from metapt_explore.texts.sources import load_source

Open = Callable[..., AppTest]
ROWS = 160
#: A row that has no text, and one that says what an earlier one says: a study reads neither.
BLANK, COPY = 5, 9


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[StudyConfig]:
    found: list[StudyConfig] = []

    def enqueue(workspace: Workspace, study: StudyConfig, until: Any = "all") -> bool:
        found.append(study)
        return True

    monkeypatch.setattr(queue, "enqueue", enqueue)
    return found


def lines() -> list[str]:
    things = ("camera with a battery", "soup with bread", "train to the town", "film about a ship")
    texts = [f"{('good', 'bad')[n % 2]} {things[n // 2 % 4]}, number {n} of {n * n}" for n in range(ROWS)]
    texts[BLANK], texts[COPY] = "", texts[1]
    return texts


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    file = tmp_path / "reviews.csv"
    table = pd.DataFrame({"number": range(ROWS), "text": lines(), "label": ["good", "bad"] * (ROWS // 2)})
    table.to_csv(file, index=False)
    return file


def vectors(rows: int = ROWS) -> np.ndarray:
    """Each begins with the number of its row."""
    made = np.random.default_rng(0).normal(size=(rows, 6)).astype(np.float32)
    made[:, 0] = np.arange(rows) + 1
    return made


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def form(show: Open, folder: Path, reviews: Path) -> AppTest:
    """The form with the reviews and vectors of one's own asked for."""
    at = show(folder, "texts")
    at.text_input(key="new_path").set_value(str(reviews)).run()
    at.selectbox(key="new_embeddings").set_value("file").run()
    assert "Choose the file of vectors" in said(at, "warning") and at.button(key="create").disabled
    return at


def check_rows(study: StudyConfig) -> None:
    """The vector of each text that pre-training reads begins with the number of its row."""
    assert isinstance(study.embeddings, FileEmbeddings)
    texts = list(load_source(study.texts)["text"])
    found = read_vectors(study.embeddings).of(range(len(texts)), [], len(texts))
    before = lines()
    assert texts == [before[round(float(row[0])) - 1] for row in found]


@pytest.mark.parametrize("aside", [True, False], ids=["own task", "no own task"])
def test_vectors_by_rows_follow_texts_that_are_set_aside_or_mended(
    show: Open, tmp_path: Path, reviews: Path, asked: list[StudyConfig], aside: bool
) -> None:
    at = form(show, tmp_path / "workspace", reviews)
    at.file_uploader(key="new_vectors").set_value([("mine.npy", npy(vectors()), "application/octet-stream")]).run()
    assert not at.exception and not at.error
    assert "160 vectors of 6 numbers, one for each row of your texts, in the same order." in said(at, "success")
    if not aside:
        at.checkbox(key="new_own_task").uncheck().run()
    at.button(key="create").click().run()
    assert not at.exception and not at.error
    (study,) = asked
    assert study.embeddings.kind == "file" and (study.texts.file or "").endswith(".jsonl" if aside else ".csv")
    check_rows(study)


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (vectors(150), "holds 150 vectors, and the texts' source has 160 rows"),
        (np.where(np.arange(ROWS)[:, None] == 7, np.nan, vectors()), "row 8: the vector holds a value that is not a"),
        (np.where(np.arange(ROWS)[:, None] == 3, 0, vectors()), "row 4: the vector is zero everywhere"),
        (vectors()[:, :1], "holds one number a text"),
        (np.array(["a"] * ROWS), "a matrix of numbers"),
    ],
    ids=["rows", "NaN", "zero", "width", "no numbers"],
)
def test_what_does_not_fit_is_said_at_once(
    show: Open, tmp_path: Path, reviews: Path, array: np.ndarray, told: str
) -> None:
    at = form(show, tmp_path / "workspace", reviews)
    at.file_uploader(key="new_vectors").set_value([("mine.npy", npy(array), "application/octet-stream")]).run()
    assert not at.exception and told in said(at, "error") and "mine.npy" in said(at, "error").replace("\\", "")
    assert "uploads" not in said(at, "error"), "an upload is called as its owner called it"
    assert at.button(key="create").disabled


def test_what_is_no_file_of_vectors_is_said(show: Open, tmp_path: Path, reviews: Path) -> None:
    at = form(show, tmp_path / "workspace", reviews)
    for name, content in (("a.npy", b"text"), ("a.parquet", b"PAR1 text"), ("a.csv", b"1,2\n3,4\n")):
        at.file_uploader(key="new_vectors").set_value([(name, content, "application/octet-stream")]).run()
        assert not at.exception and "cannot be read as" in said(at, "error")
    at.file_uploader(key="new_vectors").set_value([]).run()
    at.text_input(key="new_vectors_path").set_value(str(tmp_path / "none.npy")).run()
    assert not at.exception and "none.npy" in said(at, "error")


def test_a_shared_column_joins_both_files_in_any_order(
    show: Open, tmp_path: Path, reviews: Path, asked: list[StudyConfig]
) -> None:
    order = np.random.default_rng(1).permutation(ROWS)
    file = tmp_path / "mine.parquet"
    pd.DataFrame({"number": order, "vector": list(vectors()[order]), "other": list(vectors())}).to_parquet(file)
    at = form(show, tmp_path / "workspace", reviews)
    at.text_input(key="new_vectors_path").set_value(str(file)).run()
    assert not at.exception and not at.error
    assert at.selectbox(key=f"new_vectors_way_{file}").value == ("id", "number")
    assert "of the column 'vector', matched by the column 'number' of both files." in said(at, "success")
    at.button(key="create").click().run()
    assert not at.exception and not at.error
    (study,) = asked
    assert isinstance(study.embeddings, FileEmbeddings)
    assert (study.embeddings.file, study.embeddings.id, study.embeddings.column) == (str(file), "number", "vector")
