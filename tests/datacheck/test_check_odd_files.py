"""Line ends, mixed encodings, pairs in either order, nested cells, separators in texts: each is read right."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from written_files import LABELLED, kinds, write

from metapt_explore.config import Columns, SourceConfig, TaskConfig, parse
from metapt_explore.datacheck.check import check_file, check_files
from metapt_explore.datacheck.repair import write_repaired
from metapt_explore.errors import UserError
from metapt_explore.texts.sources import load_source


def test_returns_before_the_end_of_a_line_are_no_text(tmp_path: Path) -> None:
    r"""Python's csv on Windows ends lines with "\r\r\n"; Excel on a Macintosh rows with "\r", and cells hold "\n"."""
    file = tmp_path / "a.csv"
    file.write_bytes(b"text,label\r\r\nfine film,pos\r\r\ndull film,neg\r\r\n")
    assert check_file(file, LABELLED).labels == {"neg": 1, "pos": 1}
    assert load_source(SourceConfig(file=str(file), columns=LABELLED))["label"] == ["pos", "neg"]
    file.write_bytes(b'text,label\r"fine\nfilm",pos\rdull film,neg\r')
    assert load_source(SourceConfig(file=str(file), columns=LABELLED))["text"] == ["fine\nfilm", "dull film"]
    assert check_file(file, LABELLED).rows.texts == ["fine\nfilm", "dull film"]


