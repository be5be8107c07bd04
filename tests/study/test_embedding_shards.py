"""Embeddings of many texts: shards in half precision, stopped at any batch and gone on with to the same bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny

from metapt_explore.config import StudyConfig, limits, parse
from metapt_explore.errors import Cancelled
from metapt_explore.progress.state import Progress
from metapt_explore.storage import shards
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.vectors import read_vectors_of
from metapt_explore.study.study import Study


def study_of(world: Path, folder: Path, progress: Progress | None = None, **changes: Any) -> Study:
    tree = tiny.study_tree(world, methods=[{"name": "PT", "kind": "pt"}], **changes)
    tree["clusterings"] = [{"name": "kmeans", "algorithm": "kmeans", "n_clusters": 4}]
    return Study(parse(StudyConfig, tree, "test"), folder, progress)


class StopsAfter(Progress):
    """Is asked to stop after so many reports of embedded texts."""

    def __init__(self, reports: int) -> None:
        super().__init__(should_stop=self.asked)
        self.left = reports

    def asked(self) -> bool:
        self.left -= self.state.stage == "embeddings" and self.state.done > 0
        return self.left < 0


def embeddings_of(study: Study) -> Artifact:
    made = study.clusters("kmeans").stage["parents"]["embeddings"]
    return study.workspace.artifact(str(made))


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MANY_TEXTS", 100)
    monkeypatch.setattr(shards, "SHARD", 48)


def test_shards_are_the_same_vectors_in_half_precision(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = embeddings_of(study_of(world, tmp_path / "few"))
    assert [file.name for file in few.folder.glob("*.safetensors")] == ["embeddings.safetensors"]
    monkeypatch.setattr(limits, "MANY_TEXTS", 100)
    monkeypatch.setattr(shards, "SHARD", 48)
    study = study_of(world, tmp_path / "many")
    parts = embeddings_of(study)
    assert parts.id == few.id and parts.is_whole
    whole, read = read_vectors_of(few), read_vectors_of(parts)
    assert isinstance(whole, np.ndarray) and whole.dtype == np.float32
    assert parts.summary["shards"] == -(-len(whole) // 48) and parts.summary["dtype"] == ["float16"]
    np.testing.assert_allclose(np.asarray(read), whole, atol=2e-3)
    # What else reads vectors reads them, too.
    assert len(study.request("tsne").table("positions")) == len(whole)
    assert study.memberships("kmeans").shape == (len(whole), 4)


@pytest.mark.usefixtures("many")
def test_stopped_at_any_batch_it_goes_on_to_the_same_bits(world: Path, tmp_path: Path) -> None:
    whole = embeddings_of(study_of(world, tmp_path / "whole"))
    expected = {file.name: file.read_bytes() for file in sorted(whole.folder.glob("*.safetensors"))}
    assert len(expected) > 2
    for after in (1, 3):
        progress = StopsAfter(after)
        with pytest.raises(Cancelled):
            study_of(world, tmp_path / str(after), progress).clusters("kmeans")
        found = embeddings_of(study_of(world, tmp_path / str(after)))
        assert {file.name: file.read_bytes() for file in sorted(found.folder.glob("*.safetensors"))} == expected


@pytest.mark.usefixtures("many")
def test_a_file_of_vectors_is_read_part_by_part(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = study_of(world, tmp_path / "plain")
    rows = int(plain.texts().summary["report"]["rows"])
    vectors = np.random.default_rng(0).normal(size=(rows, 12))
    np.save(tmp_path / "own.npy", vectors)
    monkeypatch.setattr("metapt_explore.clusters.own_vectors.MAPPED_BYTES", 10)
    settings = {"kind": "file", "file": str(tmp_path / "own.npy")}
    found = embeddings_of(study_of(world, tmp_path / "own", embeddings=settings))
    source_rows = plain.texts().table("texts")["source_row"].astype(int)
    expected = vectors[source_rows].astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(np.asarray(read_vectors_of(found)), expected, atol=1e-3)


KINDS = [{"kind": "tfidf", "dimensions": 6}, {"kind": "model_states"}, {"kind": "model_states", "layer": "last"}]


@pytest.mark.parametrize("settings", KINDS)
def test_words_and_states_in_shards_are_those_of_all_texts(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    few = embeddings_of(study_of(world, tmp_path / "few", embeddings=settings))
    whole = np.asarray(read_vectors_of(few))
    monkeypatch.setattr(limits, "MANY_TEXTS", 100)
    monkeypatch.setattr(shards, "SHARD", 48)
    parts = embeddings_of(study_of(world, tmp_path / "many", embeddings=settings))
    assert parts.id == few.id and parts.summary["shards"] > 2
    read = np.asarray(read_vectors_of(parts))
    # Directions of words may be mirrored; angles may not.
    np.testing.assert_allclose(read @ read.T, whole @ whole.T, atol=4e-3 * whole.shape[1])
    assert not (parts.folder / "checkpoint").exists()
    # Words are told a shard at a time; states before that, too.
    for after in (1, 2) if settings["kind"] == "tfidf" else (1, 4, 7):
        progress = StopsAfter(after)
        with pytest.raises(Cancelled):
            study_of(world, tmp_path / str(after), progress, embeddings=settings).clusters("kmeans")
        found = embeddings_of(study_of(world, tmp_path / str(after), embeddings=settings))
        for file in sorted(parts.folder.glob("*.safetensors")):
            assert (found.folder / file.name).read_bytes() == file.read_bytes()


@pytest.mark.usefixtures("many")
def test_states_that_were_computed_are_not_computed_again(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"kind": "model_states"}
    with pytest.raises(Cancelled):
        study_of(world, tmp_path, StopsAfter(2), embeddings=settings).clusters("kmeans")
    made = sum(1 for _ in tmp_path.glob("artifacts/*/checkpoint/states/*.safetensors"))
    assert made
    from metapt_explore.clusters import model_vectors_many

    real, computed = model_vectors_many.plain_states, []

    def counting(*args: Any, **more: Any) -> np.ndarray:
        computed.append(1)
        return real(*args, **more)

    monkeypatch.setattr(model_vectors_many, "plain_states", counting)
    parts = embeddings_of(study_of(world, tmp_path, embeddings=settings))
    assert len(computed) == parts.summary["shards"] - made
