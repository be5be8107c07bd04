"""What the frozen model makes of the texts of a task's splits; probes are fitted to it."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from metapt_explore.config import TaskConfig
from metapt_explore.cost.count import Reckoning, Work
from metapt_explore.stages.base import Pipeline, Stage, called_at, each_shots, listed_at, of_shots, tasks_at
from metapt_explore.stages.fewshot import split_rows
from metapt_explore.stages.split import Split
from metapt_explore.stages.texts import counted
from metapt_explore.storage.artifact import Artifact, ArtifactWriter
from metapt_explore.storage.studies import Subject
from metapt_explore.texts.rows import TextInput, as_inputs

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class HiddenStates(Stage):
    """States of every text of a split (`models/hidden_states.py`), each text once.

    Attributes:
        task: The task.
        shots: One of `evaluation.more_shots`; the study's own number when None.
    """

    kind = "hidden_states"
    needs = "model"
    part = "scores"
    units = 100

    task: TaskConfig
    shots: int | None = None

    @classmethod
    def asked(cls, pipeline: Pipeline, init_seeds: Collection[int]) -> Iterator[HiddenStates]:
        """Of every task, where some method is read by a probe."""
        study = pipeline.config
        if any(study.reading_of(method).has_probe for method in study.methods):
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
        return f"hidden_states/{self.called}"

    @property
    def title(self) -> str:
        """See `Stage.title`."""
        return f"frozen states of {self.called}"

    def subject(self) -> Subject:
        """The task."""
        return of_shots({"task": self.task.name}, self.shots)

    @cached_property
    def parents(self) -> Mapping[str, Stage | Artifact]:
        """The splits."""
        return {"split": Split(self.pipeline, self.task, self.shots)}

    def config(self) -> dict[str, Any]:
        """Nothing but the texts and the model matters."""
        return {}

    @property
    def text_limit(self) -> int | None:
        """The task's own, where it has one."""
        return self.task.max_tokens

    def compute(self, out: ArtifactWriter) -> None:
        """Sends each text through the model."""
        from metapt_explore.models.hidden_states import ROWS, text_hidden_states

        texts = unique(as_inputs(self.parent("split").table("rows")))
        done = 0

        def on_pass() -> None:
            nonlocal done
            done = min(len(texts), done + ROWS)
            self.advance(self.units * done // len(texts))

        states = text_hidden_states(self.backbone(), texts, on_pass)
        out.write_tensors("hidden_states", {"hidden_states": states})
        out.write_summary({"texts": len(texts), "states": len(states), "width": states.shape[-1]})

    def work(self, reckoning: Reckoning) -> Work:
        """See `Stage.work`."""
        return reckoning.whole_texts(split_rows(reckoning.at_size(self.shots, self.task), self.task))

    @classmethod
    def describe(cls, summary: Mapping[str, Any], config: Mapping[str, Any]) -> str:
        """See `Stage.describe`."""
        return f"the frozen model's states of {counted(summary.get('texts'), 'text')}"


def unique(texts: Sequence[TextInput]) -> list[TextInput]:
    """Each text once, in the order of first sight: the order that states are kept in."""
    return list(dict.fromkeys(texts))


class KeptStates:
    """States of a split's texts, by text.

    Args:
        artifact: A `hidden_states` artifact.
        split: The split that it is of.
    """

    def __init__(self, artifact: Artifact, split: Artifact) -> None:
        self._states = artifact.tensors("hidden_states")["hidden_states"]
        self._place: Mapping[Hashable, int] = {
            text: place for place, text in enumerate(unique(as_inputs(split.table("rows"))))
        }

    def of(self, texts: Sequence[TextInput]) -> Tensor:
        """States of these texts, `[views, texts, width]`."""
        import torch

        return self._states[:, torch.tensor([self._place[text] for text in texts])]
