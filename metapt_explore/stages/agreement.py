"""Gradient agreement: auxiliary and downstream tasks at one prompt; on request."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from metapt_explore.config.label_values import words_key
from metapt_explore.errors import UserError
from metapt_explore.stages.auxiliary_tasks import Tasks, task_names
from metapt_explore.stages.base import Pipeline, Stage
from metapt_explore.stages.common_start import CommonStart
from metapt_explore.stages.drawn_tasks import drawn_tasks
from metapt_explore.stages.format_rows import rows_stage
from metapt_explore.stages.prompt import Prompt
from metapt_explore.stages.split import Split
from metapt_explore.stages.task_patterns import look_settings, read_patterns
from metapt_explore.stages.template_ranking import training_rows
from metapt_explore.storage.artifact import Artifact, ArtifactWriter
from metapt_explore.storage.studies import Subject
from metapt_explore.texts.rows import TextInput, as_inputs

if TYPE_CHECKING:
    from metapt_explore.diagnostics.agreement import Kind, TaskGradients


@dataclass(frozen=True, eq=False)
class Agreement(Stage):
    """Cosines of the gradients of auxiliary tasks with one another and with downstream tasks.

    Of a downstream task the training rows of each data seed are looked at, never a dev or test row.

    Attributes:
        prompt: Where gradients are taken.
        clusterings: Whose auxiliary tasks.
    """

    kind = "agreement"
    needs = "model"
    part = "request"
    title = "agreement of gradients"

    prompt: Prompt
    clusterings: tuple[str, ...]

    @classmethod
    def requested(
        cls,
        pipeline: Pipeline,
        init_seed: int | None = None,
        *,
        method: str | None = None,
        clustering: str | list[str] | None = None,
    ) -> Agreement:
        """At the prompt of a method, or at the start that all methods share.

        Args:
            pipeline: The study.
            init_seed: The initialisation seed; the first of the study when absent.
            method: At whose prompt gradients are taken; at the common start when absent.
            clustering: Whose auxiliary tasks; the method's own, else the first that a metapt method has, when absent.

        Raises:
            UserError: Where no texts are grouped.
        """
        study, seed = pipeline.config, pipeline.seed(init_seed)
        at = None if method is None else study.method(method)
        if clustering is None:
            cls.check_study(pipeline)
            methods = [at] if at is not None else []
            methods += [other for other in study.methods if other.meta_learned]
            clustering = next((m.clusterings for m in methods if m.clusterings), [study.clusterings[0].name])
        prompt = CommonStart.of(pipeline, seed) if at is None else Prompt(pipeline, at, seed)
        return cls(pipeline, prompt, (clustering,) if isinstance(clustering, str) else tuple(clustering))

    @classmethod
    def asked(cls, pipeline: Pipeline, init_seeds: Collection[int]) -> Iterator[Agreement]:
        """At the common start of the study's first seed."""
        yield cls.requested(pipeline)

    @classmethod
    def check_study(cls, pipeline: Pipeline) -> None:
        """Refuses to look for agreement where no texts are grouped, before anything is computed."""
        if not pipeline.config.clusterings:
            raise UserError(
                f"Study '{pipeline.config.name}' groups no texts: there are no auxiliary tasks whose gradients could "
                "agree. List a grouping under `clusterings`."
            )

    @property
    def key(self) -> str:
        """See `Stage.key`."""
        return f"agreement/{self.prompt.subject().get('method', 'start')}/{self.prompt.init_seed}"

    def subject(self) -> Subject:
        """The clusterings, and the prompt."""
        return {"clustering": " + ".join(self.clusterings), **self.prompt.subject()}

    @property
    def _tasks(self) -> Tasks:
        return Tasks(self.pipeline, self.clusterings)

    @cached_property
    def parents(self) -> Mapping[str, Stage | Artifact]:
        """Texts, tasks, prompt, and the few-shot rows of every task."""
        splits = {f"split of {name}": Split(self.pipeline, task) for name, task in self.pipeline.tasks.items()}
        return {"texts": rows_stage(self.pipeline), "tasks": self._tasks, "prompt": self.prompt, **splits}

    def config(self) -> dict[str, Any]:
        """How often gradients are taken, and how rows are read."""
        settings, auxiliary, downstream = self.study.agreement, self.study.auxiliary_tasks, self.pipeline.tasks
        return {
            "rows": settings.rows,
            "draws": settings.draws,
            "seed": self.study.seed,
            "placement": self.pipeline.model.placement,
            "auxiliary": [auxiliary.template, words_key(auxiliary)],
            "downstream": {name: [task.template, words_key(task)] for name, task in downstream.items()},
            "data_seeds": self.study.evaluation.data_seeds,
            "decode": self.study.verbalizer.decode,
            **look_settings(auxiliary),
        }

    @property
    def units(self) -> int:
        """Draws."""
        return self.study.agreement.draws + len(self.pipeline.tasks) * len(self.study.evaluation.data_seeds)

    def compute(self, out: ArtifactWriter) -> None:
        """Takes gradients and compares them."""
        from metapt_explore.diagnostics.agreement import agreement_pairs, task_record
        from metapt_explore.diagnostics.task_gradients import Draw, balanced_draws, gradients_of, halved
        from metapt_explore.models.gradients import PromptObjective
        from metapt_explore.seeds import stream

        study, settings = self.study, self.study.agreement
        whole_vocabulary = study.verbalizer.decode == "whole_vocabulary"
        tasks, loaded = self.parent("tasks"), self.backbone()
        vectors = self.parent("prompt").tensors("prompt")["prompt"].to(loaded.device)
        done, passes = 0, 0.0

        def on_draw() -> None:
            nonlocal done
            done += 1
            self.advance(done)

        def measure(
            objective: PromptObjective,
            draws: Mapping[str, Sequence[Draw]],
            *,
            kind: Kind,
            apart: Collection[str] = (),
            patterns: Mapping[str, int] | None = None,
        ) -> list[TaskGradients]:
            nonlocal passes
            objective.on_pass = lambda: self.advance(done)
            found = gradients_of(
                objective, vectors, tasks=draws, kind=kind, apart=apart, patterns=patterns, on_draw=on_draw
            )
            passes += objective.row_passes
            return found

        names = task_names(tasks)
        reading = read_patterns(study, tasks, loaded)
        numbers = {names.get(number, f"task {number}"): number for number in reading.sample()}
        draws_of: dict[str, list[Draw]] = {}
        apart: dict[str, int] = {}
        for name, number in numbers.items():
            rng, classes = stream(study.seed, "agreement", number), reading.tasks[number]
            draws_of[name], apart[name] = balanced_draws(classes, settings.rows, draws=settings.draws, rng=rng)
        inputs = as_inputs(self.parent("texts").table("texts"))
        alone = [name for name, draws in apart.items() if draws == settings.draws]
        looked_at = drawn_tasks(loaded, inputs, reading, {numbers[name]: draws for name, draws in draws_of.items()})
        gradients = measure(
            looked_at.objective,
            {name: looked_at.draws[number] for name, number in numbers.items()},
            kind="auxiliary",
            apart=alone,
            patterns={name: looked_at.patterns[number] for name, number in numbers.items()}
            if reading.formats
            else None,
        )
        counts = {}
        for name, task in self.pipeline.tasks.items():
            rows = training_rows(self.parent(f"split of {name}"), task, study.evaluation.data_seeds)
            seeds, examples, labels = [], list[TextInput](), rows.labels
            for seed in study.evaluation.data_seeds:
                seeds.append(halved(labels[seed], len(examples)))
                examples += rows.texts[seed]
            pattern = loaded.pattern(task, f"task {name}", whole_vocabulary=whole_vocabulary)
            objective = PromptObjective(loaded, loaded.bank(examples, pattern), pattern)
            gradients += measure(objective, {name: seeds}, kind="downstream")
            counts[name] = {"also_dev": rows.also_dev, "dropped_as_test": rows.also_test}
        out.write_table("agreement", pd.DataFrame(agreement_pairs(gradients)))
        records = [task_record(task) for task in gradients]
        for record in records:
            if record["kind"] == "auxiliary":
                name = record["name"]
                sizes = {sum(len(rows) for rows, _ in draw) for draw in draws_of[name]}
                record |= {"task": numbers[name], "rows": max(sizes), "draws_apart": apart[name]}
            else:
                record |= counts[record["name"]]
        out.write_summary({"tasks": records, "diagnostic_rows": round(passes)})
