"""Vectors of one's own: a Parquet or .npy file, matched to the study's texts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from metapt_explore.clusters.vector_columns import column_of, vectors_of
from metapt_explore.config.embeddings import FileEmbeddings
from metapt_explore.config.task import SourceConfig
from metapt_explore.errors import UserError
from metapt_explore.texts.file_content import existing
from metapt_explore.texts.rows import cell_text, duplicate_key, written_out

if TYPE_CHECKING:
    from metapt_explore.texts.rows import TextInput

#: An .npy file of more bytes is mapped, not read.
MAPPED_BYTES = 2**26


@dataclass(frozen=True, eq=False)
class OwnVectors:
    """The vectors of a file.

    Attributes:
        file: The file, for messages.
        vectors: ``[rows, width]`` in fp32; a large .npy file mapped as it is.
        keys: What says which text a row is of; None where that is its place.
        by_text: Whether that is the text: one that differs in case or punctuation alone is taken where there is none
            that is equal.
        columns: Columns of the file that hold the numbers.
    """

    file: str
    vectors: np.ndarray
    keys: list[str] | None = None
    by_text: bool = False
    columns: tuple[str, ...] = ()

    def of(self, rows: Sequence[int], keys: Sequence[str], source_rows: int) -> np.ndarray:
        """The vectors of some texts.

        Args:
            rows: Rows of the texts in their source, from 0.
            keys: Keys of the texts, where the file has some.
            source_rows: Rows of the source, dropped ones included.

        Returns:
            ``[texts, width]`` in fp32.

        Raises:
            UserError: Where a text has no vector, or a useless one; names the file and its row.
        """
        return self.at(self.places_of(rows, keys, source_rows))

    def places_of(self, rows: Sequence[int], keys: Sequence[str], source_rows: int) -> np.ndarray:
        """Where the vectors of some texts stand in the file, ``[texts]``; see `of`."""
        if self.keys is None:
            self.check_rows(source_rows)
            places = np.asarray(rows, dtype=np.int64)
        else:
            place_of = self.places()
            found = [place_of.get(key, place_of.get(duplicate_key(key)) if self.by_text else None) for key in keys]
            missing = [key for key, place in zip(keys, found, strict=True) if place is None]
            if missing:
                raise UserError(
                    f"{self.file} has no vector for {len(missing):,} of {len(keys):,} texts; the first is "
                    f"'{missing[0][:80]}'."
                )
            places = np.array(found, dtype=np.int64)
        return places

    def at(self, places: np.ndarray) -> np.ndarray:
        """The vectors at some places, checked, ``[places, width]`` in fp32; see `of`."""
        with np.errstate(over="ignore"):  # what fp32 cannot hold becomes infinite, which is reported by its row
            chosen: np.ndarray = np.asarray(self.vectors[places]).astype(np.float32, copy=False)
        self._check(chosen, places)
        return chosen

    def check_rows(self, source_rows: int) -> None:
        """Refuses another number of vectors than rows, where a vector's place says which text it is of."""
        if len(self.vectors) != source_rows:
            raise UserError(
                f"{self.file} holds {len(self.vectors):,} vectors, and the texts' source has {source_rows:,} rows. "
                "Without an `id` or `text` column it must hold one for each row, in the same order, those of texts "
                "that the study drops included."
            )

    def places(self) -> dict[str, int]:
        """Row of each key; a key may stand there twice with the same vector. Blank ones are no keys.

        Raises:
            UserError: Where a key has two different vectors.
        """
        assert self.keys is not None
        place_of: dict[str, int] = {}
        for place, key in enumerate(self.keys):
            if not key:
                continue
            first = place_of.setdefault(key, place)
            if first != place and not _alike(self.vectors[first], self.vectors[place]):
                raise UserError(
                    f"{self.file}: rows {first + 1} and {place + 1} are of the same text ('{key[:80]}') and have "
                    "different vectors."
                )
        if self.by_text:
            for place, key in enumerate(self.keys):
                place_of.setdefault(duplicate_key(key), place)
        return place_of

    def _check(self, chosen: np.ndarray, places: np.ndarray) -> None:
        for wrong, what in (
            (~np.isfinite(chosen).all(axis=1), "holds a value that is not a finite number"),
            (~chosen.any(axis=1), "is zero everywhere, so it has no direction"),
        ):
            if wrong.any():
                more = f" (and {int(wrong.sum()) - 1:,} more)" if wrong.sum() > 1 else ""
                raise UserError(f"{self.file}, row {int(places[wrong][0]) + 1}{more}: the vector {what}.")


