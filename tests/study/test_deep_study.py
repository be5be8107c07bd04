"""Deep prompts in whole studies: every method, stopped and resumed, stored, read again; prompts of any length."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from kept import StopAt
from safetensors.torch import save_file

from metapt_explore.config import StudyConfig, parse
from metapt_explore.cost.calibrate import prompts_bytes
from metapt_explore.errors import Cancelled, UserError
from metapt_explore.export.classify import Classifier
from metapt_explore.export.export import PromptChoice, export_prompt
from metapt_explore.prompts.load import find_adapter
from metapt_explore.stages.fewshot import FewShot
from metapt_explore.stages.prompt import Prompt
from metapt_explore.study.study import Study

SMALL = {"data_seeds": [1], "steps": 2, "curve_steps": [0, 2], "test_rows": 8, "learning_rates": [0.1]}
#: Numbers in a vector: 2 layers × (key and value) × 2 key heads × 8.
WIDTH = 64
META = {"kind": "metapt", "clustering": "kmeans"}
METHODS = [
    {"name": "PT", "kind": "pt"},
    {"name": "PPT", "kind": "ppt"},
    {"name": "exact", **META, "order": "exact"},
    {"name": "adam", **META, "inner_optimiser": "adam", "inner_lr": 0.05},
    *({"name": learner, **META, "learner": learner} for learner in ("reptile", "meta_sgd", "leap", "hsml")),
    {"name": "per cluster", **META, "learner": "prompt_per_cluster"},
]


def study_of(world: Path, workspace: Path, **changes: Any) -> Study:
    settings = {"prompt": {"length": 3, "placement": "deep"}, "evaluation": SMALL, **changes}
    return Study(parse(StudyConfig, tiny.study_tree(world, **settings), "test"), workspace)


def test_every_method_learns_a_deep_prompt(world: Path, tmp_path: Path) -> None:
    study = study_of(world, tmp_path, methods=METHODS)
    table = study.run()
    assert set(table["method"]) == {method["name"] for method in METHODS} and table["test_loss"].notna().all()
    start = study.prompt("PT").tensors("prompt")["prompt"]
    assert start.shape == (3, WIDTH)
    for method in METHODS[1:]:
        prompt = study.prompt(method["name"])
        tensors = prompt.tensors("prompt")
        assert torch.equal(tensors["init"], start) and not torch.equal(tensors["prompt"], start)
        assert 0.5 < prompt.summary["norm_ratio"] < 2
        layers = (tensors["prompt"] - start).view(3, 2, 2, -1)
        assert (layers.abs().sum(dim=(0, 3)) > 0).all(), "keys and values of every layer move"
    # With a placement that needs no other numbers the start is the study's own question.
    assert study_of(world, tmp_path, prompt={"length": 3}).prompt("PT").id != study.prompt("PT").id


def test_a_plan_counts_what_deep_prompts_take(world: Path, tmp_path: Path) -> None:
    """Every row runs behind its prompt anew, and each seed and rate has its own numbers, several times over."""
    settings = {"evaluation": {**SMALL, "data_seeds": [1, 2], "learning_rates": [0.1, 0.2, 0.3]}}
    study = study_of(world, tmp_path, methods=METHODS[:2], **settings)
    assert all(not stage["encoded"] for stage in study.preview().stages.values()), "nothing of a text is kept"
    copies = 5 + 2  # two kept steps
    assert prompts_bytes(study.config, study.backbone) == 4 * 3 * WIDTH * (2 * 3) * copies


def test_stopped_anywhere_it_ends_with_the_same_bits(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = {"name": "exact", **META, "order": "exact"}

    def ask(workspace: Path) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        study = study_of(world, workspace, methods=[method])
        learned = study.prompt("exact").tensors("prompt")
        return learned, study.fewshot("exact", "mood").tensors("prompts")

    expected, attempts = ask(tmp_path / "whole"), 0
    while True:
        stop = StopAt(5)
        with monkeypatch.context() as patch:
            for stage in (Prompt, FewShot):
                patch.setattr(stage, "advance", lambda self, done, stop=stop: stop(done))
            try:
                found = ask(tmp_path / "cut")
                break
            except Cancelled:
                attempts += 1
                assert attempts < 20
    assert attempts > 1
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def _projected(**changes: Any) -> dict[str, Any]:
    return {"prefix_projection": True, "encoder_hidden_size": 24, **changes}


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("settings", [{}, _projected()], ids=["plain", "projected"])
def test_an_adapter_that_peft_trained_says_the_same_here(settings: dict[str, Any], world: Path, tmp_path: Path) -> None:
    """PEFT's logits of its own model, before it was saved, are the scores of the study that begins from the adapter."""
    from peft import PrefixTuningConfig, TaskType, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(world / "lm")
    config = PrefixTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=3, **settings)
    model = get_peft_model(base, config).eval()
    model.save_pretrained(tmp_path / "adapter")
    study = study_of(
        world,
        tmp_path / "w",
        prompt={"length": 3, "placement": "deep", "init": {"peft": str(tmp_path / "adapter")}},
        methods=METHODS[:1],
    )
    study.check()
    prompt = study.prompt("PT").tensors("prompt")["prompt"]
    assert prompt.shape == (3, WIDTH)
    backbone, texts = study.backbone, ["the good w1", "of the bad and awful w2 w3"]
    pattern = backbone.pattern(study.tasks["mood"], "mood")
    bank = backbone.bank(texts, pattern)
    rows = backbone.prepared(bank, [0, 1], pattern, prompt_tokens=3)
    ours = backbone.class_scores(prompt[None], torch.zeros(2, dtype=torch.long), rows, pattern=pattern)
    for ids, scores in zip(bank.token_ids, ours, strict=True):
        given = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
        theirs = model(**given).logits[0, -1, list(pattern.words)].detach()
        torch.testing.assert_close(scores.detach(), theirs, atol=1e-4, rtol=1e-4)


