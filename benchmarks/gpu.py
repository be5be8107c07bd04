"""Records the table of a graphics card: single steps, grids up to the largest, T5, each with CUDA graphs and without.

    python benchmarks/gpu.py RESULTS.jsonl [--model NAME] [--cases suffix-48 grid] [--grids 40 160 640] [--device cuda]
    python benchmarks/gpu.py RESULTS.jsonl --tiny --device cpu     # a trial of the script; its figures mean nothing

Without `--model` a model of the shape of SmolLM2-135M is made of random weights, and one of the shape of T5-base: speed
does not depend on weights. The first line is the manifest, then one object for each case (`graphs`: whether steps were
handed over as CUDA graphs; `card_target`: ratio to reach), then for some cases how many kernels one turn of ours hands
over and how long the card works at them (`torch.profiler`). What fails is an object with `error`, and the rest goes on.
Needs peft. Figures of one lease of an H200: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import encoder_decoder
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.profiler import ProfilerActivity, profile
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from metapt_explore.bench.cases import CASES, LABELS, Bench, Case
from metapt_explore.bench.measure import alternating
from metapt_explore.bench.run import as_line, run_case
from metapt_explore.models.causal import CausalBackbone
from metapt_explore.models.step_graphs import StepGraphs
from metapt_explore.storage.manifest import manifest

Say = Callable[[Mapping[str, object]], None]

#: SmolLM2-135M, as its config.json has it.
SHAPE: dict[str, Any] = {
    "vocab_size": 49_152,
    "hidden_size": 576,
    "intermediate_size": 1_536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8_192,
    "tie_word_embeddings": True,
}
#: What `--tiny` makes of the models, and of rows and lengths.
TINY_SHAPE = {**SHAPE, "vocab_size": 512, "hidden_size": 36, "intermediate_size": 48, "num_hidden_layers": 2}
TINY_T5 = {"d_model": 32, "d_ff": 48, "num_layers": 2, "num_heads": 2, "d_kv": 16}
TINY: dict[str, Any] = {"prompt_tokens": 4, "rows": 4}
#: Ratio to reach against PEFT with the full head, and share of the card's own matrix product for the largest grid.
CARD_TARGETS = {"suffix-48": 5.0, "prefix-20": 2.0, "grid": 30.0, "t5-encoder": 1.2}
LARGEST_GRID_SHARE = 0.25
GRIDS = (40, 160, 640)
T5_CASES = ("t5-encoder", "t5-encoder-mixed", "t5-decoder-48")
DEFAULT_CASES = ["suffix-48", "grid", "meta-warm", "meta-cold", "score", "prefix-20", "suffix-256"]
#: Cases whose kernels are counted: one seed, and ten at once.
COUNTED = ("suffix-48", "grid")
TURNS = 3


class CardBench(Bench):
    """The benchmark's models, whose steps may be handed over as graphs."""

    graphs = False

    def backbone(self, case: Case) -> CausalBackbone:
        """See `Bench`."""
        loaded = super().backbone(case)
        loaded.graphs = StepGraphs(loaded.dtype, print) if self.graphs else None
        return loaded