def read_vectors(settings: FileEmbeddings) -> OwnVectors:
    """Reads a file of vectors.

    Args:
        settings: The file and its columns.

    Raises:
        UserError: Where it cannot be read as vectors of one length; names the file, and the row or column.
    """
    path = existing(Path(settings.file))
    try:
        if path.suffix.lower() == ".npy":
            mapped: Literal["r"] | None = "r" if path.stat().st_size > MAPPED_BYTES else None
            array = np.load(path, mmap_mode=mapped, allow_pickle=False)
            return OwnVectors(settings.file, _as_matrix(array, settings.file))
        import pyarrow.parquet

        table = pyarrow.parquet.ParquetFile(path).read()
    except UserError:
        raise
    except MemoryError:
        raise UserError(
            f"{settings.file}: memory ran out while it was read; nothing is wrong with it. Close other programs, or "
            "store fewer vectors."
        ) from None
    except Exception as error:  # libraries raise all kinds of errors for a damaged file
        what = "an .npy file of numbers" if path.suffix.lower() == ".npy" else "a Parquet file"
        raise UserError(f"{settings.file} cannot be read as {what} ({type(error).__name__}).") from None
    keys: list[str] | None = None
    if settings.id is not None:
        keys = [cell_text(value) for value in column_of(table, settings.id, "id", settings.file).to_pylist()]
    elif settings.text is not None:
        values = column_of(table, settings.text, "text", settings.file).to_pylist()
        keys = [cell_text(value) for value in values]
    numbers, columns = vectors_of(table, settings)
    vectors = _as_matrix(numbers, settings.file)
    return OwnVectors(settings.file, vectors, keys, by_text=settings.text is not None, columns=columns)


def _alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two vectors of a text are one, but for the rounding of another batch."""
    return np.allclose(one, other, rtol=1e-3, atol=1e-3 * float(np.abs(one).max(initial=0.0)), equal_nan=True)


def _as_matrix(array: np.ndarray, file: str) -> np.ndarray:
    if array.ndim != 2 or not array.size or not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
        raise UserError(
            f"{file} holds an array of {array.dtype} with the shape {list(array.shape)}; a matrix of numbers, "
            "[texts, width], is expected."
        )
    if isinstance(array, np.memmap):  # read part by part
        return array
    with np.errstate(over="ignore"):  # what fp32 cannot hold becomes infinite, which is reported by its row
        matrix: np.ndarray = array.astype(np.float32, copy=False)
    return matrix


def keys_of(
    settings: FileEmbeddings, source: SourceConfig, rows: Sequence[int], texts: Sequence[TextInput]
) -> list[str]:
    """Keys of the study's texts, as the file has them; none where it goes by rows.

    Args:
        settings: The file and its columns.
        source: Where the texts come from: its column `settings.id` is read again.
        rows: Rows of the texts in the source, from 0.
        texts: The texts.

    Raises:
        UserError: Where the source has no such column, or a text no id.
    """
    if settings.text is not None:
        return written_out(texts)
    if settings.id is None:
        return []
    from metapt_explore.texts.sources import load_source

    columns = source.columns.model_copy(update={"group": settings.id})
    try:
        ids = load_source(source.model_copy(update={"columns": columns}))["group"]
    except UserError as error:
        told = str(error).replace("columns.group", "embeddings.id")
        raise UserError(told.replace("`columns: {group: ...}`", "`embeddings: {id: ...}`")) from None
    chosen = [ids[row] for row in rows]
    if None in chosen:
        row = rows[chosen.index(None)]
        raise UserError(f"{source.name}, row {row + 1}: '{settings.id}' is empty, so the text's vector is not known.")
    return [str(value) for value in chosen]


def check_vectors(settings: FileEmbeddings, source: SourceConfig) -> None:
    """Checks a file of vectors against the texts before anything is computed, those included that a study may drop.

    Only the vectors of texts that are kept must be finite and not zero, which is checked when they are known.

    Args:
        settings: The file and its columns.
        source: Where the texts come from.

    Raises:
        UserError: Where the file cannot be read, or does not fit the source.
    """
    from metapt_explore.texts.sources import load_source

    vectors = read_vectors(settings)
    if vectors.keys is None:
        vectors.check_rows(len(load_source(source)))
    else:
        vectors.places()
        keys_of(settings, source, [], [])


def vectors_fingerprint(settings: FileEmbeddings) -> str:
    """SHA-256 of the file, in hex.

    Raises:
        UserError: Where there is no such file.
    """
    path = existing(Path(settings.file))
    stat = path.stat()
    return _digest(path, (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_size))


@lru_cache(maxsize=64)
def _digest(path: Path, unchanged: tuple[int, ...]) -> str:
    """Content of the file as it was then: a study asks for it with every stage that it looks up."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
