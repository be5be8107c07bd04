"""Escapes foreign text for each place that shows it, one function a place.

Names, labels and texts come from files that others wrote. Streamlit, plotly, Markdown and spreadsheets would read
markup in them: bold letters, a link, a formula that runs. For HTML there is `html.escape`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import pandas as pd

Cell = TypeVar("Cell")

#: Control characters, lone surrogates and signs that change the writing direction: unreadable, and XML, terminals or
#: UTF-8 break on them. Tab, line feed and carriage return stay.
UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
#: What any reader takes for the end of a line.
LINE_ENDS = re.compile("[\t\n\x0b\x0c\r\x1c-\x1f\x85\u2028\u2029]+")
#: Signs that may be markup in Streamlit's Markdown, with its colours, icons and formulas.
STREAMLIT = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&^=])")
#: Streamlit makes links of addresses even if they are escaped; an invisible word joiner prevents that.
ADDRESS = re.compile(r"https?:(?=//)|www(?=\.)|@(?=[\w-])", re.IGNORECASE)
JOINER = "\u2060"
#: Markup in GitHub's Markdown, and no more: these files are also read as plain text.
GITHUB = re.compile(
    r"[\\`*\[$|~#]|(?<![a-z0-9])_|_(?![a-z0-9])|<(?=[A-Za-z/!?])|&(?=#?[A-Za-z0-9]+;)|:(?=//)|(?<=www)\.", re.IGNORECASE
)
ENTITIES = {"<": "&lt;", "&": "&amp;"}
#: A cell that a spreadsheet takes for a formula, also after `csv_cell`; numbers are no formulas.
FORMULA = re.compile("('*)[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
#: In front of such a cell it makes spreadsheets show the rest as text.
GUARD = "'"


def printable(text: object) -> str:
    r"""Text with each unreadable character replaced by the sign for an unknown one.

    Example:
        >>> printable("a\x1b[31mb")
        'a\ufffd[31mb'
    """
    return UNPRINTABLE.sub("\ufffd", str(text))


def one_line(text: object) -> str:
    r"""Printable text on one line, with runs of spaces as one.

    Example:
        >>> one_line(" two\n lines ")
        'two lines'
    """
    return printable(" ".join(str(text).split()))


def streamlit(text: object) -> str:
    r"""Text for a box, a title or a label of Streamlit.

    Example:
        >>> print(streamlit(":red[$x$]"))
        \:red\[\$x\$\]
    """
    escaped = STREAMLIT.sub(r"\\\1", ADDRESS.sub(rf"\g<0>{JOINER}", printable(text)))
    return escaped.replace("\n", "  \n")


def unescaped(text: str) -> str:
    r"""The plain text of what was escaped for Streamlit.

    Example:
        >>> unescaped(streamlit("a_b http://c"))
        'a_b http://c'
    """
    return re.sub(r"\\([^A-Za-z0-9\s])", r"\1", text).replace(JOINER, "")


def file_name(text: str) -> str:
    """A file name that is valid on any system.

    Example:
        >>> file_name("tour-a/b <c>.zip")
        'tour-a-b-c-.zip'
    """
    return re.sub(r"[^\w.-]+", "-", one_line(text)).lstrip(".-") or "file"


def markdown(text: object) -> str:
    r"""Text for the middle of a line of a Markdown file, as GitHub and model hubs read it.

    Example:
        >>> print(markdown("a_b _c_ | <b>$5</b> p < 0.1"))
        a_b \_c\_ \| &lt;b>\$5&lt;/b> p < 0.1
    """

    def escape(match: re.Match[str]) -> str:
        return ENTITIES.get(match.group(), f"\\{match.group()}")

    return GITHUB.sub(escape, printable(LINE_ENDS.sub(" ", str(text))))


def markdown_line(line: str) -> str:
    r"""An escaped line of Markdown that must not begin a list, a quotation or a heading.

    Example:
        >>> print(markdown_line("1. of two"), markdown_line("- 3 points"), markdown_line("-3.1"))
        1\. of two \- 3 points -3.1
    """
    return re.sub(r"^(\d*)([.)](?=\s|$)|[-+](?=[-+\s]|$)|>)", r"\1\\\2", line.strip())


def markdown_code(text: object) -> str:
    r"""Any text as code in Markdown, in tables as well.

    Example:
        >>> print(markdown_code("x < y"), markdown_code("a`b|"))
        `x < y` <code>a\`b\|</code>
    """
    line = one_line(text)
    if line and not re.search(r"[`|\\]", line):
        return f"`{line}`"
    return f"<code>{markdown(line)}</code>"


