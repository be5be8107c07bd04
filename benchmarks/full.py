"""Measures every case with more repeats, in both dtypes and against both heads, and records it with its manifest.

    python benchmarks/full.py RESULTS.jsonl [--dtype float32] [--dtype bfloat16]

The first line is the manifest (versions, hardware, time), then one object for each case. Nothing else
should run on the machine. Needs `metapt setup` and peft. Takes about half an hour on two cores.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from metapt_explore.bench.run import as_line, run_bench, second_order_cost
from metapt_explore.storage.manifest import manifest


def main() -> None:
    """Runs and writes as it goes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--dtype", action="append", choices=["float32", "bfloat16"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--full-head-only", action="store_true", help="leave PEFT with logits_to_keep=1 out")
    parser.add_argument("--only", nargs="*", default=[])
    arguments = parser.parse_args()
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    with arguments.results.open("w", encoding="utf-8") as out:

        def say(record: Mapping[str, object]) -> None:
            out.write(as_line(record) + "\n")
            out.flush()
            print(as_line(record), flush=True)

        say({"manifest": manifest(), "command": " ".join(["python", "benchmarks/full.py", *sys.argv[1:]])})
        for dtype in arguments.dtype or ["float32"]:
            run_bench(
                arguments.only,
                say,
                dtype=dtype,
                device=arguments.device,
                both_heads=not arguments.full_head_only,
                repeats=arguments.repeats,
            )
            say({"name": "second-order", "dtype": dtype, **second_order_cost(dtype=dtype, device=arguments.device)})


if __name__ == "__main__":
    main()
