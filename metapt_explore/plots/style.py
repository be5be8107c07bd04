"""Colours, facets and the finish that all figures share."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from metapt_explore import escaping

#: Names and texts as plotly shows them, without markup.
plain = escaping.plotly

#: Okabe and Ito's palette without black, which a dark page swallows.
ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
#: For outliers, unlabelled rows and helper lines.
GREY = "#8C8C8C"
GRID = "rgba(128, 128, 128, 0.25)"
CLEAR = "rgba(0, 0, 0, 0)"

PALETTE = (BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE, YELLOW)
METHODS = {"PT": ORANGE, "PPT": SKY, "MetaPT": GREEN}
#: Four that no named method has; then each of the seven darker, and lighter, so that 18 methods more are told apart.
OTHER_METHODS = (
    *(PURPLE, VERMILION, BLUE, YELLOW),
    *("#00446A", "#8A5F00", "#005F45", "#803800", "#34709B", "#7A4760", "#908928"),
    *("#66AAD1", "#F0C466", "#66C5AB", "#E69E66", "#9AD3F2", "#E0AFC9", "#F6EF8E"),
)

#: More bars, rows or columns than this nobody reads: figures show a curve, a picture without names, or the largest.
MANY = 40

#: Letters on a line of a figure's title: a telephone shows no more.
TITLE_LINE = 44
#: Pixels below the lowest panels: ticks, the axis' title and a line of the legend.
BELOW = 100
#: Says of a figure that it is a grid of panels.
PANELS = "panels"
#: Letters on a line of a panel's title.
LINE_OF_TITLE = 22

#: Readable on white and on black: 4.5 to 1 against either.
TEXT = "#757575"


def method_colors(methods: Iterable[str]) -> dict[str, str]:
    """Gives each method its colour.

    PT, PPT and MetaPT always have the same ones; others get the rest in their order, so pass all
    methods of a study where a figure shows only some.

    Example:
        >>> method_colors(["PT", "control"])
        {'PT': '#E69F00', 'control': '#CC79A7'}
    """
    names = list(dict.fromkeys(methods))
    others = [name for name in names if name not in METHODS]
    spare = {name: OTHER_METHODS[index % len(OTHER_METHODS)] for index, name in enumerate(others)}
    return {name: METHODS.get(name) or spare[name] for name in names}


def see_through(color: str, alpha: float) -> str:
    """The same colour, partly transparent.

    Example:
        >>> see_through("#0072B2", 0.5)
        'rgba(0, 114, 178, 0.5)'
    """
    red, green, blue = (int(color[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {alpha})"


def facets(
    titles: Sequence[str], *, same_y: bool, columns: int = 3, panel_height: int = 260, below: int = 85
) -> go.Figure:
    """A grid of panels, one a title; `place` says where the panel of an index lies.

    Args:
        titles: What stands above each panel; at least one.
        same_y: Whether all panels have one scale, for comparing heights between them.
        columns: Panels side by side.
        panel_height: Pixels, with the room below.
        below: Pixels between two rows of panels, for tick labels and the next title.
    """
    wide = min(columns, len(titles))
    rows = -(-len(titles) // wide)
    height = rows * panel_height + 130
    figure = make_subplots(
        rows=rows,
        cols=wide,
        subplot_titles=[_lines(title) for title in titles],
        shared_xaxes="all",
        shared_yaxes="all" if same_y else False,
        vertical_spacing=min(0.9 / rows, below / height),
        horizontal_spacing=0.05 if same_y else 0.08,
    )
    figure.update_annotations(font_size=12)
    figure.update_layout(height=height, meta=PANELS)
    # Panels at the end of a row that is not full have nothing below them that shows their steps.
    figure.update_xaxes(showticklabels=True)
    return figure


def _lines(title: str) -> str:
    """A panel's title in lines that three panels have room for on a telephone."""
    first, *rest = textwrap.wrap(escaping.one_line(title), LINE_OF_TITLE) or [""]
    return "<br>".join([plain(first), *([plain(" ".join(rest), LINE_OF_TITLE)] if rest else [])])


def place(index: int, count: int, columns: int = 3) -> dict[str, int]:
    """Row and column of the panel of that index."""
    row, column = divmod(index, min(columns, count))
    return {"row": row + 1, "col": column + 1}


def axis_titles(figure: go.Figure, count: int, *, x: str, y: str, columns: int = 3) -> None:
    """Writes the y title at the left panels, and the x title once, below the middle column's lowest panel."""
    wide = min(columns, count)
    for index in range(count):
        where = place(index, count, columns)
        if where["col"] == 1:
            figure.update_yaxes(title_text=y, **where)
        if index + wide >= count and where["col"] == (wide + 1) // 2:
            figure.update_xaxes(title_text=x, **where)


