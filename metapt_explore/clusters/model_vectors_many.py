"""Vectors of many texts out of the frozen language model: the numbers of `model_vectors`, a shard at a time on disk.

Means and deviations are known only when all texts were read, so plain states are written first, in float32. A shard of
them that is there is a checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from metapt_explore.clusters.model_vectors import plain_states, scaled
from metapt_explore.storage.shards import Shard, shard_name, shard_rows, whole_shard, write_shard
from metapt_explore.texts.rows import TextInput

if TYPE_CHECKING:
    from metapt_explore.models.backbone import Backbone


def states_in_shards(
    backbone: Callable[[], Backbone],
    texts: Sequence[TextInput],
    layer: Literal["middle", "last"],
    folder: Path,
    on_rows: Callable[[int], None] = lambda rows: None,
) -> Callable[[range], np.ndarray]:
    """Computes the states of all texts, and gives what standardises some of them.

    Args:
        backbone: Loads the model; called only where a shard is missing.
        texts: The texts.
        layer: Which layer's states.
        folder: Where plain states wait; deleted by whoever has written the vectors.
        on_rows: Called with the number of finished texts; may raise to stop.

    Returns:
        Gives the vectors of the rows of one shard, as `model_vectors` does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chunks = shard_rows(len(texts))
    files = [folder / shard_name("states", number) for number in range(len(chunks))]
    for chosen, file in zip(chunks, files, strict=True):
        if not whole_shard(file, len(chosen)):
            own = texts[chosen.start : chosen.stop]
            states = plain_states(backbone(), own, layer, on_rows=partial(_tell, on_rows, chosen.start))
            write_shard(file, states, exact=True)
        on_rows(chosen.stop)
    shards = [Shard(file) for file in files]
    mean = sum(_exact(shard).sum(axis=0) for shard in shards) / len(texts)
    variance = sum(((_exact(shard) - mean) ** 2).sum(axis=0) for shard in shards) / len(texts)
    largest = np.max([np.abs(_exact(shard)).max(axis=0) for shard in shards], axis=0)
    numbers = {chosen: number for number, chosen in enumerate(chunks)}
    return lambda chosen: scaled(_exact(shards[numbers[chosen]]), mean, np.sqrt(variance), largest)


def _tell(on_rows: Callable[[int], None], first: int, done: int) -> None:
    on_rows(first + done)


def _exact(shard: Shard) -> np.ndarray:
    return np.asarray(shard.mapped(), dtype=np.float64)
