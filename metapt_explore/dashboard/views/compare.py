"""Compare: the study's own questions, any two methods of any studies, and from a score down to its texts."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from metapt_explore import plots
from metapt_explore.dashboard.parts import drawing, messages, score_lineage, shared, study_choice
from metapt_explore.errors import UserError
from metapt_explore.reporting.answer_sections import one_primary, question_table, task_rows
from metapt_explore.reporting.notes import notes_of, sample_notes, unfinished
from metapt_explore.reporting.over_seeds import over_seeds
from metapt_explore.reporting.questions import StudyQuestion
from metapt_explore.reporting.report import answers
from metapt_explore.reporting.side_by_side import SideBySide, side_by_side
from metapt_explore.results.record import scores_of
from metapt_explore.results.tables import results_table
from metapt_explore.statistics import Comparison, compare, variance_sources
from metapt_explore.storage.workspace import Workspace

COLOURS = {
    "helped": "green",
    "hurt": "red",
    "no difference": "blue",
    "nothing learned": "gray",
    "cannot tell": "orange",
}


def _page(workspace: Workspace, name: str) -> None:
    config = shared.study_config(workspace, name)
    results = results_table(workspace, name)
    if results.empty:
        shared.ready(workspace, name, None, what="the first few-shot evaluation")
        return
    study = (workspace.study_folder(name) / "study.yaml").stat().st_mtime_ns  # the margin may have changed
    with st.spinner("Comparing …"):
        asked, answers, joined, notes = _answered(str(workspace.folder), name, f"{_stamp(results)} {study}")
    for note in notes:
        st.warning(messages.plain(note))
    _questions(asked, answers, any_prompt=bool(config.methods))
    methods = [method.name for method in config.methods]
    _any_two(workspace, name, methods=methods, joined=joined, margin=config.evaluation.margin)


def _questions(asked: list[StudyQuestion], answers: list[Comparison], *, any_prompt: bool) -> None:
    st.header("The study's questions")
    if not asked:
        st.info(
            "No two methods of this study have scores on all tasks with the same seeds yet."
            if any_prompt
            else "This study compares baselines only, and asks no question of its own: choose any two below."
        )
        return
    for question, answer in zip(asked, answers, strict=True):
        if question.primary:
            st.markdown(f"**{messages.plain(question.text)}** :{COLOURS[answer.verdict]}-badge[{answer.verdict}]")
            st.markdown(f"{messages.plain(answer.sentence)} {messages.plain(answer.to_settle)}")
            for caveat in answer.caveats:
                st.caption(messages.plain(caveat))
    st.dataframe(question_table(asked, answers).astype(str), key="questions", hide_index=True)
    st.caption(
        f"{messages.plain(one_primary(asked))} The others are secondary, their p-values corrected after Holm. All are "
        "of the mean over tasks, a pair of seeds being the unit. *No difference* means that the interval lies within "
        "the margin; *nothing learned* that neither method is above guessing; *cannot tell* that the interval reaches "
        "0 and beyond the margin, or that there is too little to judge by. A verdict goes by its own interval, which "
        "is not corrected."
    )


def _stamp(results: pd.DataFrame) -> str:
    """A value that changes with the scores."""
    return f"{len(results)} {hash(tuple(results['artifact']))}"


@st.cache_resource(max_entries=16, show_spinner=False)
def _answered(
    folder: str, name: str, stamp: str
) -> tuple[list[StudyQuestion], list[Comparison], dict[str, list[str]], list[str]]:
    """Questions, answers, under which names methods that differ in seeds only are compared together, and notes."""
    record = scores_of(Workspace(folder), name)
    notes = [*filter(None, [unfinished(record)]), *sample_notes(record), *notes_of(record)]
    return *answers(record), over_seeds(record.results, record.study).stands_for, notes


def _any_two(
    workspace: Workspace, name: str, *, methods: list[str], joined: dict[str, list[str]], margin: float
) -> None:
    st.header("Any two methods")
    choices = _choices(workspace, name, methods=methods, joined=joined)
    labels = {choice: choice[1] if choice[0] == name else f"{choice[0]}: {choice[1]}" for choice in choices}
    if len(choices) < 2:
        st.info("There is only one method with scores.")
        return
    left, right = st.columns(2)
    first_default = next((i for i, c in enumerate(choices) if c[1].startswith("MetaPT")), 0)
    second_default = next((i for i, c in enumerate(choices) if c[1] == "PPT" and i != first_default), 0)
    if second_default == first_default:
        second_default = 1 - first_default if first_default < 2 else 0
    first = left.selectbox("Method", choices, index=first_default, format_func=lambda c: labels[c], key=f"first_{name}")
    second = right.selectbox(
        "against", choices, index=second_default, format_func=lambda c: labels[c], key=f"second_{name}"
    )
    if first == second:
        st.info("Choose two different methods.")
        return
    both = side_by_side(workspace, first, second)
    for note in both.notes:
        st.warning(messages.plain(note))
    try:
        comparison = compare(both.results, both.first, both.second, margin=margin, grounds=both.grounds)
    except UserError as error:
        st.info(messages.plain(error))
        return
    _show(comparison, both)
    score_lineage.pairs(workspace, both, first=first, second=second)


def _choices(
    workspace: Workspace, name: str, *, methods: list[str], joined: dict[str, list[str]]
) -> list[tuple[str, str]]:
    """Methods with scores, this study's first; a joined method stands before its first member."""
    choices = []
    for study in [name, *(other for other in study_choice.study_names(workspace) if other != name)]:
        try:
            entries = workspace.index(study)
        except UserError:
            continue
        scored = dict.fromkeys(e["method"] for e in entries if e["kind"] in ("fewshot", "baseline") and e.get("method"))
        order = list(dict.fromkeys([*(m for m in methods if study == name and m in scored), *scored]))
        for label, members in joined.items() if study == name else ():
            first = next((index for index, method in enumerate(order) if method in members), None)
            if first is not None:
                order.insert(first, label)
        choices += [(study, method) for method in order]
    return choices


