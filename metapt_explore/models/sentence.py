"""Sentence encoders (MiniLM …) under stacked soft prompts: a text belongs to the description it is most like.

There is no output layer. A class is described in a few words, the description is embedded once without a
prompt, and the score of a class is the cosine between the text's embedding under the prompt and the class's,
as sentence encoders are trained (Reimers & Gurevych, EMNLP 2019). Small and quick on a CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from metapt_explore.config import LabelsConfig, ModelConfig, Placement
from metapt_explore.errors import UserError
from metapt_explore.models.backbone import Backbone, Prepared
from metapt_explore.models.heads import SimilarityHead
from metapt_explore.models.kv_cache.text import TokenRows, pad_rows
from metapt_explore.models.layout import Layout
from metapt_explore.models.masked import BidirectionalEncoder
from metapt_explore.models.memory import ENCODER_FACTOR
from metapt_explore.models.pooling import Pooling
from metapt_explore.verbalizers.pattern import PatternVerbalizer
from metapt_explore.verbalizers.template import Template, tokenise
from metapt_explore.verbalizers.verbalizer import Head, Run, Term, Verbalizer, Word

#: Factor of the cosine: what sentence encoders are commonly trained with.
SCALE = 20.0


class SentenceLayout(Layout):
    """Template and text as one text; class `i` stands where others have a word's token."""

    def check_template(self, written: str, template: Template, where: str) -> None:
        """See `Layout`."""
        if template.slot("mask") is not None:
            raise UserError(
                f"{where}: the template holds {{mask}}, but the sentence encoder '{self.config.name}' has no word to "
                "put there; leave it out and describe the classes (`description:`)."
            )

    def pattern(self, labels: LabelsConfig, where: str, *, whole_vocabulary: bool = False) -> PatternVerbalizer:
        """See `Layout`; the pattern needs a head (`SentenceBackbone.pattern`)."""
        if whole_vocabulary:
            raise UserError(
                f"{where}: `decode: whole_vocabulary` needs a model with an output layer; the sentence encoder "
                f"'{self.config.name}' compares texts with descriptions."
            )
        template = tokenise(labels.template, self.encode, self.encode_continuation)
        self.check_template(labels.template, template, where)
        numbers = count()
        words = tuple(tuple((Term(0, 0, next(numbers)),) for _ in texts) for texts in _descriptions(labels).values())
        return PatternVerbalizer(template, Verbalizer((Run(),), words), tuple(labels.labels))

    def verbalizer(self, words: dict[str, list[Word]], *, whole_vocabulary: bool) -> Verbalizer:
        """See `Layout`."""
        raise NotImplementedError("classes of a sentence encoder are not words")

    def row(self, text: Sequence[int], pair: Sequence[int] | None, pattern: PatternVerbalizer) -> tuple[list[int], int]:
        """See `Layout`."""
        ids, _ = pattern.template.row(text, pair, ())
        whole = [*self.special_before, *ids, *self.special_after]
        return whole, len(whole) - 1


def _descriptions(labels: LabelsConfig) -> dict[str, list[str]]:
    return {
        name: [label.description] if label.description is not None else label.words
        for name, label in labels.labels.items()
    }


class SentenceBackbone(Backbone):
    """See `Backbone`; classes are read by similarity to their descriptions.

    The model is a transformers encoder without an output layer. Its own pooling makes an embedding of the tokens of
    the text, without those of the prompt. The placement is ``prefix``.
    """

    #: Set by `load_backbone` from the model's files; `normalise` does not matter to a cosine.
    pooling = Pooling()

    layout_class = SentenceLayout
    has_vocabulary = False
    plain_factor = ENCODER_FACTOR

    def __init__(self, model: Any, tokenizer: Any, config: ModelConfig, *, placement: Placement = "prefix") -> None:
        super().__init__(model, tokenizer, config, placement=placement)
        self._encoder = BidirectionalEncoder(model, model, self._embed)

    def _head(self) -> Head:
        return SimilarityHead(torch.empty(0, self.width, device=self.device), SCALE)  # each pattern brings its own

    def pattern(self, labels: LabelsConfig, where: str, *, whole_vocabulary: bool = False) -> PatternVerbalizer:
        """See `Backbone`; classes are described by `description`, else by their label words."""
        pattern = self.layout.pattern(labels, where, whole_vocabulary=whole_vocabulary)
        descriptions = [text for texts in _descriptions(labels).values() for text in texts]
        return replace(pattern, head=SimilarityHead(self.sentence_vectors(descriptions), SCALE))

    @torch.no_grad()
    def sentence_vectors(self, texts: Sequence[str]) -> Tensor:
        """Unit embeddings of texts without prompt and template, fp32, `[texts, width]`."""
        layout = self.layout
        token_ids = [[*layout.special_before, *ids, *layout.special_after] for ids in layout.tokens(texts)]
        rows = pad_rows(token_ids, self.device)
        none = torch.zeros(1, 0, self.width, device=self.device, dtype=self.dtype)
        groups = torch.zeros(len(texts), dtype=torch.long, device=self.device)
        return self._unit(self._encoder(none, groups, rows), rows.mask())

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
        """See `Backbone`; the one feature of a row is its unit embedding."""
        assert isinstance(rows, TokenRows)
        hidden = self._encoder(prompts.to(self.dtype), groups, rows, second_derivative=second_derivative)
        return self._unit(hidden[:, prompts.shape[1] :], rows.mask())[:, None]

    @torch.no_grad()
    def full_logits(
        self, prompt: Tensor, token_ids: Sequence[int], position: int, *, pattern: PatternVerbalizer
    ) -> Tensor:
        """See `Backbone`."""
        whole = torch.cat([prompt.to(self.dtype)[None], self._vectors(token_ids, 1)], dim=1)
        hidden = self.model(inputs_embeds=whole).last_hidden_state[:, len(prompt) :]
        head = pattern.head or self.head
        return head.vocabulary(self._unit(hidden, hidden.new_ones(hidden.shape[:2])))[0]

    def _unit(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Unit embeddings of each row's real tokens, fp32: `[rows, tokens, width]` to `[rows, width]`."""
        return F.normalize(self.pooling.pooled(hidden, mask), dim=-1)
