"""Some of the auxiliary tasks of a method's clusterings: for leaving clusters out, or for one cluster alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from metapt_explore.config import MethodConfig, PretrainedMethod
from metapt_explore.errors import UserError
from metapt_explore.stages.auxiliary_tasks import Tasks
from metapt_explore.stages.base import Pipeline, Stage
from metapt_explore.storage.artifact import Artifact, ArtifactWriter
from metapt_explore.storage.studies import Subject


@dataclass(frozen=True, eq=False)
class TaskSubset(Stage):
    """The auxiliary tasks without some clusters, or of some only; rows and classes of a task stay as they are.

    Attributes:
        method: The method, whose `without` or `only` name clusters by their tasks' numbers.
    """

    kind = "tasks"
    # Another name in the study's list: the entry of all tasks stays.
    listed = "some tasks"
    part = "clusters"
    least_work = 0.0

    method: PretrainedMethod

    @classmethod
    def asked(cls, pipeline: Pipeline, init_seeds: Collection[int]) -> Iterator[TaskSubset]:
        """Those of methods that leave tasks out."""
        for method in pipeline.config.methods:
            if isinstance(method, PretrainedMethod) and (method.without or method.only):
                yield cls(pipeline, method)

    @property
    def _choice(self) -> tuple[str, list[int]]:
        return ("without", self.method.without) if self.method.without else ("only", self.method.only)

    @property
    def called(self) -> str:
        """The clusterings, and which clusters."""
        key, clusters = self._choice
        return f"{' + '.join(self.method.clusterings)} {key} {', '.join(map(str, sorted(clusters)))}"

    @property
    def key(self) -> str:
        """See `Stage.key`."""
        return f"tasks/{self.called}"

    @property
    def title(self) -> str:
        """See `Stage.title`."""
        return f"auxiliary tasks of {self.called}"

    def subject(self) -> Subject:
        """The clusterings, and which clusters."""
        return {"clustering": self.called}

    @cached_property
    def parents(self) -> Mapping[str, Stage | Artifact]:
        """All tasks."""
        return {"tasks": Tasks(self.pipeline, tuple(self.method.clusterings))}

    def config(self) -> dict[str, Any]:
        """Which clusters."""
        key, clusters = self._choice
        return {key: sorted(set(clusters))}

    def check(self) -> None:
        """Looks whether the clusters are tasks, and whether some are left.

        Raises:
            UserError: Where a cluster is no task, or no task is left.
        """
        key, clusters = self._choice
        where, clustering = f"method '{self.method.name}'", " + ".join(self.method.clusterings)
        summary = self.parent("tasks").summary
        numbers = [int(task) for task in summary["sizes"]]
        for cluster in clusters:
            if cluster in numbers:
                continue
            listed = ", ".join(map(str, numbers))
            if (why := summary["dropped"].get(str(cluster))) is not None:
                raise UserError(
                    f"{where}: cluster {cluster} of '{clustering}' is no auxiliary task ({why}), so `{key}` cannot "
                    f"name it. Tasks: {listed}."
                )
            raise UserError(
                f"{where}: `{key}`: '{clustering}' has no cluster {cluster}; its auxiliary tasks are {listed}."
            )
        if not self._kept(numbers):
            raise UserError(f"{where}: `without` leaves out every auxiliary task of '{clustering}'.")

    def _kept(self, numbers: list[int]) -> list[int]:
        key, clusters = self._choice
        return [task for task in numbers if (task in clusters) != (key == "without")]

    def compute(self, out: ArtifactWriter) -> None:
        """Takes the tasks out of all of them."""
        tasks = self.parent("tasks")
        # How many memberships soft clusters have is of all of them.
        summary = {key: value for key, value in tasks.summary.items() if key != "memberships"}
        kept, table = self._kept([int(task) for task in summary["sizes"]]), tasks.table("tasks")
        rows = table[table["task"].isin(kept)].reset_index(drop=True)
        out.write_table("tasks", rows)
        counts, used = dict(summary["counts"]), int(rows["row"].nunique())
        counts["left_out"], counts["used"] = counts["used"] - used, used
        sizes = {str(task): summary["sizes"][str(task)] for task in kept}
        out.write_summary({**summary, "tasks": len(kept), "sizes": sizes, "counts": counts})


def tasks_of(pipeline: Pipeline, method: MethodConfig) -> Stage:
    """The auxiliary tasks that a method learns from: those of its clusterings, or some of them."""
    if isinstance(method, PretrainedMethod) and (method.without or method.only):
        return TaskSubset(pipeline, method)
    return Tasks(pipeline, tuple(method.clusterings))
