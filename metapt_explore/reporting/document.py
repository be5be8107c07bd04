"""A small document: headings, paragraphs, tables and figures, written as Markdown or as one HTML file.

Sentences mark ``**bold**``, ``*italic*`` and `` `code` ``; every other letter is shown as it is. Names that others gave
may hold asterisks and backticks: `quoted` puts stand-ins in their place before sentences are made, and both writers
put them back, so that no sentence has to escape a name.
"""

from __future__ import annotations

import base64
import functools
import html
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from metapt_explore.escaping import markdown, markdown_code, markdown_line, one_line, printable
from metapt_explore.storage.files import write_bytes

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_inline import StateInline

#: Of Unicode's private use: stand for the letters that mark something in a sentence.
STAND_INS = str.maketrans({"*": "\ue02a", "`": "\ue060"})
LETTERS = str.maketrans({"\ue02a": "*", "\ue060": "`"})
#: What a sentence marks, the longest mark first.
MARKS = re.compile(r"\*\*(?P<strong>.+?)\*\*|\*(?P<em>.+?)\*|`(?P<code>.+?)`", re.DOTALL)


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the title."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """Plain text in which ``**bold**``, ``*italic*`` and `` `code` `` are marked; a note stands apart."""

    text: str
    note: bool = False


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    items: list[str]


@dataclass(frozen=True)
class Table:
    """A table of strings and numbers that are ready to be shown; the first column names the row."""

    rows: pd.DataFrame
    caption: str = ""


@dataclass(frozen=True)
class Figure:
    """An SVG picture, drawn when it is first looked at: Markdown alone needs none.

    Attributes:
        name: Its file's name, without extension.
        draw: Draws it.
        caption: What it shows and how to read it.
    """

    name: str
    draw: Callable[[], str]
    caption: str

    @functools.cached_property
    def svg(self) -> str:
        """The picture."""
        return self.draw()


@dataclass(frozen=True)
class Code:
    """Lines to be typed or kept as they are."""

    text: str


@dataclass(frozen=True)
class Folded:
    """Tables and sentences under a title, closed until somebody opens them."""

    title: str
    blocks: list[Table | Paragraph]


Block = Heading | Paragraph | Bullets | Table | Figure | Code | Folded


@dataclass
class Document:
    """Blocks in their order."""

    title: str
    blocks: list[Block] = field(default_factory=list)

    def add(self, *blocks: Block) -> None:
        """Appends blocks."""
        self.blocks += blocks

    def write(self, folder: Path, name: str = "report") -> tuple[Path, Path]:
        """Writes ``report.md`` with its figures beside it, and ``report.html``, which needs no other file.

        Returns:
            The Markdown and the HTML file.
        """
        for block in self.blocks:
            if isinstance(block, Figure):
                write_bytes(folder / "figures" / f"{block.name}.svg", block.svg.encode())
        markdown, page = folder / f"{name}.md", folder / f"{name}.html"
        write_bytes(markdown, self.markdown().encode())
        write_bytes(page, self.html().encode())
        return markdown, page

    def markdown(self) -> str:
        """The document in GitHub's Markdown."""
        return "\n\n".join([_markdown(Heading(self.title, 1)), *map(_markdown, self.blocks)]) + "\n"

    def html(self) -> str:
        """The document as a page that stands alone: no script, no font and no picture from elsewhere."""
        body = "\n".join(map(_html, [Heading(self.title, 1), *self.blocks]))
        return PAGE.format(title=html.escape(plain_text(self.title)), style=STYLE, body=body)


def quoted(value: Any) -> Any:
    """The same text, list, dictionary or table with stand-ins for what would mark something in a sentence.

    Example:
        >>> unquoted(quoted({"*a*": ["`b`", 1]})["\ue02aa\ue02a"][0])
        '`b`'
    """
    if isinstance(value, str):
        return value.translate(STAND_INS)
    if isinstance(value, dict):
        return {quoted(key): quoted(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(quoted, value))
    if isinstance(value, pd.DataFrame):
        columns = {name: quoted(column) for name, column in value.items() if not _is_number(column)}
        return value.assign(**columns)
    if isinstance(value, pd.Series):
        return value.map(quoted, na_action="ignore")
    return value


def _is_number(column: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column))


def unquoted(text: str) -> str:
    """Text with its own letters again."""
    return text.translate(LETTERS)


def spans(text: str) -> Iterator[tuple[str, str]]:
    """Parts of a sentence in their order: what each is (``text``, ``strong``, ``em`` or ``code``), and its letters."""
    end = 0
    for mark in MARKS.finditer(text):
        yield "text", unquoted(text[end : mark.start()])
        yield str(mark.lastgroup), unquoted(mark.group(str(mark.lastgroup)))
        end = mark.end()
    yield "text", unquoted(text[end:])


# ------------------------------------------------------------------------------------------ Markdown


