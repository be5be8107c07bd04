"""`benchmarks/scale.py`: its records can be read, and docs/scale.md names those that it quotes."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RECORDS = sorted((ROOT / "benchmarks" / "results").glob("scale-*.jsonl"))


def scale(monkeypatch: pytest.MonkeyPatch, *asked: object) -> dict[str, Any]:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setattr(sys, "argv", ["scale.py", *map(str, asked)])
    return runpy.run_path(str(ROOT / "benchmarks" / "scale.py"), run_name="imported")


def test_each_run_appends_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = scale(monkeypatch, "seeds", "--sizes", 10, 20, "--out", tmp_path)
    seconds = {10: 1.0, 20: 4.0}

    def measured(measure: Any, size: int) -> dict[str, Any]:
        row = {"what": measure.name, "unit": measure.unit, "size": size, "seconds": 9.0}
        return {**row, "cpu_seconds": seconds[size], "peak_mib": 100.0}

    names["main"].__globals__["measure_apart"] = measured
    for _ in range(2):
        names["main"]()
    lines = (tmp_path / "scale-seeds.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2
    record = json.loads(lines[1])
    assert record["command"] == f"python benchmarks/scale.py seeds --sizes 10 20 --out {tmp_path}"
    assert [row["exponent"] for row in record["rows"]] == 3 * [None, 2.0]
    assert "cores" in record["machine"] and record["manifest"]["versions"]
    assert "exponent 2.0" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["scale.py", "seeds", "--only", "nothing"])
    with pytest.raises(SystemExit):
        names["main"]()
    assert "seeds measures seeds-work, seeds-difference, seeds-whole-plan" in capsys.readouterr().err


def test_measurements_have_one_name_each(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = scale(monkeypatch)["PARTS"]
    assert list(parts) == ["texts", "clusters", "studies", "seeds"]
    measures = [measure.name for part in parts.values() for measure in part]
    assert len(set(measures)) == len(measures)
    assert all(name.startswith(part) for part, of_part in parts.items() for name in (m.name for m in of_part))


@pytest.mark.parametrize("file", RECORDS, ids=lambda file: file.stem)
def test_records_say_all_that_a_table_needs(file: Path) -> None:
    for line in file.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        script = "million.py" if record["part"] == "million" else "scale.py "
        assert file.stem == f"scale-{record['part']}" and record["command"].startswith(f"python benchmarks/{script}")
        assert record["machine"] and record["day"] and record["rows"]
        for row in record["rows"]:
            assert {"what", "unit", "size", "seconds", "cpu_seconds", "peak_mib", "exponent"} <= set(row)


def test_the_page_names_its_records() -> None:
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    for file in RECORDS:
        assert f"results/{file.name}" in page, f"docs/scale.md does not say what comes from {file.name}"
