"""Few-shot evaluations read by label words and a probe (`fewshot/probe_ensemble.py`).

Tuning, and dev's choice of rate and step, go by the label words alone. So does the score at the start, when no example
has been seen.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from metapt_explore.cost.count import Reckoning, Work, count_test_rows, seeds_together
from metapt_explore.errors import UserError
from metapt_explore.stages.base import Stage
from metapt_explore.stages.begins import own_starts
from metapt_explore.stages.fewshot import FewShot, Tuning
from metapt_explore.stages.hidden_states import HiddenStates, KeptStates
from metapt_explore.stages.split import FewShotRows
from metapt_explore.storage.artifact import Artifact, ArtifactWriter

if TYPE_CHECKING:
    from torch import Tensor

    from metapt_explore.fewshot.linear_probe import LinearProbe
    from metapt_explore.fewshot.predictions import RowScores
    from metapt_explore.fewshot.probe_ensemble import EnsembleWeights


class FewShotProbe(FewShot):
    """The prompts of an evaluation by label words, read once more beside a probe."""

    by_probe = True

    @property
    def tuning(self) -> Tuning:
        """The evaluation by label words."""
        return Tuning(self.pipeline, self.prompt, self.task, self.shots)

    @cached_property
    def parents(self) -> Mapping[str, Stage | Artifact]:
        """Those of the evaluation by label words, itself, and the states of the texts."""
        states = HiddenStates(self.pipeline, self.task, self.shots)
        return {**self.tuning.parents, "tuned": self.tuning, "hidden_states": states}

    @property
    def only_listed(self) -> Collection[str]:
        """Once it is computed, neither hidden states nor tuned prompts are needed again."""
        return ("tuned", "hidden_states") if self.artifact.is_whole else ()

    def compute(self, out: ArtifactWriter) -> None:
        """Fits the probes and reads the prompts beside them."""
        from metapt_explore.fewshot.predictions import dev_predictions_table, predictions_table

        tuned = self.parent("tuned")
        prompts, results = tuned.tensors("prompts"), tuned.table("results")
        readings, rows, forward = self._read(prompts)
        changed = [
            {**record, **readings[f"data_seed_{record['data_seed']}"].scores}
            for record in results.to_dict(orient="records")
        ]
        out.write_table("results", pd.DataFrame(changed))
        # Curves are of label words alone: dev scores stay, test scores would not be those of this reading.
        curves = tuned.table("curves")
        of_test = [column for column in curves if str(column).startswith("test_")]
        out.write_table("curves", curves.assign(**dict.fromkeys(of_test, float("nan"))))
        said = {seed: readings[f"data_seed_{seed}"] for seed in rows.train}
        out.write_table(
            "predictions",
            predictions_table({s: each.said for s, each in said.items()}, rows.scored.labels, rows.numbers),
        )
        of_dev = {seed: each.said_of_dev for seed, each in said.items()}
        out.write_table("dev_predictions", dev_predictions_table(of_dev, rows.dev, rows.dev_numbers))
        out.write_tensors("prompts", prompts)
        if starts := own_starts(tuned):
            out.write_tensors("starts", starts)
        probes = {name: reading.probe for name, reading in readings.items()}
        tensors = [probe.tensors(f"{name}.") for name, probe in probes.items()]
        out.write_tensors("probes", {key: value for each in tensors for key, value in each.items()})
        out.write_summary(
            {
                **tuned.summary,
                "forward_rows": tuned.summary["forward_rows"] + forward,
                "probe_parameters": max(probe.parameters for probe in probes.values()),
                "classes": list(self.task.labels),
                "weights": {name: asdict(reading.weights) for name, reading in readings.items()},
            }
        )

    def _read(self, prompts: dict[str, Tensor]) -> tuple[dict[str, _Reading], FewShotRows, int]:
        """Each data seed's reading, the rows that are read, and how many were sent forward."""
        import torch

        from metapt_explore.fewshot.predictions import RowScores
        from metapt_explore.fewshot.probe_ensemble import fit_probes, held_out, pooled, weigh
        from metapt_explore.fewshot.scoring import ClassReading, measure

        loaded = self.backbone()
        states = KeptStates(self.parent("hidden_states"), self.parent("split"))
        where = f"task {self.task.name}"
        reading = ClassReading(
            loaded,
            loaded.pattern(self.task, where, whole_vocabulary=False),
            on_pass=lambda: self.advance(0),
        )
        rows = FewShotRows(self.parent("split"), self.task, self.evaluation, self.prompt.init_seed)
        scored, states_of_scored = rows.scored, states.of(rows.scored.texts)
        names = {seed: f"data_seed_{seed}" for seed in rows.train}
        stacked = torch.stack([prompts[name] for name in names.values()]).to(loaded.device)
        words_of_scored = reading.scores(stacked, scored, list(rows.train.values()))
        readings: dict[str, _Reading] = {}
        for place, (seed, name) in enumerate(names.items()):
            train, dev = rows.train[seed], rows.dev[seed]
            classes = len(self.task.labels)
            fitted = fit_probes(states.of(train.texts), train.labels, classes, where=f"{where}, data seed {seed}")
            words_of_dev = reading.scores(stacked[place : place + 1], dev, [train])[0]
            states_of_dev = states.of(dev.texts)
            opinions = {c: probe.scores(states_of_dev) for c, probe in fitted.items()}
            weights = weigh(words_of_dev, opinions, dev.labels, held_out=held_out(dev.texts, train.texts))
            probe = fitted[weights.c]
            said = pooled(words_of_scored[place], probe.scores(states_of_scored), weights)
            end = measure(said, scored.labels)
            said_of_dev = pooled(words_of_dev, opinions[weights.c], weights)
            on_dev = measure(said_of_dev, dev.labels)
            scores = {
                "accuracy": end["accuracy"],
                "macro_f1": end["macro_f1"],
                "test_loss": end["loss"],
                "dev_accuracy": on_dev["accuracy"],
                # Taking off the mean over the scored rows is for label words alone.
                "calibrated_accuracy": float("nan"),
                "weights": json.dumps(asdict(weights)),
            }
            readings[name] = _Reading(probe, weights, scores, RowScores.of(said), RowScores.of(said_of_dev))
        return readings, rows, reading.forward.rows

    def work(self, reckoning: Reckoning) -> Work:
        """The chosen prompt of every data seed on its dev rows and on the test rows."""
        study = self._sized(reckoning)
        rows = count_test_rows(study) + study.evaluation.shots * len(self.task.labels)
        return Work(scored=seeds_together(study) * rows) + self._encoding(reckoning)


@dataclass(frozen=True)
class _Reading:
    """One data seed's probe beside its label words."""

    probe: LinearProbe
    weights: EnsembleWeights
    scores: dict[str, Any]
    said: RowScores
    said_of_dev: RowScores


def kept_weights(evaluation: Artifact, data_seed: int) -> dict[str, Any] | None:
    """How much label words and probe count at a data seed (`EnsembleWeights`); None where words alone were read."""
    weights: dict[str, Any] | None = evaluation.summary.get("weights", {}).get(f"data_seed_{data_seed}")
    return weights


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
