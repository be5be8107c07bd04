"""Where a table begins: titles, comments, and headers in any language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from metapt_explore.errors import UserError
from metapt_explore.texts.table_files import RawTable, read_raw, read_table

TABLE = {"text": ["the lid fits well", "the hose leaks here", "it hums, at night"], "label": ["good", "bad", "good"]}
ROWS = b'the lid fits well,good\nthe hose leaks here,bad\n"it hums, at night",good\n'


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def found(raw: RawTable) -> list[tuple[str, str]]:
    return [(finding.level, finding.kind) for finding in raw.findings]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("My export, in May 2024\n\ntext,label\n", (1,)),
        ("Export,\n,\ntext,label\n", (1,)),
        ("# made by me, in May\n# and more\ntext,label\n", (1, 2)),
        ("Report of May\nOpinion,Verdict\n", (1,)),
    ],
)
def test_a_title_or_a_comment_is_no_header(tmp_path: Path, content: str, lines: tuple[int, ...]) -> None:
    path = write(tmp_path / "a.csv", content.encode() + ROWS)
    raw = read_raw(path)
    assert found(raw) == [("error", "first lines")] and raw.findings[0].rows == lines
    assert list(raw.table.values()) == list(TABLE.values())
    with pytest.raises(UserError, match=r"lines? 1.*The table begins in line"):
        read_table(path)


@pytest.mark.parametrize(
    "content",
    [
        "Anfragen vom 28.11.2026;;\nNr;Nachricht;Thema\n1;Das Paket kam nie an;Lieferung\n2;Der Code fehlt;Konto\n",
        "Avis clients,\navis,note\nun film superbe et plein de charme,bien\nun long ennui du début à la fin,mal\n",
    ],
)
def test_a_title_as_wide_as_the_table_stands_above_names_of_any_language(tmp_path: Path, content: str) -> None:
    raw = read_raw(write(tmp_path / "a.csv", content))
    assert raw.columns == tuple(re.split("[;,]", content.split("\n")[1])) and len(raw.rows) == 2


@pytest.mark.parametrize(
    "content",
    [
        "film,\nok,bien\nune belle histoire et des acteurs,bien\nun long ennui du début à la fin,mal\n",  # no name
        "#,text,label\n1,a fine film,good\n2,a dull film,bad\n",  # a number column is no comment
        "text\ngood, really good\nbad\nso, so\nand so on\n",  # prose is no table below a title
        "text\n# not a comment but a text\nanother text\n",
        "remarks\n#1\ntext\n",
    ],
)
def test_a_header_is_no_title(tmp_path: Path, content: str) -> None:
    raw = read_raw(write(tmp_path / "a.csv", content))
    assert "first lines" not in [finding.kind for finding in raw.findings]
    assert raw.columns == tuple(name or "column_2" for name in content.split("\n")[0].split(","))
