"""How fast the workers of an engine run a study's model, and how long all of them together take for what is left.

Each worker times the model before its first cell of it (once on a machine, with its threads). The run keeps what they
say for the next one. Workers of this machine that nobody has timed yet are taken to be as fast as this process was, on
a processor each by its share of the cores; how fast another machine is, nobody knows before its workers say so.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from metapt_explore.cost.count import Speed
from metapt_explore.errors import UserError
from metapt_explore.study.cells import predicted_seconds
from metapt_explore.study.pipeline import StudyPipeline
from metapt_explore.study.preview import WORTH_TOKENS

if TYPE_CHECKING:
    from metapt_explore.progress.state import Progress

#: What a `Speed` tells of the time that work takes.
OF_WORK = ("trained", "tuned", "hessian", "scored", "encoded", "embedded")


class Pace:
    """The pace of one study on one engine.

    Args:
        study: The study.
        name: The engine, as `--on` calls it.
        slots: Its workers.
    """

    def __init__(self, study: StudyPipeline, name: str, slots: int) -> None:
        self._study, self.name, self.slots = study, name, max(1, slots)
        self._told: dict[str, Speed] = {}
        self._speed: Speed | None = None
        #: Where the speed comes from, in words; empty where there is none.
        self.basis = ""
        with suppress(UserError):  # the run says what cannot be read
            self._look()

    def _look(self) -> None:
        from metapt_explore.cost.speeds import KeptSpeeds

        folder, identity = self._study.workspace.folder, self._study.model.identity
        kept = KeptSpeeds(folder, identity, workers=self.name).latest()
        if kept is not None:
            self._speed, self.basis = kept, f"workers on {self.name} measured it{_when(kept)}"
            return
        own = KeptSpeeds(folder, identity).latest()
        if own is not None and self.name.partition(":")[0] == "local":
            shared = self.slots if self._study.model.device.startswith("cpu") else 1
            self._speed = replace(own, **{key: shared * getattr(own, key) for key in OF_WORK})
            self.basis = f"measured in one process of this machine{_when(own)}"

    def take(self, told: Mapping[str, Mapping[str, Any]]) -> bool:
        """Takes in what workers have measured, by their batches; returns whether any of it is new."""
        from metapt_explore.cost.speeds import KeptSpeeds

        new = {batch: speed for batch, tree in told.items() if batch not in self._told and (speed := _speed_of(tree))}
        if not new:
            return False
        self._told |= new
        self._speed = mean_speed(list(self._told.values()))
        self.basis = f"workers on {self.name} measured it"
        with suppress(UserError, OSError):  # only the next run misses it
            kept = KeptSpeeds(self._study.workspace.folder, self._study.model.identity, workers=self.name)
            kept.keep({}, replace(self._speed, measured_at=time.time()))
        return True

    def seconds(self, init_seeds: Collection[int] | None = None) -> dict[str, float]:
        """What each cell takes a worker, by key; empty where nobody knows."""
        return predicted_seconds(self._study, init_seeds, speed=self._speed)

    def plan(
        self,
        progress: Progress,
        seconds: Mapping[str, float],
        *,
        parents: Mapping[str, Sequence[str]],
        done: Collection[str],
    ) -> None:
        """Plans the time left of a run; without a measurement it is left to what the run itself shows.

        Args:
            progress: Of the run.
            seconds: What cells take, see `seconds`.
            parents: What each cell is made from.
            done: Cells that are there.
        """
        planned = progress.planned
        known = {key: seconds[key] for key in planned if key in seconds}
        before = sum(planned[key] for key in known)
        if not self.basis or not before:
            if sum(planned.values()) >= WORTH_TOKENS and not self.basis:
                progress.notice(
                    f"How fast workers on {self.name} run the model is not known yet: they measure it when they begin, "
                    "and until then no time left is told."
                )
            return
        works = {key: known.get(key, work * sum(known.values()) / before) for key, work in planned.items()}
        left = {key: work for key, work in works.items() if key not in done}
        total = sum(left.values())
        wall = least_time(left, parents, self.slots)
        progress.plan_shared(works, rate=wall / total if total else None)


def least_time(left: Mapping[str, float], parents: Mapping[str, Sequence[str]], slots: int) -> float:
    """Seconds that so many workers need at least: each its share of the work, and never less than the longest chain.

    Args:
        left: Seconds of the cells that are left, by key.
        parents: What each is made from.
        slots: Workers.

    Example:
        >>> least_time({"a": 60.0, "b": 60.0, "c": 60.0}, {"b": ["a"], "c": ["b"]}, 3)
        180.0
        >>> least_time({"a": 60.0, "b": 60.0, "c": 60.0}, {}, 2)
        90.0
    """
    chains: dict[str, float] = {}

    def chain(key: str) -> float:
        if key not in chains:
            chains[key] = 0.0  # a circle would be an error elsewhere
            chains[key] = left.get(key, 0.0) + max(map(chain, parents.get(key, ())), default=0.0)
        return chains[key]

    return max(sum(left.values()) / max(1, slots), max(map(chain, left), default=0.0))


def mean_speed(speeds: Sequence[Speed]) -> Speed:
    """The mean of what several workers have measured."""
    return replace(speeds[0], **{key: sum(getattr(each, key) for each in speeds) / len(speeds) for key in OF_WORK})


def _speed_of(tree: Mapping[str, Any]) -> Speed | None:
    names = {each.name for each in fields(Speed)}
    if not all(key in names and isinstance(value, int | float | None) for key, value in tree.items()):
        return None
    with suppress(TypeError):  # a worker of another version
        return Speed(**tree)
    return None


def _when(speed: Speed) -> str:
    return (
        "" if speed.measured_at is None else time.strftime(" on %d %b %Y at %H:%M", time.localtime(speed.measured_at))
    )
