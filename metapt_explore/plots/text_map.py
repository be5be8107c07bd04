"""The map of texts: a point a text, coloured by its cluster or anything else, with names and density."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from metapt_explore.clusters.map_names import MapName, Window, window_of
from metapt_explore.clusters.projections import PROJECTIONS
from metapt_explore.plots.style import CLEAR, GREY, TEXT, finish, nothing_yet, plain
from metapt_explore.plots.text_colours import (
    OUTLIERS,
    PointGroup,
    coloured_clusters,
    group_by_category,
    group_by_cluster,
    number_marker,
)

#: More points than this make a browser slow, even with WebGL.
LARGEST_MAP = 50_000
#: Up to so many points carry the beginning of their text.
LARGEST_WITH_TEXT = 10_000
HOVER_LETTERS = 120
HOVER_LINE = 60
#: A legend of more entries would eat the figure; a list of clusters stands beside the map then.
LEGEND_ENTRIES = 16
#: Letters of a name in the legend; of more names than a few so many that two stand side by side on a telephone.
NAME, SHORT_NAME, FEW_NAMES = 50, 13, 8
#: Pixels of the map, and with a legend of many names.
HEIGHT, WITH_NAMES = 600, 690
#: Cells of the density on each side, and how far it is smoothed, in cells.
CELLS, SMOOTH = 72, 1.6
#: Steps of density that have a line above the points of a sample.
LEVELS = 7


@dataclass(frozen=True, eq=False)
class MapLook:
    """What a map shows beside the places of its texts.

    Attributes:
        colour: What points are coloured by, indexed by row: numbers, or names of categories; clusters when absent.
        title: What `colour` is called.
        axes: Titles of the axes, which say how the map was made.
        names: Names to write on it (`clusters.map_names`).
        window: The part that is seen; all when absent.
        density: Whether lines of equal density are drawn.
        highlighted: Clusters that keep their colour, all others grey; all when empty.
    """

    colour: pd.Series | None = None
    title: str = "cluster"
    axes: tuple[str, str] = PROJECTIONS["pca"].axes
    names: Sequence[MapName] = ()
    window: Window | None = None
    density: bool = False
    highlighted: Collection[int] = ()


def cluster_map(
    points: pd.DataFrame,
    texts: pd.Series,
    clusters: Sequence[Mapping[str, Any]],
    *,
    marked: Collection[int] = (),
    look: MapLook | None = None,
) -> go.Figure:
    """Draws every text as a point at its place on the map, in the colour of its cluster.

    Of more than 49 clusters the largest have a colour, or those that are highlighted; the others are grey, and the
    pointer says which is which. Above 50,000 texts a sample is drawn, always the same one, over the density of all of
    them, and the title says so. Above 10,000 points carry no text: a browser would carry megabytes of words around with
    every touch. ``customdata`` of a point is its row.

    Args:
        points: Columns row, cluster (-1 for outliers), x and y: the ``clusters`` table of a clustering.
        texts: The texts, indexed by row.
        clusters: ``summary["clusters"]`` of the clustering: ids, names and sizes.
        marked: Rows with a ring around them (what a search found).
        look: Colours, names, density.
    """
    look, total, every = look or MapLook(), len(points), points
    if not total:
        return nothing_yet("There is no text on the map.")
    title = f"{total:,} texts"
    if total > LARGEST_MAP:
        points = points.sample(LARGEST_MAP, random_state=0).sort_index()
        title = f"{LARGEST_MAP:,} of {total:,} texts, sampled at random; shade and lines are the density of all"
    figure = go.Figure()
    shade = _density(every, look.window) if look.density or total > LARGEST_MAP else None
    if shade is not None:
        figure.add_trace(shade)
    names = {int(cluster["cluster"]): str(cluster["name"]) for cluster in clusters}
    written = texts if total <= LARGEST_WITH_TEXT else None
    sizes = every.loc[every["cluster"] >= 0, "cluster"].value_counts()
    looks = coloured_clusters(sizes, look.highlighted)
    groups = _groups(points, look, lambda shown: group_by_cluster(shown, names, looks, len(sizes)))
    letters = NAME if len(groups) <= FEW_NAMES else SHORT_NAME
    for group in groups:
        group.marker.setdefault("size", 4 if total > LARGEST_MAP else 5 if total > 5_000 else 7)
        figure.add_trace(_trace(group, names, written, letters))
    if shade is not None and total > LARGEST_MAP:
        figure.add_trace(_density_lines(shade))
    ringed = points[points["row"].isin(list(marked))] if marked else points.iloc[:0]
    if len(ringed):
        figure.add_trace(_ring(ringed))
    for name in look.names:
        figure.add_annotation(_written(name))
    figure = finish(figure, title=title)
    entries = sum(group.listed for group in groups) + bool(len(ringed))
    with_scale = any("colorbar" in group.marker for group in groups)
    with_legend = 1 < entries <= LEGEND_ENTRIES
    height = WITH_NAMES if with_legend and entries > FEW_NAMES else HEIGHT
    _lay_out(figure, look, legend_y=-0.36 if with_scale else -0.18, with_legend=with_legend, height=height)
    return figure


def _groups(
    points: pd.DataFrame, look: MapLook, by_cluster: Callable[[pd.DataFrame], list[PointGroup]]
) -> list[PointGroup]:
    """The points in groups that are drawn alike, what lies above last."""
    behind = []
    if look.highlighted:
        chosen = points["cluster"].isin(list(look.highlighted))
        rest, points = points[~chosen], points[chosen]
        if len(rest):
            behind = [PointGroup("other clusters", rest, {"color": GREY, "opacity": 0.15})]
    if look.colour is None:
        return [*behind, *by_cluster(points)]
    values = look.colour.reindex(points["row"]).set_axis(points.index)
    if not pd.api.types.is_numeric_dtype(values):
        return [*behind, *group_by_category(points, values)]
    missing = values.isna()
    if missing.any():
        behind.append(PointGroup(f"no {look.title}", points[missing], {"color": GREY, "opacity": 0.35}))
    shown, values = points[~missing], values[~missing]
    if not len(shown):
        return behind
    return [
        *behind,
        PointGroup(look.title, shown, number_marker(values, look.title), notes=values.to_numpy(), listed=False),
    ]


def _trace(group: PointGroup, names: Mapping[int, str], texts: pd.Series | None, letters: int) -> go.Scattergl:
    rows = group.points
    readable: dict[str, Any] = {"hoverinfo": "text", "hovertext": plain(group.name, NAME)}
    if texts is not None:
        hover = [hover_text(text) for text in texts.reindex(rows["row"])]
        if not group.named:  # its name does not say the cluster
            of = [plain(names.get(int(cluster), OUTLIERS), NAME) for cluster in rows["cluster"]]
            hover = [f"{text}<br>{cluster}" for text, cluster in zip(hover, of, strict=True)]
        if group.notes is not None:
            title = plain(group.name, 40)
            hover = [f"{text}<br>{title}: {note:.3g}" for text, note in zip(hover, group.notes, strict=True)]
        readable = {"text": hover, "hovertemplate": "%{text}" if group.named else "%{text}<extra></extra>"}
    elif not group.named:
        told = {cluster: plain(each, NAME) for cluster, each in names.items()}
        note = "" if group.notes is None else f"<br>{plain(group.name, 40)}: %{{marker.color:.3g}}"
        of_cluster = rows["cluster"].map(lambda cluster: told.get(cluster, OUTLIERS)).to_list()
        readable = {"text": of_cluster, "hovertemplate": f"%{{text}}{note}<extra></extra>"}
    return go.Scattergl(
        x=rows["x"].to_numpy(dtype="float32"),
        y=rows["y"].to_numpy(dtype="float32"),
        mode="markers",
        marker=group.marker,
        name=plain(group.name, letters if group.named else NAME),
        showlegend=group.listed,
        customdata=rows["row"].to_numpy(dtype="int32"),
        **readable,
    )


def _ring(ringed: pd.DataFrame) -> go.Scattergl:
    return go.Scattergl(
        x=ringed["x"].to_numpy(dtype="float32"),
        y=ringed["y"].to_numpy(dtype="float32"),
        mode="markers",
        marker={"size": 13, "color": CLEAR, "line": {"width": 2, "color": TEXT}},
        name=f"matches ({len(ringed):,})",
        customdata=ringed["row"].to_numpy(dtype="int32"),
        hoverinfo="skip",
    )


def _density(points: pd.DataFrame, window: Window | None) -> go.Contour:
    """Lines of equal density of the texts, of a smoothed histogram: a browser would count every point again."""
    from scipy.ndimage import gaussian_filter

    left, right, bottom, top = window or window_of(points)
    counts, x, y = np.histogram2d(points["x"], points["y"], bins=CELLS, range=[[left, right], [bottom, top]])
    smooth = gaussian_filter(counts, SMOOTH)
    return go.Contour(
        x=(x[:-1] + x[1:]) / 2,
        y=(y[:-1] + y[1:]) / 2,
        # Roots, so that thin places have lines, too.
        z=np.sqrt(smooth.T).round(3),
        ncontours=9,
        contours={"coloring": "fill", "showlines": True},
        line={"width": 1, "color": "rgba(128, 128, 128, 0.55)"},
        colorscale=[[0.0, CLEAR], [1.0, "rgba(128, 128, 128, 0.45)"]],
        showscale=False,
        showlegend=False,
        hoverinfo="skip",
        name="density",
    )


def _density_lines(shade: go.Contour) -> go.Scattergl:
    """The shade's lines above the points: so many points hide what lies beneath them."""
    from contourpy import contour_generator

    levels = np.linspace(0, float(np.max(shade.z)), LEVELS + 1)[1:-1]
    generator = contour_generator(shade.x, shade.y, shade.z)
    gap = np.full((1, 2), np.nan)
    ends = [part for level in levels for line in generator.lines(level) for part in (np.asarray(line), gap)]
    places = np.concatenate(ends) if ends else gap
    return go.Scattergl(
        x=places[:, 0].astype("float32"),
        y=places[:, 1].astype("float32"),
        mode="lines",
        line={"width": 1, "color": "rgba(45, 45, 45, 0.75)"},
        showlegend=False,
        hoverinfo="skip",
        name="density",
    )


