"""Measures the engine on a GPU where neither a model nor a network is at hand, and counts its kernels.

    python benchmarks/gpu.py RESULTS.jsonl [--model NAME] [--cases suffix-48 grid] [--device cuda]

Without `--model` a model of the shape of SmolLM2-135M is made of random weights: speed does not depend on
them. The first line is the manifest, then one object for each case, then for some cases how many kernels
one turn of ours hands over and how long the card works at them (`torch.profiler`). Needs peft. About two
minutes on an H200.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.profiler import ProfilerActivity, profile
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from metapt_explore.bench.cases import CASES, LABELS, Bench
from metapt_explore.bench.measure import alternating
from metapt_explore.bench.run import as_line, run_bench
from metapt_explore.storage.manifest import manifest

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
DEFAULT_CASES = ["suffix-48", "grid", "meta-warm", "meta-cold", "score", "prefix-20", "suffix-256"]
#: Cases whose kernels are counted: one seed, and ten at once.
COUNTED = ("suffix-48", "grid")
TURNS = 3


def main() -> None:
    """Runs and writes as it goes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--model", help="a starter model, a folder or a hub name; random weights when absent")
    parser.add_argument("--cases", nargs="*", default=DEFAULT_CASES, metavar="NAME")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16", choices=["float32", "bfloat16"])
    parser.add_argument("--repeats", type=int, default=TURNS)
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
        model = arguments.model or random_model(Path(folder))
        run_bench(
            arguments.cases, say, model=model, dtype=arguments.dtype, device=arguments.device, repeats=arguments.repeats
        )
        bench = Bench(model, dtype=arguments.dtype, device=arguments.device)
        for name in COUNTED:
            if name in arguments.cases:
                say({"name": name, "dtype": arguments.dtype, **kernels(bench, name)})


def random_model(folder: Path) -> str:
    """Saves a model of `SHAPE` with random weights and a tokenizer of made-up words; returns the folder's name."""
    own = [str(label.word) for label in LABELS.labels.values()]
    words = list(dict.fromkeys(["[PAD]", "[UNK]", *own, *LABELS.template.split()]))
    words += [f"word{number}" for number in range(SHAPE["vocab_size"] - len(words))]
    raw = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer_class: Any = PreTrainedTokenizerFast
    tokenizer_class(tokenizer_object=raw, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**SHAPE)).save_pretrained(folder)
    return str(folder)


def kernels(bench: Bench, name: str) -> dict[str, float]:
    """What one turn of ours hands over to the card.

    Returns:
        ``kernels``, ``card_ms`` (how long it works at them) and ``turn_ms`` (how long the turn takes, not profiled);
        the first two are 0 on a CPU, which has no kernels.
    """
    sides = bench.sides(next(case for case in CASES if case.name == name))
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
