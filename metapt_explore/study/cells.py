"""The cells of a study: its stages, as what any process may make by itself, on any machine that sees the workspace.

Parents of a stage are stages, too, so each cell's id and what it waits for are known before anything is computed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

from metapt_explore import hub
from metapt_explore.cost.count import Reckoning, Speed, TextCounts, seconds_of
from metapt_explore.cost.own_cost import BASE_MIB
from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.stages.base import PARTS, Needs, Stage
from metapt_explore.stages.registry import REQUESTS, asked, count, parts_until, shares
from metapt_explore.study.pipeline import StudyPipeline
from metapt_explore.study.preview import first_rate, read_cost, text_counts

MIB = 2**20
#: Bytes of a weight in memory, by number format.
WEIGHT_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
#: Stages without a model that take seconds: their least share of a run's work is at most this.
LIGHT_WORK = 1.0


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        key: What it is called on the command line; unique in the study.
        id: Id of its artifact; None if something that it depends on cannot be read.
        kind: Kind of its artifact.
        title: What people call it.
        parents: Keys of the cells that it is made from.
        uses: The model that it runs: ``nothing``, ``encoder`` or ``model``.
        done: Whether it is computed and whole.
        seconds: What it will take on this machine, roughly; 0 if it is done, None where nobody knows.
        memory_mib: What it needs, roughly: the model, and the largest pass; None where nobody knows.
        problem: What cannot be read; empty if all can.
    """

    key: str
    id: str | None
    kind: str
    title: str
    parents: list[str]
    uses: Needs
    done: bool
    seconds: float | None
    memory_mib: float | None
    problem: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def needed_by(stage: Stage) -> list[Stage]:
    """The stages that must be there before a stage is made; of those that are only listed, their own."""
    needed: list[Stage] = []
    for role, parent in stage.parents.items():
        if isinstance(parent, Stage):
            needed += needed_by(parent) if role in stage.only_listed else [parent]
    return list({each.key: each for each in needed}.values())


def with_ancestors(stages: Iterable[Stage]) -> dict[str, Stage]:
    """Stages and all that they are made from, by key; parents stand before what is made from them.

    A stage whose parents cannot be named (a file is gone) stands there without them.
    """
    found: dict[str, Stage] = {}

    def add(stage: Stage) -> None:
        if stage.key not in found:
            with suppress(UserError):
                for parent in needed_by(stage):
                    add(parent)
            found[stage.key] = stage

    for stage in stages:
        add(stage)
    return found


def stages_until(
    pipeline: StudyPipeline, until: str = "all", init_seeds: Collection[int] | None = None
) -> dict[str, Stage]:
    """All stages of a run that goes so far, by key, in the order in which they can be made."""
    seeds = pipeline.config.evaluation.init_seeds if init_seeds is None else init_seeds
    wanted = list(asked(pipeline, seeds, parts_until(until)))
    if until in REQUESTS:
        wanted += list(REQUESTS[until].asked(pipeline, seeds))
    return with_ancestors(wanted)


def stages_of(pipeline: StudyPipeline, keys: Sequence[str]) -> list[Stage]:
    """The stages of some keys, in the order in which they can be made.

    Raises:
        UserError: Where the study has no such cell; names the nearest.
    """
    known = stages_until(pipeline)
    if any(key not in known for key in keys):
        # Looks are made on request only; their cells are `<kind>/…`.
        kinds = {kind for kind in REQUESTS if any(key.split("/")[0] == kind for key in keys)}
        seeds = pipeline.config.evaluation.init_seeds
        for kind in kinds or REQUESTS:
            with suppress(UserError):
                known |= with_ancestors(REQUESTS[kind].asked(pipeline, seeds))
    for key in keys:
        if key not in known:
            raise UserError(
                f"The study '{pipeline.config.name}' has no cell '{key}'. {did_you_mean(key, known)} "
                f"`metapt cells` lists them."
            )
    return [stage for key, stage in known.items() if key in set(keys)]


def is_light(stage: Stage) -> bool:
    """Whether it takes seconds and no model, so that whoever hands out cells makes it at once."""
    quick = stage.part == "texts" or stage.least_work <= LIGHT_WORK or stage.kind == "format_rows"
    return stage.uses == "nothing" and quick


def cells_of(
    pipeline: StudyPipeline,
    until: str = "all",
    init_seeds: Collection[int] | None = None,
    *,
    seconds: Mapping[str, float] | None = None,
) -> list[Cell]:
    """The cells of a study, in the order in which they can be made; computes nothing.

    Args:
        pipeline: The study.
        until: How far.
        init_seeds: Initialisation seeds; all of the study's when absent.
        seconds: What each takes where it is computed; predicted for this machine when absent.
    """
    with pipeline.remembering():
        stages = stages_until(pipeline, until, init_seeds)
        seconds = predicted_seconds(pipeline, init_seeds) if seconds is None else seconds
        memory = predicted_memory(pipeline, stages.values())
        return [_cell(stage, seconds, memory) for stage in stages.values()]


