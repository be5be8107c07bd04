"""What fewer and more labelled examples are worth: curves with intervals, and how many labels a method saves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from metapt_explore.config.fixed_recipe import FEW_DEV_ROWS
from metapt_explore.errors import UserError
from metapt_explore.reporting import figures
from metapt_explore.reporting.document import Bullets, Document, Figure, Heading, Paragraph, Table
from metapt_explore.reporting.over_seeds import over_seeds
from metapt_explore.reporting.questions import StudyQuestion, questions_of
from metapt_explore.reporting.tables import percent
from metapt_explore.results.record import Record
from metapt_explore.statistics import LabelsNeeded, label_efficiency, labels_needed
from metapt_explore.statistics.label_efficiency import on_common_tasks
from metapt_explore.statistics.labels_needed import told_together
from metapt_explore.statistics.numbers import interval, points


@dataclass(frozen=True)
class Efficiency:
    """Scores of a study at several numbers of examples a class.

    Attributes:
        by_shots: A results table for each number.
        methods: Methods and baselines that have scores, in the order of the study.
        baselines: Those that others can be laid beside: they have scores at every number.
        asked: The study's questions, the primary one first.
        plain: Those of the methods that can be laid beside that have no pre-training.
        left_out: What is not in the figures, in sentences.
    """

    by_shots: dict[int, pd.DataFrame]
    methods: list[str]
    baselines: list[str]
    asked: list[StudyQuestion]
    plain: list[str]
    left_out: list[str]

    @property
    def baseline(self) -> str:
        """What others are laid beside first: the primary question's baseline, else the first that can be."""
        primary = [question.baseline for question in self.asked if question.primary]
        return next((name for name in [*primary, *self.baselines] if name in self.baselines), "")

    def table(self, baseline: str) -> pd.DataFrame:
        """What `label_efficiency` says."""
        return label_efficiency(self.by_shots, baseline)

    def needed(self, baseline: str) -> dict[str, list[LabelsNeeded]]:
        """How many examples the baseline needs for the score of every other method that can be laid beside it."""
        found: dict[str, list[LabelsNeeded]] = {}
        for method in self.methods:
            # Two methods may share no pair of seeds at some number of examples yet.
            with suppress(UserError):
                if method != baseline and (each := labels_needed(self.by_shots, method, baseline)):
                    found[method] = each
        return found


def efficiency_of(efficiency: pd.DataFrame, study: Mapping[str, Any], methods: Sequence[str]) -> Efficiency | None:
    """Puts a study's scores at several numbers of examples in order; None where there is one number only.

    Args:
        efficiency: What `efficiency_table` returned.
        study: The study's settings as plain values.
        methods: Methods and baselines in the order of the study.
    """
    if efficiency.empty or efficiency["shots"].nunique() < 2:
        return None
    joined = over_seeds(efficiency, study)
    by_shots = {int(shots): rows for shots, rows in joined.results.groupby("shots")}
    try:
        on_common, tasks = on_common_tasks(by_shots)
    except UserError:
        return None
    replaced = {name: label for label, names in joined.stands_for.items() for name in names}
    order = list(dict.fromkeys(replaced.get(name, name) for name in methods))
    scored = [name for name in order if name in set(joined.results["method"])]

    def is_whole(name: str) -> bool:
        of = [set(rows.loc[rows["method"] == name, "task"]) for rows in on_common.values()]
        return all(set(tasks) <= names for names in of)

    every = list(dict.fromkeys(joined.results["task"].astype(str)))
    left_out = [f"Without {task}: it has no scores at some of the numbers." for task in every if task not in tasks]
    whole = [name for name in scored if is_whole(name)]
    left_out += [f"{name} has no scores on every task at some of the numbers." for name in scored if name not in whole]
    plain = [m["name"] for m in joined.study.get("methods", []) if m["kind"] == "pt" and m["name"] in whole]
    return Efficiency(by_shots, scored, whole, questions_of(joined.study, whole), plain, left_out)


def score_rows(efficiency: pd.DataFrame) -> pd.DataFrame:
    """A row for each method: mean and interval at each number of examples, written for people."""
    return _wide(efficiency, lambda row: _with_interval(percent(row["mean"]), row["low"], row["high"], sign=False))


