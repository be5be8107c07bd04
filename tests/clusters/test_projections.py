"""t-SNE and UMAP maps: neighbours stay neighbours, equal arguments give equal maps."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from metapt_explore.clusters import projections
from metapt_explore.clusters.projections import PROJECTIONS
from metapt_explore.errors import UserError


def three_groups(rows: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings around three far centres, and the centre of each."""
    random = np.random.default_rng(3)
    of = np.arange(rows) % 3
    return (np.eye(3, 16)[of] * 5 + random.normal(size=(rows, 16)) * 0.3).astype(np.float32), of


def check(name: str, rows: int) -> None:
    embeddings, of = three_groups(rows)
    placed = PROJECTIONS[name].place(embeddings, 7)
    assert placed.shape == (rows, 2) and placed.dtype == np.float64 and np.isfinite(placed).all()
    distances = np.linalg.norm(placed[:, None] - placed[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (of[distances.argmin(axis=1)] == of).all(), "the nearest text on the map is of the same group"
    assert (PROJECTIONS[name].place(embeddings, 7) == placed).all()


@pytest.mark.parametrize("name", ["pca", "tsne"])
def test_groups_stay_together_and_maps_come_back(name: str) -> None:
    check(name, 60)


def test_groups_stay_together_on_a_umap_map() -> None:
    """Without its compiler: compiling takes longer than all other tests of this folder."""
    code = "from test_projections import check; check('umap', 24)"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("name", PROJECTIONS)
@pytest.mark.parametrize("rows", [0, 1, 4])
def test_a_few_texts_have_a_map(name: str, rows: int) -> None:
    placed = PROJECTIONS[name].place(np.eye(5, dtype=np.float32)[:rows], 0)
    assert placed.shape == (rows, 2) and np.isfinite(placed).all()


def test_a_missing_package_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projections, "find_spec", lambda name: None)
    assert PROJECTIONS["tsne"].installed and not PROJECTIONS["umap"].installed
    with pytest.raises(UserError, match=r"umap-learn, which is not installed: pip install 'metapt-explore\[maps\]'"):
        PROJECTIONS["umap"].place(np.eye(20, dtype=np.float32), 0)
