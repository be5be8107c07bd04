"""Clusterings of many texts: seconds, peak memory, and what the plan said of them. Part `clusters` of `scale.py`.

Vectors are random ones of a like shape as sentence embeddings (384 numbers), texts made-up sentences. Both lie in files
and each clustering is made by a process of its own, as a study does. The peak is that of both processes. More columns:
CPU seconds and MiB that `metapt plan` predicts from a calibration, and how many seconds that took.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from scale_measure import Measure, Run, cpu_seconds
from scale_texts import sentences

from metapt_explore.clusters.make import ClusterJob
from metapt_explore.clusters.other_process import make_in_other_process
from metapt_explore.config import ClusteringConfig
from metapt_explore.cost.calibrate_clusterings import calibrate_clustering, likely_vectors, seconds_around
from metapt_explore.cost.clusterings import WIDTH, clustering_cost
from metapt_explore.storage.shards import SHARD, StoredVectors, shard_name, shard_rows, write_shard


def vector_parts(rows: int) -> Iterator[tuple[range, np.ndarray]]:
    """Random vectors around 60 centres, a shard at a time."""
    random = np.random.default_rng(0)
    spread = np.arange(1, WIDTH + 1) ** -0.35
    centres = 1.5 * random.normal(size=(60, WIDTH)) * spread
    for chosen in shard_rows(rows):
        part = centres[random.integers(60, size=len(chosen))] + random.normal(size=(len(chosen), WIDTH)) * spread
        yield chosen, part.astype(np.float32)


def write_vectors(folder: Path, rows: int) -> list[Path]:
    """Shards of vectors."""
    files = []
    for number, (_, part) in enumerate(vector_parts(rows)):
        files.append(folder / shard_name("embeddings", number))
        write_shard(files[-1], part)
    return files


def prepare(size: int, folder: Path, *, rows: int | None, settings: Mapping[str, Any]) -> Run:
    """One clustering: calibrated here, then made as a study makes it.

    Args:
        size: Clusters; texts where `rows` is None.
        folder: For its files.
        rows: Texts.
        settings: Of the clustering.
    """
    number = {"n_clusters": size} if rows is not None else {}
    rows = size if rows is None else rows
    config = ClusteringConfig.model_validate({"name": "measured", **settings, **number})
    files, texts = write_vectors(folder, rows), sentences(rows, 1)
    drawn = likely_vectors(SHARD, WIDTH)
    began = cpu_seconds()
    with patch("time.perf_counter", time.process_time):  # in CPU seconds, because other work may be going on
        law = calibrate_clustering(config, drawn, rows, texts[:SHARD])
        predicted = clustering_cost(config, rows, width=WIDTH, law=law, around=seconds_around(drawn, rows))
    calibrated = cpu_seconds() - began
    job = ClusterJob(StoredVectors([]), config, 0, texts=texts, groups=[None] * rows)

    def run() -> Mapping[str, Any]:
        began = cpu_seconds()
        _, summary = make_in_other_process(
            job, files, folder / "work", seconds=predicted.seconds, on_share=lambda share: None
        )
        spent = cpu_seconds() - began
        return {
            "texts": rows,
            "clusters": len(summary["clusters"]),
            "fit": summary.get("fit"),
            "predicted_cpu_seconds": round(predicted.seconds, 1),
            "off_percent": round(100 * (predicted.seconds / spent - 1)),
            "whole_cpu_seconds": predicted.whole_seconds and round(predicted.whole_seconds),
            "calibration_cpu_seconds": round(calibrated, 1),
            "predicted_mib": round(predicted.mib),
        }

    return run


def _of_texts(name: str, title: str, sizes: tuple[int, ...], **settings: Any) -> Measure:
    return Measure(name, title, "texts", sizes, partial(prepare, rows=None, settings=settings))


MEASURES = [
    Measure(
        "clusters-kmeans",
        "k-means of 100,000 texts",
        "clusters",
        (8, 64, 512),
        partial(prepare, rows=100_000, settings={"algorithm": "kmeans"}),
    ),
    _of_texts("clusters-kmeans-64", "k-means, 64 clusters", (200_001, 1_000_000), algorithm="kmeans", n_clusters=64),
    _of_texts("clusters-kmeans-512", "k-means, 512 clusters", (200_001, 1_000_000), algorithm="kmeans", n_clusters=512),
    _of_texts("clusters-hdbscan", "HDBSCAN", (20_000, 200_001), algorithm="hdbscan"),
    _of_texts("clusters-lda", "topics (LDA), 8 of them", (20_000, 100_000), algorithm="lda", n_clusters=8),
]
