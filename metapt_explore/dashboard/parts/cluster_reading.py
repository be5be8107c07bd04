"""The map of clusters, and the texts of what is chosen: by a lasso, a search, or a cluster."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from metapt_explore import plots
from metapt_explore.clusters.projections import PROJECTIONS
from metapt_explore.dashboard.parts import cluster_list, cluster_neighbours, drawing, messages
from metapt_explore.dashboard.parts.cluster_choice import Chosen
from metapt_explore.dashboard.parts.cluster_view import View
from metapt_explore.plots import MapLook
from metapt_explore.plots.text_map import LARGEST_MAP, LEGEND_ENTRIES

#: A browser shows no more texts than this.
MOST_TEXTS = 500
#: Clusters that a selection's caption names.
MOST_CLUSTERS = 12
COLUMNS = ("text", "label", "confidence", "source", "group")


def draw_map(view: View, look: MapLook, kept_as: str | None, marked: Collection[int]) -> list[int]:
    """Draws the map and returns the rows that are chosen on it.

    Args:
        view: The clustering, on its map.
        look: Colours, names, density.
        kept_as: Key under which the drawing may be kept.
        marked: Rows with a ring.
    """
    legend = "Click a name below it to hide a cluster, double-click to show it alone. "
    event = drawing.draw(
        _figure(view, look, kept_as, marked),
        f"map_{view.artifact.id}_{view.projection}",
        "A point is a text. Draw a lasso or a box (top right) to read the texts inside or to make them a cluster. "
        + (legend if len(view.names) <= LEGEND_ENTRIES else "")
        + f"{PROJECTIONS[view.projection].reading} {cluster_list.coloured(view)}".strip(),
        select=True,
    )
    return chosen_rows(event) if len(view.points) <= LARGEST_MAP else rows_inside(event, view.points)


def chosen_rows(event: Any) -> list[int]:
    """Rows of the points that a figure says are chosen.

    Example:
        >>> chosen_rows({"selection": {"points": [{"customdata": 4}, {"customdata": [2]}, {"x": 1.0}]}})
        [2, 4]
    """
    points = [point.get("customdata") for point in (event or {}).get("selection", {}).get("points", [])]
    rows = [row[0] if isinstance(row, list) else row for row in points]
    return sorted({int(row) for row in rows if row is not None})


def rows_inside(event: Any, points: pd.DataFrame) -> list[int]:
    """Rows of all texts inside the lassos and boxes of a figure, also of those that a sampled map does not draw.

    Example:
        >>> points = pd.DataFrame({"row": [0, 1, 2], "x": [0.1, 2.0, 0.9], "y": [0.2, 0.5, -0.5]})
        >>> rows_inside({"selection": {"lasso": [{"x": [-1, 2, -1], "y": [-1, -1, 2]}], "box": []}}, points)
        [0, 2]
    """
    from matplotlib.path import Path

    selection = (event or {}).get("selection", {})
    lassos, boxes = selection.get("lasso", []), selection.get("box", [])
    kept = pd.Series(False, index=points.index)
    for shape in (*lassos, *boxes):
        near = points["x"].between(min(shape["x"]), max(shape["x"]))
        near &= points["y"].between(min(shape["y"]), max(shape["y"]))
        if shape in lassos:
            outline = Path(list(zip(shape["x"], shape["y"], strict=True)))
            near[near] = outline.contains_points(points.loc[near, ["x", "y"]].to_numpy())
        kept |= near
    return sorted(map(int, points.loc[kept, "row"]))


def _figure(view: View, look: MapLook, kept_as: str | None, marked: Collection[int]) -> go.Figure:
    if view.edits or marked or kept_as is None:
        return plots.cluster_map(view.points, view.written["text"], view.clusters, marked=marked, look=look)
    file = view.artifact.folder / "clusters.parquet"
    return _kept_figure(
        f"{view.artifact.id} {view.projection} {kept_as}", file.stat().st_mtime_ns, _view=view, _look=look
    )


@st.cache_resource(max_entries=8, show_spinner="Drawing the map …")
def _kept_figure(key: str, changed: int, *, _view: View, _look: MapLook) -> go.Figure:
    """The map without edits; cached, since a large one takes a second."""
    return plots.cluster_map(_view.points, _view.written["text"], _view.clusters, look=_look)


def read(study: str, view: View, *, lasso: list[int], chosen: Chosen) -> None:
    """Texts of the selection on the map, else of what was chosen, else of a cluster."""
    names = view.names
    if lasso:
        st.caption(f"{len(lasso):,} texts selected on the map; double-click the map to clear.")
        members = view.points[view.points["row"].isin(lasso)]
    elif chosen.any:
        st.caption(f"Chosen by {chosen.how}.")
        members = view.points[view.points["row"].isin(chosen.rows)]
    elif names:
        # One key per clustering: cluster numbers repeat, and a browser would keep an old name.
        key = f"cluster_{study}_{view.artifact.id}"
        cluster = st.selectbox("Cluster", list(names), format_func=lambda cluster: names[cluster], key=key)
        members = view.points[view.points["cluster"] == cluster]
    else:
        return
    of_several = bool(lasso) or chosen.any
    members = members.sort_values("membership", ascending=False, kind="stable")
    shown = members.head(MOST_TEXTS)
    drawing.show_table(
        table_of(view, shown, with_cluster=of_several),
        key="cluster_texts",
        hide_index=True,
        height=400,
        on_select=partial(_take_row, cluster_neighbours.row_key(view), shown["row"].tolist()),
        selection_mode="single-row",
    )
    cut = f"The {MOST_TEXTS} surest of {len(members):,} texts" if len(members) > MOST_TEXTS else "Texts"
    st.caption(f"{cut}, surest first. Tick one to see its neighbours. {drawing.READ_WHOLE}")
    if of_several:
        shares = members["cluster"].map(names).value_counts()
        said = ", ".join(f"{name} {count:,}" for name, count in shares.head(MOST_CLUSTERS).items())
        more = f", and {len(shares) - MOST_CLUSTERS} more clusters" if len(shares) > MOST_CLUSTERS else ""
        st.caption(messages.plain(f"By cluster: {said}{more}"))


def _take_row(key: str, rows: list[int]) -> None:
    """Remembers the text that was ticked in the list; its neighbours are shown and ringed."""
    ticked = st.session_state["cluster_texts"]["selection"]["rows"]
    st.session_state[key] = rows[ticked[0]] if ticked and ticked[0] < len(rows) else None


def table_of(view: View, shown: pd.DataFrame, *, with_cluster: bool) -> pd.DataFrame:
    """Texts with their facts; without empty columns."""
    columns = [column for column in COLUMNS if column in view.written and view.written[column].notna().any()]
    frame = view.written.loc[shown["row"], columns]
    more: dict[str, Any] = {"membership": shown["membership"].round(3).to_numpy()}
    if with_cluster:
        more = {"cluster": shown["cluster"].map(view.names).to_numpy(), **more}
    return frame.assign(**more, row=shown["row"].to_numpy())
