"""The map to take away: one HTML file, or a table for Embedding Atlas."""

from __future__ import annotations

import io

import streamlit as st

from metapt_explore.clusters.projections import PROJECTIONS
from metapt_explore.dashboard.parts.cluster_view import View
from metapt_explore.escaping import file_name
from metapt_explore.plots.map_page import map_html
from metapt_explore.results.map_table import table_of


def offer(study: str, view: View) -> None:
    """Two files of the map as it is, edits included."""
    key = f"{view.artifact.id}_{view.projection}"
    name = f"{study}-{view.name}-{view.projection}"
    page, atlas = st.columns(2)

    def html() -> bytes:
        axes = PROJECTIONS[view.projection].axes
        table = table_of(view.written, view.points, view.clusters)
        return map_html(table, view.clusters, title=f"{study}: {view.name}", axes=axes).encode()

    def parquet() -> bytes:
        written = io.BytesIO()
        table_of(view.written, view.points, view.clusters).to_parquet(written, index=False)
        return written.getvalue()

    page.download_button(
        "Map as one HTML file",
        data=html,
        file_name=file_name(f"{name}.html"),
        mime="text/html",
        key=f"map_html_{key}",
        icon=":material/download:",
        type="tertiary",
        on_click="ignore",
        help="It holds the texts and opens in any browser without a network. Names follow the zoom.",
    )
    atlas.download_button(
        "Table for Embedding Atlas",
        data=parquet,
        file_name=file_name(f"{name}.parquet"),
        mime="application/vnd.apache.parquet",
        key=f"map_parquet_{key}",
        icon=":material/download:",
        type="tertiary",
        on_click="ignore",
        help="embedding-atlas FILE --text text --x projection_x --y projection_y",
    )
