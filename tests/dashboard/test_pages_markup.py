"""No page shows signs of Markdown: what sentences write as code is code, and what is emphasised is slanted."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from looking import PAGES
from streamlit.testing.v1 import AppTest

from metapt_explore.dashboard.parts import drawing, launch, messages
from metapt_explore.escaping import STREAMLIT
from metapt_explore.storage.workspace import Workspace

Open = Callable[..., AppTest]
DASHBOARD = Path(messages.__file__).parents[1]
#: Elements that show Markdown, and the one that shows none.
KINDS = ("markdown", "caption", "error", "warning", "info", "success", "title", "header", "subheader", "text")
#: An escaped sign is seen as it is. One emphasis or piece of code that is seen with its signs.
SIGNS = re.compile(r"\\`[^`\n]+\\`|(?<!\\)\\\*[A-Za-z][^*\n]{0,40}\\\*")
PLAIN_SIGNS = re.compile(r"`[^`\n]+`|\*[A-Za-z][^*\n]{0,40}\*")


def seen_signs(at: AppTest) -> list[str]:
    """Signs of Markdown that a reader of the page sees."""
    shown = [(kind, str(box.value)) for kind in KINDS for box in getattr(at, kind)]
    return [
        f"{kind}: {found.group()}"
        for kind, value in shown
        for found in (PLAIN_SIGNS if kind == "text" else SIGNS).finditer(value)
    ]


@pytest.mark.parametrize("page", PAGES)
def test_no_page_shows_signs_of_markdown(show: Open, finished: Path, page: str) -> None:
    assert seen_signs(show(finished, page, "tiny")) == []


def test_a_caption_of_power_shows_its_key_as_code(show: Open, demo: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "metapt_explore.dashboard.parts.launch.detectable_sentence",
        lambda config: "It takes `evaluation.margin` (a_b).",
    )
    launch._power.clear()  # another test may have shown the same study
    at = show(demo.folder, "pretraining", "demo")
    assert "It takes `evaluation.margin` \\(a\\_b\\)\\." in [caption.value for caption in at.caption]
    assert [sign for sign in seen_signs(at) if "blank" not in sign] == []


def test_boxes_of_errors_and_advice_take_sentences() -> None:
    """Errors are written with code in them (`texts.file`): as plain text their backticks would be seen."""
    box = re.compile(r"st\.(error|warning|info|success)\((messages\.)?plain\(|\(messages\.plain\((error|str\(error)")
    wrong = [
        f"{file.name}: {line.strip()}"
        for file in DASHBOARD.rglob("*.py")
        for line in file.read_text(encoding="utf-8").splitlines()
        if box.search(line)
    ]
    assert wrong == []


@pytest.mark.parametrize("name", ["a`b", "*x*", "[a](http://b)", ":red[x]", "$x$ `c", "<script>", "`` ` ``"])
def test_nothing_acts_in_a_sentence_but_its_code(name: str) -> None:
    said = messages.sentence(f"'{name}' lacks `texts.file`.")
    outside = re.sub(r"`[^`\n]+`", "", re.sub(r"\\.", "", said))
    assert not STREAMLIT.search(outside), said


def test_a_figure_is_told_without_signs() -> None:
    assert drawing.spoken("*Mean rank* of a\\_b: see **Start**, `key` and 2 * 3 * 4.") == (
        "Mean rank of a_b: see Start, key and 2 * 3 * 4."
    )
