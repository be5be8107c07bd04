"""The list of many clusters beside the map: it says whose colour is whose, finds any, and lights them up."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from metapt_explore.dashboard.parts import drawing
from metapt_explore.dashboard.parts.cluster_view import View
from metapt_explore.plots.style import GREY
from metapt_explore.plots.text_colours import TOLD_APART, coloured_clusters
from metapt_explore.plots.text_map import LEGEND_ENTRIES

#: What stands for symbols of the map (`plots.text_colours.SYMBOLS`).
SIGNS = {"circle": "●", "diamond": "◆", "square": "■", "triangle-up": "▲", "cross": "✚", "x": "✖", "star": "★"}
#: Of a cluster without a look of its own.
NONE = "·"
HEIGHT = 420


def wanted(view: View) -> bool:
    """Whether the clusters are too many for the legend of the map."""
    return len(view.names) > LEGEND_ENTRIES


def coloured(view: View) -> str:
    """Which clusters have a colour on the map, for its caption; empty where all have."""
    if len(view.clusters) <= TOLD_APART:
        return ""
    return (
        "The largest clusters have a colour, or those that you highlight; the others are grey, and the pointer says "
        "which is which. The tab Clusters beside the map finds any and lights it up. "
    )


def list_table(clusters: Sequence[dict[str, Any]], highlighted: Collection[int] = (), wanted: str = "") -> pd.DataFrame:
    """The clusters, largest first, by their ids: sign on the map, its colour, name, texts and keywords.

    Args:
        clusters: Ids, names, sizes and keywords.
        highlighted: Clusters that are looked at.
        wanted: Part of a name or keyword; all clusters when empty.
    """
    sizes = pd.Series({int(cluster["cluster"]): int(cluster["rows"]) for cluster in clusters}, dtype=int)
    looks = coloured_clusters(sizes, highlighted)
    if highlighted:
        looks = {cluster: looks[cluster] for cluster in highlighted if cluster in looks}
    rows = []
    for cluster in sorted(clusters, key=lambda each: (-int(each["rows"]), int(each["cluster"]))):
        number, keywords = int(cluster["cluster"]), ", ".join(cluster["keywords"])
        if wanted.strip().lower() not in f"{cluster['name']} {keywords}".lower():
            continue
        color, symbol = looks.get(number, (GREY, ""))
        rows.append((number, SIGNS.get(symbol, NONE), color, cluster["name"], int(cluster["rows"]), keywords))
    columns = ["id", "sign", "color", "cluster", "texts", "keywords"]
    return pd.DataFrame(rows, columns=columns).set_index("id")


def show(view: View) -> None:
    """A search, and the list; ticked clusters are lit up on the map."""
    key = view.artifact.id
    found = st.text_input(
        "Find clusters", key=f"list_find_{key}", placeholder="part of a name or keyword", type="search"
    )
    table = list_table(view.clusters, st.session_state.get(f"highlight_{key}", ()), found)
    colors = [f"color: {color}" for color in table.pop("color")]
    shown = table.rename(columns={"sign": " "}).reset_index(drop=True)
    drawing.show_table(
        shown.style.apply(lambda _: colors, subset=[" "]),
        key="cluster_list",
        hide_index=True,
        height=HEIGHT,
        column_config={" ": st.column_config.TextColumn(width=30), **drawing.counted("texts")},
        on_select=partial(light_up, key, list(table.index)),
        selection_mode="multi-row",
    )
    st.caption(f"{len(table):,} of {len(view.clusters):,} clusters, the largest first. Tick those to light up.")


def light_up(clustering: str, listed: Sequence[int]) -> None:
    """Highlights what is ticked; what was highlighted and is not in the list stays so."""
    ticked = st.session_state["cluster_list"]["selection"]["rows"]
    before = [each for each in st.session_state.get(f"highlight_{clustering}", ()) if each not in set(listed)]
    st.session_state[f"highlight_{clustering}"] = before + [listed[place] for place in ticked if place < len(listed)]
