"""What is wrong with a file is found, all of it, with its lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from written_files import LABELLED, kinds, write

from metapt_explore.config import Columns, SourceConfig, TaskConfig, parse
from metapt_explore.datacheck.check import check_file, check_files
from metapt_explore.errors import UserError
from metapt_explore.texts.sources import load_source
from metapt_explore.texts.table_files import read_raw

# ------------------------------------------------------------------------------------- the file itself


def test_a_good_file_has_no_findings(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "text,label", '"a good, quoted text",1', '"she said ""no"" twice",0')
    checked = check_file(file, LABELLED)
    assert not checked.findings and checked.labels == {"0": 1, "1": 1} and checked.guessed == ()
    assert checked.rows.texts == ["a good, quoted text", 'she said "no" twice']


@pytest.mark.parametrize(("encoding", "name"), [("latin-1", "latin-1"), ("cp1252", "cp1252")])
def test_another_encoding_is_named_with_its_lines(tmp_path: Path, encoding: str, name: str) -> None:
    dear = "it cost 5 € – café" if encoding == "cp1252" else "un café très cher"
    file = write(tmp_path / "a.csv", "text,label", "plain words here,0", f"{dear},1", encoding=encoding)
    checked = check_file(file, LABELLED)
    assert kinds(checked.findings) == {"encoding": ("error", (3,))}
    assert name in checked.findings[0].quote and "café" in checked.findings[0].quote
    assert checked.rows.texts[1] == dear
    with pytest.raises(UserError, match="metapt data check"):
        load_source(SourceConfig(file=str(file)))


def test_utf_16_and_byte_order_marks(tmp_path: Path) -> None:
    wide = write(tmp_path / "wide.csv", "text,label", "some plain words,0", encoding="utf-16")
    assert kinds(check_file(wide, LABELLED).findings) == {"encoding": ("error", ()), "one label": ("warning", ())}
    marked = tmp_path / "marked.csv"
    marked.write_bytes(b"\xef\xbb\xbftext,label\nsome plain words,0\nother plain words,1\n")
    checked = check_file(marked, LABELLED)
    assert kinds(checked.findings) == {"byte order mark": ("note", ())} and checked.rows.raw.columns == (
        "text",
        "label",
    )
    assert load_source(SourceConfig(file=str(marked), columns=LABELLED))["label"] == ["0", "1"]


@pytest.mark.parametrize(("mark", "word"), [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")])
def test_another_separator_is_seen(tmp_path: Path, mark: str, word: str) -> None:
    file = write(tmp_path / "a.csv", f"text{mark}label", f"words, with commas{mark}0", f"more, and more words{mark}1")
    checked = check_file(file, LABELLED)
    assert word in checked.findings[0].message and checked.rows.labels == ["0", "1"]


def test_rows_that_cannot_be_read_are_all_found(tmp_path: Path) -> None:
    file = write(
        tmp_path / "a.csv",
        "text,label",
        "one good row,0",
        'a "quoted" word,1',  # as it stands: a quotation mark inside an unquoted text is a character
        "too, many, fields,1",
        '"closed" and then more,0',
        "another good row,1",
        "alone",
        '"over\ntwo lines",0',
        '"never closed,1',
        "the last good row,0",
    )
    checked = check_file(file, LABELLED)
    found = kinds(checked.findings)
    assert found["quotation marks"] == ("error", (5, 10)) and found["fields"] == ("error", (4, 7))
    assert dict(zip(checked.rows.lines, checked.rows.texts, strict=True)) == {
        2: "one good row", 3: 'a "quoted" word', 6: "another good row", 8: "over\ntwo lines", 11: "the last good row",
    }  # fmt: skip


def test_a_repeated_column_and_lines_of_json(tmp_path: Path) -> None:
    twice = write(tmp_path / "a.csv", "text,label,text", "a b c,0,d")
    assert "header" in kinds(read_raw(twice).findings)
    lines = write(
        tmp_path / "a.jsonl", '{"text": "a b c", "label": 1}', "{'text': 'x'}", "[1]", "", '{"text": "d e f"}'
    )
    checked = check_file(lines, LABELLED)
    assert [(f.kind, f.rows) for f in checked.findings if f.level == "error"] == [("JSON", (2,)), ("JSON", (3,))]
    assert kinds(checked.findings)["unlabelled"] == ("warning", (5,)) and checked.rows.labels == ["1", ""]


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text(" \n", encoding="utf-8")
    with pytest.raises(UserError, match="is empty"):
        check_file(tmp_path / "empty.csv")
    (tmp_path / "a.dat").write_text("text\na b c\n", encoding="utf-8")
    with pytest.raises(UserError, match="suffix"):
        check_file(tmp_path / "a.dat")
    with pytest.raises(UserError, match="no file"):
        check_file(tmp_path / "none.csv")
    file = write(tmp_path / "a.csv", "review,stars", "good words here,1")
    with pytest.raises(UserError, match=r"no column 'txt'.*--text"):
        check_file(file, Columns(text="txt"))


# -------------------------------------------------------------------------------------------- its rows


def test_what_is_odd_about_rows(tmp_path: Path) -> None:
    file = write(
        tmp_path / "a.csv",
        "text,label",
        "a fine film indeed,good",
        ",good",
        "A fine film, indeed!".replace(",", "") + ",good",
        "a dull film indeed,bad",
        "a dull film indeed,good",
        "no label here at all,",
        "spaces around the label,good ",
        "one in capital letters,Bad",
        "thatâ€™s read twice over,bad",
        "lost a letter: caf\ufffd,bad",
        "a control\x07 character here,bad",
        "two words,bad",
    )
    found = kinds(check_file(file, LABELLED).findings)
    assert found == {
        "blank": ("warning", (3,)),
        "control characters": ("warning", (12,)),
        "lost characters": ("warning", (11,)),
        "encoding": ("warning", (10,)),
        "short": ("note", (13,)),
        "duplicate": ("warning", (4,)),
        "conflicting labels": ("warning", (5, 6)),
        "unlabelled": ("warning", (7,)),
        "label spaces": ("error", (8,)),
        "label case": ("error", (9,)),
    }


def test_labels_of_a_task(tmp_path: Path) -> None:
    tree = {"name": "mood", "labels": {"good": "great", "bad": "awful", "so": "fair"}, "data": {"file": "x.csv"}}
    task = parse(TaskConfig, tree, "mood.yaml")
    file = write(tmp_path / "a.csv", "text,label", "words and words,good", "words or words,bda", "more words still,bad")
    found = check_file(file, LABELLED, task).findings
    assert kinds(found) == {"unknown label": ("error", (3,)), "class without rows": ("error", ())}
    assert "Did you mean 'bad'" in found[0].advice and "'so'" in found[1].message


def test_pairs_need_both_texts(tmp_path: Path) -> None:
    columns = Columns(text="a", text_pair="b", label="y")
    file = write(
        tmp_path / "a.csv", "a,b,y", "it rains today,it is wet,1", "it rains today,,0", "it is wet,it rains today,1"
    )
    found = kinds(check_file(file, columns).findings)
    assert found["blank"] == ("warning", (3,)) and found["duplicate"] == ("warning", (4,)), "either order is one pair"


def test_files_that_belong_together(tmp_path: Path) -> None:
    train = write(tmp_path / "train.csv", "text,label", "a fine film indeed,good", "a dull film indeed,bad")
    test = write(tmp_path / "test.csv", "text,label", "A FINE film indeed,good", "what a surprise that was,odd")
    checked, together = check_files([train, test], LABELLED)
    assert [each.findings for each in checked] == [(), ()]
    assert [(f.level, f.kind, f.rows) for f in together] == [
        ("error", "overlap", (2,)),
        ("error", "unseen label", (3,)),
        ("warning", "unseen label", (3,)),
    ]
    texts = write(
        tmp_path / "corpus.csv", "text", "a dull film indeed", "nothing of the kind at all", "a fine film indeed"
    )
    _, together = check_files([train], LABELLED, against=texts)
    assert together[0].kind == "overlap with pre-training" and together[0].rows == (2, 3)