def plotly(text: object, longest: int | None = None) -> str:
    """Text that plotly shows as it is, on one line; it reads a little HTML in names, titles and hover texts.

    Args:
        text: What to show.
        longest: Cut after this many letters.

    Example:
        >>> plotly("<b>good</b>  news", longest=8)
        '&lt;b&gt;good&lt;…'
    """
    words = one_line(text)
    if longest is not None and len(words) > longest:
        words = words[:longest] + "…"
    # Plotly knows &lt; &gt; &amp; but not &quot;.
    return html.escape(words, quote=False)


def csv_cell(value: Cell) -> Cell | str:
    """A cell that no spreadsheet runs as a formula; numbers, also as text, stay as they are.

    Example:
        >>> csv_cell("=1+1"), csv_cell("@user hello"), csv_cell("-0.5"), csv_cell(-0.5)
        ("'=1+1", "'@user hello", '-0.5', -0.5)
    """
    if not isinstance(value, str) or not FORMULA.match(value) or NUMBER.fullmatch(value):
        return value
    return GUARD + value


def from_csv_rows(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Rows of a file as they were before `csv_cell`; a file with a cell that begins like a formula is not ours.

    Example:
        >>> from_csv_rows([["text"], ["'=1+1"], ["'tis"]])
        [['text'], ['=1+1'], ["'tis"]]
        >>> from_csv_rows([["text"], ["'@home' is great"], ["@user no"]])
        [['text'], ["'@home' is great"], ['@user no']]
    """
    guarded = False
    for row in rows:
        for cell in row:
            guard = guard_of(cell)
            if guard is False:
                return [list(row) for row in rows]
            guarded = guarded or guard is True
    if not guarded:
        return [list(row) for row in rows]
    return [[unguarded(cell) for cell in row] for row in rows]


def guard_of(cell: str) -> bool | None:
    """Whether a cell that begins like a formula has a guard in front; None for other cells.

    Example:
        >>> guard_of("'=1+1"), guard_of("=1+1"), guard_of("-0.5"), guard_of("'tis")
        (True, False, None, None)
    """
    match = FORMULA.match(cell)
    if match is None:
        return None
    if match.group(1):
        return True
    return None if NUMBER.fullmatch(cell) else False


def unguarded(cell: str) -> str:
    """A cell as it was before `csv_cell`.

    Example:
        >>> unguarded("'=1+1"), unguarded("'tis")
        ('=1+1', "'tis")
    """
    return cell[1:] if guard_of(cell) else cell


def csv_text(table: pd.DataFrame) -> str:
    r"""A table as a CSV file that a spreadsheet shows and does not run.

    Example:
        >>> import pandas as pd
        >>> csv_text(pd.DataFrame({"text": ["=1+1"], "score": [-0.5]}))
        "text,score\r\n'=1+1,-0.5\r\n"
    """
    import pandas as pd

    shown = table.copy()
    for index in range(table.shape[1]):
        column = table.iloc[:, index]
        if not pd.api.types.is_numeric_dtype(column):
            shown.isetitem(index, column.astype(object).map(csv_cell))
    shown.columns = [csv_cell(column) for column in table.columns]
    # With this line end, cells that hold \r or \n are quoted, so none begins a new row.
    return str(shown.to_csv(index=False, lineterminator="\r\n"))
