"""What a baseline takes and returns, and its checkpoints.

A baseline sees labels of train and dev rows, and only the texts of test rows. It returns scores; its caller computes
the metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from torch import Tensor

from metapt_explore.baselines.fine_tuning import RatePoint
from metapt_explore.config import StudyConfig, TaskConfig
from metapt_explore.fewshot.scoring import LabelledTexts
from metapt_explore.models.backbone import Backbone
from metapt_explore.storage.checkpoint import CheckpointStore
from metapt_explore.texts.rows import TextInput
from metapt_explore.verbalizers.verbalizer import Verbalizer


@dataclass(frozen=True)
class BaselineInputs:
    """What a baseline works on.

    Attributes:
        study: Model, encoder, how classes are read, and by what dev chooses.
        task: Template and classes.
        options: Settings of the baseline's kind, see `BaselineConfig.options`.
        init_seed: Initialisation seed; None for baselines without initialisation.
        train: The few-shot examples of each data seed.
        dev: As many held-out examples for choosing.
        test: Texts of the test rows.
        backbone: Returns the study's frozen language model; loads it the first time.
        device: Where a sentence encoder runs.
        on_units: Called with the finished share of the work, 0 to 1; may raise to stop.
        on_pass: Called after each pass through a model; may raise to stop.
        keep: Called with the outcome after each finished data seed, to write a checkpoint.
        restore: Called with an empty outcome; fills in the last checkpoint.
    """

    study: StudyConfig
    task: TaskConfig
    options: dict[str, Any]
    init_seed: int | None
    train: Mapping[int, LabelledTexts]
    dev: Mapping[int, LabelledTexts]
    test: Sequence[TextInput]
    backbone: Callable[[], Backbone]
    device: str = "cpu"
    on_units: Callable[[float], None] = lambda share: None
    on_pass: Callable[[], None] = lambda: None
    keep: Callable[[BaselineOutcome], None] = lambda outcome: None
    restore: Callable[[BaselineOutcome], None] = lambda outcome: None

    @property
    def select_by(self) -> str:
        """Dev score to choose by, ``loss`` or ``accuracy``."""
        return self.study.evaluation.baselines_select_by

    @property
    def where(self) -> str:
        """What to call the task in messages."""
        return f"task {self.task.name}"

    @property
    def whole_vocabulary(self) -> bool:
        """Whether label words compete with every other token."""
        return self.study.verbalizer.decode == "whole_vocabulary"

    @property
    def seeds(self) -> tuple[int, int]:
        """Study seed and initialisation seed."""
        assert self.init_seed is not None
        return self.study.seed, self.init_seed


@dataclass
class Scored:
    """Scores of the test rows after learning from one data seed.

    Attributes:
        scores: Logits of the test rows, fp32 `[rows, columns]`.
        dev_accuracy: Of the choice.
        start: Logits of the test rows before anything was trained, for baselines that have such a start.
        chosen: What dev chose: ``learning_rate``, ``step``, ``c`` …
        dev: Logits of the dev rows as chosen, `[rows, columns]`: ensembles go by them.
    """

    scores: Tensor
    dev_accuracy: float
    start: Tensor | None = None
    chosen: Mapping[str, float | str] = field(default_factory=dict)
    dev: Tensor | None = None


@dataclass
class Spent:
    """What a baseline cost, over all data seeds.

    Attributes:
        row_passes: Rows forward and backward.
        forward_rows: Rows forward only.
        trained_parameters: Numbers that one run trains.
    """

    row_passes: int = 0
    forward_rows: int = 0
    trained_parameters: int = 0


class BaselineCurvePoint(RatePoint):
    """Dev scores of one data seed and learning rate after one step."""

    data_seed: int


@dataclass
class BaselineOutcome:
    """What a baseline gives.

    Attributes:
        seeds: Scores of each data seed.
        spent: Its cost.
        curves: Dev scores after each scored step, where it takes steps.
        verbalizer: How scores are read, where more than label words competes.
    """

    seeds: dict[int, Scored]
    spent: Spent = field(default_factory=Spent)
    curves: list[BaselineCurvePoint] = field(default_factory=list)
    verbalizer: Verbalizer | None = None


class RunBaseline(Protocol):
    """The function that runs a baseline."""

    def __call__(self, inputs: BaselineInputs) -> BaselineOutcome:
        """Learns from train, chooses on dev, scores test."""


class OutcomeCheckpoint:
    """Checkpoints of a baseline after each data seed.

    Args:
        store: Where they are written.
    """

    def __init__(self, store: CheckpointStore) -> None:
        self._store = store

    def save(self, outcome: BaselineOutcome) -> None:
        """Writes what there is of an outcome."""
        tensors: dict[str, Tensor] = {}
        seeds: dict[str, dict[str, Any]] = {}
        for seed, scored in outcome.seeds.items():
            tensors[f"scores.{seed}"] = scored.scores
            for name in ("start", "dev"):
                if (of_name := getattr(scored, name)) is not None:
                    tensors[f"{name}.{seed}"] = of_name
            seeds[str(seed)] = {"dev_accuracy": scored.dev_accuracy, "chosen": scored.chosen}
        meta = {"step": len(seeds), "seeds": seeds, "spent": asdict(outcome.spent), "curves": outcome.curves}
        self._store.save_checkpoint(tensors, meta)

    def restore(self, outcome: BaselineOutcome) -> None:
        """Puts back what `save` wrote, into the outcome of a baseline that has just begun."""
        checkpoint = self._store.load_checkpoint()
        if checkpoint is None:
            return
        tensors, meta = checkpoint
        for seed, record in meta["seeds"].items():
            scores, start, dev = tensors[f"scores.{seed}"], tensors.get(f"start.{seed}"), tensors.get(f"dev.{seed}")
            outcome.seeds[int(seed)] = Scored(scores, record["dev_accuracy"], start, record["chosen"], dev)
        outcome.spent, outcome.curves = Spent(**meta["spent"]), list(meta["curves"])
