"""The Errors page and `metapt errors`: two methods, decision by decision, over a study made by the real pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from command_line import call
from looking import charts, said, tab
from streamlit.testing.v1 import AppTest

from metapt_explore.reporting import published
from metapt_explore.reporting.notes import grounds_of
from metapt_explore.results.predictions import predictions_of
from metapt_explore.results.record import record_of, scores_of
from metapt_explore.statistics.errors import compare_rows, comparison_sentence
from metapt_explore.statistics.numbers import interval
from metapt_explore.statistics.two_level import COVERS, two_level
from metapt_explore.storage.workspace import Workspace

Open = Callable[..., AppTest]


def test_two_methods_decision_by_decision(show: Open, copied: Workspace) -> None:
    at = show(copied.folder, "errors")
    assert not at.exception and not at.error, said(at)
    chosen = {box.key: box.value for box in at.selectbox}
    assert (chosen["errors_method"], chosen["errors_against"]) == ("MetaPT", "PPT")
    kept = predictions_of(copied, "tiny", chosen["errors_task"])
    by_method = dict(list(kept.groupby("method")))
    found = compare_rows(by_method["MetaPT"], by_method["PPT"])
    assert comparison_sentence("MetaPT", "PPT", found) in said(at, "markdown")
    at.segmented_control(key="errors_side").set_value("all rows").run()
    rows = next(frame.value for frame in at.dataframe if "text" in frame.value)
    right = dict(zip(rows["text"], rows["MetaPT: right, %"], strict=True))
    assert len(rows) == len(found.rows) and set(right.values()) == set(100 * found.rows["first"])
    intervals = next(frame.value for frame in at.dataframe if "over both" in frame.value).set_index("on")
    whole = two_level(*(by_method[name] for name in ("MetaPT", "PPT")), grounds=grounds_of(scores_of(copied, "tiny")))
    assert intervals.loc[chosen["errors_task"], "over both"] == interval(*whole.over_both)
    assert list(intervals.index)[1:] == ["mean over 2 tasks"] and "None" not in str(intervals)
    assert COVERS in said(at, "caption")
    drawn = [
        [trace["type"] for chart in charts(tab(at, "errors_tabs", name)) for trace in chart["data"]]
        for name in ("Confusion", "Calibration", "Slices")
    ]
    assert not at.exception and not at.error, said(at)
    assert drawn == [["heatmap"] * 2, ["scatter"] * 3, ["scatter"] * 2]
    tab(at, "errors_tabs", "Where they differ")
    at.selectbox(key="errors_against").set_value("MetaPT").run()
    assert not at.exception and "Choose two methods" in said(at)


def test_the_answer_stands_beside_its_interval_over_rows(show: Open, copied: Workspace, tmp_path: Path) -> None:
    kept = pd.concat([predictions_of(copied, "tiny", task) for task in ("mood", "question")])
    first, second = (kept[kept["method"] == name] for name in ("MetaPT", "PPT"))
    whole = two_level(first, second, grounds=grounds_of(scores_of(copied, "tiny")))
    at = show(copied.folder, "compare")
    assert not at.exception and not at.error and f"With test rows: {whole.sentence}" in said(at, "caption")
    record_of(copied, "tiny").save(tmp_path / "record")
    at = show(copied.folder, "compare", published.open_record(copied, tmp_path / "record"))
    assert not at.exception and not at.error and f"With test rows: {whole.sentence}" in said(at, "caption")


def test_compared_by_macro_f1_the_caption_tells_of_accuracy(show: Open, copied: Workspace) -> None:
    kept = pd.concat([predictions_of(copied, "tiny", task) for task in ("mood", "question")])
    first, second = (kept[kept["method"] == name] for name in ("MetaPT", "PPT"))
    whole = two_level(first, second, grounds=grounds_of(scores_of(copied, "tiny")))
    at = show(copied.folder, "compare")
    at.segmented_control(key="metric_tiny").set_value("macro_f1").run()
    assert not at.exception and not at.error
    assert f"by accuracy (decisions tell of no other score): {whole.sentence}" in said(at, "caption")


def test_scores_without_decisions_say_so(show: Open, demo: Workspace) -> None:
    at = show(demo.folder, "errors")
    assert not at.exception and not at.error


def test_the_command_says_the_same(
    finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(finished)

    def errors(method: str, *more: str) -> int:
        return call(
            monkeypatch, "errors", "tiny", "mood", "--method", method, "--against", "PPT", "-w", finished, *more
        )

    assert errors("MetaPT") == 0
    told = " ".join(capsys.readouterr().out.split())
    kept = predictions_of(workspace, "tiny", "mood")
    found = compare_rows(kept[kept["method"] == "MetaPT"], kept[kept["method"] == "PPT"])
    assert comparison_sentence("MetaPT", "PPT", found) in told
    assert errors("MetaPT", "--json") == 0
    rows = pd.DataFrame(map(json.loads, capsys.readouterr().out.splitlines()))
    assert rows["MetaPT"].mean() - rows["PPT"].mean() == pytest.approx(found.difference)
    assert errors("MetaPTT") == 2
    assert "Did you mean 'MetaPT'?" in " ".join(capsys.readouterr().err.split())
