"""The prompt of a method and initialisation seed: its start for PT, a complete pre-training otherwise."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from metapt_explore.config import ClusterTasksMethod, MetaPTMethod, MethodConfig, PretrainedMethod, StudyConfig
from metapt_explore.config.label_values import words_key
from metapt_explore.config.support import pretrained_at
from metapt_explore.cost.count import Reckoning, Work
from metapt_explore.cost.pretraining import pretraining_work
from metapt_explore.pretraining.budget import outer_steps
from metapt_explore.stages.base import Pipeline, Stage, called_at, listed_at, of_shots
from metapt_explore.stages.clusters import Clusters
from metapt_explore.stages.format_rows import rows_stage
from metapt_explore.stages.labels import Labels, row_classes
from metapt_explore.stages.prompt_init import FoundInit, find_init
from metapt_explore.stages.steps import Listed, Step
from metapt_explore.stages.task_patterns import format_settings, read_patterns
from metapt_explore.stages.task_subset import tasks_of
from metapt_explore.stages.texts import counted
from metapt_explore.stages.topics import check_topics, make_topics, topic_labels, topic_parents, topic_settings
from metapt_explore.storage.artifact import Artifact, ArtifactWriter
from metapt_explore.storage.studies import Subject
from metapt_explore.texts.rows import as_inputs

if TYPE_CHECKING:
    from torch import Tensor

    from metapt_explore.models.backbone import Backbone


#: Shared settings that enter the id where they matter: by themselves, or where they differ from the default.
APART = {"checkpoint_every", "inner_lr", "inner_optimiser", "average_last", "budget", "outer_schedule", "warmup"}


#: Settings of a meta-learner that enter the id where they matter.
INNER = {"inner_optimiser", "inner_rows", "adapted", "rates"}


@dataclass(frozen=True, eq=False)
class Prompt(Stage):
    """A prompt before it meets a downstream task.

    Attributes:
        method: The method.
        init_seed: The initialisation seed.
        shots: One of `evaluation.more_shots` whose pre-training is its own; see `pretrained_at`.
    """

    kind = "prompt"
    version = 2
    needs = "model"
    part = "prompts"
    keeps_states = True

    method: MethodConfig
    init_seed: int
    shots: int | None = None

    @classmethod
    def asked(cls, pipeline: Pipeline, init_seeds: Collection[int]) -> Iterator[Prompt]:
        """Of every method, at every number of examples that it is pre-trained for."""
        for init_seed in init_seeds:
            for method in pipeline.config.methods:
                for shots in pretrained_at(pipeline.config, method):
                    yield cls(pipeline, method, init_seed, shots)

    @classmethod
    def at(cls, pipeline: Pipeline, method: MethodConfig, init_seed: int, shots: int | None) -> Prompt:
        """The one that is tuned on a number of examples."""
        return cls(pipeline, method, init_seed, shots if shots in pretrained_at(pipeline.config, method) else None)

    @property
    def study(self) -> StudyConfig:
        """The study at its number of examples."""
        return self.pipeline.config.at_shots(self.shots)

    @property
    def listed_as(self) -> str:
        """See `Stage.listed_as`."""
        return listed_at(self.listed or self.kind, self.shots)

    @property
    def is_pretrained(self) -> bool:
        """Whether texts are behind it."""
        return self.method.pretrained

    @property
    def key(self) -> str:
        """See `Stage.key`."""
        return f"prompt/{called_at(self.method.name, self.shots)}/{self.init_seed}"

    @property
    def title(self) -> str:
        """See `Stage.title`."""
        return f"prompt of {called_at(self.method.name, self.shots)}, initialisation seed {self.init_seed}"

    def subject(self) -> Subject:
        """Method and seed."""
        return of_shots({"method": self.method.name, "init_seed": self.init_seed}, self.shots)

    @cached_property
    def init(self) -> FoundInit:
        """What it begins from."""
        return find_init(self.study, self.method, self.pipeline.workspace, model=self.pipeline.model.identity["model"])

    @property
    def topics(self) -> list[Clusters]:
        """The clusterings of its topic tasks."""
        topics = self.method.topic_tasks
        names = topics.clusterings if topics is not None else ()
        return [Clusters(self.pipeline, name) for name in names]

    @cached_property
    def parents(self) -> Mapping[str, Stage | Artifact]:
        """What its initial prompt comes from; of a pre-trained one texts, labels, tasks and topics."""
        parents: dict[str, Stage | Artifact] = dict(self.init.parents)
        if not self.is_pretrained:
            return parents
        parents |= {"texts": rows_stage(self.pipeline), "tasks": tasks_of(self.pipeline, self.method)}
        if self.study.labelling is not None and not self.study.auxiliary_tasks.formats:
            parents["labels"] = Labels(self.pipeline)
        return {**parents, **topic_parents(self.topics)}

    def config(self) -> dict[str, Any]:
        """Settings of the pre-training."""
        study, method = self.study, self.method
        config: dict[str, Any] = {
            "kind": method.kind,
            "init_seed": self.init_seed,
            "seed": study.seed,
            "length": study.prompt.length,
            "placement": self.pipeline.model.placement,
            "init": self.init.config,
        }
        if not isinstance(method, PretrainedMethod):
            return config
        if isinstance(method, ClusterTasksMethod) and not isinstance(method, MetaPTMethod):
            config["learner"] = method.learner
        sizes = study.pretraining_of(method)
        config |= {
            **sizes.model_dump(mode="json", exclude={*APART, "support_shots"}),
            "average_last": sizes.average_last,
            "template": study.auxiliary_tasks.template,
            "words": words_key(study.auxiliary_tasks),
            "classes": study.auxiliary_tasks.classes,
            "decode": study.verbalizer.decode,
            **format_settings(study.auxiliary_tasks),
        }
        if (sizes.outer_schedule, sizes.warmup) != ("constant", 0.0):
            config |= sizes.model_dump(mode="json", include={"outer_schedule", "warmup"})
        # Pooled pre-training has no inner step: its answer does not depend on the inner rate.
        if isinstance(method, MetaPTMethod):
            config |= {
                **method.model_dump(mode="json", exclude={*PretrainedMethod.model_fields, *INNER}),
                "inner_lr": sizes.inner_lr,
                "outer_steps": outer_steps(method, sizes),
            }
            if sizes.inner_optimiser != "gradient":
                config["inner_optimiser"] = sizes.inner_optimiser
            if method.support_rows_per_task(sizes) != sizes.support_size:
                config["inner_rows"] = "new"
            config |= {key: getattr(method, key) for key in ("adapted", "rates") if method.is_set(key)}
            by_rows = sizes.model_copy(update={"budget": "rows"})
            if outer_steps(method, by_rows) != config["outer_steps"]:
                config["budget"] = sizes.budget
        return {**config, **topic_settings(method)}

    def inputs(self) -> dict[str, Any]:
        """The model, and a file that the prompt begins from."""
        return {**super().inputs(), **self.init.inputs}

    @property
    def units(self) -> int:
        """Outer steps."""
        return outer_steps(self.method, self.study.pretraining) if self.is_pretrained else 1

    def check(self) -> None:
        """Looks whether enough clusters are large enough for topic tasks."""
        if self.method.topic_tasks is not None:
            check_topics(self.method, [clusters.artifact for clusters in self.topics], self.parent("tasks"))

    def compute(self, out: ArtifactWriter) -> None:
        """Makes the initial prompt, and pre-trains it."""
        from metapt_explore.prompts.health import norm_ratio

        loaded = self.backbone()
        initial = self.init.make(self.study, self.init_seed, loaded)
        summary: dict[str, Any] = {"init": self.init.init.kind}
        learned = {"prompt": initial}
        if self.is_pretrained:
            learned, told = self._pretrain(initial, loaded, out)
            summary |= told
        meta = {"placement": self.pipeline.model.placement, "model": self.study.model.name, "method": self.method.name}
        prompt = learned["prompt"]
        out.write_tensors("prompt", {**learned, "init": initial}, meta)
        moved, ratio = float((prompt - initial).norm()), norm_ratio(prompt, loaded.usual_vectors)
        out.write_summary({**summary, "norm": float(prompt.norm()), "moved": moved, "norm_ratio": ratio})

    def _pretrain(
        self, initial: Tensor, loaded: Backbone, out: ArtifactWriter
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The learned tensors, and what the summary says of it."""
        from metapt_explore.pretraining.episode_bank import PretrainingTexts
        from metapt_explore.pretraining.gate import numbers_of_offsets
        from metapt_explore.pretraining.learner import PretrainingTask
        from metapt_explore.pretraining.loop import pretrain
        from metapt_explore.pretraining.registry import make_learner
        from metapt_explore.pretraining.state import TrainingCallbacks

        before, began = out.seconds, time.monotonic()
        study, method = self.study, self.method
        assert isinstance(method, PretrainedMethod)
        texts, tasks = self.parent("texts"), self.parent("tasks")
        reading = read_patterns(study, tasks, loaded)
        summary: dict[str, Any] = {} if not reading.words else {"task_words": reading.words}
        topics, patterns = None, reading.patterns
        if method.topic_tasks is not None:
            whole_vocabulary = study.verbalizer.decode == "whole_vocabulary"
            template, clusters = method.topic_tasks.template, [made.artifact for made in self.topics]
            topics = make_topics(clusters, topic_settings(method)["topics"], reading.tasks)
            words = topic_labels(clusters, topics, template=template, tokens=loaded.layout.word_encoder(template))
            patterns = patterns + [loaded.pattern(each, "topics", whole_vocabulary=whole_vocabulary) for each in words]
            summary["topic_words"] = [[label.word for label in each.labels.values()] for each in words]
        pretraining_task = PretrainingTask(
            reading.tasks,
            study.pretraining_of(method),
            method,
            study.seed,
            self.init_seed,
            self._labelled_rows(tasks),
            topics,
            reading.formats,
            reading.of_task,
        )
        learner = make_learner(pretraining_task)
        pretrained = pretrain(
            learner,
            pretraining_task,
            initial,
            backbone=loaded,
            source=PretrainingTexts(as_inputs(texts.table("texts")), patterns[0], patterns[1:], reading.row_sets),
            callbacks=TrainingCallbacks(out.metric, self.advance, self.advance, out),
        )
        telemetry = pretrained.telemetry
        summary |= {
            "row_passes": round(telemetry.row_passes),
            "diagnostic_rows": telemetry.diagnostic_rows,
            "outer_steps": pretraining_task.steps,
        }
        if numbers := numbers_of_offsets(list(learner.parameters(initial))):
            summary["starts"] = numbers
        spent = {**asdict(telemetry), "seconds": before + time.monotonic() - began}
        out.write_table("telemetry", pd.DataFrame([spent]))
        return pretrained.learned, summary

    def _labelled_rows(self, tasks: Artifact) -> list[int]:
        """Every row with a label, whether or not a task holds it; of several formats none but those of tasks."""
        auxiliary = self.study.auxiliary_tasks
        if auxiliary.formats:
            return []
        if auxiliary.classes == "clusters":  # a row's label is what a task makes of it
            return sorted(set(map(int, tasks.table("tasks")["row"])))
        classes = row_classes(self.study, self.parent("texts"), self.maybe_parent("labels"))
        return [row for row, name in enumerate(classes) if name]

    def work(self, reckoning: Reckoning) -> Work:
        """See `Stage.work`; methods that are tuned or read otherwise share their pre-training."""
        shared = self.method.model_dump_json(exclude={"name", "tuning", "verbalizer"}), self.init_seed, self.shots
        if not self.is_pretrained or not reckoning.first(("pretrained", shared)):
            return Work()
        key = self.key
        if self.study.auxiliary_tasks.formats:
            # Pooled and meta-learned methods draw the same rows of the same clusterings.
            key = f"{self.method.clusterings} {self.init_seed} {self.shots}"
        return pretraining_work(self.method, self.study.pretraining, reckoning, key)

    @classmethod
    def describe(cls, summary: Mapping[str, Any], config: Mapping[str, Any]) -> str:
        """See `Stage.describe`."""
        kinds = {"pt": "a start", "ppt": "pooled pre-training", "metapt": "meta-learning"}
        kind = kinds.get(config.get("kind", ""), "")
        if "outer_steps" not in summary:
            return f"{kind}, {config.get('length')} vectors"
        steps, passes = counted(summary["outer_steps"], "outer step"), counted(summary.get("row_passes"), "row")
        return f"{kind}, {steps}, {passes} forward and backward"

    @classmethod
    def step(cls, listed: Listed) -> Step | None:
        """See `Stage.step`; a study that compares no prompts has none."""
        config = listed.config
        asked = sum(len(pretrained_at(config, m)) for m in config.methods) * len(config.evaluation.init_seeds)
        kinds = ("prompt", listed_at("prompt", 1))
        return listed.counted("Prompts", *kinds, asked=asked, noun="prompt") if asked else None
