"""Starts inside a study: what enters a stage's id, and prompts that begin from files and artifacts."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from fake_pipeline import fake_pipeline, id_over
from safetensors.torch import save_file

from metapt_explore.config import StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.progress.state import Progress
from metapt_explore.stages.prompt import Prompt
from metapt_explore.storage.files import read_json
from metapt_explore.storage.stage_file import write_stage
from metapt_explore.study.study import Study

ONLY_PT = [{"name": "PT", "kind": "pt"}]


def study_of(world: Path, workspace: Path, **changes: Any) -> Study:
    return Study(parse(StudyConfig, tiny.study_tree(world, **{"name": "starts", **changes}), "test"), workspace)


def starting(world: Path, workspace: Path, start: Any, length: int = 3, **changes: Any) -> Study:
    return study_of(world, workspace, prompt={"length": length, "init": start}, **{"methods": ONLY_PT, **changes})


@pytest.fixture
def workspace(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished tiny study's workspace."""
    return Path(shutil.copytree(finished, tmp_path / "workspace"))


def test_ids_of_random_and_vocabulary_have_not_changed(tmp_path: Path) -> None:
    """Pinned from before there was a menu: finished prompts must not be computed again."""
    methods = [
        *ONLY_PT,
        {"name": "R", "kind": "pt", "init": "random"},
        {"name": "PPT", "kind": "ppt"},
        {"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"},
    ]
    study = parse(StudyConfig, tiny.study_tree(Path("/nowhere"), methods=methods), "test")
    made_up = {"texts": "texts-0", "tasks": "tasks-0"}
    ids = {}
    for method in study.methods:
        prompt = Prompt(fake_pipeline(study, tmp_path), method, 0)
        ids[method.name] = id_over(prompt, **(made_up if prompt.is_pretrained else {}))
    assert ids == {
        "PT": "prompt-ee5edcde0b1e0a39",
        "R": "prompt-c502a7ed6ef4359d",
        "PPT": "prompt-97e23b5ea80c887f",
        "MetaPT": "prompt-8b77eeea9491ae29",
    }


def test_text_and_label_starts_end_to_end(world: Path, tmp_path: Path) -> None:
    study = starting(
        world,
        tmp_path,
        "labels",
        methods=[*ONLY_PT, {"name": "T", "kind": "pt", "init": {"text": "camera is good now"}}],
    )
    labels, text = study.prompt("PT"), study.prompt("T")
    assert labels.stage["config"]["init"] == {"labels": [" negative", " positive"]}
    assert text.stage["config"]["init"] == {"text": "camera is good now"}
    assert (labels.summary["init"], text.summary["init"]) == ("labels", "text")
    words, embedding = study.backbone.tokenizer.get_vocab(), study.backbone.embedding
    assert torch.equal(labels.tensors("prompt")["prompt"][:2], embedding[[words["negative"], words["positive"]]])
    expected = embedding[[words["camera"], words["is"], words["good"]]]
    assert torch.equal(text.tensors("prompt")["prompt"], expected)
    assert any("4 tokens long" in notice for notice in study.progress.state.notices)
    # Other words, another question; a pre-trained method begins from the same rows.
    other = {
        "labels": {"negative": {"value": "negative", "word": "bad"}, "positive": {"value": "positive", "word": "good"}}
    }
    assert starting(world, tmp_path, "labels", auxiliary_tasks=other).prompt("PT").id != labels.id
    pretrained = starting(world, tmp_path, "labels", methods=[{"name": "PPT", "kind": "ppt"}]).prompt("PPT")
    assert torch.equal(pretrained.tensors("prompt")["init"], labels.tensors("prompt")["prompt"])


def test_a_file_enters_by_its_content(world: Path, tmp_path: Path) -> None:
    rows = torch.linspace(-1, 1, 3 * 32).reshape(3, 32)
    (tmp_path / "a").mkdir()
    one, two = tmp_path / "one.safetensors", tmp_path / "a" / "two.safetensors"
    save_file({"prompt": rows}, one)
    save_file({"prompt": rows}, two)
    first = starting(world, tmp_path / "w", {"file": str(one)}).prompt("PT")
    assert torch.equal(first.tensors("prompt")["prompt"], rows)
    assert starting(world, tmp_path / "w", {"file": str(two), "tensor": "prompt"}).prompt("PT").id == first.id
    save_file({"prompt": rows + 1}, two)
    assert starting(world, tmp_path / "w", {"file": str(two)}).prompt("PT").id != first.id
    assert str(tmp_path) not in str({key: first.stage[key] for key in ("config", "inputs")})


