"""A map as a table: a row a text, in the columns that Embedding Atlas and others read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from metapt_explore.storage.artifact import Artifact
from metapt_explore.texts.rows import texts_of

#: Columns of the texts that are kept where they hold something.
KEPT = ("label", "group", "confidence", "source")


def map_table(texts: pd.DataFrame, clusters: Artifact, positions: pd.DataFrame | None = None) -> pd.DataFrame:
    """The texts of a finished clustering with their places.

    Args:
        texts: The ``texts`` table.
        clusters: The clustering.
        positions: The ``positions`` table of a t-SNE or UMAP map; principal components when absent.
    """
    points = clusters.table("clusters")
    if positions is not None:
        placed = positions.set_index("row").loc[points["row"], ["x", "y"]]
        points = points.assign(x=placed["x"].to_numpy(), y=placed["y"].to_numpy())
    return table_of(texts.assign(text=texts_of(texts)), points, clusters.summary["clusters"])


def table_of(written: pd.DataFrame, points: pd.DataFrame, clusters: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The same of a clustering as a page shows it, with edits and found labels.

    Args:
        written: The texts, indexed by row.
        points: Columns row, cluster, membership, x and y.
        clusters: Ids and names.

    Returns:
        Columns ``text``, ``projection_x``, ``projection_y``, ``category``, ``cluster``, ``membership``, ``row``, and of
        the texts label, group, confidence and source where they hold something.
    """
    names = {-1: "outliers"} | {int(cluster["cluster"]): str(cluster["name"]) for cluster in clusters}
    own = written.loc[points["row"]]
    columns = {column: own[column].to_numpy() for column in KEPT if column in own and own[column].notna().any()}
    return pd.DataFrame(
        {
            "text": own["text"].to_numpy(),
            "projection_x": points["x"].to_numpy(dtype="float32"),
            "projection_y": points["y"].to_numpy(dtype="float32"),
            "category": points["cluster"].map(names).to_numpy(),
            "cluster": points["cluster"].to_numpy(),
            "membership": points["membership"].to_numpy(dtype="float32"),
            **columns,
            "row": points["row"].to_numpy(),
        }
    )
