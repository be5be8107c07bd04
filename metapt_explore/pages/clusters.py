"""Clusters: the map, what each cluster is about, how good the grouping is, and its texts."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from metapt_explore import plots
from metapt_explore.clusters.label_counts import count_labels
from metapt_explore.config import StudyConfig
from metapt_explore.pages import shared
from metapt_explore.runs.artifact import Artifact
from metapt_explore.runs.workspace import Workspace
from metapt_explore.texts.labelling import say_labels
from metapt_explore.texts.report import missing_labels
from metapt_explore.texts.rows import texts_of

#: A browser shows no more texts than this of one cluster.
MOST_TEXTS = 500


def _page(workspace: Workspace, name: str) -> None:
    texts = shared.ready(
        workspace, name, next(iter(shared.entries(workspace, name, "texts")), None), "the pre-training texts"
    )
    if texts is None:
        return
    labels = None
    for entry in shared.entries(workspace, name, "labels"):
        artifact = shared.ready(workspace, name, entry, "labels of the texts")
        if artifact is not None:
            with shared.guard(artifact.folder):
                st.info(shared.plain(say_labels(artifact.summary)))
                labels = shared.table(artifact, "labels")[["class", "confidence", "source"]]
    listed = {entry["clustering"]: entry for entry in shared.entries(workspace, name, "clusters")}
    known = [clustering.name for clustering in shared.study_config(workspace, name).clusterings]
    clustering = st.selectbox("Clustering", known, key="clustering", persist_state="session")
    clusters = shared.ready(
        workspace, name, listed.get(clustering), f"the clustering {clustering}"
    )  # None while it is made
    if clusters is not None:
        with shared.guard(clusters.folder):
            _quality(clusters.summary)
            if clusters.summary["agreement"]:
                _agreement(clusters.summary["agreement"])
        for entry in shared.entries(workspace, name, "stability", clustering=clustering):
            stability = workspace.artifact(entry["id"])
            if stability.status == "done":
                with shared.guard(stability.folder):
                    _stability(stability.summary, clusters.summary["clusters"])
        with shared.guard(clusters.folder):
            points = shared.table(clusters, "clusters")
            found = _with_labels(clusters.summary["clusters"], points, labels)
            with shared.guard(texts.folder):
                _map(points, _written(texts)["text"], found)
            _about(workspace, name, clustering, found, points)
            with shared.guard(texts.folder):
                _texts(name, clustering, points, _labelled(_written(texts), labels), found)
    with shared.guard(texts.folder):
        _decontamination(texts, shared.study_config(workspace, name))


def _written(texts: Artifact) -> pd.DataFrame:
    """The texts, pairs written as one."""
    rows = shared.table(texts, "texts")
    return rows.assign(text=texts_of(rows))


def _labelled(written: pd.DataFrame, labels: pd.DataFrame | None) -> pd.DataFrame:
    """The texts with the labels that were found in place of the data's own, where the study looks for some."""
    if labels is None:
        return written
    return written.assign(label=labels["class"], confidence=labels["confidence"].round(3), source=labels["source"])


def _with_labels(
    found: list[dict[str, Any]], points: pd.DataFrame, labels: pd.DataFrame | None
) -> list[dict[str, Any]]:
    """Clusters with counts of the labels that were found; those of the data are counted in them already."""
    if labels is None:
        return found
    counts = count_labels(points["cluster"].to_numpy(), labels["class"].tolist())
    return [{**cluster, "labels": counts[int(cluster["cluster"])]} for cluster in found]


def _quality(summary: dict[str, Any]) -> None:
    st.subheader("Quality")
    quality = summary["quality"]
    shown = [
        ("Clusters", str(quality["n_clusters"])),
        ("Outliers", f"{100 * quality['outlier_share']:.1f} %"),
        ("Silhouette", shared.number(quality["silhouette"])),
        ("Davies–Bouldin", shared.number(quality["davies_bouldin"])),
        ("Calinski–Harabasz", shared.number(quality["calinski_harabasz"], 1)),
    ]
    # What was clustered before there was this measure has none.
    density = quality.get("dbcv")
    if density is not None:
        shown.append(("DBCV", shared.number(density)))
    for column, (label, value) in zip(st.columns(len(shown)), shown, strict=True):
        column.metric(label, value)
    st.caption(
        "Outliers: texts that belong to no cluster. Silhouette (−1 to 1, higher is better): how much nearer a text "
        "is to its own cluster than to the next; around 0 clusters overlap. Davies–Bouldin (from 0, lower is "
        "better): how wide clusters are against the distance between them. Calinski–Harabasz (higher is better): "
        "spread between clusters against spread inside; compare it only on the same texts. All three favour round "
        "clusters: compare runs of one algorithm with them rather than two algorithms."
        + (
            " DBCV (−1 to 1, higher is better): how dense clusters are against the thinnest place between them, "
            "whatever their shape; with many dimensions it is mostly below 0."
            if density is not None
            else ""
        )
    )


