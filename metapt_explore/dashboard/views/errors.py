"""Errors: where one method is right and another wrong, text by text; confusion, calibration, slices."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from metapt_explore import plots
from metapt_explore.config import StudyConfig
from metapt_explore.dashboard.parts import drawing, messages, shared, study_choice
from metapt_explore.results.predictions import ScoredRows, predictions_of, scored_rows
from metapt_explore.results.tables import ordered_index
from metapt_explore.statistics.errors import (
    RowComparison,
    by_slice,
    calibration,
    calibration_error,
    compare_rows,
    comparison_sentence,
    confusion,
    length_slices,
)
from metapt_explore.statistics.numbers import number
from metapt_explore.storage.workspace import Workspace

#: Rows of the table that are shown at first.
HEIGHT = 420


def _page(workspace: Workspace, name: str) -> None:
    config = shared.study_config(workspace, name)
    scored = {e["task"] for e in ordered_index(workspace, name) if e["kind"] in ("fewshot", "baseline")}
    tasks = [
        task for task in dict.fromkeys(e["task"] for e in shared.entries(workspace, name, "split")) if task in scored
    ]
    if not tasks:
        shared.ready(workspace, name, None, what="the first score")
        return
    left, middle, right, last = st.columns(4)
    task = study_choice.choose(left, "Task", tasks, key="errors_task")
    if task is None:
        return
    counts = [config.evaluation.shots, *config.evaluation.more_shots]
    shown = last.selectbox("Examples a class", counts, key="errors_shots") if len(counts) > 1 else counts[0]
    shots = None if shown == config.evaluation.shots else shown
    kept = predictions_of(workspace, name, task, shots=shots)
    methods = list(dict.fromkeys(kept["method"]))
    if not methods:
        st.info(
            "No decision is kept for this task yet. Scores keep them when they are made; those of earlier versions "
            "have none."
        )
        return
    first, second = _proposed(config, methods)
    method = study_choice.choose(middle, "Method", methods, key="errors_method", first=methods.index(first))
    against = study_choice.choose(right, "Against", methods, key="errors_against", first=methods.index(second))
    if method is None or against is None:
        return
    rows = scored_rows(workspace, config, task, shots=shots)
    _compared(kept, rows, method, against)


def _proposed(config: StudyConfig, methods: list[str]) -> tuple[str, str]:
    """The first meta-learned method against the first pooled one, where both are there."""
    by_kind = {
        kind: [m.name for m in config.methods if m.kind == kind and m.name in methods] for kind in ("metapt", "ppt")
    }
    first = (by_kind["metapt"] or methods)[0]
    second = next((name for name in [*by_kind["ppt"], *methods] if name != first), first)
    return first, second


def _compared(kept: pd.DataFrame, rows: ScoredRows, method: str, against: str) -> None:
    own = {name: kept[kept["method"] == name] for name in dict.fromkeys((method, against))}
    differ, mistaken, sure, slices = st.tabs(
        ["Where they differ", "Confusion", "Calibration", "Slices"], key="errors_tabs"
    )
    with differ:
        if method == against:
            st.info("Choose two methods to see where one is right and the other wrong.")
        else:
            try:
                found = compare_rows(own[method], own[against])
            except ValueError:
                st.info("The two have no pair of seeds in common yet.")
            else:
                _differ(found, rows, method, against)
    with mistaken:
        for box, (name, of_method) in zip(st.columns(len(own)), own.items(), strict=True):
            with box:
                st.markdown(f"**{messages.plain(name)}**")
                drawing.draw(
                    plots.confusion_map(confusion(of_method, rows.classes)),
                    f"confusion_{list(own).index(name)}",
                    "Down: the class of a text; across: the class it was given; per cent of a class's decisions, all "
                    "seeds together.",
                )
    with sure:
        drawing.draw(
            plots.calibration_curve({name: calibration(of_method) for name, of_method in own.items()}),
            "calibration",
            "On the dotted line a method is right as often as it is sure; below it, it is too sure. Large points stand "
            "for many decisions.",
        )
        for box, (name, of_method) in zip(st.columns(len(own)), own.items(), strict=True):
            gap = number(100 * calibration_error(of_method), 1)
            box.metric(messages.plain(f"Calibration error of {name}"), f"{gap} points")
    with slices:
        _slices(own, rows)


def _differ(found: RowComparison, rows: ScoredRows, method: str, against: str) -> None:
    st.markdown(messages.plain(comparison_sentence(method, against, found)))
    texts = rows.all_rows.loc[found.rows.index]
    side = st.segmented_control(
        "Show",
        [f"{method} is ahead", f"{against} is ahead", "all rows"],
        default=f"{method} is ahead",
        key="errors_side",
    )
    table = pd.DataFrame(
        {
            "text": texts["text"].astype(str),
            **({"second text": texts["text_pair"].astype(str)} if "text_pair" in texts else {}),
            "class": [rows.classes[label] for label in found.rows["label"]],
            method: 100 * found.rows["first"],
            against: 100 * found.rows["second"],
        }
    )
    ahead = found.rows["difference"]
    if side == f"{method} is ahead":
        table = table[ahead > 0]
    elif side == f"{against} is ahead":
        table = table[ahead < 0][::-1]
    percent = {name: st.column_config.NumberColumn(name, format="%.0f %%") for name in (method, against)}
    if len(table):
        drawing.show_table(
            table,
            key="errors_rows",
            hide_index=True,
            height=min(HEIGHT, 38 + 35 * len(table)),
            column_config={"text": st.column_config.TextColumn(width="large"), **percent},
        )
    else:
        st.info("No such row.")
    st.caption(
        f"{len(table):,} rows. Per cent of the {found.seeds} pairs of seeds at which a method is right. The interval "
        "draws rows anew: it says how far the difference hangs on these texts. Compare says how far it hangs on seeds."
    )


def _slices(own: dict[str, pd.DataFrame], rows: ScoredRows) -> None:
    # Where rows of other seeds are scored, each initialisation seed has rows of its own.
    table = rows.all_rows.loc[sorted({row for of_method in own.values() for row in of_method["row"]})]
    texts = table["text"].astype(str)
    if "text_pair" in table:
        texts = texts + " " + table["text_pair"].astype(str)
    ways = {
        "by class": table["label"].astype(str),
        "by length": pd.Series(length_slices(texts.tolist()), index=table.index),
    }
    for title, parts in ways.items():
        tables = []
        for name, of_method in own.items():
            found = by_slice(of_method, parts)
            found["right"] = [
                f"{100 * a:.1f} ({100 * low:.1f} to {100 * high:.1f})"
                for a, low, high in zip(found["accuracy"], found["low"], found["high"], strict=True)
            ]
            tables.append(found.set_index("slice")[["rows", "right"]].rename(columns={"right": f"{name}, %"}))
        beside = pd.concat(tables, axis=1)
        beside = beside.loc[:, ~beside.columns.duplicated()].reset_index(names=title)
        drawing.show_table(beside, key=f"slices_{title}", hide_index=True)
    st.caption("Accuracy over all seeds, with the interval of 95 % over rows: slices of few rows say little.")


shared.show_page("Errors", _page)
