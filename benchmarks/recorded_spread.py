"""Makes `metapt_explore/statistics/recorded_spread.csv`: how far differences of two methods vary in recorded studies.

python benchmarks/recorded_spread.py    # seconds; reads studies/*/, writes the file
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from metapt_explore.errors import UserError
from metapt_explore.results.record import Record
from metapt_explore.statistics.detectable import RECORDED
from metapt_explore.statistics.units import paired_scores

STUDIES = Path(__file__).parents[1] / "studies"
#: A variance of fewer pairs says next to nothing.
FEWEST_PAIRS = 5
#: Readings of one tuned prompt: their differences say nothing of two methods.
WITHOUT = ("and probe", "majority", "zero")
HEAD = """# Differences of two methods in recorded studies (studies/*/), over pairs of seeds.
# Made by `python benchmarks/recorded_spread.py`.
# task_variance: of the difference on one task over pairs of seeds, mean over tasks; covariance: of two tasks, mean over
# pairs of tasks; both in shares of 1, squared.
"""


def spread_of(record: Record) -> list[dict[str, object]]:
    """A row for each pair of methods of a study that has enough pairs of seeds."""
    kinds = {m["name"]: m["kind"] for m in record.study.get("methods", [])}
    kinds |= {
        b if isinstance(b, str) else b["name"]: b if isinstance(b, str) else b["kind"]
        for b in record.study.get("baselines", [])
    }
    names = [n for n in dict.fromkeys(record.results["method"]) if n in kinds and not any(w in n for w in WITHOUT)]
    rows: list[dict[str, object]] = []
    for first, second in combinations(names, 2):
        try:
            both = paired_scores(record.results, first, second).complete
        except UserError:
            continue
        differences = (both.method - both.baseline).to_numpy()
        pairs, tasks = differences.shape
        if pairs < FEWEST_PAIRS or tasks < 2:
            continue
        table = np.cov(differences.T)
        rows.append(
            {
                "study": record.name,
                "method": first,
                "baseline": second,
                "kinds": "-".join(sorted((kinds[first], kinds[second]))),
                "shots": record.study["evaluation"].get("shots", 16),
                "tasks": tasks,
                "pairs": pairs,
                "task_variance": f"{np.trace(table) / tasks:.4g}",
                "covariance": f"{(table.sum() - np.trace(table)) / tasks / (tasks - 1):.4g}",
            }
        )
    return rows


def main() -> None:
    rows = [row for file in sorted(STUDIES.glob("*/record.json")) for row in spread_of(Record.load(file.parent))]
    table = pd.DataFrame(rows)
    tuned = table["study"] != "starts"  # nothing was tuned in it
    RECORDED.write_text(HEAD + table[tuned].to_csv(index=False), encoding="utf-8")
    print(table[tuned].groupby("kinds")[["pairs"]].agg(["count", "sum"]))


if __name__ == "__main__":
    main()
