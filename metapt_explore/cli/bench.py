"""`metapt bench`: how fast this machine is, beside PEFT prompt tuning."""

from __future__ import annotations

from typing import Annotated

import typer

from metapt_explore.cli.options import DeviceOption
from metapt_explore.errors import UserError
from metapt_explore.progress.console import echo, make_console

DTYPES = ("auto", "float32", "bfloat16")


def bench(
    cases: Annotated[list[str] | None, typer.Argument(help="Only these cases (default: all).")] = None,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line, as soon as it is measured.")
    ] = False,
    dtype: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    device: DeviceOption = "auto",
) -> None:
    """Measure speed and memory on this machine, side by side with PEFT prompt tuning (some minutes)."""
    from metapt_explore.bench.run import as_line, run_bench
    from metapt_explore.bench.show import format_case, print_bench

    if dtype not in DTYPES:
        raise UserError(f"--dtype is auto, float32 or bfloat16, not '{dtype}'.")
    console = make_console()
    tell = (lambda record: echo(as_line(record))) if as_json else (lambda record: format_case(record, console))
    records = run_bench(cases or [], tell, dtype=dtype, device=device)
    if not as_json:
        print_bench(records, console)
