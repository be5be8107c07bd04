"""Dev scores of every data seed and learning rate while prompts are tuned: each is taken once, when it is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from metapt_explore.fewshot.scoring import ClassReading, Split, finite_or_last, row_losses


class DevScores:
    """What dev says of cells (a data seed with a learning rate each) after so many steps.

    Args:
        cells: Data seed and learning rate of each cell.
        reading: How rows are read.
        train: The few-shot examples of each data seed.
        dev: Held-out examples of each data seed.
    """

    def __init__(
        self,
        cells: Sequence[tuple[int, float]],
        reading: ClassReading,
        train: Mapping[int, Split],
        dev: Mapping[int, Split],
    ) -> None:
        self.cells, self.reading, self.train, self.dev = cells, reading, train, dev
        self._found: dict[tuple[int, int], dict[str, float]] = {}
        self._rows: dict[tuple[int, int], Tensor] = {}

    def score(self, snapshots: Mapping[int, Tensor], running: Sequence[int]) -> None:
        """Scores the cells that still run at the steps that have not been scored.

        Args:
            snapshots: Prompts of all cells after each step that is looked at, `[cells, prompt_tokens, width]`.
            running: Cells that are tuned on.
        """
        for seed, split in self.dev.items():
            # At the start all rates have the same prompt: it is scored once.
            begin = self._members(seed)[0]
            keys = [(0, begin)] + [
                (step, cell) for step in snapshots if step > 0 for cell in self._members(seed, running)
            ]
            keys = [key for key in keys if key not in self._found]
            if not keys:
                continue
            stacked = torch.stack([snapshots[step][cell] for step, cell in keys])
            scores = self.reading.scores(stacked, split, [self.train[seed]] * len(keys))
            for place, (step, cell) in enumerate(keys):
                metrics = self.reading.measure(scores[place], split)
                losses = row_losses(scores[place], split.labels, self.reading.pattern.verbalizer)
                for same in self._members(seed) if step == 0 else [cell]:
                    self._found[step, same], self._rows[step, same] = metrics, losses

    def better_half(self, running: Sequence[int], step: int) -> list[int]:
        """Of the running cells of each data seed the half with the lower dev loss at a scored step, at least one.

        Of an odd number the larger half stays.
        """
        kept: list[int] = []
        for seed in self.dev:
            members = self._members(seed, running)
            ranked = sorted(members, key=lambda cell: (finite_or_last(self._found[step, cell]["loss"]), cell))
            kept += ranked[: -(-len(members) // 2)]
        return sorted(kept)

    def records(self, steps: Mapping[int, Tensor]) -> list[dict[str, Any]]:
        """One record for each data seed, learning rate and scored step that the rate came to.

        `dev_behind_se` is the standard error of how far its dev loss is above the data seed's lowest, over rows.
        """
        records = []
        for seed in self.dev:
            cells = self._members(seed)
            keys = [(step, cell) for cell in cells for step in steps if (step, cell) in self._found]
            best = self._rows[min(keys, key=lambda key: finite_or_last(self._found[key]["loss"]))]
            for step, cell in keys:
                behind = self._rows[step, cell] - best
                error = float(behind.std() / len(behind) ** 0.5) if len(behind) > 1 else 0.0
                scores = {f"dev_{name}": value for name, value in self._found[step, cell].items()}
                own = {"data_seed": seed, "learning_rate": self.cells[cell][1], "step": step}
                records.append({**own, **scores, "dev_behind_se": error})
        return records

    def _members(self, seed: int, among: Sequence[int] | None = None) -> list[int]:
        cells = range(len(self.cells)) if among is None else among
        return [cell for cell in cells if self.cells[cell][0] == seed]
