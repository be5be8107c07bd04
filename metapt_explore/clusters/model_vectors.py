"""Vectors of texts out of the frozen language model: mean hidden states, standardised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from metapt_explore.storage.checkpoint import CheckpointStore, RowsCheckpoint
from metapt_explore.texts.rows import TextInput

if TYPE_CHECKING:
    from torch import Tensor

    from metapt_explore.models.backbone import Backbone

#: Texts between two checkpoints and reports of progress.
CHUNK = 256


def model_vectors(
    backbone: Backbone,
    texts: Sequence[TextInput],
    layer: Literal["middle", "last"] = "middle",
    *,
    on_rows: Callable[[int], None] = lambda rows: None,
    record: CheckpointStore | None = None,
) -> np.ndarray:
    """Mean hidden states of texts, with every dimension standardised over the texts.

    A few dimensions of a language model's states are hundreds of times as large as all others and would decide every
    cosine; standardising takes that off (Timkey and van Schijndel, EMNLP 2021).

    Args:
        backbone: The model; of an encoder-decoder the encoder is read.
        texts: The texts, cut to `max_text_tokens`.
        layer: Which layer's states.
        on_rows: Called with the number of finished texts; may raise to stop.
        record: Stores finished rows; stored rows are not computed again.

    Returns:
        fp32 ``[texts, width]``, each column with mean 0 and variance 1 (0 where it never varies).
    """
    return standardised(plain_states(backbone, texts, layer, on_rows=on_rows, record=record))


def plain_states(
    backbone: Backbone,
    texts: Sequence[TextInput],
    layer: Literal["middle", "last"],
    *,
    on_rows: Callable[[int], None] = lambda rows: None,
    record: CheckpointStore | None = None,
) -> np.ndarray:
    """Mean hidden states of texts as they are, fp32 ``[texts, width]``; see `model_vectors`."""
    import torch

    checkpoint = RowsCheckpoint(record)
    restored = checkpoint.restore()
    parts: list[Tensor] = [] if restored is None else [restored]
    for first in range(sum(map(len, parts)), len(texts), CHUNK):
        try:
            on_rows(first)
            parts.append(_states(backbone, texts[first : first + CHUNK], layer))
        except BaseException:
            if parts:
                checkpoint.save(torch.cat(parts))
            raise
        checkpoint.save_if_due(lambda: torch.cat(parts))
    on_rows(len(texts))
    states: np.ndarray = torch.cat(parts).numpy()
    return states


def _states(backbone: Backbone, texts: Sequence[TextInput], layer: Literal["middle", "last"]) -> Tensor:
    import torch

    from metapt_explore.models.hidden_states import mean_over_tokens, text_hidden_states, text_passes

    if layer == "middle":
        return text_hidden_states(backbone, texts)[0]
    with torch.no_grad():
        parts = [
            (chosen, mean_over_tokens(output.last_hidden_state, rows).cpu())
            for chosen, output, rows in text_passes(backbone, texts)
        ]
    states = torch.empty(len(texts), parts[0][1].shape[-1])
    for chosen, pooled in parts:
        states[chosen] = pooled
    return states


def standardised(states: np.ndarray) -> np.ndarray:
    """Each column with mean 0 and variance 1; one that never varies is 0.

    Example:
        >>> standardised(np.array([[1.0, 5.0], [3.0, 5.0]])).tolist()
        [[-1.0, 0.0], [1.0, 0.0]]
    """
    exact = states.astype(np.float64)
    return scaled(exact, exact.mean(axis=0), exact.std(axis=0), np.abs(exact).max(axis=0))


def scaled(exact: np.ndarray, mean: np.ndarray, deviation: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """Rows standardised by these means and deviations; a column that varies by rounding alone is 0.

    Args:
        exact: ``[rows, width]`` in float64.
        mean: Of each column, over all rows that there are.
        deviation: Likewise.
        largest: Largest size of a number of each column.
    """
    centred = exact - mean
    varies = deviation > 1e-9 * np.maximum(largest, 1e-30)
    out: np.ndarray = np.divide(centred, deviation, out=np.zeros_like(centred), where=varies).astype(np.float32)
    return out
