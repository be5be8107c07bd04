"""Sentence embeddings: a transformers encoder and its own pooling (Reimers and Gurevych, EMNLP 2019)."""

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
        texts: The texts; each is cut to `config.max_tokens`, or to what the encoder's files say if that is less.
        config: Encoder name and sizes.
        device: Where the encoder runs.
        on_rows: Called with the number of texts embedded so far.

    Returns:
        fp32 `[rows, width]`; rows have length one, unless the encoder's files name pooling and no normalisation.

    Raises:
        UserError: Where the encoder cannot be found or loaded, or pools in a way that cannot be computed.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    from metapt_explore.prompts.models import load_pretrained, model_folder
    from metapt_explore.prompts.pooling import read_pooling

    folder = model_folder(config.name, config.revision, hub.ENCODER)
    pooling = read_pooling(folder, config.name)
    longest = pooling.tokens(config.max_tokens)
    tokenizer = load_pretrained(AutoTokenizer, folder, config.name)
    model = load_pretrained(
        AutoModel, folder, config.name, dtype=torch.float32, attn_implementation="sdpa", use_safetensors=True
    )
    model = model.eval().to(device)
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is not None and longest > positions:
        raise UserError(f"encoder.max_tokens is {config.max_tokens}, but '{config.name}' holds {positions} tokens.")
    tokens = tokenizer(list(texts), truncation=True, max_length=longest)["input_ids"]
    # Texts of like length stand together, so that little padding is computed.
    order = sorted(range(len(texts)), key=lambda row: (len(tokens[row]), row))
    out = np.zeros((len(texts), int(model.config.hidden_size)), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), config.batch_size):
            rows = order[start : start + config.batch_size]
            batch = tokenizer.pad({"input_ids": [tokens[row] for row in rows]}, return_tensors="pt").to(device)
            hidden = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
            pooled = pooling.pooled(hidden, batch["attention_mask"])
            if pooling.normalise:
                pooled = torch.nn.functional.normalize(pooled, dim=1)
            out[rows] = pooled.cpu().numpy()
            on_rows(start + len(rows))
    return out
