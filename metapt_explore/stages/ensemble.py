"""Several readers together, on one task, over all data seeds: out of what each said of dev and scored rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from metapt_explore.config.ensembles import EnsembleBaseline, is_seeded
from metapt_explore.cost.count import Reckoning, Work
from metapt_explore.errors import UserError
from metapt_explore.fewshot.predictions import DEV_PREDICTIONS, SCORE
from metapt_explore.stages.base import Stage
from metapt_explore.stages.baseline import RUNS, Baseline
from metapt_explore.stages.fewshot import FewShot
from metapt_explore.stages.fewshot_probe import FewShotProbe
from metapt_explore.stages.prompt import Prompt
from metapt_explore.stages.split import Split
from metapt_explore.storage.artifact import Artifact, ArtifactWriter
from metapt_explore.texts.rows import as_inputs

if TYPE_CHECKING:
    from metapt_explore.baselines.ensembles import ReaderWeights
    from metapt_explore.fewshot.predictions import RowScores

#: What its parents that are scores are called, before their number.
READER = "reader "
#: The column of its results that says how much each reader counted, as JSON.
READERS = "readers"


class Ensemble(Baseline):
    """The scores of an ensemble; it runs no model, and takes no time."""

    combines: ClassVar[bool] = True
    units = 1
    least_work = 1.0

    @property
    def ensemble(self) -> EnsembleBaseline:
        """Which readers, and how they are put together."""
        assert isinstance(self.baseline, EnsembleBaseline)
        return self.baseline

    @cached_property
    def readers(self) -> tuple[Stage, ...]:
        """The scores that it combines, in their order."""
        return tuple(self._reader(name) for name in self.ensemble.of)

    def _reader(self, name: str) -> Stage:
        study, pipeline = self.study, self.pipeline
        for baseline in study.baselines:
            if baseline.name == name:
                seed = self.init_seed if is_seeded(study, baseline) else None
                return Baseline(pipeline, baseline, self.task, seed, self.shots)
        method = study.method(name)
        stage = FewShotProbe if study.reading_of(method).has_probe else FewShot
        return stage(
            pipeline, Prompt.at(pipeline, method, pipeline.seed(self.init_seed), self.shots), self.task, self.shots
        )

    @cached_property
    def parents(self) -> Mapping[str, Stage | Artifact]:
        """The few-shot rows, and the scores that it combines."""
        scores = {f"{READER}{index}": reader for index, reader in enumerate(self.readers, 1)}
        return {"split": Split(self.pipeline, self.task, self.shots), **scores}

    def config(self) -> dict[str, Any]:
        """How the readers are put together."""
        config = {"kind": self.baseline.kind, **self.baseline.options, "classes": list(self.task.labels)}
        config["data_seeds"] = self._data_seeds
        return config if self.init_seed is None else {**config, "init_seed": self.init_seed}

    def inputs(self) -> dict[str, Any]:
        """Nothing but the scores matters."""
        return {}

    def check(self) -> None:
        """Refuses scores of an earlier version.

        Raises:
            UserError: Where a reader's dev rows were not kept; it says what to do.
        """
        for name, reader in zip(self.ensemble.of, self.readers, strict=True):
            artifact = reader.artifact
            if not self.artifact.is_whole and artifact.is_whole and not keeps_dev_rows(artifact):
                raise UserError(
                    f"'{self.baseline.name}' needs what '{name}' said of the dev rows of {self.called}, and an earlier "
                    f"version did not keep that: delete the folder {artifact.folder}, and run the study again to "
                    "compute this score once more."
                )

    def compute(self, out: ArtifactWriter) -> None:
        """Weighs the readers on dev, and measures what they say together of the scored rows."""
        from metapt_explore.fewshot.predictions import predictions_table

        scores = [reader.artifact for reader in self.readers]
        tables, on_dev = ([score.table(name) for score in scores] for name in ("predictions", DEV_PREDICTIONS))
        rows = self.parent("split").table("rows")
        results, frames, dev_frames = [], [], []
        for seed in self._data_seeds:
            dev, test = Said.of(on_dev, seed), Said.of(tables, seed)
            weights = self._weights(dev, rows, seed)
            together, together_on_dev = test.together(weights), dev.together(weights)
            frames.append(predictions_table({seed: together.kept}, test.labels.tolist(), test.rows))
            dev_frames.append(predictions_table({seed: together_on_dev.kept}, dev.labels.tolist(), dev.rows))
            weight_of = dict(zip(self.ensemble.of, weights.weights, strict=True))
            results.append(
                {
                    "data_seed": seed,
                    **together.measured(test.labels),
                    "dev_accuracy": together_on_dev.accuracy(dev.labels),
                    READERS: json.dumps({"weights": weight_of, "dev_rows": weights.dev_rows}),
                }
            )
        # Columns that scores with steps of their own have.
        absent = dict.fromkeys(("start_accuracy", "start_loss", "learning_rate"), np.nan)
        out.write_table(
            "results", pd.DataFrame(results).assign(**absent, step=pd.array([pd.NA] * len(results), "Int64"))
        )
        out.write_table("predictions", pd.concat(frames, ignore_index=True))
        out.write_table(DEV_PREDICTIONS, pd.concat(dev_frames, ignore_index=True))
        spent = {key: round(sum(self._spent(score, key) for score in scores)) for key in ("row_passes", "forward_rows")}
        trained = len(scores) if self.ensemble.fits_weights else 0
        runs = {"runs": RUNS[None], **spent, "trained_parameters": trained}
        out.write_summary({**runs, "test_rows": len(frames[0])})

    def _spent(self, reader: Artifact, key: str) -> float:
        """Rows of a reader that are the ensemble's, too."""
        return float(share_of(reader, self._data_seeds) * (reader.summary.get(key) or 0))

    def _weights(self, dev: Said, rows: pd.DataFrame, seed: int) -> ReaderWeights:
        from metapt_explore.baselines.ensembles import weigh_readers
        from metapt_explore.fewshot.probe_ensemble import held_out

        train = rows[(rows["split"] == "train") & (rows["data_seed"] == seed)]
        unseen = held_out(as_inputs(rows.loc[dev.rows]), as_inputs(train))
        return weigh_readers(self.ensemble, dev.logs, dev.labels.tolist(), held_out=unseen, choices=dev.choices)

    def work(self, reckoning: Reckoning) -> Work:
        """None."""
        return Work()


