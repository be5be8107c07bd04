"""Runs the cases and prints them: a table, or one JSON object a line."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from metapt_explore.bench.cases import CASES, LABELS, Bench, Case, random_texts, start_of
from metapt_explore.bench.measure import alternating, matmul_peak, median_ratio, peak_mib
from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.models.causal import CausalBackbone
from metapt_explore.models.decoders.base import Decoder
from metapt_explore.models.gradients import Batch, PromptObjective

#: Alternating turns of each side.
REPEATS = 3


def run_case(bench: Bench, case: Case, repeats: int) -> dict[str, Any]:
    """Measures one case.

    Returns:
        ``case``, ``ratio`` (rows per second, ours over theirs, median of pairs), ``target``, ``ceiling``,
        ``ours_rows_per_s``, ``theirs_rows_per_s``, ``peak_share`` (of the machine's matrix product, same
        dtype, measured in this run), ``peak_mib`` and ``theirs_peak_mib`` (memory of one run on top of the
        loaded model), ``ours_seconds``, ``theirs_seconds``, ``dtype``.
    """
    sides = bench.sides(case)
    backbone = sides.backbone
    device = backbone.device
    ours, theirs = alternating(sides.ours, sides.theirs, repeats, device)
    peak = matmul_peak(backbone.dtype, device)
    scale = sides.ours_rows / sides.theirs_rows
    middle = statistics.median(ours)
    record: dict[str, Any] = {
        "name": case.name,
        "case": case.title,
        "ratio": round(scale * median_ratio(ours, theirs), 2),
        "target": case.target,
        "ceiling": case.ceiling,
        "ours_rows_per_s": round(sides.ours_rows / middle, 2),
        "theirs_rows_per_s": round(sides.theirs_rows / statistics.median(theirs), 2),
        "peak_share": round(4 * layer_weights(backbone) * sides.tokens / middle / peak, 3),
        "share_target": case.share_target,
        "peak_mib": peak_mib(sides.ours, device),
        "theirs_peak_mib": peak_mib(sides.theirs, device),
        "ours_seconds": round(middle, 4),
        "theirs_seconds": round(statistics.median(theirs), 4),
        "peft_reference": "full head" if bench.full_head else "logits_to_keep=1",
        "dtype": str(backbone.dtype).removeprefix("torch."),
        "peak_gflops": round(peak / 1e9),
    }
    if sides.in_turn is not None:
        together, apart = alternating(sides.ours, sides.in_turn, repeats, device)
        record["against_own_in_turn"] = round(median_ratio(together, apart), 2)
    return record


def layer_weights(backbone: CausalBackbone) -> int:
    """Numbers in the layers' matrices: a token's forward is twice, with its backward four times as many operations."""
    return sum(value.numel() for value in backbone.model.base_model.layers.parameters() if value.dim() == 2)


def run_bench(
    names: Sequence[str],
    say: Callable[[dict[str, Any]], None],
    model: str = "smollm2-135m",
    dtype: str = "auto",
    device: str = "auto",
    both_heads: bool = False,
    repeats: int = REPEATS,
) -> list[dict[str, Any]]:
    """Runs cases in turn.

    Args:
        names: Which; all where empty.
        say: Called with each finished record.
        model: The language model.
        dtype: ``auto``, ``float32`` or ``bfloat16``.
        device: ``auto`` or a torch device.
        both_heads: Whether the peft_reference is also measured with `logits_to_keep=1`.
        repeats: Turns of each side.
    """
    known = {case.name: case for case in CASES}
    for name in names:
        if name not in known:
            raise UserError(f"There is no benchmark '{name}'. {did_you_mean(name, known)}")
    records = []
    for full_head in (True, False) if both_heads else (True,):
        bench = Bench(model, dtype, device, full_head)
        for case in [known[name] for name in names] or CASES:
            record = run_case(bench, case, repeats)
            records.append(record)
            say(record)
    return records


def second_order_cost(dtype: str = "auto", device: str = "auto", model: str = "smollm2-135m") -> dict[str, float]:
    """What a Hessian product costs against a plain first-order pass of the same rows (time, one process).

    Returns:
        ``hessian_product`` (in first-order passes through the same decoder: `SECOND_ORDER_COST` rounds it), and
        ``hessian_product_against_fast`` (in passes through the hand-written one, as time is spent).
    """
    case = next(case for case in CASES if case.name == "suffix-48")
    bench = Bench(model, dtype, device)
    backbone = bench.backbone(case)
    pattern = backbone.pattern(LABELS, "benchmark")
    bank = backbone.bank(random_texts(backbone, case.rows, case.text_tokens), pattern)
    objective = PromptObjective(backbone, bank, pattern)
    prompts = start_of(backbone, case.prompt_tokens)[None]
    batch = Batch(range(case.rows), [0] * case.rows, [row % 2 for row in range(case.rows)])
    fast = backbone.fast

    def first(decoder: Decoder) -> None:
        backbone.fast = decoder
        objective.losses_and_gradients(prompts, batch)
        backbone.fast = fast

    def second() -> object:
        return objective.hessian_products(prompts, batch, prompts)

    found = {}
    for name, decoder in (("hessian_product", backbone.plain), ("hessian_product_against_fast", fast)):
        plain, double = alternating(partial(first, decoder), second, REPEATS, backbone.device)
        found[name] = round(median_ratio(plain, double), 2)
    return found


def as_line(record: dict[str, Any]) -> str:
    """One JSON object on one line."""
    return json.dumps(record, ensure_ascii=False)
