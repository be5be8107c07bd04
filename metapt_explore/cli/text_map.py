"""`metapt map`: the texts on a map, as one HTML file or as a table for Embedding Atlas."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metapt_explore.cli.options import StoredStudy, WorkspaceOption, open_study
from metapt_explore.progress.console import echo


def text_map(
    study: StoredStudy,
    *,
    out: Annotated[Path, typer.Option(help="A file ending in .html (to look at) or .parquet (for Embedding Atlas).")],
    clustering: Annotated[str | None, typer.Option(help="One of its clusterings (default: the first).")] = None,
    projection: Annotated[str, typer.Option(help="pca, tsne or umap; computed if it is not there yet.")] = "pca",
    workspace: WorkspaceOption = None,
) -> None:
    """Write the map of a study's texts: one HTML file that needs no network, or a Parquet table."""
    from metapt_explore.clusters.projections import PROJECTIONS
    from metapt_explore.errors import UserError
    from metapt_explore.plots.map_page import map_html
    from metapt_explore.storage.files import write_bytes, write_table

    if out.suffix not in (".html", ".parquet"):
        raise UserError(f"{out}: the map is written as .html or .parquet; end the file's name in one of them.")
    opened = open_study(study, workspace)
    table = opened.map(clustering, projection)
    if out.suffix == ".parquet":
        write_table(out, table)
    else:
        name = clustering or opened.config.clusterings[0].name
        clusters = opened.clusters(name).summary["clusters"]
        axes = PROJECTIONS[projection].axes
        write_bytes(out, map_html(table, clusters, title=f"{opened.config.name}: {name}", axes=axes).encode())
    echo(str(out))
