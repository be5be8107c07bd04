"""Damaged and mixed-up models and prompts: refused in one sentence, or loaded as they are."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from soak import examples
from tally import tried
from transformers import T5EncoderModel

from metapt_explore.clusters.embed import check_encoder_files, load_encoder
from metapt_explore.config import EncoderConfig, ModelConfig, StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.export.classify import Classifier
from metapt_explore.models import setup as setup_starter
from metapt_explore.models.folder import content_hash
from metapt_explore.models.load import check_files, load_backbone
from metapt_explore.prompts.load import find_adapter, find_tensor
from metapt_explore.study.study import Study

TEXTS = ["the camera is good", "my old book was really bad"]
#: Values that no setting has, or that only some have.
NUMBERS: list[Any] = [True, -1, 0, 1, 3, 10**9, 10**30, 1e300, -0.5, float("nan"), float("inf")]
NASTY: list[Any] = [*NUMBERS, None, "", "abc", "\x00", "\ud800", [], [None], {}, {"a": {"a": {"a": 1}}}]
KINDS = ("lm", "encoder")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of several families and an encoder, each in a folder of its name."""
    folder = tmp_path_factory.mktemp("models")
    tiny.make_language_model(folder / "lm")
    tiny.make_encoder(folder / "encoder")
    for kind in ("gpt2", "t5", "bart", "bert", "qwen2", "sentence"):
        tiny.make_language_model(folder / kind, kind)
    shutil.copytree(folder / "t5", folder / "t5-encoder")
    T5EncoderModel.from_pretrained(folder / "t5").save_pretrained(folder / "t5-encoder")
    return folder


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


@settings(few, max_examples=examples(25))
@given(data=st.data(), kind=st.sampled_from(KINDS), how=st.sampled_from(HOW), where=places)
def test_a_damaged_file_of_a_model(
    models: Path, tmp_path: Path, data: st.DataObject, kind: str, how: str, where: float
) -> None:
    tried("inputs")
    folder = copy(models, kind, tmp_path / "damaged")
    name = data.draw(st.sampled_from(sorted(file.name for file in folder.iterdir())))
    damage(folder / name, how, where)
    refused_or_right(folder, kind)


@settings(few, max_examples=examples(40))
@given(data=st.data(), kind=st.sampled_from((*KINDS, "gpt2", "bert")))
def test_a_nasty_value_in_a_configuration(models: Path, tmp_path: Path, data: st.DataObject, kind: str) -> None:
    tried("inputs")
    folder = copy(models, kind, tmp_path / "nasty")
    name = data.draw(st.sampled_from(("config.json", "config.json", "tokenizer_config.json", "tokenizer.json")))
    tree = json.loads((folder / name).read_text(encoding="utf-8"))
    extra = ["auto_map", "quantization_config", "num_labels", "architectures", "is_encoder_decoder", "text_config"]
    key = data.draw(st.sampled_from([*sorted(tree), *extra]))
    tree[key] = data.draw(st.sampled_from(NASTY))
    (folder / name).write_text(json.dumps(tree), encoding="utf-8")
    refused_or_right(folder, kind)


@settings(few, max_examples=examples(15))
@given(data=st.data())
def test_files_of_two_models(models: Path, tmp_path: Path, data: st.DataObject) -> None:
    """A file of one model in the folder of another; what loads is not made up in any part."""
    tried("inputs")
    names = sorted(folder.name for folder in models.iterdir())
    one, two = data.draw(st.permutations(names))[:2]
    folder = copy(models, one, tmp_path / "mixed")
    file = data.draw(st.sampled_from(sorted(file.name for file in (models / two).iterdir())))
    shutil.copy(models / two / file, folder / file)
    refused_or_right(folder, "encoder" if one == "encoder" else "lm")


JSON_FILES = {
    "nothing": b"",
    "not JSON": b"{",
    "no object": b"[1, 2]",
    "null": b"null",
    "not UTF-8": b'{"a": "\xff\xfe"}',
    "NUL": b"\x00" * 100,
    "deep": b'{"a": ' * 100_000 + b"1" + b"}" * 100_000,
    "digits": b'{"vocab_size": ' + b"9" * 5000 + b"}",
    "a pointer of git": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
}


