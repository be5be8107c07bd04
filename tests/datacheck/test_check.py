"""What is wrong with a file is found, all of it, with its lines; and what can be repaired is."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from metapt_explore.cli.main import metapt
from metapt_explore.config import Columns, SourceConfig, TaskConfig, parse
from metapt_explore.datacheck.check import check_file, check_files
from metapt_explore.datacheck.repair import write_repaired
from metapt_explore.errors import UserError
from metapt_explore.texts.messages import Finding
from metapt_explore.texts.sources import load_source
from metapt_explore.texts.table_files import read_raw

LABELLED = Columns(text="text", label="label")


def write(path: Path, *lines: str, encoding: str = "utf-8") -> Path:
    path.write_bytes("".join(f"{line}\n" for line in lines).encode(encoding))
    return path


def kinds(findings: tuple[Finding, ...] | list[Finding]) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {finding.kind: (finding.level, finding.rows) for finding in findings}


# -------------------------------------------------------------------------------------- the file itself


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
    with pytest.raises(UserError, match="suffix"):
        check_file(tmp_path / "a.txt")
    with pytest.raises(UserError, match="no file"):
        check_file(tmp_path / "none.csv")
    file = write(tmp_path / "a.csv", "review,stars", "good words here,1")
    with pytest.raises(UserError, match=r"no column 'txt'.*--text"):
        check_file(file, Columns(text="txt"))


# ---------------------------------------------------------------------------------------- its rows


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


# ------------------------------------------------------------------------------------------ repairing


CELLS = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\r"), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(CELLS, st.sampled_from(["0", "1", " 1"])), min_size=1, max_size=8),
    st.sampled_from([".csv", ".tsv", ".jsonl"]),
)
def test_what_is_mended_is_read_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], suffix: str
) -> None:
    folder = tmp_path_factory.mktemp("repair")
    file = folder / "a.jsonl"
    file.write_text(
        "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows), encoding="utf-8"
    )
    checked = check_file(file, LABELLED)
    if not any(text.strip() for text, _ in rows):
        return
    try:
        counts = write_repaired(checked.rows, folder / f"out{suffix}", keep_missing=True)
    except UserError as error:
        assert "no row is left" in str(error) and not (folder / f"out{suffix}").exists()
        return
    assert sum(counts[kind] for kind in counts if not kind.startswith("labels")) == len(rows)
    again = check_file(folder / f"out{suffix}", LABELLED)
    assert not [
        f for f in again.findings if f.level == "error" or f.kind in ("duplicate", "blank", "conflicting labels")
    ]
    given_texts = {text.replace("\r\n", "\n") for text, _ in rows}
    read = load_source(SourceConfig(file=str(folder / f"out{suffix}"), columns=LABELLED))
    assert set(read["text"]) <= given_texts and set(read["label"]) <= {"0", "1"}
    assert again.rows.texts == read["text"], "the check and the study read one thing"


def test_mending_keeps_the_first_labelled_copy_and_never_overwrites(tmp_path: Path) -> None:
    file = write(
        tmp_path / "a.csv",
        "id,text,label",
        "1,a fine film,",
        "2,a fine film,1",
        "3,so so film,0",
        "4,so so film,1",
        "5,,1",
    )
    rows = check_file(file, LABELLED).rows
    out = tmp_path / "out.csv"
    assert write_repaired(rows, out) == {"written": 1, "duplicate": 1, "conflicting": 2, "blank": 1}
    assert out.read_bytes() == b"id,text,label\r\n2,a fine film,1\r\n"
    with pytest.raises(UserError, match="exists"):
        write_repaired(rows, out)
    with pytest.raises(UserError, match=r"\.csv, \.tsv or \.jsonl"):
        write_repaired(rows, tmp_path / "out.parquet")


# ------------------------------------------------------------------------------------------ the command


def test_the_command_says_mends_and_exits_with_one(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "text;label", "très bien fait;1", "pas si bien fait;0", encoding="latin-1")
    run = CliRunner().invoke(metapt, ["data", "check", str(file), "--fix", str(tmp_path / "b.csv")])
    assert run.exit_code == 1
    assert "latin-1" in run.output and "semicolons" in run.output and "2 rows written" in run.output
    run = CliRunner().invoke(metapt, ["data", "check", str(tmp_path / "b.csv")])
    assert run.exit_code == 0 and "Nothing is wrong" in run.output
    run = CliRunner().invoke(metapt, ["data", "check", str(file), "--json"])
    facts = json.loads(run.output)
    assert (
        facts["separator"] == ";"
        and facts["rows"] == 2
        and {f["kind"] for f in facts["findings"]} == {"encoding", "separator"}
    )


def test_the_example_in_the_docs_is_what_the_command_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docs = (Path(__file__).parents[2] / "docs" / "own-data.md").read_text(encoding="utf-8")
    shown = docs.split("--fix menus-utf8.csv\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    rows = "dish;verdict\na soup of the day;1\ncrème brûlée, burnt;0\n;1\nA soup of the day!;1\n"
    (tmp_path / "menus.csv").write_bytes(rows.encode("latin-1"))
    run = CliRunner().invoke(metapt, ["data", "check", "menus.csv", "--fix", "menus-utf8.csv"])
    assert run.output == shown


# ------------------------------------------------------------------ what a second pair of eyes found


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
