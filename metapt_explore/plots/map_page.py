"""A map as one HTML file: plotly inside, names that follow the zoom, a search; it needs no network and no server."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from metapt_explore.clusters.map_names import MapName, map_names
from metapt_explore.clusters.projections import PROJECTIONS
from metapt_explore.plots.style import plain
from metapt_explore.plots.text_map import LARGEST_MAP, MapLook, cluster_map

#: Letters of a text that the file holds.
LETTERS = 600
#: Names from afar, nearer, and near: at most so many.
LEVELS: tuple[int | None, ...] = (8, 24, None)
TEMPLATE = Path(__file__).with_name("map_page.html")


def map_html(
    table: pd.DataFrame,
    clusters: Sequence[Mapping[str, Any]],
    *,
    title: str,
    axes: tuple[str, str] = PROJECTIONS["pca"].axes,
) -> str:
    """A page of its own with the map, its names, a search and the texts.

    Above 50,000 texts it holds a sample, always the same one.

    Args:
        table: What `Study.map` returns.
        clusters: Ids, names, keywords and sizes: ``summary["clusters"]`` of the clustering.
        title: What stands above it.
        axes: Titles of the axes.
    """
    total = len(table)
    if total > LARGEST_MAP:
        table = table.sample(LARGEST_MAP, random_state=0).sort_index()
    points = table.rename(columns={"projection_x": "x", "projection_y": "y"})
    figure = cluster_map(points, table.set_index("row")["text"], clusters, look=MapLook(axes=axes))
    figure.update_layout(height=None, autosize=True, title=None, margin={"l": 60, "r": 20, "t": 20, "b": 60})
    drawn = figure.to_html(
        full_html=False,
        include_plotlyjs=True,
        div_id="map",
        default_height="100%",
        config={"displaylogo": False, "responsive": True, "scrollZoom": True},
    )
    texts = [
        {"t": str(text)[:LETTERS], "x": round(float(x), 4), "y": round(float(y), 4), "c": str(name), "r": int(row)}
        for text, x, y, name, row in zip(
            table["text"], points["x"], points["y"], table["category"], table["row"], strict=True
        )
    ]
    said = f"{len(table):,} of {total:,} texts, sampled at random" if len(table) < total else f"{total:,} texts"
    filled = {
        "TITLE": html.escape(title),
        "SAID": said,
        "LEVELS": _json([[_level(name) for name in map_names(points, clusters, most)] for most in LEVELS]),
        "TEXTS": _json(texts),
        "MAP": drawn,
    }
    page = TEMPLATE.read_text(encoding="utf-8")
    for place, content in filled.items():  # the map last: nothing in it is a place to fill
        page = page.replace(f"<!--{place}-->", content)
    return page


def _level(name: MapName) -> dict[str, Any]:
    """A name as plotly writes it, without markup; `letters` are those that are seen."""
    return {**asdict(name), "text": plain(name.text), "letters": len(name.text)}


def _json(value: Any) -> str:
    """JSON that can stand in a script: no `<` that could end it, no `&`."""
    written = json.dumps(value, ensure_ascii=False)
    for sign, code in (
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
    ):
        written = written.replace(sign, code)
    return written
