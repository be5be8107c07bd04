"""Vectors of one's own beside a new study's texts: the file, what its columns are, and whether they fit, at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from metapt_explore.config import SourceConfig
from metapt_explore.config.embeddings import FileEmbeddings
from metapt_explore.dashboard.parts import kept_upload, messages
from metapt_explore.dashboard.parts.kept_upload import stamp_of
from metapt_explore.dashboard.parts.new_source import stamp, table_of
from metapt_explore.errors import UserError
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.uploads import by_given_names
from metapt_explore.study.vector_files import VectorsFit, check_fit
from metapt_explore.texts.rows import cell_text

#: Megabytes that the browser may send; a larger file is named by its path.
MOST_MB = 1000
BY_ROWS = "their order: one vector for each row of the texts"
NONE_YET = "Choose the file of vectors, or let texts be alike in something else."


@dataclass(frozen=True)
class OwnFile:
    """A file of vectors as the form has it so far.

    Attributes:
        settings: What the study says of it; None until a file is chosen that fits.
        problem: Why there is none, a sentence; empty where there is.
    """

    settings: FileEmbeddings | None
    problem: str = ""


def choose_vectors(workspace: Workspace, source: SourceConfig, rows: Sequence[int], file_rows: int) -> OwnFile:
    """Asks for the file, says what it holds, and checks it against the texts.

    Args:
        workspace: Where an upload is kept.
        source: The texts as the study reads them.
        rows: Which row of the texts' own file each of their rows was.
        file_rows: Rows of that file.
    """
    upload = st.file_uploader(
        "Your vectors: a Parquet or .npy file; it stays on this machine",
        key="new_vectors",
        max_upload_size=MOST_MB,
        help="A matrix [texts, numbers] (.npy), or Parquet with a column of lists or with columns of numbers. While "
        f"this page is open an upload lies in memory, too: give a file of more than {MOST_MB} MB by its path.",
    )
    path = st.text_input("Or the path of the vectors on the machine where this server runs", key="new_vectors_path")
    file = ""
    if upload is not None:
        file = str(kept_upload.kept(workspace, upload, "new_vectors"))
    elif path.strip():
        file = kept_upload.whole_path(path.strip())
    if not file:
        return OwnFile(None, NONE_YET)
    try:
        chosen = _columns(file, source)
        settings = FileEmbeddings.model_validate({"kind": "file", "file": file, **chosen})
        fit = _fit(
            settings.model_dump_json(), stamp_of(file), source.model_dump_json(), stamp(source), file_rows, _rows=rows
        )
    except (UserError, OSError, ValueError) as error:
        reason = by_given_names(str(error), workspace) if isinstance(error, UserError) else messages.reason(error)
        st.error(messages.sentence(reason))
        return OwnFile(None, reason)
    st.success(messages.sentence(fit.said))
    return OwnFile(settings)


def _columns(file: str, source: SourceConfig) -> dict[str, Any]:
    """Which columns of a Parquet file hold the vectors, and say whose they are; nothing of an .npy file."""
    if file.lower().endswith(".npy"):
        return {}
    holds, others = _names(file, stamp_of(file))
    left, right = st.columns(2)
    chosen: dict[str, Any] = {}
    if len(holds) > 1:
        chosen["column"] = left.selectbox("Column of the vectors", holds, key=f"new_vectors_column_{file}")
    text, ids = source.columns.text, _ids(source.model_dump_json(), stamp(source))
    ways: list[tuple[str, str] | None] = [None]
    ways += [("id", name) for name in others if name in ids and name != text]
    ways += [("text", name) for name in others]
    # A column that both files have, and that is another in each row, is there to join them.
    joined = next((place for place, way in enumerate(ways) if way and (way[0] == "id" or way[1] == text)), 0)
    way = right.selectbox(
        "Which vector is which text's is told by",
        ways,
        index=joined,
        format_func=lambda way: BY_ROWS if way is None else _way(*way),
        key=f"new_vectors_way_{file}",
    )
    return chosen | ({way[0]: way[1]} if way else {})


def _way(kind: str, name: str) -> str:
    return f"the column '{name}' of both files" if kind == "id" else f"the texts in its column '{name}'"


@st.cache_data(max_entries=4, show_spinner=False)
def _ids(source: str, stamp: float) -> list[str]:
    """Columns of the texts that hold something else in each row."""
    table = table_of(source, stamp)
    return [name for name, cells in table.items() if len({cell_text(cell) for cell in cells}) == len(cells)]


@st.cache_data(max_entries=4, show_spinner=False)
def _names(file: str, stamp: float) -> tuple[list[str], list[str]]:
    from metapt_explore.clusters.vector_columns import column_names

    return column_names(file)


@st.cache_data(max_entries=4, show_spinner="Checking the vectors …")
def _fit(
    settings: str, stamp: float, source: str, source_stamp: float, file_rows: int, *, _rows: Sequence[int]
) -> VectorsFit:
    parsed = SourceConfig.model_validate_json(source)
    own = FileEmbeddings.model_validate_json(settings)
    return check_fit(own, table_of(source, source_stamp), parsed.columns.text, rows=_rows, file_rows=file_rows)
