"""Clusters, tasks and stability as stages: what enters an id, and what lies in their folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tiny

from metapt_explore.config import StudyConfig, parse
from metapt_explore.runs.artifact import Artifact
from metapt_explore.runs.cluster_stages import clusters_recipe, tasks_recipe


def config_of(folder: Path = Path("/nowhere"), **changes: Any) -> StudyConfig:
    return parse(StudyConfig, tiny.study_tree(folder, **changes), "test")


def artifact(name: str) -> Artifact:
    return Artifact(Path(name))


def ids(study: StudyConfig) -> dict[str, str]:
    """Ids of the study's clusterings, over made-up texts."""
    return {
        config.name: clusters_recipe(
            study,
            config.name,
            artifact("texts-0"),
            artifact("embeddings-0"),
            artifact("clusters-0") if config.like else None,
        )[0].id
        for config in study.clusterings
    }


def test_ids_of_finished_clusterings_have_not_changed() -> None:
    """Pinned from before there were topics, seeds of their own and tasks of several clusterings."""
    study = config_of()
    assert ids(study) == {
        "kmeans": "clusters-85bbe7c0355c40c9",
        "random": "clusters-04f120682256ca98",
        "topics": "clusters-a051e943bba73038",
    }
    assert tasks_recipe(study, artifact("texts-0"), None)[0].id == "tasks-59b2e385dfc37074"
    assert tasks_recipe(study, artifact("texts-0"), artifact("clusters-0"))[0].id == "tasks-6d67cb638282a8ec"


def test_a_seed_of_its_own_enters_the_id_where_it_is_set() -> None:
    tree = tiny.study_tree(Path("/nowhere"))
    clusterings = [{**entry, "seed": 3} if entry["name"] == "kmeans" else entry for entry in tree["clusterings"]]
    before, after = ids(config_of()), ids(config_of(clusterings=clusterings))
    assert before["kmeans"] != after["kmeans"] and before["topics"] == after["topics"]
