"""Encoder-decoder models (T5, Flan-T5, BART …) under stacked soft prompts, in two placements.

`encoder` is the layout of the papers (Lester et al., EMNLP 2021; PPT, ACL 2022): the prompt stands in
front of the text in the encoder, and the label word is read in the decoder, behind the sentinel that
stands for the answer in the text. Every step runs the whole encoder. `decoder` puts the prompt in front of
the decoder's own tokens: the keys and values of the cross-attention do not depend on it and are computed
once for each text, and a step runs a few decoder tokens.
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
from metapt_explore.models.heads import LinearHead
from metapt_explore.models.kv_cache.text import TextKV, TokenRows, pad_rows
from metapt_explore.models.kv_cache.tiers import KVTensors
from metapt_explore.models.layout import Layout
from metapt_explore.models.memory import ENCODER_FACTOR, PLAIN_FACTOR, RowMemory
from metapt_explore.verbalizers.pattern import PatternVerbalizer
from metapt_explore.verbalizers.template import Template
from metapt_explore.verbalizers.verbalizer import Run, Verbalizer, Word, read_onwards

#: The sentinel that stands for the answer in T5's texts.
SENTINEL = "<extra_id_0>"
#: As T5's and as mT5's tokenizers write it.
SENTINELS = (SENTINEL, f"▁{SENTINEL}")


class EncoderDecoderLayout(Layout):
    """A text with a sentinel (or a mask) for the answer, which is read at the start of the output."""

    def __init__(self, tokenizer: Any, config: ModelConfig, placement: Placement) -> None:
        super().__init__(tokenizer, config, placement)
        vocabulary = tokenizer.get_vocab()
        sentinel = next((piece for piece in SENTINELS if piece in vocabulary), None)
        if config.sentinel and sentinel is None:
            raise UserError(f"model.sentinel is true, but the tokenizer of '{config.name}' has no {SENTINEL}.")
        #: Stands for the answer in the text, and in front of it in the output; may be empty.
        self.sentinel: tuple[int, ...] = ()
        if sentinel is not None and config.sentinel is not False:
            self.sentinel = (int(vocabulary[sentinel]),)
        mask = tokenizer.mask_token_id
        self._mask = self.sentinel or ((int(mask),) if mask is not None else ())

    def check_template(self, written: str, template: Template, where: str) -> None:
        """See `Layout`."""
        if template.slot("mask") is not None and not self._mask:
            raise UserError(
                f"{where}: the template holds {{mask}}, but '{self.config.name}' uses neither a sentinel nor a mask "
                "token; leave {mask} out (the answer is read at the start of the output)."
            )

    def spaced(self, written: str) -> bool:
        """See `Layout`: the answer begins the output."""
        return False

    def verbalizer(self, words: dict[str, list[Word]], *, whole_vocabulary: bool) -> Verbalizer:
        """See `Layout`."""
        return read_onwards(words, whole_vocabulary=whole_vocabulary)

    def row(self, text: Sequence[int], pair: Sequence[int] | None, pattern: PatternVerbalizer) -> tuple[list[int], int]:
        """See `Layout`."""
        ids, _ = pattern.template.row(text, pair, self._mask)
        if pattern.template.slot("mask") is None:
            ids += self.sentinel
        whole = [*self.special_before, *ids, *self.special_after]
        return whole, len(whole) - 1


class EncoderDecoderBackbone(Backbone):
    """See `Backbone`; the answer is read in the decoder.

    Args:
        model: A transformers encoder-decoder language model.
        tokenizer: Its tokenizer.
        config: Text length, and memory for passes and text states.
        placement: Where the prompt stands, ``encoder`` or ``decoder``.
    """

    layout_class = EncoderDecoderLayout

    def __init__(self, model: Any, tokenizer: Any, config: ModelConfig, *, placement: Placement = "encoder") -> None:
        super().__init__(model, tokenizer, config, placement=placement)
        self.caches_texts = placement == "decoder"
        self.plain_factor = PLAIN_FACTOR if self.caches_texts else ENCODER_FACTOR
        self._attention = AttentionBackend(model)
        self._encoder, self._decoder = model.get_encoder(), model.get_decoder()
        self._decoder_memory = RowMemory.of_decoder(model.config, self.dtype.itemsize)
        assert isinstance(self.layout, EncoderDecoderLayout)
        self.decoder_start = (*self._first_of_decoder(), *self.layout.sentinel)

    def _input_embeddings(self) -> Any:
        # The shared table of a model that scales what it looks up (BART) does not scale.
        return self.model.get_encoder().get_input_embeddings()

    def _first_of_decoder(self) -> tuple[int, ...]:
        settings = self.model.config
        start = getattr(settings, "decoder_start_token_id", None)
        if start is None:
            start = getattr(self.model.generation_config, "decoder_start_token_id", None)
        if start is None:
            raise UserError(f"The configuration of '{self.config.name}' names no decoder_start_token_id.")
        forced = getattr(settings, "forced_bos_token_id", None)
        if forced is None:
            forced = getattr(self.model.generation_config, "forced_bos_token_id", None)
        return (int(start),) if forced is None else (int(start), int(forced))

    def _head(self) -> LinearHead:
        settings = self.model.config
        scaled = getattr(settings, "scale_decoder_outputs", None)
        if scaled is None:  # before transformers 5: T5 scales where the output layer is the embedding
            scaled = settings.model_type in ("t5", "umt5") and settings.tie_word_embeddings
        bias = getattr(self.model, "final_logits_bias", None)
        weight = self.model.get_output_embeddings().weight
        return LinearHead(weight, None if bias is None else bias[0], scale=settings.d_model**-0.5 if scaled else 1.0)

    def _encode(self, rows: Sequence[Sequence[int]]) -> KVTensors:
        from transformers import DynamicCache, EncoderDecoderCache

        padded = pad_rows(rows, self.device)
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        # Not the attention of the previous pass: a resumed run must compute the same bits.
        with torch.no_grad(), self._attention.for_pass(second_derivative=False):
            encoded = self._encoder(input_ids=padded.token_ids, attention_mask=padded.mask()).last_hidden_state
            # One token through the decoder makes every layer's cross-attention keys and values.
            first = torch.full((len(rows), 1), self.decoder_start[0], device=self.device)
            self._decoder(
                input_ids=first,
                encoder_hidden_states=encoded,
                encoder_attention_mask=padded.mask(),
                past_key_values=cache,
                use_cache=True,
            )
        layers: list[Any] = list(cache.cross_attention_cache.layers)
        return {
            "keys": torch.stack([layer.keys for layer in layers]),
            "values": torch.stack([layer.values for layer in layers]),
        }

    def _kv_bytes_per_token(self) -> int:
        return self._decoder_memory.kv_bytes_per_token

    def new_tokens(self, pattern: PatternVerbalizer, prompt_tokens: int) -> int:
        """See `Backbone`."""
        return prompt_tokens + len(self.decoder_start) if self.placement == "decoder" else 0

    def _pass_tokens(self, pattern: PatternVerbalizer, prompt_tokens: int, longest: int) -> tuple[int, int]:
        if self.placement == "decoder":
            return self.new_tokens(pattern, prompt_tokens) + pattern.verbalizer.longest_insertion, longest
        return 0, prompt_tokens + longest

    def _row_memory(self) -> RowMemory:
        return self._decoder_memory if self.placement == "decoder" else self.memory

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
        row_prompts = pick(prompts, groups).to(self.dtype)
        written = self._vectors((*self.decoder_start, *run.inserted), len(groups))
        with self._attention.for_pass(second_derivative=second_derivative):
            if isinstance(rows, TokenRows):
                mask = torch.cat([rows.mask().new_ones(len(groups), row_prompts.shape[1]), rows.mask()], dim=1)
                vectors = torch.cat([row_prompts, self._embed(rows.token_ids)], dim=1)
                encoded = self._encoder(inputs_embeds=vectors, attention_mask=mask).last_hidden_state
                hidden: Tensor = self._decoder(
                    inputs_embeds=written, encoder_hidden_states=encoded, encoder_attention_mask=mask, use_cache=False
                ).last_hidden_state
            else:
                hidden = self._behind_text(torch.cat([row_prompts, written], dim=1), rows)
        return hidden[:, -1:]

    def _behind_text(self, vectors: Tensor, state: TextKV) -> Tensor:
        """The decoder over cached keys and values of the texts."""
        from transformers import DynamicCache, EncoderDecoderCache

        across = DynamicCache()
        for layer, (keys, values) in enumerate(zip(state.keys, state.values, strict=True)):
            across.update(keys, values, layer)
        places = torch.arange(state.keys.shape[3], device=self.device)
        mask = (places[None] < state.lengths[:, None]).long()
        # Only its shape is looked at: keys and values are cached.
        shape_only = vectors.new_empty(1).expand(len(vectors), state.keys.shape[3], self.width)
        hidden: Tensor = self._decoder(
            inputs_embeds=vectors,
            encoder_hidden_states=shape_only,
            encoder_attention_mask=mask,
            past_key_values=EncoderDecoderCache(DynamicCache(), across),
            use_cache=True,
        ).last_hidden_state
        return hidden

    @torch.no_grad()
    def full_logits(
        self, prompt: Tensor, token_ids: Sequence[int], position: int, *, pattern: PatternVerbalizer
    ) -> Tensor:
        """See `Backbone`."""
        text, written = self._vectors(token_ids, 1), self._vectors(self.decoder_start, 1)
        vectors = prompt.to(self.dtype)[None]
        if self.placement == "encoder":
            text = torch.cat([vectors, text], dim=1)
        else:
            written = torch.cat([vectors, written], dim=1)
        logits: Tensor = self.model(inputs_embeds=text, decoder_inputs_embeds=written, use_cache=False).logits
        return logits[0, -1].float()
