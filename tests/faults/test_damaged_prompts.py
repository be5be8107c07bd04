"""Damaged prompts, adapters and exported folders: refused in one sentence, or read as they are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from damaged_files import HOW, NASTY, TEXTS, damage, few, places
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from soak import examples
from tally import tried

from metapt_explore.errors import UserError
from metapt_explore.export.classify import Classifier
from metapt_explore.models.folder import content_hash
from metapt_explore.prompts.load import find_adapter, find_tensor

PROMPT = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))


def exported(folder: Path, models: Path) -> Path:
    """A folder as `metapt export` writes it, which is also a PEFT adapter."""
    folder.mkdir()
    save_file({"prompt": PROMPT}, folder / "prompt.safetensors")
    save_file({"prompt_embeddings": PROMPT}, folder / "adapter_model.safetensors")
    facts = {
        "model": {"name": str(models / "lm"), "max_text_tokens": 16},
        "model_hash": content_hash(models / "lm"),
        "family": "causal",
        "placement": "suffix",
        "tokens": 3,
        "width": 32,
        "template": "{text} Sentiment :",
        "labels": {"bad": {"words": ["bad"]}, "good": {"words": ["good"]}},
        "decode": "label_words",
        "token_ids": None,
        "made_by": {},
        "format": 1,
    }
    (folder / "prompt.json").write_text(json.dumps(facts), encoding="utf-8")
    adapter = {"peft_type": "PROMPT_TUNING", "task_type": "CAUSAL_LM", "num_virtual_tokens": 3, "token_dim": 32}
    (folder / "adapter_config.json").write_text(
        json.dumps({**adapter, "num_transformer_submodules": 1}), encoding="utf-8"
    )
    return folder


def read_prompt(folder: Path, way: str) -> Any:
    """Reads the prompt by each of the ways in which one comes in."""
    if way == "classify":
        return list(Classifier(folder, dtype="float32", device="cpu").classify(TEXTS))
    if way == "file":
        found = find_tensor(folder / "prompt.safetensors", None, "prompt.init")
    else:
        found = find_adapter(str(folder), "prompt.init")
    found.check_fits(3, 32)
    return found.read()


WAYS = ("file", "adapter", "classify")


def changed(place: Any, value: float) -> torch.Tensor:
    tensor = PROMPT.clone()
    tensor[place] = value
    return tensor


#: Tensors that are no prompts, and what is said of them.
NO_PROMPTS: dict[str, tuple[torch.Tensor, str]] = {
    "zeros": (torch.zeros(3, 32), "holds zeros only, which is no prompt"),
    "a row of zeros": (changed(1, 0), "vector 2 of 3 is 0 in every place"),
    "a constant row": (changed(2, 0.5), "vector 3 of 3 is 0.5 in every place"),
    "not a number": (changed((0, 0), float("nan")), "must hold finite"),
    "infinite": (changed((0, 0), float("inf")), "must hold finite"),
    "absurdly long": (1e9 * PROMPT, "numbers of a prompt are at most"),
    "F8": (PROMPT.to(torch.float8_e4m3fn), "format is F8_E4M3"),
    "whole numbers": ((10 * PROMPT).int(), "format is I32"),
    "truth values": (PROMPT > 0, "format is BOOL"),
    "too narrow": (PROMPT[:, :7].clone(), r"shape \[3, 7\]"),
    "too short": (PROMPT[:2].clone(), r"shape \[2, 32\]"),
    "flat": (PROMPT[0].clone(), r"shape \[32\]"),
    "empty": (PROMPT[:0].clone(), "is empty"),
}


@pytest.mark.parametrize("what", NO_PROMPTS)
@pytest.mark.parametrize("way", WAYS)
def test_what_is_no_prompt(models: Path, tmp_path: Path, way: str, what: str) -> None:
    folder = exported(tmp_path / "out", models)
    assert read_prompt(folder, way) is not None
    tensor, message = NO_PROMPTS[what]
    save_file({"prompt": tensor}, folder / "prompt.safetensors")
    save_file({"prompt_embeddings": tensor}, folder / "adapter_model.safetensors")
    with pytest.raises(UserError, match=message) as refusal:
        read_prompt(folder, way)
    assert str(folder) in str(refusal.value)


@pytest.mark.parametrize("tensors", [{}, {"a": PROMPT, "b": PROMPT + 1}], ids=["none", "several"])
@pytest.mark.parametrize("way", WAYS)
def test_a_file_without_the_prompt(models: Path, tmp_path: Path, way: str, tensors: dict[str, torch.Tensor]) -> None:
    folder = exported(tmp_path / "out", models)
    for name in ("prompt.safetensors", "adapter_model.safetensors"):
        save_file(tensors, folder / name)
    with pytest.raises(UserError, match="has no tensor"):
        read_prompt(folder, way)


def test_a_prompt_longer_than_any_of_the_models_vectors(models: Path, tmp_path: Path) -> None:
    """What is absurd depends on the model: in numbers it may still be one."""
    folder = exported(tmp_path / "out", models)
    save_file({"prompt": 2e5 * PROMPT}, folder / "prompt.safetensors")
    found = find_tensor(folder / "prompt.safetensors", None, "prompt.init")
    with pytest.raises(UserError, match="times that of the model's longest token vector"):
        found.read(torch.randn(10, 32))


@settings(few, max_examples=examples(40))
@given(data=st.data(), way=st.sampled_from(WAYS), how=st.sampled_from((*HOW, "nasty")), where=places)
def test_a_damaged_file_of_a_prompt(
    models: Path, tmp_path: Path, data: st.DataObject, way: str, how: str, where: float
) -> None:
    tried("inputs")
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    folder = exported(tmp_path / "out", models)
    name = data.draw(st.sampled_from(sorted(file.name for file in folder.iterdir())))
    if how != "nasty":
        damage(folder / name, how, where)
    elif name.endswith(".json"):
        tree = json.loads((folder / name).read_text(encoding="utf-8"))
        tree[data.draw(st.sampled_from(sorted(tree)))] = data.draw(st.sampled_from(NASTY))
        (folder / name).write_text(json.dumps(tree), encoding="utf-8")
    try:
        read_prompt(folder, way)
    except UserError as error:
        assert "Traceback" not in str(error) and len(str(error)) < 1500
