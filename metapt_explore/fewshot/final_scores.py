"""Scores of chosen prompts on the rows that nothing is chosen on, and their curves over tuning steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from metapt_explore.fewshot.samples import balanced_part
from metapt_explore.fewshot.scoring import LabelledTexts, Metrics
from metapt_explore.fewshot.selection import CurvePoint
from metapt_explore.fewshot.tuning_steps import TuningSteps

#: Prompts that are scored together, as many as share a pass over a text; what is scored is saved.
TOGETHER = 8

#: Step and cell of a snapshot.
Snapshot = tuple[int, int]


class FinalScores:
    """Scores of each data seed's chosen learning rate on the scored rows.

    Args:
        tuned: Finished steps.
        chosen: What dev chose, by data seed.
        steps: Scored steps that each data seed's chosen rate was tuned to.

    Attributes:
        curves: Metrics by data seed and step, all of them over the same rows: `curve_rows` of them, or all.
    """

    def __init__(
        self, tuned: TuningSteps, chosen: Mapping[int, CurvePoint], steps: Mapping[int, Sequence[int]]
    ) -> None:
        self._tuned, self._chosen, self._steps = tuned, chosen, steps
        rows, limit = tuned.data.scored, tuned.plan.config.curve_rows
        if limit is None or limit >= len(rows.labels):
            self._scores = self._score(self._snapshots(steps), rows)
            curve_scores = self._scores
        else:
            needed = {seed: [0, point["step"]] for seed, point in chosen.items()}
            self._scores = self._score(self._snapshots(needed), rows)
            rows, curve_scores = self._score_part(balanced_part(rows.labels, limit))
        measure = tuned.reading.measure
        self.curves: dict[int, dict[int, Metrics]] = {
            seed: {step: measure(curve_scores[self._snapshot(seed, step)], rows) for step in seed_steps}
            for seed, seed_steps in steps.items()
        }

    def at(self, seed: int, step: int) -> Tensor:
        """Scores of all rows at the start (0) or at the chosen step, `[rows, columns]`."""
        return self._scores[self._snapshot(seed, step)]

    def _score_part(self, indices: list[int]) -> tuple[LabelledTexts, dict[Snapshot, Tensor]]:
        """Some of the rows, and their scores at every step."""
        scored = self._tuned.data.scored
        part = LabelledTexts([scored.texts[index] for index in indices], [scored.labels[index] for index in indices])
        # Calibrated by the mean over the scored rows, all points of a curve must be over the same rows.
        reusable = self._tuned.reading.config.calibration != "batch_mean"
        known = {snapshot: scores[indices] for snapshot, scores in self._scores.items()} if reusable else {}
        rest = [snapshot for snapshot in self._snapshots(self._steps) if snapshot not in known]
        return part, known | self._score(rest, part)

    def _snapshot(self, seed: int, step: int) -> Snapshot:
        cell = self._tuned.cells.index((seed, self._chosen[seed]["learning_rate"]))
        # The initial prompt is one for all seeds, unless it is made or read by each seed's examples.
        return step, cell if step or self._tuned.reading.by_examples or self._tuned.starts.differ else 0

    def _snapshots(self, steps: Mapping[int, Iterable[int]]) -> list[Snapshot]:
        """Each snapshot once."""
        return list(
            dict.fromkeys(self._snapshot(seed, step) for seed, seed_steps in steps.items() for step in seed_steps)
        )

    def _score(self, snapshots: Sequence[Snapshot], rows: LabelledTexts) -> dict[Snapshot, Tensor]:
        tuned, state, reading = self._tuned, self._tuned.state, self._tuned.reading
        names = {(step, cell): f"{len(rows.labels)} rows.{step}.{cell}" for step, cell in snapshots}
        left = [snapshot for snapshot in snapshots if names[snapshot] not in state.tested]
        for first in range(0, len(left), TOGETHER):
            together, rows_before = left[first : first + TOGETHER], reading.forward.rows
            prompts = torch.stack([state.snapshots[step][cell] for step, cell in together])
            examples = [tuned.data.train[tuned.cells[cell][0]] for _, cell in together]
            scores = reading.scores(prompts, rows, examples)
            state.tested |= {names[snapshot]: of_prompt for snapshot, of_prompt in zip(together, scores, strict=True)}
            state.tested_rows += reading.forward.rows - rows_before
            tuned.checkpoint.save_if_due()
        return {snapshot: state.tested[name] for snapshot, name in names.items()}
