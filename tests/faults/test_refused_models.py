"""Folders that are no model, or not the one they say: each is refused by a sentence that names the reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from damaging import KINDS, check, copy, damage, lacks_weights, load, weights_of
from safetensors.torch import load_file, save_file

from metapt_explore.errors import UserError


def change(**settings: Any) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        tree = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        (folder / "config.json").write_text(json.dumps({**tree, **settings}), encoding="utf-8")

    return changed


def values(number: float) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        file = folder / "model.safetensors"
        held = {name: torch.full_like(tensor, number) for name, tensor in load_file(file).items()}
        save_file(held, file, {"format": "pt"})

    return changed


def f8(folder: Path) -> None:
    file = folder / "model.safetensors"
    save_file({name: value.to(torch.float8_e4m3fn) for name, value in load_file(file).items()}, file, {"format": "pt"})


def pickle_only(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def shards(folder: Path, lost: str) -> None:
    held = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    parts = {"one.safetensors": list(held)[::2], "two.safetensors": list(held)[1::2]}
    for file, names in parts.items():
        save_file({name: held[name] for name in names}, folder / file, {"format": "pt"})
    places = {name: file for file, names in parts.items() for name in names}
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": places}), encoding="utf-8"
    )
    if lost == "index":
        (folder / "model.safetensors.index.json").unlink()
    elif lost == "shard":
        (folder / "two.safetensors").unlink()
    elif lost == "another's shard":
        shutil.copy(folder / "one.safetensors", folder / "two.safetensors")


def no_tokenizer(folder: Path) -> None:
    for file in folder.glob("token*"):
        file.unlink()


def small_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(WordLevel({"[UNK]": 0, "good": 1}, unk_token="[UNK]"))
    no_tokenizer(folder)
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]").save_pretrained(folder)


def large_tokenizer(folder: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    words = tiny.tokenizer()
    tree = json.loads(words.backend_tokenizer.to_str())
    tree["model"]["vocab"] |= {f"more{place}": len(words) + place for place in range(50)}
    no_tokenizer(folder)
    (folder / "more.json").write_text(json.dumps(tree), encoding="utf-8")
    PreTrainedTokenizerFast(tokenizer_file=str(folder / "more.json"), unk_token="[UNK]").save_pretrained(folder)


#: What is done to a folder, and what the refusal says.
REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "weights are missing": (lacks_weights, "lack weights.*would be random"),
    "fewer layers": (change(num_hidden_layers=0), "do not fit each other.*has no place"),
    "more layers": (change(num_hidden_layers=3), "lack weights"),
    "a million layers": (change(num_hidden_layers=10**6), "`num_hidden_layers` that no model has"),
    "a billion classes": (change(num_labels=10**9), "`num_labels` that no model has"),
    "another width": (change(intermediate_size=64), r"has the shape \[[\d, ]+\] in the weights and \[[\d, ]+\] by"),
    "another vocabulary": (change(vocab_size=7), "has the shape"),
    "a model of its own code": (change(model_type="mine", auto_map={"AutoConfig": "code.Mine"}), "code of its own"),
    "an unknown model": (change(model_type="mine"), "cannot be loaded"),
    "NaN": (values(float("nan")), "numbers that are not finite"),
    "zeros": (values(0), "matrices hold zeros only"),
    "F8": (f8, "format F8_E4M3"),
    "a pickle": (pickle_only, r"pytorch_model\.bin, a pickle.*[Cc]onvert it"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), r"holds no model\.safetensors"),
    "no index": (lambda folder: shards(folder, "index"), r"no model\.safetensors\.index\.json, only one\.safetensors"),
    "a shard is missing": (lambda folder: shards(folder, "shard"), r"lacks two\.safetensors"),
    "a shard twice": (lambda folder: shards(folder, "another's shard"), r"two\.safetensors lacks '"),
    "cut short": (
        lambda folder: damage(folder / "model.safetensors", "half", 0.9),
        "cannot be read as safetensors.*not copied to its end",
    ),
    "no tokenizer": (no_tokenizer, "holds no tokenizer"),
    "a smaller tokenizer": (small_tokenizer, "has 2 tokens.*tokenizer of another model"),
    "a larger tokenizer": (large_tokenizer, "tokenizer of another model"),
}


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_refused(models: Path, tmp_path: Path, kind: str, what: str) -> None:
    folder = copy(models, kind, tmp_path / "folder")
    prepare, message = REFUSED[what]
    prepare(folder)
    with pytest.raises(UserError, match=message) as refusal:
        load(folder, kind)
    assert str(folder) in str(refusal.value)
    if what not in ("NaN", "zeros"):  # numbers are not read to check a study
        with pytest.raises(UserError, match=message):
            check(folder, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_shards_that_are_whole_load(models: Path, tmp_path: Path, kind: str) -> None:
    folder = copy(models, kind, tmp_path / "shards")
    shards(folder, "nothing")
    check(folder, kind)
    for name, value in weights_of(load(folder, kind)).items():
        assert torch.equal(value, weights_of(load(models / kind, kind))[name])


def test_a_configuration_of_another_make_is_noticed(models: Path, tmp_path: Path) -> None:
    """Llama's would load Qwen 2 without its biases, and agree with itself."""
    folder = copy(models, "qwen2", tmp_path / "qwen2")
    change(model_type="llama", architectures=["LlamaForCausalLM"])(folder)
    with pytest.raises(UserError, match=r"k_proj\.bias.*configuration of another model"):
        load(folder, "lm")


@pytest.mark.parametrize("kind", KINDS)
def test_layers_of_a_model_with_a_head_are_counted(models: Path, tmp_path: Path, kind: str) -> None:
    """Its weights have a prefix that the encoder by itself has not; the head may be left over, a layer may not."""
    folder = copy(models, "bert", tmp_path / "bert")
    load(folder, kind)
    change(num_hidden_layers=1)(folder)
    with pytest.raises(UserError, match=r"encoder\.layer\.1\..* has no place"):
        load(folder, kind)
