"""Several records as one answer: the same two methods, pooled over studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from metapt_explore.config.renamed import with_new_names
from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.plots.series import pooled_differences
from metapt_explore.reporting import figures
from metapt_explore.reporting.document import Bullets, Document, Figure, Heading, Paragraph, Table
from metapt_explore.reporting.notes import grounds_of, metric_of
from metapt_explore.reporting.questions import questions_of
from metapt_explore.results.record import Record
from metapt_explore.statistics.compare import compare
from metapt_explore.statistics.numbers import interval, percent, points
from metapt_explore.statistics.pooling import Pooled, StudyEffect, pool_effects
from metapt_explore.statistics.verdict import metric_name

CELL = ["method", "task", "data_seed", "init_seed"]
#: Keys of a method that are names, not settings.
NAMES = ("name", "clustering")


def pool(records: Sequence[Record | str | Path], method: str = "", baseline: str = "") -> Pooled:
    """Pools the difference of two methods over the records of several studies.

    Args:
        records: Records, or their folders; two or more.
        method: A method that all of them have; with `baseline`, the first record's primary question when absent.
        baseline: Another.

    Raises:
        UserError: If a record lacks a method, has another under its name, is scored on other rows, is compared by
            another score, says nothing or too little of the spread, or holds the scores of another record once more.

    Example:
        >>> print(pool(["studies/amazon", "studies/starter"], "MetaPT", "PPT").sentence)  # doctest: +SKIP
    """
    opened = [record if isinstance(record, Record) else Record.load(Path(record)) for record in records]
    if len(opened) < 2:
        raise UserError("Pooling takes the records of two studies or more.")
    if bool(method) != bool(baseline):
        raise UserError("Name both methods, or neither: then it is the primary question of the first record.")
    if not method:
        method, baseline = _primary(opened[0])
    if method == baseline:
        raise UserError(f"'{method}' cannot be compared with itself; name two methods.")
    for record in opened:
        _has(record, method, baseline)
    metric, caveats = _same_metric(opened), _same_recipe(opened, method, baseline)
    _own_scores(opened, method, baseline)
    effects = [_effect(record, method, baseline, metric) for record in opened]
    shared = sorted(set.intersection(*(set(effect.tasks) for effect in effects)))
    if shared:
        caveats.append(
            f"Studies share tasks ({', '.join(shared)}), and may share test rows: their error is the same in each."
        )
    return pool_effects(method, baseline, effects, metric=metric, caveats=caveats)


def _same_metric(records: Sequence[Record]) -> str:
    """The score that all records' comparisons are of; refuses several."""
    named: dict[str, str] = {}
    for record in records:
        named.setdefault(metric_of(record), record.name)
    if len(named) > 1:
        each = ", ".join(f"{metric_name(metric)} in '{name}'" for metric, name in named.items())
        raise UserError(
            f"Comparisons of these records are of different scores ({each}), and their differences cannot be pooled. "
            "Give the studies one `evaluation.metric`, and record them again: nothing is trained anew."
        )
    return next(iter(named))


def _primary(record: Record) -> tuple[str, str]:
    asked = questions_of(record.study, list(dict.fromkeys(record.results["method"])))
    primary = next((question for question in asked if question.primary), None)
    if primary is None:
        raise UserError(f"The record '{record.name}' asks no question of two methods: name both methods.")
    return primary.method, primary.baseline


def _has(record: Record, *methods: str) -> None:
    there = list(dict.fromkeys(record.results["method"]))
    for method in methods:
        if method not in there:
            raise UserError(
                f"The record '{record.name}' has no scores of '{method}', and only studies of the same two methods can "
                f"be pooled. {did_you_mean(method, there)}"
            )


def _entry(record: Record, method: str) -> dict[str, Any]:
    study: Mapping[str, Any] = with_new_names(dict(record.study))[0]
    for entry in (*study.get("methods", []), *study.get("baselines", [])):
        settings = {"name": entry, "kind": entry} if isinstance(entry, str) else entry
        if settings["name"] == method:
            return dict(settings)
    return {}


