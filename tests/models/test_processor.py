"""Processors that this machine is not: emulated by what torch and oneDNN can be told, and by operators that refuse."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from metapt_explore.config import ModelConfig
from metapt_explore.models import processor
from metapt_explore.models.decoders.frozen_linear import FrozenLinear
from metapt_explore.models.device import resolve_dtype
from metapt_explore.models.load import load_backbone
from metapt_explore.models.processor import SLOW_BFLOAT16, UNPACKED, can_pack, is_bfloat16_slow

#: What a processor without AVX-512, and one without AVX, let torch and oneDNN do.
PROCESSORS = {
    "AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "SSE4.1": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"},
    "AVX-512 without BF16": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_precision_on_other_processors(name: str) -> None:
    """All tests of `test_precision.py`, and the refusals below as that processor really makes them."""
    files = [str(Path(__file__).parent / file) for file in ("test_precision.py", "test_processor.py")]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:nbmake",
        "-k",
        "not other_processors",
        *files,
    ]
    ended = subprocess.run(
        command, env={**os.environ, **PROCESSORS[name]}, capture_output=True, encoding="utf-8", errors="replace"
    )
    assert ended.returncode == 0, ended.stdout[-5000:]


# ---------------------------------------------------------------------------------- operators that refuse


def throws(*args: Any) -> torch.Tensor:
    raise RuntimeError("mkldnn_reorder_linear_weight: bf16 path needs the cpu support")


def gives_noise(x: torch.Tensor, packed: torch.Tensor, *args: Any) -> torch.Tensor:
    return torch.randn(len(x), 48, dtype=x.dtype)


REFUSALS: dict[str, dict[str, Callable[..., Any] | None]] = {
    "no such operator": {"_reorder_linear_weight": None},
    "packing throws": {"_reorder_linear_weight": throws},
    "the product throws": {"_linear_pointwise": throws},
    "the product is wrong": {"_linear_pointwise": gives_noise},
}


class Operators:
    """`torch.ops.mkldnn` with some operators replaced."""

    def __init__(self, real: Any, replaced: dict[str, Callable[..., Any] | None]) -> None:
        self._real, self._replaced = real, replaced

    def __getattr__(self, name: str) -> Any:
        if name not in self._replaced:
            return getattr(self._real, name)
        if self._replaced[name] is None:
            raise AttributeError(name)
        return self._replaced[name]


@pytest.fixture(params=REFUSALS)
def refusing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(torch.ops, "mkldnn", Operators(torch.ops.mkldnn, REFUSALS[request.param]))
    processor._packs_bfloat16.cache_clear()
    yield request.param
    processor._packs_bfloat16.cache_clear()


def test_the_plain_product_runs_where_packing_fails(refusing: str) -> None:
    assert not can_pack(torch.bfloat16)
    weight, x = torch.randn(48, 32).bfloat16(), torch.randn(7, 32).bfloat16()
    packed, plain = FrozenLinear(weight, pack=True), FrozenLinear(weight)
    assert packed.refused and not plain.refused
    assert torch.equal(packed(x), plain(x)) and torch.equal(packed.back(plain(x)), plain.back(plain(x)))


def test_one_weight_that_is_refused_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processor takes the probe's weight, and not this one."""
    monkeypatch.setattr(processor, "_PROBES", {torch.bfloat16: lambda: True})
    monkeypatch.setattr(torch.ops, "mkldnn", Operators(torch.ops.mkldnn, REFUSALS["packing throws"]))
    linear = FrozenLinear(torch.eye(4).bfloat16() * 3, pack=True)
    assert linear.refused and linear(torch.ones(1, 4).bfloat16()).tolist() == [[3.0] * 4]


def test_a_study_in_bfloat16_says_once_that_it_is_slow(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, refusing: str
) -> None:
    config = ModelConfig(name=str(folder_of("llama")), dtype="bfloat16", device="cpu")
    for slow, expected in ((True, SLOW_BFLOAT16), (False, UNPACKED)):
        monkeypatch.setattr(processor, "is_bfloat16_slow", lambda slow=slow: slow)
        said: list[str] = []
        load_backbone(config, on_notice=said.append)
        assert said == [expected]


def test_a_study_in_float32_says_nothing(folder_of: Callable[[str], Path], refusing: str) -> None:
    said: list[str] = []
    load_backbone(ModelConfig(name=str(folder_of("llama")), dtype="float32", device="cpu"), on_notice=said.append)
    assert said == []


# ------------------------------------------------------------------------------------ what a processor says of itself


@pytest.mark.parametrize(
    ("found", "auto", "slow"),
    [
        ({}, torch.float32, True),
        ({"avx2": True, "cpu_name": "AMD Ryzen"}, torch.float32, True),
        ({"avx512_f": True, "cpu_name": "Intel Xeon"}, torch.float32, True),
        ({"avx512_bf16": True, "cpu_name": "Intel Xeon"}, torch.float32, True),
        ({"avx512_bf16": True, "amx_bf16": True, "cpu_name": "Intel Xeon"}, torch.bfloat16, False),
        ({"avx512_bf16": True, "cpu_name": "AMD EPYC"}, torch.bfloat16, False),
        ({"architecture": "arm64", "neon": True}, torch.float32, True),
        ({"architecture": "arm64", "neon": True, "bf16": True}, torch.float32, False),
    ],
)
def test_auto_and_the_notice_follow_what_the_machine_is_fast_at(
    found: dict[str, object], auto: torch.dtype, slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    monkeypatch.setattr(processor, "_library_has_bfloat16", lambda: True)
    assert resolve_dtype("auto", "cpu") is auto and is_bfloat16_slow() is slow
    assert resolve_dtype("bfloat16", "cpu") is torch.bfloat16
    assert resolve_dtype("auto", "mps") is torch.float32
    # Without the library that uses them the instructions are of no use.
    monkeypatch.setattr(processor, "_library_has_bfloat16", lambda: False)
    assert resolve_dtype("auto", "cpu") is torch.float32 and is_bfloat16_slow()
