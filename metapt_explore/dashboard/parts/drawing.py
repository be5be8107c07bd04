"""Tables read once, figures and numbers drawn the same way on every page."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from pandas.io.formats.style import Styler
from pyarrow.lib import ArrowException

from metapt_explore.dashboard.parts.messages import reason, sentence
from metapt_explore.errors import UserError
from metapt_explore.escaping import csv_text, file_name, unescaped
from metapt_explore.plots import figure_table
from metapt_explore.statistics.numbers import MISSING, number, short
from metapt_explore.storage.artifact import Artifact
from metapt_explore.texts.report import DataReport, label_warnings

#: Cells of the largest table whose numbers are written out one by one.
MOST_CELLS = 100_000
#: Stands below tables of texts, which cut long ones.
READ_WHOLE = "Double-click a text to read all of it."


@st.cache_resource(max_entries=64, show_spinner=False)
def _table(path: str, changed: int, size: int) -> pd.DataFrame:
    return pd.read_parquet(path)


def table(artifact: Artifact, name: str) -> pd.DataFrame:
    """Reads a table of an artifact; cached and shared, so do not change it."""
    path = artifact.file(f"{name}.parquet")
    stat = path.stat()
    try:
        return _table(str(path), stat.st_mtime_ns, stat.st_size)
    except (ArrowException, OSError) as error:
        raise UserError(f"{path} cannot be read: {reason(error)}.") from error


def draw(figure: go.Figure, key: str, caption: str, *, select: bool = False, wide: bool = False) -> Any:
    """Draws a figure in the page's theme, with a caption that says how to read it.

    Args:
        figure: What to draw.
        key: Its key on the page.
        caption: How to read it.
        select: Whether points can be chosen with a lasso or a box.
        wide: Whether it needs more room than a telephone has: there it is swiped sideways (``style.css``).

    Returns:
        What is chosen, where points can be.
    """
    figure.update_layout(template="streamlit")
    options: dict[str, Any] = {"on_select": "rerun", "selection_mode": ("lasso", "box")} if select else {}
    picture = {"format": "svg", "filename": file_name(key)}  # what the camera of the figure saves
    config = {"displaylogo": False, "toImageButtonOptions": picture}
    if wide:
        figure.update_layout(dragmode=False)  # a finger then moves the picture, not the axes
    with st.container(key=f"wide-{key}") if wide else nullcontext():
        event = st.plotly_chart(figure, key=key, width="stretch", config=config, alt=spoken(caption), **options)
    st.caption(caption)
    if figure.data:
        st.download_button(
            "Data of this figure",
            data=lambda: csv_text(figure_table(figure)).encode(),
            file_name=file_name(f"{key}.csv"),
            mime="text/csv",
            key=f"data_{key}",
            type="tertiary",
            icon=":material/download:",
            on_click="ignore",
        )
    return event if select else None


def spoken(caption: str) -> str:
    r"""A caption for those who hear it: no signs of Markdown, ours or escaped.

    Example:
        >>> spoken("*Mean rank* of a\_b, see `start`")
        'Mean rank of a_b, see start'
    """
    return unescaped(re.sub(r"(?<!\\)(\*\*?|`)(?=\S)(.+?)(?<!\\)\1", r"\2", caption))


def data_report(report: DataReport, *, own_labels: bool, key: str = "source_labels") -> None:
    """Facts about a source: rows, blanks, duplicates, lengths, labels, oddities.

    Args:
        report: Of `texts.report.data_report`.
        own_labels: Whether auxiliary tasks need the data's own labels: else it is no fault if there are none.
        key: Of the table of labels on the page.
    """
    words = report["words"]
    columns = st.columns(4)
    columns[0].metric("Rows", f"{report['rows']:,}")
    columns[1].metric("Blank", f"{report['blank']:,}")
    columns[2].metric("Duplicates", f"{report['duplicates']:,}")
    columns[3].metric("Words, median (longest)", f"{words['median']:g} ({words['max']:g})")
    if language := report.get("language"):
        st.caption(f"The texts look {language}.")
    labels = {**report["labels"], "(unlabelled)": report["unlabelled"]}
    show_table(
        pd.DataFrame({"label": list(labels), "texts": list(labels.values())}),
        key=key,
        hide_index=True,
        column_config=counted("texts"),
    )
    beside_the_point = [] if own_labels else label_warnings(report["rows"], report["labels"], report["unlabelled"])
    for warning in report["warnings"]:
        if warning not in beside_the_point:
            st.markdown(sentence(warning))


def counted(*columns: str) -> dict[str, Any]:
    """Columns of whole numbers, with the browser's thousands separator."""
    return {column: st.column_config.NumberColumn(column, format="localized") for column in columns}


def _written(column: pd.Series) -> Callable[[float], str]:
    """How a column's numbers are written: all with as many digits behind the point as one of them needs, up to three.

    Example:
        >>> [_written(pd.Series(values))(2.0) for values in ([72.7, 2.0], [0.125, 2.0], [1.0, None], [1e-05, 2.0])]
        ['2.0', '2.000', '2', '2']
    """
    each = [short(value) for value in column.dropna()]
    if any("e" in text for text in each):
        return short
    return partial(number, digits=max((len(text.partition(".")[2]) for text in each), default=0))


def show_table(data: Any, **options: Any) -> Any:
    """Draws a table: numbers are written as everywhere else, and a dash stands where there is none.

    Args:
        data: A table, or columns by their names.
        options: Of `st.dataframe`; columns that it gives a format of their own keep it.

    Returns:
        What `st.dataframe` returned.
    """
    shown = data if isinstance(data, pd.DataFrame | Styler) else pd.DataFrame(data)
    if isinstance(shown, pd.DataFrame):
        formatted = set(options.get("column_config") or {})
        floats = [str(name) for name in shown.select_dtypes("float") if name not in formatted]
        # Of large tables pandas writes no cells; they keep plain numbers.
        if floats and shown.size < MOST_CELLS and shown.columns.is_unique and shown.index.is_unique:
            shown = shown.style.format({name: _written(shown[name]) for name in floats})
    return st.dataframe(shown, placeholder=MISSING, **options)