@dataclass(frozen=True)
class Said:
    """What several readers say of the same rows.

    Attributes:
        logs: Log-probabilities of the classes, `[rows, classes]` of each reader.
        choices: The class that each reader predicts, `[rows]`; `NO_CLASS` for a word of none.
        labels: Class indices, `[rows]`.
        rows: Numbers of the rows.
    """

    logs: list[np.ndarray]
    choices: list[np.ndarray]
    labels: np.ndarray
    rows: list[int]

    @classmethod
    def of(cls, tables: list[pd.DataFrame], seed: int) -> Said:
        """The rows of one data seed, out of a table of each reader (`predictions_table`).

        Raises:
            UserError: Where readers were asked about other rows.
        """
        parts = [table[table["data_seed"] == seed] for table in tables]
        first = parts[0]
        for part in parts:
            if part["row"].tolist() != first["row"].tolist() or part["label"].tolist() != first["label"].tolist():
                raise UserError("The scores that are combined are of other rows: run the study again.")
        columns = [column for column in first if str(column).startswith(SCORE)]
        logs = [part[columns].to_numpy(dtype=float) for part in parts]
        choices = [part["predicted"].to_numpy(dtype=int) for part in parts]
        return cls(logs, choices, first["label"].to_numpy(dtype=int), [int(row) for row in first["row"]])

    def together(self, weights: ReaderWeights) -> Together:
        """What they say together; a reader that was chosen says what it said."""
        from metapt_explore.baselines.ensembles import pooled_readers

        chosen = weights.chosen
        if chosen is not None and weights.weights[chosen] == 1.0:
            return Together(self.logs[chosen], self.choices[chosen])
        logs = pooled_readers(weights, self.logs)
        return Together(logs, logs.argmax(axis=1))


@dataclass(frozen=True)
class Together:
    """What readers say together.

    Attributes:
        logs: Log-probabilities of the classes, `[rows, classes]`.
        choice: The class that is predicted, `[rows]`; `NO_CLASS` for a word of none.
    """

    logs: np.ndarray
    choice: np.ndarray

    @property
    def kept(self) -> RowScores:
        """As it is kept."""
        import torch

        from metapt_explore.fewshot.predictions import RowScores

        return RowScores(torch.tensor(self.logs).half(), torch.tensor(self.choice, dtype=torch.int16))

    def accuracy(self, labels: np.ndarray) -> float:
        """Share of the rows whose class is right."""
        return float((self.choice == labels).mean())

    def measured(self, labels: np.ndarray) -> dict[str, float]:
        """Metrics of the scored rows, whose labels are looked at here for the first time."""
        from metapt_explore.fewshot.scoring import macro_f1

        return {
            "accuracy": self.accuracy(labels),
            "macro_f1": macro_f1(labels, self.choice, self.logs.shape[1]),
            "test_loss": float(-self.logs[np.arange(len(labels)), labels].mean()),
        }


def share_of(reader: Artifact, data_seeds: Sequence[int]) -> float:
    """Which part of a reader's data seeds an ensemble uses; a paired one uses one seed of a reader without pairs."""
    known = reader.stage.get("config", {}).get("data_seeds") or data_seeds
    return len(data_seeds) / len(known)


def keeps_dev_rows(score: Artifact) -> bool:
    """Whether a score has what was said of dev rows: scores of earlier versions have not."""
    return (score.folder / f"{DEV_PREDICTIONS}.parquet").exists()
