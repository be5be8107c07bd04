"""A workspace whose queue starts nothing by itself."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pretended import PRETEND

from metapt_explore.jobs import queue, worker
from metapt_explore.storage.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test itself is the worker."""
    monkeypatch.setattr(queue, "ensure_workers", lambda workspace: 0)


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch, no_workers: None) -> Callable[[str], None]:
    """Studies are computed by the process above."""

    def choose(how: str) -> None:
        def command(workspace: Workspace, name: str, request: dict[str, Any]) -> list[str]:
            return [sys.executable, "-c", PRETEND, str(workspace.folder), name, how]

        monkeypatch.setattr(worker, "command", command)

    return choose
