"""A pattern and its verbalizer (PET's terms): template and label words as tokens of one model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from metapt_explore.config import LabelsConfig
from metapt_explore.errors import UserError
from metapt_explore.verbalizers.template import Template
from metapt_explore.verbalizers.verbalizer import Head, Verbalizer, Word


@dataclass(frozen=True)
class PatternVerbalizer:
    """A tokenised template with its verbalizer.

    Attributes:
        template: Tokens and the slots between them.
        verbalizer: Label words of each class.
        classes: Class names, in the order of the verbalizer.
        head: Output layer for models without one of their own.
    """

    template: Template
    verbalizer: Verbalizer
    classes: tuple[str, ...]
    head: Head | None = None

    def class_index(self, name: str) -> int:
        """Position of a class name."""
        return self.classes.index(name)

    @property
    def before(self) -> tuple[int, ...]:
        """Tokens in front of the text."""
        return self.template.before

    @property
    def tail(self) -> tuple[int, ...]:
        """Tokens behind the last text."""
        return self.template.tail

    @property
    def words(self) -> tuple[int, ...]:
        """First token of each class's first word."""
        return tuple(words[0][0].token for words in self.verbalizer.words)


def label_tokens(
    labels: LabelsConfig, encode: Callable[[str], list[int]], where: str, *, whole_vocabulary: bool
) -> dict[str, list[Word]]:
    """Tokenises the label words of each class.

    Args:
        labels: Template and labels, from a study or a task file.
        encode: Token ids of a label word, with the space in front of it if there is one.
        where: What to call the configuration in messages.
        whole_vocabulary: Whether words compete with every other token; then each must be one token.

    Raises:
        UserError: Where a class has no label word, or two classes share one.
    """
    words_of: dict[str, list[Word]] = {}
    owner: dict[Word, str] = {}
    for name, label in labels.labels.items():
        if not label.words:
            raise UserError(f"{where}: class '{name}' has no label word; give it one (`word:` or `words:`).")
        words_of[name] = []
        for word in label.words:
            tokens = tuple(encode(word))
            if not tokens:
                raise UserError(f"{where}: label word '{word}' of class '{name}' is no token of this model.")
            if whole_vocabulary and len(tokens) > 1:
                raise UserError(
                    f"{where}: label word '{word}' of class '{name}' is {len(tokens)} tokens for this model; with "
                    "`decode: whole_vocabulary` a label word must be one token."
                )
            if tokens in owner:
                raise UserError(
                    f"{where}: classes '{owner[tokens]}' and '{name}' have the same label word token."
                    if owner[tokens] != name
                    else f"{where}: class '{name}' has the label word '{word}' twice (as tokens of this model)."
                )
            owner[tokens] = name
            words_of[name].append(tokens)
    return words_of


def token_encoder(tokenizer: Any) -> Callable[[str], list[int]]:
    """Token ids of a text, without special tokens."""

    def encode(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []

    return encode


def space_writer(tokenizer: Any) -> Callable[[str], str]:
    """Puts a space in front of a text, unless the tokenizer does so itself.

    Some SentencePiece tokenizers (Llama 2) put one in front of every text: " good" would have two.
    """
    encode = token_encoder(tokenizer)
    bare, spaced = encode("a"), encode(" a")
    first = str(tokenizer.convert_ids_to_tokens(bare[0])) if bare else ""
    twice = first.startswith("▁") and len(spaced) > len(bare)
    return (lambda text: text) if twice else (lambda text: f" {text}")


def continuation_encoder(tokenizer: Any) -> Callable[[str], list[int]]:
    """Token ids of a text in the middle of a row.

    SentencePiece puts a space in front of every text; here that space is left out.
    """
    encode = token_encoder(tokenizer)
    before = encode("a")
    if not before or not str(tokenizer.convert_ids_to_tokens(before[0])).startswith("▁"):
        return encode

    def encode_continuation(text: str) -> list[int]:
        ids = encode(f"a{text}")
        return ids[len(before) :] if ids[: len(before)] == before else encode(text)

    return encode_continuation


def special_tokens(tokenizer: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Special tokens that a tokenizer puts in front of a text and behind it, as ([CLS], [SEP])."""
    bare = token_encoder(tokenizer)("a")
    whole = list(tokenizer("a")["input_ids"])
    for first in range(len(whole) - len(bare) + 1):
        if bare and whole[first : first + len(bare)] == bare:
            return tuple(whole[:first]), tuple(whole[first + len(bare) :])
    return (), ()
