"""An upload as a page reads it: mended where a study would stop at it, the original kept, and said in a sentence."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pytest

from metapt_explore.config import Columns, SourceConfig
from metapt_explore.datacheck.prepare import Prepared, prepare
from metapt_explore.errors import UserError
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.uploads import keep_upload, title_of
from metapt_explore.texts.guess import guess_columns
from metapt_explore.texts.sources import load_source
from metapt_explore.texts.table_files import read_raw

#: What every file below holds: the text and the label of each row.
ROWS = [("Die Rechnung für März ist falsch", "Rechnung"), ("Das Päckchen kam beschädigt an", "Versand")]
TABLE = "Text;Thema\n" + "".join(f"{text};{label}\n" for text, label in ROWS)
BLANK_AND_COPY = ";Versand\nDas Päckchen kam beschädigt an;Versand\n"


def prepared(folder: Path, name: str, content: bytes) -> tuple[Prepared, list[tuple[str, str]]]:
    """What is said of an upload, and what a study reads of it."""
    workspace = Workspace(folder)
    upload = keep_upload(workspace, name, content)
    raw = read_raw(upload)
    columns = guess_columns(raw.table)
    told = prepare(workspace, raw, columns)
    assert upload.read_bytes() == content and title_of(told.file, workspace) == "menu"
    rows = load_source(SourceConfig(file=str(told.file), columns=columns))
    return told, list(zip(rows["text"], rows["label"], strict=True))


@pytest.mark.parametrize(
    ("name", "content", "reading"),
    [
        ("menu.csv", TABLE.encode("utf-8-sig"), "Read as semicolon-separated, UTF-8."),
        ("menu.csv", TABLE.encode("latin-1"), "Read as semicolon-separated, Latin-1."),
        ("menu.csv", f"Stand: Mai\n\n{TABLE}".encode(), "Read as semicolon-separated, UTF-8; 1 title line skipped."),
        (
            "menu.csv",
            f"Export – Mai\nStand: „heute“\n{TABLE}{BLANK_AND_COPY}".encode("cp1252"),
            "Read as semicolon-separated, Windows-1252; 2 title lines skipped; 1 blank row and 1 copy left out.",
        ),
        (
            "menu.csv.gz",
            gzip.compress(TABLE.replace(";", "\t").encode("utf-16"), mtime=0),
            "Read as tab-separated, UTF-16.",
        ),
        (
            "menu.tsv",
            TABLE.replace(";", "\t").replace("Versand", "Versand ").encode("latin-1"),
            "Read as tab-separated, Latin-1; 1 label written like the others.",
        ),
        (
            "menu.csv",
            f"{TABLE}eins; zwei; drei\n".encode(),
            "Read as semicolon-separated, UTF-8; 1 row not readable (line 4).",
        ),
        ("menu.txt", TABLE.replace(";", "\t").encode("utf-16"), "Read as tab-separated, UTF-16."),
    ],
)
def test_a_study_reads_what_was_mended(tmp_path: Path, name: str, content: bytes, reading: str) -> None:
    told, rows = prepared(tmp_path, name, content)
    assert (told.reading, told.mended, rows) == (reading, True, ROWS)
    assert told.file.parent == tmp_path / "uploads" and "-mended-" in told.file.name
    again, _ = prepared(tmp_path, name, content)
    assert again.file == told.file and len(list(told.file.parent.iterdir())) == 2, "one copy, however often it is asked"


def test_a_sound_file_is_used_as_it_is(tmp_path: Path) -> None:
    content = pd.DataFrame(ROWS, columns=["Text", "Thema"]).to_csv(index=False).encode()
    told, rows = prepared(tmp_path, "menu.csv", content + b",Versand\n")
    assert not told.mended and rows[:2] == ROWS and len(list((tmp_path / "uploads").iterdir())) == 1
    assert told.reading == "Read as comma-separated, UTF-8.", "a study leaves out blank rows by itself"


def test_a_workbook_with_a_title_and_a_file_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    book = tmp_path / "menu.xlsx"
    pd.DataFrame(ROWS, columns=["Text", "Thema"]).to_excel(book, index=False, startrow=2)
    frame = pd.read_excel(book, header=None)
    frame.iloc[0, 0] = "Export"
    frame.to_excel(book, index=False, header=False)
    told = prepare(Workspace(tmp_path / "w"), read_raw(book), Columns(text="Text", label="Thema"))
    assert told.reading == "Read as an Excel workbook; 1 title line skipped."
    assert title_of(told.file, Workspace(tmp_path / "w")) == "menu" and told.file.suffix == ".csv"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("text,label\na b c,1\n" + "x,y,z,1\n" * 3, r"Most of a\.csv cannot be read.*3 rows have 4 fields.*lines 3, 4"),
        (
            "text;label\n;1\nnan;0\n",
            r"No row of a\.csv has a text in .*: 1 blank row and 1 row whose text is a word",
        ),
    ],
)
def test_what_cannot_be_mended_is_refused_in_a_sentence(tmp_path: Path, content: str, why: str) -> None:
    (tmp_path / "a.csv").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=why) as caught:
        prepare(Workspace(tmp_path), read_raw(tmp_path / "a.csv"), Columns(text="text", label="label"))
    assert "--" not in str(caught.value) and "metapt" not in str(caught.value), "nothing that needs a terminal"
    assert not (tmp_path / "uploads").exists()


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ("It rains, as it seems.\n\nIt pours; it does.\n", ["It rains, as it seems.", "It pours; it does."]),
        ("text\nIt rains.\n", ["It rains."]),
        ("id\tnote\n1\tIt rains today\n", ["It rains today"]),
        ("id,text\n1,It rains today\n", ["It rains today"]),
    ],
)
def test_a_text_file_holds_a_table_or_a_text_a_line(tmp_path: Path, content: str, texts: list[str]) -> None:
    (tmp_path / "a.txt").write_text(content, encoding="utf-8")
    raw = read_raw(tmp_path / "a.txt")
    assert [str(value) for value in raw.table[guess_columns(raw.table).text]] == texts


def test_rows_of_a_copy_are_known_by_their_place_in_the_file(tmp_path: Path) -> None:
    """What lies beside a file row by row, such as vectors, must follow the rows of the mended copy."""
    (tmp_path / "a.csv").write_text("text;label\na fine film;good\n;bad\na fine film;good\na dull film;bad\n", "utf-8")
    raw = read_raw(tmp_path / "a.csv")
    told = prepare(Workspace(tmp_path / "w"), raw, Columns(text="text", label="label"))
    texts, copied = raw.table["text"], read_raw(told.file).table["text"]
    assert told.mended and list(told.rows) == [0, 3] and copied == [texts[row] for row in told.rows]
    assert list(prepare(Workspace(tmp_path / "w"), read_raw(told.file), Columns(text="text", label="label")).rows) == [
        0,
        1,
    ]
