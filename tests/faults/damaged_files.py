"""Ways to damage and mix up the files of models, and to see what comes of it."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tiny
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from soak import examples

from metapt_explore.clusters.embed import check_encoder_files, load_encoder
from metapt_explore.config import EncoderConfig, ModelConfig
from metapt_explore.errors import UserError
from metapt_explore.models.load import check_files, load_backbone

TEXTS = ["the camera is good", "my old book was really bad"]
#: Values that no setting has, or that only some have.
NUMBERS: list[Any] = [True, -1, 0, 1, 3, 10**9, 10**30, 1e300, -0.5, float("nan"), float("inf")]
NASTY: list[Any] = [*NUMBERS, None, "", "abc", "\x00", "\ud800", [], [None], {}, {"a": {"a": {"a": 1}}}]
KINDS = ("lm", "encoder")


def load(folder: Path, kind: str) -> Any:
    """Loads a folder as a language model or an encoder, which ends with the self-check."""
    if kind == "encoder":
        return load_encoder(EncoderConfig(name=str(folder), max_tokens=16))
    config = ModelConfig(name=str(folder), dtype="float32", device="cpu", max_text_tokens=16, text_state_gib=0.01)
    return load_backbone(config, prompt_tokens=3)


def check(folder: Path, kind: str) -> None:
    """What `metapt plan` looks at."""
    if kind == "encoder":
        check_encoder_files(EncoderConfig(name=str(folder), max_tokens=16))
    else:
        check_files(ModelConfig(name=str(folder), max_text_tokens=16))


def weights_of(loaded: Any) -> dict[str, torch.Tensor]:
    # An encoder's pooler is not used, and is random where the files lack it.
    return {name: value for name, value in loaded.model.state_dict().items() if "pooler" not in name}


def refused_or_right(folder: Path, kind: str) -> None:
    """Fails for any other exception than `UserError`, and for weights that differ between two loads."""
    try:
        first = load(folder, kind)
    except UserError as error:
        message = str(error)
        assert folder.name in message or "max_" in message, message
        assert "Traceback" not in message and "\n" not in message and len(message) < 1500
        return
    torch.manual_seed(random.randrange(2**31))
    again = weights_of(load(folder, kind))
    for name, value in weights_of(first).items():
        assert torch.equal(value, again[name]), f"{name} is random"


def copy(models: Path, kind: str, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return Path(shutil.copytree(models / kind, folder))


def damage(file: Path, how: str, where: float) -> None:
    """Damages a file: a bit of its first part or anywhere, its second half, all of it, or the file itself."""
    held = bytearray(file.read_bytes())
    if how == "gone":
        file.unlink()
        return
    if how in ("bit", "bit of the header"):
        place = int(where * (min(len(held), 2000) if how == "bit of the header" else len(held)))
        held[min(place, len(held) - 1)] ^= 1 << int(where * 1e6) % 8
    elif how == "half":
        held = held[: int(where * len(held))]
    elif how == "zeros":
        held[int(where * len(held)) :] = bytes(len(held) - int(where * len(held)))
    elif how == "empty":
        held.clear()
    file.write_bytes(held)


HOW = ("bit", "bit of the header", "half", "zeros", "empty", "gone")
few = settings(
    deadline=None,
    database=None,
    derandomize=examples(1) == 1,  # the suite tries the same ones each time, a long run others
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
places = st.floats(0, 1, exclude_max=True, allow_nan=False)


def lacks_weights(folder: Path) -> None:
    file = folder / "model.safetensors"
    held = load_file(file)
    del held[next(name for name in held if "embed" in name)]
    save_file(held, file, {"format": "pt"})


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
