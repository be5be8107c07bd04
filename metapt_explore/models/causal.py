"""Decoder-only language models under stacked soft prompts, in each placement.

`suffix` puts the text in front of the prompt: its keys and values do not depend on the prompt and are computed
once (`KVBank`). A step runs only the prompt and the template's tail, at a cost that hardly depends on the length
of the text. `prefix`, the classic layout, puts the prompt first; a group's rows share its keys and values.
With `deep` these keys and values, of every layer, are the prompt itself (`deep.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from metapt_explore.config import ModelConfig, Placement
from metapt_explore.errors import UserError
from metapt_explore.models.backbone import Backbone, Prepared
from metapt_explore.models.decoders import attention, fused_weights
from metapt_explore.models.decoders.base import Decoder
from metapt_explore.models.decoders.fused import FusedDecoder
from metapt_explore.models.decoders.plain import PlainDecoder, pick
from metapt_explore.models.deep import DeepShape
from metapt_explore.models.heads import LinearHead
from metapt_explore.models.kv_cache.text import TokenRows, pad_rows
from metapt_explore.models.kv_cache.tiers import KVTensors
from metapt_explore.models.layout import Layout
from metapt_explore.models.placing import is_placed, whole_tensor, whole_weight
from metapt_explore.verbalizers.pattern import PatternVerbalizer
from metapt_explore.verbalizers.template import Template
from metapt_explore.verbalizers.verbalizer import Run, Verbalizer, Word, read_onwards

#: Tokens whose keys and values say how long a deep prompt's vectors usually are.
USUAL_TOKENS = 64


class CausalLayout(Layout):
    """Texts and template from left to right; the answer follows the end."""

    def __init__(self, tokenizer: Any, config: ModelConfig, placement: Placement) -> None:
        super().__init__(tokenizer, config, placement)
        self.special_after = ()  # an end-of-text token would stand in front of the answer

    def check_template(self, written: str, template: Template, where: str) -> None:
        """See `Layout`."""
        mask = template.slot("mask")
        if mask is not None and template.pieces[-1] != mask:
            raise UserError(
                f"{where}: the template holds {{mask}} before its end; a decoder-only model reads from left to right "
                "and answers at the end. Leave {mask} out, or put it last."
            )
        if not template.tail:
            raise UserError(
                f"{where}: the template ends with {{text}}; add something after it, such as '\\nSentiment:', "
                "where the label word is read."
            )

    def spaced(self, written: str) -> bool:
        """See `Layout`."""
        # A space stands in front of a label word, unless the template ends otherwise.
        return written.endswith(" {mask}") if written.endswith("{mask}") else not written[-1:].isspace()

    def verbalizer(self, words: dict[str, list[Word]], *, whole_vocabulary: bool) -> Verbalizer:
        """See `Layout`."""
        return read_onwards(words, whole_vocabulary=whole_vocabulary)

    def row(self, text: Sequence[int], pair: Sequence[int] | None, pattern: PatternVerbalizer) -> tuple[list[int], int]:
        """See `Layout`."""
        ids, _ = self.bank_key(pattern).row(text, pair, ())
        return [*self.special_before, *ids], len(self.special_before) + len(ids) - 1

    def bank_key(self, pattern: PatternVerbalizer) -> Template:
        """See `Layout`. With `suffix` only the template up to the last text is cached."""
        return pattern.template.until_last_text() if self.placement == "suffix" else pattern.template


class CausalBackbone(Backbone):
    """See `Backbone`; the answer follows the template's end.

    Args:
        model: A transformers causal language model, loaded with our attention function.
        tokenizer: Its tokenizer.
        config: Text length, and memory for passes and text states.
        placement: Where the prompt stands, ``suffix``, ``prefix`` or ``deep``.

    Attributes:
        plain: Runs the model's own forward pass.
        fast: Runs the hand-written pass if there is one for this model; else `plain`.
    """

    layout_class = CausalLayout
    left_to_right = True

    def __init__(self, model: Any, tokenizer: Any, config: ModelConfig, *, placement: Placement = "suffix") -> None:
        super().__init__(model, tokenizer, config, placement=placement)
        self.shares_text = self.caches_texts = placement == "suffix"
        self.plain = PlainDecoder(model)
        self.fast: Decoder = (
            FusedDecoder(model) if fused_weights.supports(model) and not is_placed(config) else self.plain
        )
        self.deep: DeepShape | None = None
        if placement == "deep":
            # As the model computes them: not every configuration says it in the same way.
            layers, _, kv_heads, _, head_dim = self.plain.keys_of(self.embedding[None, :1])[0].shape
            self.deep = DeepShape(layers, kv_heads, head_dim)
            self.width = self.deep.width

    def _head(self) -> LinearHead:
        output = self.model.get_output_embeddings()
        cap = getattr(self.model.config.get_text_config(), "final_logit_softcapping", None)
        weight, bias = whole_weight(output), whole_tensor(output, "bias")
        # Of a spread model the output layer may lie elsewhere; prompts and scores are where the embeddings are.
        return LinearHead(weight.to(self.device), None if bias is None else bias.to(self.device), cap=cap)

    @property
    def plain_pass(self) -> bool:
        """See `Backbone`."""
        return self.fast is self.plain

    def _encode(self, rows: Sequence[Sequence[int]]) -> KVTensors:
        keys, values = self.fast.encode(pad_rows(rows, self.device).token_ids)
        return {"keys": keys, "values": values}

    @torch.no_grad()
    def as_prompt(self, vectors: Tensor) -> Tensor:
        """See `Backbone`; with ``deep`` the keys and values that the model itself computes for the vectors."""
        if self.deep is None:
            return vectors
        keys, values = self.plain.keys_of(vectors[None].to(self.device, self.dtype))
        return self.deep.pack(keys, values)[0].float()

    @cached_property
    def usual_vectors(self) -> Tensor:
        """See `Backbone`; with ``deep`` keys and values of some of the commonest tokens."""
        if self.deep is None:
            return self.embedding
        tokens = torch.arange(min(USUAL_TOKENS, len(self.embedding)), device=self.device)
        return self.as_prompt(self.embedding[tokens].float())

    def new_tokens(self, pattern: PatternVerbalizer, prompt_tokens: int) -> int:
        """See `Backbone`."""
        return prompt_tokens + len(pattern.tail) if self.placement == "suffix" else 0

    def spare(self, pattern: PatternVerbalizer, prompt_tokens: int) -> int:
        new = self.new_tokens(pattern, prompt_tokens)
        return new + pattern.verbalizer.longest_insertion if new else 0

    def _pass_tokens(self, pattern: PatternVerbalizer, prompt_tokens: int, longest: int) -> tuple[int, int]:
        if self.placement == "deep":  # the row runs behind a prompt whose keys are there
            return longest + pattern.verbalizer.longest_insertion, prompt_tokens
        spare = self.spare(pattern, prompt_tokens)
        return spare, longest + (0 if spare else pattern.verbalizer.longest_insertion)

    # ----------------------------------------------------------------------------------- scores

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
        decoder = self.plain if second_derivative else self.fast
        if isinstance(rows, TokenRows):
            rows = rows.with_inserted(run.inserted)
            vectors = self._embed(rows.token_ids)
            if not prompts.shape[1]:
                hidden = self.plain.after_prompt(prompts, vectors, rows.lengths, groups=groups)
            elif self.deep is not None and self.placement == "deep":  # not where examples stand in front
                keys, values = self.deep.unpack(prompts.to(self.dtype))
                hidden = decoder.after_keys(keys, values, vectors, lengths=rows.lengths, groups=groups)
            else:
                hidden = decoder.after_prompt(prompts.to(self.dtype), vectors, rows.lengths, groups=groups)
        else:
            behind = self._vectors((*pattern.tail, *run.inserted), len(groups))
            new = torch.cat([pick(prompts, groups).to(self.dtype), behind], dim=1)
            hidden = decoder.after_text(new, rows, blocks=1)[:, 0]
        return hidden[:, None]

    def features_of_each_prompt(
        self, prompts: Tensor, rows: Prepared, pattern: PatternVerbalizer, *, run: Run
    ) -> Tensor:
        if isinstance(rows, TokenRows):
            return super().features_of_each_prompt(prompts, rows, pattern, run=run)
        blocks, count = len(prompts), len(rows.lengths)
        behind = self._vectors((*pattern.tail, *run.inserted), blocks)
        new = torch.cat([prompts.to(self.dtype), behind], dim=1).reshape(1, -1, self.width).expand(count, -1, -1)
        return self.fast.after_text(new, rows, blocks)[:, :, None]

    @torch.no_grad()
    def full_logits(
        self, prompt: Tensor, token_ids: Sequence[int], position: int, *, pattern: PatternVerbalizer
    ) -> Tensor:
        """See `Backbone`."""
        text, tail = self._vectors(token_ids, 1)[0], self._vectors(pattern.tail, 1)[0]
        vectors = prompt.to(self.dtype)
        before: dict[str, Any] = {"use_cache": False}
        if self.deep is not None:
            whole, before = text[None], {"past_key_values": self.deep.cache(vectors, self.model.config)}
        else:
            whole = torch.cat([text, vectors, tail] if self.placement == "suffix" else [vectors, text])[None]
        self.model.set_attn_implementation("eager")
        try:
            logits: Tensor = self.model(inputs_embeds=whole, **before).logits
            return logits[0, -1].float().to(self.device)
        finally:
            self.model.set_attn_implementation(attention.NAME)
