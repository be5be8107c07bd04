"""What is kept of a study: scores, curves, costs, facts about data and clusters; never a text.

A record is a folder of its own (`studies/<name>/` in this repository): ``record.json``, ``results.parquet``,
``curves.parquet``, ``study.yaml``, and what not every study has, such as every decision (``predictions.parquet``) with
the rows that it is about (``rows.parquet``: a hash of the text, and facts). Reports are made of records, whether they
come out of a workspace or of such a folder, so that a published study can be looked at without computing anything.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from metapt_explore.config import StudyConfig, readable_yaml, to_yaml
from metapt_explore.config.ensembles import is_seeded
from metapt_explore.config.paper_numbers import FILE as PAPER_NUMBERS
from metapt_explore.config.paper_numbers import read_paper_numbers
from metapt_explore.config.portable import portable
from metapt_explore.config.reading import parse_yaml, read_yaml
from metapt_explore.errors import UserError
from metapt_explore.fewshot.overlaps import task_overlaps
from metapt_explore.results.budgets import Budget, method_budgets
from metapt_explore.results.clustering_quality import clustering_quality
from metapt_explore.results.cut_texts import read_cut_texts
from metapt_explore.results.decision_checks import check_decisions
from metapt_explore.results.kept_rows import recorded_decisions
from metapt_explore.results.looks import agreement_of, screenings_of
from metapt_explore.results.made_rows import made_of_texts
from metapt_explore.results.models_used import models_used
from metapt_explore.results.record_files import read_facts, read_table
from metapt_explore.results.tables import (
    curves_table,
    efficiency_table,
    ordered_index,
    results_table,
    split_samples,
)
from metapt_explore.results.task_facts import task_facts
from metapt_explore.storage.files import Compression, write_bytes, write_json, write_table
from metapt_explore.storage.studies import IndexEntry
from metapt_explore.storage.workspace import Workspace

#: Columns that a record's results have first, in this order.
FIRST = ["method", "task", "data_seed", "init_seed", "accuracy", "macro_f1", "start_accuracy", "seconds"]
#: Settings that mean nothing outside a workspace.
LOCAL = ["study", "artifact"]
#: Tables that not every record has.
MORE_TABLES = ("efficiency", "agreement", "predictions", "rows")
#: Of tables that are large.
COMPRESSION: dict[str, Compression] = {"predictions": "zstd", "rows": "zstd"}


@dataclass
class Record:
    """A study as it can be published.

    Attributes:
        name: The study's name.
        title: Its title.
        study: Its settings as plain values, where they are not the defaults; of files only the names.
        results: One row for each score, see `results_table`.
        curves: Scores after each scored number of tuning steps, see `curves_table`.
        budgets: What each method spent and was given, see `method_budgets`.
        clusterings: Algorithm, sizes, quality and number of tasks of each clustering.
        texts: How many pre-training texts were kept, what became of the others, and how many the model cuts (``cut``).
        tasks: Title, classes, sizes, checksums, warnings, facts about samples and how many texts are cut, for each
            downstream task.
        manifest: Code, versions and hardware of most scores, and the models that were used.
        cells: Scores that the study asks for.
        overlaps: Texts that tasks, or splits of a task, have in common, see `task_overlaps`.
        efficiency: Scores by the number of examples per class, where the study asks for more than one.
        agreement: Cosines of tasks' gradients, where somebody asked for them (`metapt agreement`).
        labels: How labels of the pre-training texts were found (`labelling`), where the data's own were not all.
        screenings: What was seen of methods beforehand, where somebody asked (`metapt screen`).
        published: Numbers of others (``published.yaml``), shown apart and in no statistic.
        predictions: Every decision at the study's own number of examples, see `kept_rows`; of records of earlier
            versions none.
        rows: The rows that they are about: a hash of the text, its class and facts.
    """

    name: str
    title: str
    study: dict[str, Any]
    results: pd.DataFrame
    curves: pd.DataFrame
    budgets: list[Budget] = field(default_factory=list)
    clusterings: list[dict[str, Any]] = field(default_factory=list)
    texts: dict[str, Any] = field(default_factory=dict)
    tasks: list[dict[str, Any]] = field(default_factory=list)
    manifest: dict[str, Any] = field(default_factory=dict)
    cells: int = 0
    overlaps: list[dict[str, Any]] = field(default_factory=list)
    efficiency: pd.DataFrame = field(default_factory=pd.DataFrame)
    agreement: pd.DataFrame = field(default_factory=pd.DataFrame)
    labels: dict[str, Any] = field(default_factory=dict)
    screenings: list[dict[str, Any]] = field(default_factory=list)
    published: list[dict[str, Any]] = field(default_factory=list)
    predictions: pd.DataFrame = field(default_factory=pd.DataFrame)
    rows: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def methods(self) -> list[str]:
        """Methods in the order of the study."""
        return [method["name"] for method in self.study.get("methods", [])]

    def save(self, folder: Path) -> None:
        """Writes the record; an older one in the folder is replaced."""
        results = self.results.drop(columns=LOCAL, errors="ignore")
        rest = [column for column in results if column not in FIRST]
        write_table(folder / "results.parquet", results[[*FIRST, *rest]])
        write_table(folder / "curves.parquet", self.curves)
        for name in MORE_TABLES:
            table: pd.DataFrame = getattr(self, name)
            if len(table):
                columns = table.drop(columns=LOCAL, errors="ignore")
                write_table(folder / f"{name}.parquet", columns, compression=COMPRESSION.get(name, "snappy"))
            else:
                (folder / f"{name}.parquet").unlink(missing_ok=True)
        write_bytes(folder / "study.yaml", yaml.safe_dump(self.study, sort_keys=False, allow_unicode=True).encode())
        facts = ("name", "title", "budgets", "clusterings", "texts", "tasks", "manifest", "cells", "overlaps", "labels")
        more = {"screenings": self.screenings} if self.screenings else {}
        if self.published:
            write_bytes(folder / PAPER_NUMBERS, readable_yaml({"published": self.published}).encode())
        else:
            (folder / PAPER_NUMBERS).unlink(missing_ok=True)
        write_json(folder / "record.json", {key: getattr(self, key) for key in facts} | more)

    @classmethod
    def load(cls, folder: Path) -> Record:
        """Reads a record, which may come from anywhere.

        Raises:
            UserError: Where the folder holds none, a file of it is damaged or larger than a record's, or its decisions
                cannot be counted.
        """
        facts = read_facts(folder)
        if "accounts" in facts:  # published under this name
            facts["budgets"] = facts.pop("accounts")
        try:
            study = read_yaml(folder / "study.yaml")
            results, curves = (read_table(folder, name) for name in ("results", "curves"))
            more = {
                name: read_table(folder, name) if (folder / f"{name}.parquet").exists() else pd.DataFrame()
                for name in MORE_TABLES
            }
            published = read_paper_numbers(folder / PAPER_NUMBERS)
            record = cls(study=study, results=results, curves=curves, published=published, **more, **facts)
        except (OSError, ValueError, TypeError) as error:
            raise UserError(f"The record in {folder} is damaged: {error}") from None
        try:
            check_decisions(record.predictions, record.rows, record.tasks)
        except UserError as error:
            raise UserError(f"{folder}: {error}") from None
        return record


def scores_of(workspace: Workspace, name: str) -> Record:
    """The scores of a study and the facts that its verdicts need, without reading a prompt.

    Raises:
        UserError: Where the workspace has no such study.
    """
    config = workspace.study_config(name)
    study = portable(parse_yaml(to_yaml(config, brief=True), name))
    index = ordered_index(workspace, name)
    done = [entry for entry in index if workspace.artifact(entry["id"]).status == "done"]
    return Record(
        name,
        config.title,
        study,
        results_table(workspace, name),
        pd.DataFrame(),
        clusterings=_task_counts(workspace, config, done),
        tasks=[
            {"name": entry["task"], "samples": split_samples(workspace.artifact(entry["id"]))}
            for entry in done
            if entry["kind"] == "split"
        ],
        cells=asked_cells(config),
        labels=_labels(workspace, done),
        published=read_paper_numbers(workspace.study_folder(name) / PAPER_NUMBERS),
    )


def record_of(workspace: Workspace, name: str) -> Record:
    """Collects what a workspace knows of a study, finished or not.

    Raises:
        UserError: Where the workspace has no such study.
    """
    config = workspace.study_config(name)
    index = ordered_index(workspace, name)
    done = [entry for entry in index if workspace.artifact(entry["id"]).finished]
    texts = next((workspace.artifact(entry["id"]).summary for entry in done if entry["kind"] == "texts"), {})
    stages = [workspace.artifact(e["id"]).stage for e in done if e["kind"] in ("fewshot", "baseline")]
    # Baselines without the language model count only if there are no other scores.
    manifests = [{**s["manifest"], "dtype": dtype} for s in stages if (dtype := s["inputs"].get("dtype"))]
    manifests = manifests or [stage["manifest"] for stage in stages]
    models = models_used(workspace, config, done)
    cut = {share.of: share.as_dict() for share in read_cut_texts(workspace, config)}
    predictions, rows = recorded_decisions(workspace, config, [e["task"] for e in done if e["kind"] == "split"])
    tasks = task_facts(workspace, config, done)
    return Record(
        name=name,
        title=config.title,
        study=portable(parse_yaml(to_yaml(config, brief=True), name)),
        results=results_table(workspace, name),
        curves=curves_table(workspace, name),
        budgets=method_budgets(workspace, config),
        clusterings=_clusterings(workspace, config, done),
        texts={key: texts[key] for key in ("kept", "dropped", "held_out_rows", "leaks_by_task") if key in texts}
        | ({"cut": cut[None]} if None in cut else {})
        | ({"made": made} if (made := made_of_texts(workspace, done)) else {}),
        tasks=[{**task, **({"cut": cut[task["name"]]} if task["name"] in cut else {})} for task in tasks],
        manifest=_one_manifest(manifests) | ({"models": models} if models else {}),
        cells=asked_cells(config),
        overlaps=task_overlaps(
            {e["task"]: workspace.artifact(e["id"]).table("rows") for e in done if e["kind"] == "split"}
        ).to_dict(orient="records"),
        efficiency=efficiency_table(workspace, name) if config.evaluation.more_shots else pd.DataFrame(),
        agreement=agreement_of(workspace, done),
        screenings=screenings_of(workspace, done),
        published=read_paper_numbers(workspace.study_folder(name) / PAPER_NUMBERS),
        labels=_labels(workspace, done),
        predictions=predictions,
        rows=rows,
    )


def _labels(workspace: Workspace, done: list[IndexEntry]) -> dict[str, Any]:
    """Summary of the labelling stage; empty without one."""
    return next((workspace.artifact(entry["id"]).summary for entry in done if entry["kind"] == "labels"), {})


def _task_counts(workspace: Workspace, config: StudyConfig, done: list[IndexEntry]) -> list[dict[str, Any]]:
    """Name and number of auxiliary tasks of each clustering."""
    counts = {
        entry["clustering"]: workspace.artifact(entry["id"]).summary.get("tasks")
        for entry in done
        if entry["kind"] == "tasks" and isinstance(entry.get("clustering"), str)
    }
    return [{"name": clustering.name, "tasks": counts.get(clustering.name)} for clustering in config.clusterings]


def asked_cells(config: StudyConfig) -> int:
    """Scores that a study asks for; a baseline without initialisation has one for each data seed."""
    evaluation = config.evaluation
    units = len(config.methods) * len(evaluation.pairs)
    units += sum(len(evaluation.pairs if is_seeded(config, b) else evaluation.data_seeds) for b in config.baselines)
    return units * len(evaluation.tasks)


def _clusterings(workspace: Workspace, config: StudyConfig, done: list[IndexEntry]) -> list[dict[str, Any]]:
    records = []
    # Quality and what methods gained; NaN if unknown.
    beside = clustering_quality(workspace, config).set_index("clustering")
    for clustering in config.clusterings:
        summaries = {
            e["kind"]: workspace.artifact(e["id"]).summary for e in done if e.get("clustering") == clustering.name
        }
        clusters, tasks = summaries.get("clusters", {}), summaries.get("tasks", {})
        records.append(
            {
                "name": clustering.name,
                "algorithm": clustering.algorithm,
                "n_clusters": len(clusters.get("clusters", [])),
                "sizes": [cluster["rows"] for cluster in clusters.get("clusters", [])],
                "names": [cluster["name"] for cluster in clusters.get("clusters", [])],
                "outliers": clusters.get("outliers"),
                **{key: clusters[key] for key in ("moved", "fit") if clusters.get(key)},
                "quality": {k: v for k, v in (clusters.get("quality") or {}).items() if k != "sizes"},
                "agreement": clusters.get("agreement"),
                "tasks": tasks.get("tasks"),
                **{
                    key: None
                    if clustering.name not in beside.index or pd.isna(value := beside[key][clustering.name])
                    else float(value)
                    for key in ("stability", "label_information", "gain", "start_gain")
                },
            }
        )
    return records


def _one_manifest(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    """The manifest of most scores, with a note if there are several."""
    if not manifests:
        return {}
    written = [json.dumps(manifest, sort_keys=True) for manifest in manifests]
    most = max(dict.fromkeys(written), key=written.count)
    others = len(written) - written.count(most)
    return {**json.loads(most), **({"artifacts_made_otherwise": others} if others else {})}
