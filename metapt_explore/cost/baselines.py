"""Roughly how much work baselines are, in tokens sent once through a model; for shares and time left."""

from __future__ import annotations

from contextlib import suppress

from metapt_explore import hub
from metapt_explore.config import BaselineConfig, EncoderConfig, StudyConfig, TaskConfig
from metapt_explore.config.baselines import InContextBaseline, SetFitBaseline
from metapt_explore.errors import UserError

#: Test rows of a task that has no limit, as long as its split is not made.
UNKNOWN_TEST_ROWS = 1_000
#: Tokens of a text for the sentence encoder.
ENCODER_TOKENS = 30


def encoder_factor(baseline: BaselineConfig, encoder: EncoderConfig) -> float:
    """How much more work a token is for a baseline's own encoder than for the study's, by the sizes of both.

    Args:
        baseline: The baseline.
        encoder: The study's encoder.

    Returns:
        1 where the baseline has none of its own, or files do not say how large an encoder is.
    """
    from metapt_explore.cost.speeds import multiplied_weights
    from metapt_explore.models.folder import model_folder

    own = baseline.encoder_in(encoder)
    if own == encoder:
        return 1.0
    with suppress(UserError, OSError):
        ours, its = (multiplied_weights(model_folder(each.name, each.revision, hub.ENCODER)) for each in (encoder, own))
        return its / ours if ours and its else 1.0
    return 1.0


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
    if not baseline.backward:
        return (2 * shots * seeds + test) * text_tokens
    if isinstance(baseline, SetFitBaseline):
        rates = len(baseline.learning_rates)
        trained = rates * 2 * 2 * baseline.pairs_per_text * shots
        scored = rates * baseline.checkpoints * 2 * shots
    else:
        schedule = evaluation.of_baseline(options)
        running = schedule.rates_running
        trained = sum(running) * min(options["batch_size"], shots)
        scored = shots * (1 + sum(running[step - 1] for step in schedule.scored_steps if step))
    each = baseline.backward * trained + scored + test
    return float((seeds * each + test) * text_tokens)
