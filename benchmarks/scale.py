"""How time and memory grow with the size of what a user has: texts, clusters, studies, seeds, workers.

    python benchmarks/scale.py                               # every part: an hour
    python benchmarks/scale.py texts --out benchmarks/results    # one part, recorded as scale-texts.jsonl
    python benchmarks/scale.py texts --sizes 2000 20000      # its small sizes only

Each row is one measurement in a process of its own, with one thread: what, size, seconds, peak MiB of the process, and
the exponent since the size before (1: twice as much takes twice as long). A part is a file `scale_<part>.py` with
a list `MEASURES`; a new part is such a file and a line in `PARTS`. The figures stand in docs/scale.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import scale_studies
import scale_texts
from scale_measure import Measure, measure_apart, measure_here, with_exponents

from metapt_explore.storage.manifest import manifest

#: Parts and what each measures; clusters and workers add theirs here.
PARTS: dict[str, Sequence[Measure]] = {"texts": scale_texts.MEASURES, "studies": scale_studies.MEASURES}


def find_measure(name: str) -> Measure:
    """The measurement of that name."""
    return next(measure for measures in PARTS.values() for measure in measures if measure.name == name)


def run_part(measures: Sequence[Measure], sizes: Sequence[int] | None) -> list[dict[str, Any]]:
    """Measures one part and prints each row as it comes."""
    rows: list[dict[str, Any]] = []
    for measure in measures:
        for size in measure.sizes if sizes is None else sizes:
            rows = with_exponents([*rows, measure_apart(measure, size)])
            print(as_line(rows[-1]), flush=True)
    return rows


def as_line(row: dict[str, Any]) -> str:
    """A row for the terminal.

    Example:
        >>> as_line({"what": "a", "unit": "texts", "size": 2000, "seconds": 1.25, "peak_mib": 300.0, "exponent": None})
        'a                              2,000 texts          1.2 s    300 MiB'
    """
    said = f"{row['what']:<24}{row['size']:>12,} {row['unit']:<12}{row['seconds']:>6.1f} s {row['peak_mib']:>6.0f} MiB"
    if row.get("exponent") is not None:
        said += f"  exponent {row['exponent']}"
    more = {key: row[key] for key in row if key not in ("what", "unit", "size", "seconds", "peak_mib", "exponent")}
    return said + "".join(f"  {key} {value}" for key, value in more.items())


def main() -> None:
    """Measures, prints, and records each part in a file of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--sizes", type=int, nargs="*", help="these sizes only")
    parser.add_argument("--out", type=Path, help="folder for the records")
    parser.add_argument("--one", metavar="NAME", help="one measurement in this process, printed as JSON")
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure_here(find_measure(asked.one), asked.sizes[0])))
        return
    for part in asked.parts or PARTS:
        rows = run_part(PARTS[part], asked.sizes)
        if asked.out:
            asked.out.mkdir(parents=True, exist_ok=True)
            lines = [{"manifest": manifest(), "threads": 1}, *rows]
            text = "".join(json.dumps(line) + "\n" for line in lines)
            (asked.out / f"scale-{part}.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