def test_a_peft_adapter_is_a_start(world: Path, tmp_path: Path) -> None:
    import json

    rows = torch.linspace(-1, 1, 3 * 32).reshape(3, 32)
    (tmp_path / "adapter").mkdir()
    settings = {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 3, "token_dim": 32}
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(settings), encoding="utf-8")
    save_file({"prompt_embeddings": rows}, tmp_path / "adapter" / "adapter_model.safetensors")
    prompt = starting(world, tmp_path / "w", {"peft": str(tmp_path / "adapter")}).prompt("PT")
    assert torch.equal(prompt.tensors("prompt")["prompt"], rows)
    assert prompt.stage["config"]["init"] == "peft" and len(prompt.stage["inputs"]["init"]) == 64


def test_a_study_that_begins_from_an_artifact(world: Path, workspace: Path) -> None:
    """MetaPT from the finished study, tuned as PT and pre-trained further as PPT."""
    before = Study(world / "tiny.yaml", workspace).prompt("MetaPT")
    beginning = before.id.removeprefix("prompt-")[:9]
    study = starting(
        world,
        workspace,
        {"artifact": beginning},
        methods=[*ONLY_PT, {"name": "PPT", "kind": "ppt"}],
        evaluation={"init_seeds": [0, 1]},
    )
    results = study.run()
    assert set(results["method"]) == {"PT", "PPT"} and len(results) == 2 * 2 * 2 * 2
    prompt = study.prompt("PT")
    assert prompt.stage["parents"] == {"init": before.id}
    assert study.prompt("PPT").stage["parents"].keys() == {"init", "texts", "tasks"}
    for init_seed in (0, 1):
        for method in ("PT", "PPT"):
            tensors = study.prompt(method, init_seed).tensors("prompt")
            assert torch.equal(tensors["init"], before.tensors("prompt")["prompt"])
    # By its whole id it is the same question.
    assert starting(world, workspace, {"artifact": before.id}).prompt("PT").id == prompt.id


def test_artifacts_that_cannot_be_a_start(world: Path, workspace: Path) -> None:
    def refused(match: str, identifier: str, length: int = 3) -> None:
        with pytest.raises(UserError, match=match):
            starting(world, workspace, {"artifact": identifier}, length).check()

    finished = Study(world / "tiny.yaml", workspace)
    before = finished.prompt("MetaPT")
    refused("no finished prompt artifact 'zzz' .finished: prompt-", "zzz")
    refused("no finished prompt artifact 'fewshot-", finished.fewshot("PT", "mood").id)
    refused("the beginning of several prompt artifacts", "prompt-")
    refused(r"\[3, 32\], but prompt.length is 5: set prompt.length to 3", before.id, 5)
    stage = read_json(before.folder / "stage.json")
    write_stage(before.folder, {**stage, "inputs": {**stage["inputs"], "model": "another"}})
    refused(r"was made for the model '.*lm'", before.id)
    write_stage(before.folder, {**stage, "status": "cancelled"})
    refused(r"is not finished \(cancelled\)", before.id)


def test_a_start_that_does_not_fit_is_found_before_anything_runs(world: Path, tmp_path: Path) -> None:
    """By the model's configuration alone: weights are not loaded."""
    file = tmp_path / "wide.safetensors"
    save_file({"prompt": torch.zeros(3, 64)}, file)
    stages: list[str] = []
    study = starting(world, tmp_path / "w", {"file": str(file)})
    study.progress = Progress(lambda state: stages.append(state.stage))
    with pytest.raises(UserError, match=r"prompt.init: .*shape \[3, 64\]; expected \[3, 32\]"):
        study.run()
    assert set(stages) <= {""} and not study.model.loaded
    own = [{"name": "Mine", "kind": "pt", "init": {"file": str(tmp_path / "missing.safetensors")}}]
    with pytest.raises(UserError, match="init of method 'Mine': there is no file"):
        study_of(world, tmp_path / "w", methods=own).check()
    # A start that no method uses is not looked for.
    starting(
        world, tmp_path / "w", {"file": "missing"}, methods=[{"name": "R", "kind": "pt", "init": "random"}]
    ).check()
