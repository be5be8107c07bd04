"""How many scores a study asks for and has: methods at every number of examples, baselines with and without seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from metapt_explore.config import StudyConfig
from metapt_explore.storage.files import write_json
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.overview import asked_of, asked_scores, finished_of, finished_scores
from metapt_explore.study.run import _is_anything_left
from metapt_explore.study.study import Study

TREE: dict[str, Any] = {
    "name": "counted",
    "texts": {"file": "/nowhere/texts.csv"},
    "clusterings": [{"name": "kmeans", "algorithm": "kmeans"}],
    "auxiliary_tasks": {"labels": {"negative": "negative", "positive": "positive"}},
    "methods": [{"name": "PT", "kind": "pt"}, {"name": "PPT", "kind": "ppt"}],
    "baselines": [{"name": "TF-IDF", "kind": "tfidf"}, {"name": "SetFit", "kind": "setfit"}],
    "evaluation": {"tasks": ["trec", "imdb"], "shots": 8, "more_shots": [2, 32], "init_seeds": [0, 1, 2]},
}


def enter(workspace: Workspace, kind: str, status: str = "done", **of: Any) -> None:
    """Puts an artifact with nothing in it into the study's list, under what the list calls it."""
    number = len(workspace.index("counted"))
    identifier = f"{kind.split()[0]}-{number:016d}"
    write_json(workspace.artifact(identifier).folder / "stage.json", {"id": identifier, "status": status})
    workspace.add_to_index("counted", {"kind": kind, "id": identifier, "title": kind, **of})


@pytest.fixture
def counted(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path)
    workspace.save_study(StudyConfig.model_validate(TREE))
    return workspace


def test_what_is_asked_for_is_counted_by_hand() -> None:
    config = StudyConfig.model_validate(TREE)
    assert asked_of(config) == {
        "PT": 3, "PPT": 3,
        "PT, 2 examples": 3, "PPT, 2 examples": 3, "PT, 32 examples": 3, "PPT, 32 examples": 3,
        "TF-IDF": 1, "SetFit": 3,
        "TF-IDF, 2 examples": 1, "SetFit, 2 examples": 3, "TF-IDF, 32 examples": 1, "SetFit, 32 examples": 3,
    }  # fmt: skip
    # Two tasks, three numbers of examples: two methods and SetFit at three seeds, TF-IDF once.
    assert asked_scores(config) == 2 * 3 * (2 * 3 + 3 + 1)


def test_only_what_is_done_and_asked_for_counts(counted: Workspace) -> None:
    config = StudyConfig.model_validate(TREE)
    assert finished_scores(counted, config) == 0
    enter(counted, "fewshot", method="PT", task="trec", init_seed=0)
    enter(counted, "fewshot", method="PT", task="trec", init_seed=1)
    enter(counted, "fewshot", "running", method="PT", task="trec", init_seed=2)
    enter(counted, "fewshot at other shots", method="PT", task="trec", init_seed=0, shots=2)
    enter(counted, "baseline", method="TF-IDF", task="imdb")
    enter(counted, "fewshot", method="of yesterday", task="trec", init_seed=0)
    enter(counted, "prompt", method="PT", init_seed=0)
    found = finished_of(counted, "counted")
    assert found["PT", "trec"] == 2 and found["PT, 2 examples", "trec"] == 1 and found["TF-IDF", "imdb"] == 1
    assert finished_scores(counted, config) == 4


def test_a_study_is_not_finished_before_its_baselines(counted: Workspace) -> None:
    for task in ("trec", "imdb"):
        for seed in range(3):
            for method in ("PT", "PPT"):
                enter(counted, "fewshot", method=method, task=task, init_seed=seed)
                for shots in (2, 32):
                    enter(counted, "fewshot at other shots", method=method, task=task, init_seed=seed, shots=shots)
            enter(counted, "baseline", method="SetFit", task=task, init_seed=seed)
            for shots in (2, 32):
                enter(counted, "baseline at other shots", method="SetFit", task=task, init_seed=seed, shots=shots)
        for shots in (2, 32):
            enter(counted, "baseline at other shots", method="TF-IDF", task=task, shots=shots)
    enter(counted, "baseline", method="TF-IDF", task="trec")
    study = Study(StudyConfig.model_validate(TREE), counted)
    assert _is_anything_left(study), "one baseline of one task is missing"
    enter(counted, "baseline", method="TF-IDF", task="imdb")
    assert not _is_anything_left(study)
