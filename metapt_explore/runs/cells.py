"""The cells of a study: every prompt, score and baseline that it asks for, finished or not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from metapt_explore.runs.artifact import Artifact, Stage
from metapt_explore.runs.baseline_cost import baseline_cells, baseline_key

if TYPE_CHECKING:
    from metapt_explore.runs.study import Study


@dataclass(frozen=True)
class Cell:
    """One of them.

    Attributes:
        key: What progress calls it.
        stage: Its question.
        make: Computes it where it is not there, and enters it into the study's list.
        prompt: Key of the prompt that a score is of.
    """

    key: str
    stage: Stage
    make: Callable[[], Artifact]
    prompt: str | None = None


def cells(study: Study, init_seeds: Collection[int]) -> Iterator[Cell]:
    """The cells of these initialisation seeds, and of baselines that have none; nothing is computed.

    Prompts come before their scores.
    """
    for init_seed in init_seeds:
        for method in study.config.methods:
            stage = study.prompt_recipe(method, init_seed)[0]
            of = f"prompt/{method.name}/{init_seed}"
            yield Cell(of, stage, partial(study.prompt, method.name, init_seed))
            prompt = study.workspace.artifact(stage.id)
            for name, task in study.tasks.items():
                for shots in (None, *study.config.evaluation.more_shots):
                    stage = study.fewshot_recipe(method.name, task, init_seed, prompt, shots)[0]
                    called = name if shots is None else f"{name} at {shots} shots"
                    key = f"fewshot/{method.name}/{called}/{init_seed}"
                    yield Cell(key, stage, partial(study.fewshot, method.name, name, init_seed, shots), of)
    for baseline, name, seed in baseline_cells(study.config, study.tasks):
        if seed is None or seed in init_seeds:
            stage = study.baseline_recipe(baseline, study.tasks[name], seed)[0]
            yield Cell(baseline_key(baseline, name, seed), stage, partial(study.baseline, baseline.name, name, seed))


def finished_cells(study: Study, init_seeds: Collection[int]) -> Iterator[Cell]:
    """Those of them that are there, with the prompts that they are scores of."""
    found: set[str] = set()
    for cell in cells(study, init_seeds):
        there = study.workspace.artifact(cell.stage.id).status == "done"
        if there and (cell.prompt is None or cell.prompt in found):
            found.add(cell.key)
            yield cell
