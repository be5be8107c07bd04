"""Roughly how much work baselines are, in tokens sent once through a model; for shares and time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from metapt_explore.config import BaselineConfig, StudyConfig, TaskConfig

#: Test rows of a task that has no limit, as long as its split is not made.
UNKNOWN_TEST_ROWS = 1_000
#: A row forward and backward against a row forward: LoRA takes gradients of hidden states, full fine-tuning of weights
#: as well.
BACKWARD = {"lora": 2.5, "full": 3.5, "setfit": 3.0}
#: Tokens of a text for the sentence encoder.
ENCODER_TOKENS = 30


def baseline_cells(
    study: StudyConfig, tasks: dict[str, TaskConfig]
) -> Iterator[tuple[BaselineConfig, str, int | None]]:
    """Baseline, task and initialisation seed of every stage of a study's baselines."""
    for baseline in study.baselines:
        seeds: list[int | None] = list(study.evaluation.init_seeds) if baseline.seeded else [None]
        for name in tasks:
            for seed in seeds:
                yield baseline, name, seed


def baseline_key(baseline: BaselineConfig, task: str, init_seed: int | None) -> str:
    """What progress calls a baseline's stage; ``baseline/model/…`` where it runs the language model.

    Example:
        >>> baseline_key(BaselineConfig(name="SetFit", kind="setfit"), "trec", 0)
        'baseline/encoder/SetFit/trec/0'
    """
    of_seed = "" if init_seed is None else f"/{init_seed}"
    return f"baseline/{baseline.runs or 'none'}/{baseline.name}/{task}{of_seed}"


#: The study with the number of test rows that a task has.
AtSize = Callable[[StudyConfig, str], StudyConfig]


def _as_it_is(study: StudyConfig, task: str) -> StudyConfig:
    return study


def baseline_tokens(
    study: StudyConfig, tasks: dict[str, TaskConfig], text_tokens: float, at_size: AtSize = _as_it_is
) -> dict[str, float]:
    """Tokens through the language model, by the stages' keys."""
    found = {}
    for baseline, name, seed in baseline_cells(study, tasks):
        if baseline.runs == "model":
            tokens = _tokens(at_size(study, name), baseline, tasks[name], text_tokens, seed)
            found[baseline_key(baseline, name, seed)] = tokens
    return found


def encoder_tokens(study: StudyConfig, tasks: dict[str, TaskConfig], at_size: AtSize = _as_it_is) -> dict[str, float]:
    """Tokens through the sentence encoder, by the keys of the stages that do not run the language model."""
    found = {}
    for baseline, name, seed in baseline_cells(study, tasks):
        if baseline.runs != "model":
            sized = at_size(study, name)
            tokens = _tokens(sized, baseline, tasks[name], ENCODER_TOKENS, seed) if baseline.runs else 0.0
            found[baseline_key(baseline, name, seed)] = tokens
    return found


def _tokens(
    study: StudyConfig, baseline: BaselineConfig, task: TaskConfig, text_tokens: float, init_seed: int | None
) -> float:
    evaluation, options = study.evaluation, baseline.options_in(study.evaluation)
    seeds = len(evaluation.data_seeds if init_seed is None else evaluation.data_seeds_of(init_seed))
    shots = evaluation.shots * len(task.labels)
    test = evaluation.test_rows or UNKNOWN_TEST_ROWS
    if baseline.kind in ("zero_shot", "linear_probe"):
        return (2 * shots * seeds + test) * text_tokens
    if baseline.kind == "in_context":
        dev = options["orders"] * (options["max_prompt_tokens"] + shots * text_tokens)
        return seeds * (dev + options["max_prompt_tokens"] + test * text_tokens)
    if baseline.kind == "setfit":
        rates = len(options["learning_rates"])
        trained = rates * 2 * 2 * options["pairs_per_text"] * shots
        scored = rates * options["checkpoints"] * 2 * shots
    else:
        schedule = evaluation.of_baseline(options)
        running = schedule.rates_running
        trained = sum(running) * min(options["batch_size"], shots)
        scored = shots * (1 + sum(running[step - 1] for step in schedule.scored_steps if step))
    each = BACKWARD[baseline.kind] * trained + scored + test
    return (seeds * each + test) * text_tokens
