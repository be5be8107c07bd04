"""Headroom: what adapting to a few rows of an auxiliary task gains on its other rows; on request.

It asks, before anything is pre-trained, whether there is anything to meta-learn at the start that all methods share.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from metapt_explore.config import MetaPTMethod
from metapt_explore.config.label_values import words_key
from metapt_explore.diagnostics.displacement import measured, tuning_rate, tuning_rates
from metapt_explore.errors import UserError
from metapt_explore.stages.auxiliary_tasks import task_names
from metapt_explore.stages.base import Pipeline, Stage
from metapt_explore.stages.prompt import CommonStart, Prompt
from metapt_explore.stages.task_subset import tasks_of
from metapt_explore.stages.texts import Texts
from metapt_explore.storage.artifact import Artifact, ArtifactWriter
from metapt_explore.storage.studies import Subject
from metapt_explore.texts.rows import as_inputs

#: Draws from each task, and query rows of a draw: 24 pairs of losses on 32 rows for the tour's six tasks, in half a
#: minute on two cores.
DRAWS, QUERY_ROWS = 4, 32
#: Tasks that are looked at: where there are more, so many are drawn. A mean over them is known well enough.
MOST_TASKS = 24


@dataclass(frozen=True, eq=False)
class Headroom(Stage):
    """Losses of a method's auxiliary tasks before and after adapting.

    Attributes:
        method: Whose tasks, and whose inner steps.
        prompt: Where every task begins.
    """

    kind = "headroom"
    needs = "model"
    part = "request"

    method: MetaPTMethod
    prompt: Prompt

    @classmethod
    def asked(cls, pipeline: Pipeline, init_seeds: Collection[int]) -> Iterator[Headroom]:
        """Of every meta-learned method, at the common start of the study's first seed."""
        for method in meta_learned(pipeline):
            yield cls.requested(pipeline, method.name)

    @classmethod
    def requested(
        cls, pipeline: Pipeline, method: str, init_seed: int | None = None, *, at: str | None = None
    ) -> Headroom:
        """Of a method, at the start that all methods share or at a finished prompt.

        Args:
            pipeline: The study.
            method: Whose tasks and inner steps.
            init_seed: The initialisation seed; the first of the study when absent.
            at: The method at whose prompt tasks begin; the common start when absent.

        Raises:
            UserError: Where the method is not meta-learned.
        """
        chosen, seed = pipeline.config.method(method), pipeline.seed(init_seed)
        if not isinstance(chosen, MetaPTMethod):
            raise UserError(f"'{method}' is not meta-learned: it adapts to no auxiliary task.")
        start = CommonStart.of(pipeline, seed) if at is None else Prompt(pipeline, pipeline.config.method(at), seed)
        return cls(pipeline, chosen, start)

    @property
    def key(self) -> str:
        """See `Stage.key`."""
        return f"headroom/{self.method.name}/{self.prompt.subject().get('method', 'start')}/{self.prompt.init_seed}"

    @property
    def title(self) -> str:
        """See `Stage.title`."""
        return f"headroom of {self.method.name}"

    def subject(self) -> Subject:
        """Method and seed; where tasks begin, if that is not the common start."""
        subject: Subject = {"method": self.method.name, "init_seed": self.prompt.init_seed}
        at = self.prompt.subject().get("method")
        return subject if at is None else {**subject, "at": at}

    @cached_property
    def parents(self) -> Mapping[str, Stage | Artifact]:
        """Texts, tasks and the prompt."""
        return {
            "texts": Texts(self.pipeline),
            "tasks": tasks_of(self.pipeline, self.method),
            "prompt": self.prompt,
        }

    def config(self) -> dict[str, Any]:
        """Inner steps, tuning steps, rows, and how rows are read."""
        study, method, auxiliary = self.study, self.method, self.study.auxiliary_tasks
        return {
            "learner": method.learner,
            "inner_steps": method.inner_steps,
            "inner_lr": method.inner_lr or study.pretraining.inner_lr,
            "inner_optimiser": method.inner_optimiser or study.pretraining.inner_optimiser,
            "outer_lr": method.outer_lr or study.pretraining.outer_lr,
            "tuning_rates": tuning_rates(method, study.evaluation),
            "support_size": study.pretraining.support_size,
            "rows": [DRAWS, QUERY_ROWS, MOST_TASKS],
            "seed": study.seed,
            "placement": self.pipeline.model.placement,
            "template": auxiliary.template,
            "words": words_key(auxiliary),
            "decode": study.verbalizer.decode,
        }

    @property
    def units(self) -> int:
        """Draws."""
        return DRAWS

    def compute(self, out: ArtifactWriter) -> None:
        """Adapts to each task of each draw, and measures."""
        from metapt_explore.diagnostics.adapted_losses import TUNING_STEPS, adapted_losses
        from metapt_explore.diagnostics.headroom import headroom_of_tasks, headroom_over_tasks
        from metapt_explore.diagnostics.task_gradients import Draw, balanced_draws
        from metapt_explore.models.gradients import PromptObjective
        from metapt_explore.pretraining.episodes import read_tasks
        from metapt_explore.pretraining.learner import PretrainingTask
        from metapt_explore.seeds import stream

        study, method, auxiliary, loaded = self.study, self.method, self.study.auxiliary_tasks, self.backbone()
        tasks = self.parent("tasks")
        rows_of = read_tasks(tasks.table("tasks"), list(auxiliary.labels))
        all_tasks = sorted(rows_of)
        chosen = stream(study.seed, "headroom tasks").permutation(len(all_tasks))[:MOST_TASKS]
        half = max(study.pretraining.support_size, QUERY_ROWS)
        draws: dict[int, list[Draw]] = {}
        apart: dict[int, int] = {}
        for number in sorted(all_tasks[place] for place in chosen):
            drawn, distinct = balanced_draws(
                rows_of[number], 2 * half, draws=DRAWS, rng=stream(study.seed, "headroom", number)
            )
            if all(len(draw) == 2 for draw in drawn):  # a class with a single row cannot be halved
                draws[number], apart[number] = drawn, distinct
        if not draws:
            raise UserError(
                f"Headroom of '{method.name}': no auxiliary task has two rows of each label. Make larger clusters, or "
                "raise `auxiliary_tasks.min_per_label`."
            )
        used = sorted({row for of_task in draws.values() for draw in of_task for rows, _ in draw for row in rows})
        place_in_bank = {row: index for index, row in enumerate(used)}
        in_bank: dict[int, list[Draw]] = {
            number: [[([place_in_bank[row] for row in rows], labels) for rows, labels in draw] for draw in of_task]
            for number, of_task in draws.items()
        }
        inputs = as_inputs(self.parent("texts").table("texts"))
        whole_vocabulary = study.verbalizer.decode == "whole_vocabulary"
        pattern = loaded.pattern(auxiliary, "auxiliary_tasks", whole_vocabulary=whole_vocabulary)
        objective = PromptObjective(loaded, loaded.bank([inputs[row] for row in used], pattern), pattern)
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
            draws=in_bank,
            pretraining_task=PretrainingTask(rows_of, study.pretraining, method, study.seed, self.prompt.init_seed),
            tuning_rate=rate,
            on_draw=on_draw,
        )
        names = task_names(tasks)
        table.insert(1, "name", [names.get(task, f"task {task}") for task in table["task"]])
        out.write_table("headroom", table)
        inner, outer, tuning = (table[f"moved_{kind}"].to_numpy() for kind in ("inner", "outer", "tuning"))
        of_tasks = headroom_of_tasks(table)
        for record in of_tasks:
            record["draws_apart"] = apart[record["task"]]
        out.write_summary(
            {
                "tasks": of_tasks,
                "tasks_in_all": len(all_tasks),
                "over_tasks": {gain: found.as_dict() for gain, found in headroom_over_tasks(table).items()},
                "displacement": measured(inner, outer, tuning, rates=rates).as_dict(),
                "inner_steps": method.inner_steps,
                "tuning_steps": TUNING_STEPS,
                "tuning_rate": rate,
                "draws": DRAWS,
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
