"""Shared fixtures: one torch thread, no network, a tiny world made once."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.insert(0, str(Path(__file__).parent))

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def nothing_of_the_hub_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process found on the hub it does not ask for again; tests are not of one process."""
    from metapt_explore import hub
    from metapt_explore.texts import hub_data

    monkeypatch.setattr(hub, "_found", {})
    monkeypatch.setattr(hub_data, "_read", {})


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with tiny models, texts, task files and `tiny.yaml`; not to be changed."""
    from tiny import make_world

    folder = tmp_path_factory.mktemp("world")
    make_world(folder)
    return folder


@pytest.fixture(scope="session")
def finished(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which the tiny study is finished; copy it before changing it."""
    from metapt_explore.config import load_study
    from metapt_explore.runs.jobs import working_on
    from metapt_explore.runs.study import Study
    from metapt_explore.runs.workspace import Workspace

    workspace = Workspace(tmp_path_factory.mktemp("finished") / "workspace")
    config = load_study(world / "tiny.yaml")
    with working_on(workspace, config.name) as progress:
        Study(config, workspace, progress).run()
    return workspace.folder
