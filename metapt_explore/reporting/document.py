"""A small document: headings, paragraphs, tables and figures, written as Markdown or as one HTML file."""

from __future__ import annotations

import base64
import html
import re
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from metapt_explore.runs.files import write_bytes


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
    """An SVG picture.

    Attributes:
        name: Its file's name, without extension.
        svg: The picture.
        caption: What it shows and how to read it.
    """

    name: str
    svg: str
    caption: str


@dataclass(frozen=True)
class Code:
    """Lines to be typed or kept as they are."""

    text: str


Block = Heading | Paragraph | Bullets | Table | Figure | Code


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
        return "\n\n".join([f"# {self.title}", *map(_markdown, self.blocks)]) + "\n"

    def html(self) -> str:
        """The document as a page that stands alone: no script, no font and no picture from elsewhere."""
        body = "\n".join([f"<h1>{html.escape(self.title)}</h1>", *map(_html, self.blocks)])
        return PAGE.format(title=html.escape(self.title), style=STYLE, body=body)


def _markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Paragraph(text, note):
            return "> " + text.replace("\n", "\n> ") if note else text
        case Bullets(items):
            return "\n".join(f"- {item}" for item in items)
        case Table(rows, caption):
            return _markdown_table(rows) + (f"\n\n{caption}" if caption else "")
        case Figure(name, _, caption):
            return f"![{name}](figures/{name}.svg)\n\n{caption}"
        case Code(text):
            return f"```\n{text}\n```"


def _markdown_table(rows: pd.DataFrame) -> str:
    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    ruler = ["---", *["---:"] * (len(rows.columns) - 1)]
    body = [line([_cell(value) for value in row]) for row in rows.itertuples(index=False)]
    return "\n".join([line([str(column) for column in rows.columns]), line(ruler), *body])


def _html(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{_inline(text)}</h{level}>"
        case Paragraph(text, note):
            return f"<p{' class=note' if note else ''}>{_inline(text)}</p>"
        case Bullets(items):
            return "<ul>" + "".join(f"<li>{_inline(item)}</li>" for item in items) + "</ul>"
        case Table(rows, caption):
            head = "".join(f"<th>{_inline(str(column))}</th>" for column in rows.columns)
            body = "".join(
                "<tr>" + "".join(f"<td>{_inline(_cell(value))}</td>" for value in row) + "</tr>"
                for row in rows.itertuples(index=False)
            )
            below = f"<p class=caption>{_inline(caption)}</p>" if caption else ""
            return f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{below}"
        case Figure(_, svg, caption):
            # As an image, nothing inside the picture can act on the page.
            data = base64.b64encode(svg.encode()).decode()
            alt = html.escape(_plain(caption), quote=True)
            return (
                f'<figure><img alt="{alt}" src="data:image/svg+xml;base64,{data}">'
                f"<figcaption>{_inline(caption)}</figcaption></figure>"
            )
        case Code(text):
            return f"<pre>{html.escape(text)}</pre>"


def _cell(value: object) -> str:
    return "–" if value is None or (isinstance(value, float) and pd.isna(value)) else str(value)


def _inline(text: str) -> str:
    """Escapes everything, then marks bold, italic and code."""
    marked = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", html.escape(text))
    marked = re.sub(r"\*(.+?)\*", r"<em>\1</em>", marked)
    return re.sub(r"`(.+?)`", r"<code>\1</code>", marked)


def _plain(text: str) -> str:
    return re.sub(r"[*`\[\]]", "", text).replace("\n", " ")


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
p.note { background: #f4f6f8; border-left: 4px solid #0072b2; padding: .7rem 1rem; }
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
"""
