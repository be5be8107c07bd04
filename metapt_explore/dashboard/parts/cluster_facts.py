"""Facts about a clustering: topics, quality, stability, and comparison with others."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from metapt_explore import plots
from metapt_explore.clusters.compare import GroupingAgreement, compare_groupings
from metapt_explore.clusters.fit_words import format_fit
from metapt_explore.clusters.outliers import format_moved
from metapt_explore.clusters.stability import format_stability
from metapt_explore.config import CountedClustering, StudyConfig
from metapt_explore.dashboard.parts import drawing, messages, shared
from metapt_explore.dashboard.parts.cluster_view import View
from metapt_explore.dashboard.parts.format_view import tasks_sentence
from metapt_explore.plots.style import MANY as AS_BARS
from metapt_explore.results.clustering_quality import clustering_quality
from metapt_explore.statistics.numbers import number
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.extend import with_sweep

#: A list of more clusters than this can be searched.
MANY = 12
#: Numbers of clusters that are offered.
COUNTS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
MEASURES = (
    (
        "Silhouette",
        "silhouette",
        2,
        "−1 to 1, higher is better: how much nearer a text is to its own cluster than to the next; around 0 clusters "
        "overlap.",
    ),
    (
        "Davies–Bouldin",
        "davies_bouldin",
        2,
        "From 0, lower is better: how wide clusters are against the distance between them.",
    ),
    (
        "Calinski–Harabasz",
        "calinski_harabasz",
        1,
        "Higher is better: spread between clusters against spread inside; compare it only on the same texts.",
    ),
    (
        "DBCV",
        "dbcv",
        2,
        "−1 to 1, higher is better: how dense clusters are against the thinnest place between them, whatever their "
        "shape; with many dimensions it is mostly below 0.",
    ),
)


def quality(summary: dict[str, Any], before: dict[str, Any] | None, before_name: str, *, unsaved: bool) -> None:
    """Quality measures of a clustering; with changes if it was edited from another."""
    measures, old = summary["quality"], (before or {}).get("quality", {})
    agreement = summary["agreement"]
    st.header("Quality")
    if unsaved:
        st.info("Without the unsaved edits: they are measured once you save them.")
    shown = [
        ("Clusters", str(measures["n_clusters"]), None, "Groups that are no outliers."),
        ("Outliers", f"{100 * measures['outlier_share']:.1f} %", None, "Texts that belong to no cluster."),
    ]
    for label, key, digits, meaning in MEASURES:
        value = measures.get(key)
        if value is None and key == "dbcv":
            continue  # older clusterings lack this measure
        change = None if value is None or old.get(key) is None else round(value - old[key], digits)
        shown.append((label, number(value, digits), change, meaning))
    for column, (label, text, change, meaning) in zip(st.columns(len(shown)), shown, strict=True):
        colour = "inverse" if label == "Davies–Bouldin" else "normal"
        column.metric(label, text, delta=change, delta_color=colour, help=meaning)  # type: ignore[arg-type]
    st.caption(
        (f"Small figures: the change from {messages.plain(before_name)}. " if before else "")
        + (f"{format_moved(summary['moved'])} " if summary.get("moved") else "")
        + (f"{format_fit(summary['fit'])} " if summary.get("fit") else "")
        + "All but DBCV favour round clusters: compare runs of one algorithm with them rather than two algorithms. "
        "None says whether a clustering makes a better prompt: see the gain under Comparison."
    )
    if agreement:
        left, right = st.columns(2)
        left.metric("Adjusted Rand index", number(agreement["adjusted_rand_index"]))
        right.metric("Adjusted mutual information", number(agreement["adjusted_mutual_information"]))
        st.caption(
            f"Agreement with the groups that the data name, over {agreement['rows']:,} texts: 1 is the same grouping, "
            "about 0 what chance gives."
        )


def stability(summary: dict[str, Any], clusters: list[dict[str, Any]]) -> None:
    """How similar the clustering is with other seeds and on parts of the texts."""
    over_seeds = summary["over_seeds"]
    shown = [("Stability", number(summary["jaccard"]))]
    if over_seeds is not None:
        shown.append(("Agreement over seeds", number(over_seeds["adjusted_rand_index"])))
    for column, (label, value) in zip(st.columns(len(shown)), shown, strict=True):
        column.metric(label, value)
    st.caption(messages.sentence(format_stability(summary)))  # an older sentence is written otherwise
    names = {str(cluster["cluster"]): cluster["name"] for cluster in clusters}
    rows = [
        {"cluster": names.get(key, key), "Jaccard similarity": round(facts["jaccard"], 2), "verdict": facts["verdict"]}
        for key, facts in summary["clusters"].items()
    ]
    with st.expander("Stability of each cluster", key="stability_box"):
        drawing.show_table(pd.DataFrame(rows), key="stability", hide_index=True)


def about(workspace: Workspace, study: str, view: View) -> None:
    """Keywords, sizes and labels of the clusters, and which of them became a task."""
    st.header("What clusters are about")
    entry = next(iter(shared.entries(workspace, study, "tasks", clustering=view.name)), None)
    tasks = workspace.artifact(entry["id"]) if entry and not view.edits else None
    usable: dict[str, Any] | None = None
    left_out: dict[int, str] = {}
    if tasks is not None and shared.finished(tasks):
        with messages.guard(tasks.folder):
            left_out, usable = _left_out(tasks, view.points), tasks.summary
    rows = []
    for cluster in view.clusters:
        row = {
            "cluster": cluster["name"],
            "keywords": ", ".join(cluster["keywords"]),
            "texts": cluster["rows"],
            "membership": round(cluster["membership"], 2),
        }
        if usable and "formats" not in usable:
            reason = left_out.get(int(cluster["cluster"]))
            row["auxiliary task"] = f"no: {reason}" if reason else "yes"
        rows.append(row)
    table = pd.DataFrame(rows)
    if len(table) > MANY:
        wanted = st.text_input(
            "Find clusters", key="find_clusters", placeholder="part of a name or keyword", type="search"
        )
        text = (table["cluster"] + " " + table["keywords"]).str
        table = table[text.contains(wanted.strip(), case=False, regex=False)]
        st.caption(f"{len(table):,} of {len(rows):,} clusters.")
    drawing.show_table(
        table,
        key="keywords",
        hide_index=True,
        height=400 if len(table) > MANY else "auto",
        column_config={"auxiliary task": st.column_config.TextColumn(width="large")},
        on_select=partial(
            _highlight, view.artifact.id, [int(view.clusters[place]["cluster"]) for place in table.index]
        ),
        selection_mode="multi-row",
    )
    st.caption(
        "Tick clusters to highlight them on the map. Keywords are frequent in the cluster and rare in others. "
        "Membership (0 to 1) is how surely texts belong to it, on average." + (f" {_used(usable)}" if usable else "")
    )
    counted = all("labels" in cluster for cluster in view.clusters) and not (usable and "not_drawn" in usable["counts"])
    drawing.draw(
        plots.cluster_sizes(view.clusters),
        "sizes",
        _sizes_caption(len(view.clusters), counted=counted),
    )


def _sizes_caption(clusters: int, *, counted: bool) -> str:
    """How to read the sizes: bars, or of many clusters a curve."""
    if clusters > AS_BARS:
        said = "A point is a cluster, the largest on the left; dotted: the median. "
        said += "The redder it is, the nearer its labels are to a single one: such a cluster" if counted else ""
    else:
        said = "The length of a bar is the number of texts"
        said += "; its parts are their labels. A cluster with nearly one label" if counted else "."
    return (said + (" makes a poor task: there is little to tell apart." if counted else "")).strip()


def _highlight(clustering: str, clusters: list[int]) -> None:
    """Highlights on the map what is ticked in the list."""
    ticked = st.session_state["keywords"]["selection"]["rows"]
    st.session_state[f"highlight_{clustering}"] = [clusters[place] for place in ticked if place < len(clusters)]


def _left_out(tasks: Artifact, points: pd.DataFrame) -> dict[int, str]:
    """Why a cluster is in no auxiliary task, by its number."""
    summary = tasks.summary
    if "formats" in summary:
        return {}
    reasons = {int(cluster): str(why) for cluster, why in summary["dropped"].items()}
    if "not_drawn" in summary["counts"]:
        of_row = points.set_index("row")["cluster"]
        drawn = set(of_row.loc[drawing.table(tasks, "tasks")["row"].unique()])
        reasons |= {int(c): "no task drew it" for c in set(of_row) - drawn - {-1} if int(c) not in reasons}
    return reasons


def _used(tasks: dict[str, Any]) -> str:
    """What auxiliary tasks are made of, and what is left out."""
    if "formats" in tasks:
        return tasks_sentence(tasks)
    counts = tasks["counts"]
    if "not_drawn" in counts:
        asked = tasks.get("asked", tasks["tasks"])
        fewer = f" (of {asked} asked for: more would repeat one)" if asked > tasks["tasks"] else ""
        return (
            f"{tasks['tasks']:,} auxiliary tasks{fewer} tell clusters apart and use {counts['used']:,} texts; labels "
            f"are not looked at. Left out: {counts['outliers']:,} outliers, {counts['dropped_clusters']:,} in clusters "
            f"too small, {counts['not_drawn']:,} in clusters that no task drew."
        )
    return (
        f"{tasks['tasks']:,} auxiliary tasks use {counts['used']:,} labelled texts. Left out: "
        f"{counts['unlabelled']:,} without a label, {counts['outliers']:,} outliers, "
        f"{counts['dropped_clusters']:,} in clusters too small or too one-sided."
    )


def comparison(view: View, others: dict[str, Artifact], edited_from: str | None) -> None:
    """Where the clusters of one clustering are in another; for unsaved edits, before and after."""
    st.header("Compared with another clustering")
    choices = ([f"{view.name} before these edits"] if view.edits else []) + list(others)
    if not choices:
        st.caption("The study has no other finished clustering.")
        return
    first = choices.index(edited_from) if edited_from in choices and not view.edits else 0
    other = st.selectbox("Compare with", choices, index=first, key=f"other_{view.artifact.id}")
    artifact = view.artifact if view.edits and other == choices[0] else others[other]
    with messages.guard(artifact.folder):
        labels = drawing.table(artifact, "clusters")["cluster"].to_numpy()
        named = {int(cluster["cluster"]): str(cluster["name"]) for cluster in artifact.summary["clusters"]}
        contingency = _compare(view.points["cluster"].to_numpy(), labels)
        left, middle, right = st.columns(3)
        left.metric("Both, adjusted Rand index", number(contingency.adjusted_rand_index))
        middle.metric("Both, adjusted mutual information", number(contingency.adjusted_mutual_information))
        right.metric("Texts in a cluster of both", f"{contingency.rows:,}")
        drawing.draw(
            plots.contingency_map(contingency.table, view.names, named),
            "contingency",
            f"Rows: clusters of {messages.plain(view.name)}. Columns: clusters of {messages.plain(other)}. A number is "
            "how many texts are in both; the colour is its share of the row. A single dark cell in a row means that "
            "the cluster lies inside that one. Both indices: 1 is the same grouping, about 0 what chance gives.",
            wide=True,
        )


@st.cache_data(max_entries=16, show_spinner=False)
def _compare(first: np.ndarray, second: np.ndarray) -> GroupingAgreement:
    return compare_groupings(first, second)


def more(workspace: Workspace, config: StudyConfig, chosen: str) -> None:
    """What was clustered, where that is not the encoder's; buttons for other numbers of clusters and for stability."""
    clustering = config.clustering(chosen)
    if config.embeddings.runs != "encoder" and clustering.meaningful and clustering.algorithm != "lda":
        st.caption(f"These clusters are made from {config.embeddings.title}, not from the sentence encoder.")
    active = shared.job_state(workspace, config.name)["active"]
    left, middle, right = st.columns([3, 1, 1], vertical_alignment="bottom")
    present = clustering.n_clusters if isinstance(clustering, CountedClustering) else None
    counts = left.multiselect(
        "Other numbers of clusters",
        [count for count in COUNTS if count != present],
        key=f"counts_{config.name}_{chosen}",
        disabled=present is None,
        placeholder="4, 16 …" if present is not None else "this algorithm takes no number of clusters",
    )
    if middle.button("Add clusterings", key="sweep", disabled=active or not counts, width="stretch"):
        shared.ask(workspace, with_sweep(config, chosen, counts), "clusters")
        st.rerun()
    if right.button(
        "Check stability",
        key="ask_stability",
        disabled=active,
        width="stretch",
        help="Clusters again with other seeds and on parts of the texts: ten clusterings each.",
    ):
        shared.ask(workspace, config, "stability")
        st.rerun()


def worth(workspace: Workspace, config: StudyConfig) -> None:
    """Quality of all clusterings against the gain of their prompts."""
    st.header("Quality against gain")
    table = clustering_quality(workspace, config)
    if len(table) < 2:
        st.caption("With two finished clusterings or more (`n_clusters: [4, 8, 16]` makes several) they appear here.")
        return
    shown = table.rename(columns=lambda name: name.replace("_", " "))
    numbers = shown.select_dtypes("number").columns
    drawing.show_table(shown.round({column: 3 for column in numbers}), key="clusterings", hide_index=True)
    if table["gain"].notna().sum() < 2:  # panels with one mark say nothing that the table does not
        st.caption("Figures appear once two of these clusterings have scores of a method that learned from them.")
        return
    drawing.draw(
        plots.quality_against_gain(table),
        "worth",
        "A mark is a clustering. Across: its quality. Up: the downstream gain of the method that learned from it, "
        "over pooled pre-training (PPT). Marks that rise to the right mean that the measure predicts good tasks; with "
        "few clusterings that can be luck.",
    )
