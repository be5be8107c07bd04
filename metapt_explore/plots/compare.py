"""How sure a difference is, where the variance comes from, and what accuracy costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import plotly.graph_objects as go

from metapt_explore.plots.series import PAIR, differences, pair_means
from metapt_explore.plots.style import BLUE, GREY, PALETTE, finish, method_colors, nothing_yet, plain

if TYPE_CHECKING:
    from metapt_explore.statistics import Comparison

#: Methods whose names find room beside their points; of more they go into a legend.
MANY = 5


def difference_forest(comparison: Comparison) -> go.Figure:
    """Draws the difference of two methods on each task and, lowest and bold, in the mean, with 95 % intervals.

    Blue where the interval does not reach 0, grey where it does.

    Args:
        comparison: What `compare` returned.
    """
    lines = differences(comparison)
    figure = go.Figure()
    for line in lines:
        error, interval = None, ""
        if line.low is not None and line.high is not None:
            error = {
                "type": "data",
                "symmetric": False,
                "array": [line.high - line.mean],
                "arrayminus": [line.mean - line.low],
                "thickness": 4 if line.overall else 2,
                "width": 0,
            }
            interval = f", 95 % {line.low:+.1f} to {line.high:+.1f}"
        figure.add_trace(
            go.Scatter(
                x=[line.mean],
                y=[plain(line.name, 40)],
                error_x=error,
                mode="markers",
                marker={"color": BLUE if line.clear else GREY, "size": 13 if line.overall else 9, "symbol": "diamond"},
                showlegend=False,
                hovertemplate=f"%{{y}}: %{{x:+.1f}} points{interval}<extra></extra>",
            )
        )
    figure.add_vline(x=0, line={"color": GREY, "width": 1, "dash": "dot"})
    figure = finish(figure)
    title = f"points of accuracy: {plain(comparison.method, 30)} − {plain(comparison.baseline, 30)}"
    figure.update_xaxes(title_text=title)
    figure.update_yaxes(autorange="reversed", type="category", title_text="task")
    figure.update_layout(height=110 + 32 * len(lines), margin_t=20)
    return figure


def paired_means(results: pd.DataFrame, methods: Sequence[str]) -> go.Figure:
    """Draws the mean over tasks of every pair of seeds, one line a pair from method to method.

    Only pairs that have every task under every method are drawn.

    Args:
        results: What `results_table` returned.
        methods: Methods, in the order in which they stand.
    """
    means = pair_means(results[results["method"].isin(methods)], methods, complete=True)
    if not means.pairs or len(means.methods) < 2:
        return nothing_yet("No pair of seeds has all tasks under both methods yet.")
    by_method = method_colors(methods)
    colors = [by_method[method] for method in means.methods]
    figure = go.Figure()
    names = [plain(method, 40) for method in means.methods]
    for (init_seed, data_seed), scores in zip(means.pairs, means.rows, strict=True):
        init = "" if init_seed is None else f"initialisation seed {init_seed}, "
        figure.add_trace(
            go.Scatter(
                x=names,
                y=scores,
                mode="lines+markers",
                line={"color": GREY, "width": 1},
                marker={"color": colors, "size": 9},
                showlegend=False,
                hovertemplate=f"%{{y:.1f}} %, {init}data seed {data_seed}<extra></extra>",
            )
        )
    figure.add_trace(
        go.Scatter(
            x=names,
            y=means.means,
            mode="markers",
            marker={"symbol": "line-ew", "size": 40, "line": {"width": 3, "color": colors}},
            showlegend=False,
            hovertemplate="mean %{y:.1f} %<extra></extra>",
        )
    )
    figure = finish(figure)
    figure.update_xaxes(type="category")
    figure.update_yaxes(title_text="accuracy, mean over tasks (%)")
    figure.update_layout(height=330, margin_t=20)
    return figure


def variance_bars(sources: pd.DataFrame) -> go.Figure:
    """Draws each method's variance by source, as standard deviations in points that add up in squares.

    Args:
        sources: Rows of `variance_sources` of all tasks together, with a column method: source, variance, share.
    """
    known = sources[sources["variance"].notna() & (sources["source"] != "total")]
    if known.empty or not known["share"].notna().any():
        return nothing_yet("The variance cannot be split by source: that needs several seeds of both kinds.")
    figure = go.Figure()
    for index, source in enumerate(dict.fromkeys(known["source"])):
        rows = known[known["source"] == source]
        figure.add_trace(
            go.Bar(
                x=[10_000 * float(value) for value in rows["variance"]],
                y=[plain(method, 40) for method in rows["method"]],
                orientation="h",
                name=plain(source),
                marker={"color": PALETTE[index % len(PALETTE)]},
                customdata=[
                    [100 * float(v) ** 0.5, 100 * float(s)]
                    for v, s in zip(rows["variance"], rows["share"], strict=True)
                ],
                hovertemplate="%{customdata[0]:.1f} points, %{customdata[1]:.0f} % of the variance",
            )
        )
    figure = finish(figure)
    figure.update_layout(barmode="stack", bargap=0.3, height=170 + 40 * known["method"].nunique())
    figure.update_xaxes(title_text="variance of accuracy (points²)")
    figure.update_yaxes(autorange="reversed", type="category")
    return figure


def cost_against_accuracy(results: pd.DataFrame, methods: Sequence[str]) -> go.Figure:
    """Draws what a method costs against what it gives: seconds of pre-training and tuning for one score.

    Args:
        results: What `results_table` returned.
        methods: All methods of the study, so that each keeps its colour.
    """
    if results.empty:
        return nothing_yet("No score is there yet.")
    colors = method_colors(methods)
    figure = go.Figure()
    results, left_out = _on_common_tasks(results, methods)
    crowded = results["method"].nunique() > MANY
    for method in methods:
        rows = results[results["method"] == method]
        if rows.empty:
            continue
        # One pre-training serves all scores of its initialisation seed.
        by_seed = rows.groupby("init_seed", dropna=False)
        share = float((by_seed["pretraining_seconds"].max() / by_seed.size()).mean())
        seconds = float(rows["seconds"].mean()) + (0.0 if pd.isna(share) else share)
        # The mean over tasks of each pair of seeds: its spread is that of what the point is.
        of_pairs = rows.groupby(PAIR, dropna=False)["accuracy"].mean()
        deviation = float(of_pairs.std(ddof=1)) if len(of_pairs) > 1 else 0.0
        figure.add_trace(
            go.Scatter(
                x=[max(seconds, 0.01)],
                y=[100 * float(rows.groupby("task")["accuracy"].mean().mean())],
                error_y={"type": "data", "array": [100 * deviation]},
                mode="markers" if crowded else "markers+text",
                marker={"color": colors[method], "size": 13},
                text=[plain(method, 30)],
                textposition="top center",
                name=plain(method, 30),
                showlegend=crowded,
                hovertemplate="%{text}: %{y:.1f} % for %{x:.1f} s a score<extra></extra>",
            )
        )
    figure = finish(figure)
    figure.update_xaxes(type="log", title_text="seconds a score: tuning and its share of pre-training (logarithmic)")
    figure.update_yaxes(title_text="accuracy, mean over tasks (%)")
    figure.update_layout(height=380, margin_t=20)
    if crowded:
        beside = {"orientation": "v", "yref": "paper", "y": 1, "x": 1.02, "xanchor": "left"}
        figure.update_layout(height=480, legend=beside)
    return _note_left_out(figure, left_out)


def _on_common_tasks(table: pd.DataFrame, methods: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """Rows of the tasks that every method has scores on, and the other tasks.

    While a study runs methods are not equally far: a mean over an easy task is not one over all.
    """
    wanted = table[table["method"].isin(methods)]
    groups = wanted.groupby("method")["task"].agg(set)
    common = set.intersection(*groups) if len(groups) else set()
    left_out = sorted(set(wanted["task"]) - common)
    return wanted[wanted["task"].isin(common)], left_out


def _note_left_out(figure: go.Figure, tasks: list[str]) -> go.Figure:
    if tasks:
        names = ", ".join(plain(task, 20) for task in tasks)
        note = {"text": f"without {names}: not all methods have scores there yet", "font": {"size": 12}}
        figure.update_layout(title={**note, "x": 0.01, "xanchor": "left"}, margin_t=60)
    return figure
