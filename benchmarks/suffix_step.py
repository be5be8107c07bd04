"""One training step over cached text states against the same step as a user would write it.

    python benchmarks/suffix_step.py

Ours: the prompt and the template's tail over cached keys and values, label words only. Theirs: the
whole sequence (text, prompt, tail) in one padded batch through the unmodified model with its full
vocabulary head, as prompt-tuning code does. Same weights, rows, dtype and threads; both give the
same loss and prompt gradient, which is checked first. Steps alternate in one process; printed is the
median ratio. Needs `metapt setup`.
"""

from __future__ import annotations

import json
import statistics
import time

import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM

from metapt_explore.config import LabelsConfig, ModelConfig
from metapt_explore.prompts.gradients import Batch, Scorer
from metapt_explore.prompts.models import load_backbone, model_folder
from metapt_explore.runs.manifest import manifest

ROWS, PROMPT_TOKENS, REPEATS = 16, 8, 5


def measure(text_tokens: int) -> dict[str, object]:
    """Times both steps at one text length."""
    config = ModelConfig(max_text_tokens=text_tokens)
    backbone = load_backbone(config)
    labels = LabelsConfig(labels={"negative": "negative", "positive": "positive"})  # type: ignore[dict-item]
    reader = backbone.reader(labels, "benchmark")
    generator = torch.Generator().manual_seed(0)
    words = torch.randint(1000, 20_000, (ROWS, 2 * text_tokens), generator=generator)
    texts = [backbone.tokenizer.decode(row) for row in words]
    bank = backbone.bank(texts, reader)
    prompt = backbone.embedding[200 : 200 + PROMPT_TOKENS].float()
    truth = torch.arange(ROWS) % 2
    batch = Batch(range(ROWS), [0] * ROWS, truth.tolist())
    scorer = Scorer(backbone, bank, reader)

    folder = model_folder(config.name)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=backbone.dtype, attn_implementation="sdpa")
    model = model.eval().requires_grad_(False)
    embed = model.get_input_embeddings()

    def ours() -> tuple[float, torch.Tensor]:
        losses, gradients = scorer.losses_and_gradients(prompt[None], batch)
        return float(losses[0]), gradients[0]

    def theirs() -> tuple[float, torch.Tensor]:
        leaf = prompt.clone().requires_grad_(True)
        ids = torch.tensor([list(row) for row in bank.token_ids])
        tail = embed(torch.tensor(reader.tail)).expand(ROWS, -1, -1)
        whole = torch.cat([embed(ids), leaf.to(backbone.dtype).expand(ROWS, -1, -1), tail], dim=1)
        mask = torch.ones(whole.shape[:2], dtype=torch.long)
        logits = model(inputs_embeds=whole, attention_mask=mask, use_cache=False).logits[:, -1]
        loss = F.cross_entropy(logits[:, torch.tensor(reader.words)].float(), truth)
        (gradient,) = torch.autograd.grad(loss, leaf)
        return float(loss.detach()), gradient

    (loss, gradient), (plain_loss, plain_gradient) = ours(), theirs()
    difference = float((gradient - plain_gradient).norm() / plain_gradient.norm())
    assert abs(loss - plain_loss) < 0.05 and difference < (1e-3 if backbone.dtype == torch.float32 else 0.1)
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(REPEATS):
        for name, step in (("ours", ours), ("theirs", theirs)):
            began = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - began)
    ratios = [b / a for a, b in zip(seconds["ours"], seconds["theirs"], strict=True)]
    return {
        "case": f"suffix step, P {PROMPT_TOKENS} + {len(reader.tail)}, L {text_tokens}, B {ROWS}, warm",
        "dtype": str(backbone.dtype),
        "ratio": round(statistics.median(ratios), 2),
        "ours_seconds": round(statistics.median(seconds["ours"]), 3),
        "theirs_seconds": round(statistics.median(seconds["theirs"]), 3),
        "gradient_difference": f"{difference:.1e}",
    }


if __name__ == "__main__":
    print(json.dumps(manifest()))
    for length in (32, 48, 128):
        print(json.dumps(measure(length)), flush=True)
