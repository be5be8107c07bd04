"""Probes that evaluations keep (`probe_reading.py`), as whoever reads a new text beside them needs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from metapt_explore.errors import UserError
from metapt_explore.storage.artifact import Artifact

if TYPE_CHECKING:
    from metapt_explore.fewshot.linear_probe import LinearProbe


def kept_weights(evaluation: Artifact, data_seed: int) -> dict[str, Any] | None:
    """How much label words and probe count at a data seed (`EnsembleWeights`); None where words alone were read."""
    found: dict[str, Any] | None = evaluation.summary.get("weights", {}).get(f"data_seed_{data_seed}")
    return found


def kept_probe(evaluation: Artifact, data_seed: int, classes: Sequence[str], task: str) -> LinearProbe:
    """The probe of a data seed, with its classes in this order: a task file may have been rearranged since.

    Args:
        evaluation: An evaluation that has `kept_weights`.
        data_seed: The data seed.
        classes: The task's classes as they are now.
        task: What to call the task.

    Raises:
        UserError: Where the task has other classes now.
    """
    from metapt_explore.fewshot.linear_probe import LinearProbe

    known = evaluation.summary["classes"]
    if sorted(known) != sorted(classes):
        raise UserError(f"The task '{task}' had the classes {known}, and has {list(classes)} now: run the study again.")
    probe = LinearProbe.from_tensors(evaluation.tensors("probes"), f"data_seed_{data_seed}.")
    order = [known.index(name) for name in classes]
    return replace(probe, coefficients=probe.coefficients[:, order], intercepts=probe.intercepts[:, order])
