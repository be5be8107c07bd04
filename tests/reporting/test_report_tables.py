"""Tables as LaTeX, Typst and CSV: whatever names hold, they are shown and mean nothing."""

from __future__ import annotations

import csv as plain_csv
import io
import re
from pathlib import Path

import pandas as pd
import pytest
from command_line import call
from hypothesis import given
from hypothesis import strategies as st

from metapt_explore.escaping import one_line
from metapt_explore.reporting.document import Document, Folded, Heading, Table, quoted
from metapt_explore.reporting.table_files import LATEX, csv, latex, latex_text, named_tables, typst, typst_text

#: Letters that LaTeX or Typst acts on, more often than chance would draw them.
ODD = "\\{}$&#%_^~<>|`\"'[]*-@=+/;:.,\n\t−–±×†²é水"
NAMES = st.text(st.one_of(st.sampled_from(ODD), st.characters(codec="utf-8")), max_size=30)
WRITTEN = {written: letter for letter, written in LATEX.items()}


def read_latex(written: str) -> str:
    """Reads LaTeX letter by letter as TeX would, and refuses what would act."""
    pieces = sorted(WRITTEN, key=len, reverse=True)
    letters = ""
    while written:
        piece = next((piece for piece in pieces if written.startswith(piece)), written[0])
        assert piece in WRITTEN or piece not in "\\{}$&#%_^~", f"{piece} acts"
        letters += WRITTEN.get(piece, piece)
        written = written[len(piece) :]
    return letters


def read_typst_string(written: str) -> tuple[str, str]:
    """Reads a string of Typst: what it holds, and what follows it."""
    assert written[0] == '"'
    letters, place = "", 1
    while written[place] != '"':
        place += written[place] == "\\"
        letters += written[place]
        place += 1
    return letters, written[place + 1 :]


@given(NAMES)
def test_latex_shows_every_letter(text: str) -> None:
    assert read_latex(latex_text(text)) == one_line(text)
    # Nothing joins what stands beside it: no ligature, no comment, no argument of a row's end.
    assert not re.search(r"(?<!\\)--|''|``|\?`|(?<!\\)%|^\s*[\[*]", latex_text(text))


@given(NAMES)
def test_typst_shows_every_letter(text: str) -> None:
    assert read_typst_string(typst_text(text)) == (one_line(text), "")


@given(st.lists(st.lists(NAMES, min_size=2, max_size=2), min_size=1, max_size=4), NAMES)
def test_tables_keep_their_cells(cells: list[list[str]], caption: str) -> None:
    rows = quoted(pd.DataFrame(cells, columns=["method", "score"]))
    table = Table(rows, quoted(caption))
    lines = latex(table).splitlines()
    body = lines[lines.index(r"\midrule") + 1 : lines.index(r"\bottomrule")]
    assert [[read_latex(cell) for cell in _latex_cells(line)] for line in body] == [
        [_at_ends(cell) for cell in row] for row in cells
    ]
    strings, rest = [], typst(table)
    while '"' in rest:
        letters, rest = read_typst_string(rest[rest.index('"') :])
        strings.append(letters)
    shown = [*["method", "score"], *(cell for row in cells for cell in row)]
    assert strings[: len(shown)] == [_at_ends(cell) for cell in shown]
    read = list(plain_csv.reader(io.StringIO(csv(table))))
    assert len(read) == len(cells) + 1 and all(len(row) == 2 for row in read)


def _latex_cells(line: str) -> list[str]:
    assert line.endswith(r" \\")
    return re.split(r"(?<!\\) & ", line[: -len(r" \\")])


def _at_ends(cell: str) -> str:
    """On one line, a space at an end kept."""
    inner = one_line(cell)
    before, after = cell[:1].isspace(), cell[-1:].isspace() and bool(cell.strip())
    return " " * before + inner + " " * after


def test_a_table_as_people_expect_it() -> None:
    rows = pd.DataFrame({"method": ["PT", "**PPT**"], "sst-2": ["70.1 ± 0.2", "−"]})
    assert latex(Table(rows, "In *percent*, `test`.")) == (
        "\\begin{table}\n\\centering\n\\caption{In \\emph{percent}, \\texttt{test}.}\n\\begin{tabular}{lr}\n\\toprule\n"
        "method & sst{-}2 \\\\\n\\midrule\nPT & 70.1 $\\pm$ 0.2 \\\\\n\\textbf{PPT} & $-$ \\\\\n\\bottomrule\n"
        "\\end{tabular}\n\\end{table}\n"
    )
    assert typst(Table(rows)) == (
        '#table(\n  columns: 2,\n  align: (left, right,),\n  table.header("method", "sst-2",),\n'
        '  "PT", "70.1 ± 0.2",\n  strong("PPT"), "−",\n)\n'
    )
    assert csv(Table(rows)).splitlines() == ["method,sst-2", "PT,70.1 ± 0.2", "PPT,−"]


def test_files_are_called_after_their_sections() -> None:
    document, rows = Document("t"), pd.DataFrame({"a": [1]})
    document.add(Table(rows), Heading("On equal *terms*?"), Table(rows), Table(rows), Heading("水"), Table(rows))
    assert [name for name, _ in named_tables(document)] == ["table", "on-equal-terms", "on-equal-terms-2", "table-2"]
    document.add(Folded("closed", [Table(rows)]))
    assert [name for name, _ in named_tables(document)][-1] == "table-3"


def test_on_the_command_line(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["report", "tiny", "--workspace", finished, "--out", tmp_path]
    assert call(monkeypatch, *words, "--tables", "latex", "--tables", "csv") == 0
    assert (tmp_path / "tables" / "scores.tex").is_file() and (tmp_path / "tables" / "scores.csv").is_file()
    assert not list(tmp_path.glob("tables/*.typ"))
    assert call(monkeypatch, *words, "--tables", "latx") == 2
    assert "latex" in capsys.readouterr().err
