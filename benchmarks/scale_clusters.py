"""Clusterings of many texts: seconds, peak memory, and what the plan said of them.

    python benchmarks/scale_clusters.py --rows 200001 1000000 --clusters 8 64 512 --algorithm kmeans

Vectors are random ones of a like shape as sentence embeddings (384 numbers), texts ten random words each; both lie in
files, and each clustering is made by a process of its own, as a study does. A line of JSON for each: seconds of all of
it, peak memory (of that process and of this one), and the seconds that `metapt plan` predicts from a calibration.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from metapt_explore.clusters.make import ClusterJob
from metapt_explore.clusters.other_process import make_in_other_process
from metapt_explore.config import ClusteringConfig
from metapt_explore.cost.calibrate_clusterings import calibrate_clustering, likely_vectors, seconds_around
from metapt_explore.cost.clusterings import WIDTH, clustering_cost
from metapt_explore.storage.peak_memory import PeakWatch, rss_mib
from metapt_explore.storage.shards import SHARD, StoredVectors, shard_name, shard_rows, write_shard


def write_vectors(folder: Path, rows: int) -> list[Path]:
    """Shards of random vectors around 60 centres."""
    random = np.random.default_rng(0)
    spread = np.arange(1, WIDTH + 1) ** -0.35
    centres = 1.5 * random.normal(size=(60, WIDTH)) * spread
    files = []
    for number, chosen in enumerate(shard_rows(rows)):
        part = centres[random.integers(60, size=len(chosen))] + random.normal(size=(len(chosen), WIDTH)) * spread
        files.append(folder / shard_name("embeddings", number))
        write_shard(files[-1], part.astype(np.float32))
    return files


def texts_of(rows: int) -> list[str]:
    """Texts of ten random words."""
    random = np.random.default_rng(1)
    words = [f"w{number}" for number in range(20_000)]
    return [" ".join(words[word] for word in chosen) for chosen in random.integers(20_000, size=(rows, 10)).tolist()]


def measure(config: ClusteringConfig, files: list[Path], texts: list[str], folder: Path) -> dict[str, Any]:
    """One clustering: predicted and real."""
    rows = len(texts)
    drawn = likely_vectors(SHARD, WIDTH)
    began = time.perf_counter()
    law = calibrate_clustering(config, drawn, rows)
    predicted = clustering_cost(config, rows, width=WIDTH, law=law, around=seconds_around(drawn, rows))
    calibrated = time.perf_counter() - began
    job = ClusterJob(StoredVectors([]), config, 0, texts=texts, groups=[None] * rows)
    began = time.perf_counter()
    with PeakWatch() as watch:
        before = rss_mib()
        _, summary = make_in_other_process(
            job, files, folder / "work", seconds=predicted.seconds, on_share=lambda share: None
        )
    return {
        "algorithm": config.algorithm,
        "rows": rows,
        "clusters": len(summary["clusters"]),
        "fit": summary.get("fit"),
        "seconds": round(time.perf_counter() - began, 1),
        "predicted_seconds": round(predicted.seconds, 1),
        "whole_seconds": predicted.whole_seconds and round(predicted.whole_seconds),
        "calibration_seconds": round(calibrated, 1),
        "peak_mib": round(watch.peak),
        "of_this_process_mib": round(before),
        "predicted_mib": round(predicted.mib),
    }


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--clusters", type=int, nargs="+", default=[8])
    parser.add_argument("--algorithm", default="kmeans")
    asked = parser.parse_args()
    for rows in asked.rows:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            files, texts = write_vectors(folder, rows), texts_of(rows)
            for clusters in asked.clusters:
                settings = {"name": "measured", "algorithm": asked.algorithm, "n_clusters": clusters}
                if "n_clusters" not in ClusteringConfig.facts(asked.algorithm).model_fields:
                    del settings["n_clusters"]
                config = ClusteringConfig.model_validate(settings)
                print(json.dumps(measure(config, files, texts, folder)), flush=True)


if __name__ == "__main__":
    main()
