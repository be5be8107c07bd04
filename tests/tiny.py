"""Tiny random models and small texts that tests make for themselves; nothing is downloaded."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

import yaml
from tiny_models import (
    FEELINGS,
    FILLER,
    QUESTIONS,
    TOPICS,
    WORDS,
    make_encoder,
    make_language_model,
    tokenizer,
)

__all__ = ["FEELINGS", "FILLER", "QUESTIONS", "TOPICS", "WORDS", "make_encoder", "make_language_model", "tokenizer"]


def sentence(rng: random.Random, words: list[str], feeling: list[str]) -> str:
    """A sentence of a topic and a feeling; words w0 … w39 keep sentences apart."""
    noise = [f"w{rng.randrange(40)}" for _ in range(rng.randint(2, 6))]
    parts = [*rng.sample(FILLER, 3), rng.choice(words), rng.choice(words), rng.choice(feeling), *noise]
    rng.shuffle(parts)
    return " ".join(parts)


def write_texts(folder: Path) -> None:
    """Writes pre-training texts, a sentiment task and a task that is not sentiment."""
    rng = random.Random(0)
    rows = [
        {"text": sentence(rng, words, FEELINGS[label]), "label": label, "topic": topic}
        for _ in range(20)
        for topic, words in TOPICS.items()
        for label in FEELINGS
    ]
    with (folder / "texts.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, ["text", "label", "topic"])
        writer.writeheader()
        writer.writerows(rows)
    for name, classes in (("mood", FEELINGS), ("question", QUESTIONS)):
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as stream:
            for _ in range(30):
                for index, label in enumerate(classes):
                    text = sentence(rng, TOPICS[rng.choice(list(TOPICS))], classes[label])
                    stream.write(json.dumps({"text": text, "label": index}) + "\n")
        task = {
            "name": name,
            "title": f"{name} of made-up sentences",
            "data": {"file": f"{name}.jsonl", "columns": {"text": "text", "label": "label"}},
            "template": "{text} Sentiment :" if name == "mood" else "{text} Type :",
            "labels": {label: {"value": str(i), "word": label} for i, label in enumerate(classes)},
        }
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(task, sort_keys=False), encoding="utf-8")


def write_pairs(folder: Path) -> None:
    """Writes texts in pairs (``pairs.csv``) and a pair task (``same.yaml``): do both speak of one topic?"""
    rng = random.Random(1)
    rows: list[dict[str, Any]] = []
    for number in range(160):
        first, second = rng.choice(list(TOPICS)), rng.choice(list(TOPICS))
        if number % 2:
            second = first
        elif second == first:
            second = next(topic for topic in TOPICS if topic != first)
        texts = [sentence(rng, TOPICS[topic], rng.choice(list(FEELINGS.values()))) for topic in (first, second)]
        rows.append({"one": texts[0], "two": texts[1], "label": ("no", "yes")[number % 2], "topic": first})
    for name, part in (("pairs.csv", rows[:80]), ("same.csv", rows[80:])):
        with (folder / name).open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(part)
    task = {
        "name": "same",
        "title": "two made-up sentences of one topic",
        "data": {"file": "same.csv", "columns": PAIR_COLUMNS},
        "template": "{text} and {text_pair} Type :",
        "labels": {"no": "bad", "yes": "good"},
    }
    (folder / "same.yaml").write_text(yaml.safe_dump(task, sort_keys=False), encoding="utf-8")


PAIR_COLUMNS = {"text": "one", "text_pair": "two", "label": "label"}


def study_tree(folder: Path, **changes: Any) -> dict[str, Any]:
    """A study over the tiny models and texts, as plain values; it takes seconds."""
    tree: dict[str, Any] = {
        "name": "tiny",
        "seed": 7,
        "model": {"name": str(folder / "lm"), "dtype": "float32", "device": "cpu", "max_text_tokens": 16},
        "encoder": {"name": str(folder / "encoder")},
        "texts": {
            "file": str(folder / "texts.csv"),
            "columns": {"text": "text", "label": "label", "group": "topic"},
        },
        "clusterings": [
            {"name": "kmeans", "algorithm": "kmeans", "n_clusters": 4, "dimensions": 8},
            {"name": "random", "algorithm": "random_groups", "like": "kmeans"},
            {"name": "topics", "algorithm": "known_groups"},
        ],
        "auxiliary_tasks": {
            "template": "{text} Sentiment :",
            "labels": {"negative": "negative", "positive": "positive"},
            "min_size": 8,
            "min_per_label": 4,
        },
        "prompt": {"length": 3},
        "pretraining": {
            "steps": 4,
            "meta_batch_size": 2,
            "support_size": 4,
            "query_size": 4,
            "inner_lr": 0.5,
            "outer_lr": 0.05,
            "checkpoint_every": 1,
        },
        "methods": [
            {"name": "PT", "kind": "pt"},
            {"name": "PPT", "kind": "ppt"},
            {"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"},
        ],
        "evaluation": {
            "tasks": [str(folder / "mood.yaml"), str(folder / "question.yaml")],
            "shots": 4,
            "data_seeds": [1, 2],
            "init_seeds": [0],
            "learning_rates": [0.01, 0.05],
            "steps": 4,
            "batch_size": 4,
            "curve_steps": [0, 2, 4],
            "test_rows": 20,
        },
    }
    for key, value in changes.items():
        tree[key] = {**tree.get(key, {}), **value} if isinstance(value, dict) else value
    return tree


def make_world(folder: Path) -> Path:
    """Writes models, texts, tasks and a study file; returns the study file."""
    folder.mkdir(parents=True, exist_ok=True)
    make_language_model(folder / "lm")
    make_encoder(folder / "encoder")
    write_texts(folder)
    write_pairs(folder)
    study = folder / "tiny.yaml"
    study.write_text(yaml.safe_dump(study_tree(folder), sort_keys=False), encoding="utf-8")
    return study
