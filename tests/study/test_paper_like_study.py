"""`studies/paper-like.yaml` runs as it stands, but for what it reads: here a tiny random T5 and made-up texts."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

import pytest
import tiny
import yaml

from metapt_explore.config import StudyConfig, parse
from metapt_explore.study.study import Study

FILE = Path(__file__).parents[2] / "studies" / "paper-like.yaml"
#: The words of the five stars are those of the tiny model.
STARS = dict(zip(["one", "two", "three", "four", "five"], ["awful", "bad", "who", "good", "great"], strict=True))


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny T5, an encoder, texts with one to five stars, and two tasks."""
    folder = tmp_path_factory.mktemp("arena")
    tiny.make_world(folder)
    tiny.make_language_model(folder / "t5", "t5")
    rng = random.Random(5)
    with (folder / "stars.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        for number in range(200):
            star = number % 5
            feeling = [*tiny.FEELINGS.values()][star > 2]
            topic = tiny.TOPICS[rng.choice(list(tiny.TOPICS))]
            writer.writerow([f"{tiny.sentence(rng, topic, feeling)} w{star}", star])
    return folder


def small(arena: Path) -> StudyConfig:
    """The study with everything that comes from the hub, and every size, replaced; the rest is the file's."""
    tree: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    tree["model"] |= {"name": str(arena / "t5"), "max_text_tokens": 16, "dtype": "float32", "device": "cpu"}
    tree["encoder"] = {"name": str(arena / "encoder")}
    tree["texts"] = {"file": str(arena / "stars.csv"), "columns": {"text": "text", "label": "label"}, "balanced": True}
    for clustering in tree["clusterings"]:
        clustering |= {"n_clusters": 2} if "n_clusters" in clustering else {}
    labels = tree["auxiliary_tasks"]["labels"]
    tree["auxiliary_tasks"] |= {
        "template": "{text} Sentiment : {mask}",
        "labels": {name: {**label, "word": STARS[name]} for name, label in labels.items()},
        "min_size": 8,
        "min_per_label": 2,
    }
    tree["prompt"]["length"] = 6
    tree["pretraining"] |= {"steps": 3, "meta_batch_size": 2, "support_size": 5, "query_size": 5}
    tasks = [str(arena / "mood.yaml"), {"task": str(arena / "question.yaml"), "shots": 2}]
    tree["evaluation"] |= {
        "tasks": tasks,
        "shots": 4,
        "data_seeds": [1, 2],
        "init_seeds": [0, 1],
        "learning_rates": [0.01, 0.05],
        "halving_steps": [2],
        "steps": 4,
        "batch_size": 4,
        "curve_steps": [0, 4],
        "test_rows": 16,
    }
    return parse(StudyConfig, tree, str(FILE))


def test_it_runs_to_its_end_on_a_model_of_its_family(arena: Path, tmp_path: Path) -> None:
    config = small(arena)
    study = Study(config, tmp_path)
    results = study.run()
    names = [method.name for method in config.methods] + [baseline.name for baseline in config.baselines]
    assert set(results["method"]) == set(names)
    assert set(results["task"]) == {"mood", "question"} and results["accuracy"].between(0, 1).all()
    learned = ("PT", "PPT", "MetaPT", "MetaPT topics", "MetaPT plain step")
    prompts = {name: study.prompt(name).tensors("prompt")["prompt"] for name in learned}
    assert all(len(prompt) == 6 for prompt in prompts.values())
    apart = [(one, other) for one in prompts for other in prompts if one < other]
    assert all(not prompts[one].equal(prompts[other]) for one, other in apart), "each learned something of its own"
    assert config.pretraining_of(config.method("MetaPT")).inner_optimiser == "adam"
    assert config.pretraining_of(config.method("MetaPT plain step")).inner_optimiser == "gradient"


def test_it_reads_everything_from_the_hub() -> None:
    """It is for a machine with a hub: no path and no packaged model stands in it."""
    tree = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    assert "/" in tree["model"]["name"] and "hub" in tree["texts"] and "file" not in tree["texts"]
    assert tree["prompt"] == {"length": 100, "placement": "encoder", "init": "vocabulary"}
