"""Damaged and mixed-up models: refused in one sentence, or loaded as they are."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from damaged_files import (
    HOW,
    KINDS,
    NASTY,
    TEXTS,
    change,
    check,
    copy,
    damage,
    f8,
    few,
    lacks_weights,
    large_tokenizer,
    load,
    no_tokenizer,
    pickle_only,
    places,
    refused_or_right,
    shards,
    small_tokenizer,
    values,
    weights_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from soak import examples
from tally import tried

from metapt_explore.clusters.embed import check_encoder_files, load_encoder
from metapt_explore.config import EncoderConfig, StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.models import setup as setup_starter
from metapt_explore.models.folder import content_hash
from metapt_explore.study.study import Study


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
