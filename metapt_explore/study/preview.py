"""The cost preview of a running study: predicted before the language model's first stage, settled at the end."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from metapt_explore.cost.count import Cost, Reckoning, TextCounts
from metapt_explore.cost.row_sets import MadeRows
from metapt_explore.models.text_lengths import SAMPLE, token_counts
from metapt_explore.progress.state import format_time
from metapt_explore.results.cut_texts import format_samples, tokenizer_and_limit
from metapt_explore.stages.base import PARTS
from metapt_explore.stages.registry import asked, count, shares
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.files import read_json, write_json
from metapt_explore.storage.peak_memory import PeakWatch
from metapt_explore.storage.workspace import Workspace
from metapt_explore.texts.rows import as_inputs, texts_of

if TYPE_CHECKING:
    from metapt_explore.study.pipeline import StudyPipeline

#: Tokens through the language model from which a calibration of some seconds is worth its time.
WORTH_TOKENS = 40_000


class Preview:
    """Predicts what a study still costs, tells its progress, and notes what it really cost.

    Args:
        study: The study; its data stages are made.
        done: Keys of stages that are there already.
        init_seeds: The initialisation seeds that this run works on.
        texts: The pre-training texts; None if they could not be read.
    """

    def __init__(
        self, study: StudyPipeline, done: Collection[str], *, init_seeds: Sequence[int], texts: Artifact | None
    ) -> None:
        self.study = study
        self.cost: Cost | None = None
        counts = text_counts(study, texts, study.finished_splits())
        failed = study.failures.keys if study.failures else set()
        reckoning = Reckoning.of(study.config, study.placement, texts=counts)
        works = {
            key: work for key, work in shares(study, reckoning, init_seeds=init_seeds).items() if key not in failed
        }
        study.progress.plan(works)
        with_model = {stage.key for stage in asked(study, init_seeds) if stage.uses == "model"}
        # What runs no language model and comes before scores is made, or not at all.
        done = {*done, *(stage.key for stage in asked(study, init_seeds, PARTS[:2]) if stage.uses != "model")}
        if sum(work for key, work in works.items() if key in with_model and key not in done) < WORTH_TOKENS:
            # What an earlier run cost is not what this one costs.
            self._file.unlink(missing_ok=True)
            return
        from metapt_explore.cost.calibrate import preview

        study.progress.begin("", "measuring this machine with the language model", 1)

        def check() -> None:
            study.progress.advance(0)

        tokens = text_tokens(study, texts)
        reckoning = Reckoning.of(study.config, study.placement, text_tokens=tokens, texts=counts)
        counted = count(study, reckoning, init_seeds)
        self.cost = cost = preview(
            study.config, study.tasks, study.backbone, works=counted, reckoning=reckoning, done=done, check=check
        )
        # Data stages keep their share, so that the bar does not jump.
        model_work = sum(work for key, work in works.items() if key in with_model)
        whole = max(1.0, cost.seconds)
        seconds = {key: work * whole / model_work for key, work in works.items()}
        seconds |= {key: stage["seconds"] for key, stage in cost.stages.items() if key not in done}
        study.progress.plan(seconds, in_seconds=True)
        study.progress.predicted(cost.seconds, cost.peak_mib)
        self._save()
        self._watch = PeakWatch().start()
        self._began = time.monotonic()

    def settle(self) -> None:
        """Puts the real cost beside the predicted one; the study has run to its end."""
        if self.cost is None:
            return
        self.cost.real_seconds = time.monotonic() - self._began
        self.cost.real_peak_mib = self._watch.stop()
        self._save()

    def _save(self) -> None:
        if self.cost is not None:
            write_json(self._file, self.cost.as_dict())

    @property
    def _file(self) -> Path:
        return self.study.workspace.study_folder(self.study.config.name) / "cost.json"


def text_counts(study: StudyPipeline, texts: Artifact | None, splits: Mapping[str, Artifact]) -> TextCounts:
    """Counts the pre-training texts and what formats make of them, where they are read, and the test rows of tasks."""
    tests = {name: int(split.summary["sizes"]["test"]) for name, split in splits.items()}
    if texts is None:
        return TextCounts(tests=tests)
    table = texts.table("texts")
    return TextCounts(len(table), int(table["label"].isna().sum()), tests, _made_rows(study, table))


def _made_rows(study: StudyPipeline, texts: pd.DataFrame) -> dict[str, MadeRows]:
    if not study.config.auxiliary_tasks.formats:
        return {}
    tokenizer, longest = tokenizer_and_limit(study.config)
    made = {}
    for name, sample in format_samples(study, as_inputs(texts)).items():
        counts = token_counts(sample.rows[:: 1 + len(sample.rows) // SAMPLE], tokenizer).clip(max=longest)
        made[name] = MadeRows(sample.number, float(counts.mean()) if len(counts) else 0.0)
    return made


def text_tokens(study: StudyPipeline, read: Artifact | None, sample: int = 200) -> float | None:
    """Mean tokens of the study's texts, as they are cut; None where there are no texts."""
    if read is None:
        return None
    texts = texts_of(read.table("texts").head(sample))
    tokenizer, longest = study.backbone.tokenizer, study.config.model.max_text_tokens
    cut = tokenizer(texts, add_special_tokens=False, truncation=True, max_length=longest)["input_ids"]
    return sum(map(len, cut)) / max(1, len(cut))


def read_cost(workspace: Workspace, name: str) -> Cost | None:
    """The cost of a study's last run, or None where it was too short to be worth predicting."""
    stored = read_json(workspace.study_folder(name) / "cost.json")
    try:
        return Cost(**stored) if isinstance(stored, dict) else None
    except TypeError:
        return None


def format_cost(cost: Cost) -> str:
    """Predicted, and real where it has run, in one line.

    Example:
        >>> format_cost(Cost({}, 250.0, 2048.0, "cpu", "float32", 4.0, 271.0, 1900.0))
        'Predicted 4 min 10 s, took 4 min 31 s (+8 %); peak memory predicted 2.0 GiB, was 1.9 GiB.'
    """
    if cost.real_seconds is None or cost.real_peak_mib is None:
        return f"Predicted: {format_time(cost.seconds)}, peak memory {cost.peak_mib / 1024:.1f} GiB."
    off = cost.real_seconds / max(cost.seconds, 1e-9) - 1
    return (
        f"Predicted {format_time(cost.seconds)}, took {format_time(cost.real_seconds)} ({off:+.0%}); ".replace(
            "%)", " %)"
        )
        + f"peak memory predicted {cost.peak_mib / 1024:.1f} GiB, was {cost.real_peak_mib / 1024:.1f} GiB."
    )
