"""Two methods side by side: which, what sets them apart, and how much of it is luck with seeds."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from metapt_explore import plots
from metapt_explore.dashboard.parts import drawing, messages, shared, study_choice
from metapt_explore.dashboard.parts.study_scores import StudyScores
from metapt_explore.errors import UserError
from metapt_explore.jobs import study_list
from metapt_explore.reporting.answer_sections import task_rows
from metapt_explore.reporting.side_by_side import SideBySide, side_by_side, within
from metapt_explore.statistics import Comparison, compare, variance_sources
from metapt_explore.statistics.verdict import metric_name
from metapt_explore.storage.workspace import Workspace


@dataclass(frozen=True, eq=False)
class Pair:
    """Two methods that were chosen, and what is found.

    Attributes:
        first: Study and method.
        second: The same of what it is compared with.
        both: Their scores.
        comparison: What `compare` found.
    """

    first: tuple[str, str]
    second: tuple[str, str]
    both: SideBySide
    comparison: Comparison


def choose_pair(scores: StudyScores) -> Pair | None:
    """Asks for two methods, the study's primary question first; says why there is nothing to compare."""
    name, choices = scores.name, _choices(scores)
    if len(choices) < 2:
        st.info("There is only one method with scores.")
        return None
    labels = {choice: choice[1] if choice[0] == name else f"{choice[0]}: {choice[1]}" for choice in choices}
    first_default, second_default = _defaults(scores, choices)
    # While scores come in the pair follows them, until somebody chooses another.
    shared.suggest(f"first_{name}", choices[first_default], name)
    shared.suggest(f"second_{name}", choices[second_default], name)
    left, right = st.columns(2)
    first = left.selectbox("Method", choices, format_func=lambda c: labels[c], key=f"first_{name}")
    second = right.selectbox("against", choices, format_func=lambda c: labels[c], key=f"second_{name}")
    if first == second:
        st.info("Choose two different methods.")
        return None
    if scores.workspace is None:
        both = within(scores.record, first[1], second[1])
    else:
        both = side_by_side(scores.workspace, first, second)
    for note in both.notes:
        st.warning(messages.sentence(note))
    margin = float(scores.record.study["evaluation"].get("margin", 0.02))
    try:
        found = compare(
            both.results, both.first, both.second, metric=scores.metric, margin=margin, grounds=both.grounds
        )
        return Pair(first, second, both, found)
    except UserError as error:
        st.info(messages.sentence(error))
        return None


def _defaults(scores: StudyScores, choices: list[tuple[str, str]]) -> tuple[int, int]:
    """Places of the pair that is shown first: the study's primary question, else MetaPT against PPT, else any two."""
    primary = scores.answered.primary
    if primary is not None:
        wanted = [(scores.name, primary.method), (scores.name, primary.baseline)]
        if all(choice in choices for choice in wanted):
            return choices.index(wanted[0]), choices.index(wanted[1])
    first = next((i for i, c in enumerate(choices) if c[1].startswith("MetaPT")), 0)
    second = next((i for i, c in enumerate(choices) if c[1] == "PPT" and i != first), first)
    return first, second if second != first else int(first == 0)


def _choices(scores: StudyScores) -> list[tuple[str, str]]:
    """Methods with scores, this study's first; a joined method stands before its first member."""
    scored = set(scores.results["method"])
    own = [method for method in scores.methods if method in scored]
    for label, members in scores.answered.joined.items():
        first = next((place for place, method in enumerate(own) if method in members), None)
        if first is not None:
            own.insert(first, label)
    choices = [(scores.name, method) for method in own]
    if scores.workspace is not None:
        choices += _of_other_studies(scores.workspace, scores.name)
    return choices


def _of_other_studies(workspace: Workspace, name: str) -> list[tuple[str, str]]:
    choices: list[tuple[str, str]] = []
    others = [study for study in study_choice.study_names(workspace) if study != name]
    for study, found in study_list.scores_of(workspace, others).items():
        if isinstance(found, study_list.ScoreCounts):
            choices += [(study, method) for method in found.methods]
    return choices


def show_tasks(pair: Pair) -> None:
    """The two methods on every task."""
    drawing.show_table(task_rows(pair.comparison), key="tasks", hide_index=True)
    name = metric_name(pair.comparison.metric)
    st.caption(
        f"{name[0].upper()}{name[1:]} in percent, differences in points. Tests of single tasks are secondary; *p, "
        "Holm* is corrected for all of them. Wins, ties and losses are counted over pairs of seeds."
    )


def show_seeds(pair: Pair) -> None:
    """How far seeds lie apart, and which of them."""
    both, metric = pair.both, pair.comparison.metric
    drawing.draw(
        plots.paired_means(both.results, [both.second, both.first], metric=metric),
        "paired",
        "A line is one pair of seeds: its mean over tasks under each method. Where nearly all rise, the "
        "difference is steady; where they cross, seeds matter more than the method.",
    )
    st.markdown("**Where the variance comes from**")
    sources = pd.concat(
        [variance_sources(both.results, m, metric).assign(method=m) for m in (both.first, both.second)],
        ignore_index=True,
    )
    pooled = sources[sources["task"] == "all tasks"]
    if pooled["share"].notna().any():
        drawing.draw(
            plots.variance_bars(pooled),
            "variance",
            "The longer a bar, the more a method's score depends on luck; its parts say on which: the few-shot sample "
            "(data seed), pre-training and its init (initialisation seed) or, where they vary, the clusters drawn and "
            "the order of examples.",
        )
    elif len(pooled):
        st.caption(messages.sentence(f"It cannot be split by source: {pooled['note'].iloc[0]}."))
    whole = pair.comparison.spread[0] if pair.comparison.spread else None
    if whole is not None and whole.ratio is not None:
        between = "" if whole.low is None else f" (95 %: {whole.low:.2f} to {whole.high:.2f})"
        st.caption(
            messages.sentence(
                f"Standard deviation over seeds, {both.first} / {both.second}: {whole.ratio:.2f}{between}. Below 1 the "
                "first is steadier."
            )
        )