def finish(figure: go.Figure, *, title: str = "", ticks: int = 0) -> go.Figure:
    """Transparent backgrounds, and a text and grid grey that both light and dark pages carry.

    Args:
        figure: A figure with its traces.
        title: What stands above it.
        ticks: Pixels that tick labels below panels take beyond a line.
    """
    template = go.layout.Template()
    template.layout.font = {"color": TEXT, "size": 13}
    template.layout.hoverlabel = {"align": "left"}
    for axis in (template.layout.xaxis, template.layout.yaxis):
        axis.update(gridcolor=GRID, zeroline=False, linecolor=GRID, ticks="outside", tickcolor=GRID)
        axis.automargin = True
    figure.update_layout(
        template=template,
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        margin={"l": 60, "r": 20, "t": 70, "b": 50},
        # Of the plot, not of the figure: then the plot gives way to a legend of many lines, on a telephone.
        legend={"orientation": "h", "yref": "paper", "y": 1.02, "yanchor": "bottom", "x": 1, "xanchor": "right"},
    )
    if figure.layout.meta == PANELS:
        # Below the panels, where it takes the lines that it needs: above them it would lie on their titles.
        height = figure.layout.height - figure.layout.margin.t - BELOW - ticks
        place_of_legend = {"y": -(BELOW / 2 + ticks) / height, "yanchor": "top", "x": 0, "xanchor": "left"}
        figure.update_layout(margin_b=BELOW + ticks, legend=place_of_legend)
    if title:
        lines = "<br>".join(plain(line) for line in textwrap.wrap(escaping.one_line(title), TITLE_LINE))
        figure.update_layout(title={"text": lines, "font": {"size": 14}, "x": 0.01, "xanchor": "left"})
    return figure


def figure_table(figure: go.Figure) -> pd.DataFrame:
    """The numbers of a figure, a row a point: what a reader downloads beside the picture.

    Args:
        figure: Any figure of this package.

    Returns:
        Columns ``trace``, ``panel`` (where there are several) and ``x``, ``y`` (of a heat map also ``z``), ``low`` and
        ``high`` (the ends of an interval, where points have one) and ``text``. Bands and lines that only guide the
        eye are
        left out.

    Example:
        >>> figure_table(go.Figure(go.Scatter(x=[1, 2], y=[3, 4], name="a"))).to_dict("list")
        {'trace': ['a', 'a'], 'x': [1, 2], 'y': [3, 4]}
    """
    panels = _panel_titles(figure)
    frames = []
    for trace in figure.data:
        if trace.hoverinfo == "skip":
            continue
        head = {"trace": html.unescape(str(trace.name or ""))}
        if len(panels) > 1:
            head["panel"] = panels.get(trace.xaxis or "x", "")
        if trace.type == "heatmap":
            down, across = (_ticks(figure, "yaxis", len(trace.z)), _ticks(figure, "xaxis", len(trace.z[0])))
            cells = [
                {**head, "x": across[j], "y": down[i], "z": value}
                for i, row in enumerate(trace.z)
                for j, value in enumerate(row)
            ]
            frames.append(pd.DataFrame(cells))
            continue
        # Points that stand aside of their place, so as not to hide one another, say where it is.
        places = trace.meta["x"] if isinstance(trace.meta, dict) and "x" in trace.meta else trace.x
        columns: dict[str, list[Any]] = {"x": list(places), "y": list(trace.y)}
        for axis in ("x", "y"):
            error = getattr(trace, f"error_{axis}", None)
            if error is not None and error.array is not None:
                below = error.array if error.arrayminus is None else error.arrayminus
                columns["low"] = [a - b for a, b in zip(columns[axis], below, strict=True)]
                columns["high"] = [a + b for a, b in zip(columns[axis], error.array, strict=True)]
        text = trace.text
        if text is not None and not isinstance(text, str) and len(text) == len(columns["x"]):
            columns["text"] = [html.unescape(str(note)).replace("<br>", " ") for note in text]
        frames.append(pd.DataFrame(columns).assign(**head))
    if not frames:
        return pd.DataFrame(columns=["trace", "x", "y"])
    table = pd.concat(frames, ignore_index=True)
    first = [column for column in ("trace", "panel") if column in table]
    return table[[*first, *(column for column in table if column not in first)]]


def _panel_titles(figure: go.Figure) -> dict[str, str]:
    """Titles of panels by the name of their x axis; they stand above the panels as annotations, in their order."""
    axes = sorted(
        (key for key in figure.layout.to_plotly_json() if key.startswith("xaxis")), key=lambda key: int(key[5:] or 1)
    )
    titles = [html.unescape(str(note.text).replace("<br>", " ")) for note in figure.layout.annotations or ()]
    return {key.replace("axis", ""): title for key, title in zip(axes, titles, strict=False)}


def _ticks(figure: go.Figure, axis: str, count: int) -> list[Any]:
    """What stands at the places of a heat map's axis."""
    written = figure.layout[axis].ticktext
    return [html.unescape(str(text)) for text in written] if written is not None else list(range(count))


def nothing_yet(message: str) -> go.Figure:
    """An empty figure that says why it is empty."""
    figure = finish(go.Figure(), title=message)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.update_layout(height=140)
    return figure
