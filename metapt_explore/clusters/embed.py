"""Sentence embeddings: a transformers encoder and its own pooling (Reimers and Gurevych, EMNLP 2019)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from metapt_explore import hub
from metapt_explore.checkpoints import KeptRows, Record
from metapt_explore.config import EncoderConfig
from metapt_explore.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from metapt_explore.prompts.pooling import Pooling


@dataclass(frozen=True)
class Encoder:
    """A loaded sentence encoder.

    Attributes:
        tokenizer: Its tokenizer.
        model: The transformers model, in evaluation mode and fp32.
        config: Batch size.
        pooling: How it makes one vector of a text, and how many tokens it reads.
        device: Where it runs.
    """

    tokenizer: Any
    model: Any
    config: EncoderConfig
    pooling: Pooling
    device: str

    @property
    def width(self) -> int:
        """Length of an embedding."""
        return int(self.model.config.hidden_size)

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of texts with the encoder's special tokens, cut to what it reads."""
        longest = self.pooling.tokens(self.config.max_tokens)
        return list(self.tokenizer(list(texts), truncation=True, max_length=longest)["input_ids"])

    def pooled(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        """Vectors of some rows, pooled as the encoder's files say, `[rows, width]`; differentiable in the weights."""
        import torch

        batch = self.tokenizer.pad({"input_ids": [list(row) for row in tokens]}, return_tensors="pt").to(self.device)
        hidden = self.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        pooled = self.pooling.pooled(hidden, batch["attention_mask"])
        return torch.nn.functional.normalize(pooled, dim=1) if self.pooling.normalise else pooled

    def embed(
        self,
        texts: Sequence[str],
        on_rows: Callable[[int], None] = lambda rows: None,
        record: Record | None = None,
    ) -> np.ndarray:
        """Embeds texts; see the function of that name."""
        import torch

        tokens = self.tokens(texts)
        # Texts of like length stand together, so that little padding is computed.
        order = sorted(range(len(texts)), key=lambda row: (len(tokens[row]), row))
        out = np.zeros((len(texts), self.width), dtype=np.float32)
        kept = KeptRows(record)
        found = kept.restore()
        done = 0 if found is None else len(found)
        if found is not None:
            out[order[:done]] = found.numpy()

        def so_far() -> Tensor:
            return torch.from_numpy(out[order[:done]])

        with torch.inference_mode():
            for start in range(done, len(order), self.config.batch_size):
                rows = order[start : start + self.config.batch_size]
                try:
                    out[rows] = self.pooled([tokens[row] for row in rows]).cpu().numpy()
                    done = start + len(rows)
                    on_rows(done)
                except BaseException:
                    kept.save(so_far())
                    raise
                kept.save_sometimes(so_far)
        return out


def load_encoder(config: EncoderConfig, device: str = "cpu") -> Encoder:
    """Loads a sentence encoder.

    Raises:
        UserError: Where it cannot be found or loaded, pools in a way that cannot be computed, or holds fewer tokens
            than `config.max_tokens`.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    from metapt_explore.prompts.models import load_pretrained, model_folder
    from metapt_explore.prompts.pooling import read_pooling

    folder = model_folder(config.name, config.revision, hub.ENCODER)
    pooling = read_pooling(folder, config.name)
    tokenizer = load_pretrained(AutoTokenizer, folder, config.name)
    model = load_pretrained(
        AutoModel, folder, config.name, dtype=torch.float32, attn_implementation="sdpa", use_safetensors=True
    )
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is not None and pooling.tokens(config.max_tokens) > positions:
        raise UserError(f"encoder.max_tokens is {config.max_tokens}, but '{config.name}' holds {positions} tokens.")
    return Encoder(tokenizer, model.eval().to(device), config, pooling, device)


def embed(
    texts: Sequence[str],
    config: EncoderConfig,
    device: str = "cpu",
    on_rows: Callable[[int], None] = lambda rows: None,
    record: Record | None = None,
) -> np.ndarray:
    """Embeds texts with a frozen sentence encoder.

    Args:
        texts: The texts; each is cut to `config.max_tokens`, or to what the encoder's files say if that is less.
        config: Encoder name and sizes.
        device: Where the encoder runs.
        on_rows: Called with the number of texts embedded so far; may raise to stop.
        record: Keeps the rows so far where it is stopped, and now and then; rows that are found there are not computed
            again.

    Returns:
        fp32 `[rows, width]`; rows have length one, unless the encoder's files name pooling and no normalisation.

    Raises:
        UserError: Where the encoder cannot be found or loaded, or pools in a way that cannot be computed.
    """
    return load_encoder(config, device).embed(texts, on_rows, record)
