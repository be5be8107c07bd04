"""Behind the scores: how far differences hang on the test rows, calibration, confusions, slices; no text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from metapt_explore.errors import UserError
from metapt_explore.plots.errors import FEW_ROWS
from metapt_explore.reporting import error_figures, tables
from metapt_explore.reporting.document import Document, Figure, Folded, Heading, Paragraph, Table, quoted
from metapt_explore.reporting.notes import grounds_of
from metapt_explore.reporting.over_seeds import over_seeds
from metapt_explore.reporting.questions import StudyQuestion
from metapt_explore.results.decisions import TaskDecisions, decisions_of, recorded_tasks
from metapt_explore.results.record import Record
from metapt_explore.statistics import Comparison, compare
from metapt_explore.statistics.calibration import calibration, calibration_of
from metapt_explore.statistics.errors import confusion, mcnemar_tests
from metapt_explore.statistics.numbers import MISSING, interval, number, p_value, points
from metapt_explore.statistics.two_level import COVERS, two_level
from metapt_explore.statistics.verdict import metric_name

#: Confusions and slices of a task and method that are listed.
LISTED = 3


def add_errors(
    document: Document, record: Record, asked: Sequence[StudyQuestion], comparisons: Sequence[Comparison]
) -> bool:
    """The section on decisions; none where the record keeps none.

    Args:
        document: The report.
        record: The study, names quoted.
        asked: Its questions.
        comparisons: What is found of each.

    Returns:
        Whether it has intervals over seeds and test rows together.
    """
    every = [_quoted(decisions_of(record, task)) for task in recorded_tasks(record)]
    if not every:
        return False
    document.add(Heading("Errors"))
    over_both = _add_intervals(document, record, every, list(zip(asked, comparisons, strict=True)))
    methods = list(dict.fromkeys(method for decisions in every for method in decisions.methods))
    primary = next((question for question in asked if question.primary), None)
    if primary is not None and len(tests := mcnemar_table(every, primary.method, primary.baseline)):
        document.add(Table(tests, MCNEMAR))
    document.add(Table(calibration_table(every, methods), CALIBRATION))
    looked_at = [name for name in methods if primary and name in (primary.method, primary.baseline)] or methods[:2]
    _add_figures(document, every, looked_at)
    confusions = confusion_table(every, looked_at)
    if len(confusions):
        caption = "Of each task and method the most frequent: per cent of the decisions on texts of the class."
        document.add(Folded("Which classes are taken for which", [Table(confusions, caption)]))
    slices, left_out = slice_table(every, looked_at)
    if len(slices):
        caption = (
            "Of each task and method the slices with the lowest accuracy, with an interval over rows. The lowest of "
            "many is partly bad luck: a place to look, not a result."
            + (f" {left_out} slices of fewer than {FEW_ROWS} rows are not listed." if left_out else "")
        )
        document.add(Folded("Where accuracy is lowest", [Table(slices, caption)]))
    return over_both


CALIBRATION = (
    "Probabilities of the class chosen, mean over tasks and pairs of seeds, in percent and points. The calibration "
    "error (ten bins) is never 0: *of perfect probabilities* is what a method that is right exactly as often as it is "
    "sure would show on so many rows."
)
#: What the column of McNemar's tests counts.
BELOW = "McNemar: tests of one task at one pair of seeds with p < 0.05, of all."
#: How to read McNemar's tests.
MCNEMAR = (
    "McNemar's exact test, of each task and pair of seeds: does one method have rows right that the other has wrong "
    "more often than the other way round? Rows are means over pairs of seeds. It speaks of other test rows under one "
    "pair of seeds, not of other seeds; one test in twenty is below 0.05 by chance, and those of a task share its rows."
)


def _quoted(decisions: TaskDecisions) -> TaskDecisions:
    """With names of clusterings, which are names of columns, quoted as all others are."""
    return replace(decisions, rows=decisions.rows.rename(columns=quoted))


def _add_intervals(
    document: Document,
    record: Record,
    every: Sequence[TaskDecisions],
    answered: Sequence[tuple[StudyQuestion, Comparison]],
) -> bool:
    """Each comparison's interval over seeds beside those over rows and both, where all its scores keep decisions."""
    grounds, rows, own_rows = grounds_of(record), [], False
    results = over_seeds(record.results, record.study).results
    for question, answer in answered:
        have = [each for each in every if {question.method, question.baseline} <= set(each.methods)]
        if not have:
            continue
        if answer.metric != "accuracy":  # decisions tell of no other score
            answer = compare(results, question.method, question.baseline, grounds=grounds)
        if {each.task for each in have} != set(answer.tasks):
            continue
        first, second = (
            pd.concat([each.of(name).assign(task=each.task) for each in have], ignore_index=True)
            for name in (question.method, question.baseline)
        )
        try:
            found = two_level(first, second, grounds=grounds)
        except ValueError:
            own_rows = record.study["evaluation"].get("scored_on", "test") != "test"
            continue
        except UserError as error:  # too many seeds or rows; the rest of the report stands
            document.add(Paragraph(str(error)))
            continue
        if abs(found.difference - answer.difference) > 1e-6:
            continue  # of some scores no decision is kept
        rows.append(
            {
                "comparison": f"{question.method} − {question.baseline}",
                "difference": points(found.difference),
                "over seeds": MISSING if found.over_seeds is None else interval(*found.over_seeds),
                "over rows": interval(*found.over_rows),
                "over both": interval(*found.over_both),
                "McNemar": _below(have, question.method, question.baseline),
                "pairs": found.pairs,
                "rows": f"{found.rows:,}",
            }
        )
    if rows:
        metric = answered[0][1].metric
        note = "" if metric == "accuracy" else f" The study's answers are of {metric_name(metric)}."
        caption = f"Differences in points of accuracy, mean over tasks, with three intervals of 95 %.{note} {COVERS}"
        document.add(Table(pd.DataFrame(rows), f"{caption} {BELOW}"))
    elif own_rows:
        text = "Each initialisation seed is scored on rows of its own: intervals over seeds hold the rows' error, too."
        document.add(Paragraph(text))
    return bool(rows)


