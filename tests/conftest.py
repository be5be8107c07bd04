"""Shared fixtures: one torch thread, no network, a tiny world made once for all of the parallel workers."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, str(Path(__file__).parent))

import hypothesis
import pytest
import torch
from filelock import FileLock
from local_hub import TOKEN, LocalHub, running_hub

torch.set_num_threads(1)
# A tiny study waits for the disk 170 times. What tests write need not outlive a loss of power; that files are flushed
# is asserted in `storage/test_checkpoints.py`.
os.fsync = lambda descriptor: None  # type: ignore[assignment]
# By itself hypothesis fails an example that takes longer than 0.2 s, as any does on a busy machine.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def nothing_of_the_hub_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process found on the hub it does not ask for again; tests are not of one process."""
    from metapt_explore import hub
    from metapt_explore.texts import hub_data

    monkeypatch.setattr(hub, "_snapshots", {})
    monkeypatch.setattr(hub_data, "_read", {})


@pytest.fixture
def a_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LocalHub]:
    """A hub on this machine, for this process and those that it starts, with a token that may write."""
    from huggingface_hub import constants

    with running_hub() as started:
        cache, template = str(tmp_path / "hub-cache"), started.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        of_processes = {"HF_ENDPOINT": started.endpoint, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
        for name, value in {**of_processes, "HF_HUB_CACHE": cache, "HF_TOKEN": TOKEN}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setattr(constants, "ENDPOINT", started.endpoint)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", cache)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield started


Made = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Makes a folder, once for all workers of pytest-xdist: the first that asks makes it, the others wait."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def make(name: str, fill: Callable[[Path], object]) -> Path:
        folder, done = shared / name, shared / f"{name}.done"
        with FileLock(shared / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # another worker failed half-way
                folder.mkdir()
                fill(folder)
                done.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def world(made_once: Made) -> Path:
    """Folder with tiny models, texts, task files and `tiny.yaml`; not to be changed."""
    from tiny import make_world

    return made_once("world", make_world)


@pytest.fixture(scope="session")
def finished(world: Path, made_once: Made) -> Path:
    """A workspace in which the tiny study is finished; copy it before changing it."""
    from metapt_explore.config import load_study
    from metapt_explore.storage.workspace import Workspace
    from metapt_explore.study.job_file import working_on
    from metapt_explore.study.study import Study

    def run(folder: Path) -> None:
        workspace = Workspace(folder / "workspace")
        config = load_study(world / "tiny.yaml")
        with working_on(workspace, config.name) as progress:
            Study(config, workspace, progress).run()

    return made_once("finished", run) / "workspace"


@pytest.fixture(scope="session")
def matched(world: Path, made_once: Made) -> Path:
    """A workspace with a finished study of 4, 1 and 2 examples, each with its own pre-training; not to be changed."""
    from matched_world import config_of

    from metapt_explore.study.study import Study

    return made_once("matched", lambda folder: Study(config_of(world, "match", [1, 2]), folder / "workspace").run()) / (
        "workspace"
    )


@pytest.fixture(scope="session")
def formats_finished(world: Path, made_once: Made) -> Path:
    """A workspace with a finished study of several formats of auxiliary tasks; not to be changed."""
    from format_world import FORMATS, config_of

    from metapt_explore.storage.workspace import Workspace
    from metapt_explore.study.job_file import working_on
    from metapt_explore.study.study import Study

    def run(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        workspace, config = Workspace(folder / "workspace"), config_of(world, folder, FORMATS)
        with working_on(workspace, config.name) as progress:
            Study(config, workspace, progress).run()

    return made_once("formats", run) / "workspace"
