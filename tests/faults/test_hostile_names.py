"""Hostile names: letters in every file and on every page, never markup, a link, a formula or a failure."""

from __future__ import annotations

import csv
import functools
import io
import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import hostile
import pandas as pd
import pytest
from dashboard import handmade
from dashboard.looking import PAGES, charts
from huggingface_hub import ModelCard
from hypothesis import HealthCheck, assume, given, settings
from markdown_it import MarkdownIt
from soak import examples
from streamlit.testing.v1 import AppTest
from tally import tried

from metapt_explore.escaping import csv_text, from_csv_rows, markdown, markdown_line, one_line
from metapt_explore.export.card import model_card
from metapt_explore.export.facts import PromptFacts
from metapt_explore.models import setup as setup_starter
from metapt_explore.reporting.document import Bullets, Document, Heading, Paragraph, Table, quoted
from metapt_explore.reporting.report import make_report
from metapt_explore.results.record import Record

ROOT = Path(__file__).parents[2]
#: GitHub's Markdown, HTML in it included.
GITHUB = MarkdownIt("commonmark").enable(["table", "strikethrough"])
BOUNDED = {"deadline": None, "suppress_health_check": list(HealthCheck)}
LIVE = {"link_open", "image", "html_inline", "html_block", "s_open", "hr"}
#: Stand around code that Markdown's own signs cannot hold.
OURS = ("<code>", "</code>")


def tokens(text: str) -> list[Any]:
    """All parts of a Markdown file, those inside of lines included, but for tags of ours."""
    parts = [part for block in GITHUB.parse(text) for part in [block, *(block.children or [])]]
    return [part for part in parts if not (part.type == "html_inline" and part.content in OURS)]


