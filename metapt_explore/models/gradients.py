"""Losses of stacked prompts, their gradients and Hessian products: all differentiation of the backbone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from metapt_explore.config.pretraining import FORWARD_COST, SECOND_ORDER_COST
from metapt_explore.models.backbone import Backbone
from metapt_explore.models.kv_cache.banks import Bank
from metapt_explore.models.memory import is_out_of_memory
from metapt_explore.models.passes import Batch, PassRows, pass_losses, pass_rows, tensors_of, with_tensors
from metapt_explore.verbalizers.pattern import PatternVerbalizer

__all__ = ["Batch", "PromptObjective"]

#: Without cached texts, a pass takes no row that would make more than this share of it padding,
PADDING_SHARE = 0.2
#: once it has this many tokens, which are enough for full speed on a CPU; on a card.
BUCKET_TOKENS, CARD_BUCKET_TOKENS = 512, 8192
#: What losses are multiplied by while gradients go through a float16 model, whose smallest number is 6e-8 (Micikevicius
#: et al., 2018, https://arxiv.org/abs/1710.03740); a power of two loses no bit.
FLOAT16_SCALE = 1024.0


class PromptObjective:
    """A backbone with a bank and a pattern: losses and gradients for batches of the bank's rows.

    Rows do not interact (evaluation mode, no dropout): the sum of the groups' mean losses has each group's exact
    gradient, and a batch may be cut into passes anywhere. Passes hold rows of similar length, as many as the memory
    budget allows; if memory runs out, passes are halved from then on.

    Args:
        backbone: The frozen model.
        bank: The texts.
        pattern: Template and label words.
        others: Further patterns with their banks, for tasks that are read in other ways; rows of a pass share bank and
            template, and may differ in label words of one token.

    Attributes:
        row_passes: Rows sent forward and backward so far; methods are compared by it.
        diagnostic_rows: Rows sent forward only, for diagnostics.
        passes: Passes through the model.
        on_pass: Called after each pass; may raise to stop.
    """

    def __init__(
        self,
        backbone: Backbone,
        bank: Bank,
        pattern: PatternVerbalizer,
        *,
        others: Sequence[tuple[Bank, PatternVerbalizer]] = (),
    ) -> None:
        self.backbone, self.bank, self.pattern = backbone, bank, pattern
        self._patterns = [(bank, pattern), *others]
        self._pass_of = _first_alike(self._patterns)
        self.row_passes = 0.0
        self.diagnostic_rows = 0
        self.passes = 0
        self.on_pass: Callable[[], None] = lambda: None

    def prepare(self, batch: Batch) -> None:
        """Encodes the texts of a batch together, in whichever bank they are."""
        rows: dict[Bank, list[int]] = {}
        for row, pattern in zip(batch.rows, batch.patterns or [0] * len(batch.rows), strict=True):
            rows.setdefault(self._patterns[pattern][0], []).append(row)
        for bank, of_bank in rows.items():
            bank.prepare(of_bank)

    def losses_and_gradients(self, prompts: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy of each group, and its gradient.

        Args:
            prompts: fp32, `[groups, prompt_tokens, width]`.
            batch: Rows of one or more groups.

        Returns:
            Losses `[groups]` (0 for a group without rows), and gradients of the shape of `prompts`.
        """
        self.row_passes += len(batch.rows)
        prompts = prompts.detach()
        gradients = torch.zeros_like(prompts)
        losses = torch.zeros(len(prompts), device=prompts.device)

        def run(part: list[int]) -> None:
            part_losses, gradient = self._part_gradient(prompts, self._rows_of(prompts, batch, part))
            gradients.add_(gradient)
            losses.add_(part_losses)

        self._in_passes(prompts, batch, run)
        return losses, gradients

    @torch.no_grad()
    def losses(self, prompts: Tensor, batch: Batch, *, for_gradient: bool = False) -> Tensor:
        """Mean cross-entropy of each group without a gradient, `[groups]`.

        Args:
            prompts: fp32, `[groups, prompt_tokens, width]`.
            batch: Rows of one or more groups.
            for_gradient: Whether a method learns by them: a row counts as `FORWARD_COST` row passes then, else in
                `diagnostic_rows`.
        """
        if for_gradient:
            self.row_passes += FORWARD_COST * len(batch.rows)
        else:
            self.diagnostic_rows += len(batch.rows)
        losses = torch.zeros(len(prompts), device=prompts.device)
        self._in_passes(prompts, batch, lambda part: losses.add_(self._part_losses(prompts, batch, part)))
        return losses

    def hessian_products(self, prompts: Tensor, batch: Batch, vectors: Tensor) -> Tensor:
        """Product of each group's Hessian with a vector: the gradient of `<gradient, vector>`.

        Counted as `SECOND_ORDER_COST` row passes a row, as measured (`docs/benchmarks.md`).

        Args:
            prompts: fp32, `[groups, prompt_tokens, width]`.
            batch: Rows of one or more groups.
            vectors: The shape of `prompts`.

        Returns:
            The products, the shape of `prompts`.
        """
        prompts = prompts.detach().requires_grad_(True)
        products = torch.zeros_like(prompts)
        scale = self._loss_scale

        def run(part: list[int]) -> None:
            part_losses = self._part_losses(prompts, batch, part, second_derivative=True)
            (gradient,) = torch.autograd.grad(scale * part_losses.sum(), prompts, create_graph=True)
            (product,) = torch.autograd.grad((gradient * vectors).sum(), prompts)
            products.add_(product / scale)

        self.row_passes += SECOND_ORDER_COST * len(batch.rows)
        self._in_passes(prompts, batch, run, second_derivative=True)
        return products

    # ----------------------------------------------------------------------------------- passes

    @property
    def _loss_scale(self) -> float:
        """What a loss is multiplied by while its gradient is taken, see `FLOAT16_SCALE`."""
        return FLOAT16_SCALE if self.backbone.dtype == torch.float16 else 1.0

    def _in_passes(
        self,
        prompts: Tensor,
        batch: Batch,
        run: Callable[[list[int]], object],
        *,
        second_derivative: bool = False,
    ) -> None:
        """Cuts a batch into passes and runs each; halves them if memory runs out."""
        todo = self._cut(prompts, batch, second_derivative=second_derivative)
        while todo:
            part = todo.pop(0)
            exhausted = False
            try:
                run(part)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                exhausted = True  # handled outside of `except`, where the error still holds the tensors
            if exhausted:
                limit = self.backbone.halve_passes(len(part))
                todo = [rows[i : i + limit] for rows in [part, *todo] for i in range(0, len(rows), limit)]
                continue
            self.passes += 1
            self.on_pass()

    def _cut(self, prompts: Tensor, batch: Batch, *, second_derivative: bool) -> list[list[int]]:
        """Positions of the batch in passes of similar length, bank and template."""
        if not batch.patterns:
            return self._cut_alike(
                prompts, batch, positions=range(len(batch.rows)), number=0, second_derivative=second_derivative
            )
        alike: dict[int, list[int]] = {}
        for position, number in enumerate(batch.patterns):
            alike.setdefault(self._pass_of[number], []).append(position)
        parts: list[list[int]] = []
        for number in sorted(alike):
            parts += self._cut_alike(
                prompts, batch, positions=alike[number], number=number, second_derivative=second_derivative
            )
        return parts

    def _cut_alike(
        self, prompts: Tensor, batch: Batch, *, positions: Sequence[int], number: int, second_derivative: bool
    ) -> list[list[int]]:
        backbone, (bank, pattern) = self.backbone, self._patterns[number]
        lengths = {position: len(bank.token_ids[batch.rows[position]]) for position in positions}
        order = sorted(positions, key=lambda position: (lengths[position], position))
        prompt_tokens = prompts.shape[1]
        enough = BUCKET_TOKENS if prompts.device.type == "cpu" else CARD_BUCKET_TOKENS
        parts: list[list[int]] = []
        part: list[int] = []
        tokens = 0
        for position in order:
            longest = lengths[position]
            limit = backbone.rows_within(pattern, prompt_tokens, longest, second_derivative=second_derivative)
            padded = (len(part) + 1) * longest
            wasteful = (
                not backbone.caches_texts and tokens >= enough and padded > (1 + PADDING_SHARE) * (tokens + longest)
            )
            if part and (len(part) >= limit or wasteful):
                parts.append(part)
                part, tokens = [], 0
            part.append(position)
            tokens += longest
        return [*parts, part] if part else parts

    def _rows_of(self, prompts: Tensor, batch: Batch, part: list[int]) -> PassRows:
        """The rows of one pass, on the device."""
        first = batch.patterns[part[0]] if batch.patterns else 0
        bank, pattern = self._patterns[first]
        rows, tokens = [batch.rows[position] for position in part], prompts.shape[1]
        texts = self.backbone.prepared(bank, rows, pattern, prompt_tokens=tokens)
        return pass_rows(texts, batch, part, [pattern for _, pattern in self._patterns], prompts.device)

    def _part_gradient(self, prompts: Tensor, rows: PassRows) -> tuple[Tensor, ...]:
        """One pass's share of the groups' mean losses, `[groups]`, and the gradient of their sum."""
        scale, backbone = self._loss_scale, self.backbone

        def compute(prompts: Tensor, *tensors: Tensor) -> tuple[Tensor, Tensor]:
            leaf = prompts.detach().requires_grad_(True)
            losses = pass_losses(backbone, leaf, with_tensors(rows, tensors))
            (gradient,) = torch.autograd.grad(scale * losses.sum(), leaf)
            return losses.detach(), gradient / scale

        inputs = [prompts, *tensors_of(rows)]
        if backbone.graphs is None:
            return compute(*inputs)
        key = rows.pattern, getattr(rows.texts, "spare", 0), *(tuple(value.shape) for value in inputs)
        return backbone.graphs.run(key, compute, inputs)

    def _part_losses(
        self, prompts: Tensor, batch: Batch, part: list[int], *, second_derivative: bool = False
    ) -> Tensor:
        """One pass's share of the groups' mean losses, `[groups]`."""
        rows = self._rows_of(prompts, batch, part)
        return pass_losses(self.backbone, prompts, rows, second_derivative=second_derivative)


def _first_alike(patterns: Sequence[tuple[Bank, PatternVerbalizer]]) -> list[int]:
    """For each pattern the first whose rows may share its passes: one that differs in label words only."""
    if len(patterns) == 1:
        return [0]
    first: dict[tuple[object, ...], int] = {}
    places = []
    for number, (bank, pattern) in enumerate(patterns):
        apart = not pattern.verbalizer.simple or pattern.head is not None
        key = (number,) if apart else (id(bank), pattern.template)
        places.append(first.setdefault(key, number))
    return places
