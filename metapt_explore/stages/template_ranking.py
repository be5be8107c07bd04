"""Templates and label words of a task, ranked on its few-shot training rows without a prompt; on request."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from metapt_explore.config import LabelsConfig, TaskConfig
from metapt_explore.config.label_values import words_key
from metapt_explore.errors import UserError
from metapt_explore.stages.base import Pipeline, Stage
from metapt_explore.stages.split import Split
from metapt_explore.storage.artifact import Artifact, ArtifactWriter
from metapt_explore.storage.studies import Subject
from metapt_explore.texts.rows import TextInput, as_inputs, duplicate_key


@dataclass(frozen=True, eq=False)
class TemplateRanking(Stage):
    """Candidates ranked on the training rows of every data seed; dev and test rows have no part in it.

    Attributes:
        task: The task.
        file: A YAML file of templates and words; the task's own and a small menu when None.
    """

    kind = "template_ranking"
    needs = "model"
    part = "request"

    task: TaskConfig
    file: str | Path | None = None

    @classmethod
    def asked(cls, pipeline: Pipeline, init_seeds: Collection[int]) -> Iterator[TemplateRanking]:
        """Of every task."""
        for task in pipeline.tasks.values():
            yield cls(pipeline, task)

    @classmethod
    def requested(cls, pipeline: Pipeline, task: str, candidates: str | Path | None = None) -> TemplateRanking:
        """Of a task by its name."""
        return cls(pipeline, pipeline.task(task), candidates)

    @cached_property
    def candidates(self) -> list[LabelsConfig]:
        """What is ranked."""
        from metapt_explore.fewshot.template_candidates import file_candidates, menu_candidates

        if self.file is not None:
            return list(file_candidates(self.task, Path(self.file)))
        return list(menu_candidates(self.task, self.pipeline.model.family))

    @property
    def key(self) -> str:
        """See `Stage.key`."""
        return f"template_ranking/{self.task.name}"

    @property
    def title(self) -> str:
        """See `Stage.title`."""
        return f"templates and label words of {self.task.name}"

    def subject(self) -> Subject:
        """The task."""
        return {"task": self.task.name}

    @cached_property
    def parents(self) -> Mapping[str, Stage | Artifact]:
        """The few-shot rows."""
        return {"split": Split(self.pipeline, self.task)}

    @property
    def _whole_vocabulary(self) -> bool:
        return self.study.verbalizer.decode == "whole_vocabulary"

    def config(self) -> dict[str, Any]:
        """The candidates, and how they are read."""
        return {
            "candidates": [[candidate.template, words_key(candidate)] for candidate in self.candidates],
            "placement": self.pipeline.model.placement,
            "data_seeds": self.study.evaluation.data_seeds,
            "decode": self.study.verbalizer.decode,
        }

    @property
    def text_limit(self) -> int | None:
        """The task's own, where it has one."""
        return self.task.max_tokens

    @property
    def units(self) -> int:
        """Candidates."""
        return len(self.candidates)

    def compute(self, out: ArtifactWriter) -> None:
        """Reads the rows with each candidate."""
        from metapt_explore.fewshot.scoring import LabelledTexts
        from metapt_explore.fewshot.template_ranking import rank_templates

        training = training_rows(self.parent("split"), self.task, self.study.evaluation.data_seeds)
        rows_by_seed = {seed: LabelledTexts(texts, training.labels[seed]) for seed, texts in training.texts.items()}
        records = rank_templates(
            self.backbone(),
            self.candidates,
            rows_by_seed,
            whole_vocabulary=self._whole_vocabulary,
            on_candidate=self.advance,
        )
        rows = {row for texts in training.texts.values() for row in texts}
        counts = {"rows": len(rows), "also_dev": training.also_dev, "dropped_as_test": training.also_test}
        out.write_summary({"task": self.task.name, **counts, "ranking": records})


@dataclass(frozen=True)
class TrainingRows:
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


def training_rows(split: Artifact, task: TaskConfig, data_seeds: Sequence[int]) -> TrainingRows:
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
        rows_of_seed = rows[rows["data_seed"] == seed]
        if rows_of_seed.empty:
            raise UserError(f"Task '{task.name}': every training row of data seed {seed} is a test row as well.")
        texts[seed] = as_inputs(rows_of_seed.drop(columns="key"))
        labels[seed] = [classes[label] for label in rows_of_seed["label"]]
    shared = keys["train"] & keys["test"]
    return TrainingRows(texts, labels, len((keys["train"] - shared) & keys["dev"]), len(shared))