def test_one_bad_line_does_not_spoil_the_others(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    good = "".join(f"crème numéro {n} “très” bonne,{n % 2}\n" for n in range(9))
    file.write_bytes(f"text,label\n{good}".encode() + "déjà vu ici,1\n".encode("latin-1"))
    checked = check_file(file, LABELLED)
    assert kinds(checked.findings) == {"encoding": ("error", (11,))}
    assert checked.rows.raw.encoding == "utf-8 and latin-1"
    assert checked.rows.texts[0] == "crème numéro 0 “très” bonne" and checked.rows.texts[-1] == "déjà vu ici"


def test_pairs_in_either_order_do_not_disagree(tmp_path: Path) -> None:
    columns = Columns(text="a", text_pair="b", label="y")
    file = write(tmp_path / "a.csv", "a,b,y", "it rains today,it is wet,yes", "it is wet,it rains today,maybe")
    checked = check_file(file, columns)
    assert kinds(checked.findings) == {"duplicate": ("warning", (3,))}
    assert write_repaired(checked.rows, tmp_path / "out.csv") == {"written": 1, "duplicate": 1}


def test_numbers_are_written_as_studies_read_them(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    pd.DataFrame({"text": ["a b c", "d e f", "g h i"], "label": [1.0, None, 0.0]}).to_parquet(file)
    rows = check_file(file, LABELLED).rows
    for suffix in (".csv", ".jsonl"):
        write_repaired(rows, tmp_path / f"out{suffix}")
        read = load_source(SourceConfig(file=str(tmp_path / f"out{suffix}"), columns=LABELLED))
        assert read["label"] == ["1", None, "0"]


def test_cells_that_hold_no_text(tmp_path: Path) -> None:
    half = r'{"text": "great \ud83d film", "label": 1}'
    file = write(tmp_path / "a.jsonl", '{"text": "a b c", "label": {"stars": 5}}', half)
    found = kinds(check_file(file, LABELLED).findings)
    assert found["nested"] == ("error", (1,)) and found["half characters"] == ("error", (2,))
    cut = write(tmp_path / "b.jsonl", half)
    with pytest.raises(UserError, match=r"row 1.*half a character"):
        load_source(SourceConfig(file=str(cut), columns=LABELLED))
    write_repaired(check_file(cut, LABELLED).rows, tmp_path / "c.jsonl")
    assert load_source(SourceConfig(file=str(tmp_path / "c.jsonl"), columns=LABELLED))["text"] == ["great \ufffd film"]


def test_a_task_says_which_columns_are_meant(tmp_path: Path) -> None:
    columns = {"text": "premise", "text_pair": "hypothesis", "label": "gold"}
    tree = {
        "name": "nli", "template": "{text} {text_pair}", "labels": {"yes": "yes", "no": "no"},
        "data": {"file": "x.csv", "columns": columns},
    }  # fmt: skip
    rows = ("premise,hypothesis,gold", "it rains hard today,it is wet,yes", "it rains hard today,it is dry,no")
    checked = check_file(write(tmp_path / "a.csv", *rows), None, parse(TaskConfig, tree, "nli.yaml"))
    assert not checked.findings and checked.guessed == ()


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf", b"\xff\xfe", b"text,label\n", b"\n\n"])
def test_files_without_rows(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"is empty|holds no row"):
        check_file(tmp_path / "a.csv")


def test_why_no_row_can_be_read_is_said(tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", '["a"]')
    with pytest.raises(UserError, match="JSON that is no object"):
        check_file(file)


def test_separators_inside_a_single_column_are_text(tmp_path: Path) -> None:
    one = write(tmp_path / "a.tsv", "Comment, free text", "good, really good", "bad", "so, so, so", "well")
    assert check_file(one).rows.raw.columns == ("Comment, free text",)
    quoted = write(tmp_path / "b.csv", '"What did you like; and why?"', "the soup of the day", "nothing at all")
    assert not check_file(quoted).findings
    hidden = write(
        tmp_path / "c.csv", '"Title, short";text;label', '"a";"some, words here";1', '"b";"more, words there";0'
    )
    assert check_file(hidden, LABELLED).rows.labels == ["1", "0"]


def test_quotation_marks_of_a_tsv_can_be_characters(tmp_path: Path) -> None:
    file = write(tmp_path / "a.tsv", "id\ttext\tnote", '1\t"Great\tx', '2\tdull\t5"')
    assert check_file(file).rows.raw.rows == (("1", '"Great', "x"), ("2", "dull", '5"'))
    assert load_source(SourceConfig(file=str(file)))["text"] == ['"Great', "dull"]


def test_blank_rows_overlap_with_nothing(tmp_path: Path) -> None:
    columns = Columns(text="a", text_pair="b", label="y")
    train = write(tmp_path / "train.csv", "a,b,y", ",,1", "it rains,it is wet,0")
    test = write(tmp_path / "test.csv", "a,b,y", ",,1", "it snows,it is cold,0")
    assert not check_files([train, test], columns)[1]


@pytest.mark.parametrize(
    ("text", "twice"),
    [
        ("it\u00e2\u0080\u0099s fine indeed", True),
        ("it’s fine".encode().decode("cp1252"), True),
        ("Ð¿Ñ€Ð¸Ð²ÐµÑ‚ my friend", True),
        ("so good ðŸ˜€ indeed", True),
        ("cafÃ© au lait", True),
        ("“MAÇÃ” de AMANHÃ\u00a0CEDO", False),
        ("À la carte, señor", False),
    ],
)
def test_signs_of_text_that_was_decoded_twice(tmp_path: Path, text: str, twice: bool) -> None:
    found = kinds(check_file(write(tmp_path / "a.csv", "text", f'"{text}"', "plain words only here")).findings)
    assert ("encoding" in found) == twice


def test_texts_in_scripts_without_spaces_are_not_short(tmp_path: Path) -> None:
    texts = ["这个茶壶很好用", "とても良かったです", "สินค้าดีมาก", "😀😀😀", "好"]
    file = write(tmp_path / "a.csv", "text,label", *(f"{text},{n % 2}" for n, text in enumerate(texts)))
    assert kinds(check_file(file, LABELLED).findings) == {"short": ("note", (6,))}
    copied = write(
        tmp_path / "b.csv", "text,label", *(f"{text}真的 😀,{n % 2}" for n, text in enumerate([texts[0] * 2]))
    )
    doubled = write(tmp_path / "c.csv", "text,label", f"{texts[0] * 2},1", "太差了不要买,0")
    assert check_files([doubled], LABELLED, against=copied)[1][0].rows == (2,)
