"""Choosing texts by keyboard: by words, clusters, labels, groups or rows; all that a lasso does."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import streamlit as st

from metapt_explore.config.row_ranges import parse_rows
from metapt_explore.dashboard.parts import cluster_view, messages
from metapt_explore.dashboard.parts.cluster_view import View

#: Columns of the texts to choose by.
COLUMNS = (("label", "Labels"), ("group", "Groups"))


@dataclass(frozen=True)
class Chosen:
    """Texts that were chosen.

    Attributes:
        rows: Which; None where nobody chose.
        how: How, for people.
    """

    rows: pd.Index | None
    how: str = ""

    @property
    def any(self) -> bool:
        """Whether there is a text among them."""
        return self.rows is not None and len(self.rows) > 0


def choose(view: View) -> Chosen:
    """A search box and other ways to choose; what is chosen meets all of them."""
    wanted = st.text_input(
        "Search the texts",
        key="search",
        persist_state="session",
        bind="query-params",
        placeholder="exact words",
        type="search",
    )
    written, kept, how = view.written, pd.Series(True, index=view.written.index), []
    if wanted:
        kept &= written["text"].str.contains(wanted, case=False, regex=False)
        how.append("the search")
    with st.expander("Choose by cluster, label or row", key=f"choose_{view.artifact.id}"):
        for mask, said in _other_ways(view):
            kept &= mask
            how.append(said)
    if not how:
        return Chosen(None)
    rows = written.index[kept]
    st.caption(f"{len(rows):,} of {len(written):,} texts match; they are ringed on the map.")
    return Chosen(rows, " and ".join(how))


def _other_ways(view: View) -> list[tuple[pd.Series, str]]:
    """Which texts each of the filters lets pass, of those that are used."""
    key, written, names = view.artifact.id, view.written, view.names
    ways: list[tuple[pd.Series, str]] = []
    cluster_view.keep_known(f"in_clusters_{key}", view)
    clusters = st.multiselect(
        "In clusters",
        list(names),
        format_func=lambda cluster: names.get(cluster, str(cluster)),
        key=f"in_clusters_{key}",
        placeholder="any; type to find one",
    )
    if clusters:
        members = view.points.loc[view.points["cluster"].isin(clusters), "row"]
        ways.append((pd.Series(written.index.isin(members), index=written.index), "clusters"))
    for column, title in COLUMNS:
        if column not in written or not written[column].notna().any():
            continue
        values = sorted(written[column].dropna().astype(str).unique())
        chosen = st.multiselect(title, values, key=f"in_{column}_{key}", placeholder="any")
        if chosen:
            ways.append((written[column].astype(str).isin(chosen) & written[column].notna(), f"{column}s"))
    text = st.text_input(
        "Rows",
        key=f"rows_{key}",
        placeholder=f"numbers and ranges from 0 to {len(written) - 1}: 0-9, 15",
        help="A text's row stands in the tables of texts, and in what you download.",
    )
    if text.strip():
        try:
            rows = parse_rows(text)
        except ValueError as error:
            st.error(messages.sentence(f"Rows: {error}."))
            return ways
        beyond = [row for row in rows if row >= len(written)]
        if beyond:
            st.warning(f"There is no row {beyond[0]}: the last one is {len(written) - 1}.")
        ways.append((pd.Series(written.index.isin(rows), index=written.index), "rows"))
    return ways
