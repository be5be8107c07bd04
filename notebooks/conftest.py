"""Under pytest the notebooks run on few rows, in one workspace that goes away afterwards.

`pytest --nbmake notebooks/` steps through every cell of the real thing; only what the `profile` cell says is smaller.
Notebooks of one process share the workspace, as they do for somebody who steps through them: the texts and clusters of
the tour are made once.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Kernels inherit the environment of the process that starts them."""
    folder = tempfile.TemporaryDirectory(prefix="metapt-notebooks-", ignore_cleanup_errors=True)
    config.add_cleanup(folder.cleanup)
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    patch.setenv("METAPT_FAST", "1")
    if os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1") != "1":
        patch.setenv("OMP_NUM_THREADS", "1")  # a notebook a core
    patch.setenv("METAPT_WORKSPACE", str(Path(folder.name) / "workspace"))
