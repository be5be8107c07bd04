"""Loading: every file type gives the same three text columns, and wrong input is named."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from metapt_explore.config import Columns, SourceConfig
from metapt_explore.errors import UserError
from metapt_explore.texts import sources
from metapt_explore.texts.sources import load_source, source_fingerprint

LABELLED = Columns(label="label", group="shop")
EXPECTED = [
    {"text": 'He said "no", twice', "label": "1", "group": "books"},
    {"text": "two\nlines", "label": None, "group": "toys"},
    {"text": "", "label": "0", "group": None},
]


def source(path: Path, columns: Columns = LABELLED) -> SourceConfig:
    return SourceConfig(file=str(path), columns=columns)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {"text": [row["text"] for row in EXPECTED], "label": [1, None, 0], "shop": ["books", "toys", None]}
    )


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_every_suffix_gives_the_same_rows(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows.{suffix}"
    # Labels become floats here, as they do in any pandas table with a missing one.
    if suffix == "parquet":
        frame().to_parquet(path)
    elif suffix == "jsonl":
        rows = [{"text": r["text"], "label": r["label"], "shop": r["group"]} for r in EXPECTED]
        path.write_text(
            "\n".join(json.dumps({**row, "label": row["label"] and int(row["label"])}) for row in rows),
            encoding="utf-8",
        )
    else:
        table = frame().astype({"label": "Int64"})
        table.to_csv(path, index=False, sep="," if suffix == "csv" else "\t")
    loaded = load_source(source(path))
    assert loaded.column_names == ["text", "label", "group"]
    assert loaded.to_list() == EXPECTED


def test_labels_are_absent_unless_their_column_is_given(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label\ngood,1\n")
    assert load_source(source(path, Columns())).to_list() == [{"text": "good", "label": None, "group": None}]


@pytest.mark.parametrize(
    ("value", "expected"), [("1", "1"), ("1.0", "1"), ("1.5", "1.5"), ("true", "True"), ("NaN", None), ('" "', None)]
)
def test_label_values_become_text(tmp_path: Path, value: str, expected: str | None) -> None:
    path = write(tmp_path / "a.jsonl", f'{{"text": "good", "label": {value}, "shop": null}}\n')
    assert load_source(source(path))[0]["label"] == expected


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    for name, content in (("a.csv", "text,x\ncafé,1\n"), ("a.jsonl", '{"text": "café"}\n')):
        path = write(tmp_path / name, b"\xef\xbb\xbf" + content.encode())
        assert load_source(source(path, Columns()))["text"][0] == "café"


def test_words_that_mean_missing_to_pandas_stay_words(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label,shop\nNA,None,null\n")
    assert load_source(source(path)).to_list() == [{"text": "NA", "label": "None", "group": "null"}]


def test_tsv_without_quoting_keeps_its_quotation_marks(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", 'text\tlabel\tshop\n"good" film\t1\ta\n5" disk\t0\ta\n')
    assert load_source(source(path))["text"][:] == ['"good" film', '5" disk']


def test_tsv_without_quoting_loses_no_row(tmp_path: Path) -> None:
    """A mark that opens one text and one that closes a later one would make one row of both, were they quotes."""
    path = write(tmp_path / "a.tsv", 'text\tlabel\n"A gem .\t1\nSimply a delight . "\t0\n"quoted"\t1\n')
    table = load_source(source(path, Columns(label="label")))
    assert table["text"][:] == ['"A gem .', 'Simply a delight . "', '"quoted"'] and table["label"][:] == ["1", "0", "1"]
    path = write(tmp_path / "b.tsv", 'text\tlabel\n"two\nlines"\t1\n"quoted"\t0\n')
    assert load_source(source(path, Columns(label="label")))["text"][:] == ["two\nlines", "quoted"]


def test_long_fields_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,x\n" + "word " * 60_000 + ",1\n")
    assert len(load_source(source(path, Columns()))["text"][0].split()) == 60_000


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("a.csv", "text,lable,shop\nx,1,b\n", ["'label'", "Did you mean 'lable'", "shop"]),
        ("a.csv", "", ["is empty"]),
        ("a.csv", "text,label,shop\n", ["holds no rows"]),
        ("a.jsonl", "\n\n", ["is empty"]),
        ("a.csv", "text,label,shop\nx,1,b\ny, z,0,b\n", ["line 3", "4 fields", "3 columns"]),
        ("a.csv", 'text,label,shop\n"x\ny",1,b\nz,1\n', ["line 4", "2 fields"]),
        ("a.csv", 'text,label,shop\nx,1,b\n"open,1,b\nz,0,b\n', ["line 3", "quotation"]),
        ("a.csv", "text,label,label\nx,1,1\n", ["'label' stands twice"]),
        ("a.csv", b"text,label,shop\nx,1,b\ncaf\xe9,1,b\n", ["line 3", "UTF-8"]),
        ("a.jsonl", '{"text": "x"}\n\n{"text": \n', ["line 3", "no valid JSON"]),
        ("a.jsonl", '{"text": "x"}\n["x"]\n', ["line 2", "list"]),
        ("a.jsonl", '{"text": "x", "label": 1, "shop": 1}\n{"text": ["x"]}\n', ["row 2", "'text'", "list"]),
        ("a.parquet", "text", ["not a Parquet file"]),
        ("a.dat", "text", ["suffix '.dat'", ".jsonl"]),
    ],
)
def test_wrong_files_are_named_with_the_place(
    tmp_path: Path, name: str, content: str | bytes, parts: list[str]
) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(UserError) as caught:
        load_source(source(path))
    for part in [str(path), *parts]:
        assert part in str(caught.value)


def test_a_missing_file_names_the_nearest_one(tmp_path: Path) -> None:
    write(tmp_path / "reviews.csv", "text\nx\n")
    with pytest.raises(UserError, match=r"no file .*review\.csv.*Did you mean 'reviews\.csv'"):
        load_source(source(tmp_path / "review.csv"))
    with pytest.raises(UserError, match="is a folder"):
        load_source(source(_folder(tmp_path / "a.csv")))


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    one = write(tmp_path / "a.csv", "text\nx\n")
    same = write(tmp_path / "b" / "other.csv", "text\nx\n")
    other = write(tmp_path / "c.csv", "text\ny\n")
    assert source_fingerprint(source(one)) == source_fingerprint(source(same))
    assert source_fingerprint(source(one)) != source_fingerprint(source(other))
    with pytest.raises(UserError, match="no file"):
        source_fingerprint(source(tmp_path / "none.csv"))


def test_hub_labels_stay_numbers_and_minus_one_is_no_label(monkeypatch: pytest.MonkeyPatch) -> None:
    features = sources.datasets.Features(
        {"text": sources.datasets.Value("string"), "label": sources.datasets.ClassLabel(names=["neg", "pos"])}
    )
    rows = sources.datasets.Dataset.from_dict({"text": ["a", "b", None], "label": [1, -1, 0]}, features=features)
    monkeypatch.setattr(sources, "_read_hub", lambda source: rows)
    loaded = load_source(SourceConfig(hub="some/set", columns=Columns(label="label")))
    assert loaded["label"][:] == ["1", None, "0"]
    assert loaded["text"][:] == ["a", "b", ""]


def test_a_full_commit_needs_no_hub_to_be_hashed() -> None:
    commit = SourceConfig(hub="some/set", revision="a" * 40)
    other = SourceConfig(hub="some/set", revision="b" * 40)
    assert source_fingerprint(commit) != source_fingerprint(other)


def test_carriage_returns_inside_texts_are_texts(tmp_path: Path) -> None:
    r"""As pandas writes them: a lone "\r" is not quoted, and no end of a line."""
    file = tmp_path / "a.csv"
    file.write_bytes(b'text,label\r\na\rb,1\r\n"c\r\nd",0\r\n\re,1')
    rows = load_source(SourceConfig(file=str(file), columns=Columns(label="label")))
    assert rows["text"] == ["a\rb", "c\r\nd", "\re"] and rows["label"] == ["1", "0", "1"]
    file.write_bytes(b"text,label\ra b,1\rc d,0\r")
    assert load_source(SourceConfig(file=str(file), columns=Columns(label="label")))["text"] == ["a b", "c d"]
