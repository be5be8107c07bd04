"""The report of a study: what was asked, the answer, how sure it is, and what it was made with."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pandas as pd

from metapt_explore.config import NOT_ON_TEST
from metapt_explore.errors import UserError
from metapt_explore.reporting import figures, tables
from metapt_explore.reporting.document import Bullets, Code, Document, Figure, Heading, Paragraph, Table
from metapt_explore.reporting.questions import Question, questions_of
from metapt_explore.runs.record import Record
from metapt_explore.statistics import (
    Comparison,
    MethodAccount,
    compare,
    fairness_flags,
    label_efficiency,
    variance_sources,
)
from metapt_explore.statistics.holm import holm
from metapt_explore.statistics.units import paired_scores

#: Kinds of methods that tune a soft prompt.
PROMPTS = ("pt", "ppt", "metapt")
#: Comparisons whose figures are drawn; all are in the table.
DRAWN = 4


def make_report(record: Record) -> Document:
    """Makes the report of a study, finished or not.

    Args:
        record: The study's scores and facts.

    Example:
        >>> make_report(record_of(Workspace("workspace"), "tour")).write(Path("report"))  # doctest: +SKIP
    """
    document = Document(record.title or record.name)
    results = record.results
    if results.empty:
        document.add(Paragraph("Nothing is finished yet: there are no scores to report.", note=True))
        return document
    methods = _methods(record)
    margin = float(record.study["evaluation"].get("margin", 0.02))
    asked = _comparable(record, questions_of(record.study, methods))
    found = _answers(record, asked, margin)
    _answer(document, record, asked, found)
    _scores(document, record, methods)
    _tests(document, asked, found, margin)
    _steadiness(document, record, methods, found)
    _starts(document, record, methods, asked)
    _efficiency(document, record, methods)
    _fairness(document, record)
    _clusters(document, record)
    _agreement(document, record)
    _data(document, record)
    _limits(document, record)
    _made_with(document, record)
    return document


def _methods(record: Record) -> list[str]:
    """Methods that have scores, in the order of the study; what the study does not list (baselines) behind them."""
    scored = list(dict.fromkeys(record.results["method"]))
    return [name for name in record.methods if name in scored] + [n for n in scored if n not in record.methods]


def verdicts(record: Record) -> list[str]:
    """The answers in one sentence each, the primary one first; what a terminal or a page shows."""
    if record.results.empty:
        return []
    asked = _comparable(record, questions_of(record.study, _methods(record)))
    margin = float(record.study["evaluation"].get("margin", 0.02))
    found = _answers(record, asked, margin)
    return [f"{q.text} {a.sentence} {a.to_settle}" for q, a in zip(asked, found, strict=True)]


def _answers(record: Record, asked: list[Question], margin: float) -> list[Comparison]:
    return [compare(record.results, question.method, question.baseline, margin=margin) for question in asked]


def _comparable(record: Record, asked: list[Question]) -> list[Question]:
    """Questions for which some pair of seeds has all tasks under both methods."""
    found = []
    for question in asked:
        with suppress(UserError):
            if not paired_scores(record.results, question.method, question.baseline).complete.method.empty:
                found.append(question)
    return found


# ------------------------------------------------------------------------------------------ sections


def _answer(document: Document, record: Record, asked: list[Question], found: list[Comparison]) -> None:
    document.add(Heading("The answer"))
    if not asked:
        document.add(Paragraph("The study has no two methods whose comparison answers a question.", note=True))
    for question, answer in zip(asked, found, strict=True):
        if question.primary:
            document.add(Paragraph(f"**{question.text}** {answer.sentence}", note=True))
            document.add(Paragraph(answer.to_settle))
            notes = [*answer.caveats, *answer.left_out]
            document.add(*([Bullets(notes)] if notes else []))
    others = [(q, a) for q, a in zip(asked, found, strict=True) if not q.primary]
    if others:
        document.add(Bullets([f"**{q.text}** {a.sentence}" for q, a in others]))
    if record.study["evaluation"].get("scored_on", "test") != "test":
        document.add(Paragraph(NOT_ON_TEST, note=True))
    if len(record.results) < record.cells:
        text = f"The study is not finished: {len(record.results)} of {record.cells} scores are there."
        document.add(Paragraph(text, note=True))


def _scores(document: Document, record: Record, methods: list[str]) -> None:
    results = record.results
    evaluation = record.study["evaluation"]
    document.add(Heading("Scores"))
    rows = evaluation.get("scored_on", "test").replace("_", " ")
    caption = (
        f"Accuracy on {rows} in percent after tuning on {evaluation.get('shots', 16)} examples a class, mean ± "
        "standard deviation over pairs of seeds (initialisation seed, data seed). The spread in the column *mean* is "
        "that of the mean over tasks. Learning rate and step were chosen on dev."
    )
    document.add(Table(tables.score_table(results, methods), caption))
    document.add(Figure("seeds", figures.seed_points(results, methods), "Every score is a point; the bar is the mean."))


def _tests(document: Document, asked: list[Question], found: list[Comparison], margin: float) -> None:
    if not asked:
        return
    document.add(Heading("Tests"))
    document.add(
        Paragraph(
            "The primary test is one: the mean over tasks, a pair of seeds being the unit; a t test that knows which "
            "pairs share a seed. All others are secondary; their p-values are corrected after Holm. Differences below "
            f"{points(margin, sign=False)} points count as none: *no difference* means that the 95 % interval lies "
            "within that margin."
        )
    )
    document.add(Table(_question_table(asked, found), "Differences in points of accuracy, mean over tasks."))
    panels = {f"{q.method} − {q.baseline}": _lines(a) for q, a in list(zip(asked, found, strict=True))[:DRAWN]}
    caption = (
        "Difference for each task and, in bold, the primary mean over tasks, with 95 % intervals (not corrected). "
        "Intervals in colour do not reach 0, grey ones do."
    )
    document.add(Figure("differences", figures.forest(panels), caption))
    for question, answer in zip(asked, found, strict=True):
        if question.primary:
            document.add(Heading(f"{question.method} against {question.baseline}, task by task", 3))
            document.add(
                Table(_task_rows(answer), "Secondary tests. Wins, ties and losses are counted over pairs of seeds.")
            )


def _question_table(asked: list[Question], found: list[Comparison]) -> pd.DataFrame:
    corrected = iter(holm([a.p for q, a in zip(asked, found, strict=True) if not q.primary]))
    rows = []
    for question, answer in zip(asked, found, strict=True):
        rows.append(
            {
                "comparison": f"{question.method} − {question.baseline}",
                "test": "primary" if question.primary else "secondary",
                "difference": points(answer.difference),
                "95 % interval": _interval(answer.low, answer.high),
                "bootstrap": _interval(answer.bootstrap.low, answer.bootstrap.high),
                "p": _p(answer.p),
                "p, Holm": "–" if question.primary else _p(next(corrected)),
                "p, sign flips": _p(answer.sign_flip.p),
                "degrees of freedom": "–" if answer.df is None else f"{answer.df:.1f}".removesuffix(".0"),
                "pairs": answer.pairs,
                "wins–ties–losses": f"{answer.wins}–{answer.ties}–{answer.losses}",
                "pairs needed": answer.seeds_needed.observed or "–",
                "verdict": answer.verdict,
            }
        )
    return pd.DataFrame(rows)


def _task_rows(answer: Comparison) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "task": task.task,
                answer.method: tables.percent(task.method_mean),
                answer.baseline: tables.percent(task.baseline_mean),
                "difference": points(task.difference),
                "95 % interval": _interval(task.low, task.high),
                "p": _p(task.p),
                "p, Holm": _p(task.p_holm),
                "wins–ties–losses": f"{task.wins}–{task.ties}–{task.losses}",
            }
            for task in answer.per_task
        ]
    )


def _lines(answer: Comparison) -> list[figures.Difference]:
    tasks = [figures.Difference(t.task, t.difference, *_drawable(t.low, t.high)) for t in answer.per_task]
    mean = figures.Difference("mean", answer.difference, *_drawable(answer.low, answer.high), strong=True)
    return [*tasks, mean]


def _drawable(low: float | None, high: float | None) -> tuple[float, float]:
    return (float("nan"), float("nan")) if low is None or high is None else (low, high)


def _steadiness(document: Document, record: Record, methods: list[str], found: list[Comparison]) -> None:
    document.add(Heading("Steadier?"))
    if found:
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
            for answer in found
            for whole in answer.spread[:1]
        ]
        caption = (
            "Below 1 the first method varies less from pair to pair. The ratio is a geometric mean over tasks, the "
            "standard deviations are means over tasks; the interval comes from drawing seeds with replacement. *Worst "
            "pair*: lowest mean over tasks."
        )
        document.add(Table(pd.DataFrame(rows), caption))
    if figures.whole_units(record.results).any():
        caption = "Mean over tasks of every pair of seeds; a line is one pair under each method."
        document.add(Figure("pairs", figures.paired_lines(record.results, methods), caption))
    sources = pd.concat([variance_sources(record.results, m).assign(method=m) for m in methods], ignore_index=True)
    pooled = sources[sources["task"] == "all tasks"]
    if pooled["share"].notna().any():
        rows = [
            {"method": m, **{r["source"]: _share(r) for r in pooled[pooled["method"] == m].to_dict(orient="records")}}
            for m in methods
        ]
        text = "Standard deviation in points by source, and its share of the variance; mean over tasks."
        document.add(Table(pd.DataFrame(rows), text))
    elif len(pooled):
        document.add(Paragraph(f"The variance cannot be split by source: {pooled['note'].iloc[0]}."))


def _share(row: dict[str, Any]) -> str:
    if pd.isna(row["share"]):
        return "–"
    return f"{tables.percent(row['variance'] ** 0.5)} ({100 * row['share']:.0f} %)"


def _starts(document: Document, record: Record, methods: list[str], asked: list[Question]) -> None:
    document.add(Heading("A better start?"))
    scored = record.results.dropna(subset=["start_accuracy"])
    own = [method for method in methods if method in set(scored["method"])]
    if own:
        text = "Accuracy of the prompt before it saw an example of the task."
        document.add(Table(tables.score_table(scored, own, "start_accuracy"), text))
    primary = [q for q in asked if q.primary and {q.method, q.baseline} <= set(own)]
    for question in primary:
        start = compare(scored, question.method, question.baseline, "start_accuracy")
        document.add(Paragraph(start.sentence))
    column = "start_calibrated_accuracy"
    calibrated = record.results.dropna(subset=[column]) if column in record.results else pd.DataFrame()
    if len(calibrated):
        text = (
            "The same, calibrated: the mean over the test rows is taken off the scores (labels are not looked at). A "
            "start that says one class whatever the text looks like a guess above and may be a good one here."
        )
        document.add(Table(tables.score_table(calibrated, own, column), text))
        for question in primary:
            with suppress(UserError):  # not all scores may have it
                document.add(Paragraph(compare(calibrated, question.method, question.baseline, column).sentence))
        text = "After tuning, calibrated likewise: what a few-shot user who may look at all texts at once would see."
        document.add(Table(tables.score_table(calibrated, own, "calibrated_accuracy"), text))
    if record.curves.get("test_accuracy", pd.Series(dtype=float)).notna().any():
        drawn = [method for method in methods if method in set(record.curves["method"])]
        picture = figures.start_curves(record.curves, drawn)
        some, halved = (record.study["evaluation"].get(key) for key in ("curve_rows", "halving_steps"))
        text = (
            "Mean accuracy after so many tuning steps at the rate that dev chose; the band is ± one standard error."
            + (f" Over {some} test rows a task." if some else "")
            + (" A chosen rate that dropped out on the way keeps its last score." if halved else "")
        )
        document.add(Figure("starts", picture, text))
    chosen = tables.choice_table(record.results, methods)
    if len(chosen):
        document.add(Table(chosen, "What dev chose: learning rate, and after how many steps the prompt was kept."))
        notes = tables.edge_notes(record.results, methods)
        document.add(*([Bullets(notes)] if notes else []))


def _efficiency(document: Document, record: Record, methods: list[str]) -> None:
    if record.efficiency.empty:
        return
    document.add(Heading("With fewer and with more examples"))
    text = "Accuracy, mean over tasks ± standard deviation over pairs of seeds, by labelled examples per class."
    document.add(Table(tables.efficiency_rows(record.efficiency, methods), text))
    plain = [m["name"] for m in record.study["methods"] if m["kind"] == "pt" and m["name"] in methods]
    by_shots = {int(shots): rows for shots, rows in record.efficiency.groupby("shots")}
    with suppress(UserError):  # PT may not be as far yet
        needed = label_efficiency(by_shots, plain[0]) if plain else pd.DataFrame()
        rows = [
            {
                "method": row["method"],
                "examples a class": row["shots"],
                f"{plain[0]} needs": row["note"] if pd.isna(row["baseline_shots"]) else f"{row['baseline_shots']:.1f}",
            }
            for row in needed.to_dict(orient="records")
            if row["method"] != plain[0]
        ]
        text = "How many examples a class the method without pre-training needs for the same mean accuracy."
        document.add(*([Table(pd.DataFrame(rows), text)] if rows else []))


def _fairness(document: Document, record: Record) -> None:
    document.add(Heading("On equal terms?"))
    flags = fairness_flags([_terms(account) for account in record.accounts])
    if len(record.results) < record.cells:
        # Methods that have not come as far are not treated unequally.
        flags = [flag for flag in flags if flag.rule not in ("inits", "data seeds", "tasks")]
    unequal = [flag.sentence for flag in flags if flag.severity == "unequal"]
    if unequal:
        document.add(Paragraph("**Not all methods were compared on equal terms.**", note=True), Bullets(unequal))
    else:
        document.add(
            Paragraph(
                "All pre-trained methods began from the same starts, sent the same number of rows forward and "
                "backward, searched the same learning rates on dev and were scored on the same tasks and seeds."
            )
        )
    notes = [flag.sentence for flag in flags if flag.severity == "note"]
    document.add(*([Bullets(notes)] if notes else []))
    if record.accounts:
        text = (
            "What one pre-training and the tuning of one score cost. A row counts once for its forward and backward "
            "pass. Times are those of the machine below, with whatever else it did meanwhile."
        )
        document.add(Table(tables.account_table(record.accounts), text))


def _terms(account: dict[str, Any]) -> MethodAccount:
    """An account as fairness looks at it: baselines that are no prompts are bound by seeds, tasks and shots only."""
    rates = tuple(account["learning_rates"] or ())
    return MethodAccount(
        method=account["method"],
        kind=account["kind"],
        start=account.get("start"),
        pretraining_row_passes=account["pretraining_row_passes"],
        tuning_row_passes=account.get("tuning_row_passes_of_a_rate")
        or account["tuning_row_passes"] / max(len(rates), 1),
        diagnostic_rows=account["diagnostic_rows"],
        learning_rates=rates,
        tuning_steps=account["tuning_steps"] or 0,
        proximal=account.get("proximal", 0.0),
        choice=account.get("choice", ""),
        auxiliary=account.get("auxiliary", ""),
        reading=account.get("reading", ""),
        selected_on=account["selected_on"],
        data_seeds=tuple(account["data_seeds"]),
        init_seeds=tuple(account["init_seeds"] or ()),
        tasks=tuple(account["tasks"]),
        shots=account["shots"],
        trained_parameters=account["trained_parameters"],
        prompt=account["kind"] in PROMPTS,
    )


def _clusters(document: Document, record: Record) -> None:
    if not record.clusterings:
        return
    document.add(Heading("Clusters and auxiliary tasks"))
    text = (
        "Silhouette (−1 to 1), Calinski–Harabasz and DBCV: higher is better separated; Davies–Bouldin: lower. ARI: "
        "agreement with known groups, 0 for chance. Label information: 0 where clusters say nothing of the label, 1 "
        "where they are the label. Gain: of the methods that learn on these clusters, over PPT, in points."
    )
    document.add(Table(tables.cluster_table(record.clusterings), text))
    for clustering in record.clusterings:
        if clustering["names"] and clustering["algorithm"] not in ("random_groups", "one_pool"):
            document.add(Paragraph(f"`{clustering['name']}`: {'; '.join(clustering['names'])}."))


def _agreement(document: Document, record: Record) -> None:
    if record.agreement.empty:
        return
    text = (
        "Cosine of the gradients of two tasks with respect to the prompt, corrected for noise, at the prompt named: "
        "mean over auxiliary tasks (– where gradients are nothing but noise). *One another*: near 1, the auxiliary "
        "tasks pull the prompt the same way, and there is little that learning from them apart could add to pooling "
        "them. The others: above 0, a step on the auxiliary tasks helps that downstream task. Only training rows are "
        "looked at."
    )
    document.add(Heading("Do the tasks agree?"), Table(tables.agreement_table(record.agreement), text))


def _data(document: Document, record: Record) -> None:
    document.add(Heading("Data"))
    if record.texts:
        dropped = ", ".join(f"{count:,} {why}" for why, count in record.texts.get("dropped", {}).items())
        leaks = record.texts.get("leaks_by_task") or {}
        text = f"Pre-training texts: {record.texts['kept']:,} kept (not: {dropped or 'none'})."
        if leaks:
            text += (
                " Equal or nearly equal to dev or test rows of "
                + ", ".join(f"{t}: {n}" for t, n in leaks.items())
                + "."
            )
        document.add(Paragraph(text))
    if record.tasks:
        document.add(Table(tables.task_table(record.tasks), "Downstream tasks. ⏎ is a line break."))
        warnings = [warning for task in record.tasks for warning in task.get("warnings") or []]
        document.add(*([Bullets(warnings)] if warnings else []))
    if record.overlaps:
        rows = [
            {
                "rows": f"{o['task']} {o['part']}",
                "also in": f"{o['other_task']} {o['other_part']}",
                "texts": o["texts"],
                "share of the first": f"{tables.percent(o['share'])} %",
            }
            for o in record.overlaps
        ]
        text = (
            "Texts that tasks, or splits of one task, have in common: their scores are not independent of one another."
        )
        document.add(Table(pd.DataFrame(rows), text))


def _limits(document: Document, record: Record) -> None:
    study = record.study
    model = study["model"].get("name", "smollm2-135m") if "model" in study else "smollm2-135m"
    items = [
        f"One language model ({model}), one set of pre-training texts, one template and one set of words a task: "
        "nothing is said about others.",
        "No published number is claimed as reproduced: MetaPT's tables and hyper-parameters were not available to us.",
        "All units share their test rows: the error of a test set of this size is in each of them and in no interval.",
    ]
    if study["evaluation"].get("shuffle_labels"):
        items.insert(0, "**Labels were shuffled on purpose: there is nothing to learn, and no method can be better.**")
    document.add(Heading("What this does not say"), Bullets(items))


def _made_with(document: Document, record: Record) -> None:
    document.add(Heading("Made with"))
    manifest = record.manifest
    if manifest:
        versions = ", ".join(f"{name} {version}" for name, version in manifest.get("versions", {}).items())
        system = f"{manifest.get('system')}, Python {manifest.get('python')}"
        document.add(Paragraph(f"{_hardware(manifest)}; {system}; {versions}."))
        # Seeds and methods of a study may have been run on several machines.
        others = list(dict.fromkeys(_hardware(other) for other in manifest.get("others", [])))
        others = [other for other in others if other != _hardware(manifest)]
        document.add(*([Paragraph(f"Some scores on: {'; '.join(others)}.")] if others else []))
    document.add(Paragraph("The study, as `metapt run` takes it (paths are the files' names only):"))
    import yaml

    document.add(Code(yaml.safe_dump(record.study, sort_keys=False, allow_unicode=True).rstrip()))


def _hardware(manifest: dict[str, Any]) -> str:
    gpu = f", {manifest['gpu']}" if manifest.get("gpu") else ""
    dtype = f", {manifest['dtype']}" if manifest.get("dtype") else ""
    return f"{manifest.get('cpu')}, {manifest.get('cores')} cores, {manifest.get('memory_gib')} GiB{gpu}{dtype}"


def points(value: float, sign: bool = True) -> str:
    """Writes a difference in points of a hundred.

    Example:
        >>> points(0.0123), points(-0.02)
        ('+1.2', '−2.0')
    """
    return f"{100 * value:{'+' if sign else ''}.1f}".replace("-", "−")


def _interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "–"
    return f"{points(low)} to {points(high)}"


def _p(p: float | None) -> str:
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
