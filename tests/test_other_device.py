"""Everything that computes, on a device that is not the CPU: nothing is forgotten there, and losses are the CPU's.

On a machine with a GPU the same studies run on it, too.
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
from packaging.version import Version
from run_on_device import CASES

HERE = Path(__file__).parent
old_torch = pytest.mark.skipif(
    Version(torch.__version__) < Version("2.13"), reason="a device written in Python needs torch 2.13"
)
no_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")


@pytest.fixture(scope="module", params=[pytest.param("other", marks=old_torch), pytest.param("cuda", marks=no_gpu)])
def told(request: pytest.FixtureRequest, world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    command = [sys.executable, str(HERE / "run_on_device.py"), str(world), str(tmp_path_factory.mktemp("devices"))]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    done = subprocess.run(
        [*command, request.param], capture_output=True, text=True, env=environment, check=False, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr[-5000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**found, "asked": request.param}


@pytest.mark.parametrize("case", CASES)
def test_losses_are_those_of_the_cpu(told: dict[str, Any], case: str) -> None:
    # CUDA adds in another order; the other device is the CPU in disguise, with other kernels at most.
    share = 1e-2 if told["asked"] == "cuda" else 1e-4
    assert told["device"][case] == pytest.approx(told["cpu"][case], rel=share, abs=share / 10)
    assert len(set(told["cpu"][case].values())) > 1, "losses differ, so that equality says something"


def test_the_other_device_refuses_what_cuda_refuses(told: dict[str, Any]) -> None:
    if told["asked"] == "cuda":
        pytest.skip("CUDA refuses by itself")
    assert told["refused"] == ["a sum of both", "a product of both", "rows by an index elsewhere", "numpy"]
