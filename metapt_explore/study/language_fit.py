"""Whether models and tasks of a study suit the language of its texts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

from metapt_explore.config import StudyConfig, packaged_tasks
from metapt_explore.config.embeddings import runs_encoder
from metapt_explore.starter.models import STARTER_MODELS

#: Names of models that have learned from English texts only. Of any other nothing is said.
ENGLISH_MODELS = re.compile(
    r"(?:smollm|gpt2(?:-|$)|gpt-neo|pythia|opt-\d|bert-(?:base|large)-(?:un)?cased|roberta-(?:base|large)$|electra-"
    r"|distil(?:gpt2|bert-base-(?:un)?cased|roberta)|deberta-v\d-(?:x?small|base|large)$|all-(?:minilm|mpnet|distilroberta)"
    r"|bge-\w+-en|gte-(?:small|base|large)$|e5-(?:small|base|large)(?:-v2)?$|tinyllama)",
    re.IGNORECASE,
)


def misfits(language: str | None, *, model: str, encoder: str, tasks: Sequence[str]) -> str:
    """A notice about what is English in a study of texts in another language; empty where nothing is known to be.

    Args:
        language: What the texts are written in, in English; None where that is not certain.
        model: The language model's name or folder.
        encoder: The sentence encoder's.
        tasks: Names of downstream tasks; those that come with the package are English.

    Example:
        >>> print(misfits("German", model="smollm2-135m", encoder="BAAI/bge-m3", tasks=["trec"]))
        The texts look German; English only: language model (smollm2-135m), task (trec). What is learned and scored \
says little about such texts. Better: a multilingual language model (for example Qwen/Qwen2.5-0.5B), a task in German.
        >>> misfits("English", model="smollm2-135m", encoder="minilm", tasks=["trec"])
        ''
    """
    if language is None or language == "English":
        return ""
    english, better = [], []
    for role, name, example in (
        ("language model", model, "Qwen/Qwen2.5-0.5B"),
        ("sentence encoder", encoder, "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2"),
    ):
        if name in STARTER_MODELS or ENGLISH_MODELS.match(PurePath(name).name):
            english.append(f"{role} ({name})")
            better.append(f"a multilingual {role} (for example {example})")
    if packaged := [task for task in tasks if task in packaged_tasks()]:
        english.append(f"task{'s' if len(packaged) > 1 else ''} ({', '.join(packaged)})")
        better.append(f"a task in {language}")
    if not english:
        return ""
    return (
        f"The texts look {language}; English only: {', '.join(english)}. What is learned and scored says little about "
        f"such texts. Better: {', '.join(better)}."
    )


def study_misfits(config: StudyConfig, language: str | None) -> str:
    """The same for a study.

    Args:
        config: The study.
        language: As for `misfits`.
    """
    tasks = [str(task) for task in config.evaluation.tasks]
    encoder = config.encoder.name if runs_encoder(config) else ""
    return misfits(language, model=config.model.name, encoder=encoder, tasks=tasks)
