"""How many auxiliary tasks each number of clusters gives: what a new study is chosen by."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from metapt_explore.auxiliary_tasks.quick_look import TaskCount
from metapt_explore.plots.style import GREY, PALETTE, finish, nothing_yet

#: Height of the figure, in pixels.
HEIGHT = 230


def task_counts(counts: Sequence[TaskCount], chosen: int, called: str = "usable tasks") -> go.Figure:
    """Draws a bar for each number of clusters: its usable tasks; the chosen number stands out.

    Args:
        counts: What each number gives.
        chosen: The number of clusters that the study will have.
        called: What is counted.

    Example:
        >>> task_counts([TaskCount(2, 2, 1.0), TaskCount(4, 3, 0.8)], 4).data[0].y
        (2, 3)
    """
    if not counts:
        return nothing_yet("The texts are too few, or too alike, for two clusters.")
    ordered = sorted(counts, key=lambda count: count.n_clusters)
    figure = go.Figure(
        go.Bar(
            x=[str(count.n_clusters) for count in ordered],
            y=[count.tasks for count in ordered],
            text=[str(count.tasks) for count in ordered],
            textposition="outside",
            cliponaxis=False,
            name=called,
            marker={"color": [PALETTE[0] if count.n_clusters == chosen else GREY for count in ordered]},
            customdata=[round(100 * count.used) for count in ordered],
            hovertemplate=f"%{{x}} clusters: %{{y}} {called}, %{{customdata}} % of the texts<extra></extra>",
        )
    )
    figure = finish(figure)
    figure.update_layout(height=HEIGHT, bargap=0.35, margin={"t": 24, "b": 44}, showlegend=False)
    figure.update_xaxes(title_text="clusters (number)", type="category")
    figure.update_yaxes(title_text=called, rangemode="tozero", showticklabels=False)
    return figure
