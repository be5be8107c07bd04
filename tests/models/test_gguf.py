"""A GGUF file becomes a folder with the same weights, which a study loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import call

from metapt_explore.errors import UserError
from metapt_explore.models.folder import model_folder
from metapt_explore.models.gguf import convert_gguf
from metapt_explore.models.model_files import check_weight_files
from metapt_explore.models.origin import origin_of

WIDTH, HEADS, LAYERS, INNER = 16, 2, 1, 32
WORDS = ["<s>", "</s>", "a", "b", "c", "ab", "abc", "Ġ"]


@pytest.fixture
def gguf_file(tmp_path: Path) -> Path:
    """A tiny Qwen 2 of random weights, unrounded, as llama.cpp writes it."""
    gguf = pytest.importorskip("gguf")
    file = tmp_path / "tiny.F32.gguf"
    writer = gguf.GGUFWriter(str(file), "qwen2")
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(WORDS))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(WORDS)
    writer.add_token_types([3, 3, 1, 1, 1, 1, 1, 1])
    writer.add_token_merges(["a b", "ab c"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    for name, tensor in weights().items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def weights() -> dict[str, Any]:
    """Tensors by llama.cpp's names."""
    draw = np.random.default_rng(0)

    def matrix(*shape: int) -> Any:
        return draw.normal(size=shape).astype(np.float32)

    found = {"token_embd.weight": matrix(len(WORDS), WIDTH), "output_norm.weight": matrix(WIDTH)}
    for name in ("q", "k", "v"):
        found |= {f"blk.0.attn_{name}.weight": matrix(WIDTH, WIDTH), f"blk.0.attn_{name}.bias": matrix(WIDTH)}
    found |= {"blk.0.attn_output.weight": matrix(WIDTH, WIDTH), "blk.0.ffn_down.weight": matrix(WIDTH, INNER)}
    found |= {f"blk.0.ffn_{name}.weight": matrix(INNER, WIDTH) for name in ("gate", "up")}
    return found | {f"blk.0.{name}_norm.weight": matrix(WIDTH) for name in ("attn", "ffn")}


def test_weights_are_those_of_the_file(gguf_file: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path / "models" / "tiny"
    convert_gguf(gguf_file, folder)
    check_weight_files(folder, "tiny")
    loaded = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    given = weights()
    for name, there in {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.layers.0.self_attn.q_proj.weight": "blk.0.attn_q.weight",
        "model.layers.0.self_attn.k_proj.bias": "blk.0.attn_k.bias",
        "model.layers.0.mlp.down_proj.weight": "blk.0.ffn_down.weight",
        "model.norm.weight": "output_norm.weight",
    }.items():
        assert torch.equal(loaded[name], torch.from_numpy(given[there])), name
    assert AutoTokenizer.from_pretrained(folder).tokenize("abc") == ["abc"]
    assert origin_of(folder)["quantisation"] == "F32" and origin_of(folder)["file"] == gguf_file.name
    assert model_folder(str(folder)) == folder
    assert [file.name for file in folder.parent.iterdir()] == ["tiny"], "nothing half done is left"


def test_what_cannot_be_converted_is_one_sentence_and_leaves_nothing(gguf_file: Path, tmp_path: Path) -> None:
    target = tmp_path / "out" / "model"
    with pytest.raises(UserError, match=r"cannot be read: No such file"):
        convert_gguf(tmp_path / "absent.gguf", target)
    (tmp_path / "text.gguf").write_text("GGU, but no more", encoding="utf-8")
    with pytest.raises(UserError, match=r"is no GGUF file"):
        convert_gguf(tmp_path / "text.gguf", target)
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(gguf_file.read_bytes()[:900])
    with pytest.raises(UserError, match=r"cut.gguf could not be converted"):
        convert_gguf(cut, target)
    assert not target.exists() and not [*target.parent.iterdir()]
    target.mkdir()
    (target / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match=r"is there already: name a new folder"):
        convert_gguf(gguf_file, target)
    assert (target / "mine.txt").read_text(encoding="utf-8") == "mine"


def test_a_study_that_names_the_file_is_told_the_command(gguf_file: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"`metapt convert .*tiny\.F32\.gguf .*tiny\.F32` makes one of this file"):
        model_folder(str(gguf_file))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    gguf_file.replace(folder / "tiny.gguf")
    with pytest.raises(UserError, match=r"only tiny\.gguf\. `metapt convert` makes a folder of such a file"):
        check_weight_files(folder, "folder")


def test_the_command_says_how_to_go_on(
    gguf_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "made"
    assert call(monkeypatch, "convert", gguf_file, made) == 0
    assert f"model: {{name: {made}}}" in capsys.readouterr().out
    assert call(monkeypatch, "convert", gguf_file, made) == 2 and made.exists()
