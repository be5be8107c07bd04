"""A small study of several formats of auxiliary tasks, for tests of stages and of pages."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import tiny

from metapt_explore.config import StudyConfig, parse

WORDS = {"adjacent": "good", "same_document": "book", "other": "bad"}
FORMATS: list[dict[str, Any]] = [
    {
        "format": "labels",
        "labels": {"negative": "negative", "positive": "positive"},
        "template": "{text} Sentiment :",
        "min_size": 8,
        "min_per_label": 4,
        "weight": 2,
    },
    {"format": "cluster_classes", "clustering": ["kmeans", "topics"], "n_tasks": 6, "min_per_class": 8},
    {
        "format": "sentence_pair",
        "words": WORDS,
        "template": "{text} and {text_pair} Type :",
        "min_words": 2,
        "min_size": 8,
        "min_per_label": 2,
    },
]


def write_documents(folder: Path) -> Path:
    """Texts of four sentences, each of one topic and one feeling; every sixth has no label."""
    rng, file = random.Random(3), folder / "documents.jsonl"
    with file.open("w", encoding="utf-8") as stream:
        for number in range(72):
            topic, feeling = list(tiny.TOPICS)[number % len(tiny.TOPICS)], list(tiny.FEELINGS)[number % 2]
            sentences = [tiny.sentence(rng, tiny.TOPICS[topic], tiny.FEELINGS[feeling]) for _ in range(4)]
            label = {} if number % 6 == 5 else {"label": feeling}
            stream.write(json.dumps({"text": ". ".join(sentences) + ".", "topic": topic, **label}) + "\n")
    return file


def config_of(world: Path, folder: Path, formats: list[dict[str, Any]], **changes: Any) -> StudyConfig:
    tree = tiny.study_tree(world)
    tree["texts"] = {
        "file": str(write_documents(folder)),
        "columns": {"text": "text", "label": "label", "group": "topic"},
    }
    tree["auxiliary_tasks"] = formats
    tree["methods"] = [
        {"name": "PPT", "kind": "ppt", "clustering": "kmeans"},
        {"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"},
    ]
    tree["pretraining"] |= {"meta_batch_size": 4, "steps": 3}
    tree["evaluation"]["tasks"] = tree["evaluation"]["tasks"][:1]
    return parse(StudyConfig, {**tree, **changes}, "test")
