"""What a study could find, said before it starts."""

from __future__ import annotations

from metapt_explore.config import StudyConfig
from metapt_explore.config.task_terms import format_shots
from metapt_explore.reporting.over_seeds import over_seeds
from metapt_explore.reporting.questions import questions_of
from metapt_explore.statistics.designs import seed_design
from metapt_explore.statistics.detectable import recorded_spread, smallest_difference
from metapt_explore.statistics.numbers import points
from metapt_explore.statistics.significance import pairs_needed
from metapt_explore.statistics.verdict import MIN_SEEDS_FOR_VERDICT


def detectable_sentence(config: StudyConfig) -> str:
    """The smallest true difference of the primary question that the study would find, and what a smaller one takes.

    Args:
        config: The study; nothing of it has to be computed.

    Returns:
        Empty where the study asks no question of two methods, and where recorded studies do not tell: comparisons of
        macro F1, tasks of every training row (data seeds share their rows), or of different numbers of examples.

    Example:
        >>> from metapt_explore.config import load_study
        >>> print(detectable_sentence(load_study("tour"))[:59])
        With 3 pairs of seeds on 2 tasks, a true difference of 10.8
    """
    import pandas as pd

    listed = pd.DataFrame({"method": [method.name for method in config.methods]})
    # Methods that differ in seeds only answer together, as in the report.
    study = over_seeds(listed, config.model_dump(mode="json")).study
    kinds_of = {method["name"]: method["kind"] for method in study["methods"]}
    asked = questions_of(study, list(kinds_of))
    primary = next((question for question in asked if question.primary), None)
    evaluation, shots = config.evaluation, _shots(config)
    if primary is None or shots is None or evaluation.metric != "accuracy":
        return ""
    kinds = kinds_of[primary.method], kinds_of[primary.baseline]
    spread = recorded_spread(kinds, len(evaluation.tasks), shots)
    difference = smallest_difference(evaluation.pairs, spread.deviation)
    margin, deviation = evaluation.margin, points(spread.deviation, sign=False)
    like = "like comparisons in recorded studies" if spread.alike else "other comparisons in recorded studies"
    studies = ", ".join(spread.studies)
    examples = " and ".join(format_shots({"shots": number}) for number in spread.shots)
    known = (
        f"pairs are taken to differ by a standard deviation of {deviation} points, as {like} ({studies}; {examples})"
    )
    needed = pairs_needed(margin, spread.deviation)
    design = seed_design(pd.MultiIndex.from_tuples(evaluation.pairs, names=["init_seed", "data_seed"]))
    what = f"{primary.method} and {primary.baseline}"
    if difference is None:
        sentence = f"One pair of seeds finds no difference between {what}, however large; {known}."
    else:
        sentence = (
            f"With {len(evaluation.pairs)} pairs of seeds on {len(evaluation.tasks)} tasks, a true difference of "
            f"{points(difference, sign=False)} points of accuracy between {what} is found in 80 % of studies; {known}."
        )
    if needed is not None and (difference is None or difference > margin):
        sentence += (
            f" A difference of {points(margin, sign=False)} points (`evaluation.margin`) takes "
            f"{max(needed, MIN_SEEDS_FOR_VERDICT)} pairs without a common seed."
        )
    if len(evaluation.data_seeds) > 1:
        # What samples share is known once rows are read; `compare` takes it into account.
        sentence += " Data seeds are taken to draw samples that share no rows; the more they share, the less is found."
    if design.independent < MIN_SEEDS_FOR_VERDICT:
        sentence += f" With fewer than {MIN_SEEDS_FOR_VERDICT} independent seeds the verdict is 'cannot tell' anyway."
    return sentence


def _shots(config: StudyConfig) -> int | None:
    """Examples a class of all tasks; None where these differ, or a task takes every training row."""
    evaluation = config.evaluation
    own = {terms.task: terms.shots for terms in evaluation.task_terms if terms.shots is not None}
    numbers = {own.get(task, evaluation.shots) for task in evaluation.tasks}
    number = numbers.pop()
    return number if isinstance(number, int) and not numbers else None
