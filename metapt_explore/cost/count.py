"""What a study will cost: rows through the model, time from a short calibration, peak memory.

Counting is arithmetic on the configuration. Seconds come from a few timed passes with the study's own
model, prompt length, placement and pass sizes (`calibrate.py`). After the run the real figures are put
beside the predicted ones, in `cost.json` of the study's folder.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from metapt_explore.config import Placement, StudyConfig, TaskConfig
from metapt_explore.config.task_terms import ALL, study_of
from metapt_explore.cost.baselines import UNKNOWN_TEST_ROWS
from metapt_explore.cost.row_sets import MadeRows, RowSet, row_sets

#: Placements that put the prompt before the text, so that no text states can be cached.
STATELESS = ("prefix", "encoder", "deep")
#: Texts are mostly shorter than the limit, where their length is not known yet.
TEXT_SHARE = 0.6
#: A backward pass to the prompt costs about as much as a forward pass: weights take no gradient.
FORWARD_AND_BACKWARD = 2
#: A Hessian product runs forward, backward, and backward through both.
HESSIAN_PRODUCT = 6
#: One token through the sentence encoder, against one through the language model.
ENCODER_SHARE = 0.1
#: A template's tail.
TAIL_TOKENS = 3
#: Texts of a study without a limit.
UNKNOWN_TEXTS = 5_000


@dataclass(frozen=True)
class TextCounts:
    """Counts of texts that were read.

    Attributes:
        rows: Pre-training texts; None where they are not read yet.
        unlabelled: Those without any label.
        tests: Test rows of each task that is read.
        made: Rows that formats of auxiliary tasks make of the texts, by the formats' names, as far as known.
        trains: Training rows of one data seed of each task that is read; `shots: all` is as many.
    """

    rows: int | None = None
    unlabelled: int = 0
    tests: Mapping[str, int] = field(default_factory=dict)
    made: Mapping[str, MadeRows] = field(default_factory=dict)
    trains: Mapping[str, int] = field(default_factory=dict)

    def at_size(self, study: StudyConfig, task: TaskConfig) -> StudyConfig:
        """The study with the number of test rows, and of examples per class, that a task really has."""
        known: dict[str, int] = {}
        if task.name in self.tests:
            known["test_rows"] = self.tests[task.name]
        if task.shots == ALL and task.name in self.trains:
            known["shots"] = max(1, round(self.trains[task.name] / len(task.labels)))
        if not known:
            return study
        return study.model_copy(update={"evaluation": study.evaluation.model_copy(update=known)})


@dataclass(frozen=True)
class Work:
    """What one stage sends through the language model, or through the sentence encoder.

    Attributes:
        trained: Rows forward and backward.
        hessian: Rows of Hessian products (exact order only).
        scored: Rows forward only, times the prompts that they are scored under.
        encoded: Tokens of texts encoded for the first time.
        embedded: Tokens through the sentence encoder; a backward pass counts as the forward passes that it takes.
        tuned: Those of the trained rows that few-shot steps send, whose passes have another size.
    """

    trained: int = 0
    hessian: int = 0
    scored: int = 0
    encoded: int = 0
    embedded: int = 0
    tuned: int = 0

    @property
    def needs_model(self) -> bool:
        """Whether any of it goes through the language model."""
        return bool(self.trained or self.hessian or self.scored or self.encoded)

    def __add__(self, other: Work) -> Work:
        return Work(
            self.trained + other.trained,
            self.hessian + other.hessian,
            self.scored + other.scored,
            self.encoded + other.encoded,
            self.embedded + other.embedded,
            self.tuned + other.tuned,
        )

    def tokens(self, tail: float) -> float:
        """All of it in tokens sent once through the language model: for shares, not a measurement.

        Args:
            tail: Tokens of a row behind its text's states.
        """
        rows = FORWARD_AND_BACKWARD * self.trained + HESSIAN_PRODUCT * self.hessian + self.scored
        return rows * tail + self.encoded + ENCODER_SHARE * self.embedded


@dataclass
class Reckoning:
    """What work is counted by. It remembers what was counted: texts that several stages share are encoded once.

    Attributes:
        study: The study.
        text_tokens: Mean tokens of a text.
        stateless: Whether nothing of a text can be kept, because the prompt stands before it.
        texts: Texts that are there.
        kept_tokens: Tokens whose states stay in memory, of the stages that were counted.
    """

    study: StudyConfig
    text_tokens: float
    stateless: bool
    texts: TextCounts = field(default_factory=TextCounts)
    kept_tokens: int = 0
    _seen: set[object] = field(default_factory=set)
    _sized: dict[tuple[int | None, str], StudyConfig] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        study: StudyConfig,
        placement: Placement | None = None,
        *,
        text_tokens: float | None = None,
        texts: TextCounts | None = None,
    ) -> Reckoning:
        """What is known of a study.

        Args:
            study: The study.
            placement: Where the prompt stands, where the model's family decides; as the study says when absent.
            text_tokens: Mean tokens of a text; a share of the limit when absent.
            texts: How many texts there are; the study's limits, or a guess, when absent.
        """
        tokens = study.model.max_text_tokens * TEXT_SHARE if text_tokens is None else text_tokens
        return cls(study, tokens, (placement or study.prompt.placement) in STATELESS, texts or TextCounts())

    @property
    def text_rows(self) -> int:
        """Pre-training texts."""
        return self.study.texts.limit or UNKNOWN_TEXTS if self.texts.rows is None else self.texts.rows

    @property
    def row_sets(self) -> list[RowSet]:
        """What pre-training draws from."""
        texts = MadeRows(self.text_rows, self.text_tokens)
        return row_sets(self.study.auxiliary_tasks, texts, self.texts.made)

    @property
    def tail(self) -> float:
        """Tokens of a row behind its text's states."""
        return TAIL_TOKENS + (self.text_tokens if self.stateless else self.study.prompt.length)

    def at_size(self, shots: int | None, task: TaskConfig) -> StudyConfig:
        """The study at a number of examples, with the number of rows that a task really has."""
        asked = (shots, task.name)
        if asked not in self._sized:
            self._sized[asked] = self.texts.at_size(study_of(self.study, task, shots), task)
        return self._sized[asked]

    def first(self, what: object) -> bool:
        """Whether this is counted for the first time."""
        if what in self._seen:
            return False
        self._seen.add(what)
        return True

    def encoded(self, what: object, rows: int, tokens: float | None = None) -> int:
        """Tokens to encode, of rows of so many tokens each (texts when absent); 0 if they were counted before."""
        each = self.text_tokens if tokens is None else tokens
        return round(rows * each) if not self.stateless and self.first(("encoded", what)) else 0

    def whole_texts(self, rows: float) -> Work:
        """Rows that go through the whole model, with no prompt."""
        return Work(scored=round(rows)) if self.stateless else Work(encoded=round(rows * self.text_tokens))


