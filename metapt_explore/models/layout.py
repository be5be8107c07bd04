"""How a family lays out rows: template, label words, special tokens. Needs the tokenizer only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from metapt_explore.config import LabelsConfig, ModelConfig, Placement
from metapt_explore.errors import UserError
from metapt_explore.texts.rows import TextInput
from metapt_explore.verbalizers.pattern import (
    PatternVerbalizer,
    continuation_encoder,
    label_tokens,
    space_writer,
    special_tokens,
    token_encoder,
)
from metapt_explore.verbalizers.template import Template, tokenise
from metapt_explore.verbalizers.verbalizer import Verbalizer, Word


class Layout(ABC):
    """What stands where in a row.

    Args:
        tokenizer: A transformers tokenizer.
        config: Model name and text length.
        placement: Where the prompt stands.
    """

    def __init__(self, tokenizer: Any, config: ModelConfig, placement: Placement) -> None:
        self.tokenizer, self.config, self.placement = tokenizer, config, placement
        self.encode = token_encoder(tokenizer)
        self.encode_continuation = continuation_encoder(tokenizer)
        self.after_space = space_writer(tokenizer)
        #: Special tokens in front of a text and behind it.
        self.special_before, self.special_after = special_tokens(tokenizer)

    # ---------------------------------------------------------------------- what a family defines

    @abstractmethod
    def row(self, text: Sequence[int], pair: Sequence[int] | None, pattern: PatternVerbalizer) -> tuple[list[int], int]:
        """Token ids of a row in its bank, and the position where its answer is read."""

    @abstractmethod
    def verbalizer(self, words: dict[str, list[Word]], *, whole_vocabulary: bool) -> Verbalizer:
        """The verbalizer of tokenised label words."""

    def spaced(self, written: str) -> bool:
        """Whether a space stands in front of label words, for a template as it is written."""
        return True

    def check_template(  # noqa: B027 (most families accept every template)
        self, written: str, template: Template, where: str
    ) -> None:
        """Raises a UserError for a template that this family cannot use."""

    def bank_key(self, pattern: PatternVerbalizer) -> Template:
        """The part of the template that a bank's rows hold."""
        return pattern.template

    # ---------------------------------------------------------------------------------- the same for all

    def pattern(self, labels: LabelsConfig, where: str, *, whole_vocabulary: bool = False) -> PatternVerbalizer:
        """Tokenises a template and label words.

        Args:
            labels: Template and labels, from a study or a task file.
            where: What to call the configuration in messages.
            whole_vocabulary: Whether label words compete with every other token.

        Raises:
            UserError: Where the template or a label word does not fit this model.
        """
        template = tokenise(labels.template, self.encode, self.encode_continuation)
        self.check_template(labels.template, template, where)
        words = label_tokens(labels, self.word_encoder(labels.template), where, whole_vocabulary=whole_vocabulary)
        return PatternVerbalizer(
            template, self.verbalizer(words, whole_vocabulary=whole_vocabulary), tuple(labels.labels)
        )

    def word_encoder(self, written: str) -> Callable[[str], list[int]]:
        """Token ids of a label word behind a template."""
        return (lambda word: self.encode(self.after_space(word))) if self.spaced(written) else self.encode

    def rows(self, texts: Sequence[TextInput], pattern: PatternVerbalizer) -> list[tuple[list[int], int]]:
        """Lays out texts, cut to `max_text_tokens`; of a pair the longer one is cut first, the template never is.

        Raises:
            UserError: Where a row would be empty, or a second text is missing.
        """
        rows = [self.row(text, pair, pattern) for text, pair in self.cut(texts, pattern)]
        for index, (ids, _) in enumerate(rows):
            if not ids:
                raise UserError(f"Text {index} is blank; blank texts must be dropped before scoring.")
        return rows

    def tokens(self, texts: Sequence[str], *, spaced: bool = False) -> list[list[int]]:
        """Token ids of texts without special tokens, cut to `max_text_tokens`."""
        if not texts:
            return []
        written = [self.after_space(text) for text in texts] if spaced else list(texts)
        longest = self.config.max_text_tokens
        cut = self.tokenizer(written, add_special_tokens=False, truncation=True, max_length=longest)
        return list(cut["input_ids"])

    def bare_tokens(self, texts: Sequence[TextInput]) -> list[list[int]]:
        """Token ids of texts without template and special tokens, cut to `max_text_tokens`.

        A pair's texts stand in two lines; the longer one is cut first.
        """
        firsts = self.tokens([text if isinstance(text, str) else text[0] for text in texts])
        seconds = self.tokens(["" if isinstance(text, str) else f"\n{text[1]}" for text in texts])
        return [[*first, *second] for first, second in map(self._cut_pair, firsts, seconds)]

    def _cut_pair(self, first: list[int], second: list[int]) -> tuple[list[int], list[int]]:
        # The longer text is cut first; once both are equally long, both are cut.
        longest = self.config.max_text_tokens
        second = second[: max(longest // 2, longest - len(first))]
        return first[: longest - len(second)], second

    def cut(self, texts: Sequence[TextInput], pattern: PatternVerbalizer) -> list[tuple[list[int], list[int] | None]]:
        """Token ids of texts and of second texts, cut to `max_text_tokens`, without template and special tokens."""
        slot, pair_slot = pattern.template.slot("text"), pattern.template.slot("text_pair")
        firsts = self.tokens(
            [text if isinstance(text, str) else text[0] for text in texts], spaced=bool(slot and slot.spaced)
        )
        if pair_slot is None:
            return [(ids, None) for ids in firsts]
        for index, text in enumerate(texts):
            if isinstance(text, str):
                raise UserError(
                    f"Text {index} has no second text, but the template holds {{text_pair}}; name its column in "
                    "`columns: {text_pair: ...}`."
                )
        seconds = self.tokens([text[1] for text in texts], spaced=pair_slot.spaced)
        return [self._cut_pair(*pair) for pair in zip(firsts, seconds, strict=True)]
