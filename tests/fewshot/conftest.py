"""The language model that tests of tuning read with."""

from __future__ import annotations

from pathlib import Path

import pytest

from metapt_explore.config import ModelConfig
from metapt_explore.models.causal import CausalBackbone
from metapt_explore.models.load import load_backbone


@pytest.fixture(scope="module")
def backbone(world: Path) -> CausalBackbone:
    return load_backbone(ModelConfig(name=str(world / "lm"), dtype="float32", device="cpu"))
