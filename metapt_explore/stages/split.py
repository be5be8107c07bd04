"""Few-shot rows of a downstream task: the same test rows, and train and dev rows for each data seed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from metapt_explore.config import EvaluationConfig, StudyConfig, TaskConfig
from metapt_explore.config.task_terms import ALL, evaluation_of
from metapt_explore.errors import UserError
from metapt_explore.fewshot.samples import other_seeds_rows
from metapt_explore.stages.base import Pipeline, Stage, called_at, each_shots, listed_at, of_shots, tasks_at
from metapt_explore.storage.artifact import Artifact, ArtifactWriter
from metapt_explore.storage.studies import Subject
from metapt_explore.texts.rows import as_inputs

if TYPE_CHECKING:
    from metapt_explore.fewshot.scoring import LabelledTexts
    from metapt_explore.fewshot.split_rows import Row
    from metapt_explore.fewshot.splits import Splits


@dataclass(frozen=True, eq=False)
class Split(Stage):
    """Few-shot splits of a task.

    Attributes:
        task: The task.
        shots: One of `evaluation.more_shots`; the study's own number when None.
    """

    kind = "split"
    version = 2
    part = "texts"
    least_work = 500.0
    finds_recorded = True

    task: TaskConfig
    shots: int | None = None

    @classmethod
    def asked(cls, pipeline: Pipeline, init_seeds: Collection[int]) -> Iterator[Split]:
        """Of every task, at every number of examples."""
        for shots in each_shots(pipeline):
            for task in tasks_at(pipeline, shots):
                yield cls(pipeline, task, shots)

    @property
    def called(self) -> str:
        """The task's name; with the number of examples if it is not the study's own."""
        return called_at(self.task.name, self.shots)

    @property
    def listed_as(self) -> str:
        """See `Stage.listed_as`."""
        return listed_at(self.kind, self.shots)

    @property
    def key(self) -> str:
        """See `Stage.key`."""
        return f"split/{self.called}"

    @property
    def title(self) -> str:
        """See `Stage.title`."""
        return f"few-shot rows of {self.called}"

    def subject(self) -> Subject:
        """The task."""
        return of_shots({"task": self.task.name}, self.shots)

    def config(self) -> dict[str, Any]:
        """Settings of the splits, without the content of their files."""
        evaluation, all_rows = evaluation_of(self.study, self.task, self.shots), self.task.shots == ALL
        return {
            "name": self.task.name,
            # Label words do not change the rows; only the values that tell classes apart do.
            "labels": {name: label.value for name, label in self.task.labels.items()},
            "columns": [source.columns.model_dump(mode="json") for source in self.task.sources],
            **({"keeps_groups": True} if any(source.columns.group for source in self.task.sources) else {}),
            "shots": ALL if all_rows else evaluation.shots,
            **({"dev_share": self.task.dev_share} if self.task.dev_share is not None else {}),
            "data_seeds": evaluation.data_seeds,
            "test_rows": evaluation.test_rows,
            "shuffle_labels": evaluation.shuffle_labels,
            "seed": self.study.seed,
        }

    def inputs(self) -> dict[str, Any]:
        """Hashes of the task's files.

        Raises:
            UserError: Where one cannot be read; it names what could be read instead.
        """
        from metapt_explore.texts.sources import source_fingerprint

        hashes = []
        for source in self.task.sources:
            by_seed = "{seed}" in (source.file or "")
            for seed in self.study.evaluation.data_seeds if by_seed else [None]:
                file = source.file.replace("{seed}", str(seed)) if source.file and by_seed else source.file
                try:
                    hashes.append(source_fingerprint(source.model_copy(update={"file": file})))
                except UserError as error:
                    if self.task.instead_of is None:
                        raise
                    hint = self.task.instead_of.removeprefix("{data}/")
                    raise UserError(
                        f"Task '{self.task.name}': {error} Or set METAPT_DATA to the folder that holds {hint}."
                    ) from None
        return {"sources": hashes}

    def compute(self, out: ArtifactWriter) -> None:
        """Draws the rows."""
        from metapt_explore.fewshot.samples import sample_facts

        splits, table = drawn_rows(self.study, self.task, self.shots)
        out.write_table("rows", table)
        sizes = {"test": len(splits.test), "train": len(next(iter(splits.train.values())))}
        out.write_summary(
            {
                "sizes": sizes,
                "dropped": splits.dropped,
                "warnings": splits.warnings,
                "checksums": splits.checksums,
                "samples": sample_facts(table),
            }
        )

    @classmethod
    def describe(cls, summary: Mapping[str, Any], config: Mapping[str, Any]) -> str:
        """See `Stage.describe`."""
        sizes = summary.get("sizes", {})
        return f"{config.get('name')}: {sizes.get('train')} train rows a data seed, {sizes.get('test')} test rows"


def drawn_rows(study: StudyConfig, task: TaskConfig, shots: int | None = None) -> tuple[Splits, pd.DataFrame]:
    """Draws the few-shot rows of a task: the splits, and the table ``rows`` that is kept of them.

    Args:
        study: Seeds and sizes.
        task: The task.
        shots: See `Split`.
    """
    from metapt_explore.fewshot.split_rows import with_groups
    from metapt_explore.fewshot.splits import make_splits
    from metapt_explore.seeds import stream

    seed, evaluation = study.seed, evaluation_of(study, task, shots)
    each = ALL if task.shots == ALL else evaluation.shots
    splits = make_splits(task, each, evaluation.data_seeds, test_rows=evaluation.test_rows, seed=seed)
    test = splits.test.to_pandas()
    of_test = as_inputs(test) if task.pairs else test["text"].tolist()
    parts: list[tuple[str, int | None, list[Row]]] = [
        ("test", None, list(zip(of_test, test["label"].tolist(), strict=True)))
    ]
    parts += [("train", data_seed, rows) for data_seed, rows in splits.train.rows.items()]
    parts += [("dev", data_seed, rows) for data_seed, rows in splits.dev.rows.items()]
    # One table of all parts: a hundred data seeds are two hundred of them.
    columns: dict[str, list[Any]] = {"split": [], "data_seed": [], "text": [], "text_pair": [], "label": []}
    for part, part_seed, rows in parts:
        labels = [label for _, label in rows]
        if evaluation.shuffle_labels:
            order = stream(seed, "shuffled_labels", task.name, part, part_seed or 0).permutation(len(rows))
            labels = [labels[place] for place in order]
        columns["split"] += [part] * len(rows)
        columns["data_seed"] += [part_seed] * len(rows)
        columns["text"] += [text[0] if task.pairs else text for text, _ in rows]
        columns["text_pair"] += [text[1] for text, _ in rows] if task.pairs else []
        columns["label"] += labels
    table = pd.DataFrame({name: values for name, values in columns.items() if name != "text_pair" or task.pairs})
    table["data_seed"] = pd.array(columns["data_seed"], dtype="Int64")
    return splits, with_groups(table, task, evaluation.data_seeds)


class FewShotRows:
    """Rows of a task for the data seeds that go with an initialisation seed.

    Args:
        split: The task's `split` artifact.
        task: The task.
        evaluation: Which data seeds, and what is scored.
        init_seed: The initialisation seed.

    Attributes:
        train: The few-shot examples of each data seed.
        dev: As many held-out examples for choosing.
        scored: Test rows, or dev rows of other data seeds (`evaluation.scored_on`).
        numbers: Places of the scored rows in the table ``rows``.
        dev_numbers: Places of the dev rows of each data seed.
    """

    def __init__(self, split: Artifact, task: TaskConfig, evaluation: EvaluationConfig, init_seed: int) -> None:
        rows = split.table("rows")
        self._classes = {name: index for index, name in enumerate(task.labels)}
        seeds = evaluation.data_seeds_of(init_seed)
        self.train, self.dev = (
            {seed: self._rows(rows[(rows["split"] == name) & (rows["data_seed"] == seed)]) for seed in seeds}
            for name in ("train", "dev")
        )
        self.dev_numbers = {
            seed: rows.index[(rows["split"] == "dev") & (rows["data_seed"] == seed)].tolist() for seed in seeds
        }
        scored = rows[rows["split"] == "test"]
        if evaluation.scored_on == "other_seeds":
            scored = other_seeds_rows(rows, seeds, evaluation.test_rows)
        self.scored, self.numbers = self._rows(scored), [int(number) for number in scored.index]

    def _rows(self, chosen: pd.DataFrame) -> LabelledTexts:
        from metapt_explore.fewshot.scoring import LabelledTexts

        return LabelledTexts(as_inputs(chosen), [self._classes[label] for label in chosen["label"]])
