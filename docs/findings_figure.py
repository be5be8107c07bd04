"""Draws the figure of the findings out of the records, so that it stays true.

    python docs/findings_figure.py          # docs/images/findings.svg

Every line is a difference of two methods, in points of accuracy, mean over seven tasks, with its 95 % interval over
pairs of seeds. A test computes the tables of `findings.md` by the same functions.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from metapt_explore.plots.series import Difference
from metapt_explore.plots.style import BLUE, GREY, VERMILION
from metapt_explore.reporting.figures import SETTINGS, as_svg
from metapt_explore.reporting.notes import grounds_of
from metapt_explore.results.record import Record
from metapt_explore.statistics import compare, label_efficiency

ROOT = Path(__file__).parents[1]
FILE = ROOT / "docs" / "images" / "findings.svg"
#: The two columns of the first table: records of the benchmark tasks, and of the starter tasks.
CORPORA = {"Product reviews, benchmark tasks": "amazon", "Rated sentences, starter tasks": "starter"}
#: Methods that stand in other records, in the order of `CORPORA`; None where the comparison was not run.
SOURCES: dict[str, tuple[str | None, str | None]] = {
    "PPT and probe": ("amazon", "starter-probe"),
    "readers averaged": ("rivals-benchmark", "rivals"),
    "LoRA": ("tested", None),
    "MetaPT far": ("tested", None),
}
#: The record with several numbers of examples (of the second corpus), and its primary comparison.
FEW, MAIN = "adapting", ("MetaPT", "PPT")
#: Marks of the two corpora.
MARKERS = ("o", "s")


def difference(study: str, method: str, baseline: str, shots: int | None = None) -> Difference:
    """The difference of two methods of a recorded study, in points of accuracy, as its report has it.

    Args:
        study: A folder of `studies/`.
        method: A method of its record.
        baseline: Another.
        shots: Examples a class, where the study has several; the study's own when absent.
    """
    record = _record(study)
    if shots is None or shots == record.study["evaluation"].get("shots"):
        result = compare(record.results, method, baseline, grounds=grounds_of(record))
        shares = (result.difference, result.low, result.high)
    else:
        tables = {int(number): rows for number, rows in record.efficiency.groupby("shots")}
        curve = label_efficiency(tables, baseline).query("method == @method and shots == @shots").iloc[0]
        shares = (curve["difference"], curve["difference_low"], curve["difference_high"])
    mean, low, high = (100 * float(share) for share in shares)
    return Difference(f"{method} − {baseline}", mean, low, high)


@lru_cache
def _record(study: str) -> Record:
    return Record.load(ROOT / "studies" / study)


def cell(shown: Difference) -> str:
    """A difference as the tables write it: +2.9 (+2.0 to +3.8)."""
    return f"{shown.mean:+.1f} ({shown.low:+.1f} to {shown.high:+.1f})".replace("-", "−")


def studies_of(method: str) -> tuple[str | None, ...]:
    """The record of each corpus in which a method stands."""
    return SOURCES.get(method, tuple(CORPORA.values()))


def compared(page: str) -> list[tuple[str, str, str, list[str]]]:
    """The rows of the first table of the findings: question, method, baseline, and the cells of the two corpora."""
    rows = re.findall(r"^\| ([^|]+\?) \| (.+?) − (.+?) \| (.+?) \| (.+?) \|", page, re.M)
    return [(question, method, baseline, cells) for question, method, baseline, *cells in rows]


def by_examples(page: str) -> list[tuple[int, dict[tuple[str, str], str]]]:
    """The rows of the second table: examples a class, and the cell of each two methods."""
    head, *rows = re.findall(r"^\| (?:examples a class|\d+) \|.*\|$", page, re.M)
    pairs = [tuple(title.strip().split(" − ")) for title in head.strip("|").split("|")[1:]]
    found = []
    for row in rows:
        shots, *cells = [text.strip() for text in row.strip("|").split("|")]
        found.append((int(shots), {(pair[0], pair[1]): text for pair, text in zip(pairs, cells, strict=True)}))
    return found


def lines_of(page: str) -> list[tuple[str, list[Difference | None]]]:
    """What the figure shows, from top to bottom: a question, and its difference on each corpus.

    Args:
        page: The text of `findings.md`.
    """
    lines: list[tuple[str, list[Difference | None]]] = []
    for question, method, baseline, cells in compared(page):
        shown = [
            difference(study, method, baseline) if study and text != "not run" else None
            for study, text in zip(studies_of(method), cells, strict=True)
        ]
        lines.append((question, shown))
    for shots, cells in by_examples(page):
        if MAIN in cells:
            title = f"MetaPT that adapts, {shots} example{'s' * (shots > 1)}: ahead of PPT?"
            lines.append((title, [None, difference(FEW, *MAIN, shots)]))
    return lines


def draw(page: str) -> str:
    """The figure of what the page's tables hold, as SVG."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    lines = lines_of(page)
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(8.6, 0.34 * len(lines) + 1.1), layout="constrained")
        axis = figure.subplots()
        axis.axvline(0, color=GREY, linewidth=1)
        for place, (_, shown) in enumerate(reversed(lines)):
            for line, marker, aside in zip(shown, MARKERS, (0.15, -0.15), strict=True):
                if line is None:
                    continue
                color = (BLUE if line.mean > 0 else VERMILION) if line.clear else GREY
                y = place + aside * all(shown)
                axis.plot([line.low, line.high], [y, y], color=color, linewidth=1.6)
                axis.plot(line.mean, y, marker, color=color, markersize=5)
                axis.annotate(cell(line), (line.high, y), (5, -2.2), textcoords="offset points", fontsize=6)
        axis.set_yticks(range(len(lines)), [question for question, _ in reversed(lines)])
        axis.set_ylim(-0.6, len(lines) - 0.4)
        axis.grid(axis="x", color="#e4e8ec", linewidth=0.7)
        axis.set_axisbelow(True)
        axis.set_xlabel("difference in points of accuracy, with its 95 % interval")
        for title, marker in zip(CORPORA, MARKERS, strict=True):
            axis.plot([], [], marker, color="#1b1f24", markersize=5, label=title)
        figure.legend(loc="outside lower right", ncols=2, frameon=False)
    return as_svg(figure)


def main() -> None:
    """Draws the figure and names its file."""
    FILE.write_text(draw((ROOT / "docs" / "findings.md").read_text(encoding="utf-8")), encoding="utf-8")
    print(FILE)


if __name__ == "__main__":
    main()
