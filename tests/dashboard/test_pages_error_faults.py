"""The page Errors over what it should not trip over: many classes, markup, pairs, gaps, older scores, records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from handmade import EVIL
from looking import charts, said, tab
from streamlit.testing.v1 import AppTest
from tampering import reseal

from metapt_explore.jobs import queue
from metapt_explore.reporting import published
from metapt_explore.reporting.report import make_report
from metapt_explore.results.kept_rows import compacted
from metapt_explore.results.record import Record
from metapt_explore.results.tables import COLUMNS
from metapt_explore.storage.workspace import Workspace

Open = Callable[..., AppTest]
TABS = ("Where they differ", "Confusion", "Calibration", "Slices")
#: Names of methods that collide with columns of the table, or would be markup.
METHODS = ["text", f"*x* `y` {EVIL[:30]}"]


def record_of_classes(classes: list[str], *, never: int, rows: int = 60, small: bool = False) -> Record:
    """Two methods at two pairs of seeds; no row has class `never`, which is predicted all the same, as is no class."""
    rng = np.random.default_rng(0)
    label = rng.choice([index for index in range(len(classes)) if index != never], rows)
    every = range(rows)
    tables = []
    for method in METHODS:
        for seed in (1, 2):
            logs = np.log(rng.dirichlet(np.ones(len(classes)), rows)).astype(np.float16)
            predicted = np.where(rng.random(rows) < 0.4, label, rng.integers(-1, len(classes), rows))
            cell = {"method": method, "task": "t", "init_seed": seed, "data_seed": seed, "row": every}
            said_of_rows = {"label": label, "predicted": predicted.astype(np.int16)}
            scores = {f"score_{index}": logs[:, index] for index in range(len(classes))}
            tables.append(pd.DataFrame(cell | said_of_rows | scores))
    predictions = pd.concat(tables, ignore_index=True)
    right = predictions["label"] == predictions["predicted"]
    results = right.groupby([predictions["method"], predictions["data_seed"]]).mean().rename("accuracy").reset_index()
    results = results.assign(task="t", init_seed=results["data_seed"]).reindex(columns=COLUMNS)
    facts = {"id": [f"{row:016x}" for row in every], "label": [classes[index] for index in label], "group": EVIL}
    near = {f"cluster:*k* {EVIL[:20]}": np.where(np.arange(rows) % 2, EVIL, "plain"), "similarity": rng.random(rows)}
    where = pd.DataFrame({"task": "t", "row": every} | facts | {"words": rng.integers(1, 30, rows)} | near)
    return Record(
        "faults",
        "Faults",
        {
            "name": "faults",
            "methods": [{"name": name, "kind": kind} for name, kind in zip(METHODS, ("ppt", "pt"), strict=True)],
            "evaluation": {"tasks": ["t"], "init_seeds": [1, 2], "data_seeds": [1, 2]},
        },
        results,
        pd.DataFrame(),
        tasks=[
            {
                "name": "t",
                "classes": classes,
                "samples": None,
                "title": "",
                "sizes": None,
                "warnings": [],
                "template": "",
                "words": {},
                "shots": 4,
                "checksums": {},
                "sentiment": False,
            }
        ],
        cells=4,
        predictions=compacted(predictions) if small else predictions,
        rows=where,
    )


def open_tabs(at: AppTest) -> str:
    """Everything that the four tabs say."""
    told = ""
    for name in TABS:
        tab(at, "errors_tabs", name)
        assert not at.exception and not at.error, (name, said(at, "exception", "error"))
        told += said(at, "markdown", "caption", "info")
    return told


@pytest.mark.parametrize("count", [2, 24])
def test_many_classes_markup_and_a_class_that_no_row_has(
    show: Open, tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metapt_explore.results.kept_rows.MOST_BYTES", 0 if count == 24 else 2**30)
    classes = [f"{EVIL} {index}" for index in range(count)]
    record = record_of_classes(classes, never=1, small=count == 24)
    record.save(tmp_path / "record")
    workspace = Workspace(tmp_path / "workspace")
    at = show(workspace.folder, "errors", published.open_record(workspace, tmp_path / "record"))
    told = open_tabs(at)
    assert "text alone is right" in told and "keeps no decisions" not in told
    for by in at.selectbox(key="errors_by").options:
        at.selectbox(key="errors_by").set_value(by.replace("\\", "")).run()
        assert not at.exception and not at.error
    assert len(at.selectbox(key="errors_by").options) == 4  # one group of all rows cuts nothing
    tab(at, "errors_tabs", "Confusion")
    drawn = [trace for chart in charts(at) for trace in chart["data"] if trace["type"] == "heatmap"]
    assert len(drawn) == 2 and len(drawn[0]["y"]) == count and len(drawn[0]["x"]) == count + 1  # (other word)
    assert "<script>" not in str(drawn)
    tab(at, "errors_tabs", "Where they differ")
    at.segmented_control(key="errors_side").set_value("all rows").run()
    rows = next(frame.value for frame in at.dataframe if "row" in frame.value)
    assert len(rows) == 60 and set(rows["class"]) <= set(classes) and rows["row"].str.len().eq(16).all()
    # The report of the same record: names letter by letter, details closed, no markup of theirs.
    report = make_report(Record.load(tmp_path / "record"))
    markdown, page = report.markdown(), report.html()
    assert "<details><summary>Which classes are taken for which</summary>" in markdown
    assert page.count("<details>") == page.count("</details>") == 2 and "<script>" not in page
    assert "of perfect probabilities" in page and "over both" in page


def test_pairs_and_markup_in_texts(show: Open, copied: Workspace) -> None:
    split = next(e for e in copied.index("tiny") if e["kind"] == "split" and e["task"] == "mood")
    file = copied.artifact(split["id"]).folder / "rows.parquet"
    rows = pd.read_parquet(file)
    rows.assign(text=EVIL, text_pair=[None, *[f"=1+1 {EVIL}"] * (len(rows) - 1)]).to_parquet(file)
    reseal(file.parent)
    at = show(copied.folder, "errors")
    open_tabs(at)
    tab(at, "errors_tabs", "Where they differ")
    at.segmented_control(key="errors_side").set_value("all rows").run()
    shown = next(frame.value for frame in at.dataframe if "second text" in frame.value)
    assert set(shown["text"]) == {EVIL} and "None" not in set(shown["second text"])
    assert EVIL not in said(at, "markdown", "caption")


def test_scores_of_earlier_versions_beside_new_ones_and_alone(show: Open, copied: Workspace) -> None:
    kept = [e for e in copied.index("tiny") if e["kind"] == "fewshot"]
    for method in ("MetaPT", "PT", "PPT"):
        for entry in (e for e in kept if e["method"] == method):
            folder = copied.artifact(entry["id"]).folder
            (folder / "predictions.parquet").unlink()
            reseal(folder)
        st.cache_resource.clear()  # nobody changes what is finished
        at = show(copied.folder, "errors")
        assert not at.exception and not at.error, said(at)
        if method == "MetaPT":
            assert at.selectbox(key="errors_method").options == ["PT", "PPT"]
        elif method == "PT":
            assert "Choose two methods" in said(at)  # one is left
    assert "No decision is kept for this task yet" in said(at)


def test_nearest_clusters_are_asked_for(show: Open, copied: Workspace) -> None:
    at = tab(show(copied.folder, "errors"), "errors_tabs", "Slices")
    assert at.selectbox(key="errors_by").options == ["class", "length"]
    named = [str(column).strip() for frame in at.dataframe for column in frame.value.columns]
    assert named and all(named), "a column without a name says nothing"
    at.button(key="ask_slices").click().run()
    assert not at.exception and not at.error
    request = queue.read_request(copied, "tiny")
    assert request is not None and request["until"] == "slices"


def test_a_record_without_decisions_says_so(show: Open, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    look = Path(__file__).parents[2] / "studies" / "look"
    at = show(workspace.folder, "errors", published.open_record(workspace, look))
    assert not at.exception and not at.error and "keeps no decisions" in said(at, "info")
