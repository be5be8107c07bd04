"""The rows of a few-shot evaluation: few-shot examples and dev rows of each data seed, and what is scored."""

from __future__ import annotations

import pandas as pd

from metapt_explore.config import EvaluationConfig, TaskConfig
from metapt_explore.fewshot.samples import other_seeds_rows
from metapt_explore.fewshot.scoring import Split
from metapt_explore.storage.artifact import Artifact
from metapt_explore.texts.rows import as_inputs


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
    """

    def __init__(self, split: Artifact, task: TaskConfig, evaluation: EvaluationConfig, init_seed: int) -> None:
        rows = split.table("rows")
        self._classes = {name: index for index, name in enumerate(task.labels)}
        seeds = evaluation.data_seeds_of(init_seed)
        self.train, self.dev = (
            {seed: self._split(rows[(rows["split"] == name) & (rows["data_seed"] == seed)]) for seed in seeds}
            for name in ("train", "dev")
        )
        scored = rows[rows["split"] == "test"]
        if evaluation.scored_on == "other_seeds":
            scored = other_seeds_rows(rows, seeds, evaluation.test_rows)
        self.scored = self._split(scored)

    def _split(self, chosen: pd.DataFrame) -> Split:
        return Split(as_inputs(chosen), [self._classes[label] for label in chosen["label"]])