def _same_recipe(records: Sequence[Record], *methods: str) -> list[str]:
    """Refuses other kinds of methods under one name; says which settings differ."""
    rows = {str(record.study["evaluation"].get("scored_on", "test")) for record in records}
    if len(rows) > 1:
        raise UserError("Some of these records are scored on test rows, others on dev rows of other seeds.")
    caveats = []
    for method in methods:
        first = _entry(records[0], method)
        for record in records[1:]:
            other = _entry(record, method)
            if first.get("kind") != other.get("kind"):
                raise UserError(
                    f"'{method}' is {first.get('kind')} in '{records[0].name}' and {other.get('kind')} in "
                    f"'{record.name}': these are different methods, which cannot be pooled."
                )
            keys = sorted(k for k in first.keys() | other.keys() if k not in NAMES and first.get(k) != other.get(k))
            if keys:
                caveats.append(
                    f"{method} has other settings in '{record.name}' than in '{records[0].name}': {', '.join(keys)}."
                )
    return caveats


def _own_scores(records: Sequence[Record], method: str, baseline: str) -> None:
    """Refuses records of which one holds scores of the other: they would count twice."""
    tables = [r.results[r.results["method"].isin([method, baseline])] for r in records]
    for (first, a), (second, b) in combinations(zip(records, tables, strict=True), 2):
        measured = [column for column in ("accuracy", "test_loss") if column in a and column in b]
        same = pd.merge(a, b, on=[*CELL, *measured])
        if 2 * len(same) > min(len(a), len(b)):
            raise UserError(
                f"'{first.name}' and '{second.name}' hold the same scores of '{method}' and '{baseline}': they would "
                "count twice. Leave one of the records out."
            )


def _effect(record: Record, method: str, baseline: str, metric: str) -> StudyEffect:
    found = compare(record.results, method, baseline, metric=metric, grounds=grounds_of(record))
    if found.standard_error is None or found.low is None or found.high is None:
        raise UserError(
            f"The record '{record.name}' has {found.pairs} pairs of seeds that say nothing of the spread of "
            f"{method} − {baseline}: it has no weight in a pool. Leave it out."
        )
    # A seed that is the same in all pairs says nothing of the spread, and takes nothing from it.
    seeds = min(levels for levels in (found.init_seeds, found.data_seeds) if levels > 1)
    return StudyEffect(
        record.name, found.difference, found.standard_error, found.low, found.high, found.pairs, seeds, found.tasks
    )


def pooled_report(pooled: Pooled) -> Document:
    """The pooled answer, its studies in a table and as a forest plot."""
    document = Document(f"{pooled.method} − {pooled.baseline} over {len(pooled.effects)} studies")
    document.add(Heading("The answer"), Paragraph(pooled.sentence, note=True))
    if pooled.predicted is not None:
        text = f"In another study of this kind the true difference lies at {interval(*pooled.predicted)} points (95 %)."
        document.add(Paragraph(text))
    document.add(*([Bullets(list(pooled.caveats))] if pooled.caveats else []))
    note = (
        f"Differences in {_unit(pooled)}, mean over tasks. Weights of a random-effects model (Paule and Mandel); the "
        "pooled interval is Hartung and Knapp's."
    )
    document.add(Heading("Studies"), Table(pooled_table(pooled), note))
    lines = {f"{pooled.method} − {pooled.baseline}": pooled_differences(pooled)}
    caption = "The difference in each study and, in bold, the pooled one, with 95 % intervals; grey ones reach 0."
    document.add(Figure("pooled", partial(figures.difference_forest, lines, _unit(pooled)), caption))
    return document


def _unit(pooled: Pooled) -> str:
    return f"points of {metric_name(pooled.metric)}"


def pooled_table(pooled: Pooled) -> pd.DataFrame:
    """A row for each study, written for people."""
    return pd.DataFrame(
        [
            {
                "study": effect.study,
                "difference": points(effect.difference),
                "95 % interval": interval(effect.low, effect.high),
                "pairs": effect.pairs,
                "tasks": len(effect.tasks),
                "weight": percent(weight, 0),
            }
            for effect, weight in zip(pooled.effects, pooled.weights, strict=True)
        ]
    )
