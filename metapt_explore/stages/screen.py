"""Worth trying? Task diversity, headroom and displacement of a method together, before it is paid for; on request."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from metapt_explore.config import MetaPTMethod
from metapt_explore.diagnostics.displacement import Displacement
from metapt_explore.diagnostics.headroom import GAINS, Estimate
from metapt_explore.diagnostics.screen import Screening, downstream_cosines, task_diversity
from metapt_explore.stages.agreement import Agreement
from metapt_explore.stages.auxiliary_tasks import task_names
from metapt_explore.stages.base import Needs, Pipeline, Stage
from metapt_explore.stages.headroom import Headroom, meta_learned
from metapt_explore.stages.task_subset import tasks_of
from metapt_explore.storage.artifact import Artifact, ArtifactWriter
from metapt_explore.storage.studies import Subject


@dataclass(frozen=True, eq=False)
class Screen(Stage):
    """What headroom and agreement say of a method.

    Attributes:
        method: A meta-learned method.
        init_seed: The initialisation seed.
    """

    kind = "screen"
    needs = "model"
    part = "request"

    method: MetaPTMethod
    init_seed: int

    @classmethod
    def asked(cls, pipeline: Pipeline, init_seeds: Collection[int]) -> Iterator[Screen]:
        """Of every meta-learned method, at the common start of the study's first seed."""
        for method in meta_learned(pipeline):
            yield cls.requested(pipeline, method.name)

    @classmethod
    def requested(cls, pipeline: Pipeline, method: str, init_seed: int | None = None) -> Screen:
        """Of a method; of the study's first seed when `init_seed` is absent.

        Raises:
            UserError: Where the method is not meta-learned.
        """
        headroom = Headroom.requested(pipeline, method, init_seed)
        return cls(pipeline, headroom.method, headroom.prompt.init_seed)

    @property
    def key(self) -> str:
        """See `Stage.key`."""
        return f"screen/{self.method.name}/{self.init_seed}"

    @property
    def title(self) -> str:
        """See `Stage.title`."""
        return f"screening of {self.method.name}"

    @property
    def uses(self) -> Needs:
        """Nothing: its parents run the model."""
        return "nothing"

    def subject(self) -> Subject:
        """Method and seed."""
        return {"method": self.method.name, "init_seed": self.init_seed}

    @cached_property
    def parents(self) -> Mapping[str, Stage | Artifact]:
        """Tasks, and the two looks at them."""
        return {
            "tasks": tasks_of(self.pipeline, self.method),
            "agreement": Agreement.requested(self.pipeline, self.init_seed, clustering=self.method.clusterings),
            "headroom": Headroom.requested(self.pipeline, self.method.name, self.init_seed),
        }

    def config(self) -> dict[str, Any]:
        """Nothing of its own."""
        return {}

    def compute(self, out: ArtifactWriter) -> None:
        """Puts the figures together."""
        headroom, agreement, listed = (self.parent(role) for role in ("headroom", "agreement", "tasks"))
        names = task_names(listed)
        tasks = {names.get(int(task), f"task {task}") for task in listed.summary["sizes"]}
        pairs, records = agreement.table("agreement"), agreement.summary["tasks"]
        reliability = {record["name"]: record["reliability"] for record in records if record["name"] in tasks}
        screening = Screening(
            tasks=len(listed.summary["sizes"]),
            cosine=task_diversity(pairs, reliability),
            gains={gain: Estimate.of(headroom.summary["over_tasks"][gain]) for gain in GAINS},
            displacement=Displacement.of(headroom.summary["displacement"]),
            tuning_steps=headroom.summary["tuning_steps"],
        )
        out.write_summary({**screening.as_dict(), "downstream": downstream_cosines(pairs, tasks)})
