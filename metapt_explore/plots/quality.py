"""Quality of clusterings against what prompts gain with them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from metapt_explore.plots.style import GREY, PALETTE, facets, finish, nothing_yet, place, plain

#: What measures are called, and which way is good.
SAID = {
    "silhouette": "silhouette (higher is better)",
    "davies_bouldin": "Davies–Bouldin (lower is better)",
    "calinski_harabasz": "Calinski–Harabasz (higher is better)",
    "dbcv": "DBCV (higher is better)",
    "stability": "stability (mean Jaccard similarity)",
    "seed_agreement": "agreement over seeds (adjusted Rand index)",
    "known_groups_ari": "agreement with known groups (adjusted Rand index)",
    "known_groups_ami": "agreement with known groups (adjusted mutual information)",
    "label_information": "label information (1: clusters are labels)",
    "outlier_share": "share of outliers",
    "n_clusters": "clusters (number)",
    "tasks": "auxiliary tasks (number)",
}
DEFAULT = ("silhouette", "davies_bouldin", "dbcv", "stability", "label_information", "n_clusters")
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "x", "star")


def quality_against_gain(
    table: pd.DataFrame, measures: Sequence[str] = DEFAULT, correlations: pd.DataFrame | None = None
) -> go.Figure:
    """Draws a panel for each measure, with every clustering at its quality and its gain over pooled pre-training.

    Args:
        table: What `quality_table` returned; clusterings without a gain are left out, and measures that no clustering
            has.
        measures: Columns of the table.
        correlations: What `quality_correlations` returned; Spearman's rank correlation is written above the panels.
    """
    scored = table.dropna(subset=["gain"])
    shown = [measure for measure in measures if measure in scored and scored[measure].notna().any()]
    if not shown:
        return nothing_yet("No clustering has both a quality and a gain over pooled pre-training yet.")
    rho = {} if correlations is None else correlations.set_index("measure").to_dict("index")
    titles = []
    for measure in shown:
        correlation = rho.get(measure, {})
        known = correlation and not pd.isna(correlation["spearman"])
        over = f"{scored[measure].notna().sum()} clusterings"
        titles.append(f"rank correlation {correlation['spearman']:.2f} over {over}" if known else over)
    figure = facets(titles, same_y=True, panel_height=300)
    algorithms = list(dict.fromkeys(table["algorithm"]))
    legend: set[str] = set()
    for index, measure in enumerate(shown):
        where = place(index, len(shown))
        for number, algorithm in enumerate(algorithms):
            rows = scored[(scored["algorithm"] == algorithm) & scored[measure].notna()]
            if rows.empty:
                continue
            figure.add_trace(
                go.Scatter(
                    x=rows[measure].to_list(),
                    y=(100 * rows["gain"]).to_list(),
                    mode="markers",
                    marker={
                        "color": PALETTE[number % len(PALETTE)],
                        "symbol": SYMBOLS[number % len(SYMBOLS)],
                        "size": 10,
                    },
                    name=plain(algorithm),
                    legendgroup=plain(algorithm),
                    showlegend=algorithm not in legend,
                    text=[plain(name, 50) for name in rows["clustering"]],
                    hovertemplate="%{text}: %{x:.3f}, gain %{y:.1f} points",
                ),
                **where,
            )
            legend.add(algorithm)
        figure.add_hline(y=0, line={"color": GREY, "width": 1, "dash": "dot"}, **where)
        title = {"text": SAID.get(measure, measure), "standoff": 4, "font": {"size": 12}}  # clear of the panel below
        figure.update_xaxes(title=title, matches=None, **where)
    for row in range(1, place(len(shown) - 1, len(shown))["row"] + 1):
        figure.update_yaxes(title_text="gain in accuracy (points)", row=row, col=1)
    return finish(figure)
