"""Many texts: read, reported on, compared with dev and test rows, sampled. Part `texts` of `scale.py`.

Made-up sentences of 6 to 19 words whose frequencies fall as in language (Zipf), with two labels; a study of
2,000 drawn texts, compared with about 1,000 dev and test rows of a made-up task.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scale_measure import Measure, Run

#: Texts that the study draws.
LIMIT = 2_000
#: Rows of the task's file; of them 1,000 are test rows.
TASK_ROWS = 3_000
#: Different words, and how fast their frequencies fall.
WORDS, FALL = 30_000, 1.05
SIZES = (2_000, 20_000, 200_000, 1_000_000)


def sentences(number: int, seed: int) -> list[str]:
    """Made-up sentences; equal arguments give equal ones."""
    words = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    vocabulary = ["".join(words.choice(letters, size=words.integers(2, 9))) for _ in range(WORDS)]
    shares = np.arange(1, WORDS + 1) ** -FALL
    bounds = np.cumsum(shares / shares.sum())
    rng = np.random.default_rng(seed)
    lengths = rng.integers(6, 20, number)
    made = []
    for length in lengths:
        drawn = np.minimum(np.searchsorted(bounds, rng.random(length)), WORDS - 1)
        made.append(" ".join(vocabulary[place] for place in drawn).capitalize() + ".")
    return made


def write_rows(file: Path, rows: int, seed: int) -> None:
    """Writes sentences with labels as CSV, JSONL or Parquet, by the file's suffix."""
    labels = np.random.default_rng(seed + 1).choice(["good", "bad"], rows)
    table = pd.DataFrame({"text": sentences(rows, seed), "label": labels})
    if file.suffix == ".csv":
        table.to_csv(file, index=False)
    elif file.suffix == ".jsonl":
        table.to_json(file, orient="records", lines=True)
    else:
        table.to_parquet(file, index=False)


def study_tree(folder: Path, texts: Path, limit: int | None) -> dict[str, Any]:
    """A study of these texts and of one made-up task."""
    write_rows(folder / "task.csv", TASK_ROWS, 2)
    task = folder / "task.yaml"
    task.write_text(
        "name: made-up\ntitle: made-up sentences\ndata: {file: task.csv, columns: {label: label}}\n"
        "template: '{text} Sentiment:'\nlabels: {good: good, bad: bad}\n",
        encoding="utf-8",
    )
    return {
        "name": "scale",
        "texts": {"file": str(texts), "columns": {"label": "label"}, "limit": limit},
        "clusterings": [{"name": "kmeans", "algorithm": "kmeans", "n_clusters": 8}],
        "auxiliary_tasks": {"labels": {"good": "good", "bad": "bad"}},
        "methods": [{"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"}],
        "evaluation": {"tasks": [str(task)], "test_rows": 1_000},
    }


def prepare_stage(size: int, folder: Path, *, kind: str, limit: int | None) -> Run:
    """The stage Texts of a study, from the file to the artifact."""
    from metapt_explore.config import StudyConfig
    from metapt_explore.study.study import Study

    texts = folder / f"texts.{kind}"
    write_rows(texts, size, 1)
    config = StudyConfig.model_validate(study_tree(folder, texts, limit))
    study = Study(config, folder / "workspace")

    def run() -> Mapping[str, Any]:
        summary = study.texts().summary
        return {"kept": summary["kept"]}

    return run


MEASURES = (
    *(
        Measure(
            f"texts-{kind}",
            f"{kind.upper()} file, {LIMIT:,} texts drawn",
            "texts",
            SIZES,
            partial(prepare_stage, kind=kind, limit=LIMIT),
        )
        for kind in ("csv", "jsonl", "parquet")
    ),
    Measure(
        "texts-all", "Parquet file, every text kept", "texts", SIZES, partial(prepare_stage, kind="parquet", limit=None)
    ),
)
