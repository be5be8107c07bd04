"""A workspace written by hand: no model, numbers that tests know, and texts that try to be markup."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from metapt_explore.config import StudyConfig
from metapt_explore.storage.files import write_json
from metapt_explore.storage.stage_file import write_stage
from metapt_explore.storage.workspace import Workspace

NAME = "demo"
EVIL = '<script>alert("x")</script> **bold** $x^2$ [a](http://b)'
METHODS = ["PT", "PPT", "MetaPT"]
#: Accuracy of methods on task trec for data seeds 13 and 21.
ACCURACY = {"PT": [0.50, 0.60], "PPT": [0.55, 0.65], "MetaPT": [0.70, 0.75]}

REPORT = {
    "rows": 12,
    "blank": 1,
    "duplicates": 2,
    "words": {"min": 1, "median": 6.0, "mean": 6.5, "p95": 11.0, "max": 14},
    "labels": {"good": 5, "<i>bad</i>": 4},
    "unlabelled": 3,
    "warnings": ["1 text is *blank*."],
}


def config() -> StudyConfig:
    """One clustering, three methods, one task, two data seeds."""
    return StudyConfig.model_validate(
        {
            "name": NAME,
            "texts": {"file": "/nowhere/texts.csv"},
            "clusterings": [{"name": "kmeans", "algorithm": "kmeans", "n_clusters": 2}],
            "auxiliary_tasks": {"labels": {"negative": "negative", "positive": "positive"}},
            "pretraining": {"steps": 3},
            "methods": [
                {"name": "PT", "kind": "pt"},
                {"name": "PPT", "kind": "ppt"},
                {"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"},
            ],
            "evaluation": {"tasks": ["trec"], "data_seeds": [13, 21], "steps": 2, "curve_steps": [0, 1, 2]},
        }
    )


class Writer:
    """Writes artifacts into a workspace and lists them."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def artifact(
        self,
        kind: str,
        number: int,
        summary: dict[str, Any],
        tables: dict[str, pd.DataFrame] | None = None,
        metrics: list[dict[str, Any]] | None = None,
        parents: dict[str, str] | None = None,
        **of: Any,
    ) -> str:
        identifier = f"{kind}-{number:016d}"
        folder = self.workspace.artifact(identifier).folder
        stage = {"status": "done", "seconds": 12.0, "began": 0.0, "parents": parents or {}}
        write_json(folder / "stage.json", {"id": identifier, "kind": kind, **stage})
        write_json(folder / "summary.json", summary)
        for name, table in (tables or {}).items():
            table.to_parquet(folder / f"{name}.parquet", index=False)
        if metrics is not None:
            (folder / "metrics.jsonl").write_text(
                pd.DataFrame(metrics).to_json(orient="records", lines=True), encoding="utf-8"
            )
        title = f"{kind} {' '.join(map(str, of.values()))}".strip()
        self.workspace.add_to_index(NAME, {"kind": kind, "id": identifier, "title": title, **of})
        return identifier


def write(folder: Path) -> Workspace:
    """Writes the finished study and returns its workspace."""
    workspace = Workspace(folder)
    workspace.save_study(config())
    out = Writer(workspace)
    _write_texts(out)
    for number, method in enumerate(METHODS):
        prompt = _write_prompt(out, number, method)
        _write_fewshot(out, number, method, prompt)
    workspace.compact_index(NAME)
    write_json(workspace.study_folder(NAME) / "job.json", {"status": "done", "pid": 1, "began": 0.0, "fraction": 1.0})
    return workspace


