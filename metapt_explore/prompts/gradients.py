"""Losses of stacked prompts and their gradients: the one place where the backbone is differentiated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from metapt_explore.prompts.causal import CausalBackbone
from metapt_explore.prompts.reader import Reader
from metapt_explore.prompts.text_state import TextBank


@dataclass(frozen=True)
class Batch:
    """Rows of a bank, each with the group whose prompt it is read under and its class.

    Attributes:
        rows: Row indices into the bank.
        groups: Group of each row.
        labels: Class index of each row.
    """

    rows: Sequence[int]
    groups: Sequence[int]
    labels: Sequence[int]


class Scorer:
    """A backbone with a bank and a reader: losses and gradients for batches of the bank's rows.

    Rows do not interact (evaluation mode, no dropout), so that the sum of the groups' mean losses
    has each group's exact gradient, and a batch may be cut into passes anywhere.

    Attributes:
        row_passes: Rows sent forward and backward so far (what methods are compared by).
        diagnostic_rows: Rows sent forward only, for diagnostics; counted apart.
    """

    def __init__(self, backbone: CausalBackbone, bank: TextBank, reader: Reader) -> None:
        self.backbone, self.bank, self.reader = backbone, bank, reader
        self.row_passes = 0
        self.diagnostic_rows = 0

    def losses_and_gradients(self, prompts: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy of each group, and its gradient.

        Args:
            prompts: fp32, `[groups, prompt_tokens, width]`.
            batch: Rows of one or more groups.

        Returns:
            Losses `[groups]` (0 for a group without rows), and gradients of the shape of `prompts`.
        """
        self.row_passes += len(batch.rows)
        prompts = prompts.detach().requires_grad_(True)
        gradients = torch.zeros_like(prompts)
        losses = torch.zeros(len(prompts), device=prompts.device)
        for part_losses in self._parts(prompts, batch):
            (gradient,) = torch.autograd.grad(part_losses.sum(), prompts)
            gradients += gradient
            losses += part_losses.detach()
        return losses, gradients

    @torch.no_grad()
    def losses(self, prompts: Tensor, batch: Batch) -> Tensor:
        """Mean cross-entropy of each group without a gradient, `[groups]`; counted as a diagnostic."""
        self.diagnostic_rows += len(batch.rows)
        losses = torch.zeros(len(prompts), device=prompts.device)
        for part in self._parts(prompts, batch):
            losses += part
        return losses

    def _parts(self, prompts: Tensor, batch: Batch) -> Iterator[Tensor]:
        """Yields each pass's share of the groups' mean losses, `[groups]`."""
        device = prompts.device
        groups = torch.tensor(batch.groups, device=device)
        labels = torch.tensor(batch.labels, device=device)
        rows_of_group = torch.bincount(groups, minlength=len(prompts)).clamp(min=1)
        step = self.backbone.config.rows_per_pass
        for start in range(0, len(batch.rows), step):
            part = slice(start, start + step)
            state = self.bank.batch(batch.rows[part])
            scores = self.backbone.class_scores(prompts, groups[part], state, self.reader)
            row_losses = F.cross_entropy(scores, labels[part], reduction="none")
            weighted = row_losses / rows_of_group[groups[part]]
            yield torch.zeros(len(prompts), device=device).index_add(0, groups[part], weighted)
