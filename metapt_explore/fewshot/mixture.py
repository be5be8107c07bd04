"""Several starts from one pre-training: each data seed mixes them by its few-shot training rows.

SPoT (Vu et al., ACL 2022, arXiv 2110.07904) takes the source prompt of the most similar task, ATTEMPT (Asai et al.,
EMNLP 2022, arXiv 2205.11961) a mixture by attention, HSML (Yao et al., ICML 2019, arXiv 1905.05301) one by a learned
gate. The gate here is the simplest: the loss of the training rows at each start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from metapt_explore.config.tuning import MIXTURE_STEPS
from metapt_explore.fewshot.starts import Begins, Starts, TrainRows
from metapt_explore.models.gradients import Batch
from metapt_explore.pretraining.gate import gate_weights, losses_at_starts, mixed

#: Rate of the steps that learn a mixture's weights (Adam, on their logits).
LEARNED_RATE = 0.5


@dataclass(frozen=True)
class FromMixture:
    """Begins each data seed's prompt with a mixture of starts (see `StartMaker`).

    ========= =======================================================================================
    by        weights of a data seed, from its training rows
    ========= =======================================================================================
    gate      softmax of minus the loss at each start, over the temperature
    best      1 for the start with the lowest loss
    mean      equal, whatever the rows
    learned   softmax of logits that begin equal and take `MIXTURE_STEPS` steps down the loss of the
              mixture; the prompt is tuned from there
    ========= =======================================================================================

    Attributes:
        offsets: Start `k` is the prompt plus `offsets[k]`, `[starts, prompt_tokens, width]`.
        names: What each start is called.
        mixture: What weights come from.
        temperature: Of the gate.
    """

    offsets: Tensor
    names: Sequence[str]
    mixture: Literal["gate", "best", "mean", "learned"]
    temperature: float = 1.0

    def __call__(self, prompt: Tensor, rows: TrainRows) -> Starts:
        """See `StartMaker`."""
        prompts, begins = {}, {}
        count = sum(len(train.labels) for train in rows.train.values())
        of_loss = self.mixture in ("gate", "best")
        learned = self._learned(prompt, rows) if self.mixture == "learned" else {}
        for seed in rows.train:
            losses = self._losses(prompt, rows, seed) if of_loss else None
            weights = learned[seed] if learned else self._weights(losses)
            prompts[seed] = mixed(prompt, self.offsets, weights[None])[0]
            told = dict(zip(self.names, (round(weight, 4) for weight in weights.tolist()), strict=True))
            begins[seed] = Begins(weights=told, mixture=self.mixture)
        return Starts(
            prompts,
            begins,
            row_passes=MIXTURE_STEPS * count if learned else 0,
            forward_rows=len(self.offsets) * count if of_loss else 0,
        )

    def _weights(self, losses: Tensor | None) -> Tensor:
        """The weights by the losses at each start, `[starts]`; equal ones where there are none."""
        starts = len(self.offsets)
        if losses is None:
            return torch.full((starts,), 1 / starts, device=self.offsets.device)
        if self.mixture == "best":
            return F.one_hot(losses.argmin(), starts).to(losses.dtype)
        return gate_weights(losses, self.temperature)

    def _losses(self, prompt: Tensor, rows: TrainRows, seed: int) -> Tensor:
        """Mean loss of a data seed's training rows at each start, `[starts]`."""
        batch = batch_of(rows, [seed])
        return losses_at_starts(prompt, self.offsets, batch, rows.objective, for_gradient=False)[0]

    def _learned(self, prompt: Tensor, rows: TrainRows) -> dict[int, Tensor]:
        """Weights that lower the loss of the mixture, by data seed; all data seeds in one batch, each by itself."""
        seeds = list(rows.train)
        batch = batch_of(rows, seeds)
        logits = torch.nn.Parameter(torch.zeros(len(seeds), len(self.offsets), device=prompt.device))
        optimiser = torch.optim.Adam([logits], lr=LEARNED_RATE)
        for _ in range(MIXTURE_STEPS):
            weights = torch.softmax(logits, dim=1)
            _, gradients = rows.objective.losses_and_gradients(mixed(prompt, self.offsets, weights.detach()), batch)
            optimiser.zero_grad()
            weights.backward(torch.einsum("tpw,spw->ts", gradients, self.offsets))
            optimiser.step()
        return dict(zip(seeds, torch.softmax(logits.detach(), dim=1), strict=True))


def batch_of(rows: TrainRows, seeds: Sequence[int]) -> Batch:
    """All training rows of some data seeds; data seed i is group i."""
    return Batch(
        [rows.first[seed] + row for seed in seeds for row in range(len(rows.train[seed].labels))],
        [group for group, seed in enumerate(seeds) for _ in rows.train[seed].labels],
        [label for seed in seeds for label in rows.train[seed].labels],
    )
