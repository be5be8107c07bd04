"""A template as tokens of one model, with slots for texts and the answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Encode = Callable[[str], list[int]]
SlotName = Literal["text", "text_pair", "mask"]

_SLOTS = re.compile(r"\{(text|text_pair|mask)\}")


@dataclass(frozen=True)
class Slot:
    """A place in a template.

    Attributes:
        name: The text, the second text of a pair, or the answer.
        spaced: Whether a space stands in front. It belongs to the tokens that follow, as in the model's own training
            text: in many vocabularies " good" is one token.
    """

    name: SlotName
    spaced: bool = False


Piece = tuple[int, ...] | Slot


@dataclass(frozen=True)
class Template:
    """Tokens and slots in their order.

    Attributes:
        pieces: Runs of token ids, and slots.

    Example:
        >>> template = tokenise("{text} : {mask} .", lambda words: [len(word) for word in words.split()])
        >>> template.row([7, 8], None, [99])
        ([7, 8, 1, 99, 1], 3)
    """

    pieces: tuple[Piece, ...]

    def slot(self, name: SlotName) -> Slot | None:
        """The slot of that name, if there is one."""
        return next((piece for piece in self.pieces if isinstance(piece, Slot) and piece.name == name), None)

    def row(self, text: Sequence[int], pair: Sequence[int] | None, mask: Sequence[int]) -> tuple[list[int], int]:
        """Fills the slots.

        Args:
            text: Tokens of the text.
            pair: Tokens of the second text, if the template has a slot for it.
            mask: Tokens that stand for the answer; none for a model that continues the text.

        Returns:
            Token ids, and the position of the first mask token; without a mask, of the last token.
        """
        filled: list[int] = []
        position: int | None = None
        for piece in self.pieces:
            if not isinstance(piece, Slot):
                filled += piece
            elif piece.name == "mask":
                position = len(filled) if mask else None
                filled += mask
            else:
                filled += text if piece.name == "text" else (pair or ())
        return filled, len(filled) - 1 if position is None else position

    @property
    def before(self) -> tuple[int, ...]:
        """Tokens in front of the first text."""
        first = self.pieces[0] if self.pieces else ()
        return first if not isinstance(first, Slot) else ()

    @property
    def tail(self) -> tuple[int, ...]:
        """Tokens behind the last text."""
        last = 0
        for index, piece in enumerate(self.pieces):
            if isinstance(piece, Slot) and piece.name != "mask":
                last = index
        return tuple(token for piece in self.pieces[last + 1 :] if not isinstance(piece, Slot) for token in piece)

    def until_last_text(self) -> Template:
        """The template up to the last text: what is cached with `suffix`."""
        texts = [i for i, piece in enumerate(self.pieces) if isinstance(piece, Slot) and piece.name != "mask"]
        return Template(self.pieces[: texts[-1] + 1])


def tokenise(template: str, encode: Encode, encode_continuation: Encode | None = None) -> Template:
    """Tokenises a template between its slots.

    Args:
        template: Text with ``{text}``, and perhaps ``{text_pair}`` and ``{mask}``.
        encode: Token ids of a text without special tokens.
        encode_continuation: The same in the middle of a row; `encode` when absent.
    """
    encode_middle = encode_continuation or encode
    parts = _SLOTS.split(template)
    pieces: list[Piece] = []
    spaced = False
    for index, part in enumerate(parts):
        if index % 2:
            pieces.append(Slot(part, spaced))  # type: ignore[arg-type]
            continue
        follows_slot = index + 1 < len(parts)
        spaced = follows_slot and part.endswith(" ")
        literal = part[:-1] if spaced else part
        tokens = tuple((encode_middle if index else encode)(literal)) if literal else ()
        if tokens:
            pieces.append(tokens)
    return Template(tuple(pieces))
