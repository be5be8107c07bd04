"""Errors in a report: McNemar beside the bootstrap, figures of decisions, macro F1 task by task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from command_line import call
from scipy import stats

from metapt_explore.fewshot.scoring import macro_f1 as of_rows
from metapt_explore.reporting.document import Figure, Table
from metapt_explore.reporting.error_figures import calibration_curves, confusion_maps
from metapt_explore.reporting.error_section import mcnemar_table
from metapt_explore.reporting.report import make_report
from metapt_explore.results.decisions import decisions_of
from metapt_explore.results.record import Record, record_of
from metapt_explore.statistics.compare import compare
from metapt_explore.statistics.errors import confusion, macro_f1, mcnemar_tests
from metapt_explore.statistics.numbers import points
from metapt_explore.storage.workspace import Workspace


@pytest.fixture(scope="module")
def record(finished: Path) -> Record:
    return record_of(Workspace(finished), "tiny")


def test_mcnemar_of_a_task_is_the_exact_test_at_each_pair(record: Record) -> None:
    task = record.tasks[0]["name"]
    decisions = decisions_of(record, task)
    first, second = decisions.of("MetaPT"), decisions.of("PPT")
    by_hand = []
    for seeds, own in first.groupby(["data_seed", "init_seed"]):
        other = second[(second["data_seed"] == seeds[0]) & (second["init_seed"] == seeds[1])].set_index("row")
        right = (own["label"] == own["predicted"]).set_axis(own["row"])
        wrong = (other["label"] != other["predicted"]).reindex(right.index)
        only, back = int((right & wrong).sum()), int((~right & ~wrong).sum())
        by_hand.append((only, back, stats.binomtest(only, only + back).pvalue if only + back else 1.0))
    found = [(test.first_only, test.second_only, test.p) for test in mcnemar_tests(first, second)]
    assert sorted(found) == sorted(by_hand) and found
    line = mcnemar_table([decisions], "MetaPT", "PPT").iloc[0]
    assert line["p < 0.05"] == f"{sum(p < 0.05 for _, _, p in by_hand)} of {len(by_hand)}"
    assert line["only MetaPT right"] == f"{sum(only for only, _, _ in by_hand) / len(by_hand):.1f}"
    assert mcnemar_tests(first, second.assign(row=second["row"] + 10_000)) == []


def test_a_report_draws_decisions_and_compares_macro_f1(record: Record) -> None:
    blocks = make_report(record).blocks
    drawn = {block.name: block.svg for block in blocks if isinstance(block, Figure)}
    for name in ("confusion", "calibration"):
        assert drawn[name].startswith("<?xml")
    for task in record.tasks:
        assert f"{task['name']}: MetaPT" in drawn["confusion"] and task["name"] in drawn["calibration"]
    (tests,) = (b.rows for b in blocks if isinstance(b, Table) and "Secondary tests." in b.caption)
    question = next(name for name in ("PPT", "PT") if name in tests.columns)
    other = {task.task: task for task in compare(record.results, "MetaPT", question, metric="macro_f1").per_task}
    for _, row in tests.iterrows():
        assert row["macro F1"] == points(other[row["task"]].difference)
    assert "McNemar's exact test, of each task" in make_report(record).markdown()
    without = make_report(replace(record, results=record.results.drop(columns="macro_f1"), predictions=pd.DataFrame()))
    assert "macro F1" not in without.markdown() and "McNemar" not in without.markdown()


def test_figures_of_what_is_missing_or_large() -> None:
    """A method without decisions on a task, classes of many and of long names, a class that has no row."""
    many = [f"a class with a name of its own, number {n}" for n in range(40)]
    rows = pd.DataFrame({"label": [0, 1, 39], "predicted": [0, -1, 1]})
    picture = confusion_maps({"a": {"x": confusion(rows, many)}, "b": {"y": confusion(rows, many)}})
    assert picture.startswith("<?xml") and "number 39" not in picture
    assert calibration_curves({"a": {"x": pd.DataFrame(columns=["confidence", "accuracy", "decisions"])}})


def test_macro_f1_of_decisions_is_that_of_scores(
    record: Record, finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    task = record.tasks[0]["name"]
    decisions = decisions_of(record, task)
    own = decisions.of("MetaPT")
    scores = record.results[(record.results["method"] == "MetaPT") & (record.results["task"] == task)]
    mean = macro_f1(own, len(decisions.classes))
    assert mean == pytest.approx(scores["macro_f1"].mean())
    one = own[(own["data_seed"] == own["data_seed"].iloc[0]) & (own["init_seed"] == own["init_seed"].iloc[0])]
    by_hand = of_rows(one["label"].to_numpy(int), one["predicted"].to_numpy(int), len(decisions.classes))
    assert macro_f1(one, len(decisions.classes)) == pytest.approx(by_hand)
    pair = ["--method", "MetaPT", "--against", "PPT", "--workspace", finished]
    assert call(monkeypatch, "errors", "tiny", task, *pair) == 0
    assert f"Macro F1: MetaPT {100 * mean:.1f} %" in " ".join(capsys.readouterr().out.split())
