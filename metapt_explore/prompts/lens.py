"""Prompt vectors beside the vocabulary: nearest tokens, lengths, drift from the start, and prompts with one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

#: Rows of the vocabulary that are compared at once.
CHUNK = 8192


def nearest_tokens(vectors: Tensor, embedding: Tensor, top: int = 6) -> tuple[Tensor, Tensor]:
    """Tokens whose embeddings point most nearly the way that vectors do.

    Args:
        vectors: `[vectors, width]`.
        embedding: `[vocabulary, width]`.
        top: How many.

    Returns:
        Cosine similarities and token ids, both `[vectors, top]`, the nearest first.

    Example:
        >>> similarity, tokens = nearest_tokens(torch.eye(2), torch.tensor([[0.0, 2.0], [3.0, 0.0]]), top=1)
        >>> tokens.tolist(), similarity.tolist()
        ([[1], [0]], [[1.0], [1.0]])
    """
    unit = F.normalize(vectors.float(), dim=-1)
    best = torch.full((len(vectors), 0), 0.0)
    ids = torch.zeros((len(vectors), 0), dtype=torch.long)
    for first in range(0, len(embedding), CHUNK):
        part = F.normalize(embedding[first : first + CHUNK].float().to(unit.device), dim=-1)
        best = torch.cat([best.to(unit.device), unit @ part.T], dim=1)
        part_ids = torch.arange(first, first + len(part), device=unit.device).expand(len(vectors), -1)
        ids = torch.cat([ids.to(unit.device), part_ids], dim=1)
        nearest = best.topk(min(top, best.shape[1]), dim=1)
        best, ids = nearest.values, ids.gather(1, nearest.indices)
    return best, ids


def describe_vectors(
    prompt: Tensor, start: Tensor | None, embedding: Tensor, *, token: Callable[[int], str], top: int = 6
) -> list[dict[str, Any]]:
    """Describes each vector of a prompt.

    Args:
        prompt: `[tokens, width]`.
        start: What it began from, the same shape; None where that is not known.
        embedding: The vocabulary's, `[vocabulary, width]`.
        token: Writes a token id.
        top: Nearest tokens to name.

    Returns:
        For each vector ``vector`` (its place), ``nearest`` (tokens, the nearest first), ``similarity`` (cosine with the
        nearest: a token of the vocabulary has 1, random directions nearly 0), ``norm_ratio`` (its length against the
        vocabulary's mean length), ``drift`` (how far it went from its start, in lengths of the start) and
        ``cosine_to_start``; the last two are None without a start.
    """
    similarity, ids = nearest_tokens(prompt, embedding, top)
    usual = float(embedding.float().norm(dim=1).mean())
    rows = []
    for position, vector in enumerate(prompt.float()):
        began = None if start is None else start[position].float().to(vector.device)
        length = None if began is None else float(began.norm())
        rows.append(
            {
                "vector": position,
                "nearest": [token(int(number)) for number in ids[position]],
                "similarity": float(similarity[position, 0]),
                "norm_ratio": float(vector.norm()) / usual,
                "drift": None if began is None or not length else float((vector - began).norm()) / length,
                "cosine_to_start": None if began is None else float(F.cosine_similarity(vector, began, dim=0)),
            }
        )
    return rows


def similarities(prompts: Mapping[str, Tensor], starts: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    """How alike prompts are, and whether they went the same way.

    Args:
        prompts: Name to `[tokens, width]`; vectors that only the longer of two has are not compared.
        starts: Name to what each began from; where two began from the same one, ``moved`` compares their ways from it.

    Returns:
        For each pair ``first``, ``second``, ``cosine`` (mean over vectors in their places) and ``moved`` (cosine of
        what was added to the start; None where starts differ or a prompt did not move).

    Example:
        >>> similarities({"a": torch.eye(2), "b": torch.eye(2)}, {})[0]["cosine"]
        1.0
    """
    names = list(prompts)
    pairs = []
    for position, first in enumerate(names):
        for second in names[position + 1 :]:
            one, other = prompts[first].float(), prompts[second].float()
            shared = min(len(one), len(other))
            begun = starts.get(first), starts.get(second)
            moved = None
            if begun[0] is not None and begun[1] is not None and torch.equal(begun[0], begun[1]):
                ways = (one - begun[0]).flatten(), (other - begun[1]).flatten()
                if float(ways[0].norm()) > 0 and float(ways[1].norm()) > 0:
                    moved = float(F.cosine_similarity(ways[0], ways[1], dim=0))
            cosine = float(F.cosine_similarity(one[:shared], other[:shared], dim=1).mean())
            pairs.append({"first": first, "second": second, "cosine": cosine, "moved": moved})
    return pairs
