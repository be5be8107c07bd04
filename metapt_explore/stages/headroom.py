"""Headroom: what adapting to a few rows of an auxiliary task gains on its other rows; on request.

It asks, before anything is pre-trained, whether there is anything to meta-learn at the start that all methods share.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from metapt_explore.config import MetaPTMethod, StudyConfig
from metapt_explore.config.label_values import words_key
from metapt_explore.config.support import other_shots, pretrained_at
from metapt_explore.diagnostics.displacement import measured, tuning_rate, tuning_rates
from metapt_explore.errors import UserError
from metapt_explore.stages.auxiliary_tasks import task_names
from metapt_explore.stages.base import Pipeline, Stage, called_at, listed_at, of_shots
from metapt_explore.stages.common_start import CommonStart
from metapt_explore.stages.drawn_tasks import chosen_tasks, drawn_tasks
from metapt_explore.stages.format_rows import rows_stage
from metapt_explore.stages.prompt import Prompt
from metapt_explore.stages.task_patterns import MOST_TASKS, look_settings, read_patterns
from metapt_explore.stages.task_subset import tasks_of
from metapt_explore.storage.artifact import Artifact, ArtifactWriter
from metapt_explore.storage.studies import Subject
from metapt_explore.texts.rows import as_inputs

#: Draws from each task that are adapted to; they are the first of those that gradients are compared on
#: (`stages/agreement.py`), so that texts are encoded once for both.
MOST_DRAWS = 4


@dataclass(frozen=True, eq=False)
class Headroom(Stage):
    """Losses of a method's auxiliary tasks before and after adapting.

    Attributes:
        method: Whose tasks, and whose inner steps.
        prompt: Where every task begins.
        shots: One of `evaluation.more_shots` that the method is pre-trained for: its support rows, and its prompt.
    """

    kind = "headroom"
    needs = "model"
    part = "request"

    method: MetaPTMethod
    prompt: Prompt
    shots: int | None = None

    @classmethod
    def asked(cls, pipeline: Pipeline, init_seeds: Collection[int]) -> Iterator[Headroom]:
        """Of every meta-learned method, at the common start of the study's first seed."""
        for method in meta_learned(pipeline):
            yield cls.requested(pipeline, method.name)

    @classmethod
    def requested(
        cls,
        pipeline: Pipeline,
        method: str,
        init_seed: int | None = None,
        *,
        at: str | None = None,
        shots: int | None = None,
    ) -> Headroom:
        """Of a method, at the start that all methods share or at a finished prompt.

        Args:
            pipeline: The study.
            method: Whose tasks and inner steps.
            init_seed: The initialisation seed; the first of the study when absent.
            at: The method at whose prompt tasks begin; the common start when absent.
            shots: The number of examples whose pre-training is looked at, where each has its own; the study's own
                number when absent.

        Raises:
            UserError: Where the method is not meta-learned.
        """
        chosen, seed = pipeline.config.method(method), pipeline.seed(init_seed)
        if not isinstance(chosen, MetaPTMethod):
            raise UserError(f"'{method}' is not meta-learned: it adapts to no auxiliary task.")
        other = other_shots(pipeline.config, shots)
        if other not in pretrained_at(pipeline.config, chosen):
            other = None  # all numbers share one pre-training
        of_start = None if at is None else pipeline.config.method(at)
        start = CommonStart.of(pipeline, seed) if of_start is None else Prompt.at(pipeline, of_start, seed, other)
        return cls(pipeline, chosen, start, other)

    @property
    def study(self) -> StudyConfig:
        """The study at its number of examples."""
        return self.pipeline.config.at_shots(self.shots)

    @property
    def listed_as(self) -> str:
        """See `Stage.listed_as`."""
        return listed_at(self.listed or self.kind, self.shots)

    @property
    def key(self) -> str:
        """See `Stage.key`."""
        at = self.prompt.subject().get("method", "start")
        return f"headroom/{called_at(self.method.name, self.shots)}/{at}/{self.prompt.init_seed}"

    @property
    def title(self) -> str:
        """See `Stage.title`."""
        return f"headroom of {called_at(self.method.name, self.shots)}"

    def subject(self) -> Subject:
        """Method and seed; where tasks begin, if that is not the common start."""
        subject = of_shots({"method": self.method.name, "init_seed": self.prompt.init_seed}, self.shots)
        at = self.prompt.subject().get("method")
        return subject if at is None else {**subject, "at": at}

    @cached_property
    def parents(self) -> Mapping[str, Stage | Artifact]:
        """Texts, tasks and the prompt."""
        return {
            "texts": rows_stage(self.pipeline),
            "tasks": tasks_of(self.pipeline, self.method),
            "prompt": self.prompt,
        }

    def config(self) -> dict[str, Any]:
        """Inner steps, tuning steps, rows, and how rows are read."""
        study, method, auxiliary = self.study, self.method, self.study.auxiliary_tasks
        sizes = study.pretraining_of(method)
        return {
            "learner": method.learner,
            "inner_steps": method.inner_steps,
            "inner_lr": sizes.inner_lr,
            "inner_optimiser": sizes.inner_optimiser,
            "outer_lr": sizes.outer_lr,
            "tuning_rates": tuning_rates(method, study.evaluation),
            "support_size": study.pretraining.support_size,
            "agreement": study.agreement.model_dump(mode="json"),
            "most": [MOST_DRAWS, MOST_TASKS],
            "seed": study.seed,
            "placement": self.pipeline.model.placement,
            "template": auxiliary.template,
            "words": words_key(auxiliary),
            "decode": study.verbalizer.decode,
            **look_settings(auxiliary),
        }

    @property
    def units(self) -> int:
        """Draws."""
        return min(MOST_DRAWS, self.study.agreement.draws)

    def compute(self, out: ArtifactWriter) -> None:
        """Adapts to each task of each draw, and measures."""
        from metapt_explore.diagnostics.adapted_losses import TUNING_STEPS, adapted_losses
        from metapt_explore.diagnostics.headroom import headroom_of_tasks, headroom_over_tasks
        from metapt_explore.diagnostics.task_gradients import Draw, balanced_draws
        from metapt_explore.pretraining.learner import PretrainingTask
        from metapt_explore.seeds import stream

        study, method, loaded, tasks = self.study, self.method, self.backbone(), self.parent("tasks")
        reading = read_patterns(study, tasks, loaded)
        rows = max(study.agreement.rows, 2 * study.pretraining.support_size)
        draws: dict[int, list[Draw]] = {}
        apart: dict[int, int] = {}
        for number in chosen_tasks(reading, study.seed):
            rng = stream(study.seed, "agreement", number)
            drawn, distinct = balanced_draws(reading.tasks[number], rows, draws=study.agreement.draws, rng=rng)
            if all(len(draw) == 2 for draw in drawn):  # a class with a single row cannot be halved
                draws[number], apart[number] = drawn, distinct
        if not draws:
            raise UserError(
                f"Headroom of '{method.name}': no auxiliary task has two rows of each class. Make larger clusters, or "
                "raise `auxiliary_tasks.min_per_label`."
            )
        looked_at = drawn_tasks(loaded, as_inputs(self.parent("texts").table("texts")), reading, draws)
        objective = looked_at.objective
        pretraining_task = PretrainingTask(
            reading.tasks,
            study.pretraining_of(method),
            method,
            study.seed,
            self.prompt.init_seed,
            formats=reading.formats,
            patterns=looked_at.patterns,
        )
        done = 0

        def on_draw() -> None:
            nonlocal done
            done += 1
            self.advance(done)

        objective.on_pass = lambda: self.advance(done)
        rate, rates = tuning_rate(method, study.evaluation), tuning_rates(method, study.evaluation)
        table = adapted_losses(
            objective,
            self.parent("prompt").tensors("prompt")["prompt"].to(loaded.device),
            draws={task: of[: self.units] for task, of in looked_at.draws.items()},
            pretraining_task=pretraining_task,
            tuning_rate=rate,
            on_draw=on_draw,
        )
        names = task_names(tasks)
        table.insert(1, "name", [names.get(task, f"task {task}") for task in table["task"]])
        out.write_table("headroom", table)
        inner, outer, tuning = (table[f"moved_{kind}"].to_numpy() for kind in ("inner", "outer", "tuning"))
        of_tasks = headroom_of_tasks(table)
        for record in of_tasks:
            record["draws_apart"] = min(apart[record["task"]], self.units)
        out.write_summary(
            {
                "tasks": of_tasks,
                "tasks_in_all": len(reading.tasks),
                "over_tasks": {gain: found.as_dict() for gain, found in headroom_over_tasks(table).items()},
                "displacement": measured(inner, outer, tuning, rates=rates).as_dict(),
                "inner_steps": method.inner_steps,
                "tuning_steps": TUNING_STEPS,
                "tuning_rate": rate,
                "draws": self.units,
                "row_passes": round(objective.row_passes),
                "diagnostic_rows": objective.diagnostic_rows,
            }
        )


def meta_learned(pipeline: Pipeline) -> Iterator[MetaPTMethod]:
    """The methods of a study that are meta-learned over clusters.

    Raises:
        UserError: Where there is none.
    """
    methods = [method for method in pipeline.config.methods if isinstance(method, MetaPTMethod)]
    if not methods:
        raise UserError(
            f"Study '{pipeline.config.name}' has no meta-learned method: there is nothing to screen. Add one of "
            "`kind: metapt` under `methods`."
        )
    yield from methods