def _written(name: MapName) -> dict[str, Any]:
    """A name as a label that is read over points, on a light page and a dark one."""
    return {
        "x": name.x,
        "y": name.y,
        "text": plain(name.text),
        "showarrow": False,
        "font": {"size": 12, "color": "#1F1F1F"},
        "bgcolor": "rgba(255, 255, 255, 0.82)",
        "borderpad": 1,
    }


def _lay_out(figure: go.Figure, look: MapLook, *, legend_y: float, with_legend: bool, height: int) -> None:
    left, right, bottom, top = look.window or (None, None, None, None)
    figure.update_xaxes(title_text=look.axes[0], **({} if left is None else {"range": [left, right]}))
    figure.update_yaxes(title_text=look.axes[1], **({} if bottom is None else {"range": [bottom, top]}))
    figure.update_layout(
        height=height,
        hovermode="closest",
        showlegend=with_legend,
        legend={
            "orientation": "h",
            "yref": "paper",
            "y": legend_y,
            "yanchor": "top",
            "x": 0,
            "xanchor": "left",
            "itemsizing": "constant",
        },
    )


def hover_text(text: object) -> str:
    """The first 120 characters of a text on two lines, with nothing in them that acts as markup.

    Example:
        >>> hover_text("a <b>bold</b> claim")
        'a &lt;b&gt;bold&lt;/b&gt; claim'
    """
    words = " ".join(str(text).split()) if isinstance(text, str) else ""
    cut = words[:HOVER_LETTERS] + ("…" if len(words) > HOVER_LETTERS else "")
    return "<br>".join(plain(line) for line in textwrap.wrap(cut, HOVER_LINE))
