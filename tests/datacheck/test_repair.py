"""What --fix writes passes the check, whatever table it was made of; or it says why it cannot."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from metapt_explore.cli.main import metapt
from metapt_explore.config import Columns, SourceConfig, TaskConfig, parse
from metapt_explore.datacheck.check import check_file
from metapt_explore.datacheck.repair import write_repaired
from metapt_explore.errors import UserError
from metapt_explore.texts.sources import load_source

LABELLED = Columns(text="text", label="label")
NAMES = st.one_of(
    st.sampled_from(
        ["text", " text ", "text", "label", "", " ", "#", "# text", "sep=;", "id;x", "text\u200b", "\ufeffa"]
    ),
    st.text(max_size=6),
)
CELLS = st.one_of(
    st.sampled_from(["", " ", "nan", "NaN", "-", "a fine film", "A fine film!", '"', 'say "no"', "a;b", "a,b", "a\tb"]),
    st.sampled_from(["1", "1.0", "0", "Bad", "bad", "é", "привет мир", "x\ny", "x\r\ny", "x\r", "\x00", "# note"]),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
)
JUNK = st.lists(
    st.sampled_from(["", "  ", ",,", "# made by me, in May", "My export", "sep=;", "sep=,", "\ufeff"]), max_size=3
)
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "cp1251", "cp932", "gb18030")


@st.composite
def delimited(draw: st.DrawFn) -> bytes:
    """A CSV or TSV file as nobody should write it."""
    width = draw(st.integers(1, 5))
    rows = [[draw(NAMES) for _ in range(width)]]
    for _ in range(draw(st.integers(0, 6))):
        rows.append(
            [draw(CELLS) for _ in range(draw(st.sampled_from([width, width, width, width, width + 1, width - 1])))]
        )
    stream = io.StringIO()
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    ends = draw(st.sampled_from(["\n", "\r\n", "\r", "\r\r\n"]))
    separator = draw(st.sampled_from(",;\t|"))
    if draw(st.booleans()):
        writer = csv.writer(stream, delimiter=separator, quoting=quoting, lineterminator=ends)
        writer.writerows(rows)
    else:
        stream.write("".join(separator.join(row) + ends for row in rows))
    text = "".join(line + ends for line in draw(JUNK)) + stream.getvalue()
    return text.encode(draw(st.sampled_from(ENCODINGS)), errors="replace")


JSON_CELLS = st.one_of(
    CELLS,
    st.sampled_from(["half \ud83d of it", "\udc00"]),
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.lists(st.text(max_size=3), max_size=2),
    st.dictionaries(st.text(max_size=3), st.floats(), max_size=2),
)
KEYS = st.one_of(st.sampled_from(["text", "label", " text", "", "x"]), st.text(max_size=4), st.just("\ud83d"))


@st.composite
def json_rows(draw: st.DrawFn) -> bytes:
    """JSON rows, one a line or all in a list."""
    rows: list[Any] = draw(st.lists(st.dictionaries(KEYS, JSON_CELLS, max_size=4), max_size=6))
    if draw(st.booleans()):
        rows.append(draw(st.one_of(JSON_CELLS, st.just("\ud83d"))))
    text = draw(st.sampled_from([json.dumps(rows), "\n".join(map(json.dumps, rows)), json.dumps({"data": rows})]))
    return draw(st.sampled_from([text, text, text + '\n{"text": 1, "text": 2}'])).encode()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.one_of(delimited(), json_rows()),
    suffix=st.sampled_from([".csv", ".tsv", ".jsonl", ".json"]),
    out=st.sampled_from([".csv", ".tsv", ".jsonl"]),
    keep_missing=st.booleans(),
)
def test_what_is_repaired_passes_the_check(
    tmp_path: Path, data: bytes, suffix: str, out: str, keep_missing: bool
) -> None:
    file, repaired = tmp_path / f"nasty{suffix}", tmp_path / f"repaired{out}"
    file.write_bytes(data)
    repaired.unlink(missing_ok=True)
    try:
        rows = check_file(file).rows
        counts = write_repaired(rows, repaired, keep_missing=keep_missing)
    except UserError as error:
        assert str(file) in str(error) and not repaired.exists()
        return
    again = check_file(repaired, rows.columns)
    assert not [finding for finding in again.findings if finding.level == "error"]
    assert len(again.rows.texts) == counts["written"]
    read = load_source(SourceConfig(file=str(repaired), columns=rows.columns))
    assert read["text"] == again.rows.texts, "the check and a study read one thing"


def write(path: Path, *lines: str, encoding: str = "utf-8") -> Path:
    path.write_bytes("".join(f"{line}\n" for line in lines).encode(encoding))
    return path


def test_words_for_nothing_are_blanked_or_dropped_and_said(tmp_path: Path) -> None:
    file = write(
        tmp_path / "a.csv", "text,label", "a fine film,good", "a dull film,bad", "so so,NaN", "nan,good", "and more,n/a"
    )
    checked = check_file(file, LABELLED)
    found = [(f.message.split(",")[0], f.rows) for f in checked.findings if f.kind == "missing words"]
    assert found == [
        ("1 row has a word such as 'nan' or '-' for a text", (5,)),
        ("1 row has the label 'NaN'", (4,)),
        ("1 row has the label 'n/a'", (6,)),
    ]
    assert write_repaired(checked.rows, tmp_path / "b.csv") == {"written": 4, "missing": 1, "labels blanked": 2}
    again = check_file(tmp_path / "b.csv", LABELLED)
    assert again.rows.labels == ["good", "bad", "", ""] and not [f for f in again.findings if f.kind == "missing words"]
    assert write_repaired(checked.rows, tmp_path / "c.csv", keep_missing=True) == {"written": 5}
    run = CliRunner().invoke(metapt, ["data", "check", str(file), "--label", "label", "--fix", str(tmp_path / "d.csv")])
    assert "4 rows written. Left out: 1 missing" in run.output and "Labels blanked: 2" in run.output


def test_a_minus_beside_a_plus_is_a_label(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "text,label", "a fine film,+", "a dull film,-")
    assert not [f for f in check_file(file, LABELLED).findings if f.kind == "missing words"]


def test_a_task_may_have_a_class_of_such_a_word(tmp_path: Path) -> None:
    tree = {"name": "stance", "labels": {"pro": "for", "none": "none"}, "data": {"file": "x.csv"}}
    task = parse(TaskConfig, tree, "stance.yaml")
    file = write(tmp_path / "a.csv", "text,label", "a fine film,pro", "a dull film,none")
    checked = check_file(file, LABELLED, task)
    assert not checked.findings
    assert write_repaired(checked.rows, tmp_path / "b.csv", task) == {"written": 2}


def test_labels_that_are_one_are_written_as_one(tmp_path: Path) -> None:
    numbers = write(
        tmp_path / "a.csv", "text,label", "a fine film,1.0", "a dull film,0", "more of it,1.0", "less of it,1"
    )
    checked = check_file(numbers, LABELLED)
    assert [(f.kind, f.level) for f in checked.findings] == [("label number", "error")]
    write_repaired(checked.rows, tmp_path / "b.csv")
    assert set(check_file(tmp_path / "b.csv", LABELLED).labels) <= {"1.0", "1", "0"}
    assert len(check_file(tmp_path / "b.csv", LABELLED).labels) == 2
    case = write(tmp_path / "c.csv", "text,label", "a fine film,Good", "a dull film,bad", "more of it,good")
    tree = {"name": "mood", "labels": {"Good": "great", "bad": "awful"}, "data": {"file": "x.csv"}}
    checked = check_file(case, LABELLED, parse(TaskConfig, tree, "mood.yaml"))
    counts = write_repaired(checked.rows, tmp_path / "d.csv", parse(TaskConfig, tree, "mood.yaml"))
    assert counts == {"written": 3, "labels changed": 1}
    assert check_file(tmp_path / "d.csv", LABELLED).labels == {"Good": 2, "bad": 1}, "as the task writes it"


def test_what_cannot_be_repaired_is_said_and_nothing_written(tmp_path: Path) -> None:
    tree = {"name": "mood", "labels": {"good": "great", "bad": "awful"}, "data": {"file": "x.csv"}}
    task = parse(TaskConfig, tree, "mood.yaml")
    file = write(tmp_path / "a.csv", "text,label", "a fine film,good", "a dull film,bda")
    with pytest.raises(UserError, match=r"cannot repair all of it.*does not know: 'bda'"):
        write_repaired(check_file(file, LABELLED, task).rows, tmp_path / "b.csv", task)
    empty = write(tmp_path / "c.csv", "text,label", "nan,good", ",bad")
    with pytest.raises(UserError, match=r"no row is left to write \(1 missing, 1 blank\)"):
        write_repaired(check_file(empty, LABELLED).rows, tmp_path / "b.csv")
    assert not (tmp_path / "b.csv").exists()
