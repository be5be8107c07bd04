"""The code in CONTRIBUTING.md runs as it is printed."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tiny
import torch
import transformers
from small_inputs import inputs_of

from metapt_explore.baselines.full import full
from metapt_explore.clusters.grouping import Grouping, Inputs
from metapt_explore.config import ModelConfig, clustering
from metapt_explore.config.families import FAMILIES, FamilyFacts
from metapt_explore.models.load import load_backbone

PAGE = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")


def printed(file: str) -> str:
    """The code block of a file."""
    (block,) = re.findall(rf"```python\n# {file}\n(.*?)```", PAGE, re.DOTALL)
    return str(block)


def test_the_clustering_finds_groups_that_are_there() -> None:
    function, config = {"__name__": "agglomerative"}, {**vars(clustering)}
    exec(printed("clusters/agglomerative.py"), function)
    exec(printed("config/clustering.py"), config)
    settings = config["AgglomerativeClustering"](name="ward", algorithm="agglomerative", n_clusters=3, dimensions=4)
    groups = np.repeat([0, 1, 2], [6, 5, 4])
    vectors = np.eye(8)[groups] + 0.05 * np.random.default_rng(0).normal(size=(15, 8))
    found = function["agglomerative"](Inputs(vectors, settings, 0, None, None, None, None))  # type: ignore[operator]
    assert isinstance(found, Grouping) and found.labels.tolist() == groups.tolist()


@pytest.fixture
def mamba(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny random Mamba, whose family is the one that the page adds."""
    module = ModuleType("metapt_explore.models.recurrent")
    exec(printed("models/recurrent.py"), module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    (entry,) = re.findall(r"`(FamilyFacts\(.*?\))`\.", PAGE)
    monkeypatch.setitem(FAMILIES, "recurrent", eval(entry, {"FamilyFacts": FamilyFacts}))
    words = tiny.tokenizer()
    tokens = {"pad_token_id": 0, "bos_token_id": None, "eos_token_id": None, "initializer_range": 0.3}
    shape = {"vocab_size": len(words), "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}
    torch.manual_seed(0)
    transformers.MambaForCausalLM(transformers.MambaConfig(**shape, **tokens)).save_pretrained(tmp_path / "mamba")
    words.save_pretrained(tmp_path / "mamba")
    return tmp_path / "mamba"


@pytest.mark.filterwarnings("ignore")
def test_the_family_loads_and_is_exact(mamba: Path) -> None:
    """Scores are compared with the model's own forward pass when it is loaded."""
    backbone = load_backbone(ModelConfig(name=str(mamba), dtype="float32", device="cpu"))
    assert type(backbone).__name__ == "RecurrentBackbone" and backbone.placement == "prefix"


@pytest.mark.filterwarnings("ignore")
def test_a_left_to_right_family_without_a_second_pass_can_be_fine_tuned(mamba: Path, world: Path) -> None:
    outcome = full(inputs_of(world, "full", mamba, learning_rates=[0.003], steps=2, batch_size=4))
    assert set(outcome.seeds) == {1, 2}
