"""The twenty lines that use an exported prompt of a decoder-only model without this package; tests run them."""

from __future__ import annotations

from metapt_explore.config import Placement

#: Goes into the model card. FOLDER is the exported folder.
LOADER = """
import json, math, torch
from pathlib import Path
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = Path("FOLDER")
facts = json.loads((folder / "prompt.json").read_text())
prompt = load_file(folder / "prompt.safetensors")["prompt"]               # [vectors, width]
name, pin = facts["base_model"], {"revision": facts["model"].get("revision") or "main"}    # or a folder of yours
tokenizer = AutoTokenizer.from_pretrained(name, **pin)
model = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32, **pin).eval()
ids, embed = facts["token_ids"], model.get_input_embeddings()

def probabilities(text):
    tokens = tokenizer(ids["in_front_of_text"] + text, add_special_tokens=False)["input_ids"]
    tokens = tokens[: facts["model"]["max_text_tokens"]]
    before, tail = ids["first"] + ids["before"] + tokens, ids["tail"]
    parts = [embed(torch.tensor(before)), prompt, embed(torch.tensor(tail))]        # suffix: text, prompt, template
    if facts["placement"] == "prefix":
        parts = [prompt, embed(torch.tensor(before + tail))]
    with torch.no_grad():
        logits = model(inputs_embeds=torch.cat(parts)[None]).logits[0, -1]
    scores = [logits[words].logsumexp(0) - math.log(len(words)) for words in ids["words"].values()]
    return dict(zip(ids["words"], torch.stack(scores).softmax(0).tolist()))
"""

#: What runs a row in `LOADER` …
_RUN = LOADER[LOADER.index("    parts = ") : LOADER.index("    scores = ")]
#: … and what runs it behind a deep prompt.
_RUN_DEEP = """    config, cache = model.config, DynamicCache(config=model.config)
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    for layer, numbers in enumerate(prompt.chunk(config.num_hidden_layers, dim=1)):
        key, value = numbers.view(len(prompt), 2, heads, -1).permute(1, 2, 0, 3)[:, None]
        cache.update(key, value, layer)
    with torch.no_grad():
        logits = model(torch.tensor([before + tail]), past_key_values=cache).logits[0, -1]
"""


def loader(placement: Placement) -> str:
    """The lines for a placement."""
    if placement != "deep":
        return LOADER
    return LOADER.replace(_RUN, _RUN_DEEP).replace("AutoTokenizer\n", "AutoTokenizer, DynamicCache\n", 1)
