"""What a study will cost: rows through the model, time from a short calibration, peak memory.

Counting is arithmetic on the configuration. Seconds come from a few timed passes with the study's own
model, prompt length, placement and pass sizes (`calibration.py`). After the run the real figures are put
beside the predicted ones, in `cost.json` of the study's folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from metapt_explore.config import MetaPTMethod, MethodConfig, Placement, StudyConfig, TaskConfig, VerbalizerConfig
from metapt_explore.cost.baselines import UNKNOWN_TEST_ROWS, baseline_tokens, encoder_tokens
from metapt_explore.pretraining.budget import outer_steps, tuning_of

#: Placements that read a text under its prompt, so that nothing of it can be kept.
STATELESS = ("prefix", "encoder")
#: Texts are mostly shorter than the limit, where their length is not known yet.
TEXT_SHARE = 0.6
#: Texts of a study without a limit, likewise.
UNKNOWN_TEXTS = 5_000


@dataclass(frozen=True)
class TextCounts:
    """Texts that are there.

    Attributes:
        rows: Pre-training texts; None where they are not read yet.
        unlabelled: Those without any label.
        tests: Test rows of each task that is read.
    """

    rows: int | None = None
    unlabelled: int = 0
    tests: Mapping[str, int] = field(default_factory=dict)

    def at_size(self, study: StudyConfig, task: str) -> StudyConfig:
        """The study with the number of test rows that a task really has."""
        if task not in self.tests:
            return study
        evaluation = study.evaluation.model_copy(update={"test_rows": self.tests[task]})
        return study.model_copy(update={"evaluation": evaluation})


@dataclass(frozen=True)
class Work:
    """What one stage sends through the language model, or through the sentence encoder.

    Attributes:
        trained: Rows forward and backward.
        hessian: Rows of Hessian products (exact order only).
        scored: Rows forward only, times the prompts that they are scored under.
        encoded: Tokens of texts encoded for the first time.
        embedded: Tokens through the sentence encoder; a backward pass counts as the forward passes that it takes.
    """

    trained: int = 0
    hessian: int = 0
    scored: int = 0
    encoded: int = 0
    embedded: int = 0

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
        )


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
    """

    trained: float
    tuned: float
    hessian: float
    scored: float
    encoded: float
    spent: float
    base_mib: float
    embedded: float = 0.0


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
        assumed_texts: Texts that were reckoned with, where nobody has counted them yet and the study sets no limit.
        before_seconds: Reading texts and loading models, as `metapt plan` has measured it; not in `seconds`.
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

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def count(
    study: StudyConfig,
    tasks: dict[str, TaskConfig],
    text_tokens: float | None = None,
    placement: Placement | None = None,
    texts: TextCounts | None = None,
) -> dict[str, Work]:
    """Counts the work of every stage with a model, by the keys that `Study` reports under.

    Args:
        study: The study.
        tasks: Its downstream tasks by name.
        text_tokens: Mean tokens of a text; a share of the limit when absent.
        placement: Where the prompt stands, where the model's family decides; as the study says when absent.
        texts: How many texts there are; the study's limits, or a guess, when absent.

    Returns:
        ``prompt/<method>/<seed>``, ``fewshot/<method>/<task>/<seed>`` and ``baseline/…`` with their work, ``labels/…``
        where texts are labelled (all of them, where it is not known how many have a label), and ``embeddings``.
    """
    tokens = study.model.max_text_tokens * TEXT_SHARE if text_tokens is None else text_tokens
    works: dict[str, Work] = {}
    encoded: set[object] = set()
    pretrained: set[object] = set()
    stateless = (placement or study.prompt.placement) in STATELESS

    def first_time(what: object, rows: int) -> int:
        """Tokens to encode: states are shared by everything that sees the same texts."""
        if what in encoded or stateless:
            return 0
        encoded.add(what)
        return round(rows * tokens)

    texts = texts or TextCounts()
    text_rows = study.texts.limit or UNKNOWN_TEXTS if texts.rows is None else texts.rows
    if study.pretrains and study.labelling is not None and study.labelling.by == "zero_shot":
        rows = texts.unlabelled if texts.rows is not None and study.labelling.which == "unlabelled" else text_rows
        works["labels/zero_shot"] = Work(scored=rows, encoded=first_time("zero_shot", rows))
    for init_seed in study.evaluation.init_seeds:
        for method in study.methods:
            key = f"prompt/{method.name}/{init_seed}"
            # Methods that are tuned or read otherwise share their pre-training.
            same = method.model_dump_json(exclude={"name", "tuning", "verbalizer"}), init_seed
            if not method.pretrained or same in pretrained:
                works[key] = Work()
            else:
                pretrained.add(same)
                steps, episode = outer_steps(method, study.pretraining), _episode(method, study)
                drawn = min(text_rows, steps * _drawn(method, study))
                # Where most texts are drawn anyway, all methods share one bank of them.
                whole = 2 * drawn > text_rows
                states = first_time("texts" if whole else key, text_rows if whole else drawn)
                works[key] = Work(steps * episode.trained, steps * episode.hessian, steps * episode.scored, states)
            for name, task in tasks.items():
                for shots in (None, *study.evaluation.more_shots):
                    other, called = (
                        texts.at_size(study.at_shots(shots), name),
                        name if shots is None else f"{name} at {shots} shots",
                    )
                    rows, key = _fewshot_rows(other, task), f"{method.name}/{called}/{init_seed}"
                    # At other shots the test rows are the same; few-shot rows are others, in part.
                    new = rows if shots is None else rows - (other.evaluation.test_rows or UNKNOWN_TEST_ROWS)
                    score, encoding = _fewshot(other, task, method), Work(encoded=first_time((name, shots), new))
                    if study.reading_of(method).has_probe:
                        works[f"views/{called}"] = _whole_texts(rows, tokens, stateless)
                        if not _tuned_already(study, method):
                            works[f"tuning/{key}"] = score
                        score = _read_once_more(other, task)
                    works[f"fewshot/{key}"] = score + encoding
    for key, baseline in baseline_tokens(study, tasks, tokens, texts.at_size).items():
        # A baseline's rows go through the whole model, trained ones backward as well.
        works[key] = _whole_texts(baseline / tokens, tokens, stateless)
    for key, embedded in encoder_tokens(study, tasks, texts.at_size).items():
        if embedded:
            works[key] = Work(embedded=round(embedded))
    by_classifier = study.pretrains and study.labelling is not None and study.labelling.by == "classifier"
    if study.clusterings or by_classifier:
        works["embeddings"] = Work(embedded=round(text_rows * tokens))
    return works


