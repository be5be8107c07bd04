"""The benchmarks' table in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from metapt_explore.bench.run import CaseRecord
from metapt_explore.progress.console import say


def format_case(record: CaseRecord, console: Console) -> None:
    """One line for a case that was just measured."""
    line = f"{record['case']}: {record['ratio']:.2f} times PEFT, {record['peak_share']:.0%} of the matrix peak"
    say(console, line)


def print_bench(records: list[CaseRecord], console: Console) -> None:
    """Prints one row for each measured case.

    Args:
        records: What `run_case` returned.
        console: Where to.
    """
    first = records[0]
    table = Table(title=f"rows a second against PEFT ({first['dtype']}, matrix peak {first['peak_gflops']} GFLOP/s)")
    table.add_column("case")
    for column in ("ratio", "target", "ceiling", "ours rows/s", "PEFT rows/s", "of peak", "MiB", "PEFT MiB"):
        table.add_column(column, justify="right")
    for record in records:
        table.add_row(
            f"{record['case']} ({record['peft_reference']})",
            f"{record['ratio']:.2f}",
            _number(record["target"]),
            _number(record["ceiling"]),
            f"{record['ours_rows_per_s']:.1f}",
            f"{record['theirs_rows_per_s']:.1f}",
            f"{record['peak_share']:.0%}",
            _number(record["peak_mib"], 0),
            _number(record["theirs_peak_mib"], 0),
        )
    console.print(table)
    for record in records:
        if "against_own_in_turn" in record:
            console.print(
                f"All groups in one batch against our own in turn: {record['against_own_in_turn']:.2f} times."
            )
    console.print(
        "ratio: ours over PEFT, median of alternating turns in this process; ceiling: ratio of arithmetic at equal "
        "efficiency; of peak: share of this machine's matrix product; MiB: memory of one run on top of the model."
    )


def _number(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
