"""The cells of a study: every prompt, score and baseline that it asks for, finished or not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from metapt_explore.cost.baselines import baseline_cells, baseline_key
from metapt_explore.stages.texts import Recipe
from metapt_explore.storage.artifact import Artifact, Question

if TYPE_CHECKING:
    from metapt_explore.study.scores import StudyScores
    from metapt_explore.study.study import Study


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
    stage: Question
    make: Callable[[], Artifact]
    prompt: str | None = None


def cells(study: Study, init_seeds: Collection[int]) -> Iterator[Cell]:
    """The cells of these initialisation seeds, and of baselines that have none; nothing is computed.

    Prompts come before their scores. In a run a cell that needs a failed part is noted there and left out here.
    """
    for init_seed in init_seeds:
        for method in study.config.methods:
            of = prompt_key(method.name, init_seed)
            prompt_stage = stage_of(study, of, partial(study.prompt_recipe, method, init_seed))
            if prompt_stage is not None:
                yield Cell(of, prompt_stage, partial(study.prompt, method.name, init_seed))
            for name, task in study.tasks.items():
                for shots in (None, *study.config.evaluation.more_shots):
                    key = fewshot_key(method.name, name, init_seed, shots)
                    if prompt_stage is None:
                        stage_of(study, key, partial(study.prompt_recipe, method, init_seed))
                        continue
                    prompt = study.workspace.artifact(prompt_stage.id)
                    stage = stage_of(
                        study, key, partial(study.fewshot_recipe, method.name, task, init_seed, prompt, shots)
                    )
                    if stage is not None:
                        yield Cell(key, stage, partial(study.fewshot, method.name, name, init_seed, shots), of)
    for baseline, name, seed in baseline_cells(study.config, study.tasks):
        if seed is None or seed in init_seeds:
            key = baseline_key(baseline, name, seed)
            stage = stage_of(study, key, partial(study.baseline_recipe, baseline, study.tasks[name], seed))
            if stage is not None:
                yield Cell(key, stage, partial(study.baseline, baseline.name, name, seed))


def prompt_key(method: str, init_seed: int) -> str:
    """What progress calls the prompt of a method."""
    return f"prompt/{method}/{init_seed}"


def fewshot_key(method: str, task: str, init_seed: int, shots: int | None = None) -> str:
    """What progress calls a score of a method; `shots` where it is not the study's own number.

    Example:
        >>> fewshot_key("PPT", "mood", 0), fewshot_key("PPT", "mood", 0, 4)
        ('fewshot/PPT/mood/0', 'fewshot/PPT/mood at 4 shots/0')
    """
    called = task if shots is None else f"{task} at {shots} shots"
    return f"fewshot/{method}/{called}/{init_seed}"


def stage_of(study: StudyScores, key: str, recipe: Callable[[], Recipe]) -> Question | None:
    """The question of a part; None where a run goes on and something that the part needs has failed in it."""
    made = recipe() if study.failures is None else study.failures.attempt(key, recipe)
    return None if made is None else made[0]


def finished_cells(study: Study, init_seeds: Collection[int]) -> Iterator[Cell]:
    """Those of them that are there, with the prompts that they are scores of."""
    found: set[str] = set()
    for cell in cells(study, init_seeds):
        there = study.workspace.artifact(cell.stage.id).is_whole
        if there and (cell.prompt is None or cell.prompt in found):
            found.add(cell.key)
            yield cell
