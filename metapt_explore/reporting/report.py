"""The report of a study: what was asked, the answer, how sure it is, and what it was made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace

import pandas as pd

from metapt_explore.errors import UserError
from metapt_explore.reporting.answer_sections import add_answer, add_missing, add_tests
from metapt_explore.reporting.background_sections import (
    add_agreement,
    add_clusters,
    add_data,
    add_fairness,
    add_limits,
    add_made_with,
)
from metapt_explore.reporting.document import Document, Paragraph, quoted
from metapt_explore.reporting.efficiency_section import add_efficiency
from metapt_explore.reporting.error_section import add_errors
from metapt_explore.reporting.notes import grounds_of, metric_of, unfinished
from metapt_explore.reporting.over_seeds import over_seeds
from metapt_explore.reporting.paper_numbers import add_paper_numbers
from metapt_explore.reporting.questions import StudyQuestion, questions_of
from metapt_explore.reporting.readers_section import add_readers
from metapt_explore.reporting.score_sections import add_scores, add_starts, add_steadiness
from metapt_explore.reporting.screen_section import add_screenings
from metapt_explore.results.record import Record
from metapt_explore.statistics import Comparison, compare
from metapt_explore.statistics.units import paired_scores


def make_report(record: Record, missing: Sequence[Mapping[str, str]] = ()) -> Document:
    """Makes the report of a study, finished or not.

    Args:
        record: The study's scores and facts.
        missing: Parts of the study that failed or are lost: for each ``key`` and ``reason``.

    Example:
        >>> make_report(record_of(Workspace("workspace"), "tour")).write(Path("report"))  # doctest: +SKIP
    """
    as_recorded = record
    # Whatever names hold, sentences and tables made of them mark nothing.
    record = Record(**{part.name: quoted(getattr(record, part.name)) for part in fields(record)})
    document = Document(record.title or record.name)
    results = record.results
    if results.empty:
        document.add(Paragraph("Nothing is finished yet: there are no scores to report.", note=True))
        add_missing(document, missing)
        return document
    methods, margin = _methods(record), margin_of(record)
    asked, comparisons = answers(record)
    add_answer(document, record, asked=asked, comparisons=comparisons)
    add_missing(document, missing)
    add_scores(document, record, methods)
    add_paper_numbers(document, record)
    add_tests(document, asked, comparisons, margin=margin, beside=_by_other_score(record, asked))
    add_readers(document, record)
    add_steadiness(document, record, methods, comparisons=comparisons)
    add_starts(document, record, methods, asked=asked)
    add_efficiency(document, record, methods)
    over_both = add_errors(document, record, asked, comparisons)
    add_fairness(document, record)
    add_clusters(document, record)
    add_agreement(document, record)
    add_screenings(document, record)
    add_data(document, record)
    add_limits(document, record, over_both=over_both)
    add_made_with(document, replace(record, study=as_recorded.study))  # the study's file, letter by letter
    return document


def verdicts(record: Record) -> list[str]:
    """The answers in one sentence each, the primary one first; what a terminal or a page shows."""
    if record.results.empty:
        return []
    asked, comparisons = answers(record)
    # A verdict over a part of the scores must not be taken for that of the study.
    so_far = unfinished(record)
    sentences = [f"{q.text} {a.sentence} {a.to_settle}" for q, a in zip(asked, comparisons, strict=True)]
    return [" ".join(filter(None, [so_far, sentence])) for sentence in sentences]


def answers(record: Record) -> tuple[list[StudyQuestion], list[Comparison]]:
    """The questions that a study can answer so far, the primary one first, and what is found."""
    joined = over_seeds(record.results, record.study)
    finished = list(dict.fromkeys(joined.results["method"]))
    metric = metric_of(record)
    asked = _comparable(joined.results, questions_of(joined.study, finished), metric)
    margin, grounds = margin_of(record), grounds_of(record)
    return asked, [
        compare(joined.results, q.method, q.baseline, metric=metric, margin=margin, grounds=grounds) for q in asked
    ]


def _by_other_score(record: Record, asked: Sequence[StudyQuestion]) -> Comparison | None:
    """The primary question by macro F1, or by accuracy where the study asks for macro F1; None without such scores."""
    first = next((question for question in asked if question.primary), None)
    other = "accuracy" if metric_of(record) == "macro_f1" else "macro_f1"
    results = over_seeds(record.results, record.study).results
    if first is None or other not in results or metric_of(record) not in ("accuracy", "macro_f1"):
        return None
    with suppress(UserError):  # no pair of seeds has this score under both
        return compare(results, first.method, first.baseline, metric=other, grounds=grounds_of(record))
    return None


def margin_of(record: Record) -> float:
    """Differences smaller than this count as none."""
    return float(record.study["evaluation"].get("margin", 0.02))


def _methods(record: Record) -> list[str]:
    """Methods that have scores, in the order of the study; what the study does not list (baselines) behind them."""
    scored = list(dict.fromkeys(record.results["method"]))
    return [name for name in record.methods if name in scored] + [n for n in scored if n not in record.methods]


def _comparable(results: pd.DataFrame, asked: list[StudyQuestion], metric: str) -> list[StudyQuestion]:
    """Questions for which some pair of seeds has all tasks under both methods."""
    comparable = []
    for question in asked:
        with suppress(UserError):
            if not paired_scores(results, question.method, question.baseline, metric=metric).complete.method.empty:
                comparable.append(question)
    return comparable
