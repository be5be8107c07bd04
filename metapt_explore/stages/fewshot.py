"""Few-shot tuning of one prompt on one task, over all data seeds and learning rates."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import pandas as pd

from metapt_explore.config import EvaluationConfig, StudyConfig, TaskConfig, VerbalizerConfig
from metapt_explore.config.label_values import words_key
from metapt_explore.config.task_terms import ALL, study_of
from metapt_explore.cost.count import Reckoning, Work, count_test_rows, seeds_together
from metapt_explore.pretraining.budget import tuning_of
from metapt_explore.stages.base import Pipeline, Stage, called_at, each_shots, listed_at, of_shots, tasks_at
from metapt_explore.stages.begins import begins_settings, choosing_work, start_maker
from metapt_explore.stages.prompt import Prompt
from metapt_explore.stages.split import FewShotRows, Split
from metapt_explore.stages.texts import counted
from metapt_explore.storage.artifact import Artifact, ArtifactWriter
from metapt_explore.storage.studies import Subject


@dataclass(frozen=True, eq=False)
class FewShot(Stage):
    """A score: a prompt, tuned on a task's few-shot rows and measured on its test rows.

    Attributes:
        prompt: The prompt.
        task: The task.
        shots: One of `evaluation.more_shots`; the study's own number when None.
    """

    kind = "fewshot"
    version = 2
    needs = "model"
    part = "scores"
    is_score = True
    keeps_states = True
    #: Whether it is of the methods whose classes are also read by a probe, or of the others.
    by_probe: ClassVar[bool] = False

    prompt: Prompt
    task: TaskConfig
    shots: int | None = None

    @classmethod
    def asked(cls, pipeline: Pipeline, init_seeds: Collection[int]) -> Iterator[FewShot]:
        """Methods on every task, at every number of examples: examples, then tasks, then methods."""
        study = pipeline.config
        methods = [method for method in study.methods if study.reading_of(method).has_probe == cls.by_probe]
        for init_seed in init_seeds:
            for shots in each_shots(pipeline):
                prompts = [Prompt.at(pipeline, method, init_seed, shots) for method in methods]
                for task in tasks_at(pipeline, shots):
                    yield from (cls(pipeline, prompt, task, shots) for prompt in prompts)

    # -------------------------------------------------------------------------------- what it is called

    @property
    def called(self) -> str:
        """The task's name; with the number of examples if it is not the study's own."""
        return called_at(self.task.name, self.shots)

    @property
    def listed_as(self) -> str:
        """See `Stage.listed_as`."""
        return listed_at(self.kind, self.shots)

    @property
    def _key(self) -> str:
        return f"{self.prompt.method.name}/{self.called}/{self.prompt.init_seed}"

    @property
    def key(self) -> str:
        """See `Stage.key`."""
        return f"fewshot/{self._key}"

    @property
    def title(self) -> str:
        """See `Stage.title`."""
        return f"few-shot {self.called}, {self.prompt.method.name}, initialisation seed {self.prompt.init_seed}"

    @property
    def score(self) -> str:
        """See `Stage.score`."""
        return f"{self.prompt.method.name} on {self.called}"

    def subject(self) -> Subject:
        """Method, task and seed."""
        method, seed = self.prompt.method.name, self.prompt.init_seed
        return of_shots({"method": method, "task": self.task.name, "init_seed": seed}, self.shots)

    # ----------------------------------------------------------------------------- what it depends on

    @property
    def at_shots(self) -> StudyConfig:
        """The study at its number of examples."""
        return study_of(self.study, self.task, self.shots)

    @property
    def evaluation(self) -> EvaluationConfig:
        """How the prompt is tuned, and what is scored."""
        # How many rows `shots: all` has is not known before they are read; a step is taken to be full.
        classes = None if self.task.shots == ALL else len(self.task.labels)
        return tuning_of(self.prompt.method, self.at_shots, classes)

    @property
    def text_limit(self) -> int | None:
        """The task's own, where it has one."""
        return self.task.max_tokens

    @property
    def verbalizer(self) -> VerbalizerConfig:
        """How classes are read."""
        return self.study.reading_of(self.prompt.method)

    @property
    def order_seed(self) -> int | None:
        """Seed of the order of the examples; None if it follows the initialisation seed."""
        tuning = self.prompt.method.tuning
        return None if tuning is None else tuning.order_seed

    @cached_property
    def parents(self) -> Mapping[str, Stage | Artifact]:
        """The few-shot rows and the prompt."""
        return {"split": Split(self.pipeline, self.task, self.shots), "prompt": self.prompt}

    def config(self) -> dict[str, Any]:
        """How the prompt is tuned and read."""
        evaluation = self.evaluation
        keys = ("learning_rates", "halving_steps", "steps", "scored_steps", "batch_size", "select_by", "soup")
        return {
            "template": self.task.template,
            "words": words_key(self.task),
            **{key: getattr(evaluation, key) for key in (*keys, "proximal", "curve_rows", "scored_on")},
            # Test rows are the split's; of other seeds' rows there are so many.
            "scored_rows": evaluation.test_rows if evaluation.scored_on != "test" else None,
            "data_seeds": evaluation.data_seeds_of(self.prompt.init_seed),
            "init_seed": self.prompt.init_seed,
            "order_seed": self.order_seed,
            "seed": self.study.seed,
            "verbalizer": self.verbalizer.model_dump(mode="json"),
            **({"kept_rates": True} if self.prompt.method.keeps_rates else {}),
            **({"tuned_share": self.prompt.method.tuned_share} if self.prompt.method.tuned_share < 1 else {}),
            **begins_settings(self.prompt.method),
        }

    @property
    def units(self) -> int:
        """Tuning steps."""
        return self.evaluation.steps

    @property
    def is_there(self) -> bool:
        """Whether it, and the prompt that it is a score of, is computed and whole."""
        return super().is_there and self.prompt.is_there

    def compute(self, out: ArtifactWriter) -> None:
        """Tunes and scores the prompt."""
        from metapt_explore.fewshot.automatic import tune_with_automatic_words
        from metapt_explore.fewshot.predictions import dev_predictions_table, predictions_table
        from metapt_explore.fewshot.scoring import FewShotData
        from metapt_explore.fewshot.tuning import tune
        from metapt_explore.fewshot.tuning_steps import TuningPlan, step_scale
        from metapt_explore.pretraining.state import TrainingCallbacks

        loaded, verbalizer, evaluation = self.backbone(), self.verbalizer, self.evaluation
        learned = self.parent("prompt").tensors("prompt")
        start = learned["prompt"].to(loaded.device)
        scale = step_scale({name: value.to(loaded.device) for name, value in learned.items()}, self.prompt.method)
        rows = FewShotRows(self.parent("split"), self.task, evaluation, self.prompt.init_seed)
        # Initialisation seeds are not negative, so -1 keeps the two kinds of order apart.
        order = [self.prompt.init_seed] if self.order_seed is None else [-1, self.order_seed]
        where, seeds = f"task {self.task.name}", (self.study.seed, *order)
        data = FewShotData(rows.train, rows.dev, rows.scored)
        starts = start_maker(self.prompt.method, self.parent("prompt"), self.task, where=where, device=loaded.device)
        plan = TuningPlan(evaluation, seeds, verbalizer, scale, starts)
        callbacks = TrainingCallbacks(out.metric, self.advance, self.advance, out)
        if verbalizer.read == "automatic":
            outcome = tune_with_automatic_words(
                start, data, plan, backbone=loaded, labels=self.task, where=where, callbacks=callbacks
            )
        else:
            pattern = loaded.pattern(self.task, where, whole_vocabulary=verbalizer.decode == "whole_vocabulary")
            outcome = tune(start, data, plan, backbone=loaded, pattern=pattern, callbacks=callbacks)
        out.write_table("results", pd.DataFrame(outcome.results))
        out.write_table("curves", pd.DataFrame(outcome.curves))
        out.write_table("predictions", predictions_table(outcome.predictions, rows.scored.labels, rows.numbers))
        out.write_table("dev_predictions", dev_predictions_table(outcome.dev_predictions, rows.dev, rows.dev_numbers))
        out.write_tensors("prompts", {f"data_seed_{seed}": value for seed, value in outcome.prompts.items()})
        if outcome.starts:
            out.write_tensors("starts", {f"data_seed_{seed}": value for seed, value in outcome.starts.items()})
        counts = {"row_passes": outcome.passes, "forward_rows": outcome.forward}
        if outcome.choosing:
            counts["choosing_row_passes"] = outcome.choosing
        out.write_summary({**counts, "test_rows": len(rows.scored.texts)})

    # ------------------------------------------------------------------------------------------- cost

    def work(self, reckoning: Reckoning) -> Work:
        """See `Stage.work`."""
        return self._tuning(reckoning) + self._encoding(reckoning)

    def _sized(self, reckoning: Reckoning) -> StudyConfig:
        return reckoning.at_size(self.shots, self.task)

    def _encoding(self, reckoning: Reckoning) -> Work:
        """Texts whose states are kept: train and dev of every data seed, and test."""
        study = self._sized(reckoning)
        rows = split_rows(study, self.task)
        # At other shots the test rows are the same; few-shot rows are others, in part.
        new = rows if self.shots is None else rows - count_test_rows(study)
        return Work(encoded=reckoning.encoded((self.task.name, self.shots), new))

    def _tuning(self, reckoning: Reckoning) -> Work:
        study = self._sized(reckoning)
        evaluation = tuning_of(self.prompt.method, study, len(self.task.labels))
        seeds, shots = seeds_together(study), evaluation.shots * len(self.task.labels)
        rates, later = evaluation.rates_running, [step for step in evaluation.scored_steps if step]
        tuned = sum(rates) * min(evaluation.batch_size, shots) * seeds
        dev = seeds * (1 + sum(rates[step - 1] for step in later)) * shots
        rows = count_test_rows(study)
        if evaluation.curve_rows is None:
            test = (1 + len(later) * seeds) * rows
        else:
            test = (1 + seeds) * rows + (len(later) - 1) * seeds * min(evaluation.curve_rows, rows)
        soup = seeds * (rows + shots) if evaluation.soup > 1 else 0
        choosing = choosing_work(self.prompt.method, study, seeds * shots)
        return Work(trained=tuned, tuned=tuned, scored=dev + test + soup) + choosing

    @classmethod
    def describe(cls, summary: Mapping[str, Any], config: Mapping[str, Any]) -> str:
        """See `Stage.describe`."""
        row = "test row" if config.get("scored_on", "test") == "test" else "row"
        return f"tuned and scored, {counted(summary.get('test_rows'), row)}"


