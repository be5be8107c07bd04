"""The vectors of an artifact: one file of an array, or the shards of many texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.integrity import damaged
from metapt_explore.storage.shards import StoredVectors, Vectors


def vector_files(artifact: Artifact, name: str = "embeddings") -> list[Path]:
    """Files that an artifact's vectors lie in, checked: ``name.safetensors``, or its shards in order.

    Raises:
        UserError: Where one of them is damaged, or none is there.
    """
    whole = artifact.folder / f"{name}.safetensors"
    files = [whole] if whole.exists() else sorted(artifact.folder.glob(f"{name}-[0-9]*.safetensors"))
    if not files:
        raise damaged(whole, "is missing", artifact.stage.get("title"))
    return [artifact.file(file.name) for file in files]


def read_vectors_of(artifact: Artifact, name: str = "embeddings") -> Vectors:
    """Vectors of an artifact, ``[rows, width]``: an array; of many texts shards, read part by part.

    Raises:
        UserError: Where a file of them is damaged or missing.
    """
    files = vector_files(artifact, name)
    if files[0].name != f"{name}.safetensors":
        return StoredVectors(files)
    vectors: np.ndarray = artifact.tensors(name)[name].numpy()
    return vectors


def open_vectors(files: Sequence[Path], name: str = "embeddings") -> Vectors:
    """Vectors from the files that `vector_files` found, without another look at them."""
    if [file.name for file in files] != [f"{name}.safetensors"]:
        return StoredVectors(files)
    from safetensors.numpy import load_file

    vectors: np.ndarray = load_file(files[0])[name]
    return vectors