def difference_rows(efficiency: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """A row for each method but the baseline: how far it is ahead, with its interval, written for people."""
    others = efficiency[(efficiency["method"] != baseline) & efficiency["difference"].notna()]
    return _wide(
        others, lambda row: _with_interval(points(row["difference"]), row["difference_low"], row["difference_high"])
    )


def needed_rows(needed: Mapping[str, Sequence[LabelsNeeded]]) -> pd.DataFrame:
    """A row for each method and number of examples: what the baseline needs for its score."""
    return pd.DataFrame(
        [
            {
                "method": method,
                "examples a class": str(each.shots),
                f"{each.baseline} needs": each.written(each.needed),
                "95 % interval": each.interval or "–",
                "labels": each.saving.replace("saves labels", "saved").replace("saves none", "none saved"),
            }
            for method, found in needed.items()
            for each in found
        ]
    )


def _wide(rows: pd.DataFrame, written: Any) -> pd.DataFrame:
    numbers = sorted(set(rows["shots"]))
    lines = []
    for method, of_method in rows.groupby("method", sort=False):
        cells = {int(row["shots"]): written(row) for row in of_method.to_dict(orient="records")}
        lines.append({"method": method, **{f"{shots} a class": cells.get(shots, "–") for shots in numbers}})
    return pd.DataFrame(lines)


def _with_interval(mean: str, low: float, high: float, *, sign: bool = True) -> str:
    if pd.isna(low) or pd.isna(high):
        return mean
    return f"{mean} ({interval(low, high)})" if sign else f"{mean} ({percent(low)} to {percent(high)})"


def add_efficiency(document: Document, record: Record, methods: list[str]) -> None:
    found = efficiency_of(record.efficiency, record.study, methods)
    if found is None:
        return
    document.add(Heading("With fewer and with more examples"))
    document.add(*([Bullets(found.left_out)] if found.left_out else []))
    if not found.baseline:
        document.add(Paragraph("No method has scores at every number of examples yet.", note=True))
        return
    table = found.table(found.baseline)
    text = (
        "Accuracy by labelled examples per class, mean over tasks and pairs of seeds, in brackets the 95 % interval of "
        "that mean. Each interval holds for one number of examples by itself."
    )
    if recipe := record.study["evaluation"].get("fixed_recipe"):
        text += (
            f" At {recipe.get('up_to', FEW_DEV_ROWS)} examples a class and fewer no prompt was chosen on dev: the last "
            f"of {recipe['steps']} steps at the rate {recipe['learning_rate']:g} was kept, or of a method's own."
        )
    document.add(Table(score_rows(table), text))
    caption = (
        f"Left: these means; right: points ahead of {found.baseline}, seed by seed. Upright lines are 95 % intervals, "
        "a pair of seeds being the unit; points of one number stand side by side so that none hides another."
    )
    drawn = partial(figures.label_efficiency, table, found.methods, found.baseline)
    document.add(Figure("efficiency", drawn, caption))
    apart = difference_rows(table, found.baseline)
    if len(apart):
        text = f"Points ahead of {found.baseline}, paired by seeds, with 95 % intervals (not corrected)."
        document.add(Table(apart, text))
    _add_needed(document, found)


def _add_needed(document: Document, found: Efficiency) -> None:
    """How many labels methods save against the primary baseline, and against the first method without pre-training."""
    needed = {name: found.needed(name) for name in dict.fromkeys([found.baseline, *found.plain[:1]])}
    if not any(needed.values()):
        return
    document.add(Heading("How many labels does it save?", 3))
    primary = next((question for question in found.asked if question.primary), None)
    if primary is not None and (each := needed.get(primary.baseline, {}).get(primary.method)):
        document.add(Paragraph(told_together(each)))
    for baseline, of_baseline in needed.items():
        if of_baseline:
            text = (
                f"How many examples a class {baseline} needs for a method's score, on straight lines between the "
                "measured numbers (over their logarithm); the interval comes from drawing seeds with replacement. "
                "*Saved*: all of it lies above what the method had; *none saved*: none of it."
            )
            document.add(Table(needed_rows(of_baseline), text))
