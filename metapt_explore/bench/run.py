"""Runs the cases and prints them: a table, or one JSON object a line."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NotRequired, TypedDict

from metapt_explore.bench.cases import CASES, LABELS, MODEL, Bench, Case, initial_prompt, random_texts
from metapt_explore.bench.measure import alternating, matmul_peak, median_ratio, peak_mib
from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.models.causal import CausalBackbone
from metapt_explore.models.decoders.base import Decoder
from metapt_explore.models.gradients import Batch, PromptObjective

#: Alternating turns of each side.
REPEATS = 3


class CaseRecord(TypedDict):
    """What was measured of one case.

    Attributes:
        name: Short name of the case.
        case: Its title.
        ratio: Rows per second, ours over PEFT's, median of pairs of turns.
        target: Ratio to reach, where one was set.
        ceiling: Ratio of arithmetic at equal efficiency.
        ours_rows_per_s: Ours.
        theirs_rows_per_s: PEFT's.
        peak_share: Share of the machine's matrix product, same dtype, measured in this run.
        share_target: Share to reach.
        peak_mib: Memory of one run of ours on top of the loaded model.
        theirs_peak_mib: Memory of one run of PEFT's.
        ours_seconds: Median of one run of ours.
        theirs_seconds: Median of one run of PEFT's.
        peft_reference: ``full head`` or ``logits_to_keep=1``.
        dtype: Of the model.
        peak_gflops: The matrix product's speed.
        against_own_in_turn: Speed of all groups in one batch over our groups in turn.
    """

    name: str
    case: str
    ratio: float
    target: float | None
    ceiling: float | None
    ours_rows_per_s: float
    theirs_rows_per_s: float
    peak_share: float
    share_target: float | None
    peak_mib: float | None
    theirs_peak_mib: float | None
    ours_seconds: float
    theirs_seconds: float
    peft_reference: str
    dtype: str
    peak_gflops: int
    against_own_in_turn: NotRequired[float]


def run_case(bench: Bench, case: Case, repeats: int) -> CaseRecord:
    """Measures one case."""
    sides = bench.sides(case)
    backbone = sides.backbone
    device = backbone.device
    ours, theirs = alternating(sides.ours, sides.theirs, repeats=repeats, device=device)
    peak = matmul_peak(backbone.dtype, device)
    scale = sides.ours_rows / sides.theirs_rows
    middle = statistics.median(ours)
    record: CaseRecord = {
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
        together, apart = alternating(sides.ours, sides.in_turn, repeats=repeats, device=device)
        record["against_own_in_turn"] = round(median_ratio(together, apart), 2)
    return record


def layer_weights(backbone: CausalBackbone) -> int:
    """Numbers in the layers' matrices: a token's forward is twice, with its backward four times as many operations."""
    return sum(value.numel() for value in backbone.model.base_model.layers.parameters() if value.dim() == 2)


def run_bench(
    names: Sequence[str],
    say: Callable[[CaseRecord], None],
    *,
    model: str = MODEL,
    dtype: str = "auto",
    device: str = "auto",
    both_heads: bool = False,
    repeats: int = REPEATS,
) -> list[CaseRecord]:
    """Runs cases in turn.

    Args:
        names: Which; all where empty.
        say: Called with each finished record.
        model: The language model.
        dtype: ``auto``, ``float32`` or ``bfloat16``.
        device: ``auto`` or a torch device.
        both_heads: Whether PEFT is also measured with `logits_to_keep=1`.
        repeats: Turns of each side.
    """
    known = {case.name: case for case in CASES}
    for name in names:
        if name not in known:
            raise UserError(f"There is no benchmark '{name}'. {did_you_mean(name, known)}")
    records = []
    for full_head in (True, False) if both_heads else (True,):
        bench = Bench(model, dtype=dtype, device=device, full_head=full_head)
        for case in [known[name] for name in names] or CASES:
            record = run_case(bench, case, repeats)
            records.append(record)
            say(record)
    return records


def second_order_cost(model: str = MODEL, *, dtype: str = "auto", device: str = "auto") -> dict[str, float]:
    """What a Hessian product costs against a plain first-order pass of the same rows (time, one process).

    Returns:
        ``hessian_product`` (in first-order passes through the same decoder: `SECOND_ORDER_COST` rounds it), and
        ``hessian_product_against_fast`` (in passes through the hand-written one, as time is spent), and
        ``forward_only`` (a forward pass without a gradient, in passes through the same decoder: `FORWARD_COST`).
    """
    case = next(case for case in CASES if case.name == "suffix-48")
    bench = Bench(model, dtype=dtype, device=device)
    backbone = bench.backbone(case)
    pattern = backbone.pattern(LABELS, "benchmark")
    bank = backbone.bank(random_texts(backbone, case.rows, case.text_tokens), pattern)
    objective = PromptObjective(backbone, bank, pattern)
    prompts = initial_prompt(backbone, case.prompt_tokens)[None]
    batch = Batch(range(case.rows), [0] * case.rows, [row % 2 for row in range(case.rows)])
    fast = backbone.fast

    def first(decoder: Decoder) -> None:
        backbone.fast = decoder
        objective.losses_and_gradients(prompts, batch)
        backbone.fast = fast

    def second() -> object:
        return objective.hessian_products(prompts, batch, prompts)

    costs = {}
    for name, decoder in (("hessian_product", backbone.plain), ("hessian_product_against_fast", fast)):
        plain, double = alternating(partial(first, decoder), second, repeats=REPEATS, device=backbone.device)
        costs[name] = round(median_ratio(plain, double), 2)
    backbone.fast = fast
    both, forward = alternating(
        partial(first, fast), lambda: objective.losses(prompts, batch), repeats=REPEATS, device=backbone.device
    )
    costs["forward_only"] = round(median_ratio(both, forward), 2)
    return costs


def as_line(record: Mapping[str, object]) -> str:
    """One JSON object on one line."""
    return json.dumps(record, ensure_ascii=False)
