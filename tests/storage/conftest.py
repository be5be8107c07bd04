"""A finished study to push, a place to push it to, and a workspace to pull it into."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from metapt_explore.storage.workspace import Workspace


@pytest.fixture
def source(finished: Path, tmp_path: Path) -> Workspace:
    """A workspace of one's own with the finished study `tiny`."""
    shutil.copytree(finished, tmp_path / "source", ignore=shutil.ignore_patterns(".lock", "*.lock", "*.owner"))
    return Workspace(tmp_path / "source")


@pytest.fixture
def here(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "here")


@pytest.fixture(params=["memory", "folder"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    yield f"memory://{tmp_path.name}" if request.param == "memory" else str(tmp_path / "shared")
    from fsspec.implementations.memory import MemoryFileSystem

    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    return tmp_path / "shared"
