"""A file that is read in parts has the very rows, and is refused with the very words, of a file that is read whole."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metapt_explore.config import SourceConfig
from metapt_explore.errors import UserError
from metapt_explore.escaping import csv_text
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.stage_file import write_stage
from metapt_explore.texts import file_content, row_source, streamed_file, streamed_lines
from metapt_explore.texts.open_rows import open_rows, with_rows
from metapt_explore.texts.row_source import DatasetRows, RowSource
from metapt_explore.texts.sources import load_source, source_fingerprint
from metapt_explore.texts.streamed_file import StreamedFile

Row = tuple[str | None, ...]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_content, "STREAMED_BYTES", 1)
    monkeypatch.setattr(streamed_lines, "CHUNK_BYTES", 64)
    for module in (row_source, streamed_file):
        monkeypatch.setattr(module, "BATCH_ROWS", 3)


def rows_of(rows: RowSource) -> list[Row]:
    return [row for batch in rows.batches() for row in zip(*batch.cells.values(), strict=True)]


def outcome(read: Callable[[], list[Row]]) -> list[Row] | str:
    try:
        return read()
    except UserError as error:
        return str(error)


def assert_alike(source: SourceConfig) -> list[Row] | str:
    in_parts = outcome(lambda: with_rows(source, rows_of))
    whole = outcome(lambda: rows_of(DatasetRows(source)))
    # Of several things that are wrong another one may be met first.
    assert in_parts == whole or (isinstance(in_parts, str) and isinstance(whole, str))
    return whole


def source_of(file: Path, **columns: str) -> SourceConfig:
    return SourceConfig.model_validate({"file": str(file), "columns": {"text": "text", "label": "label", **columns}})


# Texts with all that matters to CSV, TSV and guards of spreadsheets.
CELL = st.text(alphabet="ab ,;\t\"'=-#\n\r很é", max_size=6)
ROWS = st.lists(st.tuples(CELL, CELL), min_size=1, max_size=12)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS, st.sampled_from(["csv", "tsv"]), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_tables_of_text(tmp_path: Path, rows: list[tuple[str, str]], kind: str, end: str, guarded: bool) -> None:
    table = pd.DataFrame(rows, columns=["text", "label"])
    separator = "," if kind == "csv" else "\t"
    text = table.to_csv(index=False, sep=separator, lineterminator=end)
    file = tmp_path / f"rows.{kind}"
    file.write_bytes((csv_text(table) if guarded and kind == "csv" else text).encode())
    assert_alike(source_of(file))


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet="ab,\"'=-#\n\r\t", max_size=60), st.sampled_from(["csv", "tsv"]))
def test_files_as_they_come(tmp_path: Path, text: str, kind: str) -> None:
    """Broken quotation marks, uneven rows, comments, lone carriage returns: refused or read as a whole is."""
    file = tmp_path / f"rows.{kind}"
    file.write_bytes(f"text{',' if kind == 'csv' else chr(9)}label\n{text}".encode())
    assert_alike(source_of(file))


LINES = [
    '{"text": "one", "label": 1}', '{"label": null, "text": "two", "more": [1]}', "", "  ",
    '{"text": 2.0}',
    '{"text": "a", "text": "b"}', "[1]", "{", '{"text": ["a"]}',
    '{"text": "\\ud83d"}', '{" text": "x"}', '{"label": "b"}',
]  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_json_lines(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    good = seed % 2 == 0
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(rng.choices(LINES[:5] if good else LINES, k=12)) + "\n", encoding="utf-8")
    assert_alike(source_of(file))


@pytest.mark.parametrize(
    "content",
    [
        b"text,label\ncaf\xe9,1\n" + b"a,1\n" * 40,
        b"\xef\xbb\xbftext,label\n" + b"a,1\n" * 40,
        "text,label\n".encode("utf-16") + "a,1\n".encode("utf-16-le") * 40,
        b"text,label,label\n" + b"a,1,2\n" * 40,
        b" text ,label,\n" + b"a,1,\n" * 40,
        b"text;label\n" + b"a;1\n" * 40,
        b"# a comment\ntext,label\n" + b"a,1\n" * 40,
        b"\n\nA title\ntext,label\n" + b"a,1\n" * 40,
        b'{"text": "a", "label": 1}\n' * 40,
        b"review,label\n" + b"a,1\n" * 40,
        b"text,label\n" + b"'=1+1,1\n" * 40,
        b"text,label\n" + b"'=1+1,1\n" * 40 + b"=2,1\n",
    ],
    ids=range(12),
)
def test_odd_files(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(content)
    assert_alike(source_of(file))


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"label": [1, None, 2, 3, 4], "text": ["a", None, "", "d", "e"]}),
        pa.table({"text": [b"a", b"b"], "label": [1.0, 2.5]}),
        pa.table({"text": [["a"], ["b"]], "label": [1, 2]}),
        pa.table({"text ": ["a", "b"], "label": pa.array(["x", "y"]).dictionary_encode()}),
        pa.table({"other": ["a"], "label": [1]}),
        pa.table([pa.array(["a"]), pa.array(["b"])], names=["text", "text"]),
    ],
    ids=range(6),
)
def test_parquet(tmp_path: Path, table: pa.Table) -> None:
    file = tmp_path / "rows.parquet"
    pa.parquet.write_table(table, file, row_group_size=2)
    assert_alike(source_of(file))


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_chosen_rows(tmp_path: Path, kind: str) -> None:
    table = pd.DataFrame({"text": [f"text {n}, more" for n in range(40)], "label": ["a", "b"] * 20})
    file = tmp_path / f"rows.{kind}"
    if kind == "csv":
        table.to_csv(file, index=False)
    elif kind == "jsonl":
        file.write_text("".join(json.dumps(row) + "\n\n" for row in table.to_dict("records")), encoding="utf-8")
    else:
        table.to_parquet(file, index=False)
    rows = open_rows(source_of(file))
    assert isinstance(rows, StreamedFile)
    for chosen in ([], [0], [2, 3, 17, 39], list(range(40))):
        taken = rows.take(np.array(chosen, dtype=np.int64))
        assert taken["text"].to_pylist() == table["text"][chosen].tolist()
        assert taken["label"].to_pylist() == table["label"][chosen].tolist()
        assert taken.column_names == ["text", "label", "group"]


def test_a_damaged_parquet_file_is_refused_as_ever(tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    pd.DataFrame({"text": [f"text {n}" for n in range(500)], "label": 1}).to_parquet(file, index=False)
    content = bytearray(file.read_bytes())
    content[200:240] = b"\x00" * 40
    file.write_bytes(content)
    assert "cannot be read as a Parquet file" in str(assert_alike(source_of(file)))


def test_beyond_what_is_read_whole_an_odd_row_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamed_file, "MOST_BYTES", 100)
    monkeypatch.setattr(file_content, "MOST_BYTES", 100)
    file = tmp_path / "rows.csv"
    file.write_text("text,label\n" + "a text,1\n" * 60, encoding="utf-8")
    source = source_of(file)
    assert len(with_rows(source, rows_of)) == 60 and len(source_fingerprint(source)) == 64
    file.write_text("text,label\n" + "a text,1\n" * 60 + "a,b,c\n", encoding="utf-8")
    with pytest.raises(UserError, match="row 61 has 3 fields"):
        with_rows(source, rows_of)


def test_a_file_that_changes_meanwhile_is_told(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("text,label\n" + "a text,1\n" * 60, encoding="utf-8")
    batches = open_rows(source_of(file)).batches()
    next(batches)
    with file.open("a", encoding="utf-8") as stream:
        stream.write("a text,1\n")
    with pytest.raises(UserError, match="was changed while it was read"):
        list(batches)


def test_small_files_are_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_content, "STREAMED_BYTES", 10**6)
    file = tmp_path / "rows.csv"
    file.write_text("text,label\na,1\n", encoding="utf-8")
    assert isinstance(open_rows(source_of(file)), DatasetRows)
    assert rows_of(open_rows(source_of(file))) == rows_of(DatasetRows(source_of(file), load_source(source_of(file))))


@pytest.mark.parametrize("error", [MemoryError, pa.ArrowMemoryError])
@pytest.mark.parametrize("streamed", [True, False])
def test_memory_that_runs_out_is_no_broken_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception], streamed: bool
) -> None:
    file = tmp_path / "rows.parquet"
    pd.DataFrame({"text": ["a"], "label": ["b"]}).to_parquet(file, index=False)
    monkeypatch.setattr(file_content, "STREAMED_BYTES", 1 if streamed else 10**6)

    def fail(*args: object, **kwargs: object) -> None:
        raise error("malloc of size 64 failed")

    monkeypatch.setattr(pa.parquet.ParquetFile, "iter_batches" if streamed else "read", fail)
    with pytest.raises(UserError, match=r"rows\.parquet: memory ran out.*nothing is wrong.*texts\.limit"):
        with_rows(source_of(file), rows_of)


def test_memory_that_runs_out_damages_no_artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pd.DataFrame({"text": ["a"]}).to_parquet(tmp_path / "texts.parquet", index=False)
    write_stage(tmp_path, {"status": "running"})

    def fail(*args: object, **kwargs: object) -> None:
        raise pa.ArrowMemoryError("malloc of size 64 failed")

    monkeypatch.setattr("metapt_explore.storage.artifact.read_table", fail)
    with pytest.raises(MemoryError):
        Artifact(tmp_path).table("texts")
