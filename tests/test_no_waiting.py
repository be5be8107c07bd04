"""A training step never makes Python wait for a graphics card, and has few shapes: counted on a device beside the CPU.

What is read back waits for a reading between steps (`pretraining/host_reads.py`); these runs read at their end only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from count_waits import CASES, STEPS
from packaging.version import Version

from metapt_explore.models.kv_cache.text import padded_length

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(
    Version(torch.__version__) < Version("2.13"), reason="a device written in Python needs torch 2.13"
)
#: Passes of transformers that look at their mask once or twice before they begin; nothing of ours does.
LOOKS_AT_MASK = {"T5, decoder": 1, "T5, encoder": 2, "BERT": 1}


@pytest.fixture(scope="module")
def counted(world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    command = [sys.executable, str(HERE / "count_waits.py"), str(world), str(tmp_path_factory.mktemp("waits"))]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, encoding="utf-8")
    assert done.returncode == 0, done.stderr[-5000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("case", CASES)
def test_no_step_waits(counted: dict[str, Any], case: str) -> None:
    trainings = counted[case]["waits"]
    assert trainings and all(1 <= len(steps) < STEPS for steps in trainings), "the first step has none before it"
    for steps in trainings:
        for waits in steps:
            assert len(waits) <= LOOKS_AT_MASK.get(case, 0), waits
            assert all("_local_scalar_dense" in wait for wait in waits), "other waits are ours"


def test_the_device_beside_the_cpu_counts_what_waits(counted: dict[str, Any]) -> None:
    assert counted["counted"] == [
        "float",
        "bool",
        "tolist",
        "to the host",
        "a list to the device",
        "a mask",
        "an index",
    ]


@pytest.mark.parametrize("case", ["suffix", "prefix", "tuning"])
def test_passes_of_a_training_have_few_shapes(counted: dict[str, Any], case: str) -> None:
    """On a card all texts of up to 16 tokens are padded alike; support, query, or both together are left."""
    for shapes in counted[case]["shapes"]:
        assert 1 <= len(shapes) <= 3, shapes


def test_padded_lengths_are_few() -> None:
    lengths = range(1, 513)
    on_card = [padded_length(longest, 512, torch.device("cuda")) for longest in lengths]
    assert len(set(on_card)) == 8 + 6 and all(
        padded >= longest for padded, longest in zip(on_card, lengths, strict=True)
    )
    assert padded_length(500, 505, torch.device("cuda")) == 505, "a model may have no positions behind its longest text"
    assert [padded_length(longest, 512, torch.device("cpu")) for longest in lengths] == list(lengths)
