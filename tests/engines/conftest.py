"""Studies that run on engines whose workers are forked, so that they begin at once."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tiny
import yaml

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))

import forked
import slurm_here
from answers import answers
from forked_engine import Serial

from metapt_explore.storage.files import read_json
from metapt_explore.storage.workspace import Workspace


@pytest.fixture(scope="session")
def serial(world: Path, made_once: Callable[[str, Callable[[Path], object]], Path]) -> Serial:
    """A small study, and what one process alone answers."""

    def make(folder: Path) -> None:
        tree = tiny.study_tree(
            world,
            clusterings=[{"name": "kmeans", "algorithm": "kmeans", "n_clusters": 4, "dimensions": 8}],
            methods=[{"name": "PPT", "kind": "ppt"}, {"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"}],
            baselines=[{"name": "TF-IDF", "kind": "tfidf"}],
        )
        file = folder / "study.yaml"
        file.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
        words = ["run", str(file), "--workspace", str(folder / "workspace")]
        process = forked.start(forked.metapt, folder / "log", words, (folder / "workspace", folder / "home"))
        process.join()
        assert process.exitcode == 0, (folder / "log").read_text(encoding="utf-8")[-3000:]
        found = answers(Workspace(folder / "workspace"), "tiny")
        (folder / "answers.json").write_text(json.dumps(found), encoding="utf-8")

    folder = made_once("serial-for-engines", make)
    return Serial(folder / "study.yaml", read_json(folder / "answers.json"), folder / "home")


@pytest.fixture(scope="session")
def slurm_environment() -> Iterator[dict[str, str]]:
    """The environment in which SLURM's commands find the one that was started here."""
    if reason := slurm_here.missing():
        pytest.skip(reason)
    with (
        tempfile.TemporaryDirectory(prefix="slurm-") as folder,  # a socket's path must be short
        slurm_here.slurm(Path(folder)) as environment,
    ):
        yield environment
