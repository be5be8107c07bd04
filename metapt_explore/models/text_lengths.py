"""How long texts are in a model's tokens, and how many of them are cut. Needs the tokenizer only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from metapt_explore.texts.rows import TextInput

#: Texts that are looked at, spread over all: a share of them is right to 3 points, 19 times of 20.
SAMPLE = 1000
#: Characters of a text that are tokenised at most: longer ones are cut in any model.
MOST_CHARACTERS = 8_000
#: A share of texts that are cut from which a user should know it before anything runs.
MANY = 0.2


@dataclass(frozen=True)
class CutShare:
    """How many of some texts are cut.

    Attributes:
        of: The task whose texts they are; None for the pre-training texts.
        share: Share of the texts that are longer than a model reads, 0 to 1.
        limit: Tokens that it reads of a text.
        median: Tokens of the text in the middle.
        looked_at: Texts that were looked at.
        own: Whether the limit is the task's own (`max_tokens`).
    """

    of: str | None
    share: float
    limit: int
    median: int
    looked_at: int
    own: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {key: value for key, value in asdict(self).items() if key != "own" or value}


def token_counts(texts: Sequence[TextInput], tokenizer: Any) -> np.ndarray:
    """Tokens of each text without special tokens, ``[texts]``; of a pair those of both."""
    parts = [[text] if isinstance(text, str) else list(text) for text in texts]
    flat = [part[:MOST_CHARACTERS] for of_text in parts for part in of_text]
    if not flat:
        return np.zeros(0, dtype=np.int64)
    counts = iter(map(len, tokenizer(flat, add_special_tokens=False, verbose=False)["input_ids"]))
    return np.array([sum(next(counts) for _ in of_text) for of_text in parts], dtype=np.int64)


def cut_share(texts: Sequence[TextInput], tokenizer: Any, limit: int, *, of: str | None = None) -> CutShare | None:
    """Measures how many texts are cut; None where there are no texts.

    Args:
        texts: The texts, or pairs of texts; of many, every second, third … is looked at.
        tokenizer: A transformers tokenizer.
        limit: Tokens that the model reads of a text (`model.max_text_tokens`); of a pair, of both together.
        of: The task whose texts they are.

    Example:
        >>> words = lambda texts, **_: {"input_ids": [text.split() for text in texts]}
        >>> cut_share(["one two three", "one", ("one two", "three four")], words, limit=2).share
        0.6666666666666666
    """
    counts = token_counts(texts[:: 1 + (len(texts) - 1) // SAMPLE] if len(texts) else texts, tokenizer)
    if not len(counts):
        return None
    return CutShare(of, float((counts > limit).mean()), limit, int(np.median(counts)), len(counts))


def format_cut(cut: CutShare) -> str:
    """In a sentence: the share, the setting, and how long such texts are.

    Example:
        >>> format_cut(CutShare(None, 0.84, 48, 212, 1000))
        '84 % of the pre-training texts are cut at model.max_text_tokens: 48; half of them have 212 tokens or more.'
    """
    whose = "the pre-training texts" if cut.of is None else f"the texts of {cut.of}"
    share = f"{100 * cut.share:.0f} %"
    if cut.share and share == "0 %":
        share = "Less than 1 %"
    longer = f"; half of them have {cut.median:,} tokens or more" if cut.share > MANY else ""
    setting = "its max_tokens" if cut.own else "model.max_text_tokens"
    return f"{share} of {whose} are cut at {setting}: {cut.limit}{longer}."
