"""Times encoder-decoder placements against PEFT on a random model of the size of T5-base, in one process.

    python benchmarks/encoder_decoder.py > encoder_decoder.jsonl

The reference is PEFT's prompt tuning with the prompt in front of the encoder only (`num_transformer_submodules=1`,
its quicker layout), same weights, rows and dtype. Weights are random: speed does not depend on what they say.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from metapt_explore.bench.measure import alternating, median_ratio, peak_mib
from metapt_explore.config import LabelsConfig, ModelConfig, Placement
from metapt_explore.models.backbone import Backbone
from metapt_explore.models.encoder_decoder import EncoderDecoderBackbone
from metapt_explore.models.gradients import Batch, PromptObjective
from metapt_explore.models.kv_cache.text import pad_rows
from metapt_explore.models.load import load_backbone
from metapt_explore.storage.manifest import manifest

LABELS = LabelsConfig.model_validate({"template": "{text} It was", "labels": {"bad": "bad", "good": "good"}})
VOCABULARY = 32_128


@dataclass(frozen=True)
class Case:
    """One row of the table: `shortest` to `longest` text tokens, spread evenly."""

    name: str
    placement: Placement
    prompt_tokens: int
    shortest: int
    longest: int
    rows: int
    target: float

    @property
    def title(self) -> str:
        """As the table writes it."""
        lengths = str(self.longest) if self.shortest == self.longest else f"{self.shortest}-{self.longest}"
        warm = ", warm" if self.placement == "decoder" else ""
        return f"T5-base {self.placement} step, P {self.prompt_tokens}, L {lengths}, B {self.rows}{warm}"


CASES = (
    Case("t5-encoder", "encoder", 100, 48, 48, 16, 1.0),
    Case("t5-encoder-mixed", "encoder", 100, 16, 256, 32, 1.2),
    Case("t5-decoder-48", "decoder", 8, 48, 48, 16, 2.5),
    Case("t5-decoder-256", "decoder", 8, 256, 256, 16, 8.0),
)


#: T5-base, as its config.json has it.
SHAPE = {"d_model": 768, "d_ff": 3072, "num_layers": 12, "num_heads": 12, "d_kv": 64}


def write_model(folder: Path, shape: Mapping[str, int] = SHAPE) -> None:
    """A random T5 of a shape, with a word-level tokenizer."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

    words = ["<pad>", "</s>", "<unk>", "<extra_id_0>", "It", "was", "bad", "good"]
    vocabulary = {word: place for place, word in enumerate(words)}
    vocabulary |= {f"w{place}": place for place in range(len(words), 32_000)}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    raw.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer_class: Any = PreTrainedTokenizerFast
    tokenizer_class(tokenizer_object=raw, pad_token="<pad>", eos_token="</s>", unk_token="<unk>").save_pretrained(
        folder
    )
    torch.manual_seed(0)
    size: dict[str, Any] = {**shape, "vocab_size": VOCABULARY, "decoder_start_token_id": 0}
    config = T5Config(**size)
    T5ForConditionalGeneration(config).save_pretrained(folder)


class PeftReference:
    """The same weights under PEFT prompt tuning."""

    def __init__(self, folder: Path, backbone: Backbone, *, prompt: Tensor, words: tuple[int, ...]) -> None:
        from peft import PromptTuningConfig, TaskType, get_peft_model
        from transformers import T5ForConditionalGeneration

        model: Any = T5ForConditionalGeneration.from_pretrained(folder, dtype=backbone.dtype, use_safetensors=True)
        config = PromptTuningConfig(
            task_type=TaskType.SEQ_2_SEQ_LM, num_virtual_tokens=len(prompt), num_transformer_submodules=1
        )
        self.model: Any = get_peft_model(model.to(backbone.device), config).eval()
        self.prompt = next(value for value in self.model.parameters() if value.requires_grad)
        self.prompt.data.copy_(prompt)
        self.words = torch.tensor(words, device=backbone.device)

    def step(self, token_ids: Tensor, mask: Tensor, *, start: Tensor, labels: Tensor) -> Tensor:
        """Gradient of one batch, padded to its longest row."""
        logits = self.model(input_ids=token_ids, attention_mask=mask, decoder_input_ids=start).logits
        loss = F.cross_entropy(logits[:, -1][:, self.words].float(), labels)
        (gradient,) = torch.autograd.grad(loss, self.prompt)
        return gradient


def run_case(folder: Path, case: Case, *, dtype: str, device: str, repeats: int) -> dict[str, Any]:
    """Measures one case; keys as `metapt bench --json` has them."""
    config = ModelConfig.model_validate(
        {"name": str(folder), "dtype": dtype, "device": device, "max_text_tokens": case.longest}
    )
    backbone = load_backbone(config, case.placement)
    assert isinstance(backbone, EncoderDecoderBackbone)
    pattern = backbone.pattern(LABELS, "benchmark")
    generator = torch.Generator().manual_seed(0)
    lengths = torch.linspace(case.shortest, case.longest, case.rows).round().int().tolist()
    texts = [
        " ".join(f"w{int(token)}" for token in torch.randint(8, 32_000, (length,), generator=generator))
        for length in lengths
    ]
    prompt = backbone.embedding[200 : 200 + case.prompt_tokens].float()
    peft_reference = PeftReference(folder, backbone, prompt=prompt, words=pattern.words)
    # Theirs always reads the whole row in the encoder, with its own prompt in front.
    padded = pad_rows([row for row, _ in backbone.layout.rows(texts, pattern)], backbone.device)
    labels = torch.arange(case.rows, device=backbone.device) % 2
    start = torch.tensor(backbone.decoder_start, device=backbone.device).expand(case.rows, -1)
    objective = PromptObjective(backbone, backbone.bank(texts, pattern), pattern)
    batch = Batch(range(case.rows), [0] * case.rows, labels.tolist())

    def ours() -> object:
        return objective.losses_and_gradients(prompt[None], batch)

    def theirs() -> object:
        return peft_reference.step(padded.token_ids, padded.mask(), start=start, labels=labels)

    mine, other = alternating(ours, theirs, repeats=repeats, device=backbone.device)
    return {
        "name": case.name,
        "case": case.title,
        "ratio": round(median_ratio(mine, other), 2),
        "target": case.target,
        "ours_rows_per_s": round(case.rows / statistics.median(mine), 2),
        "theirs_rows_per_s": round(case.rows / statistics.median(other), 2),
        "peak_mib": peak_mib(ours, backbone.device),
        "theirs_peak_mib": peak_mib(theirs, backbone.device),
        "dtype": str(backbone.dtype).removeprefix("torch."),
    }


def main() -> None:
    """Runs all cases, or the named ones."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", choices=[[], *(case.name for case in CASES)])
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    command = " ".join(["python", "benchmarks/encoder_decoder.py", *sys.argv[1:]])
    print(json.dumps({"manifest": manifest(), "command": command}, ensure_ascii=False), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder))
        for case in CASES:
            if not given.names or case.name in given.names:
                settings = {"dtype": given.dtype, "device": given.device, "repeats": given.repeats}
                record = run_case(Path(folder), case, **settings)
                print(json.dumps(record, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
