"""How time and memory grow with the size of what a user has: texts, clusters, studies, seeds.

    python benchmarks/scale.py texts                          # one part; appends a record to results/scale-texts.jsonl
    python benchmarks/scale.py texts --sizes 2000 20000       # its small sizes only
    python benchmarks/scale.py clusters --only clusters-lda   # one of its measurements
    python benchmarks/scale.py studies --out ""               # prints, and keeps no record

Each row is one measurement in a process of its own, with one thread: what, size, seconds on the clock, CPU seconds (of
child processes, too), peak MiB, and the exponent of CPU seconds since the size before (1: twice as much takes twice as
long). A record is a line of JSON: part, command, day, machine, load of the machine at the beginning, versions, rows.
A part is a file `scale_<part>.py` with a list `MEASURES`; a new part is such a file and a line in `PARTS`. What the
records say stands in docs/scale.md. A million texts in one study are measured by `million.py`, workers by `workers.py`.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import scale_clusters
import scale_seeds
import scale_studies
import scale_texts
from scale_measure import RESULTS, Measure, append_record, measure_apart, measure_here, with_exponents

#: Parts and what each measures.
PARTS: dict[str, Sequence[Measure]] = {
    "texts": scale_texts.MEASURES,
    "clusters": scale_clusters.MEASURES,
    "studies": scale_studies.MEASURES,
    "seeds": scale_seeds.MEASURES,
}
#: Columns that `as_line` names itself.
SHOWN = ("what", "unit", "size", "seconds", "cpu_seconds", "peak_mib", "exponent")


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
        >>> row = {"what": "a", "unit": "texts", "size": 2000, "seconds": 1.25, "cpu_seconds": 1.0, "peak_mib": 300.0}
        >>> as_line({**row, "exponent": None})
        'a                              2,000 texts          1.2 s    1.0 CPU s    300 MiB'
    """
    said = f"{row['what']:<24}{row['size']:>12,} {row['unit']:<12}{row['seconds']:>6.1f} s {row['cpu_seconds']:>6.1f} "
    said += f"CPU s {row['peak_mib']:>6.0f} MiB"
    if row.get("exponent") is not None:
        said += f"  exponent {row['exponent']}"
    return said + "".join(f"  {key} {row[key]}" for key in row if key not in SHOWN)


def main() -> None:
    """Measures one part, prints its rows, and appends a record of the run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=list(PARTS), help="what is measured")
    parser.add_argument("--sizes", type=int, nargs="*", help="these sizes only")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="these measurements of the part only")
    parser.add_argument("--out", default=str(RESULTS), help="folder of the records; empty: none is kept")
    parser.add_argument("--one", metavar="NAME", help="one measurement in this process, printed as JSON")
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure_here(find_measure(asked.one), asked.sizes[0])))
        return
    if asked.part is None:
        parser.error(f"a part is needed: {', '.join(PARTS)}")
    measures = [measure for measure in PARTS[asked.part] if not asked.only or measure.name in asked.only]
    if not measures:
        parser.error(f"{asked.part} measures {', '.join(measure.name for measure in PARTS[asked.part])}")
    load = os.getloadavg()[0]
    rows = run_part(measures, asked.sizes)
    if asked.out:
        append_record(Path(asked.out), asked.part, rows, load)


if __name__ == "__main__":
    main()
