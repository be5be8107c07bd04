"""Dev scores of all cells while prompts are tuned: each is computed once, when it is needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from metapt_explore.fewshot.predictions import RowScores
from metapt_explore.fewshot.scoring import ClassReading, FewShotData, Metrics, finite_or_last, row_losses
from metapt_explore.fewshot.selection import Cell, CurvePoint


class DevScores:
    """Dev scores of cells (a data seed with a learning rate) after so many steps.

    Args:
        cells: Data seed and learning rate of each cell.
        reading: How rows are read.
        data: Few-shot examples and dev rows of each data seed.
    """

    def __init__(self, cells: Sequence[Cell], reading: ClassReading, data: FewShotData) -> None:
        self._cells, self._reading, self._data = cells, reading, data
        self._metrics: dict[tuple[int, int], Metrics] = {}
        self._row_losses: dict[tuple[int, int], Tensor] = {}
        self._said: dict[tuple[int, int], RowScores] = {}

    def score(self, snapshots: Mapping[int, Tensor], running: Sequence[int]) -> None:
        """Scores the running cells at the steps that have not been scored.

        Args:
            snapshots: Prompts of all cells after each step that is looked at, `[cells, prompt_tokens, width]`.
            running: Cells that are still tuned.
        """
        for seed, dev in self._data.dev.items():
            # At step 0 all rates have the same prompt: it is scored once.
            first = self._members(seed)[0]
            keys = [(0, first)] + [
                (step, cell) for step in snapshots if step > 0 for cell in self._members(seed, running)
            ]
            keys = [key for key in keys if key not in self._metrics]
            if not keys:
                continue
            prompts = torch.stack([snapshots[step][cell] for step, cell in keys])
            scores = self._reading.scores(prompts, dev, [self._data.train[seed]] * len(keys))
            for index, (step, cell) in enumerate(keys):
                metrics = self._reading.measure(scores[index], dev)
                verbalizer = self._reading.pattern.verbalizer
                losses = row_losses(scores[index], dev.labels, verbalizer)
                said = RowScores.of(scores[index], verbalizer)
                for alike in self._members(seed) if step == 0 else [cell]:
                    self._metrics[step, alike], self._row_losses[step, alike] = metrics, losses
                    self._said[step, alike] = said

    def said(self, step: int, cell: int) -> RowScores:
        """What is said of the dev rows of a cell's data seed after a scored step."""
        return self._said[step, cell]

    def better_half(self, running: Sequence[int], step: int) -> list[int]:
        """Of the running cells of each data seed the half with the lower dev loss at a scored step, at least one.

        Of an odd number the larger half stays.
        """
        staying: list[int] = []
        for seed in self._data.dev:
            members = self._members(seed, running)
            ranked = sorted(members, key=lambda cell: (finite_or_last(self._metrics[step, cell]["loss"]), cell))
            staying += ranked[: -(-len(members) // 2)]
        return sorted(staying)

    def curves(self, steps: Iterable[int]) -> list[CurvePoint]:
        """One point for each data seed, learning rate and scored step that the rate was tuned to."""
        points = []
        for seed in self._data.dev:
            keys = [(step, cell) for cell in self._members(seed) for step in steps if (step, cell) in self._metrics]
            best = self._row_losses[min(keys, key=lambda key: finite_or_last(self._metrics[key]["loss"]))]
            for step, cell in keys:
                behind = self._row_losses[step, cell] - best
                metrics = self._metrics[step, cell]
                points.append(
                    CurvePoint(
                        data_seed=seed,
                        learning_rate=self._cells[cell][1],
                        step=step,
                        dev_accuracy=metrics["accuracy"],
                        dev_macro_f1=metrics["macro_f1"],
                        dev_loss=metrics["loss"],
                        dev_behind_se=float(behind.std() / len(behind) ** 0.5) if len(behind) > 1 else 0.0,
                    )
                )
        return points

    def _members(self, seed: int, among: Sequence[int] | None = None) -> list[int]:
        cells = range(len(self._cells)) if among is None else among
        return [cell for cell in cells if self._cells[cell][0] == seed]
