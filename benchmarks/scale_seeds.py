"""What a plan computes of its seeds. Part `seeds` of `scale.py`."""

from __future__ import annotations

from pathlib import Path

from scale_measure import Measure, Run

from metapt_explore.config import load_study


def prepare_plan(size: int, folder: Path) -> Run:
    """What a plan computes of its seeds, crossed: the work of each stage, and the smallest difference that is found."""
    from metapt_explore.reporting.plan_power import detectable_sentence
    from metapt_explore.stages.registry import count
    from metapt_explore.study.pipeline import StudyPipeline

    tour, seeds = load_study("tour"), list(range(size))
    evaluation = tour.evaluation.model_copy(update={"init_seeds": seeds, "data_seeds": seeds, "pairing": "crossed"})
    config = tour.model_copy(update={"evaluation": evaluation})
    detectable_sentence(tour)  # imports

    def run() -> None:
        count(StudyPipeline(config, folder))
        detectable_sentence(config)

    return run


MEASURES = [Measure("seeds-plan", "plan of crossed seeds", "seeds", (10, 30, 100), prepare_plan)]
