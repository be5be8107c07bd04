"""All methods of a study at once: the matrix of methods and tasks, curves, seeds, cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from metapt_explore import plots
from metapt_explore.dashboard.parts import drawing, messages
from metapt_explore.dashboard.parts.study_scores import StudyScores
from metapt_explore.plots.highlighted import highlighted_curves, scored_steps
from metapt_explore.plots.matrix import seed_strips
from metapt_explore.plots.style import BLUE, see_through
from metapt_explore.reporting.paper_numbers import NOTE, paper_table
from metapt_explore.statistics.matrix import MEAN

#: Most of the colour that a cell of the matrix may have: text stays readable on it.
DEEPEST = 0.45
#: So many methods are shown without scrolling.
MOST_ROWS = 30


def show_matrix(scores: StudyScores) -> None:
    """A row for each method, a column for each task, and mean ranks."""
    matrix = scores.matrix
    wide = matrix.pivot_table(index="method", columns="task", values="mean", sort=False)
    order = [task for task in dict.fromkeys(matrix["task"]) if task in wide and task != MEAN]
    rank = "mean rank"
    methods = list(dict.fromkeys(matrix["method"]))
    of_mean = matrix[matrix["task"] == MEAN].set_index("method")
    cells = matrix.assign(cell=[_cell(*ends) for ends in matrix[["mean", "low", "high"]].itertuples(index=False)])
    shown = cells.pivot(index="method", columns="task", values="cell").reindex(index=methods, columns=[MEAN, *order])
    shown.insert(1, rank, [_rank(value) for value in of_mean["rank"].reindex(methods)])
    shades = wide.reindex(index=methods, columns=[MEAN, *order])
    styled = shown.reset_index().style.apply(lambda _: _shaded(shown, shades), axis=None)
    pinned = {"method": st.column_config.TextColumn(pinned=True)}
    height: Any = "content" if len(shown) <= MOST_ROWS else "auto"
    drawing.show_table(styled, key="matrix", hide_index=True, column_config=pinned, height=height)
    whole = of_mean["rank"].notna().sum()
    st.caption(
        f"Mean {scores.metric_name} in percent over pairs of seeds, in brackets its 95 % interval (each cell by "
        "itself). The deeper "
        "the blue, the higher its place among the methods of that column. *Mean rank*: the mean over tasks of the "
        f"place among the {whole} methods that have every task, 1 being the best; the mean over tasks is of pairs of "
        "seeds that have every task. The best of many looks better than it is: *Compare* tests two at a time."
    )


def _cell(mean: float, low: float, high: float) -> str:
    if pd.isna(mean):
        return "–"
    return f"{100 * mean:.1f}" + ("" if pd.isna(low) else f" ({100 * low:.1f} to {100 * high:.1f})")


def _rank(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.1f}"


def _shaded(shown: pd.DataFrame, means: pd.DataFrame) -> pd.DataFrame:
    """Background of each cell by its place in the column: one baseline far below would wash out every difference."""
    places = means.rank(method="min") - 1
    share = (places / places.max().clip(lower=1)).fillna(0.0).reset_index(drop=True)
    css = pd.DataFrame("", index=range(len(shown)), columns=["method", *shown.columns])
    for column in share:
        css[column] = [f"background-color: {see_through(BLUE, round(DEEPEST * part, 2))}" for part in share[column]]
    return css


def show_published(scores: StudyScores) -> None:
    """Numbers of others, apart from the study's own."""
    drawing.show_table(paper_table(scores.record), key="published", hide_index=True)
    st.caption(NOTE)


def choose_task(scores: StudyScores, key: str) -> str:
    """The mean over tasks, or one of them."""
    tasks = list(dict.fromkeys(map(str, scores.results["task"])))
    if len(tasks) < 2:
        return tasks[0] if tasks else MEAN
    return str(st.selectbox("Task", [MEAN, *tasks], key=key))


def show_curves(scores: StudyScores, highlighted: Sequence[str]) -> None:
    """Accuracy by tuning steps, two methods in colour.

    Args:
        scores: The study's scores.
        highlighted: The methods in colour, as long as nobody chooses others.
    """
    curves = scores.curves()
    steps = scored_steps(curves)
    if len(steps) < 2:
        where = f"after {steps[0]} tuning steps only" if steps else "without tuning steps"
        st.info(f"Prompts are scored {where}: there is no curve. The figures stand in the table of methods and tasks.")
        return
    present = [method for method in scores.methods if method in set(curves["method"])]
    first = [method for method in highlighted if method in present] or present[:2]
    left, right = st.columns(2)
    with left:
        task = choose_task(scores, "curve_task")
    # Other methods that are compared are other ones in colour.
    key = f"in_colour_{scores.name}_{'_'.join(first)}"
    chosen = right.multiselect("In colour", present, default=first, max_selections=4, key=key)
    evaluation = scores.record.study["evaluation"]
    drawing.draw(
        highlighted_curves(curves, scores.methods, chosen, rows=scores.rows, task=task),
        "tuning_curves",
        "Mean accuracy after so many tuning steps, at the chosen learning rate; the band is the 95 % interval at each "
        "step by itself, grey lines are the other methods. Left end: the init, before any tuning. A line that begins "
        "higher has a better init; where lines meet on the right, tuning makes up for it."
        + (f" Over {some} rows per task." if (some := evaluation.get("curve_rows")) else "")
        + (" A rate that is dropped keeps its last score." if evaluation.get("halving_steps") else ""),
    )
    without = [method for method in scores.prompts if method not in present]
    if without:
        st.caption(messages.plain(f"No curve of {', '.join(without)}: scored after the last step only, or not yet."))


def show_spread(scores: StudyScores) -> None:
    """Every pair of seeds as a point."""
    results = scores.results
    of_prompts = results[results["method"].isin(scores.prompts)]
    methods = scores.methods
    task = choose_task(scores, "spread_task")
    if (
        not of_prompts.empty
        and len(of_prompts) < len(results)
        and not st.toggle("With the baselines", key="spread_of_baselines")
    ):
        results, methods = of_prompts, scores.prompts
    drawing.draw(
        seed_strips(results, methods, scores.rows, task=task),
        "seed_spread",
        "A point is one pair of a data seed and an initialisation seed; the bar is the mean. Thin lines join the "
        "same pair: where nearly all lean one way, the difference is steady; where they cross, seeds matter more than "
        "the method. A wide row is a large variance.",
    )


def show_cost(scores: StudyScores) -> None:
    """What a method costs against what it gives."""
    passes = scores.row_passes()
    by = "seconds"
    if passes:
        by = st.segmented_control("Cost in", ["seconds", "row passes"], default=by, key="cost_in", required=True)
    counted = passes if by == "row passes" else None
    drawing.draw(
        plots.cost_against_accuracy(scores.results, scores.methods, counted),
        "cost",
        f"Right: more {by} for one score, with its share of pre-training. Up: better. The bar is one standard "
        "deviation over seeds. The dotted line joins the methods that no other beats in both (the Pareto front, large "
        "points): every other one is dearer than one of them that scores as high."
        + (" A pass is one row forward and backward; forward only is not counted." if counted else ""),
    )
    without = [method for method in dict.fromkeys(scores.results["method"]) if counted and method not in counted]
    if without:
        st.caption(messages.plain(f"Without {', '.join(without)}: their row passes are not known."))
