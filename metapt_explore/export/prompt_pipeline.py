"""Uses the soft prompt of this folder with transformers, torch and safetensors: nothing else has to be installed.

In Python, with `load_prompt` of this file, which gives a pipeline of transformers (task ``text-classification``):

    >>> classify = load_prompt("my-prompt")  # doctest: +SKIP
    >>> classify("A lovely book.")  # doctest: +SKIP
    [{'label': 'positive', 'score': 0.93}]
    >>> classify(["A lovely book.", "Never again."], top_k=None)  # doctest: +SKIP

In a shell, a text a line (``--model FOLDER`` where the language model lies on this machine):

    python my-prompt/prompt_pipeline.py < texts.txt

It reads prompt.json, prompt.safetensors and, where there is one, probe.safetensors. It is a part of metapt_explore
(MIT licence). Scores are not calibrated; `metapt classify` does that where the study did.
"""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache, Pipeline

#: What a probe's probability is at least.
LEAST = 1e-6


class PromptPipeline(Pipeline):
    """A frozen decoder-only model with a soft prompt, as a pipeline of transformers.

    Attributes:
        facts: Content of prompt.json.
        prompt: `[vectors, width]`.
        probe: Tensors of the probe that is read beside the label words; none where there is none.
    """

    _load_tokenizer = True
    _load_processor = _load_image_processor = _load_feature_extractor = False

    def __init__(self, *, facts: dict[str, Any], prompt: Tensor, probe: dict[str, Tensor], **settings: Any) -> None:
        super().__init__(**{"task": "text-classification", **settings})
        self.facts, self.ids = facts, facts["token_ids"]
        self.prompt = prompt.to(self.model.device, self.model.dtype)
        self.probe = {name: tensor.to(self.model.device) for name, tensor in probe.items()}

    def __call__(self, inputs: Any, **settings: Any) -> Any:
        """Classifies a text or several, one by one: they are as long as they are, and nothing is padded."""
        found = super().__call__(inputs, **{**settings, "batch_size": 1})
        return [found] if isinstance(inputs, str) and isinstance(found, dict) else found

    def _sanitize_parameters(self, top_k: int | None = 1) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        return {}, {}, {"top_k": top_k}

    def preprocess(self, text: str) -> dict[str, Tensor]:
        """The text's tokens: as the template has them, and bare."""

        def cut(written: str) -> list[int]:
            tokens: list[int] = self.tokenizer(written, add_special_tokens=False)["input_ids"]
            return tokens[: self.facts["model"]["max_text_tokens"]]

        first = self.ids["first"]
        in_template = [*first, *self.ids["before"], *cut(self.ids["in_front_of_text"] + text)]
        return {"in_template": torch.tensor([in_template]), "bare": torch.tensor([[*first, *cut(text)]])}

    def _forward(self, tokens: dict[str, Tensor]) -> dict[str, Tensor]:
        logits = self._logits(tokens["in_template"]).float()
        words = [logits[own].logsumexp(0) - math.log(len(own)) for own in self.ids["words"].values()]
        scores = torch.stack(words)
        if self.probe:
            weights = self.facts["probe"]
            scores = weights["words"] * scores.log_softmax(0) + weights["probe"] * self._probed(tokens["bare"])
        return {"probabilities": scores.softmax(0)}

    def _logits(self, text: Tensor) -> Tensor:
        """What the model says behind the template, `[vocabulary]`."""
        tail = torch.tensor([self.ids["tail"]], dtype=text.dtype, device=text.device)
        if self.facts["placement"] == "deep":
            logits = self.model(torch.cat([text, tail], 1), past_key_values=self._keys_and_values()).logits
        else:
            embed = self.model.get_input_embeddings()
            before, after, prompt = embed(text), embed(tail), self.prompt[None]
            suffix = self.facts["placement"] == "suffix"
            parts = [before, prompt, after] if suffix else [prompt, before, after]
            logits = self.model(inputs_embeds=torch.cat(parts, 1), use_cache=False).logits
        return logits[0, -1]

    def _keys_and_values(self) -> DynamicCache:
        """A deep prompt as the keys and values of every layer."""
        config = self.model.config
        cache, heads = DynamicCache(config=config), getattr(config, "num_key_value_heads", config.num_attention_heads)
        for layer, numbers in enumerate(self.prompt.chunk(config.num_hidden_layers, dim=1)):
            key, value = numbers.view(len(self.prompt), 2, heads, -1).permute(1, 2, 0, 3)[:, None]
            cache.update(key, value, layer)
        return cache

    def _probed(self, bare: Tensor) -> Tensor:
        """The probe's log-probabilities: logistic regressions on the frozen model's middle states of the text."""
        if bare.shape[1] == 0:
            return torch.zeros(len(self.ids["words"]), device=bare.device)
        states = self.model.base_model(bare, output_hidden_states=True, use_cache=False).hidden_states
        middle = states[max(1, (len(states) - 1) // 2)][0].float()
        views = torch.stack([middle.mean(0), middle[-1]])
        scaled = (views - self.probe["mean"]) / self.probe["scale"]
        logits = torch.einsum("vw,vcw->vc", scaled, self.probe["coefficients"]) + self.probe["intercepts"]
        return logits.log_softmax(-1).clamp(min=math.log(LEAST)).mean(0)

    def postprocess(self, outputs: dict[str, Tensor], top_k: int | None = 1) -> Any:
        """The likeliest class, or the `top_k` likeliest; all of them with None."""
        shares = dict(zip(self.ids["words"], outputs["probabilities"].tolist(), strict=True))
        found = [{"label": name, "score": share} for name, share in shares.items()]
        found.sort(key=lambda each: -each["score"])
        return found[0] if top_k == 1 else found[:top_k]


def load_prompt(folder: str | Path, model: str | Path | None = None, **settings: Any) -> PromptPipeline:
    """Loads the prompt of a folder with its language model.

    Args:
        folder: The folder that this file came in (of a hub: ``hf download owner/name --local-dir my-prompt``).
        model: Where the language model lies; its name on the hub, as prompt.json has it, when absent.
        **settings: Of the language model's `from_pretrained`, such as ``dtype``; float32 when absent.
    """
    folder = Path(folder)
    facts = json.loads((folder / "prompt.json").read_text(encoding="utf-8"))
    name, pin = (model, {}) if model else (facts["base_model"], {"revision": facts["model"].get("revision") or "main"})
    language_model = AutoModelForCausalLM.from_pretrained(name, **pin, **{"dtype": torch.float32, **settings}).eval()
    return PromptPipeline(
        facts=facts,
        prompt=load_file(folder / "prompt.safetensors")["prompt"],
        probe=load_file(folder / "probe.safetensors") if facts.get("probe") else {},
        model=language_model,
        tokenizer=AutoTokenizer.from_pretrained(name, **pin),
        device=None if hasattr(language_model, "hf_device_map") else language_model.device,
    )


def main() -> None:
    """Classifies the lines of standard input; prints a JSON object for each."""
    parser = argparse.ArgumentParser(description="Classify texts from standard input, one a line.")
    parser.add_argument(
        "folder", nargs="?", default=Path(__file__).parent, help="of the prompt; this file's, if absent"
    )
    parser.add_argument("--model", help="folder or name of the language model")
    given = parser.parse_args()
    classify = load_prompt(given.folder, given.model)
    for line in sys.stdin:
        found = classify(line.rstrip("\n"), top_k=None)
        shares = {each["label"]: round(each["score"], 6) for each in found}
        print(json.dumps({"label": found[0]["label"], "probabilities": shares}, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
