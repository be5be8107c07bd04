"""Files as people have them: packed, in other encodings, with odd first lines and headers, and what is no table."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from metapt_explore.config import Columns, SourceConfig
from metapt_explore.errors import UserError
from metapt_explore.texts import file_content
from metapt_explore.texts.sources import load_source, source_fingerprint
from metapt_explore.texts.table_files import RawTable, read_raw, read_table

ROWS = [("the lid fits well", "good"), ("the hose leaks here", "bad"), ("it hums, at night", "good")]
TABLE = {"text": [text for text, _ in ROWS], "label": [label for _, label in ROWS]}
CSV = pd.DataFrame(TABLE).to_csv(index=False).encode()


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def found(raw: RawTable) -> list[tuple[str, str]]:
    return [(finding.level, finding.kind) for finding in raw.findings]


def zipped(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)
    return stream.getvalue()


def workbook(**options: int) -> bytes:
    pytest.importorskip("openpyxl")
    stream = io.BytesIO()
    pd.DataFrame(TABLE).to_excel(stream, index=False, **options)
    return stream.getvalue()


def parquet(table: pyarrow.Table | None = None) -> bytes:
    stream = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(TABLE) if table is None else table, stream)
    return stream.getvalue()


DECLARED = b"sep=;\r\n" + pd.DataFrame(TABLE).to_csv(index=False, sep=";").encode()
JSON_ROWS = pd.DataFrame(TABLE).to_dict(orient="records")
LINES = "".join(json.dumps(row) + "\n" for row in JSON_ROWS).encode()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv.gz", lambda: gzip.compress(CSV, mtime=0), []),
        ("a.jsonl.gz", lambda: gzip.compress(LINES, mtime=0), []),
        ("a.tsv.gz", lambda: gzip.compress(pd.DataFrame(TABLE).to_csv(index=False, sep="\t").encode()), []),
        ("packed.csv", lambda: gzip.compress(CSV, mtime=0), [("note", "packed")]),
        ("zip.csv", lambda: zipped(rows__csv=CSV), [("note", "packed")]),
        ("a.zip", lambda: zipped(rows__jsonl=LINES, notes__txt=b"hello"), [("note", "packed")]),
        ("a.json", lambda: json.dumps(JSON_ROWS).encode(), []),
        ("data.json", lambda: json.dumps({"version": 2, "data": JSON_ROWS}).encode(), [("note", "JSON list")]),
        ("columns.json", lambda: json.dumps(TABLE).encode(), [("note", "JSON columns")]),
        ("pandas.json", lambda: pd.DataFrame(TABLE).to_json().encode(), [("note", "JSON columns")]),
        ("lines.json", lambda: LINES, [("note", "JSON lines")]),
        ("list.jsonl", lambda: json.dumps(JSON_ROWS).encode(), [("note", "JSON list")]),
        ("json.csv", lambda: LINES, [("note", "another kind")]),
        ("a.xlsx", workbook, []),
        ("xlsx.csv", workbook, [("note", "another kind")]),
        ("xlsx.parquet", workbook, [("note", "another kind")]),
        ("parquet.csv", parquet, [("note", "another kind")]),
        ("declared.csv", lambda: DECLARED, [("note", "sep line")]),
        ("quoted.csv", lambda: b'"sep=,"\n' + CSV, [("note", "sep line")]),
        ("marks.csv", lambda: b"\xef\xbb\xbf\xef\xbb\xbf" + CSV, [("note", "byte order mark")]),
        ("blank.csv", lambda: b"\n  \n,\n" + CSV, [("note", "first lines")]),
        ("padded.csv", lambda: CSV.replace(b"text,label", b'" text ",\xe2\x80\x8blabel'), [("note", "padded names")]),
        ("empty.csv", lambda: CSV.replace(b"\n", b",,\n"), [("note", "empty columns")]),
        ("fields.csv", lambda: CSV.replace(b"\n", b",,\n").replace(b",,", b"", 1), [("note", "empty fields")]),
    ],
)  # fmt: skip
def test_a_study_reads_it_and_the_check_says_what_is_odd(tmp_path: Path, name: str, content, said: list) -> None:  # type: ignore[no-untyped-def, type-arg]
    path = write(tmp_path / name, content())
    assert found(read_raw(path)) == said
    rows = load_source(SourceConfig(file=str(path), columns=Columns(label="label")))
    assert list(zip(rows["text"], rows["label"], strict=True)) == ROWS


def test_every_column_gets_a_name_of_its_own(tmp_path: Path) -> None:
    raw = read_raw(write(tmp_path / "a.csv", ",text,text,text_2,, text\n0,a b c,d,e,,f\n1,g h i,j,k,,l\n"))
    assert raw.columns == ("column_1", "text", "text_3", "text_2", "text_4")
    kinds = [finding.kind for finding in raw.findings]
    assert kinds == ["empty columns", "nameless columns", "padded names", "header"]
    assert raw.rows[0] == ("0", "a b c", "d", "e", "f")


def test_a_column_may_be_named_as_it_stands_in_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", " text ,label\na b c,1\n")
    assert load_source(SourceConfig(file=str(path), columns=Columns(text=" text ")))["text"] == ["a b c"]


SAMPLES = {
    "ru": ("это очень хорошая вещь, но сломалась", ["cp1251", "koi8-r", "iso8859-5", "cp866", "utf-16", "utf-16-be"]),
    "ja": ("とても良い商品ですが、すぐに壊れました", ["cp932", "euc-jp", "iso2022_jp", "utf-16-le"]),
    "zh": ("这个产品非常好，但是很快就坏了", ["gb18030", "gbk"]),
    "ko": ("아주 좋은 제품이지만 금방 고장났어요", ["cp949"]),
    "el": ("Πολύ καλό προϊόν αλλά χάλασε γρήγορα", ["cp1253"]),
    "pl": ("bardzo dobra książka, ale źle się czyta; żółć", ["cp1250", "iso8859-2"]),
    "fr": ("un café très cher et déjà froid, la crème brûlée", ["cp1252", "latin-1", "utf-32"]),
    "en": ("plain words only, and nothing more", ["utf-16-le", "utf-16-be", "utf-16", "utf-32"]),
}


@pytest.mark.parametrize(("language", "encoding"), [(of, code) for of, (_, codes) in SAMPLES.items() for code in codes])
def test_encodings_are_told_from_the_bytes(tmp_path: Path, language: str, encoding: str) -> None:
    text = SAMPLES[language][0]
    path = write(tmp_path / "a.csv", f'text,label\n"{text}",1\n"{text} 2",0\n'.encode(encoding))
    raw = read_raw(path)
    assert found(raw) == [("error", "encoding")] and raw.table["text"] == [text, f"{text} 2"]
    with pytest.raises(UserError, match=r"UTF-8.*metapt data check") as caught:
        read_table(path)
    assert text[:5] not in str(caught.value)
    assert read_raw(path, encoding).table["text"] == [text, f"{text} 2"]


def test_an_encoding_that_does_not_exist_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", CSV)
    with pytest.raises(UserError, match=r"a\.csv: there is no encoding 'klingon'"):
        read_raw(path, "klingon")
    with pytest.raises(UserError, match="there is no encoding 'base64'"):
        read_raw(path, "base64")


def test_a_workbook_as_people_have_it(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.load_workbook(io.BytesIO(workbook(startrow=3, startcol=1)))
    book.active["B1"] = "Report of May"
    book.active["B20"] = " "
    book.create_sheet("Notes")["A1"] = "to do"
    book.save(tmp_path / "a.xlsx")
    raw = read_raw(tmp_path / "a.xlsx")
    assert found(raw) == [("warning", "sheets"), ("error", "first lines"), ("note", "empty columns")]
    assert raw.columns == ("text", "label") and raw.lines[:3] == (5, 6, 7) and raw.noun == "row"


def test_a_workbook_without_the_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.xlsx", workbook())
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(UserError, match=r"a\.xlsx: .*pip install openpyxl"):
        read_table(path)


NOT_UTF8 = pyarrow.StringArray.from_buffers(
    2, pyarrow.py_buffer(b"\x00\x00\x00\x00\x02\x00\x00\x00\x04\x00\x00\x00"), pyarrow.py_buffer(b"a\xffbc")
)


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("twice.parquet", parquet(pyarrow.table([["a"], ["b"]], names=["text", "text"])), ["'text' stands twice"]),
        ("wrong.parquet", parquet(pyarrow.table({"text": NOT_UTF8})), ["'text'", "not UTF-8"]),
        ("cut.parquet", parquet()[:-20], ["Parquet"]),
        ("nested.parquet", parquet(pyarrow.table({"text": [["a"], ["b"]]})), ["row 1", "a list"]),
        ("nulls.parquet", parquet(pyarrow.table({"text": pyarrow.nulls(250_000_000)})), ["250,000,000", "200,000,000"]),
        ("twice.jsonl", '{"text": "a"}\n{"text": "b", "text": "c"}\n', ["line 2", "'text' twice"]),
        ("twice.json", '[{"text": "a"}, {"text": "b", "x": {"k": 1, "k": 2}}]', ["row 2", "'k' twice"]),
        ("top.json", '{"data": [], "data": [{"text": "a"}]}', ["'data' stands twice"]),
        ("digits.jsonl", '{"text": "a"}\n{"text": ' + "9" * 5000 + "}\n", ["line 2", "digits"]),
        ("deep.jsonl", '{"text": "a"}\n' + "[" * 100_000 + "\n", ["line 2", "nested too deep"]),
        ("deep.json", "[" * 100_000, ["nested too deep"]),
        ("infinite.jsonl", '{"text": "a"}\n{"text": Infinity}\n', ["line 2", "Infinity"]),
        ("half.jsonl", '{"text": "a \\ud83d b"}\n', ["row 1", "half a character", "--fix"]),
        ("object.json", '{"text": "a"}', ["a list of objects is expected"]),
        ("two.zip", zipped(a__csv=CSV, b__csv=CSV), ["2 tables (a.csv, b.csv"]),
        ("none.zip", zipped(a__md=CSV, b__md=CSV), ["no table"]),
        ("damaged.csv.gz", gzip.compress(CSV, mtime=0)[:-9], ["cannot be read"]),
        ("page.csv", "<!DOCTYPE html><html>", ["a web page"]),
        ("pointer.csv", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n", ["git lfs pull"]),
        ("old.xlsx", b"\xd0\xcf\x11\xe0" + bytes(99), ["old Excel workbook"]),
        ("nul.csv", b"text,label\n" + bytes(99), ["NUL"]),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, name: str, content: str | bytes, parts: list[str]) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(UserError) as caught:
        load_source(SourceConfig(file=str(path)))
    for part in [str(path), *parts]:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_text_that_is_stored_as_bytes_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", parquet(pyarrow.table({"text": ["café".encode(), None]})))
    raw = read_raw(path)
    assert raw.rows == (("café",), (None,)) and found(raw) == [("note", "bytes")]


def test_whatever_a_library_raises_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.parquet", parquet())

    def breaks(*_: object, **__: object) -> None:
        raise KeyError("a line of the file\x1b[31m")

    monkeypatch.setattr(pyarrow.parquet, "ParquetFile", breaks)
    with pytest.raises(UserError, match=r"cannot be read as a Parquet file: KeyError") as caught:
        read_table(path)
    assert "a line of the file" not in str(caught.value)


# ------------------------------------------------------------------------------------------ limits


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_pipes_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    for name, said in (("pipe", "a device, a pipe"), ("zero", "a device, a pipe"), ("loop", "cannot be opened")):
        for reads in (read_table, lambda path: source_fingerprint(SourceConfig(file=str(path)))):
            with pytest.raises(UserError, match=said):
                reads(tmp_path / f"{name}.csv")
    with pytest.raises(UserError, match="cannot be opened"):
        read_table(tmp_path / ("a" * 300 + ".csv"))


def test_limits_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A study reads a CSV of any size in parts; JSON of one piece is read as a whole.
    with (tmp_path / "huge.json").open("wb") as stream:
        stream.truncate(3 * 2**30)
    for reads in (read_table, lambda path: source_fingerprint(SourceConfig(file=str(path)))):
        with pytest.raises(UserError, match=r"has 3\.0 GiB; a table of at most 2 GiB"):
            reads(tmp_path / "huge.json")
    monkeypatch.setattr(file_content, "FREE_BYTES", 2**16)
    for name, bomb in (
        ("a.csv.gz", gzip.compress(b"a,b\n" * 10**6, mtime=0)),
        ("a.zip", zipped(a__csv=b"a,b\n" * 10**6)),
    ):
        with pytest.raises(UserError, match="200 times the packed size"):
            read_table(write(tmp_path / name, bomb))
    sheet = zipped(xl__workbook__xml=b"<x/>").replace(b"xl.workbook.xml", b"xl/workbook.xml")
    monkeypatch.setattr(file_content, "FREE_BYTES", 1)
    monkeypatch.setattr(file_content, "MOST_TIMES", 0)
    with pytest.raises(UserError, match="unpacks to more than"):
        read_table(write(tmp_path / "a.xlsx", sheet))


def test_a_row_number_beyond_excels_own_is_no_endless_loop(tmp_path: Path) -> None:
    content, stream = workbook(), io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w") as new:
        for name in old.namelist():
            part = old.read(name)
            new.writestr(name, part.replace(b'<row r="2"', b'<row r="99999999999"'))
    with pytest.raises(UserError, match="more than 1,048,576 rows"):
        read_table(write(tmp_path / "a.xlsx", stream.getvalue()))


# --------------------------------------------------------------------------------- foreign files


def test_an_error_quotes_no_line_of_a_file_that_is_no_table(tmp_path: Path) -> None:
    accounts = write(tmp_path / "a.csv", "root:x:0:0:root:/root:/bin/bash\nother:x:1:1::/:/bin/sh\n")
    with pytest.raises(UserError, match="no column 'text'") as caught:
        load_source(SourceConfig(file=str(accounts)))
    assert "root:x" not in str(caught.value)
    table = write(tmp_path / "b.csv", "review\x1b[31m,stars\na b c,1\n")
    with pytest.raises(UserError, match=r"Valid: review�\[31m, stars") as caught:
        load_source(SourceConfig(file=str(table)))
