"""Vectors beside a new study's texts: a file of the same rows where a study reads only some, part by part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metapt_explore.config.embeddings import FileEmbeddings
from metapt_explore.errors import UserError
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study import vector_files
from metapt_explore.study.vector_files import check_fit, vectors_of_rows

VECTORS = np.arange(40, dtype=np.float16).reshape(8, 5) + 1


@pytest.fixture
def own(tmp_path: Path) -> FileEmbeddings:
    np.save(tmp_path / "own.npy", VECTORS)
    return FileEmbeddings(kind="file", file=str(tmp_path / "own.npy"))


@pytest.mark.parametrize("part", [3, 100])
def test_a_copy_holds_the_rows_that_are_read_in_their_order(
    own: FileEmbeddings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    monkeypatch.setattr(vector_files, "PART", part)
    workspace = Workspace(tmp_path / "w")
    assert vectors_of_rows(workspace, own, range(8)) is own, "nothing is copied where all rows are read"
    made = vectors_of_rows(workspace, own, [6, 0, 3, 7])
    found = np.load(made.file, allow_pickle=False)
    assert found.dtype == np.float32 and Path(made.file).parent == workspace.folder / "uploads"
    np.testing.assert_array_equal(found, VECTORS[[6, 0, 3, 7]])
    assert vectors_of_rows(workspace, own, [6, 0, 3, 7]) == made != vectors_of_rows(workspace, own, [6, 0, 3])
    named = FileEmbeddings(kind="file", file="own.parquet", id="number")
    assert vectors_of_rows(workspace, named, [1]) is named, "keys say whose they are"


def test_vectors_of_rows_that_no_study_reads_may_be_useless(own: FileEmbeddings, tmp_path: Path) -> None:
    """Row 2 of the file was left out of the mended copy, row 4 has no text; NaN in row 5 counts."""
    vectors = VECTORS.astype(np.float32)
    vectors[[2, 4]] = np.nan
    np.save(own.file, vectors)
    rows, table = [0, 1, 3, 4, 5, 6, 7], {"text": ["a", "b", "c", " ", "d", "e", "f"]}
    fit = check_fit(own, table, "text", rows=rows, file_rows=8)
    assert (fit.vectors, fit.width) == (8, 5) and fit.said.startswith("8 vectors of 5 numbers, one for each row")
    vectors[5] = np.nan
    np.save(own.file, vectors)
    with pytest.raises(UserError, match=r"own\.npy, row 6: the vector holds a value that is not a finite number"):
        check_fit(own, table, "text", rows=rows, file_rows=8)
    by_id = FileEmbeddings(kind="file", file=own.file.replace(".npy", ".parquet"), id="n")
    with pytest.raises(UserError):
        check_fit(by_id, table, "text", rows=rows, file_rows=8)
