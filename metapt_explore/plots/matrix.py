"""Many methods at once: their means over tasks, and one task's seeds, a line for each method."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from metapt_explore.plots import series
from metapt_explore.plots.style import GREY, finish, method_colors, nothing_yet, plain
from metapt_explore.statistics.matrix import MEAN
from metapt_explore.statistics.verdict import metric_name

#: Pixels of a method's line, and of axis and margins.
LINE, AROUND = 30, 90
#: Letters of a method's name.
NAME = 34


def method_means(
    matrix: pd.DataFrame, methods: Sequence[str], rows: str = "test", *, task: str = MEAN, metric: str = "accuracy"
) -> go.Figure:
    """Draws each method's mean with its 95 % interval, the best on top.

    Args:
        matrix: What `statistics.matrix.score_matrix` returned.
        methods: All methods of the study, so that each keeps its colour.
        rows: What scores are on, where that is not test.
        task: Of which task; the mean over tasks by default.
        metric: The score that the matrix holds.
    """
    shown = matrix[(matrix["task"] == task) & matrix["mean"].notna()].sort_values("mean", kind="stable")
    if shown.empty:
        return nothing_yet("No method has a pair of seeds with every task yet.")
    colors = method_colors([*methods, *shown["method"]])
    figure = go.Figure()
    for row in shown.to_dict(orient="records"):
        name, mean = plain(row["method"], NAME), 100 * float(row["mean"])
        error, told = None, ""
        if pd.notna(row["low"]) and pd.notna(row["high"]):
            low, high = 100 * float(row["low"]), 100 * float(row["high"])
            error = {"type": "data", "symmetric": False, "array": [high - mean], "arrayminus": [mean - low]}
            error |= {"thickness": 2, "width": 0}
            told = f", 95 % {low:.1f} to {high:.1f}"
        figure.add_trace(
            go.Scatter(
                x=[mean],
                y=[f"{name}  <b>{mean:.1f}</b>"],
                error_x=error,
                mode="markers",
                marker={"color": colors[row["method"]], "size": 11},
                name=name,
                showlegend=False,
                hovertemplate=f"{name}: %{{x:.1f}} %{told}, {int(row['pairs'])} pairs of seeds<extra></extra>",
            )
        )
    figure = finish(figure)
    figure.update_xaxes(title_text=f"{rows} {metric_name(metric)} (%),<br>{plain(task, 30)}")
    figure.update_yaxes(type="category", dtick=1)
    figure.update_layout(height=AROUND + LINE * len(shown), margin_t=20)
    return figure


def seed_strips(results: pd.DataFrame, methods: Sequence[str], rows: str = "test", *, task: str = MEAN) -> go.Figure:
    """Draws the score of every pair of seeds, a line for each method; grey lines join the same pair.

    Args:
        results: What `results_table` returned.
        methods: Methods in the order in which they stand, from above.
        rows: What scores are on, where that is not test.
        task: Of which task; the mean over tasks by default, of pairs that have all tasks.
    """
    of_mean = task == MEAN and results["task"].nunique() > 1
    chosen = results if task == MEAN else results[results["task"] == task]
    panels = series.seed_scores(chosen, list(methods), over_tasks=of_mean)
    panel = next((panel for panel in panels if not of_mean or panel.title == MEAN), None)
    if panel is None or not panel.methods:
        return nothing_yet("No pair of seeds has every task yet.")
    colors = method_colors(methods)
    figure = go.Figure(_joined(panel.methods))
    for scored in panel.methods:
        name, color = plain(scored.method, NAME), colors[scored.method]
        spread = "" if scored.deviation is None else f", standard deviation {scored.deviation:.1f} points"
        figure.add_trace(
            go.Scatter(
                x=scored.scores,
                y=[name] * len(scored.scores),
                mode="markers",
                marker={"color": color, "size": 9, "opacity": 0.8},
                name=name,
                showlegend=False,
                customdata=[[data, "none" if init is None else init] for init, data in scored.pairs],
                hovertemplate="%{x:.1f} %, data seed %{customdata[0]}, initialisation seed %{customdata[1]}",
            )
        )
        figure.add_trace(
            go.Scatter(
                x=[scored.mean],
                y=[name],
                mode="markers",
                marker={"symbol": "line-ns", "size": 22, "line": {"color": color, "width": 3}},
                name="mean",
                showlegend=False,
                hovertemplate=f"mean %{{x:.1f}} % of {len(scored.scores)} seeds{spread}",
            )
        )
    figure = finish(figure)
    figure.update_xaxes(title_text=f"{rows} accuracy (%),<br>{plain(task, 30)}")
    shown = [plain(scored.method, NAME) for scored in panel.methods]
    figure.update_yaxes(type="category", categoryorder="array", categoryarray=shown[::-1], dtick=1)
    figure.update_layout(height=AROUND + LINE * len(shown), margin_t=20)
    return figure


def _joined(methods: list[series.SeedScores]) -> go.Scatter:
    """One trace of all lines between methods; None breaks it from pair to pair."""
    by_pair = {scored.method: dict(zip(scored.pairs, scored.scores, strict=True)) for scored in methods}
    # Baselines without initialisation belong to no pair.
    pairs = dict.fromkeys(pair for scored in methods for pair in scored.pairs if pair[0] is not None)
    x: list[float | None] = []
    y: list[str | None] = []
    for pair in pairs:
        x += [*(by_pair[scored.method].get(pair) for scored in methods), None]
        y += [*(plain(scored.method, NAME) for scored in methods), None]
    return go.Scatter(
        x=x,
        y=y,
        mode="lines",
        line={"color": GREY, "width": 1},
        opacity=0.5,
        connectgaps=False,
        name="same seeds",
        showlegend=False,
        hoverinfo="skip",
    )
