"""Masked language models (BERT, RoBERTa …) under stacked soft prompts: the prompt in front, the answer at a mask.

The prompt stands in front of the first special token, as in PEFT's prompt tuning. Attention is bidirectional, so
nothing of a text can be computed without the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from metapt_explore.config import ModelConfig, Placement
from metapt_explore.errors import UserError
from metapt_explore.models.attention_backend import AttentionBackend
from metapt_explore.models.backbone import Backbone, Prepared
from metapt_explore.models.decoders.plain import pick
from metapt_explore.models.heads import ModelHead
from metapt_explore.models.kv_cache.text import TokenRows
from metapt_explore.models.layout import Layout
from metapt_explore.models.memory import ENCODER_FACTOR
from metapt_explore.verbalizers.on_device import constant
from metapt_explore.verbalizers.pattern import PatternVerbalizer
from metapt_explore.verbalizers.verbalizer import Head, Run, Verbalizer, Word, read_masks


class MaskedLayout(Layout):
    """The answer stands at ``{mask}``, or behind a template without one."""

    def __init__(self, tokenizer: Any, config: ModelConfig, placement: Placement) -> None:
        super().__init__(tokenizer, config, placement)
        if tokenizer.mask_token_id is None:
            raise UserError(f"The tokenizer of '{config.name}' has no mask token.")
        self._mask = int(tokenizer.mask_token_id)

    def spaced(self, written: str) -> bool:
        """See `Layout`."""
        before, mask, _ = written.partition("{mask}")
        return before.endswith(" ") if mask else not before[-1:].isspace()

    def verbalizer(self, words: dict[str, list[Word]], *, whole_vocabulary: bool) -> Verbalizer:
        """See `Layout`."""
        return read_masks(words, self._mask, whole_vocabulary=whole_vocabulary)

    def row(self, text: Sequence[int], pair: Sequence[int] | None, pattern: PatternVerbalizer) -> tuple[list[int], int]:
        """See `Layout`."""
        ids, position = pattern.template.row(text, pair, (self._mask,))
        if pattern.template.slot("mask") is None:
            position = len(ids)
            ids.append(self._mask)
        return [*self.special_before, *ids, *self.special_after], len(self.special_before) + position


class BidirectionalEncoder:
    """Runs a bidirectional encoder over prompts and the rows behind them.

    Args:
        model: A transformers model.
        base: Its encoder; the model itself where it has no output layer.
        embed: Its layer that embeds tokens.
    """

    def __init__(self, model: Any, base: Any, embed: Any) -> None:
        self._base, self._embed = base, embed
        self._attention = AttentionBackend(model)

    def __call__(self, prompts: Tensor, groups: Tensor, rows: TokenRows, *, second_derivative: bool = False) -> Tensor:
        """Hidden states of each row behind its group's prompt, `[rows, prompt_tokens + tokens, width]`."""
        row_prompts = pick(prompts, groups)
        mask = torch.cat([rows.mask().new_ones(len(groups), row_prompts.shape[1]), rows.mask()], dim=1)
        vectors = torch.cat([row_prompts, self._embed(rows.token_ids)], dim=1)
        with self._attention.for_pass(second_derivative=second_derivative):
            hidden: Tensor = self._base(inputs_embeds=vectors, attention_mask=mask).last_hidden_state
        return hidden


class MaskedBackbone(Backbone):
    """See `Backbone`; the answer is read at the mask.

    Args:
        model: A transformers masked language model.
        tokenizer: Its tokenizer, which has a mask token.
        config: Text length, and memory for passes.
        placement: ``prefix``.
    """

    layout_class = MaskedLayout
    plain_factor = ENCODER_FACTOR

    def __init__(self, model: Any, tokenizer: Any, config: ModelConfig, *, placement: Placement = "prefix") -> None:
        super().__init__(model, tokenizer, config, placement=placement)
        self._encoder = BidirectionalEncoder(model, model.base_model, self._embed)

    def _head(self) -> Head:
        return ModelHead(self.model)

    def new_tokens(self, pattern: PatternVerbalizer, prompt_tokens: int) -> int:
        """See `Backbone`."""
        return 0

    def features(
        self,
        prompts: Tensor,
        groups: Tensor,
        rows: Prepared,
        *,
        pattern: PatternVerbalizer,
        run: Run,
        second_derivative: bool = False,
    ) -> Tensor:
        """See `Backbone`."""
        assert isinstance(rows, TokenRows)
        rows = rows.with_inserted(run.inserted)
        hidden = self._encoder(prompts.to(self.dtype), groups, rows, second_derivative=second_derivative)
        first = rows.positions[:, None] + prompts.shape[1]
        places = first + constant(run.offsets, first.device)
        return hidden.gather(1, places[..., None].expand(-1, -1, hidden.shape[2]))

    @torch.no_grad()
    def full_logits(
        self, prompt: Tensor, token_ids: Sequence[int], position: int, *, pattern: PatternVerbalizer
    ) -> Tensor:
        """See `Backbone`."""
        whole = torch.cat([prompt.to(self.dtype)[None], self._vectors(token_ids, 1)], dim=1)
        logits: Tensor = self.model(inputs_embeds=whole).logits
        return logits[0, len(prompt) + position].float()
