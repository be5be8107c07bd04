r"""A report's tables as files of their own: LaTeX (booktabs), Typst and CSV.

Names come from files that others wrote. LaTeX and Typst are programming languages, so every letter that means
something to them is escaped; control characters are shown as unknown ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.escaping import csv_text, one_line
from metapt_explore.reporting.document import Document, Folded, Heading, Table, cell_text, plain_text, spans
from metapt_explore.storage.files import write_bytes

#: What stands for a letter in LaTeX. A bracket or an asterisk behind ``\\`` would be its argument.
LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    # Two of them would become one dash, or one quotation mark.
    "-": "{-}",
    "'": "{'}",
    # Signs that pdfLaTeX does not know.
    "−": "$-$",
    "–": r"\textendash{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "→": r"$\rightarrow$",
    "⏎": r"$\hookleftarrow$",
    "…": r"\ldots{}",
    "†": r"\textdagger{}",
    "²": r"\textsuperscript{2}",
}
_LATEX_MARKS = {"text": "{}", "strong": r"\textbf{{{}}}", "em": r"\emph{{{}}}", "code": r"\texttt{{{}}}"}
_TYPST_MARKS = {"text": "{}", "strong": "strong({})", "em": "emph({})", "code": "raw({})"}
_LATEX_LETTERS = str.maketrans(LATEX)


def latex_text(text: str) -> str:
    r"""Text as LaTeX shows it letter by letter.

    Example:
        >>> print(latex_text("50 % of a_b & [c]"))
        50 \% of a\_b \& {[}c{]}
    """
    return one_line(text).translate(_LATEX_LETTERS)


def typst_text(text: str) -> str:
    r"""Text as a string of Typst, in which nothing but quotes and backslashes means anything.

    Example:
        >>> print(typst_text('a "b" #c'))
        "a \"b\" #c"
    """
    return '"' + one_line(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def latex(table: Table) -> str:
    r"""A table for LaTeX with ``\usepackage{booktabs}``."""
    columns = "l" + "r" * (len(table.rows.columns) - 1)
    lines = [f"{' & '.join(map(_latex, row))} \\\\" for row in _rows(table.rows)]
    caption = [rf"\caption{{{_latex(table.caption)}}}"] if table.caption else []
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            *caption,
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def typst(table: Table) -> str:
    """A table for Typst, as a figure where it has a caption."""
    width = len(table.rows.columns)
    align = ", ".join(["left", *["right"] * (width - 1)])
    head, *body = ["  " + ", ".join(map(_typst, row)) + "," for row in _rows(table.rows)]
    inside = [f"table(\n  columns: {width},\n  align: ({align},),", f"  table.header({head.strip()}),", *body, ")"]
    written = "\n".join(inside)
    return f"#figure(\n{written},\ncaption: {_typst(table.caption)})\n" if table.caption else f"#{written}\n"


def csv(table: Table) -> str:
    """A table for spreadsheets, its cells as they are shown."""
    head, *body = _rows(table.rows)
    return csv_text(pd.DataFrame([list(map(plain_text, row)) for row in body], columns=list(map(plain_text, head))))


#: Each format's suffix, and who writes it.
FORMATS: dict[str, tuple[str, Callable[[Table], str]]] = {
    "latex": ("tex", latex),
    "typst": ("typ", typst),
    "csv": ("csv", csv),
}


def write_tables(document: Document, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Writes each table of a report into ``tables/``, called after its section.

    Args:
        document: The report.
        folder: The report's folder.
        formats: Keys of `FORMATS`.

    Returns:
        The files.

    Raises:
        UserError: Where there is no such format.
    """
    for name in formats:
        if name not in FORMATS:
            raise UserError(f"There is no table format '{name}'. {did_you_mean(name, list(FORMATS))}")
    files = []
    for stem, table in named_tables(document):
        for suffix, write in (FORMATS[name] for name in dict.fromkeys(formats)):
            file = folder / "tables" / f"{stem}.{suffix}"
            write_bytes(file, write(table).encode())
            files.append(file)
    return files


def named_tables(document: Document) -> Iterator[tuple[str, Table]]:
    """Each table with a name for its file: its section's, numbered from the second one of a section on."""
    section, seen = "table", dict[str, int]()
    blocks = [inner for block in document.blocks for inner in (block.blocks if isinstance(block, Folded) else [block])]
    for block in blocks:
        if isinstance(block, Heading):
            section = re.sub(r"[^a-z0-9]+", "-", plain_text(block.text).lower()).strip("-") or "table"
        elif isinstance(block, Table) and len(block.rows.columns):
            seen[section] = seen.get(section, 0) + 1
            yield f"{section}-{seen[section]}" if seen[section] > 1 else section, block


def _rows(rows: pd.DataFrame) -> list[list[str]]:
    """Head and body, as sentences in which spans may be marked."""
    body = [[cell_text(value) for value in row] for row in rows.itertuples(index=False)]
    return [[str(column) for column in rows.columns], *body]


def _latex(sentence: str) -> str:
    return "".join(
        _LATEX_MARKS[kind].format(_inside(latex_text(letters), letters)) for kind, letters in spans(sentence)
    )


def _typst(sentence: str) -> str:
    parts = [(kind, letters) for kind, letters in spans(sentence) if letters]
    quoted = [_TYPST_MARKS[kind].format(f'"{_inside(typst_text(text)[1:-1], text)}"') for kind, text in parts]
    return " + ".join(quoted) or '""'


def _inside(escaped: str, letters: str) -> str:
    """A part of a sentence with the spaces at its ends, which lie between it and the next part."""
    return f"{' ' * letters[:1].isspace()}{escaped}{' ' * (letters[-1:].isspace() and bool(letters.strip()))}"
