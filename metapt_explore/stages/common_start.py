"""The prompt that all methods begin from."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from metapt_explore.config import MethodConfig
from metapt_explore.stages.base import Pipeline
from metapt_explore.stages.prompt import Prompt
from metapt_explore.storage.studies import Subject


class CommonStart(Prompt):
    """The start that all methods share; that of PT, where the study has it."""

    listed = "common start"

    @classmethod
    def asked(cls, pipeline: Pipeline, init_seeds: Collection[int]) -> Iterator[Prompt]:
        """Nothing: who needs it makes it."""
        return iter(())

    @classmethod
    def of(cls, pipeline: Pipeline, init_seed: int) -> CommonStart:
        """The start of an initialisation seed."""
        return cls(pipeline, MethodConfig(name="the common start", kind="pt"), init_seed)

    @property
    def key(self) -> str:
        """See `Stage.key`."""
        return f"prompt/start/{self.init_seed}"

    def subject(self) -> Subject:
        """The seed."""
        return {"init_seed": self.init_seed}
