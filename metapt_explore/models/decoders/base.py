"""What a way of running a decoder-only model offers: one for each of `plain.py` and `fused.py`."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from metapt_explore.models.kv_cache.text import TextKV


class Decoder(Protocol):
    """Runs a frozen decoder-only model over texts, and over prompts before or after them."""

    def encode(self, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of right-padded texts `[rows, tokens]`: each `[layers, rows, kv_heads, tokens, head_dim]`."""

    def after_text(self, new: Tensor, state: TextKV, blocks: int) -> Tensor:
        """Runs new token vectors behind cached texts.

        Args:
            new: `[rows, blocks * tokens, width]`; blocks do not see one another.
            state: Texts of the rows, with room for the new tokens in front (`spare`).
            blocks: Prompts that share each text.

        Returns:
            Hidden states at the last token of each block, after the final norm, `[rows, blocks, width]`.
        """

    def after_prompt(self, prompts: Tensor, rows: Tensor, lengths: Tensor, *, groups: Tensor) -> Tensor:
        """Runs prompts once each, and rows behind the prompt of their group.

        Args:
            prompts: `[groups, prompt_tokens, width]`.
            rows: Token vectors padded on the right, `[rows, tokens, width]`.
            lengths: Real tokens of each row, `[rows]`.
            groups: Which prompt each row stands behind, `[rows]`.

        Returns:
            Hidden states at each row's last real token, after the final norm, `[rows, width]`.
        """

    def after_keys(self, keys: Tensor, values: Tensor, rows: Tensor, *, lengths: Tensor, groups: Tensor) -> Tensor:
        """Runs rows behind keys and values of every layer, which are learned themselves.

        Args:
            keys: `[layers, groups, kv_heads, prompt_tokens, head_dim]`, as attention sees them (already rotated).
            values: The same shape.
            rows: Token vectors padded on the right, `[rows, tokens, width]`; their positions begin behind the prompt.
            lengths: Real tokens of each row, `[rows]`.
            groups: Which keys and values each row stands behind, `[rows]`.

        Returns:
            As `after_prompt`.
        """
