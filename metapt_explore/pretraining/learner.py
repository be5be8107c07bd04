"""What a pre-training method is: two verbs, `draw` and `gradient`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from metapt_explore.config import PretrainingConfig
from metapt_explore.pretraining.episodes import Episode, Tasks
from metapt_explore.prompts.gradients import Scorer


class Learner(Protocol):
    """A pre-training method.

    The loop draws an episode, asks for the outer gradient and takes an optimiser step; methods
    differ only in these two verbs, and spend the same number of backbone passes.
    """

    def draw(self, step: int) -> Episode:
        """Draws what outer step `step` sees."""

    def gradient(self, prompt: Tensor, episode: Episode, scorer: Scorer) -> tuple[Tensor, list[dict[str, Any]]]:
        """Outer gradient, and one record for each task of the episode.

        Args:
            prompt: fp32, `[prompt_tokens, width]`.
            episode: What `draw` returned, with rows counted in the scorer's bank.
            scorer: The backbone over the rows.

        Returns:
            The gradient, shaped as the prompt, and records with the task's losses.
        """


@dataclass(frozen=True)
class Setting:
    """What every method is given.

    Attributes:
        tasks: Auxiliary tasks; pooled pre-training draws from the same ones together.
        config: Sizes and rates.
        seed: The study seed.
        init_seed: The initialisation seed.
        labelled_rows: Every row with a label, whether or not a task holds it.
    """

    tasks: Tasks
    config: PretrainingConfig
    seed: int
    init_seed: int
    labelled_rows: Sequence[int] = ()
