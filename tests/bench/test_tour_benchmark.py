"""`benchmarks/tour.py`, with which README compares: both sides run and do the same; nothing is timed."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest
import tiny
import yaml

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize("file", sorted(BENCHMARKS.glob("*.py")), ids=lambda file: file.stem)
def test_what_a_benchmark_imports_is_there(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))  # as where it is started by its path
    runpy.run_path(str(file), run_name="imported")


def test_a_study_written_with_plain_loops(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tmp_path / "tiny.yaml"
    # In PEFT's place, so that both tune the same thing: in float32 only the order of examples is another.
    tree = tiny.study_tree(world, prompt={"length": 3, "placement": "prefix"})
    tree["methods"].append({"name": "PPT and probe", "kind": "ppt", "verbalizer": {"read": "probe_ensemble"}})
    study.write_text(yaml.safe_dump(tree), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["tour.py", "--study", str(study), "--dtype", "float32"])
    runpy.run_path(str(BENCHMARKS / "tour.py"), run_name="__main__")
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    ours, theirs = record["ours_accuracy"], record["theirs_accuracy"]
    assert set(ours) == set(theirs) == {f"{t}, {m}" for t in ("mood", "question") for m in ("PT", "PPT", "MetaPT")}
    assert all(abs(ours[key] - theirs[key]) <= 0.25 for key in ours)