def _below(every: Sequence[TaskDecisions], method: str, baseline: str) -> str:
    """How many of McNemar's tests of a comparison are below 0.05."""
    tests = [test for each in every for test in mcnemar_tests(each.of(method), each.of(baseline))]
    return f"{sum(test.p < 0.05 for test in tests)} of {len(tests)}"


def mcnemar_table(every: Sequence[TaskDecisions], method: str, baseline: str) -> pd.DataFrame:
    """A line for each task: on how many rows only one of two methods is right, and what McNemar's tests say."""
    rows = []
    for decisions in every:
        if not {method, baseline} <= set(decisions.methods):
            continue
        tests = mcnemar_tests(decisions.of(method), decisions.of(baseline))
        if tests:
            p = [test.p for test in tests]
            rows.append(
                {
                    "task": decisions.task,
                    f"only {method} right": number(float(np.mean([test.first_only for test in tests])), 1),
                    f"only {baseline} right": number(float(np.mean([test.second_only for test in tests])), 1),
                    "of rows": f"{decisions.of(method)['row'].nunique():,}",
                    "p, median": p_value(float(np.median(p))),
                    "p < 0.05": f"{sum(each < 0.05 for each in p)} of {len(p)}",
                }
            )
    return pd.DataFrame(rows)


def _add_figures(document: Document, every: Sequence[TaskDecisions], methods: Sequence[str]) -> None:
    """Confusion matrices and calibration curves of the methods that the primary question is of."""
    drawn = [each for each in every if set(methods) & set(each.methods)][: error_figures.MOST_TASKS]
    if not drawn:
        return
    some = f" The first {len(drawn)} of {len(every)} tasks." if len(drawn) < len(every) else ""
    curves = {
        each.task: {name: calibration(each.of(name)) for name in methods if name in each.methods} for each in drawn
    }
    if any(len(curve) for of_task in curves.values() for curve in of_task.values()):
        caption = (
            "How often a method is right, by how sure it is, over all pairs of seeds; on the dotted line it is as "
            f"often right as it says. Larger points: more decisions.{some}"
        )
        document.add(Figure("calibration", partial(error_figures.calibration_curves, curves), caption))
    counts = {
        each.task: {name: confusion(each.of(name), each.classes) for name in methods if name in each.methods}
        for each in drawn
    }
    caption = (
        "Which classes are taken for which, over all pairs of seeds: the class of a text down, the class it was given "
        f"across; per cent of the decisions on texts of the class.{some}"
    )
    document.add(Figure("confusion", partial(error_figures.confusion_maps, counts), caption))


