"""Numbers are written one and the same way on every page: a true minus, no None, no nan, no minus before zero."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from looking import PAGES, charts
from streamlit import dataframe_util
from streamlit.testing.v1 import AppTest

from metapt_explore.reporting import published
from metapt_explore.statistics.numbers import MISSING
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.example import open_example

Open = Callable[..., AppTest]
LOOK = Path(__file__).parents[2] / "studies" / "look"
#: What no reader should see: a word of Python ("None of them" is English), minus zero, a hyphen in the place of a
#: minus (not in 2026-11-29 or 1e-05), percent without a space.
WRONG = re.compile(
    r"\bNone\b(?! [a-z])|\b(?:nan|NaN|NaT)\b|<NA>|(?<![\w.])[-−]0(?:\.0+)?(?![\d.])|(?<![\w.\-/–])-\d|\d%"
)
#: Columns of tables that show texts of the data, and lists of artifacts and commands.
FOREIGN = ("text", "text_pair", "sentence", "template", "words")


def shown_in(at: AppTest) -> Iterator[tuple[str, str]]:
    """Where on the page something is written, and what."""
    for kind in ("title", "header", "markdown", "caption", "info", "warning", "error", "success"):
        yield from ((kind, str(box.value).replace("\\", "")) for box in getattr(at, kind))
    for metric in at.metric:
        yield f"metric {metric.label}", f"{metric.value} {metric.delta}"
    for frame in at.dataframe:
        yield from cells(frame)
    for chart in charts(at):
        for trace in chart["data"]:
            texts = trace.get("text") or []
            for text in [texts] if isinstance(texts, str) else texts:
                yield "figure", str(text or "")
            yield "hover", re.sub(r"%\{[^}]*\}", "", str(trace.get("hovertemplate") or ""))
        for note in chart["layout"].get("annotations", []):
            yield "figure", str(note.get("text", ""))


def cells(frame: Any) -> Iterator[tuple[str, str]]:
    """Cells as the browser writes them: by pandas' Styler where there is one, else the value itself."""
    table: pd.DataFrame = frame.value
    own = frame.proto.arrow_data
    written = own.styler.display_values if own.HasField("styler") and own.styler.display_values else None
    display = dataframe_util.convert_arrow_bytes_to_pandas_df(written) if written else table
    placeholder = frame.proto.placeholder if frame.proto.HasField("placeholder") else "None"
    for place, name in enumerate(table.columns):
        if str(name) in FOREIGN:
            continue
        for value, text in zip(table[name], display.iloc[:, place], strict=True):
            if value is None or (not isinstance(value, list | dict) and pd.isna(value)):
                text = placeholder if written is None else text
            yield f"{frame.key} {name}", str(text)


def faults(at: AppTest) -> list[tuple[str, str]]:
    assert not at.exception and not at.error
    return [(where, text[:120]) for where, text in shown_in(at) if WRONG.search(text)]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = Workspace(tmp_path_factory.mktemp("numbers"))
    open_example(workspace)
    published.open_record(workspace, LOOK)
    return workspace.folder


@pytest.mark.parametrize("page", PAGES)
def test_every_page_of_the_example_writes_numbers_alike(show: Open, example: Path, page: str) -> None:
    at = show(example, page, "tour-example")
    found = faults(at)
    key = {"compare": "compare", "fewshot": "scores"}.get(page)
    for name in [box.label for box in at.tabs] if key else ():
        at.session_state[key] = name
        found += faults(at.run())
    assert not found


@pytest.mark.parametrize("page", ["start", "compare", "fewshot", "clusters"])
def test_and_those_of_a_record(show: Open, example: Path, page: str) -> None:
    assert not faults(show(example, page, "record:look"))


def test_the_pattern_finds_what_is_wrong_and_nothing_else() -> None:
    wrong = ["-7.2", "gain (-0.3 to 0.1)", "None", "mean nan", "−0.0", "-0", "-0.00 points", "71%"]
    right = [
        "−7.2",
        "2026-11-29",
        "1e-05",
        "sst-2",
        "−0.05",
        "3–0–7",
        "k-means",
        "Nonesuch",
        MISSING,
        "--add",
        "16-9",
        "71 %",
        "prompt-0e13",
        "None says so",
    ]
    assert [bool(WRONG.search(text)) for text in [*wrong, *right]] == [True] * len(wrong) + [False] * len(right)


def test_tables_of_pages_are_drawn_by_one_function() -> None:
    folder = Path(__file__).parents[2] / "metapt_explore" / "dashboard"
    others = [file.name for file in folder.rglob("*.py") if "st.dataframe(" in file.read_text(encoding="utf-8")]
    assert others == ["drawing.py"], "use drawing.show_table: it writes numbers as everywhere else"
