"""The texts of each auxiliary task that a finished prompt gets most wrong; on request.

What stands there is worth reading: wrong labels, texts of two minds, clusters that are no task.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from metapt_explore.config.label_values import words_key
from metapt_explore.errors import UserError
from metapt_explore.stages.auxiliary_tasks import task_names
from metapt_explore.stages.base import Pipeline, Stage
from metapt_explore.stages.prompt import Prompt
from metapt_explore.stages.task_patterns import look_settings, read_patterns
from metapt_explore.storage.artifact import Artifact, ArtifactWriter
from metapt_explore.storage.studies import Subject
from metapt_explore.texts.rows import as_inputs, texts_of

#: Texts that are shown of each task.
SHOWN = 10


@dataclass(frozen=True, eq=False)
class HardestTexts(Stage):
    """The texts with the highest loss.

    Attributes:
        prompt: A prompt that was pre-trained.
        shown: Texts of each task.

    Raises:
        UserError: Where the prompt was not pre-trained: there are no auxiliary tasks behind it.
    """

    kind = "hardest_texts"
    version = 2
    needs = "model"
    part = "request"

    prompt: Prompt
    shown: int = SHOWN

    def __post_init__(self) -> None:
        if not self.prompt.is_pretrained:
            raise UserError(f"'{self.prompt.method.name}' is not pre-trained: it has no auxiliary tasks.")

    @classmethod
    def asked(cls, pipeline: Pipeline, init_seeds: Collection[int]) -> Iterator[HardestTexts]:
        """Of every pre-trained method; prompts that are not there yet are made."""
        for prompt in Prompt.asked(pipeline, init_seeds):
            if prompt.is_pretrained:
                yield cls(pipeline, prompt)

    @classmethod
    def requested(
        cls, pipeline: Pipeline, method: str, init_seed: int | None = None, *, shown: int = SHOWN
    ) -> HardestTexts:
        """Of a method; of the study's first seed when `init_seed` is absent."""
        return cls(pipeline, Prompt(pipeline, pipeline.config.method(method), pipeline.seed(init_seed)), shown)

    @property
    def key(self) -> str:
        """See `Stage.key`."""
        return f"hardest_texts/{self.prompt.method.name}/{self.prompt.init_seed}"

    @property
    def title(self) -> str:
        """See `Stage.title`."""
        return f"hardest texts of {self.prompt.method.name}, initialisation seed {self.prompt.init_seed}"

    def subject(self) -> Subject:
        """Method and seed."""
        return self.prompt.subject()

    @cached_property
    def parents(self) -> Mapping[str, Stage | Artifact]:
        """The prompt, and the tasks and texts that it learned from."""
        return {"prompt": self.prompt, "tasks": self.prompt.parents["tasks"], "texts": self.prompt.parents["texts"]}

    def config(self) -> dict[str, Any]:
        """How texts are read."""
        auxiliary = self.study.auxiliary_tasks
        return {
            "template": auxiliary.template,
            "words": words_key(auxiliary),
            "decode": self.study.verbalizer.decode,
            "shown": self.shown,
            **look_settings(auxiliary),
        }

    def compute(self, out: ArtifactWriter) -> None:
        """Scores every row of every task under the prompt."""
        from metapt_explore.fewshot.scoring import ClassReading, LabelledTexts, row_losses

        loaded, names = self.backbone(), task_names(self.parent("tasks"))
        reading = read_patterns(self.study, self.parent("tasks"), loaded)
        frame = self.parent("texts").table("texts")
        inputs, written = as_inputs(frame), texts_of(frame)
        vectors = self.parent("prompt").tensors("prompt")["prompt"].to(loaded.device)
        tasks_table, tables, passed = self.parent("tasks").table("tasks"), [], 0
        for place, pattern in enumerate(reading.patterns):
            own = [task for task in reading.sample() if reading.of_task.get(task, 0) == place]
            table = tasks_table[tasks_table["task"].isin(own)]
            if not len(table):
                continue
            classes = list(pattern.classes)
            read = ClassReading(loaded, pattern, on_pass=lambda: self.advance(0))
            rows = sorted(set(map(int, table["row"])))
            texts = LabelledTexts([inputs[row] for row in rows], [0] * len(rows))
            in_texts = {row: number for number, row in enumerate(rows)}
            scores = read.scores(vectors[None], texts, [texts])[0][[in_texts[int(row)] for row in table["row"]]]
            labels = [classes.index(label) for label in table["label"]]
            predicted = pattern.verbalizer.for_choice(scores).argmax(dim=1).tolist()
            passed += read.forward.rows
            tables.append(
                table.rename(columns={"label": "class"}).assign(
                    name=[names.get(int(task), str(task)) for task in table["task"]],
                    text=[written[int(row)] for row in table["row"]],
                    # With the whole vocabulary the best word may belong to no class.
                    predicted=[classes[choice] if choice < len(classes) else "no class" for choice in predicted],
                    loss=row_losses(scores, labels, pattern.verbalizer).tolist(),
                )
            )
        table = pd.concat(tables)
        hardest = table.sort_values(["task", "loss"], ascending=[True, False], kind="stable").groupby("task")
        columns = ["task", "name", "row", "text", "class", "predicted", "loss"]
        # Of all texts: what the map is coloured by.
        out.write_table("losses", table[["task", "row", "class", "predicted", "loss"]].reset_index(drop=True))
        out.write_table("texts", hardest.head(self.shown)[columns].reset_index(drop=True))
        tasks = [
            {
                "task": int(str(task)),
                "name": rows_of_task["name"].iloc[0],
                "rows": len(rows_of_task),
                "wrong": float((rows_of_task["class"] != rows_of_task["predicted"]).mean()),
                "loss": float(rows_of_task["loss"].mean()),
            }
            for task, rows_of_task in table.groupby("task")
        ]
        out.write_summary({"tasks": tasks, "forward_rows": passed})

    @classmethod
    def describe(cls, summary: Mapping[str, Any], config: Mapping[str, Any]) -> str:
        """See `Stage.describe`."""
        return f"the {config.get('shown')} hardest texts of {len(summary.get('tasks', []))} tasks"
