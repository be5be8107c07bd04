"""A clustering in a process of its own: the same numbers, and it ends when it is told to."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import tiny

from metapt_explore.clusters import other_process
from metapt_explore.config import StudyConfig, parse
from metapt_explore.errors import Cancelled, UserError
from metapt_explore.progress.state import Progress
from metapt_explore.stages import clusters as stage
from metapt_explore.study.study import Study

ALGORITHMS: list[dict[str, Any]] = [
    {"name": "kmeans", "algorithm": "kmeans", "n_clusters": 4},
    {"name": "random", "algorithm": "random_groups", "like": "kmeans"},
]


def study_of(world: Path, folder: Path, *entries: dict[str, Any], progress: Progress | None = None) -> Study:
    tree = tiny.study_tree(world, clusterings=list(entries), methods=[{"name": "PT", "kind": "pt"}])
    return Study(parse(StudyConfig, tree, "test"), folder, progress)


def worker_processes() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [child for child in children if other_process.__name__ in " ".join(child.cmdline())]


def test_another_process_gives_the_same_table_and_summary(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = study_of(world, tmp_path / "here", *ALGORITHMS)
    expected = {entry["name"]: here.clusters(entry["name"]) for entry in ALGORITHMS}
    monkeypatch.setattr(stage, "LONG_S", -1.0)
    seen: list[str] = []
    elsewhere = study_of(
        world,
        tmp_path / "there",
        *ALGORITHMS,
        progress=Progress(lambda state: seen.append(f"{state.done}/{state.total}")),
    )
    for name, made in expected.items():
        found = elsewhere.clusters(name)
        assert found.id == made.id and found.table("clusters").equals(made.table("clusters"))
        assert found.summary == made.summary
        assert not (found.folder / "checkpoint").exists()
    assert "100/100" in seen


SOFT: list[dict[str, Any]] = [
    {"name": "kmeans", "algorithm": "kmeans", "n_clusters": 4, "fit_rows": 100},
    {"name": "dense", "algorithm": "hdbscan", "min_cluster_size": 5, "min_samples": 2, "dimensions": 8},
    {"name": "words", "algorithm": "lda", "n_clusters": 3},
]


def test_stability_and_memberships_of_another_process_are_the_same(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = study_of(world, tmp_path / "here", *SOFT)
    names = [entry["name"] for entry in SOFT]
    expected = {name: (here.stability(name, runs=2), here.request("memberships", name=name)) for name in names}
    monkeypatch.setattr(stage, "LONG_S", -1.0)
    there = study_of(world, tmp_path / "there", *SOFT)
    for name, (stable, soft) in expected.items():
        found = there.stability(name, runs=2)
        assert found.id == stable.id and found.summary == stable.summary
        again = there.request("memberships", name=name)
        assert again.table("memberships").equals(soft.table("memberships")) and again.summary == soft.summary
        assert again.tensors("memberships")["memberships"].equal(soft.tensors("memberships")["memberships"])
        assert not (found.folder / "checkpoint").exists() and not (again.folder / "checkpoint").exists()


@pytest.mark.parametrize("kind", ["stability", "memberships"])
def test_a_cancel_kills_what_clusters_again(
    kind: str, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study_of(world, tmp_path, SOFT[0]).clusters("kmeans")
    monkeypatch.setattr(stage, "LONG_S", -1.0)
    monkeypatch.setattr(other_process, "LOOK_S", 0.02)
    stop = False

    def asked() -> bool:
        nonlocal stop
        stop = stop or bool(worker_processes())
        return stop

    with pytest.raises(Cancelled):
        study_of(world, tmp_path, SOFT[0], progress=Progress(should_stop=asked)).request(kind, name="kmeans")
    assert stop and not worker_processes()


def test_a_refusal_of_another_process_is_the_users(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "LONG_S", -1.0)
    with pytest.raises(UserError, match=r"Clustering 'dense': hdbscan found no cluster .* Lower min_cluster_size"):
        study_of(world, tmp_path, {"name": "dense", "algorithm": "hdbscan", "min_cluster_size": 60}).clusters("dense")


def test_a_cancel_kills_the_process_and_the_next_run_begins_again(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "LONG_S", -1.0)
    monkeypatch.setattr(other_process, "LOOK_S", 0.02)
    stop = False

    def asked() -> bool:
        nonlocal stop
        stop = stop or bool(worker_processes())
        return stop

    study = study_of(world, tmp_path, ALGORITHMS[0], progress=Progress(should_stop=asked))
    study_of(world, tmp_path, ALGORITHMS[0]).request("tsne")  # texts and vectors are there
    with pytest.raises(Cancelled):
        study.clusters("kmeans")
    assert stop and not worker_processes()
    again = study_of(world, tmp_path, ALGORITHMS[0])
    assert len(again.clusters("kmeans").summary["clusters"]) == 4


def test_a_process_that_is_killed_says_what_to_do(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "LONG_S", -1.0)
    monkeypatch.setattr(other_process, "LOOK_S", 0.02)

    def kill_it() -> bool:
        for child in worker_processes():
            child.kill()
        time.sleep(0.01)
        return False

    study = study_of(world, tmp_path, ALGORITHMS[0], progress=Progress(should_stop=kill_it))
    with pytest.raises(UserError, match=r"Clustering 'kmeans': its process was killed .* `fit_rows`"):
        study.clusters("kmeans")
