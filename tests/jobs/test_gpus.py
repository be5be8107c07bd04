"""Graphics cards by NVML, with a driver that is pretended, is not there, or breaks."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from metapt_explore.jobs.gpus import MIB, gpus, worker_devices


class NVMLError(Exception):
    """As the library's."""


def driver(cards: list[dict[str, Any]], fails: str = "") -> ModuleType:
    """A library whose driver has these cards; the function that is named fails."""

    def ask(name: str, answer: Any) -> Any:
        def function(*arguments: Any) -> Any:
            if name == fails:
                raise NVMLError(name)
            value = answer(*arguments)
            if isinstance(value, NVMLError):
                raise value
            return value

        return function

    library: Any = ModuleType("pynvml")
    library.NVMLError = NVMLError
    functions: dict[str, Any] = {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetCount": lambda: len(cards),
        "nvmlDeviceGetHandleByIndex": lambda index: cards[index],
        "nvmlDeviceGetName": lambda card: card["name"],
        "nvmlDeviceGetMemoryInfo": lambda card: SimpleNamespace(used=card["used"] * MIB, total=card["total"] * MIB),
        "nvmlDeviceGetUtilizationRates": lambda card: (
            NVMLError() if card["busy"] is None else SimpleNamespace(gpu=card["busy"])
        ),
    }
    for name, answer in functions.items():
        setattr(library, name, ask(name, answer))
    return library  # type: ignore[no-any-return]


CARDS = [
    {"name": "NVIDIA H100 80GB HBM3", "used": 1024, "total": 81559, "busy": 37},
    {"name": "NVIDIA T4", "used": 3, "total": 15360, "busy": None},
]


def test_cards_that_do_not_say_how_busy_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", driver(CARDS))
    assert [(gpu.index, gpu.used_mib, gpu.busy) for gpu in gpus()] == [("0", 1024.0, 0.37), ("1", 3.0, None)]
    assert gpus()[0].name == "NVIDIA H100 80GB HBM3" and gpus()[0].total_mib == 81559


@pytest.mark.parametrize("fails", ["nvmlInit", "nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex"])
def test_a_driver_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", driver(CARDS, fails))
    assert gpus() == []


def test_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert gpus() == []


@pytest.mark.parametrize(("visible", "devices"), [("0,1", ["0", "1"]), ("", [None]), ("-1", [None]), (None, ["0"])])
def test_one_worker_a_visible_card(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, devices: list[str | None]
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", driver(CARDS[:1]))
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    worker_devices.cache_clear()
    assert worker_devices() == devices
    worker_devices.cache_clear()