def _adapter(folder: Path, shape: tuple[int, int], **changes: Any) -> str:
    folder.mkdir(exist_ok=True)
    settings = {"peft_type": "PREFIX_TUNING", "task_type": "CAUSAL_LM", "num_virtual_tokens": 3, "token_dim": 16}
    text = json.dumps({**settings, "num_layers": 2, **changes})
    (folder / "adapter_config.json").write_text(text, encoding="utf-8")
    save_file({"prompt_embeddings": torch.randn(shape)}, folder / "adapter_model.safetensors")
    return str(folder)


def test_what_does_not_fit_is_refused(world: Path, tmp_path: Path) -> None:
    def refused(match: str, run: Callable[[], object]) -> None:
        with pytest.raises(UserError, match=match):
            run()

    file = tmp_path / "prompt.safetensors"
    save_file({"prompt": torch.randn(3, 32)}, file)
    init = {"init": {"file": str(file)}}
    deep = study_of(world, tmp_path / "w", prompt={"length": 3, "placement": "deep", **init})
    refused(r"expected \[3, 64\].*prompt.placement: deep", deep.check)
    save_file({"prompt": torch.randn(3, 64)}, file)
    deep.check()
    refused(r"expected \[3, 32\].*deep", study_of(world, tmp_path / "w", prompt={"length": 3, **init}).check)
    good = find_adapter(_adapter(tmp_path / "a", (3, 64)), "prompt.init")
    assert (good.shape, good.length) == ((3, 64), 3)
    other = {"token_dim": 8}
    refused(r"says \[3, 32\]", lambda: find_adapter(_adapter(tmp_path / "a", (3, 64), **other), "prompt.init"))
    seq2seq = {"task_type": "SEQ_2_SEQ_LM"}
    refused("decoder-only models", lambda: find_adapter(_adapter(tmp_path / "a", (3, 64), **seq2seq), "prompt.init"))
    deep = study_of(world, tmp_path / "lens", methods=METHODS[:1])
    deep.prompt("PT")
    refused("lens is not for deep prompts", deep.lens)


#: A tiny model of each family, and where it can put a prompt.
PLACES = [
    ("llama", "suffix"),
    ("llama", "prefix"),
    ("llama", "deep"),
    ("t5", "encoder"),
    ("t5", "decoder"),
    ("bert", "prefix"),
    ("sentence", "prefix"),
]


@pytest.mark.parametrize("length", [1, 100])
@pytest.mark.parametrize(("kind", "placement"), PLACES, ids=["-".join(place) for place in PLACES])
def test_one_vector_and_a_hundred_from_texts_to_export(
    kind: str, placement: str, length: int, world: Path, tmp_path: Path
) -> None:
    """Pre-trained, tuned, exported, and read again with the scores that the study saw."""
    study = study_of(
        world,
        tmp_path / "w",
        model={"name": str(tiny.make_language_model(tmp_path / "lm", kind)), "max_text_tokens": 8},
        prompt={"length": length, "placement": placement},
        methods=[{"name": "MetaPT", **META}],
        pretraining={"steps": 2},
    )
    prompt = study.prompt("MetaPT")
    assert len(prompt.tensors("prompt")["prompt"]) == length and prompt.summary["moved"] > 0
    loss = study.fewshot("MetaPT", "mood").table("results")["test_loss"][0]
    export_prompt(study.workspace, PromptChoice("tiny", "MetaPT", "mood"), tmp_path / "out")
    rows = study.split("mood").table("rows").query("split == 'test'")
    found = Classifier(tmp_path / "out", dtype="float32", device="cpu").classify(rows["text"].tolist())
    given = [prediction.probabilities[label] for prediction, label in zip(found, rows["label"], strict=True)]
    assert -float(torch.tensor(given).log().mean()) == pytest.approx(loss, abs=1e-4)
