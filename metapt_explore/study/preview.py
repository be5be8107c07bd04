"""The cost preview of a running study: predicted before the language model's first stage, settled at the end."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from metapt_explore.cost.count import Cost, Reckoning, Speed, TextCounts, Work, seconds_of
from metapt_explore.cost.row_sets import MadeRows
from metapt_explore.errors import UserError
from metapt_explore.models.text_lengths import SAMPLE, token_counts
from metapt_explore.progress.state import format_time
from metapt_explore.results.cut_texts import format_samples, tokenizer_and_limit
from metapt_explore.stages.base import PARTS, Stage
from metapt_explore.stages.registry import REQUESTS, Until, asked, count, needs_model, parts_until, shares
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.files import read_json, write_json
from metapt_explore.storage.peak_memory import PeakWatch
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.inner_gradient import keep_inner_gradient
from metapt_explore.texts.rows import as_inputs, texts_of

if TYPE_CHECKING:
    from metapt_explore.study.pipeline import StudyPipeline

#: Tokens through the language model from which a calibration of some seconds is worth its time.
WORTH_TOKENS = 40_000
#: How far a run goes that only predicts the cost; progress calls the measurement so.
PLAN = "plan"


class Preview:
    """Predicts what a study still costs, tells its progress, and notes what it really cost.

    Args:
        study: The study; its data stages are made.
        done: Keys of stages that are there already.
        init_seeds: The initialisation seeds that this run works on.
        texts: The pre-training texts; None if they could not be read.
        until: How far it runs: ``plan``, ``prompts`` or ``all``.
    """

    def __init__(
        self,
        study: StudyPipeline,
        done: Collection[str],
        *,
        init_seeds: Sequence[int],
        texts: Artifact | None,
        until: Until = "all",
    ) -> None:
        self.study, self._until = study, until
        self.cost: Cost | None = None
        counts = text_counts(study, texts, study.finished_splits())
        failed = study.failures.keys if study.failures else set()
        reckoning = Reckoning.of(study.config, study.placement, texts=counts)
        parts = PARTS if until == PLAN else parts_until(until)
        planned = shares(study, reckoning, init_seeds=init_seeds, parts=parts)
        works = {key: work for key, work in planned.items() if key not in failed}
        with_model = {stage.key for stage in asked(study, init_seeds, parts) if stage.uses == "model"}
        # What runs no language model and comes before scores is made, or not at all.
        done = {*done, *(stage.key for stage in asked(study, init_seeds, PARTS[:2]) if stage.uses != "model")}
        if until != PLAN:
            rate = study.progress.seconds_for_work if study.elsewhere is None else None
            study.progress.plan_again(works, seconds_for_work=rate)
            study.progress.found(done)
        left = sum(work for key, work in works.items() if key in with_model and key not in done)
        # A run on an engine loads no model in this process.
        if left < WORTH_TOKENS or (study.elsewhere is not None and until != PLAN):
            # What an earlier run cost is not what this one costs.
            if until != "prompts":
                self._file.unlink(missing_ok=True)
            return
        from metapt_explore.cost.calibrate import preview

        # Whoever asks for the cost alone gets it as it is now: the machine may have been busy then.
        speed, counted, reckoning = measure_speed(
            study, texts, counts, init_seeds=init_seeds, keys=planned, done=done, again=until == PLAN
        )
        keep_inner_gradient(study, texts)
        self.cost = cost = preview(
            study.config,
            study.tasks,
            study.backbone,
            works=counted,
            reckoning=reckoning,
            speed=speed,
            done=done,
        )
        if until != PLAN:
            # Data stages keep their share, so that the bar does not jump.
            model_work = sum(work for key, work in works.items() if key in with_model)
            whole = max(1.0, cost.seconds)
            seconds = {key: work * whole / model_work for key, work in works.items()}
            seconds |= {key: stage["seconds"] for key, stage in cost.stages.items() if key not in done}
            study.progress.plan_again(seconds, seconds_for_work=1.0)
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
        # The cost of the prompts alone is no cost of the study.
        if self.cost is not None and self._until != "prompts":
            write_json(self._file, self.cost.as_dict())

    @property
    def _file(self) -> Path:
        return self.study.workspace.study_folder(self.study.config.name) / "cost.json"


def measure_speed(
    study: StudyPipeline,
    texts: Artifact | None,
    counts: TextCounts,
    *,
    init_seeds: Sequence[int],
    keys: Collection[str],
    done: Collection[str],
    again: bool = False,
) -> tuple[Speed, dict[str, Work], Reckoning]:
    """Times the study's model on this machine, unless a measurement with these settings is kept; it may be stopped.

    Args:
        study: The study; its model is loaded.
        texts: The pre-training texts; None if they could not be read.
        counts: What is known of texts and tasks, see `text_counts`.
        init_seeds: The initialisation seeds that matter.
        keys: Stages that matter.
        done: Those of them that are there.
        again: Measure in any case.

    Returns:
        The speed, the work of the stages, and what it was counted by.
    """
    from metapt_explore.cost.calibrate import measure, shape_of
    from metapt_explore.cost.speeds import KeptSpeeds

    tokens = text_tokens(study, texts)
    reckoning = Reckoning.of(study.config, study.placement, text_tokens=tokens, texts=counts)
    counted = {key: work for key, work in count(study, reckoning, init_seeds).items() if key in keys}
    settings = shape_of(study.config, study.tasks, reckoning)
    speeds = KeptSpeeds(study.workspace.folder, study.model.identity)
    kept = None if again else speeds.find(settings)
    title = "measuring this machine with the language model" if kept is None else "loading the language model"
    study.progress.begin(PLAN, title, 1, with_model=False)
    speed = measure(
        study.config,
        study.tasks,
        study.backbone,
        reckoning=reckoning,
        embeds=any(work.embedded for key, work in counted.items() if key not in done),
        kept=kept,
        check=lambda: study.progress.advance(0),
    )
    if speed != kept:
        speeds.keep(settings, speed)
    return speed, counted, reckoning


def worker_speed(study: StudyPipeline) -> Speed | None:
    """What a worker measures before its first cell with the language model; None for a study too small to be worth it.

    Args:
        study: The study; its model is loaded.
    """
    seeds = study.config.evaluation.init_seeds
    data = asked(study, seeds, PARTS[:2])
    made = next((stage for stage in data if stage.kind == "texts" and stage.is_there), None)
    texts = made.artifact if made is not None else None
    counts = text_counts(study, texts, study.finished_splits())
    works = shares(study, Reckoning.of(study.config, study.placement, texts=counts), seeds)
    if sum(works.values()) < WORTH_TOKENS:
        return None
    done = [stage.key for stage in asked(study, seeds, PARTS[:2]) if stage.uses != "model"]
    return measure_speed(study, texts, counts, init_seeds=seeds, keys=works, done=done)[0]


def plan_run(study: StudyPipeline, init_seeds: Sequence[int], until: Until) -> None:
    """Plans the progress of a run, of what was asked for and nothing else, before anything of it is known.

    Args:
        study: The study; its settings are checked.
        init_seeds: The initialisation seeds that this run works on.
        until: How far.
    """
    with_model = needs_model(until)
    reckoning = Reckoning.of(study.config, study.placement if with_model else None)
    works = shares(study, reckoning, init_seeds, parts=parts_until(until))
    before = sum(works.values())
    if until == PLAN:
        works[PLAN] = before or 1.0  # half of the bar
    elif until in REQUESTS:
        # Nobody counts the work of a look: all of its stages together get half of the bar.
        looks = _looks(study, init_seeds, until)
        works |= dict.fromkeys(looks, (before or 1.0) / max(1, len(looks)))
    scored = until in ("prompts", "all")
    study.progress.plan(works, seconds_for_work=first_rate(study, init_seeds, works) if scored else None)


def _looks(study: StudyPipeline, init_seeds: Sequence[int], until: Until) -> list[str]:
    """Keys of the stages of a look, and of those that only it needs."""
    keys: dict[str, None] = {}

    def add(stage: Stage) -> None:
        with suppress(UserError):  # the run says what is wrong
            for parent in stage.parents.values():
                if isinstance(parent, Stage) and parent.part not in PARTS[:2]:
                    add(parent)
        keys[stage.key] = None

    for stage in REQUESTS[until].asked(study, init_seeds):
        add(stage)
    return list(keys)


def first_rate(study: StudyPipeline, init_seeds: Sequence[int], works: Mapping[str, float]) -> float | None:
    """Seconds for a unit of planned work, before this run has measured anything.

    The model's last measurement in this workspace, else the size of the model and one timed product.
    """
    from metapt_explore.cost.speeds import KeptSpeeds, rough_seconds_a_token
    from metapt_explore.models.folder import model_folder

    try:
        speed = KeptSpeeds(study.workspace.folder, study.model.identity).latest()
        if speed is not None:
            counted = count(study, Reckoning.of(study.config, study.placement), init_seeds)
            in_both = [key for key in works if key in counted]
            planned = sum(works[key] for key in in_both)
            return sum(seconds_of(counted[key], speed) for key in in_both) / planned if planned else None
        model = study.config.model
        if study.model.runs_elsewhere:
            return None  # this machine's speed says nothing of it
        folder = model_folder(model.name, model.revision)
        return rough_seconds_a_token(folder, study.model.device, str(study.model.identity["dtype"]))
    except UserError:
        return None


def text_counts(study: StudyPipeline, texts: Artifact | None, splits: Mapping[str, Artifact]) -> TextCounts:
    """Counts the pre-training texts and what formats make of them, and the test rows of tasks.

    Texts that are not read yet count as the rows of their file, where that is large, at most `texts.limit`.
    """
    tests, trains = (
        {name: int(split.summary["sizes"][part]) for name, split in splits.items()} for part in ("test", "train")
    )
    if texts is None:
        from metapt_explore.texts.scan_cost import most_texts  # pages read costs, and have no use for `datasets`

        return TextCounts(most_texts(study.config.texts), tests=tests, trains=trains)
    table = texts.table("texts")
    made = _made_rows(study, table)
    return TextCounts(len(table), int(table["label"].isna().sum()), tests, made=made, trains=trains)


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
