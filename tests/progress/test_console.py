"""What is printed of names, titles, texts and paths is shown and never obeyed by a terminal."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from rich.table import Table

from metapt_explore.cli.results import print_summary
from metapt_explore.progress.console import echo, escape, one_line, say, shown

PACKAGE = Path(__file__).parents[2] / "metapt_explore"
#: A colour, a title of the window, a C1 control sequence, an order of letters turned around, a line that is drawn over.
HOSTILE = [
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "\x9b31m",
    "user\u202egpj.exe",
    "good\rbad",
    "a\x08b",
    "\x00",
    "\ud800",
    "\u2066x",
]
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_nothing_that_a_terminal_obeys_is_printed(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=120, emoji=False)
    say(console, f"Study '{text}'")
    table = Table(title=escape(text))
    table.add_column(escape(text))
    table.add_row(escape(text))
    console.print(table)
    echo(f"Error: {text}", err=True)
    echo(text)
    captured = capsys.readouterr()
    assert not OBEYED.search(stream.getvalue() + captured.out + captured.err)
    assert "\\u" in stream.getvalue() and "\\u" in captured.out


def test_texts_of_any_script_stay() -> None:
    for text in ("Grüße, 日本語, עברית, नमस्ते", "👩\u200d💻", "two\nlines\tand a tab", "a [red] b", "\\n"):
        assert shown(text) == text
    assert one_line("two\nlines") == "two\\nlines"


@pytest.mark.parametrize("name", ["[red]x[/]", "[/]", "[bold", "\\[x]", ":warning:", "x\\"])
def test_markup_in_names_is_printed_as_it_is(name: str) -> None:
    rows = [{"task": name, "method": name, "start": 0.5, "mean": 0.5, "std": 0.1, "worst": 0.4, "seeds": 2}]
    stream = io.StringIO()
    print_summary(name, pd.DataFrame(rows), console=Console(file=stream, width=120, emoji=False))
    title, body = stream.getvalue().split("\n", 1)
    assert name in title and body.count(name) == 2


def test_json_lines_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    record = {"text": "\x1b[31m\x9b\u202e", "more": ["a\nb", "\\u001b"]}
    for ascii_only in (True, False):
        echo(json.dumps(record, ensure_ascii=ascii_only))
        assert json.loads(capsys.readouterr().out) == record


def test_commands_print_through_the_console_only() -> None:
    """One place shows foreign text; whoever prints past it brings the fault back."""
    past = re.compile(r"typer\.echo\(|(?<![\w.`>])print\(|from rich\.markup import|(?<!\w)Console\(")
    files = [*(PACKAGE / "cli").glob("*.py"), *(PACKAGE / "bench").glob("*.py")]
    examples = re.compile(r"^\s*>>> .*$", re.MULTILINE)
    assert [file.name for file in files if past.search(examples.sub("", file.read_text(encoding="utf-8")))] == []
