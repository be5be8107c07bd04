"""From a score down to the prompt, the tasks, the clusters and the very texts behind it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from metapt_explore.dashboard.parts import drawing, messages, shared
from metapt_explore.escaping import csv_text
from metapt_explore.reporting.side_by_side import SideBySide
from metapt_explore.results.find_lineage import lineage
from metapt_explore.results.lineage import Lineage
from metapt_explore.storage.workspace import Workspace

UNIT = ["task", "data_seed", "init_seed"]
#: A browser shows no more texts than this.
MOST_TEXTS = 500


def pairs(workspace: Workspace, both: SideBySide, *, first: tuple[str, str], second: tuple[str, str]) -> None:
    """All scores of two methods side by side; traces the chosen one."""
    st.header("Trace a score to its texts")
    table = _with_every_start(both).pivot_table(index=UNIT, columns="method", values="accuracy", dropna=False)
    table = table.dropna(how="all")
    table = (100 * table.reindex(columns=[both.first, both.second])).round(1).reset_index()
    table["difference"] = (table[both.first] - table[both.second]).round(1)
    event: Any = drawing.show_table(
        table, key="units", hide_index=True, on_select="rerun", selection_mode="single-row", height=280
    )
    st.caption("Accuracy in percent, a row for each task and pair of seeds. Choose a row to trace it.")
    chosen = (event or {}).get("selection", {}).get("rows", [])
    row = table.iloc[chosen[0] if chosen and chosen[0] < len(table) else 0]
    which = st.segmented_control(
        "Trace the score of",
        [both.first, both.second],
        default=both.first,
        format_func=messages.plain,  # options are Markdown
        key="lineage_of",
        required=True,
    )
    study, method = first if which == both.first else second
    if members := both.stands_for[0 if which == both.first else 1]:
        st.info(
            messages.plain(f"{method} stands for {', '.join(members)}: choose one of them above to trace its scores.")
        )
        return
    config = shared.study_config(workspace, study)
    ensembles = [entry.name for entry in config.baselines if entry.combines]
    if method not in [*(entry.name for entry in config.methods), *ensembles]:
        st.info("A baseline has no prompt, so there is no pre-training to trace.")
        return
    if pd.isna(row["init_seed"]):
        st.info("Choose a row with an initialisation seed.")
        return
    with messages.guard():
        seeds = {"data_seed": int(row["data_seed"]), "init_seed": int(row["init_seed"])}
        traced = lineage(workspace, study, method, str(row["task"]), **seeds)
        _show(traced)


def _with_every_start(both: SideBySide) -> pd.DataFrame:
    """Scores, with those of a method without initialisation beside every initialisation of the other."""
    results = both.results
    unseeded = results["init_seed"].isna()
    if not unseeded.any() or unseeded.all():
        return results
    starts = results.loc[~unseeded, ["task", "data_seed", "init_seed"]].drop_duplicates()
    repeated = results[unseeded].drop(columns="init_seed").merge(starts, on=["task", "data_seed"])
    return pd.concat([results[~unseeded], repeated], ignore_index=True)


def _show(traced: Lineage) -> None:
    st.code(str(traced), language=None, wrap_lines=True)
    st.caption("What the score was made from, down to the source, with versions and the commands that make it again.")
    with st.expander("The labelled rows: train, dev and test", key="lineage_rows"), messages.guard():
        drawing.show_table(traced.rows().head(MOST_TEXTS), key="lineage_rows_table", hide_index=True)
    with st.expander("Pre-training texts, most drawn first", key="lineage_texts"), messages.guard():
        texts = traced.texts()
        if texts.empty:
            st.caption("The prompt was not pre-trained.")
            return
        shown = texts.sort_values("drawn", ascending=False, kind="stable")
        drawing.show_table(shown.head(MOST_TEXTS), key="lineage_texts_table", hide_index=True)
        drawn = int((texts["drawn"] > 0).sum())
        st.caption(f"{drawn:,} of {len(texts):,} were drawn; the first {min(MOST_TEXTS, len(texts))} are shown.")
        st.download_button(
            "Download all as CSV",
            data=lambda: csv_text(texts).encode(),
            file_name="texts.csv",
            mime="text/csv",
            key="lineage_download",
            on_click="ignore",
        )
