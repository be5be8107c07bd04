"""Prompts that lie in files: what is read, and what is refused in which words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from safetensors.torch import save_file

from metapt_explore.errors import UserError
from metapt_explore.prompts.load import find_adapter, find_tensor

ROWS = torch.arange(6.0).reshape(3, 2)


def saved(folder: Path, **tensors: torch.Tensor) -> Path:
    file = folder / "mine.safetensors"
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, file)
    return file


def test_the_only_tensor_of_a_file_needs_no_name(tmp_path: Path) -> None:
    found = find_tensor(saved(tmp_path, anything=ROWS.bfloat16()), None, "prompt.init")
    assert (found.tensor, found.shape, found.length) == ("anything", (3, 2), 3)
    found.check_fits(3, 2)
    assert found.read().dtype == torch.float32 and torch.equal(found.read(), ROWS)


def test_of_several_tensors_prompt_is_the_one_unless_another_is_named(tmp_path: Path) -> None:
    file = saved(tmp_path, prompt=ROWS, start=ROWS + 1)
    assert torch.equal(find_tensor(file, None, "x").read(), ROWS)
    assert torch.equal(find_tensor(file, "start", "x").read(), ROWS + 1)
    file = saved(tmp_path, a=ROWS, b=ROWS[:2])
    message = r"prompt.init: .*mine.safetensors has no tensor 'prompt' \(found: a \[3, 2\], b \[2, 2\]\); name one"
    with pytest.raises(UserError, match=message):
        find_tensor(file, None, "prompt.init")
    with pytest.raises(UserError, match="no tensor 'c'"):
        find_tensor(file, "c", "prompt.init")


def test_shapes_that_do_not_fit_say_what_to_change(tmp_path: Path) -> None:
    found = find_tensor(saved(tmp_path, prompt=ROWS), None, "prompt.init")
    with pytest.raises(UserError, match=r"mine.safetensors has the shape \[3, 2\].* is 5: set prompt.length to 3"):
        found.check_fits(5)
    with pytest.raises(UserError, match=r"shape \[3, 2\]; expected \[3, 32\].* another model"):
        found.check_fits(3, 32)
    flat = find_tensor(saved(tmp_path, prompt=ROWS[None]), None, "prompt.init")
    with pytest.raises(UserError, match=r"shape \[1, 3, 2\]; expected \[3, 2\]"):
        flat.check_fits(3, 2)


def test_files_that_are_no_prompts(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no file .*missing\.safetensors"):
        find_tensor(tmp_path / "missing.safetensors", None, "prompt.init")
    pickle = tmp_path / "prompt.pt"
    torch.save({"prompt": ROWS}, pickle)
    with pytest.raises(UserError, match=r"prompt\.pt cannot be read as safetensors.*save_file"):
        find_tensor(pickle, None, "prompt.init")
    with pytest.raises(UserError, match=r"no tensor 'prompt' \(found: none\)"):
        find_tensor(saved(tmp_path), None, "prompt.init")
    for values in (ROWS / 0, ROWS.int()):
        with pytest.raises(UserError, match="must hold finite floating-point numbers only"):
            find_tensor(saved(tmp_path, prompt=values), None, "prompt.init").read()


def test_a_file_that_changes_in_between_is_noticed(tmp_path: Path) -> None:
    """The stage's id names the first content; reading the second would file its scores under a wrong id."""
    found = find_tensor(saved(tmp_path, prompt=ROWS), None, "prompt.init")
    saved(tmp_path, prompt=ROWS + 1)
    with pytest.raises(UserError, match="was changed while the study ran"):
        found.read()


def test_a_content_hash_does_not_depend_on_the_place(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one, two = saved(tmp_path, prompt=ROWS), saved(tmp_path / "other", prompt=ROWS)
    assert find_tensor(one, None, "x").content == find_tensor(two, None, "x").content


def _causal(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny.make_language_model(folder))


def _encoder_decoder(folder: Path) -> Any:
    from transformers import T5Config, T5ForConditionalGeneration

    shape = dict(d_model=32, d_kv=8, d_ff=48, num_layers=1, num_heads=4, vocab_size=40, decoder_start_token_id=0)
    return T5ForConditionalGeneration(T5Config(**shape))


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize(("make", "task", "rows"), [(_causal, "CAUSAL_LM", 5), (_encoder_decoder, "SEQ_2_SEQ_LM", 10)])
def test_an_adapter_that_peft_wrote(tmp_path: Path, make: Any, task: str, rows: int) -> None:
    """An encoder-decoder's adapter holds two prompts, of which PEFT puts the first before the encoder's text."""
    from peft import PromptTuningConfig, get_peft_model

    model = get_peft_model(make(tmp_path / "model"), PromptTuningConfig(task_type=task, num_virtual_tokens=5))
    model.save_pretrained(tmp_path / "adapter")
    found = find_adapter(str(tmp_path / "adapter"), "prompt.init")
    assert (found.shape, found.length) == ((rows, 32), 5)
    found.check_fits(5, 32)
    theirs = model.prompt_encoder["default"].embedding.weight.detach()
    assert len(theirs) == rows and torch.equal(found.read(), theirs[:5])
    with pytest.raises(UserError, match=r"set prompt.length to 5"):
        found.check_fits(rows + 1, 32)


def adapter(folder: Path, **changes: Any) -> Path:
    settings = {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 3, "token_dim": 2, "num_transformer_submodules": 1}
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({**settings, **changes}), encoding="utf-8")
    save_file({"prompt_embeddings": ROWS}, folder / "adapter_model.safetensors")
    return folder


def test_adapters_that_are_refused(tmp_path: Path) -> None:
    def refused(match: str, folder: Path | str) -> None:
        with pytest.raises(UserError, match=match):
            find_adapter(str(folder), "prompt.init")

    refused("there is no adapter folder", tmp_path / "missing")
    refused(r"prompt.init: Cannot load the PEFT adapter 'adapters/mine': there is no such folder", "adapters/mine")
    refused("holds no PEFT adapter: adapter_config.json is missing", tmp_path)
    refused("of the type LORA; only PROMPT_TUNING and PREFIX_TUNING", adapter(tmp_path / "a", peft_type="LORA"))
    refused("must give token_dim as a whole number", adapter(tmp_path / "a", token_dim=None))
    refused(r"has the shape \[3, 2\]; adapter_config.json says \[4, 2\]", adapter(tmp_path / "a", num_virtual_tokens=4))
    (adapter(tmp_path / "b") / "adapter_config.json").write_text("{", encoding="utf-8")
    refused("cannot be read as JSON", tmp_path / "b")
    pickled = adapter(tmp_path / "c")
    (pickled / "adapter_model.safetensors").unlink()
    refused("holds no adapter_model.safetensors", pickled)
    torch.save({"prompt_embeddings": ROWS}, pickled / "adapter_model.bin")
    refused("a pickle, which is not read.*safe_serialization=True", pickled)
    save_file({"other": ROWS}, pickled / "adapter_model.safetensors")
    refused(r"no tensor 'prompt_embeddings' \(found: other \[3, 2\]\)\.$", pickled)
