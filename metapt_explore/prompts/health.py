"""Is a prompt where the model can read it? An early warning by the length of its vectors.

Prompt vectors far off the scale of the vocabulary's embeddings cost most of the accuracy and do not
recover (a known trap of prompt tuning libraries: a normal random start; huggingface/peft#2815).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from metapt_explore.errors import UserError
from metapt_explore.prompts.init import COMMONEST

#: How many times longer or shorter than a vocabulary vector a prompt vector may be before it is reported.
LIMIT = 3.0


def norm_ratio(prompt: Tensor, embedding: Tensor) -> float:
    """Median length of the prompt's vectors over the median length of the commonest vocabulary vectors.

    Args:
        prompt: `[…, prompt_tokens, width]`.
        embedding: The vocabulary's vectors, `[vocabulary, width]`; for deep prompts its keys and values.

    Example:
        >>> norm_ratio(torch.full((2, 4), 3.0), torch.ones(10, 4))
        3.0
    """
    typical = embedding[:COMMONEST].float().norm(dim=-1).median()
    return float(prompt.float().norm(dim=-1).median() / typical.clamp(min=1e-12))


class HealthWatch:
    """Looks at prompts while they learn; says once what is wrong.

    Measuring and judging are two calls: what was measured may stay on a graphics card for a while.

    Args:
        embedding: As for `norm_ratio`.
        what: Which prompt this is, for the message.
        notice: Receives the message.
    """

    def __init__(self, embedding: Tensor, what: str, notice: Callable[[str], None]) -> None:
        self._typical = embedding[:COMMONEST].float().norm(dim=-1).median().clamp(min=1e-12)
        self._what, self._notice = what, notice
        self._said = False

    def measure(self, prompts: Tensor, losses: Tensor) -> Tensor:
        """What `judge` goes by, on the device: for each prompt whether all is finite (1 or 0), and its `norm_ratio`.

        Args:
            prompts: `[prompts, prompt_tokens, width]`.
            losses: Losses of each prompt, `[prompts]` or `[prompts, losses]`.

        Returns:
            fp32, `[prompts, 2]`.
        """
        finite = torch.isfinite(prompts).flatten(1).all(1) & torch.isfinite(losses).view(len(prompts), -1).all(1)
        ratios = prompts.float().norm(dim=-1).median(dim=-1).values / self._typical
        return torch.stack([finite.float(), ratios], dim=1)

    def judge_finite(self, finite: float, *, step: int, rate: str) -> None:
        """Raises a UserError where something is not finite; arguments as of `judge`."""
        if not finite:
            raise UserError(
                f"{self._what}: the loss is not a finite number at step {step}. A lower `{rate}` usually helps; so "
                "does `model.dtype: float32`."
            )

    def judge(self, finite: float, ratio: float, *, step: int, rate: str) -> None:
        """Says what is wrong with one prompt.

        Args:
            finite: 1 where its numbers and losses are finite, else 0.
            ratio: Its `norm_ratio`.
            step: Steps taken before it was measured.
            rate: The setting that is likely too high where numbers run away.

        Raises:
            UserError: Where something is not finite.
        """
        self.judge_finite(finite, step=step, rate=rate)
        if not self._said and not 1 / LIMIT <= ratio <= LIMIT:
            self._said = True
            # Without step and ratio, so that equal notices of several prompts are shown once.
            far = f"more than {LIMIT:g} times as long as" if ratio > 1 else f"less than 1/{LIMIT:g} as long as"
            self._notice(
                f"{self._what}: the prompt's vectors become {far} the vocabulary's. Prompts far off that scale learn "
                f"badly: use `prompt.init: vocabulary`, or a lower `{rate}`."
            )
