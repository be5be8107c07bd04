"""Two methods on a task, decision by decision, of a study or of a published record: what the page Errors draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from metapt_explore import plots
from metapt_explore.dashboard.parts import drawing, messages, tabs
from metapt_explore.errors import UserError
from metapt_explore.plots.errors import FEW_ROWS, MOST_WRITTEN
from metapt_explore.results.decisions import TaskDecisions
from metapt_explore.statistics.calibration import calibration, calibration_of
from metapt_explore.statistics.errors import RowComparison, compare_rows, comparison_sentence, confusion
from metapt_explore.statistics.ground import Grounds
from metapt_explore.statistics.numbers import MISSING, interval, number, points
from metapt_explore.statistics.two_level import COVERS, TwoLevel, two_level

#: Height of the table of rows.
HEIGHT = 420
#: What rows are called that all are shown of.
ALL_ROWS = "all rows"


@dataclass(frozen=True, eq=False)
class ChosenPair:
    """Two methods that were chosen on a task, which may be the same.

    Attributes:
        decisions: Of the task.
        method: The first.
        against: The second.
        grounds: What is known of the samples of each task.
        everywhere: Reads the decisions on all tasks of which there are any.
        stamp: A value that changes with the decisions.
        ask_slices: Draws the offer to look for nearest clusters, where that is possible.
    """

    decisions: TaskDecisions
    method: str
    against: str
    grounds: Grounds
    everywhere: Callable[[], Sequence[TaskDecisions]]
    stamp: str
    ask_slices: Callable[[], None] = lambda: None

    @property
    def by_method(self) -> dict[str, pd.DataFrame]:
        """Decisions of both on the task."""
        return {name: self.decisions.of(name) for name in dict.fromkeys((self.method, self.against))}


def show_pair(pair: ChosenPair) -> None:
    """Draws all that is known of the two, behind tabs."""
    tabs.show_tabs(
        "errors_tabs",
        {
            "Where they differ": lambda: _differ(pair),
            "Confusion": lambda: _mistaken(pair),
            "Calibration": lambda: _sure(pair),
            "Slices": lambda: _slices(pair),
        },
    )


def _differ(pair: ChosenPair) -> None:
    if pair.method == pair.against:
        st.info("Choose two methods to see where one is right and the other wrong.")
        return
    try:
        found = compare_rows(pair.decisions.of(pair.method), pair.decisions.of(pair.against))
    except ValueError:
        st.info("The two have no pair of seeds in common yet.")
        return
    st.markdown(messages.sentence(comparison_sentence(pair.method, pair.against, found)))
    _intervals(pair)
    _rows(pair, found)


def _intervals(pair: ChosenPair) -> None:
    """The difference on this task and over all tasks, with its intervals over seeds, rows and both."""
    rows = []
    for where, found in _two_levels(pair.stamp, pair.decisions.task, pair.method, pair.against, _pair=pair).items():
        if isinstance(found, str):
            st.caption(messages.sentence(f"{where}: no interval over seeds and rows together: {found}."))
            continue
        rows.append(
            {
                "on": where,
                "difference": points(found.difference),
                "over seeds": MISSING if found.over_seeds is None else interval(*found.over_seeds),
                "over rows": interval(*found.over_rows),
                "over both": interval(*found.over_both),
                "pairs of seeds": str(found.pairs),
                "rows": f"{found.rows:,}",
            }
        )
    if rows:
        drawing.show_table(pd.DataFrame(rows), key="errors_intervals", hide_index=True)
        st.caption(f"Difference in points, intervals of 95 %. {COVERS}")


@st.cache_resource(max_entries=64, show_spinner="Drawing seeds and rows …")
def _two_levels(stamp: str, task: str, method: str, against: str, *, _pair: ChosenPair) -> dict[str, TwoLevel | str]:
    """What `two_level` finds on the task and over all of them; why it finds nothing where that is so."""
    every = [each for each in _pair.everywhere() if {method, against} <= set(each.methods)]
    found: dict[str, TwoLevel | str] = {}
    asked = {task: [_pair.decisions]} | ({f"mean over {len(every)} tasks": every} if len(every) > 1 else {})
    for where, decisions in asked.items():
        first, second = (
            pd.concat([each.of(name).assign(task=each.task) for each in decisions], ignore_index=True)
            for name in (method, against)
        )
        try:
            found[where] = two_level(first, second, grounds=_pair.grounds)
        except (ValueError, UserError) as error:
            found[where] = str(error).rstrip(".")
    return found


def _rows(pair: ChosenPair, found: RowComparison) -> None:
    ahead = {f"{pair.method} is ahead": 1, f"{pair.against} is ahead": -1, ALL_ROWS: 0}
    side = st.segmented_control(
        "Show", list(ahead), default=next(iter(ahead)), key="errors_side", format_func=messages.plain
    )
    difference = found.rows["difference"]
    # The other one's rows begin with its clearest.
    order = {1: found.rows[difference > 0], -1: found.rows[difference < 0][::-1]}.get(ahead.get(side or "", 0))
    rows = found.rows if order is None else order
    percent = {f"{name}: right, %": 100 * rows[key] for key, name in (("first", pair.method), ("second", pair.against))}
    classes = pair.decisions.classes
    table = pair.decisions.shown.loc[rows.index].assign(
        **{"class": [classes[int(label)] for label in rows["label"]], **percent}
    )
    if len(table):
        drawing.show_table(
            table,
            key="errors_rows",
            hide_index=True,
            height=min(HEIGHT, 38 + 35 * len(table)),
            column_config={
                str(table.columns[0]): st.column_config.TextColumn(width="large"),
                **{name: st.column_config.NumberColumn(name, format="%.0f %%") for name in percent},
            },
        )
    else:
        st.info("No such row.")
    hidden = (
        ""
        if "text" in pair.decisions.rows
        else "A record holds no texts: they are shown where a study of this workspace has the same rows."
    )
    st.caption(
        f"{len(table):,} rows. Per cent of the {found.seeds} pairs of seeds at which a method is right. "
        f"{hidden or drawing.READ_WHOLE}"
    )


def _mistaken(pair: ChosenPair) -> None:
    own = pair.by_method
    for place, (box, (name, of_method)) in enumerate(zip(st.columns(len(own)), own.items(), strict=True)):
        with box:
            st.markdown(f"**{messages.plain(name)}**")
            drawing.draw(
                plots.confusion_map(confusion(of_method, pair.decisions.classes)),
                f"confusion_{place}",
                "Down: the class of a text; across: the class it was given; per cent of a class's decisions, all "
                "seeds together.",
                wide=len(pair.decisions.classes) > MOST_WRITTEN,
            )


def _sure(pair: ChosenPair) -> None:
    own = pair.by_method
    drawing.draw(
        plots.calibration_curve({name: calibration(of_method) for name, of_method in own.items()}),
        "calibration",
        "On the dotted line a method is right as often as it is sure; below it, it is too sure. Large points stand "
        "for many decisions.",
    )
    found = {name: calibration_of(of_method) for name, of_method in own.items()}
    table = pd.DataFrame(
        [
            {
                "method": name,
                "calibration error": number(100 * each.error, 1),
                "of perfect probabilities": number(100 * each.floor, 1),
                "sure, %": number(100 * each.confidence, 1),
                "right, %": number(100 * each.accuracy, 1),
            }
            for name, each in found.items()
        ]
    )
    drawing.show_table(table, key="errors_calibration", hide_index=True)
    st.caption(
        "Expected calibration error in points, ten bins, mean over pairs of seeds. It is never 0: *of perfect "
        "probabilities* is what a method that is right exactly as often as it is sure would show on so many rows. "
        "Only what lies above that is a fault."
    )


def _slices(pair: ChosenPair) -> None:
    table = pair.decisions.slice_table(list(pair.by_method))
    pair.ask_slices()
    ways = list(dict.fromkeys(table["by"]))
    by = st.selectbox("Cut rows by", ways, key="errors_by", format_func=messages.plain)
    of_way = table[table["by"] == by]
    if of_way.empty:
        st.info("No row of this task has a slice.")
        return
    drawing.draw(
        plots.slice_dots(of_way),
        "slices",
        f"Accuracy over all seeds with its interval of 95 % over rows; in brackets how many rows. Hollow: fewer than "
        f"{FEW_ROWS} rows, where a few texts make the difference. Of {of_way['slice'].nunique()} slices the lowest is "
        "partly bad luck: look at it again on other rows before you believe it.",
    )
    written = of_way.assign(
        right=[
            f"{number(100 * row.accuracy, 1)} ({number(100 * row.low, 0)} to {number(100 * row.high, 0)})"
            for row in of_way.itertuples()
        ],
        few=["few rows" if rows < FEW_ROWS else "" for rows in of_way["rows"]],
    )
    wide = written.pivot(index=["slice", "rows", "few"], columns="method", values="right")
    wide = wide.loc[written.drop_duplicates("slice").set_index(["slice", "rows", "few"]).index, list(pair.by_method)]
    wide.columns = pd.Index([f"{name}: right, %" for name in wide.columns])
    shown = wide.reset_index()
    # A column for which no slice has a word would be an empty one.
    shown = shown.rename(columns={"few": "note"}) if shown["few"].any() else shown.drop(columns="few")
    drawing.show_table(shown, key="slices_table", hide_index=True)
