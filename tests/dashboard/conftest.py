"""Workspaces in the states that pages must show, and a way to open a page over one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import handmade
import pytest
from streamlit.testing.v1 import AppTest
from waiting import LIMIT

from metapt_explore.models import setup as setup_starter
from metapt_explore.storage.workspace import Workspace

APP = Path(__file__).parents[2] / "app.py"
Open = Callable[..., AppTest]


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch) -> Open:
    """Opens a page of the app over a workspace folder, in this process."""
    monkeypatch.setattr(setup_starter, "is_set_up", lambda: True)
    monkeypatch.setenv("METAPT_WORKERS", "0")

    def open_page(folder: Path, page: str, study: str | None = None) -> AppTest:
        monkeypatch.setenv("METAPT_WORKSPACE", str(folder))
        at = AppTest.from_file(str(APP), default_timeout=LIMIT)
        if study:
            at.query_params["study"] = study
        at.switch_page(f"metapt_explore/dashboard/views/{page}.py")
        return at.run()

    return open_page


@pytest.fixture
def demo(tmp_path: Path) -> Workspace:
    """The workspace written by hand."""
    return handmade.write(tmp_path / "workspace")


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Workspace:
    """A copy of the workspace of the tiny study, made by the real pipeline."""
    shutil.copytree(finished, tmp_path / "copied", ignore=shutil.ignore_patterns("*.lock", ".lock"))
    return Workspace(tmp_path / "copied")


@pytest.fixture
def running() -> Iterator[Callable[..., Path]]:
    """Makes a study look as while it runs, and holds its lock for the rest of the test."""
    with ExitStack() as stack:

        def start(workspace: Workspace, study: str, lines: int, method: str = "MetaPT") -> Path:
            folder = handmade.make_running(workspace, study, lines, method)
            stack.enter_context(workspace.study_lock(study))
            return folder

        yield start
