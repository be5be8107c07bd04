"""A repaired CSV runs nothing in a spreadsheet, and is read as the texts that were given."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from metapt_explore.config import Columns, SourceConfig
from metapt_explore.datacheck.check import check_file
from metapt_explore.datacheck.repair import write_repaired
from metapt_explore.texts.sources import load_source

TEXTS = [
    "@user what a lovely day",
    "=1+1 is what they charge",
    "- bad from start to end",
    "'tis a fine film",
    "-5",
    "a b",
]
COLUMNS = Columns(text="text", label="=label")


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_texts_that_begin_like_formulas_come_back(tmp_path: Path, suffix: str) -> None:
    given, repaired = tmp_path / "given.csv", tmp_path / f"repaired{suffix}"
    with given.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([["text", "=label"], *([text, "+-"[i % 2]] for i, text in enumerate(TEXTS))])
    checked = check_file(given, COLUMNS)
    assert checked.rows.texts == TEXTS
    write_repaired(checked.rows, repaired)
    with repaired.open(encoding="utf-8", newline="") as stream:
        cells = [cell for row in csv.reader(stream, delimiter="," if suffix == ".csv" else "\t") for cell in row]
    assert {cell for cell in cells if cell[:1] in "=+-@"} == {"-5"}, "a number is no formula"
    read = load_source(SourceConfig(file=str(repaired), columns=COLUMNS))
    assert list(read["text"]) == TEXTS == check_file(repaired, COLUMNS).rows.texts
    assert list(read["label"]) == ["+-"[i % 2] for i in range(len(TEXTS))]


def test_quotation_marks_in_a_file_of_another_origin_stay(tmp_path: Path) -> None:
    file = tmp_path / "tweets.csv"
    file.write_text("text,label\n'@home' is a fine film,1\n@user is it really,0\n", encoding="utf-8")
    texts = ["'@home' is a fine film", "@user is it really"]
    assert list(load_source(SourceConfig(file=str(file), columns=Columns(text="text", label="label")))["text"]) == texts