def calibration_table(every: Sequence[TaskDecisions], methods: Sequence[str]) -> pd.DataFrame:
    """A line for each method: how sure it is, how often right, and the error beside that of perfect probabilities."""
    rows = []
    for method in methods:
        of_tasks = [calibration_of(each.of(method)) for each in every if method in each.methods]
        found = [each for each in of_tasks if each.seeds]
        if found:
            values = [(each.confidence, each.accuracy, each.error, each.floor) for each in found]
            sure, right, error, floor = (float(value) for value in np.mean(values, axis=0))
            rows.append(
                {
                    "method": method,
                    "sure": tables.percent(sure),
                    "right": tables.percent(right),
                    "calibration error": number(100 * error, 1),
                    "of perfect probabilities": number(100 * floor, 1),
                    "tasks": len(found),
                }
            )
    return pd.DataFrame(rows)


def confusion_table(every: Sequence[TaskDecisions], methods: Sequence[str]) -> pd.DataFrame:
    """The most frequent confusions of each task and method."""
    rows = []
    for decisions in every:
        for method in (name for name in methods if name in decisions.methods):
            counts = confusion(decisions.of(method), decisions.classes)
            shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
            wrong = [
                (float(shares.loc[label, called]), str(label), str(called), int(counts.loc[label, called]))
                for label in counts.index
                for called in counts.columns
                if label != called and counts.loc[label, called]
            ]
            rows += [
                {
                    "task": decisions.task,
                    "method": method,
                    "is": label,
                    "called": called,
                    "of the class": tables.percent(share),
                    "decisions": f"{count:,}",
                }
                for share, label, called, count in sorted(wrong, key=lambda each: -each[0])[:LISTED]
            ]
    return pd.DataFrame(rows)


def slice_table(every: Sequence[TaskDecisions], methods: Sequence[str]) -> tuple[pd.DataFrame, int]:
    """The slices of each task and method with the lowest accuracy, and how many were too small to be listed."""
    rows, left_out = [], 0
    for decisions in every:
        present = [name for name in methods if name in decisions.methods]
        found = decisions.slice_table(present)
        small = found["rows"] < FEW_ROWS
        left_out += len(found[small].drop_duplicates(["by", "slice"]))
        for method in present:
            said = decisions.of(method)
            whole = float((said["label"] == said["predicted"]).mean())
            lowest = found[~small & (found["method"] == method)].sort_values("accuracy", kind="stable").head(LISTED)
            rows += [
                {
                    "task": decisions.task,
                    "method": method,
                    "cut by": each.by,
                    "slice": str(each.slice),
                    "rows": f"{each.rows:,}",
                    "right": f"{tables.percent(each.accuracy)} ({number(100 * each.low, 0)} to "
                    f"{number(100 * each.high, 0)})",
                    "all rows": tables.percent(whole),
                }
                for each in lowest.itertuples()
            ]
    return pd.DataFrame(rows), left_out