def _stability(summary: dict[str, Any], found: list[dict[str, Any]]) -> None:
    over_seeds = summary["over_seeds"]
    shown = [("Stability", shared.number(summary["jaccard"]))]
    if over_seeds is not None:
        shown.append(("Agreement over seeds", shared.number(over_seeds["adjusted_rand_index"])))
    for column, (label, value) in zip(st.columns(len(shown)), shown, strict=True):
        column.metric(label, value)
    st.caption(shared.plain(summary["sentence"]))
    names = {str(cluster["cluster"]): cluster["name"] for cluster in found}
    rows = [
        {"cluster": names.get(key, key), "Jaccard similarity": round(of["jaccard"], 2), "verdict": of["verdict"]}
        for key, of in summary["clusters"].items()
    ]
    with st.expander("Stability of each cluster", key="stability_box"):
        st.dataframe(pd.DataFrame(rows), key="stability", hide_index=True)


def _agreement(agreement: dict[str, Any]) -> None:
    left, right = st.columns(2)
    left.metric("Adjusted Rand index", shared.number(agreement["adjusted_rand_index"]))
    right.metric("Adjusted mutual information", shared.number(agreement["adjusted_mutual_information"]))
    st.caption(
        f"Agreement with the groups that the data name, over {agreement['rows']:,} texts: 1 is the same grouping, "
        "about 0 what chance gives."
    )


def _map(points: pd.DataFrame, written: pd.Series, found: list[dict[str, Any]]) -> None:
    st.subheader("Map")
    shared.draw(
        plots.cluster_map(points, written, found),
        "map",
        "Every point is a text; point at one to read its beginning. Near points have similar embeddings. The map "
        "keeps two directions of many, so clusters that lie over each other here can still be apart. Click a name "
        "to hide a cluster, double-click to see it alone.",
    )


def _about(workspace: Workspace, name: str, clustering: str, found: list[dict[str, Any]], points: pd.DataFrame) -> None:
    st.subheader("What clusters are about")
    entry = next(iter(shared.entries(workspace, name, "tasks", clustering=clustering)), None)
    tasks = workspace.artifact(entry["id"]) if entry else None
    usable: dict[str, Any] | None = None
    left_out: dict[int, str] = {}
    if tasks is not None and tasks.status == "done":
        with shared.guard(tasks.folder):
            left_out, usable = _left_out(tasks, points), tasks.summary
    rows = []
    for cluster in found:
        row = {
            "cluster": cluster["name"],
            "keywords": ", ".join(cluster["keywords"]),
            "texts": cluster["rows"],
            "strength": round(cluster["strength"], 2),
        }
        if usable:
            reason = left_out.get(int(cluster["cluster"]))
            row["auxiliary task"] = f"no: {reason}" if reason else "yes"
        rows.append(row)
    wide = {"auxiliary task": st.column_config.TextColumn(width="large")}
    st.dataframe(pd.DataFrame(rows), key="keywords", hide_index=True, column_config=wide)
    st.caption(
        "Keywords are frequent in the cluster and rare in others. Strength (0 to 1) is how surely texts belong to "
        "it, on average."
    )
    if usable:
        st.caption(_used(usable))
    shared.draw(
        plots.cluster_sizes(found),
        "sizes",
        "The length of a bar is the number of texts."
        if (usable and "not_drawn" in usable["counts"]) or not all("labels" in cluster for cluster in found)
        else "The length of a bar is the number of texts; its parts are their labels. A cluster with nearly one label "
        "only makes a poor task: there is little to tell apart.",
    )


def _left_out(tasks: Artifact, points: pd.DataFrame) -> dict[int, str]:
    """Why a cluster is in no auxiliary task, by its number."""
    summary = tasks.summary
    reasons = {int(cluster): str(why) for cluster, why in summary["dropped"].items()}
    if "not_drawn" in summary["counts"]:
        of_row = points.set_index("row")["cluster"]
        drawn = set(of_row.loc[shared.table(tasks, "tasks")["row"].unique()])
        reasons |= {int(c): "no task drew it" for c in set(of_row) - drawn - {-1} if int(c) not in reasons}
    return reasons


