"""Template and label words as the tokens of one model: how a text is put to it, and how a class is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from metapt_explore.config import LabelsConfig
from metapt_explore.errors import UserError


@dataclass(frozen=True)
class Reader:
    """A tokenised template with its verbalizer (one label word a class).

    With the `suffix` placement a row is laid out as `before + text | prompt | tail`, and the label
    words are scored at the last token of the tail.

    Attributes:
        before: Tokens in front of the text.
        tail: Tokens behind the text; at least one when the prompt stands between.
        words: One token id for each class.
        classes: Class names, in the order of `words`.
    """

    before: tuple[int, ...]
    tail: tuple[int, ...]
    words: tuple[int, ...]
    classes: tuple[str, ...]

    def class_index(self, name: str) -> int:
        """Position of a class name."""
        return self.classes.index(name)


def make_reader(config: LabelsConfig, tokenizer: Any, where: str) -> Reader:
    """Tokenises a template and its label words.

    Args:
        config: Template and labels, from a study or a task file.
        tokenizer: A transformers tokenizer.
        where: What to call the configuration in messages.

    Raises:
        UserError: Where nothing follows the text, a label word is not one token, or two classes share theirs.
    """
    before_text, tail_text = config.template.split("{text}")
    before = _encode(tokenizer, before_text)
    tail = _encode(tokenizer, tail_text)
    if not tail:
        raise UserError(
            f"{where}: the template ends with {{text}}; add something after it, such as '\\nSentiment:', "
            "where the label word is read."
        )
    words: dict[str, int] = {}
    for name, label in config.labels.items():
        # A word follows the template with a space in front of it, unless the template ends in one.
        written = label.word if tail_text[-1:].isspace() else f" {label.word}"
        tokens = _encode(tokenizer, written)
        if len(tokens) != 1:
            raise UserError(
                f"{where}: label word '{label.word}' of class '{name}' is {len(tokens)} tokens for this model; "
                "choose a word that is one token (common short words are)."
            )
        for other, token in words.items():
            if token == tokens[0]:
                raise UserError(f"{where}: classes '{other}' and '{name}' have the same label word token.")
        words[name] = tokens[0]
    return Reader(tuple(before), tuple(tail), tuple(words.values()), tuple(words))


def _encode(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []
