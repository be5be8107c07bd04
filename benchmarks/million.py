"""A million short texts, from the file to clusters, as a study does it: one run, its time and its peak memory.

    python benchmarks/million.py                              # appends a record to results/scale-million.jsonl
    python benchmarks/million.py --rows 20000 --out ""        # fewer, and no record

Made-up sentences of 6 to 19 words lie in a Parquet file, and a vector of 384 numbers for each in a file of float16.
The study keeps all texts: they are read, compared with the dev and test rows of two tasks, their vectors are put into
shards, and mini-batch k-means groups them, with map, words and quality. A line of JSON says what each stage took on
the clock, CPU seconds of all processes, and the most memory that they held together at once: what each has of its own,
without mapped files, which the system takes back when it needs the room.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from scale_measure import RESULTS, append_record, cpu_seconds

from metapt_explore.config import StudyConfig, load_study
from metapt_explore.study.study import Study

#: Width of a vector, groups that texts come from, and rows that are written at once.
WIDTH, GROUPS, PART = 384, 60, 50_000
SYLLABLES = [first + vowel for first in "bdfgklmnprst" for vowel in "aeiou"]


class FamilyPeak:
    """The most memory that this process and its children hold together, looked at five times a second."""

    def __init__(self) -> None:
        self.mib = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> FamilyPeak:
        self._thread.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        me = psutil.Process()
        while not self._over.wait(0.2):
            held = 0
            for process in (me, *me.children(recursive=True)):
                try:
                    # Files that are mapped are the page cache's: the system takes them back when it needs them.
                    facts = process.memory_info()
                    held += facts.rss - getattr(facts, "shared", 0)
                except psutil.Error:
                    continue
            self.mib = max(self.mib, held / 2**20)


def write_texts(file: Path, rows: int) -> None:
    """Sentences of 6 to 19 made-up words; each group has words of its own that come often."""
    random = np.random.default_rng(0)
    words = np.array([a + b + c for a in SYLLABLES for b in SYLLABLES for c in SYLLABLES[::6]])
    random.shuffle(words)
    columns = {"text": pa.string(), "label": pa.string()}
    with pq.ParquetWriter(file, pa.schema(list(columns.items()))) as writer:
        for first in range(0, rows, PART):
            size = min(PART, rows - first)
            lengths = random.integers(6, 20, size=size)
            own = np.arange(first, first + size) % GROUPS * 300
            chosen = random.integers(len(words), size=lengths.sum())
            often = np.repeat(own, lengths) + random.integers(300, size=lengths.sum())
            parts = np.split(words[np.where(random.random(len(chosen)) < 0.6, often, chosen)], lengths.cumsum()[:-1])
            labels = np.where(random.random(size) < 0.5, "negative", "positive")
            writer.write_table(pa.table({"text": [" ".join(part) for part in parts], "label": labels.tolist()}))


def write_vectors(file: Path, rows: int) -> None:
    """Vectors around the groups' centres."""
    random = np.random.default_rng(1)
    spread = np.arange(1, WIDTH + 1) ** -0.35
    centres = 1.5 * random.normal(size=(GROUPS, WIDTH)) * spread
    stored = np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=(rows, WIDTH))
    for first in range(0, rows, PART):
        size = min(PART, rows - first)
        of_group = centres[np.arange(first, first + size) % GROUPS]
        stored[first : first + size] = of_group + random.normal(size=(size, WIDTH)) * spread
    stored.flush()


def study_of(folder: Path, clusters: int) -> StudyConfig:
    """The tour's tasks, and these texts and vectors."""
    tree: dict[str, Any] = load_study("tour").model_dump(mode="json", exclude_unset=True)
    tree["name"] = "million"
    tree["texts"] = {"file": str(folder / "texts.parquet"), "columns": {"text": "text", "label": "label"}}
    tree["embeddings"] = {"kind": "file", "file": str(folder / "vectors.npy")}
    tree["clusterings"] = [{"name": "kmeans", "algorithm": "kmeans", "n_clusters": clusters}]
    tree["methods"] = [method for method in tree["methods"] if method["kind"] != "metapt"]
    return StudyConfig.model_validate(tree)


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--clusters", type=int, default=64)
    parser.add_argument("--folder", type=Path, help="where files and workspace lie (default: a temporary folder)")
    parser.add_argument("--out", default=str(RESULTS), help="folder of the record; empty: none is kept")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        folder = Path(name)
        write_texts(folder / "texts.parquet", asked.rows)
        write_vectors(folder / "vectors.npy", asked.rows)
        study = Study(study_of(folder, asked.clusters), folder / "workspace")
        load, began, spent = os.getloadavg()[0], time.perf_counter(), cpu_seconds()
        seconds: dict[str, float] = {}
        with FamilyPeak() as peak:
            for stage, make in (
                ("few-shot rows", lambda: [study.split(task) for task in study.tasks]),
                ("texts", study.texts),
                ("vectors into shards", study.embeddings),
                ("clusters", lambda: study.clusters("kmeans")),
            ):
                at = time.perf_counter()
                make()
                seconds[stage] = round(time.perf_counter() - at, 1)
        row = {
            "what": "million-study",
            "unit": "texts",
            "size": asked.rows,
            "seconds": round(time.perf_counter() - began, 1),
            "cpu_seconds": round(cpu_seconds() - spent, 1),
            "peak_mib": round(peak.mib),
            "exponent": None,
            "kept": study.texts().summary["kept"],
            "clusters": len(study.clusters("kmeans").summary["clusters"]),
            "seconds_of_stages": seconds,
        }
        print(json.dumps(row), flush=True)
    if asked.out:
        append_record(Path(asked.out), "million", [row], load)


if __name__ == "__main__":
    main()
