"""Where a soft prompt begins."""

from __future__ import annotations

import torch
from torch import Tensor

from metapt_explore.seeds import torch_stream

#: Vocabulary starts are sampled from the first token ids, which are the commonest pieces
#: (Lester et al., EMNLP 2021, sample from the 5,000 commonest).
COMMONEST = 5_000


def start_prompt(kind: str, length: int, embedding: Tensor, seed: int, init_seed: int) -> Tensor:
    """Makes a prompt to start from.

    Every method with the same `init_seed` begins from the same start.

    Args:
        kind: ``vocabulary`` (embeddings of tokens drawn among the 5,000 commonest) or ``random``
            (normal vectors with the mean and standard deviation of the model's embeddings; a start
            off that scale is a known trap).
        length: Prompt tokens.
        embedding: The model's input embeddings, `[vocabulary, width]`.
        seed: The study seed.
        init_seed: The initialisation seed.

    Returns:
        fp32 `[length, width]` on the device of the embeddings.

    Example:
        >>> start_prompt("vocabulary", 4, torch.eye(8), seed=0, init_seed=0).shape
        torch.Size([4, 8])
    """
    generator = torch_stream(seed, "prompt_start", kind, init_seed)
    if kind == "vocabulary":
        tokens = torch.randint(0, min(COMMONEST, len(embedding)), (length,), generator=generator)
        return embedding[tokens.to(embedding.device)].float().clone()
    noise = torch.randn(length, embedding.shape[1], generator=generator).to(embedding.device)
    values = embedding.float()
    return noise * values.std() + values.mean()
