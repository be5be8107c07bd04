"""The list of stages: this is the pipeline. A new stage is its class in a file of this folder, and a line here."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TypeAlias

from metapt_explore.cost.count import Reckoning, Work
from metapt_explore.stages.agreement import Agreement
from metapt_explore.stages.auxiliary_tasks import Tasks
from metapt_explore.stages.base import PARTS, Part, Pipeline, Stage
from metapt_explore.stages.baseline import Baseline
from metapt_explore.stages.clusters import Clusters
from metapt_explore.stages.embeddings import Embeddings
from metapt_explore.stages.ensemble import Ensemble
from metapt_explore.stages.fewshot import FewShot, Tuning
from metapt_explore.stages.fewshot_probe import FewShotProbe
from metapt_explore.stages.format_rows import FormatRows, SourceTexts
from metapt_explore.stages.hardest_texts import HardestTexts
from metapt_explore.stages.headroom import Headroom
from metapt_explore.stages.hidden_states import HiddenStates
from metapt_explore.stages.labels import Labels
from metapt_explore.stages.lens import Lens
from metapt_explore.stages.memberships import Memberships
from metapt_explore.stages.projections import TSNE, UMAP
from metapt_explore.stages.prompt import Prompt
from metapt_explore.stages.screen import Screen
from metapt_explore.stages.slices import Slices
from metapt_explore.stages.split import Split
from metapt_explore.stages.stability import Stability
from metapt_explore.stages.task_subset import TaskSubset
from metapt_explore.stages.template_ranking import TemplateRanking
from metapt_explore.stages.texts import Texts
from metapt_explore.storage.artifact import Artifact

#: In the order of the pipeline.
STAGES: tuple[type[Stage], ...] = (
    Split,
    Texts,
    SourceTexts,
    Embeddings,
    Labels,
    Clusters,
    FormatRows,
    Tasks,
    TaskSubset,
    Prompt,
    HiddenStates,
    Tuning,
    FewShot,
    FewShotProbe,
    Baseline,
    Ensemble,
    Stability,
    Memberships,
    Agreement,
    Headroom,
    Screen,
    Lens,
    HardestTexts,
    Slices,
    TemplateRanking,
    TSNE,
    UMAP,
)
#: Stages that are made on request only, by their kind.
REQUESTS: dict[str, type[Stage]] = {stage.kind: stage for stage in STAGES if stage.part == "request"}
#: How far a study is computed: its texts; clusters and tasks; one kind that is made on request; the cost of the rest;
#: prompts; or all of it.
Until: TypeAlias = str
UNTIL: tuple[Until, ...] = ("texts", "clusters", *REQUESTS, "plan", "prompts", "all")


def parts_until(until: str) -> tuple[Part, ...]:
    """The parts of a run that goes so far.

    Example:
        >>> parts_until("lens"), parts_until("prompts")
        (('texts', 'clusters'), ('texts', 'clusters', 'prompts'))
    """
    last: dict[str, Part] = {"texts": "texts", "prompts": "prompts", "all": "scores"}
    return PARTS[: 1 + PARTS.index(last.get(until, "clusters"))]


def needs_model(until: str) -> bool:
    """Whether a run that goes so far loads the language model."""
    if until in REQUESTS:
        return REQUESTS[until].needs == "model"
    return until not in ("texts", "clusters")


def asked(
    pipeline: Pipeline, init_seeds: Collection[int] | None = None, parts: Collection[Part] = PARTS
) -> Iterator[Stage]:
    """The stages of these parts that a study asks for, in the order of the pipeline; nothing is computed.

    Args:
        pipeline: The study.
        init_seeds: Initialisation seeds; all of the study's when absent.
        parts: Parts of a run.
    """
    seeds = pipeline.config.evaluation.init_seeds if init_seeds is None else init_seeds
    for stage in STAGES:
        if stage.part in parts:
            yield from stage.asked(pipeline, seeds)


def count(
    pipeline: Pipeline, reckoning: Reckoning | None = None, init_seeds: Collection[int] | None = None
) -> dict[str, Work]:
    """Counts the work of every stage with a model, by its key.

    Args:
        pipeline: The study.
        reckoning: What counting goes by, of which no stage was counted yet; the study alone when absent.
        init_seeds: Initialisation seeds; all of the study's when absent.
    """
    reckoning = reckoning or Reckoning.of(pipeline.config)
    works: dict[str, Work] = {}
    for stage in asked(pipeline, init_seeds):
        work = stage.work(reckoning)
        if work != Work() or stage.kind == "prompt":
            works[stage.key] = work
            reckoning.kept_tokens += work.encoded * stage.keeps_states
    return works


def shares(
    pipeline: Pipeline,
    reckoning: Reckoning | None = None,
    init_seeds: Collection[int] | None = None,
    *,
    parts: Collection[Part] = PARTS,
) -> dict[str, float]:
    """Estimates the work of every stage, by its key, in tokens sent once through the language model.

    Good for shares and for time left; it is not a measurement (`cost/calibrate.py` adds one).

    Args:
        pipeline: The study.
        reckoning: As for `count`.
        init_seeds: As for `count`.
        parts: Parts of a run.
    """
    reckoning = reckoning or Reckoning.of(pipeline.config)
    works = {stage.key: stage.share(reckoning) for stage in asked(pipeline, init_seeds, parts)}
    return {key: work for key, work in works.items() if work}


def describe(kind: str, artifact: Artifact) -> str:
    """Says what is in an artifact; empty where it is not finished or says nothing countable."""
    if artifact.status != "done":
        return ""
    stage = next((stage for stage in STAGES if stage.kind == kind), None)
    return "" if stage is None else stage.describe(artifact.summary, artifact.stage.get("config", {}))