def _show(comparison: Comparison, both: SideBySide) -> None:
    st.markdown(f":{COLOURS[comparison.verdict]}-badge[{comparison.verdict}] {messages.plain(comparison.sentence)}")
    st.caption(messages.plain(" ".join([comparison.to_settle, *comparison.caveats])))
    left, right = st.columns(2)
    with left:
        drawing.draw(
            plots.difference_forest(comparison),
            "forest",
            "Difference on each task and in the mean, with 95 % intervals (single tasks uncorrected). Blue intervals "
            "exclude 0; grey ones include it: undecided.",
        )
    with right:
        drawing.draw(
            plots.paired_means(both.results, [both.second, both.first]),
            "paired",
            "A line is one pair of seeds: its mean over tasks under each method. Where nearly all rise, the "
            "difference is steady; where they cross, seeds matter more than the method.",
        )
    with st.expander("Task by task", key="task_by_task"):
        st.dataframe(task_rows(comparison), key="tasks", hide_index=True)
    st.markdown("**Where the variance comes from**")
    sources = pd.concat(
        [variance_sources(both.results, m).assign(method=m) for m in (both.first, both.second)], ignore_index=True
    )
    pooled = sources[sources["task"] == "all tasks"]
    whole = comparison.spread[0] if comparison.spread else None
    if pooled["share"].notna().any():
        drawing.draw(
            plots.variance_bars(pooled),
            "variance",
            "The longer a bar, the more a method's score depends on luck; its parts say on which: the few-shot sample "
            "(data seed), pre-training and its init (initialisation seed) or, where they vary, the clusters drawn and "
            "the order of examples.",
        )
    elif len(pooled):
        st.caption(messages.plain(f"It cannot be split by source: {pooled['note'].iloc[0]}."))
    if whole is not None and whole.ratio is not None:
        between = "" if whole.low is None else f" (95 %: {whole.low:.2f} to {whole.high:.2f})"
        st.caption(
            messages.plain(
                f"Standard deviation over seeds, {both.first} / {both.second}: {whole.ratio:.2f}{between}. Below 1 the "
                "first is steadier."
            )
        )


shared.show_page("Compare", _page)
