"""What a plan computes of seeds that are crossed, n of either kind. Part `seeds` of `scale.py`.

Three measurements, since they grow differently: the work of every stage; the smallest difference that is found; and the
whole of `metapt plan` but for its models (texts and few-shot rows read, problems looked for, and both of these).

Where pairs share seeds, the width of an interval is calibrated by simulated studies, up to `MOST_PAIRS` pairs (31
crossed seeds); with more of them it is taken as it is. So the second measurement is cheaper at 100 seeds than at 30.
The column `calibrated` says which it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scale_measure import Measure, Run

from metapt_explore.config import StudyConfig, load_study

SIZES = (10, 30, 100)


def crossed(seeds: int) -> StudyConfig:
    """The tour with so many initialisation seeds, each with as many data seeds."""
    tour, numbers = load_study("tour"), list(range(seeds))
    more = {"init_seeds": numbers, "data_seeds": numbers, "pairing": "crossed"}
    return tour.model_copy(update={"evaluation": tour.evaluation.model_copy(update=more)})


def prepare_work(size: int, folder: Path) -> Run:
    """The work of each stage."""
    from metapt_explore.stages.registry import count
    from metapt_explore.study.pipeline import StudyPipeline

    config = crossed(size)
    count(StudyPipeline(load_study("tour"), folder))  # imports

    def run() -> Mapping[str, Any]:
        return {"stages": len(count(StudyPipeline(config, folder)))}

    return run


def prepare_difference(size: int, folder: Path) -> Run:
    """The smallest difference that is found."""
    from metapt_explore.reporting.plan_power import detectable_sentence
    from metapt_explore.statistics.width_factors import MOST_PAIRS

    config = crossed(size)
    detectable_sentence(load_study("tour"))  # imports

    def run() -> Mapping[str, Any]:
        detectable_sentence(config)
        return {"pairs": size**2, "calibrated": size**2 <= MOST_PAIRS}

    return run


def prepare_plan(size: int, folder: Path) -> Run:
    """All of a plan but for its models."""
    from metapt_explore.reporting.plan_power import detectable_sentence
    from metapt_explore.stages.registry import count
    from metapt_explore.storage.workspace import Workspace
    from metapt_explore.study.pipeline import StudyPipeline
    from metapt_explore.study.problems import looking

    config, workspace = crossed(size), Workspace(folder)
    with looking(load_study("tour"), workspace):  # imports
        pass

    def run() -> Mapping[str, Any]:
        with looking(config, workspace) as findings:
            count(StudyPipeline(config, folder))
        detectable_sentence(config)
        return {"problems": len(findings.problems)}

    return run


MEASURES = [
    Measure("seeds-work", "work of crossed seeds", "seeds", SIZES, prepare_work),
    Measure("seeds-difference", "smallest difference with crossed seeds", "seeds", SIZES, prepare_difference),
    Measure("seeds-whole-plan", "plan of crossed seeds, without models", "seeds", SIZES, prepare_plan),
]
