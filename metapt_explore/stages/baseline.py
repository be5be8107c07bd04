"""A baseline on one task, over all data seeds."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd

from metapt_explore import hub
from metapt_explore.config import BaselineConfig, StudyConfig, TaskConfig
from metapt_explore.config.baselines import (
    ClassifierBaseline,
    InstructionSearchBaseline,
    SetFitBaseline,
    StaticEmbeddingsBaseline,
)
from metapt_explore.config.classifier_baselines import class_sentences
from metapt_explore.config.embeddings import timed_encoder
from metapt_explore.config.ensembles import is_seeded
from metapt_explore.config.label_values import words_key
from metapt_explore.config.task_terms import study_of
from metapt_explore.cost.baselines import ENCODER_TOKENS, baseline_tokens
from metapt_explore.cost.count import Reckoning, Work
from metapt_explore.stages.base import Needs, Pipeline, Stage, called_at, each_shots, listed_at, of_shots, tasks_at
from metapt_explore.stages.baseline_outcome import write_outcome
from metapt_explore.stages.split import Split
from metapt_explore.stages.texts import counted
from metapt_explore.storage.artifact import Artifact, ArtifactWriter
from metapt_explore.storage.studies import Subject
from metapt_explore.texts.rows import as_inputs

if TYPE_CHECKING:
    from metapt_explore.fewshot.scoring import LabelledTexts

#: What runs, as summaries say it.
RUNS = {
    "model": "language model",
    "encoder": "sentence encoder",
    "classifier": "sequence classifier",
    None: "no model",
}


@dataclass(frozen=True, eq=False)
class Baseline(Stage):
    """The scores of a baseline.

    Attributes:
        baseline: Which, and its settings.
        task: The task.
        init_seed: The initialisation seed; None for baselines without initialisation.
        shots: One of `evaluation.more_shots`; the study's own number when None.
    """

    kind = "baseline"
    needs = "model"
    part = "scores"
    is_score = True
    units = 100
    #: Whether it is of the baselines that combine other rows, or of the others.
    combines: ClassVar[bool] = False

    baseline: BaselineConfig
    task: TaskConfig
    init_seed: int | None = None
    shots: int | None = None

    @classmethod
    def asked(cls, pipeline: Pipeline, init_seeds: Collection[int]) -> Iterator[Baseline]:
        """Every baseline on every task at every number of examples; those without initialisation once."""
        for shots in each_shots(pipeline):
            for baseline in [each for each in pipeline.config.baselines if each.combines == cls.combines]:
                for task in tasks_at(pipeline, shots):
                    for init_seed in init_seeds if is_seeded(pipeline.config, baseline) else (None,):
                        yield cls(pipeline, baseline, task, init_seed, shots)

    @property
    def called(self) -> str:
        """The task's name; with the number of examples if it is not the study's own."""
        return called_at(self.task.name, self.shots)

    @property
    def listed_as(self) -> str:
        """See `Stage.listed_as`."""
        return listed_at(self.kind, self.shots)

    @property
    def at_shots(self) -> StudyConfig:
        """The study as the task has it, with the encoder that the baseline runs."""
        study = study_of(self.study, self.task, self.shots)
        return study.model_copy(update={"encoder": self.baseline.encoder_in(study.encoder)})

    @property
    def text_limit(self) -> int | None:
        """The task's own, where it has one."""
        return self.task.max_tokens

    @property
    def uses(self) -> Needs:
        """The model that the baseline runs."""
        return "encoder" if self.baseline.runs == "classifier" else self.baseline.runs or "nothing"

    @property
    def key(self) -> str:
        """See `Stage.key`; ``baseline/model/…`` where it runs the language model."""
        of_seed = "" if self.init_seed is None else f"/{self.init_seed}"
        return f"baseline/{self.baseline.runs or 'none'}/{self.baseline.name}/{self.called}{of_seed}"

    @property
    def title(self) -> str:
        """See `Stage.title`."""
        of_seed = "" if self.init_seed is None else f", initialisation seed {self.init_seed}"
        return f"baseline {self.baseline.name} on {self.called}{of_seed}"

    @property
    def score(self) -> str:
        """See `Stage.score`."""
        return f"{self.baseline.name} on {self.called}"

    def subject(self) -> Subject:
        """Baseline, task, and seed where it has one."""
        subject: Subject = {"method": self.baseline.name, "task": self.task.name}
        return of_shots(subject if self.init_seed is None else {**subject, "init_seed": self.init_seed}, self.shots)

    @cached_property
    def parents(self) -> Mapping[str, Stage | Artifact]:
        """The few-shot rows."""
        return {"split": Split(self.pipeline, self.task, self.shots)}

    @property
    def _options(self) -> dict[str, Any]:
        return dict(self.baseline.options_in(self.at_shots.evaluation))

    @property
    def _runs(self) -> str:
        """What runs, as its summary says it; a model of the baseline's own by its name."""
        if isinstance(self.baseline, StaticEmbeddingsBaseline):
            return f"static embeddings {self.baseline.model}"
        own = self.study.encoder.name if self.baseline.runs in ("model", None) else self.at_shots.encoder.name
        return RUNS[self.baseline.runs] + (f" {own}" if own != self.study.encoder.name else "")

    @property
    def _data_seeds(self) -> list[int]:
        evaluation = self.at_shots.evaluation
        return evaluation.data_seeds if self.init_seed is None else evaluation.data_seeds_of(self.init_seed)

    def config(self) -> dict[str, Any]:
        """The baseline's settings, and those of the study that it goes by."""
        study, baseline, options = self.at_shots, self.baseline, self._options
        evaluation, verbalizer = study.evaluation, study.verbalizer
        config: dict[str, Any] = {
            "kind": baseline.kind,
            **options,
            "classes": list(self.task.labels),
            "data_seeds": self._data_seeds,
            "select_by": evaluation.baselines_select_by,
        }
        if self.init_seed is not None:
            config |= {"init_seed": self.init_seed, "seed": study.seed}
        if baseline.reads_words:
            config |= {"template": self.task.template, "words": words_key(self.task), "decode": verbalizer.decode}
            if "content_free" in (options.get("calibration"), verbalizer.calibration):
                config["content_free"] = verbalizer.content_free
            if "steps" in options:
                config["calibration"] = verbalizer.calibration
                config["scored_steps"] = evaluation.of_baseline(options).scored_steps
        if isinstance(baseline, InstructionSearchBaseline):
            from metapt_explore.fewshot.template_candidates import menu_candidates

            tried = menu_candidates(self.task, self.pipeline.model.family)
            config["candidates"] = [[candidate.template, words_key(candidate)] for candidate in tried]
            del config["decode"]  # label words compete with one another, whatever the study says
        if isinstance(baseline, ClassifierBaseline):
            config["sentences"] = class_sentences(baseline.hypothesis, self.task)
            if baseline.calibration == "content_free":
                config["content_free"] = verbalizer.content_free
        if baseline.runs == "encoder":
            from metapt_explore.models.folder import model_folder
            from metapt_explore.models.pooling import read_pooling

            encoder = study.encoder
            pooling = read_pooling(model_folder(encoder.name, encoder.revision, hub.ENCODER), encoder.name)
            settings = {"max_tokens": encoder.max_tokens, "batch_size": encoder.batch_size}
            config["encoder"] = settings | pooling.unusual
        return config

    def inputs(self) -> dict[str, Any]:
        """The model that it runs."""
        from metapt_explore.models.folder import content_hash, model_folder

        if isinstance(self.baseline, StaticEmbeddingsBaseline):
            return {"static_model": content_hash(model_folder(self.baseline.model, kind=hub.STATIC))}
        if self.baseline.runs in ("model", None):
            return super().inputs()
        encoder, device = self.at_shots.encoder, self.pipeline.model.device
        kind = hub.CLASSIFIER if self.baseline.runs == "classifier" else hub.ENCODER
        folder = model_folder(encoder.name, encoder.revision, kind)
        inputs = {kind.title: content_hash(folder), "device": device.split(":")[0]}
        if isinstance(self.baseline, SetFitBaseline):  # its package trains in the number format of the files
            inputs["training_dtype"] = self.pipeline.model.auto_dtype()
        return inputs

    def compute(self, out: ArtifactWriter) -> None:
        """Runs the baseline and measures what it says of the test rows."""
        from metapt_explore.baselines.inputs import BaselineInputs, OutcomeCheckpoint
        from metapt_explore.baselines.registry import package_version, run_of
        from metapt_explore.fewshot.predictions import RowScores, dev_predictions_table, predictions_table
        from metapt_explore.fewshot.scoring import LabelledTexts
        from metapt_explore.storage.peak_memory import PeakWatch

        rows = self.parent("split").table("rows")
        classes = {name: index for index, name in enumerate(self.task.labels)}

        def part(name: str, seed: int | None = None) -> LabelledTexts:
            chosen = rows[(rows["split"] == name) & ((rows["data_seed"] == seed) if seed is not None else True)]
            return LabelledTexts(as_inputs(chosen), [classes[label] for label in chosen["label"]])

        done = 0

        def on_share(share: float) -> None:
            nonlocal done
            done = int(share * self.units)
            self.advance(done)

        checkpoint = OutcomeCheckpoint(out)
        of_inputs = {key: getattr(self.baseline, key) for key in self.baseline.of_inputs}
        train, dev = ({seed: part(name, seed) for seed in self._data_seeds} for name in ("train", "dev"))
        test = part("test")
        baseline_inputs = BaselineInputs(
            self.at_shots,
            self.task,
            self._options | of_inputs,
            self.init_seed,
            train,
            dev,
            test.texts,
            self.backbone,
            self.pipeline.model.device,
            on_share,
            lambda: self.advance(done),
            checkpoint.save,
            checkpoint.restore,
        )
        before, began = out.seconds, time.monotonic()
        with PeakWatch() as watch:
            outcome = run_of(self.baseline)(baseline_inputs)
        said = {seed: RowScores.of(scored.scores, outcome.verbalizer) for seed, scored in outcome.seeds.items()}
        numbers = rows.index[rows["split"] == "test"].tolist()
        out.write_table("predictions", predictions_table(said, test.labels, numbers))
        on_dev = {s: RowScores.of(x.dev, outcome.verbalizer) for s, x in outcome.seeds.items() if x.dev is not None}
        if len(on_dev) == len(outcome.seeds):
            of_dev = rows[rows["split"] == "dev"]
            places = {seed: of_dev.index[of_dev["data_seed"] == seed].tolist() for seed in on_dev}
            out.write_table("dev_predictions", dev_predictions_table(on_dev, dev, places))
        write_outcome(out, outcome, test, runs=self._runs, package=package_version(self.baseline))
        spent = {"seconds": before + time.monotonic() - began, "peak_mib": watch.peak}
        out.write_table("telemetry", pd.DataFrame([spent]))

    @classmethod
    def describe(cls, summary: Mapping[str, Any], config: Mapping[str, Any]) -> str:
        """See `Stage.describe`: what ran, by which package, on how many rows."""
        return ", ".join(
            filter(None, [summary.get("runs"), summary.get("package"), counted(summary.get("test_rows"), "test row")])
        )

    def work(self, reckoning: Reckoning) -> Work:
        """See `Stage.work`."""
        if self.baseline.runs is None:
            return Work()
        study = reckoning.at_size(self.shots, self.task)
        by_model = self.baseline.runs == "model"
        tokens = baseline_tokens(
            study,
            self.baseline,
            self.task,
            text_tokens=reckoning.text_tokens if by_model else ENCODER_TOKENS,
            init_seed=self.init_seed,
        )
        from metapt_explore.cost.speeds import encoder_factor

        # A baseline's rows go through the whole model, trained ones backward as well.
        if by_model:
            return reckoning.whole_texts(tokens / reckoning.text_tokens)
        return Work(embedded=round(tokens * encoder_factor(self.baseline, timed_encoder(self.study))))
