"""How much memory rows take, so that passes are cut to a budget before they run out of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import torch

from metapt_explore.errors import UserError

GIB = 2**30
#: Default budget of a pass on a CPU: larger passes are no faster there.
CPU_PASS_GIB = 1.0
#: The same as a share of the machine's memory, for small ones.
CPU_PASS_SHARE = 0.05
#: Text states kept in memory by default.
TEXT_STATE_GIB = 4.0
#: The same as a share of the machine's memory, for small ones.
TEXT_STATE_SHARE = 0.2
#: Where Linux says how much memory a container may use.
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
#: Default budget of a pass on a GPU, as a share of its memory.
GPU_PASS_SHARE = 0.4
#: The model's own forward pass keeps about this many times what the hand-written one keeps.
PLAIN_FACTOR = 3.0
#: The same for a bidirectional encoder (measured on T5 and BERT of base size: 0.8 to 1.1).
ENCODER_FACTOR = 1.2
#: A second derivative keeps the graph of the first gradient as well.
SECOND_FACTOR = 3


@dataclass(frozen=True)
class RowMemory:
    """Sizes of a model that decide what a row costs.

    Attributes:
        layers: Number of layers.
        width: Width of the hidden states.
        inner: Width of the MLP.
        heads: Query heads.
        kv_heads: Key heads.
        head_dim: Width of a head.
        itemsize: Bytes of a number.
    """

    layers: int
    width: int
    inner: int
    heads: int
    kv_heads: int
    head_dim: int
    itemsize: int

    @classmethod
    def of(cls, config: Any, itemsize: int) -> RowMemory:
        """Reads the sizes from a transformers configuration (of the text part, where a model has several)."""
        config = config.get_text_config()
        heads = getattr(config, "num_attention_heads", None) or 1  # recurrent models have none
        width = config.hidden_size
        return cls(
            layers=config.num_hidden_layers,
            width=width,
            inner=_inner(config) or 4 * width,
            heads=heads,
            kv_heads=getattr(config, "num_key_value_heads", None) or heads,
            head_dim=getattr(config, "head_dim", None) or width // heads,
            itemsize=itemsize,
        )

    @classmethod
    def of_decoder(cls, config: Any, itemsize: int) -> RowMemory:
        """Sizes of the decoder of an encoder-decoder; its states are the keys and values of the cross-attention."""
        whole = cls.of(config, itemsize)
        layers = getattr(config, "num_decoder_layers", None) or getattr(config, "decoder_layers", None) or whole.layers
        heads = getattr(config, "decoder_attention_heads", None) or whole.heads
        return replace(whole, layers=layers, heads=heads, kv_heads=heads)

    @property
    def kv_bytes_per_token(self) -> int:
        """Keys and values of one token in all layers."""
        return 2 * self.layers * self.kv_heads * self.head_dim * self.itemsize

    def row_bytes(self, new_tokens: int, text_tokens: int, *, scoring: bool = False, factor: float = 1) -> float:
        """Memory of one row in a pass.

        Args:
            new_tokens: Tokens run behind cached text; 0 where the text itself is run (`prefix`).
            text_tokens: Tokens of the text.
            scoring: Whether nothing is kept for a gradient.
            factor: How many times what the hand-written pass keeps.
        """
        run, seen = new_tokens or text_tokens, new_tokens + text_tokens
        token = 2 * self.width + 3 * self.inner + self.heads * (self.head_dim + seen)
        kept = token * self.itemsize * run * (4 if scoring else self.layers)
        return kept * factor + self.kv_bytes_per_token * seen

    def rows_within(
        self, budget: float, new_tokens: int, text_tokens: int, *, scoring: bool = False, factor: float = 1
    ) -> int:
        """Rows that fit a budget; at least one."""
        return max(1, int(budget / self.row_bytes(new_tokens, text_tokens, scoring=scoring, factor=factor)))


def _inner(config: Any) -> int | None:
    """Width of the MLP by the names that families have for it."""
    for name in ("intermediate_size", "d_ff", "encoder_ffn_dim", "hidden_dim", "n_inner"):
        found = getattr(config, name, None)
        if isinstance(found, int):
            return found
    return None


def machine_memory() -> int:
    """Bytes of memory that this process may use: the machine's, or its container's.

    Not what is free at the moment: two runs on one machine must cut their passes alike.
    """
    total = int(psutil.virtual_memory().total)
    try:
        return min(total, int(CGROUP_LIMIT.read_text(encoding="utf-8")))
    except (OSError, ValueError):  # no such file, or "max"
        return total


def kv_cache_bytes(gib: float | None) -> float:
    """Bytes for text states: what the config says, else a default for the machine."""
    return min(TEXT_STATE_GIB * GIB, TEXT_STATE_SHARE * machine_memory()) if gib is None else gib * GIB


def pass_budget(gib: float | None, device: torch.device) -> float:
    """Bytes of a pass: what the config says, else a default for the device."""
    if gib is not None:
        return gib * GIB
    if device.type == "cuda":
        return GPU_PASS_SHARE * torch.cuda.get_device_properties(device).total_memory
    return min(CPU_PASS_GIB * GIB, CPU_PASS_SHARE * machine_memory())


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on the host."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and any(
        sign in text for sign in ("can't allocate memory", "not enough memory", "out of memory")
    )


def half_of(rows: int) -> int:
    """Rows of a pass after one of `rows` did not fit.

    Raises:
        UserError: Where the pass had a single row.
    """
    if rows == 1:
        raise UserError(
            "Memory ran out with one row in a pass. Use a smaller model, a shorter prompt or "
            "`model.max_text_tokens`, or `model.dtype: bfloat16`."
        )
    return (rows + 1) // 2
