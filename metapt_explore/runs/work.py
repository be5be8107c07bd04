"""How much work each stage is, in tokens sent once through the language model."""

from __future__ import annotations

from metapt_explore.config import StudyConfig, TaskConfig

#: A backward pass to the prompt costs about as much as a forward pass: weights take no gradient.
FORWARD_AND_BACKWARD = 2
#: Words are one to two tokens; texts are mostly shorter than the limit.
TEXT_SHARE = 0.6
#: A template's tail.
TAIL_TOKENS = 3
#: One token through the sentence encoder, against one through the language model.
ENCODER_SHARE = 0.1


def estimate(study: StudyConfig, tasks: dict[str, TaskConfig]) -> dict[str, float]:
    """Estimates the work of every stage, by the keys that `Study` reports progress under.

    Good for shares and for time left; it is not a measurement.
    """
    pretraining, evaluation = study.pretraining, study.evaluation
    text_tokens = study.model.max_text_tokens * TEXT_SHARE
    new_tokens = study.prompt.length + TAIL_TOKENS
    rows = study.texts.limit or 5_000
    works: dict[str, float] = {"texts": 2_000, "embeddings": rows * text_tokens * ENCODER_SHARE}
    works |= {f"split/{name}": 500 for name in tasks}
    works |= {f"clusters/{clustering.name}": 2_000 for clustering in study.clusterings}
    episode_rows = pretraining.meta_batch_size * (pretraining.support_size + pretraining.query_size)
    drawn = min(rows, pretraining.steps * episode_rows)
    for init_seed in evaluation.init_seeds:
        for method in study.methods:
            works[f"prompt/{method.name}/{init_seed}"] = 100.0
            if method.kind != "pt":
                diagnostics = 0.5 * pretraining.support_size / (pretraining.support_size + pretraining.query_size)
                factor = FORWARD_AND_BACKWARD + (2 * diagnostics if method.kind == "metapt" else 0)
                steps = pretraining.steps * episode_rows * new_tokens * factor
                works[f"prompt/{method.name}/{init_seed}"] = steps + drawn * text_tokens
            for name, task in tasks.items():
                works[f"fewshot/{method.name}/{name}/{init_seed}"] = _fewshot(study, task, new_tokens, text_tokens)
    return works


def _fewshot(study: StudyConfig, task: TaskConfig, new_tokens: int, text_tokens: float) -> float:
    evaluation = study.evaluation
    seeds, rates = len(evaluation.data_seeds), len(evaluation.learning_rates)
    shots = evaluation.shots * len(task.labels)
    scored = len(evaluation.scored_steps)
    tuning = evaluation.steps * min(evaluation.batch_size, shots) * seeds * rates * FORWARD_AND_BACKWARD
    dev = scored * shots * seeds * rates
    test_rows = evaluation.test_rows or 1_000
    test = (1 + (scored - 1) * seeds) * test_rows
    encoded = 2 * shots * seeds + test_rows / max(1, len(study.methods))
    return (tuning + dev + test) * new_tokens + encoded * text_tokens
