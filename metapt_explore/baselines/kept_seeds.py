"""What a baseline has of its finished data seeds, kept while it works on the others."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from torch import Tensor

from metapt_explore.baselines.inputs import BaselineOutcome, Scored, Spent
from metapt_explore.storage.checkpoint import CheckpointStore


class KeptSeeds:
    """A checkpoint of a baseline after each data seed.

    Args:
        record: Where it is kept.
    """

    def __init__(self, record: CheckpointStore) -> None:
        self._record = record

    def save(self, outcome: BaselineOutcome) -> None:
        """Keeps what there is of an outcome."""
        tensors: dict[str, Tensor] = {}
        told: dict[str, dict[str, Any]] = {}
        for seed, scored in outcome.seeds.items():
            tensors[f"scores.{seed}"] = scored.scores
            if scored.start is not None:
                tensors[f"start.{seed}"] = scored.start
            told[str(seed)] = {"dev_accuracy": scored.dev_accuracy, "chosen": scored.chosen}
        meta = {"step": len(told), "seeds": told, "spent": asdict(outcome.spent), "curves": outcome.curves}
        self._record.save_checkpoint(tensors, meta)

    def restore(self, outcome: BaselineOutcome) -> None:
        """Puts back what `save` kept, into the outcome of a baseline that has just begun."""
        found = self._record.load_checkpoint()
        if found is None:
            return
        tensors, meta = found
        for seed, told in meta["seeds"].items():
            scores, start = tensors[f"scores.{seed}"], tensors.get(f"start.{seed}")
            outcome.seeds[int(seed)] = Scored(scores, told["dev_accuracy"], start, told["chosen"])
        outcome.spent, outcome.curves = Spent(**meta["spent"]), list(meta["curves"])