class Tuning(FewShot):
    """A prompt tuned by label words for a method whose classes are also read by a probe; the list keeps it apart."""

    listed = "tuning"
    is_score = False
    by_probe = True

    @property
    def listed_as(self) -> str:
        """See `Stage.listed_as`."""
        return self.listed

    @property
    def key(self) -> str:
        """See `Stage.key`."""
        return f"tuning/{self._key}"

    @property
    def score(self) -> str:
        """None: the reading beside the probe is the score."""
        return ""

    @property
    def verbalizer(self) -> VerbalizerConfig:
        """By label words."""
        return VerbalizerConfig()

    def work(self, reckoning: Reckoning) -> Work:
        """See `Stage.work`; nothing if a method without a probe tunes the same prompts."""
        return Work() if self._is_tuned_anyway else self._tuning(reckoning)

    def share(self, reckoning: Reckoning) -> float:
        """See `Stage.share`."""
        return 0.0 if self._is_tuned_anyway else super().share(reckoning)

    @property
    def _is_tuned_anyway(self) -> bool:
        study, method = self.study, self.prompt.method
        alike = {"name": method.name, "verbalizer": method.verbalizer}
        plain = [other for other in study.methods if study.reading_of(other) == VerbalizerConfig()]
        return any(other.model_copy(update=alike) == method for other in plain)


def split_rows(study: StudyConfig, task: TaskConfig) -> int:
    """Rows of a task: train and dev of every data seed, and test."""
    evaluation = study.evaluation
    return 2 * evaluation.shots * len(task.labels) * len(evaluation.data_seeds) + count_test_rows(study)
