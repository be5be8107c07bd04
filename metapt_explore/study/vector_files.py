"""A file of one's own vectors beside a new study's texts: checked at once, and kept so that rows stay together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metapt_explore.clusters.own_vectors import OwnVectors, read_vectors, vectors_fingerprint
from metapt_explore.config.embeddings import FileEmbeddings
from metapt_explore.errors import UserError
from metapt_explore.storage.files import in_place_of
from metapt_explore.storage.workspace import Workspace
from metapt_explore.texts.rows import cell_text

#: Vectors that are looked at, or written, at once.
PART = 65_536
#: Names of columns that a sentence lists.
LISTED = 4


@dataclass(frozen=True)
class VectorsFit:
    """Vectors that fit a table of texts.

    Attributes:
        vectors: Vectors in the file.
        width: Numbers of each.
        said: What was found, in a sentence.
    """

    vectors: int
    width: int
    said: str


def check_fit(
    settings: FileEmbeddings, table: Mapping[str, Sequence[Any]], text: str, *, rows: Sequence[int], file_rows: int
) -> VectorsFit:
    """Checks vectors against the rows that a study reads: how many, of which length, and whether each is usable.

    Args:
        settings: The file of vectors and its columns.
        table: The texts' columns, as the study reads them.
        text: The column of texts.
        rows: Which row of the texts' own file each row of `table` was.
        file_rows: Rows of that file.

    Raises:
        UserError: Where they do not fit; names the file and its row.

    Example:
        >>> own = FileEmbeddings(kind="file", file="own.npy")  # doctest: +SKIP
        >>> check_fit(own, {"text": ["a", "b"]}, "text", rows=range(2), file_rows=2).said  # doctest: +SKIP
        '2 vectors of 384 numbers, one for each row of your texts, in the same order.'
    """
    own = read_vectors(settings)
    written = [row for row, cell in enumerate(table[text]) if cell_text(cell).strip()]
    keys = _keys(settings, table, text, written)
    places = own.places_of([rows[row] for row in written], keys, file_rows)
    for start in range(0, len(places), PART):
        own.at(places[start : start + PART])
    vectors, width = own.vectors.shape
    if width < 2:
        raise UserError(f"{settings.file} holds one number a text; a vector needs two or more to be clustered.")
    return VectorsFit(vectors, width, f"{_shape(own)}, {_matched(settings)}.")


def _keys(settings: FileEmbeddings, table: Mapping[str, Sequence[Any]], text: str, rows: Sequence[int]) -> list[str]:
    if settings.text is not None:
        return [cell_text(table[text][row]) for row in rows]
    if settings.id is None:
        return []
    if settings.id not in table:
        raise UserError(f"The texts have no column '{settings.id}', by which vectors and texts belong together.")
    keys = [cell_text(table[settings.id][row]) for row in rows]
    if "" in keys:
        row = rows[keys.index("")]
        raise UserError(f"Row {row + 1} of the texts: '{settings.id}' is empty, so the text's vector is not known.")
    return keys


def _shape(own: OwnVectors) -> str:
    count, width = own.vectors.shape
    listed = ", ".join(f"'{name}'" for name in own.columns[:LISTED]) + (" …" if len(own.columns) > LISTED else "")
    of = f", of the column{'s' * (len(own.columns) > 1)} {listed}" if own.columns else ""
    return f"{count:,} vectors of {width:,} numbers{of}"


def _matched(settings: FileEmbeddings) -> str:
    if settings.id is not None:
        return f"matched by the column '{settings.id}' of both files"
    if settings.text is not None:
        return f"matched by the texts in its column '{settings.text}'"
    return "one for each row of your texts, in the same order"


def vectors_of_rows(workspace: Workspace, settings: FileEmbeddings, rows: Sequence[int]) -> FileEmbeddings:
    """The settings of vectors for a study that reads only some rows of the texts' file, or reads them in another order.

    Args:
        workspace: Where a copy in the order of `rows` is kept, if one is needed.
        settings: The file of vectors; where it has keys it is taken as it is.
        rows: The rows of the texts' file that the study reads, in its order, from 0.

    Raises:
        UserError: Where the file cannot be read.
    """
    if settings.id is not None or settings.text is not None:
        return settings
    own = read_vectors(settings)
    if len(rows) == len(own.vectors) and all(row == place for place, row in enumerate(rows)):
        return settings
    chosen = np.asarray(rows, dtype=np.int64)
    digest = hashlib.sha256(vectors_fingerprint(settings).encode() + chosen.tobytes()).hexdigest()[:8]
    file = workspace.folder / "uploads" / f"{Path(settings.file).stem}-rows-{digest}.npy"
    if not file.exists():
        with in_place_of(file) as temporary:
            _write(temporary, own.vectors, chosen)
    return FileEmbeddings(kind="file", file=str(file))


def _write(file: Path, vectors: np.ndarray, rows: np.ndarray) -> None:
    """Writes part by part: neither file is in memory as a whole where the vectors are mapped."""
    with file.open("wb") as stream:
        header = {"descr": "<f4", "fortran_order": False, "shape": (len(rows), vectors.shape[1])}
        np.lib.format.write_array_header_1_0(stream, header)
        for start in range(0, len(rows), PART):
            stream.write(np.ascontiguousarray(vectors[rows[start : start + PART]], dtype="<f4").tobytes())
