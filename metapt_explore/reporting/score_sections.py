"""Scores, how steady they are, and what the start was worth."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

import pandas as pd

from metapt_explore.config.task_terms import format_shots
from metapt_explore.errors import UserError
from metapt_explore.plots.series import whole_units
from metapt_explore.reporting import figures, tables
from metapt_explore.reporting.document import Bullets, Document, Figure, Heading, Paragraph, Table
from metapt_explore.reporting.notes import choice_sentence, grounds_of, methods_chosen_on_dev
from metapt_explore.reporting.over_seeds import over_seeds
from metapt_explore.reporting.questions import StudyQuestion
from metapt_explore.results.record import Record
from metapt_explore.statistics import Comparison, compare, variance_sources
from metapt_explore.statistics.variance import REST, SOURCES, TOTAL


def scored_rows(record: Record) -> str:
    """What scores are on: test rows, or what a study for choosing among recipes has in their place."""
    return "test rows" if record.study["evaluation"].get("scored_on", "test") == "test" else "scored rows"


def _on_common_pairs(results: pd.DataFrame, methods: list[str], column: str) -> pd.DataFrame:
    """Rows that have a score of the column, of pairs of seeds that all methods have it of: means are comparable."""
    scored = results[results["method"].isin(methods)].dropna(subset=[column])
    methods_per_pair = scored.groupby(tables.UNIT)["method"].nunique()
    common = methods_per_pair[methods_per_pair == scored["method"].nunique()].index
    return scored[pd.MultiIndex.from_frame(scored[tables.UNIT]).isin(common)]


def add_scores(document: Document, record: Record, methods: list[str]) -> None:
    results = record.results
    evaluation = record.study["evaluation"]
    document.add(Heading("Scores"))
    rows = evaluation.get("scored_on", "test").replace("_", " ")
    tuned = _is_tuned(record)
    when = f"after tuning on {format_shots(evaluation)}" if tuned else "before any tuning"
    caption = (
        f"Accuracy on {rows} in percent {when}, mean ± standard deviation over pairs of seeds (initialisation seed, "
        "data seed). The spread in the column *mean* is that of the mean over tasks."
        + (f" {choice_sentence(record.study)}" if tuned else "")
    )
    document.add(Table(tables.score_table(results, methods), caption))
    if "macro_f1" in results and results["macro_f1"].notna().any():
        text = "Macro F1 likewise: the mean over classes, each counting alike however many rows it has."
        if evaluation.get("metric") == "macro_f1":
            text += " The study's comparisons are of it."
        document.add(Table(tables.score_table(results.dropna(subset=["macro_f1"]), methods, "macro_f1"), text))
    spread = partial(figures.seed_spread, results, methods)
    document.add(Figure("seeds", spread, "Every score is a point; the bar is the mean."))


def _is_tuned(record: Record) -> bool:
    """Whether the study tunes at all; one that ranks starts does not."""
    return bool(record.study["evaluation"].get("steps", 30))


def add_steadiness(document: Document, record: Record, methods: list[str], *, comparisons: list[Comparison]) -> None:
    document.add(Heading("Steadier?"))
    joined = over_seeds(record.results, record.study)
    cells = joined.results.groupby("method")
    each = {
        str(method): len(study_methods) / len(study_methods.drop_duplicates(["task", *tables.UNIT]))
        for method, study_methods in cells
    }
    alike = [answer for answer in comparisons if each[answer.method] == each[answer.baseline]]
    if alike:
        rows = [
            {
                "comparison": f"{answer.method} / {answer.baseline}",
                "ratio of standard deviations": "–" if whole.ratio is None else f"{whole.ratio:.2f}",
                "95 % interval": "–" if whole.low is None else f"{whole.low:.2f} to {whole.high:.2f}",
                "standard deviations": f"{tables.percent(whole.method_deviation)} / "
                f"{tables.percent(whole.baseline_deviation)}",
                "worst pair": f"{tables.percent(whole.method_worst.score)} / "
                f"{tables.percent(whole.baseline_worst.score)}",
            }
            for answer in alike
            for whole in answer.spread[:1]
        ]
        caption = (
            "Below 1 the first method varies less from pair to pair. The ratio is a geometric mean over tasks, the "
            "standard deviations are means over tasks; the interval comes from drawing seeds with replacement. *Worst "
            "pair*: lowest mean over tasks."
        )
        document.add(Table(pd.DataFrame(rows), caption))
    if len(alike) < len(comparisons):
        text = "Of methods whose score of a pair is a mean over several draws there is no ratio: a mean varies less."
        document.add(Paragraph(text))
    whole_pairs = whole_units(record.results)
    if whole_pairs[record.results["method"].isin(record.methods)].any():
        caption = "Mean over tasks of every pair of seeds; a line is one pair under each method."
        # Baselines, some of them far below, would press the methods' spread, which is the question, into a strip.
        study_methods = [name for name in methods if name in record.methods]
        if len(study_methods) < len(methods):
            caption += " Baselines are in the table of scores."
        document.add(Figure("pairs", partial(figures.paired_means, record.results, study_methods), caption))
    replaced = [name for names in joined.stands_for.values() for name in names]
    methods = [*joined.stands_for, *(method for method in methods if method not in replaced)]
    methods = [method for method in methods if method in set(joined.results["method"])]
    sources = pd.concat([variance_sources(joined.results, m).assign(method=m) for m in methods], ignore_index=True)
    pooled = sources[sources["task"] == "all tasks"]
    if pooled["share"].notna().any():
        rows = [
            {"method": m, **{r["source"]: _share(r) for r in pooled[pooled["method"] == m].to_dict(orient="records")}}
            for m in methods
        ]
        text = "Standard deviation in points by source, and its share of the variance; mean over tasks."
        every = pd.DataFrame(rows)
        order = [name for name in ("method", *SOURCES.values(), REST, TOTAL) if name in every]
        document.add(Table(every[order].fillna("–"), text))
    elif len(pooled):
        document.add(Paragraph(f"The variance cannot be split by source: {pooled['note'].iloc[0]}."))


def _share(row: dict[str, Any]) -> str:
    if pd.isna(row["share"]):
        return "–"
    return f"{tables.percent(row['variance'] ** 0.5)} ({100 * row['share']:.0f} %)"


def add_starts(document: Document, record: Record, methods: list[str], *, asked: list[StudyQuestion]) -> None:
    if not record.methods:
        return  # baselines alone have no start
    document.add(Heading("A better start?"))
    scored = record.results.dropna(subset=["start_accuracy"])
    same = tables.read_twice(record.study, methods)
    methods = [method for method in methods if method not in same]
    # Baselines have no prompt; some have a start of another kind.
    own = [method for method in methods if method in set(scored["method"]) and method in record.methods]
    if same:
        told = ", ".join(f"{earlier} ({method} as well)" for method, earlier in same.items())
        document.add(Paragraph(f"The same prompts, read otherwise, have one row in this section: {told}."))
    tuned = _is_tuned(record)
    if not tuned:
        document.add(Paragraph("Nothing was tuned: the scores above are those of the starts."))
    elif own:
        text = "Accuracy of the prompt before it saw an example of the task."
        document.add(Table(tables.score_table(scored, own, "start_accuracy"), text))
    joined, grounds = over_seeds(scored, record.study).results, grounds_of(record)
    pairs = [(same.get(q.method, q.method), same.get(q.baseline, q.baseline)) for q in asked if q.primary]
    primary = [pair for pair in pairs if len(set(pair)) == 2 and set(pair) <= set(joined["method"])]
    for method, baseline in primary if tuned else ():
        document.add(Paragraph(compare(joined, method, baseline, metric="start_accuracy", grounds=grounds).sentence))
    column = "start_calibrated_accuracy"
    calibrated = _on_common_pairs(record.results, own, column) if column in record.results else pd.DataFrame()
    if len(calibrated):
        text = (
            f"The same, calibrated: the mean over the {scored_rows(record)} is taken off the scores (labels are not "
            "looked at). A start that says one class whatever the text looks like a guess above and may be a good one "
            "here."
        )
        some, every = (len(rows[tables.UNIT].drop_duplicates()) for rows in (calibrated, scored))
        text += "" if some == every else f" Of {some} pairs of seeds; the others were not scored so."
        document.add(Table(tables.score_table(calibrated, own, column), text))
        joined = over_seeds(calibrated, record.study).results
        for method, baseline in primary:
            with suppress(UserError):  # not all scores may have it
                document.add(Paragraph(compare(joined, method, baseline, metric=column, grounds=grounds).sentence))
        text = "After tuning, calibrated likewise: what a few-shot user who may look at all texts at once would see."
        # Of a method that is read beside a probe only the start is label words alone.
        by_words = [m for m in own if calibrated.loc[calibrated["method"] == m, "calibrated_accuracy"].notna().any()]
        if tuned:
            document.add(Table(tables.score_table(calibrated, by_words, "calibrated_accuracy"), text))
    if not tuned:
        return
    chosen_on_dev = methods_chosen_on_dev(record.study)
    if record.curves.get("test_accuracy", pd.Series(dtype=float)).notna().any():
        drawn = [method for method in methods if method in set(record.curves.dropna(subset="test_accuracy")["method"])]
        picture = partial(figures.tuning_curves, record.curves, drawn)
        rows, halved = (record.study["evaluation"].get(key) for key in ("curve_rows", "halving_steps"))
        rate = "the rate that dev chose" if chosen_on_dev else "one learning rate"
        text = (
            f"Mean accuracy after so many tuning steps at {rate}; the band is ± one standard error."
            + (f" Over {rows} {scored_rows(record)} a task." if rows else "")
            + (" A chosen rate that dropped out on the way keeps its last score." if halved else "")
        )
        document.add(Figure("starts", picture, text))
    baselines = [baseline["name"] for baseline in record.study.get("baselines", [])]
    chosen = tables.choice_table(record.results, [m for m in methods if m in (*chosen_on_dev, *baselines)])
    if len(chosen):
        text = (
            "What dev chose: the learning rate, of the scores that did not keep their start, and after how many steps "
            "the prompt was kept."
        )
        document.add(Table(chosen, text))
        grids = {budget["method"]: budget["learning_rates"] or () for budget in record.budgets}
        notes = tables.edge_notes(record.results, methods, grids)
        # Dev rows that are training rows ask for more steps whatever these do to others.
        telling = record.results[~record.results["task"].isin(_tasks_tuned_on_dev(record))]
        alike = [method for method in _tuned_alike(record) if method in chosen_on_dev]
        notes += tables.late_notes(telling, alike, record.study["evaluation"].get("steps", 30))
        document.add(*([Bullets(notes)] if notes else []))


def _tasks_tuned_on_dev(record: Record) -> set[str]:
    """Tasks most of whose dev rows are training rows as well."""
    return {
        str(o["task"])
        for o in record.overlaps
        if o["task"] == o["other_task"] and (o["part"], o["other_part"]) == ("dev", "train") and o["share"] > 0.5
    }


def _tuned_alike(record: Record) -> list[str]:
    """Methods that are tuned for as many steps as the study says."""
    methods = record.study.get("methods", [])
    return [m["name"] for m in methods if not m.get("extra_tuning") and not (m.get("tuning") or {}).get("steps")]
