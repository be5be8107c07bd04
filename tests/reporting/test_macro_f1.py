"""Macro F1 stands beside accuracy, and comparisons are of the score that a study asks for."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from metapt_explore.cli.results import print_summary
from metapt_explore.config import EvaluationConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.reporting.document import Table
from metapt_explore.reporting.notes import metric_of
from metapt_explore.reporting.report import answers, make_report, verdicts
from metapt_explore.results.record import Record, record_of
from metapt_explore.results.tables import summary_table
from metapt_explore.storage.workspace import Workspace


@pytest.fixture
def record(finished: Path) -> Record:
    record = record_of(Workspace(finished), "tiny")
    # Scores of tiny models are hardly apart; these are, and F1 says the opposite of accuracy.
    rng, better = np.random.default_rng(0), record.results["method"] == "MetaPT"
    noise = rng.normal(0, 0.01, (2, len(record.results)))
    results = record.results.assign(accuracy=0.7 + 0.1 * better + noise[0], macro_f1=0.6 - 0.2 * better + noise[1])
    return replace(record, results=results)


def by(record: Record, metric: str) -> Record:
    return replace(record, study={**record.study, "evaluation": {**record.study["evaluation"], "metric": metric}})


def plain_difference(results: pd.DataFrame, method: str, baseline: str, metric: str) -> float:
    means = results.groupby(["method", "init_seed", "data_seed"])[metric].mean().unstack("method")
    return float((means[method] - means[baseline]).mean())


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_comparisons_are_of_the_score_that_is_asked_for(record: Record, metric: str) -> None:
    asked, found = answers(by(record, metric))
    assert asked[0].method == "MetaPT"
    for question, answer in zip(asked, found, strict=True):
        expected = plain_difference(record.results, question.method, question.baseline, metric)
        assert (answer.metric, answer.difference) == (metric, pytest.approx(expected))
    assert (found[0].difference > 0) == (metric == "accuracy")
    assert ("macro F1" in verdicts(by(record, metric))[0]) == (metric == "macro_f1")


def test_a_report_shows_both_and_says_which_is_compared(record: Record) -> None:
    tables = [block for block in make_report(by(record, "macro_f1")).blocks if isinstance(block, Table)]
    by_caption = {table.caption.split(" ")[0] + table.caption.split(" ")[1]: table for table in tables if table.caption}
    f1 = by_caption["MacroF1"].rows.set_index("method")
    assert f1.loc["MetaPT", "mean"].startswith("40.") or f1.loc["MetaPT", "mean"].startswith("39.")
    assert by_caption["Accuracyon"].rows["method"].tolist() == f1.index.tolist()
    report = make_report(by(record, "macro_f1")).markdown()
    assert "The study's comparisons are of it." in report and "Differences in points of macro F1" in report
    assert "comparisons are of it" not in make_report(record).markdown()


def test_intervals_over_test_rows_stand_beside_answers_of_f1(finished: Path, record: Record) -> None:
    """Decisions tell of accuracy, and are checked against it; the limits name the table where it is there."""
    plain = record_of(Workspace(finished), "tiny")
    rows = plain.results.assign(macro_f1=plain.results["accuracy"] / 2)
    by_f1, clause = by(replace(plain, results=rows), "macro_f1"), "but the one over both, under *Errors*"
    one, other = (make_report(each) for each in (plain, by_f1))
    tables = [
        next(b.rows for b in report.blocks if isinstance(b, Table) and "over both" in b.rows) for report in (one, other)
    ]
    pd.testing.assert_frame_equal(*tables)
    assert "answers are of macro F1" in other.markdown() and clause in other.markdown()
    assert "answers are of" not in one.markdown() and clause in one.markdown()
    # These scores are not those of the decisions that are kept.
    without = make_report(by(record, "macro_f1")).markdown()
    assert "| over both |" not in without and clause not in without and "in no interval." in without


def test_older_records_have_accuracy_alone(record: Record) -> None:
    older = replace(by(record, "macro_f1"), results=record.results.drop(columns="macro_f1"))
    assert metric_of(older) == "accuracy"
    assert "Macro F1" not in make_report(older).markdown()
    assert summary_table(older.results)["macro_f1"].isna().all()


def test_the_terminal_shows_both(record: Record) -> None:
    out = StringIO()
    print_summary("tiny", summary_table(record.results), console=Console(file=out, width=200))
    line = next(line for line in out.getvalue().splitlines() if "MetaPT" in line)
    expected = record.results.groupby(["task", "method"], sort=False)["macro_f1"].mean()
    assert f"{100 * expected.iloc[2]:.1f}" in line and "macro F1" in out.getvalue()


def test_other_scores_are_refused() -> None:
    wrong: dict[str, Any] = {"tasks": ["trec"], "metric": "f1"}
    with pytest.raises(UserError, match="macro_f1"):
        parse(EvaluationConfig, wrong, "evaluation")