@dataclass(frozen=True)
class Speed:
    """Seconds of a row or token on this machine.

    Attributes:
        trained: A row forward and backward in a pre-training step.
        tuned: The same in a few-shot step, whose passes have another size.
        hessian: A row of a Hessian product; 0 where the study has none.
        scored: A row under one prompt, forward only.
        encoded: A token of a text.
        spent: Seconds that the calibration itself took.
        base_mib: Memory with the model loaded.
        embedded: A token through the sentence encoder, forward only; 0 where the study needs none.
        measured_at: When, in seconds since 1970.
    """

    trained: float
    tuned: float
    hessian: float
    scored: float
    encoded: float
    spent: float
    base_mib: float
    embedded: float = 0.0
    measured_at: float | None = None


@dataclass
class Cost:
    """Predicted, and after the run real, cost of a study.

    Attributes:
        stages: Work and predicted seconds of each stage with a model, by its key.
        seconds: Predicted for what is not there yet.
        peak_mib: Predicted peak memory of the process (of the device, for a GPU).
        device: Where it was calibrated.
        dtype: The model's number format.
        spent: Seconds of calibration.
        real_seconds: What it took, None until it has run.
        real_peak_mib: The peak that was seen.
        assumed_texts: Assumed number of texts, where they are not counted yet and the study sets no limit.
        before_seconds: Reading texts and loading models, as `metapt plan` has measured it; not in `seconds`.
        measured_at: When the machine was measured, in seconds since 1970; None where that was not noted.
        clusterings: Predicted cost of each clustering by its name (`cost/clusterings.py`); not in `seconds`.
    """

    stages: dict[str, dict[str, float]]
    seconds: float
    peak_mib: float
    device: str
    dtype: str
    spent: float
    real_seconds: float | None = None
    real_peak_mib: float | None = None
    assumed_texts: int | None = None
    before_seconds: float = 0.0
    measured_at: float | None = None
    clusterings: dict[str, dict[str, Any]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def assumed_texts(study: StudyConfig, texts: TextCounts | None) -> int | None:
    """The number of texts that `count` assumes; None where it is known."""
    unknown = texts is None or texts.rows is None
    return UNKNOWN_TEXTS if study.pretrains and unknown and study.texts.limit is None else None


def seeds_together(study: StudyConfig) -> int:
    """Data seeds that one few-shot batch holds."""
    return len(study.evaluation.data_seeds_of(study.evaluation.init_seeds[0]))


def count_test_rows(study: StudyConfig) -> int:
    """Test rows of a task: its limit, or a guess."""
    return study.evaluation.test_rows or UNKNOWN_TEST_ROWS


def seconds_of(work: Work, speed: Speed) -> float:
    """Seconds of one stage.

    Example:
        >>> speed = Speed(0.1, 0.2, 0.5, 0.01, 0.001, 3.0, 500.0)
        >>> round(seconds_of(Work(10, 4, 100, 1000), speed), 3)
        5.0
    """
    tokens = work.encoded * speed.encoded + work.embedded * speed.embedded
    rows = (work.trained - work.tuned) * speed.trained + work.tuned * speed.tuned
    return rows + work.hessian * speed.hessian + work.scored * speed.scored + tokens


@dataclass(frozen=True)
class Memory:
    """Memory that a study needs on top of what is in use.

    Attributes:
        states_mib: For text states.
        pass_mib: Of the largest pass.
    """

    states_mib: float = 0.0
    pass_mib: float = 0.0


def predict(
    works: Mapping[str, Work], done: Collection[str], speed: Speed, *, memory: Memory, device: str, dtype: str
) -> Cost:
    """Predicts the cost from work and speed.

    Args:
        works: Work of every stage.
        done: Keys of stages that are there already; they cost nothing.
        speed: Of this machine.
        memory: What it needs beside what is in use.
        device: For the record.
        dtype: For the record.
    """
    stages = {
        key: {**asdict(work), "seconds": 0.0 if key in done else seconds_of(work, speed)} for key, work in works.items()
    }
    total = sum(stage["seconds"] for stage in stages.values())
    peak = speed.base_mib + memory.states_mib + memory.pass_mib
    return Cost(stages, total, peak, device, dtype, speed.spent, measured_at=speed.measured_at)
