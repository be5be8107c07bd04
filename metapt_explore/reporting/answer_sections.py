"""The answers to the questions of a study, and the tests behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd

from metapt_explore.config import NOT_ON_TEST
from metapt_explore.plots.series import differences
from metapt_explore.reporting import figures, tables
from metapt_explore.reporting.document import Bullets, Document, Figure, Heading, Paragraph, Table
from metapt_explore.reporting.notes import missing_sentences, notes_of, unfinished
from metapt_explore.reporting.over_seeds import over_seeds
from metapt_explore.reporting.questions import StudyQuestion
from metapt_explore.results.record import Record
from metapt_explore.statistics import Comparison
from metapt_explore.statistics.comparison import TaskDifference
from metapt_explore.statistics.numbers import MISSING, interval, p_value, points
from metapt_explore.statistics.significance import holm
from metapt_explore.statistics.verdict import MAX_NAMED_PAIRS, METRIC_NAMES, MIN_SEEDS_FOR_VERDICT, metric_name

#: Comparisons whose figures are drawn; all are in the table.
DRAWN = 6
#: Of them those that are drawn whatever they say: the primary one and, as a rule, its control.
FIRST = 2
#: From so many comparisons on that have too few seeds, they share a line.
SAID_TOGETHER = 3
#: p-values below it count.
LEVEL = 0.05


def add_answer(
    document: Document, record: Record, *, asked: list[StudyQuestion], comparisons: list[Comparison]
) -> None:
    document.add(Heading("The answer"))
    if not asked:
        document.add(Paragraph("The study has no two methods whose comparison answers a question.", note=True))
    for label, names in over_seeds(record.results, record.study).stands_for.items():
        sentence = f"**{label}** stands for {', '.join(names)}: scores of a pair of seeds are means over these."
        document.add(Paragraph(sentence))
    for question, answer in zip(asked, comparisons, strict=True):
        if question.primary:
            document.add(Paragraph(f"**{question.text}** {answer.sentence}", note=True))
            document.add(Paragraph(answer.to_settle))
            document.add(*([Bullets(list(answer.caveats))] if answer.caveats else []))
    others = [(q, a) for q, a in zip(asked, comparisons, strict=True) if not q.primary]
    if others:
        corrected = holm([answer.p for _, answer in others])
        tested = sum(p is not None for p in corrected)
        undecided = [answer for _, answer in others if answer.independent < MIN_SEEDS_FOR_VERDICT]
        short = undecided if len(undecided) >= SAID_TOGETHER else []
        bullets = [
            f"**{question.text}** {_told(answer, p, tested)}"
            for (question, answer), p in zip(others, corrected, strict=True)
            if answer not in short
        ]
        document.add(Bullets([*bullets, *([_too_few(short)] if short else [])]))
    if record.study["evaluation"].get("scored_on", "test") != "test":
        document.add(Paragraph(NOT_ON_TEST, note=True))
    if notes := notes_of(record):
        document.add(Bullets(notes))
    if so_far := unfinished(record):
        document.add(Paragraph(so_far, note=True))


def add_missing(document: Document, missing: Sequence[Mapping[str, str]]) -> None:
    """Parts of the study that failed or are lost; no section where there are none."""
    if missing:
        text = "These parts are not there, nor is what is made of them. `metapt run` tries them again."
        document.add(Heading("What is missing"), Paragraph(text), Bullets(missing_sentences(missing)))


def _told(answer: Comparison, corrected: float | None, comparisons: int) -> str:
    """A secondary verdict and what correction leaves of it; where there is none yet, what would bring it.

    Args:
        answer: The comparison.
        corrected: Its p-value after Holm.
        comparisons: How many it was corrected for.
    """
    if answer.verdict in ("cannot tell", "nothing learned"):
        return f"{answer.sentence} {answer.to_settle}"
    if answer.verdict == "no difference" or corrected is None or comparisons == 1:
        return answer.sentence
    if corrected < LEVEL:
        return f"{answer.sentence} Corrected for {comparisons} comparisons it still is (p {_equals(corrected)})."
    luck = f"Corrected for {comparisons} comparisons p {_equals(corrected)}: not beyond luck among so many."
    return f"{answer.sentence} {luck}"


def _too_few(undecided: list[Comparison]) -> str:
    """Comparisons that cannot say anything yet, in one line; each has its row in the table of tests."""
    sides = []
    for baseline in dict.fromkeys(answer.baseline for answer in undecided):
        gaps = [
            f"{answer.method} {points(answer.difference)} ({answer.independent})"
            for answer in undecided
            if answer.baseline == baseline
        ]
        sides.append(f"against {baseline}: {', '.join(gaps)}")
    score = METRIC_NAMES.get(undecided[0].metric, undecided[0].metric)
    return (
        f"**Too few seeds to say anything**, in points of {score} (in brackets the independent seeds; it takes at "
        f"least {MIN_SEEDS_FOR_VERDICT}): {'; '.join(sides)}. Each has its row under *Tests*; those that "
        "have a p-value count in the correction."
    )


def _equals(p: float) -> str:
    written = p_value(p)
    return written if written.startswith("<") else f"= {written}"


def add_tests(
    document: Document,
    asked: list[StudyQuestion],
    comparisons: list[Comparison],
    *,
    margin: float,
    beside: Comparison | None = None,
) -> None:
    if not asked:
        return
    document.add(Heading("Tests"))
    document.add(
        Paragraph(
            f"{one_primary(asked)} All others are secondary; their p-values are corrected after Holm. Tests are of "
            "the mean over tasks, a pair of seeds being the unit; a t test that knows which pairs share a seed. "
            f"Differences below {points(margin, sign=False)} points count as none: *no difference* means that the 95 % "
            "interval lies within that margin. The verdict of a comparison goes by its own interval, which is not "
            "corrected."
        )
    )
    name = METRIC_NAMES.get(comparisons[0].metric, comparisons[0].metric)
    document.add(Table(question_table(asked, comparisons), f"Differences in points of {name}, mean over tasks."))
    first, others = (
        list(zip(asked, comparisons, strict=True))[:FIRST],
        list(zip(asked, comparisons, strict=True))[FIRST:],
    )
    others.sort(key=lambda pair: 1.0 if pair[1].p is None else pair[1].p)
    panels = {f"{q.method} − {q.baseline}": differences(a, "mean") for q, a in [*first, *others][:DRAWN]}
    caption = (
        "Difference for each task and, in bold, the mean over tasks, with 95 % intervals (not corrected). "
        "Intervals in colour do not reach 0, grey ones do."
        + (f" Of {len(asked)} comparisons the first two and the clearest of the others." if len(asked) > DRAWN else "")
    )
    document.add(Figure("differences", partial(figures.difference_forest, panels), caption))
    for question, answer in zip(asked, comparisons, strict=True):
        if question.primary:
            document.add(Heading(f"{question.method} against {question.baseline}, task by task", 3))
            caption = "Secondary tests. Wins, ties and losses are counted over pairs of seeds."
            if beside is not None:
                name = metric_name(beside.metric)
                caption += f" The last columns are of {name}: its difference in points, and the p-value of that."
            document.add(Table(task_rows(answer, beside), caption))


def one_primary(asked: list[StudyQuestion]) -> str:
    """Which test is the primary one, or that it has no scores yet."""
    first = next((question for question in asked if question.primary), None)
    if first is None:
        return "The study's one primary test has no scores yet."
    return f"One test is primary: {first.method} − {first.baseline}."


def question_table(asked: list[StudyQuestion], comparisons: list[Comparison]) -> pd.DataFrame:
    """A row for each question: difference, intervals, p-values and verdict, written for people."""
    corrected = iter(holm([a.p for q, a in zip(asked, comparisons, strict=True) if not q.primary]))
    rows = []
    for question, answer in zip(asked, comparisons, strict=True):
        rows.append(
            {
                "comparison": f"{question.method} − {question.baseline}",
                "test": "primary" if question.primary else "secondary",
                "difference": points(answer.difference),
                "95 % interval": interval(answer.low, answer.high),
                "bootstrap": interval(answer.bootstrap.low, answer.bootstrap.high),
                "p": p_value(answer.p),
                "p, Holm": "–" if question.primary else p_value(next(corrected)),
                "p, sign flips": p_value(answer.sign_flip.p),
                "degrees of freedom": "–" if answer.df is None else f"{answer.df:.1f}".removesuffix(".0"),
                "pairs": answer.pairs,
                "wins–ties–losses": f"{answer.wins}–{answer.ties}–{answer.losses}",
                "pairs needed": _needed(answer.seeds_needed.observed),
                "verdict": answer.verdict,
            }
        )
    return pd.DataFrame(rows)


def task_rows(answer: Comparison, beside: Comparison | None = None) -> pd.DataFrame:
    """A row for each task of a comparison, written for people.

    Args:
        answer: The comparison.
        beside: The same one by another score, of which difference and p-value are shown behind it.
    """
    others = {task.task: task for task in beside.per_task} if beside is not None else {}
    name = metric_name(beside.metric) if beside is not None else ""
    return pd.DataFrame(
        [
            {
                "task": task.task,
                answer.method: tables.percent(task.method_mean),
                answer.baseline: tables.percent(task.baseline_mean),
                "difference": points(task.difference),
                "95 % interval": interval(task.low, task.high),
                "p": p_value(task.p),
                "p, Holm": p_value(task.p_holm),
                "wins–ties–losses": f"{task.wins}–{task.ties}–{task.losses}",
                **({"above guessing": "no" if task.at_chance else "yes"} if task.at_chance is not None else {}),
                **_by_other_score(name, others.get(task.task)),
            }
            for task in answer.per_task
        ]
    )


def _by_other_score(name: str, task: TaskDifference | None) -> dict[str, str]:
    if not name:
        return {}
    shown = (MISSING, MISSING) if task is None else (points(task.difference), p_value(task.p))
    return dict(zip((name, f"{name}, p"), shown, strict=True))


def _needed(pairs: int | None) -> int | str:
    """More than anyone will compute is said as such: the exact number would look like knowledge."""
    if pairs is None:
        return "–"
    return pairs if pairs <= MAX_NAMED_PAIRS else f"over {MAX_NAMED_PAIRS:,}"