def main() -> None:
    """Runs and writes as it goes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--model", help="a starter model, a folder or a hub name; random weights when absent")
    parser.add_argument("--cases", nargs="*", default=[*DEFAULT_CASES, *T5_CASES], metavar="NAME")
    parser.add_argument("--grids", nargs="*", type=int, default=list(GRIDS), help="seeds at once, besides ten")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16", choices=["float32", "bfloat16"])
    parser.add_argument("--repeats", type=int, default=TURNS)
    parser.add_argument("--tiny", action="store_true", help="tiny models and batches, to try the script")
    arguments = parser.parse_args()
    if arguments.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error("torch sees no GPU here; benchmarks/full.py measures a CPU.")
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, arguments.results.open("w", encoding="utf-8") as out:

        def say(record: Mapping[str, object]) -> None:
            out.write(as_line(record) + "\n")
            out.flush()
            print(as_line(record), flush=True)

        say({"manifest": manifest(), "command": " ".join(["python", "benchmarks/gpu.py", *sys.argv[1:]])})
        measure_decoders(arguments, Path(folder) / "llama", say)
        measure_t5(arguments, Path(folder) / "t5", say)


def measure_decoders(arguments: argparse.Namespace, folder: Path, say: Say) -> None:
    """Cases of `metapt bench`, larger grids, and kernels."""
    cases = [case for case in CASES if case.name in arguments.cases]
    if "grid" in arguments.cases:
        ten = next(case for case in CASES if case.name == "grid")
        cases += [
            replace(ten, name=f"grid-{groups}", groups=groups, target=None, share_target=LARGEST_GRID_SHARE)
            for groups in arguments.grids
        ]
    if not cases:
        return
    model = arguments.model or random_model(folder, TINY_SHAPE if arguments.tiny else SHAPE)
    for graphs in (False, True) if arguments.device.startswith("cuda") else (False,):
        bench = CardBench(model, dtype=arguments.dtype, device=arguments.device)
        bench.graphs = graphs
        for case in cases:
            sized = replace(case, **TINY, text_tokens=8, groups=min(case.groups, 3)) if arguments.tiny else case
            facts = {"graphs": graphs, "card_target": CARD_TARGETS.get(case.name)}
            try:
                say({**run_case(bench, sized, arguments.repeats), **facts})
                if case.name in COUNTED:
                    say({"name": case.name, "dtype": arguments.dtype, "graphs": graphs, **kernels(bench, sized)})
            except Exception as error:  # a grid that does not fit, a graph that cannot be made: the table goes on
                say({"name": case.name, **facts, "error": str(error).splitlines()[:1]})


def measure_t5(arguments: argparse.Namespace, folder: Path, say: Say) -> None:
    """Encoder-decoders of `benchmarks/encoder_decoder.py`."""
    cases = [case for case in encoder_decoder.CASES if case.name in arguments.cases]
    if not cases:
        return
    encoder_decoder.write_model(folder, TINY_T5 if arguments.tiny else encoder_decoder.SHAPE)
    settings = {"dtype": arguments.dtype, "device": arguments.device, "repeats": arguments.repeats}
    for case in cases:
        sized = replace(case, **TINY, shortest=4, longest=8) if arguments.tiny else case
        target = CARD_TARGETS.get(case.name)
        say({**encoder_decoder.run_case(folder, sized, **settings), "graphs": False, "card_target": target})


def random_model(folder: Path, shape: Mapping[str, Any]) -> str:
    """Saves a model of a shape with random weights and a tokenizer of made-up words; returns the folder's name."""
    own = [str(label.word) for label in LABELS.labels.values()]
    words = list(dict.fromkeys(["[PAD]", "[UNK]", *own, *LABELS.template.split()]))
    words += [f"word{number}" for number in range(shape["vocab_size"] - len(words))]
    raw = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer_class: Any = PreTrainedTokenizerFast
    tokenizer_class(tokenizer_object=raw, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**shape)).save_pretrained(folder)
    return str(folder)


def kernels(bench: Bench, case: Case) -> dict[str, float]:
    """What one turn of ours hands over to the card.

    Returns:
        ``kernels``, ``card_ms`` (how long it works at them) and ``turn_ms`` (how long the turn takes, not profiled);
        the first two are 0 on a CPU, which has no kernels.
    """
    sides = bench.sides(case)
    device = sides.backbone.device
    times: Sequence[float] = alternating(sides.ours, sides.ours, repeats=TURNS, device=device)[0]
    # Asked for without a card, the profiler warns.
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device.type == "cuda")
    with profile(activities=activities) as watch:
        for _ in range(TURNS):
            sides.ours()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    ours = [event for event in watch.key_averages() if event.device_type.name == "CUDA"]
    return {
        "kernels": round(sum(event.count for event in ours) / TURNS),
        "card_ms": round(sum(event.self_device_time_total for event in ours) / TURNS / 1e3, 2),
        "turn_ms": round(statistics.median(times) * 1e3, 2),
    }


if __name__ == "__main__":
    main()
