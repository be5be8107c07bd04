"""The twenty lines that use an exported prompt of a decoder-only model without this package; tests run them."""

from __future__ import annotations

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
