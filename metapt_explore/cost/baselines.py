"""Roughly how much work baselines are, in tokens sent once through a model; for shares and time left."""

from __future__ import annotations

from metapt_explore.config import BaselineConfig, StudyConfig, TaskConfig
from metapt_explore.config.baselines import (
    ClassifierBaseline,
    CptBaseline,
    InContextBaseline,
    InstructionSearchBaseline,
    SetFitBaseline,
    SetFitPackageBaseline,
)

#: Test rows of a task that has no limit, as long as its split is not made.
UNKNOWN_TEST_ROWS = 1_000
#: Tokens of a sentence about a class, or of an instruction.
SENTENCE_TOKENS = 10
#: Templates and sets of label words that an instruction search tries.
MENU_TEMPLATES = 10
#: Tokens of a text for the sentence encoder.
ENCODER_TOKENS = 30


def baseline_tokens(
    study: StudyConfig, baseline: BaselineConfig, task: TaskConfig, *, text_tokens: float, init_seed: int | None
) -> float:
    """Tokens through the model that a baseline runs.

    Args:
        study: The study, with the task's number of test rows where it is known.
        baseline: The baseline.
        task: The task.
        text_tokens: Mean tokens of a text.
        init_seed: The initialisation seed; None for baselines without one.
    """
    evaluation, options = study.evaluation, baseline.options_in(study.evaluation)
    seeds = len(evaluation.data_seeds if init_seed is None else evaluation.data_seeds_of(init_seed))
    shots = evaluation.shots * len(task.labels)
    test = evaluation.test_rows or UNKNOWN_TEST_ROWS
    if isinstance(baseline, InContextBaseline):
        dev = baseline.orders * (baseline.max_prompt_tokens + shots * text_tokens)
        return float(seeds * (dev + baseline.max_prompt_tokens + test * text_tokens))
    if isinstance(baseline, ClassifierBaseline):
        # Each text stands beside a sentence about each class.
        return (shots * seeds + test) * len(task.labels) * (text_tokens + SENTENCE_TOKENS)
    if isinstance(baseline, InstructionSearchBaseline):
        tried = (1 + len(baseline.instructions)) * MENU_TEMPLATES + baseline.rounds * baseline.edits
        return float(seeds * ((tried + baseline.keep) * shots + test) * (text_tokens + SENTENCE_TOKENS))
    if not baseline.backward:
        return (2 * shots * seeds + test) * text_tokens
    if isinstance(baseline, SetFitBaseline):
        rates = len(baseline.learning_rates)
        trained = rates * 2 * baseline.pairs(evaluation.shots, len(task.labels))
        scored = rates * baseline.checkpoints * 2 * shots
    elif isinstance(baseline, SetFitPackageBaseline):
        rates = len(baseline.learning_rates)
        trained = rates * 2 * baseline.pairs(evaluation.shots, len(task.labels))
        scored = rates * 2 * shots
    else:
        schedule = evaluation.of_baseline(options)
        running = schedule.rates_running
        trained = sum(running) * min(options["batch_size"], shots)
        scored = shots * (1 + sum(running[step - 1] for step in schedule.scored_steps if step))
    each = baseline.backward * trained + scored + test
    if isinstance(baseline, CptBaseline):
        # The examples: their keys and values and their own loss at each step, and once whenever rows are scored.
        runs = (
            2 * baseline.backward * sum(running) + 3 + sum(running[step - 1] for step in schedule.scored_steps if step)
        )
        each += runs * baseline.max_prompt_tokens / text_tokens
    return float((seeds * each + test) * text_tokens)
