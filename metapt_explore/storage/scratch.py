"""A workspace that only looks: what is finished is found there, what is made goes into a folder that is deleted."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.workspace import Workspace


class Scratch(Workspace):
    """Reads finished artifacts of a workspace, and writes elsewhere.

    Args:
        real: The workspace that is looked at.
        folder: Where everything new is written.
    """

    def __init__(self, real: Workspace, folder: Path) -> None:
        super().__init__(folder)
        self._real = real

    def artifact(self, identifier: str) -> Artifact:
        """The finished artifact of the workspace, else the scratch folder's."""
        found = self._real.artifact(identifier)
        return found if found.is_whole else super().artifact(identifier)

    def index(self, name: str) -> list[dict[str, Any]]:
        """The list of the workspace, behind it what was made here."""
        return [*self._real.index(name), *super().index(name)]

    def find(self, kind: str, beginning: str, where: str) -> Artifact:
        """Finds a finished artifact in the workspace, see `Workspace.find`."""
        return self._real.find(kind, beginning, where)


@contextmanager
def scratch(real: Workspace) -> Iterator[Scratch]:
    """A scratch workspace over a real one, for as long as the body runs."""
    with tempfile.TemporaryDirectory(prefix="metapt-", ignore_cleanup_errors=True) as folder:
        yield Scratch(real, Path(folder))