@pytest.mark.parametrize("held", JSON_FILES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_configuration_is_named(models: Path, tmp_path: Path, kind: str, held: str) -> None:
    folder = copy(models, kind, tmp_path / "broken")
    (folder / "config.json").write_bytes(JSON_FILES[held])
    for look in (load, check):
        with pytest.raises(UserError, match=r"config\.json"):
            look(folder, kind)


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


NO_FILES = ("config.json", "model.safetensors", "tokenizer.json", "modules.json")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
@pytest.mark.parametrize("name", NO_FILES)
@pytest.mark.parametrize("what", ["pipe", "folder"])
def test_what_is_no_file_is_not_waited_for(models: Path, tmp_path: Path, name: str, what: str) -> None:
    folder = copy(models, "encoder", tmp_path / "encoder")
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name) if what == "pipe" else (folder / name).mkdir()
    content_hash(folder)
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        load(folder, "encoder")


@pytest.mark.parametrize("name", ["a\0b", "/" + "a" * 5000, "~nobody-at-all/x", "config.json"])
@pytest.mark.parametrize("kind", KINDS)
def test_names_that_are_no_folder(models: Path, kind: str, name: str) -> None:
    path = Path(str(models / kind / name)) if name == "config.json" else name
    with pytest.raises(UserError):
        load(path, kind)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["gpt2", "lm", "t5", "t5-encoder", "bart", "bert"])
def test_models_of_other_families_as_encoders(models: Path, kind: str, tmp_path: Path) -> None:
    """Each text's embedding is the mean over its tokens, whatever stands beside it; no pad token is needed."""
    folder = copy(models, kind, tmp_path / kind)
    words = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({**words, "pad_token": None, "padding_side": "left"}), encoding="utf-8"
    )
    encoder = load_encoder(EncoderConfig(name=str(folder), max_tokens=16))
    together = encoder.embed(TEXTS)
    for row, text in enumerate(TEXTS):
        tokens = torch.tensor(encoder.tokens([text]))
        with torch.no_grad():
            hidden = encoder.model(input_ids=tokens).last_hidden_state[0]
        expected = torch.nn.functional.normalize(hidden.mean(0), dim=0)
        np.testing.assert_allclose(together[row], expected.numpy(), atol=1e-5)
    assert not np.allclose(together[0], together[1])


def test_another_encoder_is_another_question(models: Path, tmp_path: Path) -> None:
    """Whatever the times of its files say: a copy may keep them."""
    folder = copy(models, "encoder", tmp_path / "encoder")
    before, file = content_hash(folder), folder / "model.safetensors"
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    held = load_file(file)
    held["embeddings.word_embeddings.weight"][5, 0] += 1
    other = tmp_path / "other.safetensors"
    save_file(held, other, {"format": "pt"})
    file.write_bytes(other.read_bytes())
    os.utime(file, ns=times)
    assert content_hash(folder) != before


def test_setup_replaces_a_starter_that_was_cut_short(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METAPT_HOME", str(tmp_path))
    folder, said = copy(models, "encoder", tmp_path / "models" / "minilm"), list[str]()
    damage(folder / "model.safetensors", "half", 0.5)
    for _ in range(2):
        setup_starter._place(
            "minilm",
            "encoder",
            build=lambda built: shutil.copytree(models / "encoder", built, dirs_exist_ok=True),
            say=said.append,
        )
    assert len(said) == 1, "what is whole is left alone"
    check_encoder_files(EncoderConfig(name="minilm"))


def test_a_study_is_refused_before_anything_is_computed(world: Path, tmp_path: Path) -> None:
    """By `metapt plan` as well, which reads no weights."""

    def study(**changes: Any) -> Study:
        return Study(parse(StudyConfig, tiny.study_tree(world, **changes), "test"), tmp_path / "workspace")

    study().check()
    encoder = copy(world, "encoder", tmp_path / "encoder")
    lacks_weights(encoder)
    with pytest.raises(UserError, match="lack weights that a sentence encoder model has"):
        study(encoder={"name": str(encoder)}).check()
    save_file({"prompt": torch.zeros(3, 32)}, tmp_path / "zeros.safetensors")
    with pytest.raises(UserError, match=r"prompt\.init: .*zeros\.safetensors holds zeros only"):
        study(prompt={"init": {"file": str(tmp_path / "zeros.safetensors")}}).check()


# ------------------------------------------------------------------------------------------ prompts

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
