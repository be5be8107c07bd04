"""The probe as a stage: templates and label words of a task, ranked on its few-shot training rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from metapt_explore.config import LabelsConfig, Placement, StudyConfig, TaskConfig
from metapt_explore.errors import UserError
from metapt_explore.models.backbone import Backbone
from metapt_explore.stages.texts import OnUnits, Recipe
from metapt_explore.storage.artifact import Artifact, ArtifactWriter, Question
from metapt_explore.texts.rows import TextInput, as_inputs, duplicate_key
from metapt_explore.verbalizers.pattern import words_key


def probe_recipe(
    study: StudyConfig,
    task: TaskConfig,
    candidates: Sequence[LabelsConfig],
    split: Artifact,
    model: dict[str, Any],
    placement: Placement,
    backbone: Callable[[], Backbone],
    on_units: OnUnits,
) -> Recipe:
    """Candidates ranked on the training rows of every data seed; the dev and test splits are not."""
    whole_vocabulary = study.verbalizer.decode == "whole_vocabulary"
    config: dict[str, Any] = {
        "candidates": [[candidate.template, words_key(candidate)] for candidate in candidates],
        "placement": placement,
        "data_seeds": study.evaluation.data_seeds,
    }
    if whole_vocabulary:
        config["decode"] = study.verbalizer.decode
    stage = Question("probe", f"templates and label words of {task.name}", 1, config, {"split": split.id}, model)

    def compute(out: ArtifactWriter) -> None:
        from metapt_explore.fewshot.scoring import Split
        from metapt_explore.fewshot.template_ranking import rank_templates

        found = training_rows(split, task, study.evaluation.data_seeds)
        splits = {seed: Split(texts, found.labels[seed]) for seed, texts in found.texts.items()}
        records = rank_templates(
            backbone(), candidates, splits, whole_vocabulary=whole_vocabulary, on_candidate=on_units
        )
        rows = {row for own in found.texts.values() for row in own}
        counts = {"rows": len(rows), "also_dev": found.also_dev, "dropped_as_test": found.also_test}
        out.write_summary({"task": task.name, **counts, "ranking": records})

    return stage, compute


@dataclass(frozen=True)
class SeedTrainingRows:
    """Training rows of each data seed.

    Attributes:
        texts: Texts, or pairs of texts, of each data seed.
        labels: Their class indices.
        also_dev: Distinct texts among them that are dev rows of another data seed.
        also_test: Distinct texts that were left out because they are test rows as well (published splits may overlap).
    """

    texts: dict[int, list[TextInput]]
    labels: dict[int, list[int]]
    also_dev: int
    also_test: int


def training_rows(split: Artifact, task: TaskConfig, data_seeds: Sequence[int]) -> SeedTrainingRows:
    """Reads the training rows out of few-shot splits; a row that is a test row as well is left out.

    Raises:
        UserError: Where a data seed has no row left.
    """
    rows = split.table("rows")
    rows["key"] = [duplicate_key(text) for text in as_inputs(rows)]
    keys = {part: set(rows.loc[rows["split"] == part, "key"]) for part in ("train", "dev", "test")}
    rows = rows[(rows["split"] == "train") & ~rows["key"].isin(keys["test"])]
    classes = {name: index for index, name in enumerate(task.labels)}
    texts: dict[int, list[TextInput]] = {}
    labels: dict[int, list[int]] = {}
    for seed in data_seeds:
        own = rows[rows["data_seed"] == seed]
        if own.empty:
            raise UserError(f"Task '{task.name}': every training row of data seed {seed} is a test row as well.")
        texts[seed] = as_inputs(own.drop(columns="key"))
        labels[seed] = [classes[label] for label in own["label"]]
    shared = keys["train"] & keys["test"]
    return SeedTrainingRows(texts, labels, len((keys["train"] - shared) & keys["dev"]), len(shared))