def _markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {_markdown_line(text)}"
        case Paragraph(text, note):
            return f"{'> ' if note else ''}{_markdown_line(text)}"
        case Bullets(items):
            return "\n".join(f"- {_markdown_line(item)}" for item in items)
        case Table(rows, caption):
            return _markdown_table(rows) + (f"\n\n{_markdown_line(caption)}" if caption else "")
        case Figure(name, _, caption):
            return f"![{name}](figures/{name}.svg)\n\n{_markdown_line(caption)}"
        case Folded():
            return _folded(block, _markdown, "\n\n")
        case Code(text):
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
            return f"{fence}\n{printable(text)}\n{fence}"


def _markdown_table(rows: pd.DataFrame) -> str:
    def line(cells: list[str]) -> str:
        return "| " + " | ".join(map(_markdown_line, cells)) + " |"

    ruler = "| " + " | ".join(["---", *["---:"] * (len(rows.columns) - 1)]) + " |"
    body = [line([cell_text(value) for value in row]) for row in rows.itertuples(index=False)]
    return "\n".join([line([str(column) for column in rows.columns]), ruler, *body])


def _markdown_line(text: str) -> str:
    """A sentence as a line of its own."""
    marks = {"strong": "**", "em": "*"}
    parts = []
    for kind, letters in spans(text):
        if kind == "code":
            parts.append(markdown_code(letters))
        elif kind == "text":
            parts.append(markdown(letters))
        else:
            # Spaces inside the marks would keep them from being any.
            inner = markdown(letters).strip()
            parts.append(f"{marks[kind]}{inner}{marks[kind]}" if inner else "")
    return markdown_line("".join(parts))


# ---------------------------------------------------------------------------------------------- HTML


@functools.cache
def _renderer() -> MarkdownIt:
    """Reads what `_markdown` writes: no HTML but the tags of ``<code>``, and tables that may be wider than the page."""
    from markdown_it import MarkdownIt

    renderer = MarkdownIt("commonmark", {"html": False}).enable("table")
    renderer.inline.ruler.before("entity", "typewriter", _typewriter)
    renderer.renderer.rules["table_open"] = lambda *_: "<div class=wide><table>"  # type: ignore[attr-defined]
    renderer.renderer.rules["table_close"] = lambda *_: "</table></div>"  # type: ignore[attr-defined]
    return renderer


def _typewriter(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 (the parser passes it by position)
    """The tags that `markdown_code` writes round letters which backticks cannot hold."""
    for tag, kind, nesting in (("<code>", "code_open", 1), ("</code>", "code_close", -1)):
        if state.src.startswith(tag, state.pos):
            if not silent:
                state.push(kind, "code", nesting)  # type: ignore[arg-type]
            state.pos += len(tag)
            return True
    return False


def _html(block: Block) -> str:
    match block:
        case Table(rows, caption):
            below = f"<p class=caption>{_inline(caption)}</p>" if caption else ""
            return f"{_renderer().render(_markdown_table(rows))}{below}"
        case Figure(_, _, caption):
            # As an image, nothing inside the picture can act on the page.
            data = base64.b64encode(block.svg.encode()).decode()
            alt = html.escape(plain_text(caption), quote=True)
            return (
                f'<figure><img alt="{alt}" src="data:image/svg+xml;base64,{data}">'
                f"<figcaption>{_inline(caption)}</figcaption></figure>"
            )
        case Folded():
            return _folded(block, _html, "\n")
        case _:
            return str(_renderer().render(_markdown(block))).rstrip()


def _folded(block: Folded, write: Callable[[Block], str], between: str) -> str:
    opened = f"<details><summary>{html.escape(plain_text(block.title))}</summary>"
    return between.join([opened, *map(write, block.blocks), "</details>"])


def _inline(text: str) -> str:
    """A sentence as HTML, without a paragraph round it."""
    return str(_renderer().renderInline(_markdown_line(text)))


def cell_text(value: object) -> str:
    """What a table shows of a value."""
    return "–" if value is None or (isinstance(value, float) and pd.isna(value)) else str(value)


def plain_text(text: str) -> str:
    """A sentence without its marks."""
    return one_line("".join(said for _, said in spans(text)))


PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head>
<body><main>
{body}
</main></body></html>
"""

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, sans-serif; color: #1b1f24; background: #fff; margin: 0; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.25; }
h2 { margin-top: 2.4rem; border-top: 1px solid #d8dee4; padding-top: 1.2rem; }
blockquote { background: #f4f6f8; border-left: 4px solid #0072b2; margin: 1rem 0; padding: .1rem 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .82rem; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .4rem; text-align: right; border-bottom: 1px solid #e4e8ec; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { white-space: normal; vertical-align: bottom; }
p.caption, figcaption { color: #57606a; font-size: .88rem; margin-top: .2rem; }
figure { margin: 1.4rem 0; }
figure img { max-width: 100%; height: auto; }
pre, code { font-family: ui-monospace, monospace; background: #f4f6f8; }
pre { padding: .8rem 1rem; overflow-x: auto; }
pre code { background: none; }
"""
