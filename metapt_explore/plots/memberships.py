"""How probable the most probable cluster of each text is, and the clusters of one text."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from metapt_explore.plots.style import GREY, PALETTE, finish, nothing_yet

#: Height of the figure, in pixels.
HEIGHT = 260


def membership_histogram(counts: Sequence[int], uncertain: float = 0.5) -> go.Figure:
    """Counts texts by the probability of their most probable cluster.

    Args:
        counts: Texts in bars of equal width, from probability 0 to 1 (`clusters.memberships.membership_summary`).
        uncertain: Bars below this are grey.

    Example:
        >>> list(membership_histogram([0, 2, 3, 15]).data[0].x)
        [0.125, 0.375, 0.625, 0.875]
    """
    if not sum(counts):
        return nothing_yet("There is no text.")
    width = 1 / len(counts)
    middles = [(place + 0.5) * width for place in range(len(counts))]
    ranges = [f"{place * width:.2f} to {(place + 1) * width:.2f}" for place in range(len(counts))]
    figure = go.Figure(
        go.Bar(
            x=middles,
            y=list(counts),
            width=[0.92 * width] * len(counts),
            name="texts",
            marker={"color": [GREY if middle < uncertain else PALETTE[0] for middle in middles]},
            customdata=ranges,
            hovertemplate="probability %{customdata}: %{y:,} texts<extra></extra>",
        )
    )
    figure = finish(figure)
    figure.update_layout(height=HEIGHT, margin={"t": 24, "b": 44}, showlegend=False)
    figure.update_xaxes(title_text="probability of the most probable cluster", range=[0, 1])
    figure.update_yaxes(title_text="texts", rangemode="tozero")
    return figure
