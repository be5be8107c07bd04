"""About how long a study takes, before it is made: counted, with no model loaded and nothing timed.

`metapt plan` measures this machine; a form only has to tell minutes from hours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from metapt_explore.config import Placement, StudyConfig, TaskConfig
from metapt_explore.cost.count import Reckoning, TextCounts
from metapt_explore.stages.base import Pipeline
from metapt_explore.stages.registry import count

#: Seconds of a token through the starter model, from the fastest to the slowest of two cores: the tour's models took
#: 1 min 49 s for 143,942 tokens with a bfloat16 unit (docs/benchmarks.md), and about three times as long without one.
SECONDS_A_TOKEN = (0.00076, 0.0023)


@dataclass
class _Counted:
    """As much of a pipeline as counting looks at."""

    config: StudyConfig
    tasks: Mapping[str, TaskConfig]
    known: dict[Any, Any] | None = field(default=None)

    def seed(self, init_seed: int | None) -> int:
        return self.config.evaluation.init_seeds[0] if init_seed is None else init_seed


def rough_tokens(study: StudyConfig, tasks: Mapping[str, TaskConfig], texts: int) -> float:
    """Tokens that a study sends through the language model; a backward pass counts as the forward passes it takes.

    Args:
        study: The study.
        tasks: Its downstream tasks by name.
        texts: Pre-training texts.

    Example:
        >>> from metapt_explore.config import load_study, load_task
        >>> tour = load_study("tour")
        >>> tasks = {name: load_task(name) for name in tour.evaluation.tasks}
        >>> 100_000 < rough_tokens(tour, tasks, 600) < 200_000
        True
    """
    placement: Placement = study.prompt.placement or "suffix"
    reckoning = Reckoning.of(study, placement, texts=TextCounts(rows=texts))
    works = count(cast(Pipeline, _Counted(study, tasks)), reckoning)
    return sum(work.tokens(reckoning.tail) for work in works.values())


def rough_time(tokens: float) -> str:
    """About how long so many tokens take with the starter model on two cores.

    Example:
        >>> rough_time(150_000)
        '2 to 6 min'
    """
    least, most = (seconds * tokens for seconds in SECONDS_A_TOKEN)
    if most < 90:
        return "a minute or two"
    if most < 2 * 3600:
        return f"{max(1, round(least / 60))} to {round(most / 60)} min"
    return f"{least / 3600:.1g} to {round(most / 3600)} h"
