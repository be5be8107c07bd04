"""How sure a difference is, and where the variance comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import plotly.graph_objects as go

from metapt_explore.plots.series import Difference, differences, pair_means, pooled_differences
from metapt_explore.plots.style import BLUE, GREY, PALETTE, finish, method_colors, nothing_yet, plain
from metapt_explore.statistics.numbers import number
from metapt_explore.statistics.verdict import metric_name

if TYPE_CHECKING:
    from metapt_explore.statistics import Comparison
    from metapt_explore.statistics.pooling import Pooled


def difference_forest(comparison: Comparison) -> go.Figure:
    """Draws the difference of two methods on each task and, lowest and bold, in the mean, with 95 % intervals.

    Blue where the interval does not reach 0, grey where it does.

    Args:
        comparison: What `compare` returned.
    """
    return _forest(
        differences(comparison), comparison.method, comparison.baseline, rows="task", metric=comparison.metric
    )


def pooled_forest(pooled: Pooled) -> go.Figure:
    """Draws the difference of two methods in each study and, lowest and bold, pooled, with 95 % intervals.

    Args:
        pooled: What `pool` returned.
    """
    return _forest(pooled_differences(pooled), pooled.method, pooled.baseline, rows="study", metric=pooled.metric)


def _forest(
    lines: Sequence[Difference], method: str, baseline: str, *, rows: str, metric: str = "accuracy"
) -> go.Figure:
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
            interval = f", 95 % {number(line.low, 1, sign=True)} to {number(line.high, 1, sign=True)}"
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
    title = f"points of {metric_name(metric)}: {plain(method, 30)} − {plain(baseline, 30)}"
    figure.update_xaxes(title_text=title)
    figure.update_yaxes(autorange="reversed", type="category", title_text=rows)
    figure.update_layout(height=110 + 32 * len(lines), margin_t=20)
    return figure


def paired_means(results: pd.DataFrame, methods: Sequence[str], *, metric: str = "accuracy") -> go.Figure:
    """Draws the mean over tasks of every pair of seeds, one line a pair from method to method.

    Only pairs that have every task under every method are drawn.

    Args:
        results: What `results_table` returned.
        methods: Methods, in the order in which they stand.
        metric: Which score.
    """
    means = pair_means(results[results["method"].isin(methods)], methods, complete=True, metric=metric)
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
    figure.update_yaxes(title_text=f"{metric_name(metric)}, mean over tasks (%)")
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
    figure.update_xaxes(title_text="variance of the score (points²)")
    figure.update_yaxes(autorange="reversed", type="category")
    return figure