def _used(tasks: dict[str, Any]) -> str:
    """What auxiliary tasks are made of, and what is left out."""
    counts = tasks["counts"]
    if "not_drawn" in counts:
        asked = tasks.get("asked", tasks["tasks"])
        fewer = f" (of {asked} asked for: more would repeat one)" if asked > tasks["tasks"] else ""
        return (
            f"{tasks['tasks']} auxiliary tasks{fewer} tell clusters apart and use {counts['used']:,} texts; labels are "
            f"not looked at. Left out: {counts['outliers']:,} outliers, {counts['dropped_clusters']:,} in clusters too "
            f"small, {counts['not_drawn']:,} in clusters that no task drew."
        )
    return (
        f"{tasks['tasks']} auxiliary tasks use {counts['used']:,} labelled texts. Left out: "
        f"{counts['unlabelled']:,} without a label, {counts['outliers']:,} outliers, "
        f"{counts['dropped_clusters']:,} in clusters too small or too one-sided."
    )


def _texts(
    name: str, clustering: str, points: pd.DataFrame, written: pd.DataFrame, found: list[dict[str, Any]]
) -> None:
    st.subheader("Texts of a cluster")
    names = {int(cluster["cluster"]): str(cluster["name"]) for cluster in found}
    if (points["cluster"] < 0).any():
        names[-1] = "outliers"
    if not names:
        return
    # A key of its own for each grouping: numbers are the same in all, and a browser keeps the name of the last one.
    key = f"cluster_{name}_{clustering}"
    chosen = st.selectbox("Cluster", list(names), format_func=lambda cluster: names[cluster], key=key)
    members = points[points["cluster"] == chosen].sort_values("strength", ascending=False, kind="stable")
    shown = members.head(MOST_TEXTS)
    shown_columns = [column for column in ("text", "label", "confidence", "source", "group") if column in written]
    columns = [column for column in shown_columns if written[column].notna().any()]
    frame = written.loc[shown["row"], columns].assign(strength=shown["strength"].round(3).to_numpy())
    st.dataframe(frame, key="cluster_texts", hide_index=True)
    cut = f"The {MOST_TEXTS} surest of {len(members):,} texts" if len(members) > MOST_TEXTS else "Texts"
    st.caption(f"{cut}, surest first.")


def _decontamination(texts: Artifact, config: StudyConfig) -> None:
    st.subheader("What became of the texts")
    summary = texts.summary
    dropped, leaks = summary["dropped"], summary["leaks_by_task"]
    columns = st.columns(3)
    columns[0].metric("Texts kept", f"{summary['kept']:,}")
    columns[1].metric("Dropped", f"{sum(dropped.values()):,}")
    columns[2].metric("Nearly or quite in dev or test", f"{sum(leaks.values()):,}")
    if dropped:
        st.dataframe(
            pd.DataFrame({"reason": list(dropped), "texts": list(dropped.values())}),
            key="dropped",
            hide_index=True,
        )
    st.caption(
        f"Texts that equal or nearly equal one of the {summary['held_out_rows']:,} dev and test rows of the tasks "
        "are dropped before anything is learned, so that no score rests on rows seen in pre-training."
    )
    own_labels = config.labelling is None and config.auxiliary_tasks.classes == "labels"
    _source_report(summary["report"], own_labels)
    if leaks:
        with st.expander("Dropped because of a dev or test row", key="leaks_box"):
            st.dataframe(shared.table(texts, "leaks"), key="leaks", hide_index=True)


def _source_report(report: dict[str, Any], own_labels: bool) -> None:
    """What the source held before anything was dropped.

    Args:
        report: Of the data.
        own_labels: Whether auxiliary tasks need the data's own labels: else it is no fault if there are none.
    """
    words = report["words"]
    with st.expander("Report of the source, before anything was dropped", key="report_box"):
        columns = st.columns(4)
        columns[0].metric("Rows", f"{report['rows']:,}")
        columns[1].metric("Blank", f"{report['blank']:,}")
        columns[2].metric("Duplicates", f"{report['duplicates']:,}")
        columns[3].metric("Words, median (longest)", f"{words['median']:g} ({words['max']:g})")
        labels = {**report["labels"], "(unlabelled)": report["unlabelled"]}
        st.dataframe(
            pd.DataFrame({"label": list(labels), "texts": list(labels.values())}), key="source_labels", hide_index=True
        )
        beside_the_point = [] if own_labels else missing_labels(report)
        for warning in report["warnings"]:
            if warning not in beside_the_point:
                st.text(warning)


shared.show_page("Clusters", _page)
