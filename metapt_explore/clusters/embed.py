"""Sentence embeddings: mean pooling over a transformers encoder (Reimers and Gurevych, EMNLP 2019)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from metapt_explore import hub
from metapt_explore.config import EncoderConfig
from metapt_explore.errors import UserError


def embed(
    texts: Sequence[str],
    config: EncoderConfig,
    device: str = "cpu",
    on_rows: Callable[[int], None] = lambda rows: None,
) -> np.ndarray:
    """Embeds texts with a frozen sentence encoder.

    Args:
        texts: The texts; each is cut to `config.max_tokens`.
        config: Encoder name and sizes.
        device: Where the encoder runs.
        on_rows: Called with the number of texts embedded so far.

    Returns:
        fp32 `[rows, width]`, each row of length one.

    Raises:
        UserError: Where the encoder cannot be found or loaded.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    from metapt_explore.prompts.models import load_pretrained, model_folder

    folder = model_folder(config.name, config.revision, hub.ENCODER)
    tokenizer = load_pretrained(AutoTokenizer, folder, config.name)
    model = load_pretrained(
        AutoModel, folder, config.name, dtype=torch.float32, attn_implementation="sdpa", use_safetensors=True
    )
    model = model.eval().to(device)
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is not None and config.max_tokens > positions:
        raise UserError(f"encoder.max_tokens is {config.max_tokens}, but '{config.name}' holds {positions} tokens.")
    tokens = tokenizer(list(texts), truncation=True, max_length=config.max_tokens)["input_ids"]
    # Texts of like length stand together, so that little padding is computed.
    order = sorted(range(len(texts)), key=lambda row: (len(tokens[row]), row))
    out = np.zeros((len(texts), int(model.config.hidden_size)), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), config.batch_size):
            rows = order[start : start + config.batch_size]
            batch = tokenizer.pad({"input_ids": [tokens[row] for row in rows]}, return_tensors="pt").to(device)
            hidden = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
            mask = batch["attention_mask"][..., None].to(hidden.dtype)
            pooled = (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
            out[rows] = torch.nn.functional.normalize(pooled, dim=1).cpu().numpy()
            on_rows(start + len(rows))
    return out
