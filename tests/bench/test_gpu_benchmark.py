"""`benchmarks/gpu.py`, which waits for a card: it runs to its end, and each record says what it was measured with."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from metapt_explore.bench import measure

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> list[dict[str, Any]]:
    file = tmp_path / "card.jsonl"
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(measure, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(measure, "PEAK_SIDE", 64)
    monkeypatch.setattr(sys, "argv", ["gpu.py", str(file), "--tiny", "--repeats", "1", *options])
    runpy.run_path(str(BENCHMARKS / "gpu.py"), run_name="__main__")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_the_whole_table_of_a_card_on_a_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, *records = run(tmp_path, monkeypatch, "--device", "cpu", "--dtype", "float32", "--grids", "2")
    assert "torch" in json.dumps(manifest["manifest"]) and "gpu.py" in manifest["command"]
    assert not [record for record in records if "error" in record]
    measured = {record["name"]: record for record in records if "ratio" in record}
    assert {"suffix-48", "prefix-20", "grid", "grid-2", "t5-encoder"} <= set(measured)
    targets = {name: record["card_target"] for name, record in measured.items() if record["card_target"] is not None}
    assert targets == {"suffix-48": 5.0, "prefix-20": 2.0, "grid": 30.0, "t5-encoder": 1.2}
    assert measured["grid-2"]["share_target"] == 0.25 and all(record["ratio"] > 0 for record in measured.values())
    assert {record["name"] for record in records if "kernels" in record} == {"suffix-48", "grid"}


def test_without_a_card_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit):
        run(tmp_path, monkeypatch)