def _write_texts(out: Writer) -> None:
    texts = pd.DataFrame(
        {
            "source_row": range(7),
            "text": [EVIL, "good phone", "bad phone", "good book", "bad book", "new book", "hm"],
            "label": ["1", "1", "0", "1", "0", None, "1"],
            "group": ["p", "p", "p", "b", "b", "b", None],
        }
    )
    leaks = pd.DataFrame(
        {
            "source_row": [9],
            "text": ["leaked text"],
            "reason": ["equal"],
            "held_out_task": ["trec"],
            "held_out_text": ["leaked text"],
            "overlap": [1.0],
        }
    )
    dropped = {"duplicate": 3, "equals a dev or test row": 1}
    out.artifact(
        "texts",
        0,
        {"report": REPORT, "kept": 7, "dropped": dropped, "held_out_rows": 40, "leaks_by_task": {"trec": 1}},
        {"texts": texts, "leaks": leaks},
    )
    clusters = pd.DataFrame(
        {
            "row": range(7),
            "cluster": [0, 0, 0, 1, 1, 1, -1],
            "membership": [0.5, 0.9, 0.7, 0.8, 0.6, 0.4, 0.0],
            "x": [0.0, 0.1, 0.2, 3.0, 3.1, 3.2, 9.0],
            "y": [1.0, 1.1, 1.2, 2.0, 2.1, 2.2, 9.0],
        }
    )
    described = [
        {"cluster": 0, "name": "0: phone", "rows": 3, "keywords": ["phone", "<b>screen</b>"],
         "labels": {"positive": 2, "negative": 1}, "membership": 0.7},
        {"cluster": 1, "name": "1: book", "rows": 3, "keywords": ["book"],
         "labels": {"positive": 1, "negative": 1, "unlabelled": 1}, "membership": 0.6},
    ]  # fmt: skip
    quality = {"silhouette": 0.4321, "davies_bouldin": 0.5, "calinski_harabasz": 12.34, "outlier_share": 1 / 7,
               "n_clusters": 2, "sizes": {"0": 3, "1": 3}}  # fmt: skip
    agreement = {"adjusted_rand_index": 1.0, "adjusted_mutual_information": 0.99, "rows": 6}
    summary = {"clusters": described, "outliers": 1, "quality": quality, "agreement": agreement}
    out.artifact("clusters", 0, summary, {"clusters": clusters}, clustering="kmeans")
    counts = {"unlabelled": 1, "outliers": 1, "dropped_clusters": 2, "used": 3}
    dropped_clusters = {"1": "2 labelled rows, min_size is 3"}
    out.artifact(
        "tasks",
        0,
        {"tasks": 1, "sizes": {"0": 3}, "dropped": dropped_clusters, "counts": counts},
        clustering="kmeans",
    )


def _write_prompt(out: Writer, number: int, method: str) -> str:
    summary: dict[str, Any] = {"init": "vocabulary", "norm": 1.0, "moved": 0.5}
    metrics: list[dict[str, Any]] | None = None
    if method == "PPT":
        metrics = [{"step": step, "task": -1, "loss": 0.7 - 0.1 * step} for step in range(3)]
    elif method == "MetaPT":
        metrics = [
            {"step": step, "task": task, "support_before": 0.8, "support_after": 0.6,
             "query": 0.7 - 0.1 * step - task / 100}
            for step in range(3)
            for task in (0, 1)
        ]  # fmt: skip
    if metrics:
        metrics = [{**line, "gradient_norm": 1.0} for line in metrics]
        summary |= {"row_passes": 1920, "diagnostic_rows": 480}
    return out.artifact("prompt", number, summary, metrics=metrics, method=method, init_seed=0)


def _write_fewshot(out: Writer, number: int, method: str, prompt: str) -> None:
    results, curves = [], []
    for seed, accuracy in zip([13, 21], ACCURACY[method], strict=True):
        results.append(
            {"data_seed": seed, "accuracy": accuracy, "macro_f1": accuracy, "test_loss": 0.6,
             "start_accuracy": 0.4, "start_loss": 0.7, "dev_accuracy": 0.7, "learning_rate": 0.003, "step": 2}
        )  # fmt: skip
        for rate in (0.001, 0.003):
            for step, score in ((0, 0.4), (1, 0.45), (2, accuracy)):
                tested = score if rate == 0.003 else None
                curves.append(
                    {"data_seed": seed, "learning_rate": rate, "step": step, "dev_accuracy": 0.7,
                     "dev_loss": 0.5, "test_accuracy": tested, "test_loss": tested}
                )  # fmt: skip
    out.artifact(
        "fewshot",
        number,
        {"row_passes": 100, "test_rows": 50},
        {"results": pd.DataFrame(results), "curves": pd.DataFrame(curves)},
        [{"step": 1, "train_loss": 0.6}],
        {"prompt": prompt},
        method=method,
        task="trec",
        init_seed=0,
    )


def make_running(workspace: Workspace, study: str, lines: int, method: str = "MetaPT") -> Path:
    """Makes a finished study look as while a method is pre-trained; returns the prompt's folder."""
    index = workspace.index(study)
    prompt = next(e for e in index if e["kind"] == "prompt" and e["method"] == method)
    kept = index[: index.index(prompt) + 1]
    write_json(workspace.study_folder(study) / "index.json", kept)
    folder = workspace.artifact(prompt["id"]).folder
    stage = json.loads((folder / "stage.json").read_text(encoding="utf-8"))
    write_stage(folder, {**stage, "status": "running"})
    (folder / "summary.json").unlink()
    metrics = folder / "metrics.jsonl"
    whole = metrics.read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "later").write_text("".join(whole[lines:]), encoding="utf-8")
    # The writer may be in the middle of a line.
    metrics.write_text("".join(whole[:lines]) + whole[lines][:10], encoding="utf-8")
    state = {"stage": "prompt of MetaPT", "done": 1, "total": 3, "fraction": 0.25, "seconds_left": 75.0}
    write_json(workspace.study_folder(study) / "job.json", {"status": "running", "pid": 1, "began": 0.0, **state})
    return folder
