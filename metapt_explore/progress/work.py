"""How much work each stage is, in tokens sent once through the language model."""

from __future__ import annotations

from metapt_explore.config import Placement, StudyConfig, TaskConfig
from metapt_explore.cost.baselines import encoder_tokens
from metapt_explore.cost.count import STATELESS, TEXT_SHARE, UNKNOWN_TEXTS, TextCounts, count

#: A backward pass to the prompt costs about as much as a forward pass: weights take no gradient.
FORWARD_AND_BACKWARD = 2
#: A Hessian product runs forward, backward, and backward through both.
HESSIAN_PRODUCT = 6
#: A template's tail.
TAIL_TOKENS = 3
#: One token through the sentence encoder, against one through the language model.
ENCODER_SHARE = 0.1
#: Keys of the stages that run the language model.
MODEL_STAGES = ("prompt/", "views/", "tuning/", "fewshot/", "labels/zero_shot", "baseline/model/")


def estimate(
    study: StudyConfig,
    tasks: dict[str, TaskConfig],
    placement: Placement | None = None,
    texts: TextCounts | None = None,
) -> dict[str, float]:
    """Estimates the work of every stage, by the keys that `Study` reports progress under.

    Good for shares and for time left; it is not a measurement (`cost.py` adds one).
    """
    text_tokens = study.model.max_text_tokens * TEXT_SHARE
    stateless = (placement or study.prompt.placement) in STATELESS
    tail = TAIL_TOKENS + (text_tokens if stateless else study.prompt.length)
    known = texts.rows if texts else None
    rows = study.texts.limit or UNKNOWN_TEXTS if known is None else known
    works: dict[str, float] = {"texts": 2_000}
    by_classifier = study.pretrains and study.labelling is not None and study.labelling.by == "classifier"
    if study.clusterings or by_classifier:
        works["embeddings"] = rows * text_tokens * ENCODER_SHARE
    if by_classifier:
        works["labels/classifier"] = rows * text_tokens * ENCODER_SHARE
    works |= {f"split/{name}": 500 for name in tasks}
    works |= {f"clusters/{clustering.name}": 2_000 for clustering in study.clusterings}
    for key, work in count(study, tasks, text_tokens, placement, texts).items():
        if work.embedded:
            continue  # the sentence encoder's, which follow
        rows_run = FORWARD_AND_BACKWARD * work.trained + HESSIAN_PRODUCT * work.hessian + work.scored
        works[key] = max(100.0, rows_run * tail + work.encoded)
    works |= {key: max(100.0, ENCODER_SHARE * tokens) for key, tokens in encoder_tokens(study, tasks).items()}
    return works
