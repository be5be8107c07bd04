"""The budget of row passes: all methods send equally many rows through the model.

A pass is one row's forward plus backward. The budget of a study is that of first-order MAML with one
inner step: `steps * meta_batch_size * (support_size + query_size)`. A method whose outer step costs
more takes fewer outer steps.
"""

from __future__ import annotations

import math

from metapt_explore.config import EvaluationConfig, MethodConfig, PretrainingConfig, PTMethod, StudyConfig


def budget(config: PretrainingConfig) -> int:
    """Row passes of every method."""
    return config.steps * config.meta_batch_size * (config.support_size + config.query_size)


def outer_steps(method: MethodConfig, config: PretrainingConfig) -> int:
    """Outer steps of a method: those that spend the budget, at least one; or `steps` under ``budget: updates``.

    Example:
        >>> exact = MethodConfig(name="m", kind="metapt", clustering="c", order="exact")
        >>> [outer_steps(exact, PretrainingConfig(steps=60, budget=budget)) for budget in ("rows", "updates")]
        [26, 60]
    """
    if config.budget == "updates":
        return config.steps
    return max(1, round(budget(config) / method.row_passes_per_step(config)))


def rate_factor(config: PretrainingConfig, step: int, steps: int) -> float:
    """What the outer rate is multiplied by in an outer step; it depends on nothing else, so a resumed run agrees.

    Args:
        config: `outer_schedule` and `warmup`.
        step: The outer step, counted from 0.
        steps: All outer steps of the method.

    Example:
        >>> config = PretrainingConfig(outer_schedule="cosine", warmup=0.5)
        >>> [round(rate_factor(config, step, 4), 3) for step in range(4)]
        [0.5, 1.0, 1.0, 0.5]
    """
    rising = round(config.warmup * steps)
    if step < rising:
        return (step + 1) / rising
    if config.outer_schedule == "constant":
        return 1.0
    return (1 + math.cos(math.pi * (step - rising) / (steps - rising))) / 2


def tuning_of(method: MethodConfig, study: StudyConfig, classes: int | None = None) -> EvaluationConfig:
    """How a method is tuned: `evaluation` with the method's own settings, the fixed recipe, and its extra tuning.

    With `extra_tuning` the steps grow by what the others spend on pre-training, divided by the rows of a tuning
    step: `batch_size`, or all rows where a task has fewer. Each learning rate (that halving leaves) gets all of them,
    which is generous: pre-training is one run for all rates and tasks. The prompt is then also scored at twice, four
    times, … the usual steps, so that dev can stop it.

    Args:
        method: The method.
        study: The study, with the number of shots that is asked for.
        classes: Of the task; when absent a step is taken to hold `batch_size` rows.

    Example:
        >>> from metapt_explore.config import load_study
        >>> study = load_study("tour")  # 16 outer steps of 64 rows; 12 tuning steps of 8
        >>> more = tuning_of(MethodConfig(name="PT+", kind="pt", extra_tuning=True), study)
        >>> more.steps, more.scored_steps
        (140, [0, 4, 12, 24, 48, 96, 140])
    """
    evaluation = study.evaluation
    given = method.tuning.of_evaluation if method.tuning is not None else {}
    tuned = evaluation.model_copy(update=given)
    if evaluation.fixed_recipe is not None and evaluation.fixed_recipe.holds_at(evaluation.shots):
        tuned = tuned.model_copy(update=evaluation.fixed_recipe.settings(given))
    if not (isinstance(method, PTMethod) and method.extra_tuning):
        return tuned
    rows = tuned.batch_size if classes is None else min(tuned.batch_size, evaluation.shots * classes)
    steps = tuned.steps + math.ceil(budget(study.pretraining) / rows)
    later = [tuned.steps * 2**power for power in range(1, 32) if tuned.steps * 2**power < steps]
    return tuned.model_copy(update={"steps": steps, "curve_steps": [*tuned.scored_steps, *later]})
