"""Vectors of one's own: which row is whose, and what is refused by file and row."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metapt_explore.clusters.own_vectors import (
    OwnVectors,
    check_vectors,
    keys_of,
    read_vectors,
    vectors_fingerprint,
)
from metapt_explore.config.embeddings import EmbeddingsConfig, FileEmbeddings
from metapt_explore.config.task import SourceConfig
from metapt_explore.errors import UserError

VECTORS = np.arange(12, dtype=np.float32).reshape(4, 3) + 1
TEXTS = ["the first text", "The second, text", "a third", "fourth of them"]


def settings(file: Path, **more: Any) -> FileEmbeddings:
    return FileEmbeddings(kind="file", file=str(file), **more)


def saved(folder: Path, array: Any) -> Path:
    np.save(folder / "own.npy", array)
    return folder / "own.npy"


def parquet(folder: Path, **columns: Any) -> Path:
    pd.DataFrame(columns).to_parquet(folder / "own.parquet")
    return folder / "own.parquet"


def source(folder: Path) -> SourceConfig:
    with (folder / "texts.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["text", "number"], *([text, 10 + row] for row, text in enumerate(TEXTS))])
    return SourceConfig(file=str(folder / "texts.csv"))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64"])
def test_npy_goes_by_rows_of_the_source(tmp_path: Path, dtype: str) -> None:
    own = read_vectors(settings(saved(tmp_path, VECTORS.astype(dtype))))
    chosen = own.of([3, 1], [], 4)
    assert chosen.dtype == np.float32
    np.testing.assert_array_equal(chosen, VECTORS[[3, 1]])


def test_parquet_has_a_column_of_lists_or_columns_of_numbers(tmp_path: Path) -> None:
    listed = parquet(tmp_path, id=[13, 12, 11, 10], vector=list(VECTORS), note=list("abcd"))
    np.testing.assert_array_equal(read_vectors(settings(listed)).vectors, VECTORS)
    np.testing.assert_array_equal(read_vectors(settings(listed, column="vector")).vectors, VECTORS)
    wide = parquet(tmp_path, id=[1, 2, 3, 4], a=VECTORS[:, 0], b=VECTORS[:, 1], c=VECTORS[:, 2], note=list("abcd"))
    np.testing.assert_array_equal(read_vectors(settings(wide, id="id")).vectors, VECTORS)
    assert read_vectors(settings(wide)).vectors.shape == (4, 4)


def test_an_id_of_both_files_says_which_vector_is_whose(tmp_path: Path) -> None:
    """Whatever the order, and with vectors of texts that the study has not."""
    texts = source(tmp_path)
    file = parquet(tmp_path, number=[99, 13, 12, 11, 10], vector=[VECTORS[0], *VECTORS[::-1]])
    by_id = settings(file, id="number")
    check_vectors(by_id, texts)
    keys = keys_of(by_id, texts, [2, 0], ["a third", "the first text"])
    assert keys == ["12", "10"]
    np.testing.assert_array_equal(read_vectors(by_id).of([2, 0], keys, 4), VECTORS[[2, 0]])


def test_a_column_of_texts_says_it_too_whatever_their_spelling(tmp_path: Path) -> None:
    file = parquet(tmp_path, text=["FOURTH of them!", *TEXTS[:3]], vector=list(np.roll(VECTORS, 1, axis=0)))
    by_text = settings(file, text="text")
    keys = keys_of(by_text, source(tmp_path), [0, 3], [TEXTS[0], TEXTS[3]])
    np.testing.assert_array_equal(read_vectors(by_text).of([0, 3], keys, 4), VECTORS[[0, 3]])


def test_spellings_of_a_text_may_have_vectors_of_their_own(tmp_path: Path) -> None:
    """A cased encoder tells Great! from great; a batch rounds otherwise than another; blank ids are none."""
    texts = ["great", "Great!", "a third", "a third", "", ""]
    vectors = [*VECTORS[:3], VECTORS[2] * (1 + 1e-5), VECTORS[0], VECTORS[3]]
    own = read_vectors(settings(parquet(tmp_path, text=texts, vector=vectors), text="text"))
    np.testing.assert_array_equal(own.of([0] * 4, ["Great!", "great", "GREAT", "a third"], 9), VECTORS[[1, 0, 0, 2]])
    blank = read_vectors(settings(parquet(tmp_path, id=["a", "", ""], vector=list(VECTORS[:3])), id="id"))
    np.testing.assert_array_equal(blank.of([0], ["a"], 9), VECTORS[[0]])


@given(st.permutations(range(4)), st.lists(st.integers(0, 3), unique=True))
def test_by_keys_the_order_of_the_file_does_not_matter(order: list[int], rows: list[int]) -> None:
    own = OwnVectors("f", VECTORS[order], [f"k{row}" for row in order])
    np.testing.assert_array_equal(own.of(rows, [f"k{row}" for row in rows], 4), VECTORS[rows])


def test_what_is_wrong_is_told_by_file_and_row(tmp_path: Path) -> None:
    def refused(message: str, file: Path, rows: tuple[int, ...] = (0, 1, 2, 3), **more: Any) -> None:
        with pytest.raises(UserError, match=message):
            read_vectors(settings(file, **more)).of(rows, [], 4)

    refused(r"own\.npy holds 3 vectors, and the texts' source has 4 rows\. Without", saved(tmp_path, VECTORS[:3]))
    broken = VECTORS.copy()
    broken[2, 1] = np.nan
    refused(r"own\.npy, row 3: the vector holds a value that is not a finite number", saved(tmp_path, broken))
    np.testing.assert_array_equal(read_vectors(settings(tmp_path / "own.npy")).of([0, 1, 3], [], 4), VECTORS[[0, 1, 3]])
    broken[1:3] = 0
    refused(r"own\.npy, row 2 \(and 1 more\): the vector is zero everywhere", saved(tmp_path, broken))
    refused(r"holds an array of float32 with the shape \[12\]; a matrix of", saved(tmp_path, VECTORS.ravel()))
    refused(r"holds an array of <U1", saved(tmp_path, np.array([["a"]])))
    refused(r"own\.npy, row 1: the vector holds a value", saved(tmp_path, VECTORS.astype(np.float64) * 1e300), (0,))
    np.save(tmp_path / "own.npy", np.array([{}], dtype=object), allow_pickle=True)
    refused(r"own\.npy cannot be read as an \.npy file of numbers", tmp_path / "own.npy")
    lengths = [*VECTORS[:2], VECTORS[2][:2], VECTORS[3]]
    refused(r"own\.parquet, row 3: 'vector' has 2 numbers; most rows have 3", parquet(tmp_path, vector=lengths))
    missing = [*VECTORS[:3], None]
    refused(r"own\.parquet, row 4: 'vector' has 0 numbers", parquet(tmp_path, vector=missing))
    holed = parquet(tmp_path, vector=[[1.0, None], [1.0, 2.0]] * 2)
    refused(r"own\.parquet, row 1 \(and 1 more\): the vector holds a value that is not", holed)
    refused(r"holds no vectors: .* It has a\.", parquet(tmp_path, a=list("abcd")))
    two = parquet(tmp_path, a=list(VECTORS), b=list(VECTORS))
    refused(r"several columns of lists \(a, b\): name one as embeddings\.column", two)
    refused(r"no column 'c' \(embeddings\.column\)", two, column="c")
    (tmp_path / "own.parquet").write_bytes(b"PAR1 but not whole")
    refused(r"own\.parquet cannot be read as a Parquet file", tmp_path / "own.parquet")
    refused(r"There is no file .*other\.npy", tmp_path / "other.npy")


def test_keys_that_do_not_fit_are_told(tmp_path: Path) -> None:
    texts = source(tmp_path)
    twice = parquet(tmp_path, number=[10, 11, 10, 13], vector=list(VECTORS))
    with pytest.raises(UserError, match=r"rows 1 and 3 are of the same text \('10'\) and have different vectors"):
        check_vectors(settings(twice, id="number"), texts)
    own = OwnVectors("own.parquet", VECTORS, ["10", "11", "12", "13"])
    with pytest.raises(UserError, match=r"own\.parquet has no vector for 2 of 3 texts; the first is '14'"):
        own.of([0, 1, 2], ["10", "14", "15"], 3)
    with pytest.raises(UserError, match=r"texts\.csv has no column 'vector' \(embeddings\.id\).*`embeddings: \{id"):
        check_vectors(settings(twice, id="vector"), texts)
    (tmp_path / "texts.csv").write_text("text,number\na text,1\nanother,\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"texts\.csv, row 2: 'number' is empty"):
        keys_of(settings(twice, id="number"), texts, [0, 1], ["a text", "another"])


def test_settings_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="give `id` or `text`, not both"):
        FileEmbeddings(kind="file", file="own.parquet", id="a", text="b")
    with pytest.raises(ValueError, match=r"`column` names a column, and an \.npy file has none"):
        FileEmbeddings(kind="file", file="own.npy", column="a")
    with pytest.raises(ValueError, match="`layer` belongs to model_states, not to tfidf"):
        EmbeddingsConfig.model_validate({"kind": "tfidf", "layer": "last"})


def test_the_content_counts_not_the_place(tmp_path: Path) -> None:
    first = vectors_fingerprint(settings(saved(tmp_path, VECTORS)))
    (tmp_path / "elsewhere").mkdir()
    assert vectors_fingerprint(settings(saved(tmp_path / "elsewhere", VECTORS))) == first
    assert vectors_fingerprint(settings(saved(tmp_path, VECTORS + 1))) != first
