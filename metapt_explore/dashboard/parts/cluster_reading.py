"""The map of clusters, and the texts of what is chosen on it: a lasso, a search, or a cluster."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from metapt_explore import plots
from metapt_explore.clusters.projections import PROJECTIONS
from metapt_explore.dashboard.parts import drawing, messages
from metapt_explore.dashboard.parts.cluster_view import View

#: A browser shows no more texts than this.
MOST_TEXTS = 500
COLUMNS = ("text", "label", "confidence", "source", "group")


def search_box(view: View) -> pd.Index:
    """A search box, and the rows whose text contains the search (case ignored, no regex)."""
    wanted = st.text_input(
        "Search the texts",
        key="search",
        persist_state="session",
        bind="query-params",
        placeholder="exact words",
        type="search",
    )
    if not wanted:
        return pd.Index([])
    matches = view.written.index[view.written["text"].str.contains(wanted, case=False, regex=False)]
    st.caption(f"{len(matches):,} of {len(view.written):,} texts match; they are ringed on the map.")
    return matches


def draw_map(view: View, matches: pd.Index) -> list[int]:
    """Draws the map and returns the rows that are chosen on it."""
    figure = _figure(view, matches)
    event = drawing.draw(
        figure,
        f"map_{view.artifact.id}_{view.projection}",
        "A point is a text. Draw a lasso or a box (top right) to read the texts inside; click a name to hide a "
        f"cluster, double-click to show it alone. {PROJECTIONS[view.projection].reading}",
        select=True,
    )
    return chosen_rows(event)


def chosen_rows(event: Any) -> list[int]:
    """Rows of the points that a figure says are chosen.

    Example:
        >>> chosen_rows({"selection": {"points": [{"customdata": 4}, {"customdata": [2]}, {"x": 1.0}]}})
        [2, 4]
    """
    points = [point.get("customdata") for point in (event or {}).get("selection", {}).get("points", [])]
    rows = [row[0] if isinstance(row, list) else row for row in points]
    return sorted({int(row) for row in rows if row is not None})


def _figure(view: View, matches: pd.Index) -> go.Figure:
    if view.edits or len(matches):
        return _draw(view, matches)
    file = view.artifact.folder / "clusters.parquet"
    return _plain_figure(view.artifact.id, view.projection, file.stat().st_mtime_ns, _view=view)


def _draw(view: View, matches: pd.Index) -> go.Figure:
    axes = PROJECTIONS[view.projection].axes
    return plots.cluster_map(view.points, view.written["text"], view.clusters, marked=list(matches), axes=axes)


@st.cache_resource(max_entries=4, show_spinner="Drawing the map …")
def _plain_figure(identifier: str, projection: str, changed: int, *, _view: View) -> go.Figure:
    """The map without edits; cached, since a large one takes a second."""
    return _draw(_view, pd.Index([]))


def read(study: str, view: View, *, lasso: list[int], searched: pd.Index) -> None:
    """Texts of the selection on the map, else of the search, else of a cluster."""
    names = view.names
    if lasso:
        st.caption(f"{len(lasso):,} texts selected on the map; double-click the map to clear.")
        members = view.points[view.points["row"].isin(lasso)]
    elif len(searched):
        st.caption("Search results.")
        members = view.points[view.points["row"].isin(searched)]
    elif names:
        # One key per clustering: cluster numbers repeat, and a browser would keep an old name.
        key = f"cluster_{study}_{view.artifact.id}"
        cluster = st.selectbox("Cluster", list(names), format_func=lambda cluster: names[cluster], key=key)
        members = view.points[view.points["cluster"] == cluster]
    else:
        return
    members = members.sort_values("membership", ascending=False, kind="stable")
    frame = table_of(view, members.head(MOST_TEXTS), with_cluster=bool(lasso) or bool(len(searched)))
    st.dataframe(frame, key="cluster_texts", hide_index=True, height=430)
    cut = f"The {MOST_TEXTS} surest of {len(members):,} texts" if len(members) > MOST_TEXTS else "Texts"
    st.caption(f"{cut}, surest first.")
    if lasso or len(searched):
        shares = members["cluster"].map(names).value_counts()
        st.caption(messages.plain("By cluster: " + ", ".join(f"{name} {count:,}" for name, count in shares.items())))


def table_of(view: View, shown: pd.DataFrame, *, with_cluster: bool) -> pd.DataFrame:
    """Texts with their facts; without empty columns."""
    columns = [column for column in COLUMNS if column in view.written and view.written[column].notna().any()]
    frame = view.written.loc[shown["row"], columns]
    more: dict[str, Any] = {"membership": shown["membership"].round(3).to_numpy()}
    if with_cluster:
        more = {"cluster": shown["cluster"].map(view.names).to_numpy(), **more}
    return frame.assign(**more)