def _whole_texts(rows: float, tokens: float, stateless: bool) -> Work:
    """Rows that go through the whole model, with no prompt."""
    return Work(scored=round(rows)) if stateless else Work(encoded=round(rows * tokens))


def _tuned_already(study: StudyConfig, method: MethodConfig) -> bool:
    """Whether another method of the study tunes the same prompts: the probe then only reads them once more."""
    others = [other for other in study.methods if not study.reading_of(other).has_probe]
    alike = {"name": method.name, "verbalizer": method.verbalizer}
    plain = [other for other in others if study.reading_of(other) == VerbalizerConfig()]
    return any(other.model_copy(update=alike) == method for other in plain)


def assumed_texts(study: StudyConfig, texts: TextCounts | None) -> int | None:
    """The guess that `count` works with, None where it needs none."""
    unknown = texts is None or texts.rows is None
    return UNKNOWN_TEXTS if study.pretrains and unknown and study.texts.limit is None else None


def _drawn(method: MethodConfig, study: StudyConfig) -> int:
    pretraining = study.pretraining
    return pretraining.meta_batch_size * (pretraining.support_size + pretraining.query_size)


def _episode(method: MethodConfig, study: StudyConfig) -> Work:
    """One outer step."""
    tasks, support, query = (
        study.pretraining.meta_batch_size,
        study.pretraining.support_size,
        study.pretraining.query_size,
    )
    if not isinstance(method, MetaPTMethod):
        return Work(trained=tasks * (support + query))
    inner = tasks * method.inner_steps * support
    return Work(inner + tasks * query, inner if method.second_order else 0, tasks * support)


def _fewshot_rows(study: StudyConfig, task: TaskConfig) -> int:
    """Rows whose states are kept for a task: train and dev of every data seed, and test."""
    evaluation = study.evaluation
    test = evaluation.test_rows or UNKNOWN_TEST_ROWS
    return 2 * evaluation.shots * len(task.labels) * len(evaluation.data_seeds) + test


def seeds_together(study: StudyConfig) -> int:
    """Data seeds that one few-shot batch holds."""
    return len(study.evaluation.data_seeds_of(study.evaluation.init_seeds[0]))


def _fewshot(study: StudyConfig, task: TaskConfig, method: MethodConfig) -> Work:
    evaluation = tuning_of(method, study, len(task.labels))
    seeds, shots = seeds_together(study), evaluation.shots * len(task.labels)
    rates, later = evaluation.rates_running, [step for step in evaluation.scored_steps if step]
    trained = sum(rates) * min(evaluation.batch_size, shots) * seeds
    dev = seeds * (1 + sum(rates[step - 1] for step in later)) * shots
    rows = evaluation.test_rows or UNKNOWN_TEST_ROWS
    if evaluation.curve_rows is None:
        test = (1 + len(later) * seeds) * rows
    else:
        test = (1 + seeds) * rows + (len(later) - 1) * seeds * min(evaluation.curve_rows, rows)
    soup = seeds * (rows + shots) if evaluation.soup > 1 else 0
    return Work(trained=trained, scored=dev + test + soup)


def _read_once_more(study: StudyConfig, task: TaskConfig) -> Work:
    """The chosen prompt of every data seed on its dev rows and on the test rows."""
    rows = study.evaluation.test_rows or UNKNOWN_TEST_ROWS
    return Work(scored=seeds_together(study) * (rows + study.evaluation.shots * len(task.labels)))


def seconds_of(key: str, work: Work, speed: Speed) -> float:
    """Seconds of one stage.

    Example:
        >>> speed = Speed(0.1, 0.2, 0.5, 0.01, 0.001, 3.0, 500.0)
        >>> round(seconds_of("prompt/MetaPT/0", Work(10, 4, 100, 1000), speed), 3)
        5.0
    """
    row = speed.tuned if key.startswith(("fewshot/", "tuning/")) else speed.trained
    tokens = work.encoded * speed.encoded + work.embedded * speed.embedded
    return work.trained * row + work.hessian * speed.hessian + work.scored * speed.scored + tokens


def predict(
    works: dict[str, Work],
    done: set[str],
    speed: Speed,
    states_mib: float,
    pass_mib: float,
    device: str,
    dtype: str,
) -> Cost:
    """Puts work and speed together.

    Args:
        works: Work of every stage.
        done: Keys of stages that are there already; they cost nothing.
        speed: Of this machine.
        states_mib: Memory for text states.
        pass_mib: Memory of the largest pass.
        device: For the record.
        dtype: For the record.
    """
    stages = {
        key: {**asdict(work), "seconds": 0.0 if key in done else seconds_of(key, work, speed)}
        for key, work in works.items()
    }
    total = sum(stage["seconds"] for stage in stages.values())
    return Cost(stages, total, speed.base_mib + states_mib + pass_mib, device, dtype, speed.spent)
