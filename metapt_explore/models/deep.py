"""Deep prompts: keys and values of every layer in front of a row, instead of vectors in front of the first layer.

Prefix tuning (Li and Liang, ACL 2021, arXiv 2101.00190) and P-tuning v2 (Liu et al., ACL 2022, arXiv 2110.07602),
without the network through which the former passes its parameters while it trains: the keys and values are the
parameters themselves, as in P-tuning v2 and as PEFT's ``PREFIX_TUNING`` stores them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metapt_explore.models.memory import RowMemory


@dataclass(frozen=True)
class DeepShape:
    """Sizes of a model that say how many numbers a vector of a deep prompt has.

    Attributes:
        layers: Layers of the model.
        kv_heads: Key heads of a layer.
        head_dim: Width of a head.

    Example:
        >>> DeepShape(layers=30, kv_heads=3, head_dim=64).width
        11520
    """

    layers: int
    kv_heads: int
    head_dim: int

    @classmethod
    def of(cls, settings: Any) -> DeepShape:
        """Reads the sizes from a transformers configuration."""
        sizes = RowMemory.of(settings, 1)
        return cls(sizes.layers, sizes.kv_heads, sizes.head_dim)

    @property
    def width(self) -> int:
        """Numbers in one vector of a prompt: a key and a value for each head of each layer."""
        return 2 * self.layers * self.kv_heads * self.head_dim

    def unpack(self, prompts: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of stacked prompts.

        Args:
            prompts: `[groups, prompt_tokens, width]`; of a vector the first layer's keys come first, then its values.

        Returns:
            Keys and values, each `[layers, groups, kv_heads, prompt_tokens, head_dim]`.

        Example:
            >>> keys, values = DeepShape(2, 1, 3).unpack(torch.arange(12.0).view(1, 1, 12))
            >>> keys.flatten().tolist(), values.flatten().tolist()
            ([0.0, 1.0, 2.0, 6.0, 7.0, 8.0], [3.0, 4.0, 5.0, 9.0, 10.0, 11.0])
        """
        apart = prompts.view(*prompts.shape[:2], self.layers, 2, self.kv_heads, self.head_dim)
        keys, values = apart.permute(3, 2, 0, 4, 1, 5).unbind(0)
        return keys, values

    def pack(self, keys: Tensor, values: Tensor) -> Tensor:
        """Stacked prompts of keys and values: the way back from `unpack`.

        Example:
            >>> shape, prompts = DeepShape(2, 3, 4), torch.randn(5, 6, 48)
            >>> torch.equal(shape.pack(*shape.unpack(prompts)), prompts)
            True
        """
        return torch.stack([keys, values]).permute(2, 4, 1, 0, 3, 5).flatten(2)

    def cache(self, prompt: Tensor, settings: Any) -> Any:
        """A prompt `[prompt_tokens, width]` as transformers' ``past_key_values`` of one row.

        Args:
            prompt: The prompt, in the model's number format.
            settings: The model's configuration.
        """
        from transformers import DynamicCache

        cache = DynamicCache(config=settings.get_text_config())
        for layer, (key, value) in enumerate(zip(*self.unpack(prompt[None]), strict=True)):
            cache.update(key, value, layer)
        return cache
