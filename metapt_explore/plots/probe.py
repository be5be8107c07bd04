"""Templates and label words by themselves: accuracy on the training rows, and its range over data seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from metapt_explore.plots.style import BLUE, GREY, axis_titles, facets, finish, nothing_yet, place, plain

#: Candidates that are drawn at most, and characters of one that are shown.
DRAWN, SHOWN = 12, 44


def probe_dots(ranking: Sequence[dict[str, Any]]) -> go.Figure:
    """Draws a dot for each candidate, best first: mean accuracy, with a line from the worst to the best data seed.

    Args:
        ranking: Records of `fewshot.probe.probe`; those that the model cannot read are left out.
    """
    readable = [record for record in ranking if record["reason"] is None][:DRAWN]
    if not readable:
        return nothing_yet("No candidate can be read by this model.")
    # Ranks in front: two candidates that are cut to the same letters would share a line.
    names = [f"{record['rank']}. {_name(record)}" for record in readable]
    figure = facets(["accuracy on the training rows"], same_y=False, panel_height=60 + 34 * len(readable))
    where = place(0, 1)
    for prefix, name, color, symbol in (
        ("", "as it comes", GREY, "circle-open"),
        ("calibrated_", "calibrated", BLUE, "circle"),
    ):
        means = [100 * record[f"{prefix}accuracy"] for record in readable]
        ranges = [[100 * value for value in record[f"{prefix}accuracies"].values()] for record in readable]
        figure.add_trace(
            go.Scatter(
                x=means,
                y=names,
                mode="markers",
                marker={"color": color, "symbol": symbol, "size": 10},
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [max(scores) - mean for scores, mean in zip(ranges, means, strict=True)],
                    "arrayminus": [mean - min(scores) for scores, mean in zip(ranges, means, strict=True)],
                    "color": color,
                    "thickness": 1.5,
                    "width": 0,
                },
                name=name,
                customdata=[[min(scores), max(scores), len(scores)] for scores in ranges],
                hovertemplate=(
                    "%{x:.1f} %, %{customdata[0]:.1f} to %{customdata[1]:.1f} % over %{customdata[2]} data seeds"
                ),
            ),
            **where,
        )
    figure.update_yaxes(autorange="reversed", type="category", categoryorder="array", categoryarray=names)
    axis_titles(figure, 1, x="accuracy (%)", y="")
    return finish(figure)


def _name(record: dict[str, Any]) -> str:
    words = " / ".join(", ".join(class_words) for class_words in record["words"].values())
    template = record["template"].replace("\n", " ⏎ ")
    return plain(f"{template} · {words}", SHOWN)
