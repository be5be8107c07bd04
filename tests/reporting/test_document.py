"""Documents: Markdown that tables survive, HTML in which nothing is markup that was not meant to be."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from metapt_explore.reporting.document import Bullets, Code, Document, Figure, Heading, Paragraph, Table

ROWS = pd.DataFrame({"method": ["PT | x", "<b>PPT</b>"], "mean": ["70.1", None]})


def document() -> Document:
    made = Document("A & B")
    made.add(
        Heading("Part"), Paragraph("**bold** and `x < y`"), Bullets(["one", "two"]), Table(ROWS, "How to read it.")
    )
    made.add(Figure("points", lambda: "<svg><script>alert(1)</script></svg>", "A picture"), Code("metapt run x.yaml"))
    return made


def test_markdown() -> None:
    lines = document().markdown().splitlines()
    assert lines[0] == "# A & B" and "## Part" in lines
    table = [line for line in lines if line.startswith("|")]
    assert table == ["| method | mean |", "| --- | ---: |", "| PT \\| x | 70.1 |", "| &lt;b>PPT&lt;/b> | – |"]
    assert "![points](figures/points.svg)" in lines and "A picture" in lines


def test_html_escapes_everything_that_is_not_ours() -> None:
    page = document().html()
    assert "<b>PPT" not in page and "&lt;b&gt;PPT&lt;/b&gt;" in page
    assert "<strong>bold</strong>" in page and "<code>x &lt; y</code>" in page
    # A picture is an image: a script inside it cannot run.
    assert "<script" not in page and "data:image/svg+xml;base64," in page
    assert "http" not in page.replace("http-equiv", "")


def test_written_files(tmp_path: Path) -> None:
    markdown, page = document().write(tmp_path)
    assert (
        markdown.read_text(encoding="utf-8") == document().markdown()
        and page.read_text(encoding="utf-8") == document().html()
    )
    assert (tmp_path / "figures" / "points.svg").exists()