class Tags(HTMLParser):
    """Counts the tags of a page, and keeps its text."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.counts[tag] += 1

    def handle_data(self, data: str) -> None:
        self.text += data


def tags(page: str) -> Tags:
    found = Tags()
    found.feed(page)
    return found


# ------------------------------------------------------------------------------------------- files


@given(hostile.names)
@settings(max_examples=examples(200), **BOUNDED)
def test_a_line_of_markdown_reads_as_the_name(name: str) -> None:
    tried("inputs")
    parts = [part for part in tokens(f"- {markdown_line(markdown(name))}") if not part.block]
    assert {part.type for part in parts} <= {"text", "text_special", "inline"}
    said = "".join(part.content for part in parts)
    assert said.split() == one_line(name).split()


def about(name: str) -> Document:
    """What sections make of a name."""
    name = quoted(name)
    document = Document(name)
    rows = pd.DataFrame({"method": [name, "b"], name + "2": ["1", f"`{name}`"]})
    document.add(Heading(f"{name} against b"), Paragraph(f"**{name}** is `{name}`, said {name}.", note=True))
    document.add(Bullets([name, f"*{name}*"]), Table(rows, f"*Caption* of {name}"))
    return document


@given(hostile.names)
@settings(max_examples=examples(100), **BOUNDED)
def test_a_document_has_the_marks_that_were_meant(name: str) -> None:
    tried("inputs")
    plain, found = about("plain"), about(name)
    kinds = [Counter(part.type for part in tokens(document.markdown())) for document in (plain, found)]
    structure = [Counter({k: n for k, n in kind.items() if k.endswith("_open") or k in LIVE}) for kind in kinds]
    assert structure[0] == structure[1]
    pages = [tags(document.html()) for document in (plain, found)]
    assert pages[0].counts == pages[1].counts
    # A browser shows any run of blanks as one, and so does the renderer.
    assert one_line(pages[1].text).count(one_line(name)) >= 8


@given(hostile.names, hostile.names)
@settings(max_examples=examples(2), **BOUNDED)
def test_a_report(method: str, task: str) -> None:
    tried("inputs")
    check_report([f"{method} {task}", method, task])


@pytest.mark.parametrize("start", range(0, len(hostile.NAMES), 7))
def test_a_report_of_each_hostile_name(start: int) -> None:
    check_report(hostile.NAMES[start : start + 7])


@functools.cache
def recorded() -> tuple[Record, Counter[str], set[str]]:
    """A recorded study; what in the Markdown of its report would act on a page, and the tags of its HTML."""
    record = Record.load(ROOT / "studies" / "starter-probe")
    document = make_report(record)
    return record, live_parts(document), set(tags(document.html()).counts)


def live_parts(document: Document) -> Counter[str]:
    return Counter(part.type for part in tokens(document.markdown()) if part.type in LIVE)


def check_report(given: list[str]) -> None:
    """Makes the report of a recorded study under other names, and compares its structure with the recorded one."""
    record, live, used = recorded()
    clusters = [name for clustering in record.clusterings for name in clustering["names"]]
    own = [
        *record.methods,
        *(task["name"] for task in record.tasks),
        *(c["name"] for c in record.clusterings),
        *clusters,
    ]
    own = list(dict.fromkeys(own))
    to = {name: f"{given[place % len(given)]} {place}" for place, name in enumerate(own)}
    parts = {key: hostile.renamed(value, to) for key, value in vars(record).items()}
    found = make_report(Record(**{**parts, "title": given[0]}))
    assert live_parts(found) == live
    assert set(tags(found.html()).counts) == used
    for block in found.blocks:
        if hasattr(block, "svg"):
            drawn = ET.fromstring(block.svg.encode("utf-8"))
            assert not [node for node in drawn.iter() if node.tag.endswith(("script", "image", "}a"))]


@given(hostile.names, hostile.names, hostile.names)
@settings(max_examples=examples(60), **BOUNDED)
def test_a_model_card(method: str, label: str, task: str) -> None:
    tried("inputs")
    made = {"study": "s", "method": method, "task": task, "data_seed": 1, "init_seed": 0, "artifact": "fewshot-1"}
    facts = PromptFacts(
        model={"name": "google/flan-t5-base"}, model_hash="0" * 64, family="encoder_decoder", placement="encoder",
        tokens=2, width=3, template=f"{{text}} {label}", decode="label_words", token_ids=None,
        labels={label: {"words": [label, "b"]}, "other": {"words": ["c"]}},
        made_by={**made, "accuracy": 0.5, "macro_f1": 0.5, "start_accuracy": 0.4},
    )  # fmt: skip
    card = ModelCard(model_card(facts, handmade.config(), with_adapter=True))
    assert card.data.eval_results is not None and card.data.eval_results[0].dataset_type == task
    parts = tokens(card.text)
    assert not {part.type for part in parts} & LIVE
    assert one_line(label) in "".join(p.content for p in parts if p.type in ("text", "text_special", "code_inline"))


@given(hostile.names, hostile.names)
@settings(max_examples=examples(100), **BOUNDED)
def test_no_cell_of_a_csv_runs_and_all_come_back(first: str, second: str) -> None:
    tried("inputs")
    assume(first not in ("score", "n"))  # the other columns
    table = pd.DataFrame({first: [first, second, "=1+1"], "score": [-0.5, 1.0, None], "n": [-1, 2, 3]})
    rows = list(csv.reader(io.StringIO(csv_text(table), newline="")))
    for cell in [cell for row in rows for cell in row]:
        assert not re.match(r"[=+\-@\t\r\n]", cell) or re.fullmatch(r"[+-]?[\d.]+([eE][+-]?\d+)?", cell)
    back = from_csv_rows(rows)
    assert back[0] == [first, "score", "n"] and [row[0] for row in back[1:]] == [first, second, "=1+1"]
    assert [row[1:] for row in back[1:]] == [["-0.5", "-1"], ["1.0", "2"], ["", "3"]]


# ------------------------------------------------------------------------------------------- pages


def opened(folder: Path, page: str, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr(setup_starter, "is_set_up", lambda: True)
    monkeypatch.setenv("METAPT_WORKERS", "0")
    monkeypatch.setenv("METAPT_WORKSPACE", str(folder))
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    at.query_params["study"] = handmade.NAME
    at.switch_page(f"metapt_explore/dashboard/views/{page}.py")
    return at.run()


def read_as_markdown(at: AppTest) -> list[str]:
    """All that Streamlit reads Markdown in."""
    kinds = (
        "title",
        "header",
        "subheader",
        "markdown",
        "caption",
        "error",
        "warning",
        "info",
        "success",
        "metric",
        "expander",
    )
    return [str(getattr(box, "value", "")) + str(getattr(box, "label", "")) for kind in kinds for box in at.get(kind)]


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for entry in value.values() for text in strings(entry)]
    if isinstance(value, list):
        return [text for entry in value for text in strings(entry)]
    return [value] if isinstance(value, str) else []


def check_page(at: AppTest, given: list[str]) -> None:
    assert not at.exception
    said = read_as_markdown(at)
    for name in given:
        if re.search(r"[<\[$`*:]", name) and len(name) > 4:
            assert not [text for text in said if name in text], name
    for text in (text for chart in charts(at) for text in strings(chart)):
        assert not re.sub(r"</?(br|b|extra)>", "", text).count("<"), text


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("start", [0, 13])
def test_pages(page: str, start: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = hostile.NAMES[start : start + 14]
    workspace = hostile.study(tmp_path, given)
    check_page(opened(workspace.folder, page, monkeypatch), given)


@given(hostile.names)
@settings(max_examples=examples(1), **BOUNDED)
def test_pages_of_any_name(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    tried("inputs")
    workspace = hostile.study(tmp_path_factory.mktemp("any"), [name])
    with pytest.MonkeyPatch.context() as monkeypatch:
        for page in PAGES:
            check_page(opened(workspace.folder, page, monkeypatch), [name])


def test_the_pages_test_sees_the_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tests above look for is really shown: escaped it is there."""
    at = opened(hostile.study(tmp_path, hostile.NAMES[:14]).folder, "start", monkeypatch)
    assert any("window" in text.replace("\\", "") for text in read_as_markdown(at))
    assert json.dumps(hostile.NAMES[0]) in json.dumps(
        [frame.value.to_dict() for frame in at.dataframe], default=str
    ) or ("script" in " ".join(read_as_markdown(at)))
