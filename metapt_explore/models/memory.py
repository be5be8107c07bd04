"""How much memory rows take: passes are cut to a budget before memory runs out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import torch

from metapt_explore.errors import UserError

GIB = 2**30
#: Default budget of a pass on a CPU, where larger passes are no faster; at most a share of the machine's memory.
CPU_PASS_GIB, CPU_PASS_SHARE = 1.0, 0.05
#: Default memory for keys and values of texts; at most a share of the machine's memory.
KV_CACHE_GIB, KV_CACHE_SHARE = 4.0, 0.2
#: The file in which Linux gives the memory limit of a container.
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
#: Default budget of a pass on a GPU, as a share of its memory.
GPU_PASS_SHARE = 0.4
#: Memory that the model's own forward pass keeps for a gradient, as a multiple of the hand-written pass.
PLAIN_FACTOR = 3.0
#: The same for a bidirectional encoder (measured on T5 and BERT of base size: 0.8 to 1.1).
ENCODER_FACTOR = 1.2
#: The same for a second derivative, which keeps the graph of the first gradient as well.
SECOND_FACTOR = 3


@dataclass(frozen=True)
class RowMemory:
    """Sizes of a model that determine the memory of a row.

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
        """Sizes of the decoder of an encoder-decoder; keys and values are those of the cross-attention."""
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
            scoring: Whether no gradient is taken.
            factor: Memory as a multiple of the hand-written pass.
        """
        run, attended = new_tokens or text_tokens, new_tokens + text_tokens
        token = 2 * self.width + 3 * self.inner + self.heads * (self.head_dim + attended)
        activations = token * self.itemsize * run * (4 if scoring else self.layers)
        return activations * factor + self.kv_bytes_per_token * attended

    def rows_within(
        self, budget: float, new_tokens: int, text_tokens: int, *, scoring: bool = False, factor: float = 1
    ) -> int:
        """Rows that fit a budget; at least one."""
        return max(1, int(budget / self.row_bytes(new_tokens, text_tokens, scoring=scoring, factor=factor)))


def _inner(config: Any) -> int | None:
    """Width of the MLP, which families name differently."""
    for name in ("intermediate_size", "d_ff", "encoder_ffn_dim", "hidden_dim", "n_inner"):
        width = getattr(config, name, None)
        if isinstance(width, int):
            return width
    return None


def machine_memory() -> int:
    """Bytes of memory that this process may use: the machine's, or its container's.

    Not what is free now: two runs on one machine must cut passes alike.
    """
    total = int(psutil.virtual_memory().total)
    try:
        return min(total, int(CGROUP_LIMIT.read_text(encoding="utf-8")))
    except (OSError, ValueError):  # no such file, or "max"
        return total


def kv_cache_bytes(gib: float | None) -> float:
    """Bytes for keys and values of texts: what the config says, else a default for the machine."""
    return min(KV_CACHE_GIB * GIB, KV_CACHE_SHARE * machine_memory()) if gib is None else gib * GIB


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
            "`model.max_text_tokens`, or `model.dtype: bfloat16`; of a decoder-only model `model.quantised: 4bit`."
        )
    return (rows + 1) // 2