def _cell(stage: Stage, seconds: Mapping[str, float], memory: Mapping[str, float]) -> Cell:
    parents: list[str] = []
    identifier, done, problem = None, False, ""
    try:
        parents = [parent.key for parent in needed_by(stage)]
        identifier, done = stage.id, stage.is_there
    except UserError as error:
        problem = str(error)
    takes = 0.0 if done else seconds.get(stage.key)
    needs = memory.get(stage.key)
    return Cell(stage.key, identifier, stage.kind, stage.title, parents, stage.uses, done, takes, needs, problem)


def predicted_seconds(
    pipeline: StudyPipeline, init_seeds: Collection[int] | None = None, *, speed: Speed | None = None
) -> dict[str, float]:
    """What cells take, by key, as far as anybody knows.

    What runs a model goes by a measurement; without one, by shares of the work times a rough speed. What runs none has
    a law of its own (`Stage.own_cost`).

    Args:
        pipeline: The study.
        init_seeds: Initialisation seeds; all of the study's when absent.
        speed: The measurement; this machine's last one when absent, as `metapt plan` and runs keep it.
    """
    from metapt_explore.cost.speeds import KeptSpeeds

    own: dict[str, float] = {}
    with suppress(UserError):
        counts = _counts(pipeline)
        reckoning = Reckoning.of(pipeline.config, pipeline.placement, texts=counts)
        seeds = list(init_seeds or pipeline.config.evaluation.init_seeds)
        without = [stage for stage in asked(pipeline, seeds) if stage.uses == "nothing"]
        own = {stage.key: stage.own_cost(reckoning).seconds for stage in without}
        works = shares(pipeline, reckoning, init_seeds)
        speed = speed or KeptSpeeds(pipeline.workspace.folder, pipeline.model.identity).latest()
        if speed is None:
            rate = first_rate(pipeline, seeds, works)
            return own if rate is None else {key: work * rate for key, work in works.items()} | own
        again = Reckoning.of(pipeline.config, pipeline.placement, texts=counts)
        seconds = {key: seconds_of(work, speed) for key, work in count(pipeline, again, init_seeds).items()}
        in_both = sum(works[key] for key in seconds if key in works)
        rate = sum(seconds[key] for key in seconds if key in works) / in_both if in_both else 0.0
        return {key: work * rate for key, work in works.items()} | seconds | own
    return own


def _counts(pipeline: StudyPipeline) -> TextCounts:
    texts = next((stage for stage in asked(pipeline, (), PARTS[:1]) if stage.kind == "texts"), None)
    made = texts.artifact if texts is not None and texts.is_there else None
    return text_counts(pipeline, made, pipeline.finished_splits())


def predicted_memory(pipeline: StudyPipeline, stages: Iterable[Stage]) -> dict[str, float]:
    """MiB that cells need, by key, as far as anybody knows: of a model its weights and a pass, else by a law."""
    memory: dict[str, float] = {}
    of_models: dict[Needs, float | None] = {}
    with suppress(UserError):
        reckoning = Reckoning.of(pipeline.config, pipeline.placement, texts=_counts(pipeline))
        for stage in stages:
            if stage.uses == "nothing":
                memory[stage.key] = round(stage.own_cost(reckoning).mib, 1)
                continue
            if stage.uses not in of_models:
                of_models[stage.uses] = _model_mib(pipeline) if stage.uses == "model" else _encoder_mib(pipeline)
            needed = of_models[stage.uses]
            if needed is not None:
                memory[stage.key] = needed
    return memory


def _model_mib(pipeline: StudyPipeline) -> float | None:
    """The language model and its largest pass, as `metapt plan` has predicted them, else by its files."""
    cost = read_cost(pipeline.workspace, pipeline.config.name)
    if cost is not None:
        return cost.peak_mib
    with suppress(UserError, OSError, RuntimeError, AssertionError):  # the device may be another machine's
        import torch

        from metapt_explore.models.folder import model_folder
        from metapt_explore.models.memory import pass_budget

        model = pipeline.config.model
        weights = _count_weights(model_folder(model.name, model.revision))
        held = weights * WEIGHT_BYTES.get(str(pipeline.model.identity["dtype"]), 4)
        budget = pass_budget(model.pass_memory_gib, torch.device(pipeline.model.device))
        return round((held + budget) / MIB, 1)
    return None


def _encoder_mib(pipeline: StudyPipeline) -> float | None:
    """The sentence encoder, in float32, in a process that has loaded its libraries."""
    with suppress(UserError, OSError):
        from metapt_explore.models.folder import model_folder

        encoder = pipeline.config.encoder
        weights = _count_weights(model_folder(encoder.name, encoder.revision, hub.ENCODER))
        return round(BASE_MIB + weights * WEIGHT_BYTES["float32"] / MIB, 1)
    return None


def _count_weights(folder: Path) -> int:
    from metapt_explore.models.model_files import safetensors_header

    headers = [safetensors_header(file, "the language model") for file in folder.glob("*.safetensors")]
    return sum(prod(shape) for tensors in headers for _, shape in tensors.values())
