"""Fixtures for tests of models: a tiny model of every family, made once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import plain_reference
import pytest
import tiny
import torch

from metapt_explore.models.causal import CausalBackbone


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a family's tiny model, with random norm weights and biases."""

    @cache
    def made(family: str) -> Path:
        kind, changes = plain_reference.FAMILIES[family]
        return tiny.make_language_model(tmp_path_factory.mktemp(family), kind, uneven=True, **changes)

    return made


@pytest.fixture(scope="session")
def unmodified_of(folder_of: Callable[[str], Path]) -> Callable[[str], torch.nn.Module]:
    """A family's tiny model as transformers loads it."""
    return cache(lambda family: plain_reference.unmodified(folder_of(family)))


@pytest.fixture
def backbone_of(folder_of: Callable[[str], Path]) -> Callable[..., CausalBackbone]:
    """Makes a backbone of a family; keywords as for `plain_reference.make_backbone`."""
    return lambda family, *args, **config: plain_reference.make_backbone(folder_of(family), *args, **config)
