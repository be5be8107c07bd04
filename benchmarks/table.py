"""Writes recorded results as a Markdown table: python benchmarks/table.py benchmarks/results/FILE.jsonl."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def number(value: float | None, digits: int = 1) -> str:
    """A figure, or a dash where there is none."""
    return "–" if value is None else f"{value:,.{digits}f}"


def table(file: Path) -> str:
    """One row a case; PEFT's two heads side by side where both were measured."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    cases: dict[str, dict[str, dict[str, Any]]] = {}
    for record in lines:
        if "ratio" in record:
            cases.setdefault(record["case"], {})[record["peft_reference"]] = record
    both = any(len(heads) == 2 for heads in cases.values())
    head = ["case", "against (a)", *(["against (b)"] if both else []), "target", "ceiling"]
    head += ["ours, rows/s", "PEFT (a), rows/s", "of peak", "target", "MiB", "PEFT (a), MiB"]
    rows = ["| " + " | ".join(head) + " |", "| --- |" + " --- |" * (len(head) - 1)]
    for case, heads in cases.items():
        first = heads["full head"]
        cells = [case, f"**{first['ratio']:.1f}**"]
        if both:
            cells.append(number(heads.get("logits_to_keep=1", {}).get("ratio")))
        cells += [number(first["target"]), number(first["ceiling"]), number(first["ours_rows_per_s"])]
        share = "–" if first["share_target"] is None else f"{first['share_target']:.0%}"
        cells += [number(first["theirs_rows_per_s"]), f"{first['peak_share']:.0%}", share]
        cells += [number(first["peak_mib"], 0), number(first["theirs_peak_mib"], 0)]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table(Path(sys.argv[1])))
