"""A record that would fill the memory is refused before it does, on a page and on the command line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import call

from metapt_explore.errors import UserError
from metapt_explore.reporting import published
from metapt_explore.results import record_files
from metapt_explore.results.record import Record
from metapt_explore.storage.workspace import Workspace

LOOK = Path(__file__).parents[2] / "studies" / "look"
TOGETHER = LOOK.parent / "starter-together"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(LOOK, tmp_path / "look"))


def one_number(rows: int, columns: int) -> pa.Table:
    numbers = pa.array(np.zeros(rows))
    return pa.table({f"column {index}": numbers for index in range(columns)})


def one_text(length: int, rows: int) -> pa.Table:
    """Every row points to one long text, as Parquet keeps it."""
    codes = pa.array(np.zeros(rows, np.int32))
    return pa.table({"method": pa.DictionaryArray.from_arrays(codes, pa.array(["x" * length]))})


BOMBS: dict[str, tuple[str, Callable[[], pa.Table]]] = {
    "a number in many columns": ("results", lambda: one_number(700_000, 100)),
    "a long text in all rows": ("results", lambda: one_text(20_000, 100_000)),
    "long names of methods": ("predictions", lambda: one_text(2_000, 1_000_000)),
    "too many columns": ("curves", lambda: one_number(1, record_files.MOST_COLUMNS + 1)),
    "too many rows": ("curves", lambda: one_number(record_files.MOST_ROWS + 1, 1)),
}


@pytest.mark.parametrize("case", BOMBS)
def test_what_would_fill_the_memory_is_refused(folder: Path, tmp_path: Path, case: str) -> None:
    name, made = BOMBS[case]
    file = folder / f"{name}.parquet"
    # Without its schema a column is no dictionary to a reader, which unpacks it.
    pq.write_table(made(), file, compression="zstd", store_schema=name == "predictions")
    assert file.stat().st_size < record_files.MOST_BYTES / 10
    before = psutil.Process().memory_info().rss
    for read in (Record.load, lambda source: published.open_record(Workspace(tmp_path / "workspace"), source)):
        with pytest.raises(UserError, match=rf"^[^\n]*look: {name}.parquet has [\d,]+ rows of [^\n]+$"):
            read(folder)
    assert psutil.Process().memory_info().rss - before < 2**29


def test_texts_are_counted_whatever_a_file_says_of_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = pd.read_parquet(folder / "results.parquet")
    texts = known.select_dtypes(exclude="number")
    unpacked = 8 * known.size + sum(int(texts[name].str.len().sum()) for name in texts)
    for dictionary in (True, False):
        pq.write_table(pa.Table.from_pandas(known), folder / "results.parquet", use_dictionary=dictionary)
        for most, refused in ((unpacked, False), (unpacked - 1, True)):
            monkeypatch.setattr(record_files, "MOST_UNPACKED", most)
            monkeypatch.setattr(record_files, "BATCH", 7)
            if refused:
                with pytest.raises(UserError, match="MiB unpacked"):
                    record_files.read_table(folder, "results")
            else:
                pd.testing.assert_frame_equal(record_files.read_table(folder, "results"), known)


def test_two_columns_of_a_name_are_refused(folder: Path) -> None:
    table = pq.read_table(folder / "results.parquet")
    pq.write_table(table.append_column("accuracy", table["accuracy"]), folder / "results.parquet")
    with pytest.raises(UserError, match=r"results\.parquet has two columns 'accuracy'"):
        Record.load(folder)


def test_the_command_line_is_bounded(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(record_files, "MOST_ROWS", 10)
    for words in (
        ("pool", folder, LOOK),
        ("errors", folder, "t", "--method", "a", "--against", "b"),
        ("widen", folder),
    ):
        assert call(monkeypatch, *words) == 2
        assert "60 rows" in " ".join(capsys.readouterr().err.split()), words
    monkeypatch.undo()
    monkeypatch.setattr(record_files, "MOST_BYTES", 100)
    assert call(monkeypatch, "report", folder) == 2
    assert "record.json has 0 MiB; at most" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("name", ["results", "curves", "predictions", "rows"])
def test_recorded_tables_read_as_pandas_reads_them(name: str) -> None:
    expected = pd.read_parquet(TOGETHER / f"{name}.parquet")
    pd.testing.assert_frame_equal(record_files.read_table(TOGETHER, name), expected)
