"""Each number of examples has its own prompts: which of them are exported, seen beside the vocabulary, looked at."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from metapt_explore.cli.main import metapt
from metapt_explore.errors import UserError
from metapt_explore.export.export import PromptChoice, export_prompt
from metapt_explore.export.facts import PromptFacts
from metapt_explore.stages.headroom import Headroom
from metapt_explore.stages.lens import vectors_at
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study


@pytest.fixture(scope="module")
def study(matched: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A copy that may be changed."""
    folder = tmp_path_factory.mktemp("shots") / "workspace"
    shutil.copytree(matched, folder, ignore=shutil.ignore_patterns("*.lock", ".lock"))
    workspace = Workspace(folder)
    return Study(workspace.study_config("tiny"), workspace)


@pytest.mark.parametrize("shots", [None, 1, 2])
def test_the_prompt_of_each_number_is_exported(study: Study, tmp_path: Path, shots: int | None) -> None:
    pretrained = export_prompt(study.workspace, PromptChoice("tiny", "MetaPT", shots=shots), tmp_path / "start")
    expected = study.prompt("MetaPT", shots=shots).tensors("prompt")["prompt"]
    assert torch.equal(load_file(pretrained[0])["prompt"], expected)
    chosen = PromptChoice("tiny", "MetaPT", "mood", 1, 0, shots)
    export_prompt(study.workspace, chosen, tmp_path / "tuned")
    tuned = study.fewshot("MetaPT", "mood", shots=shots).tensors("prompts")["data_seed_1"]
    assert torch.equal(load_file(tmp_path / "tuned" / "prompt.safetensors")["prompt"], tuned)
    assert PromptFacts.load(tmp_path / "tuned").made_by.get("shots") == shots
    said = f"{shots or 4} example{'s' * (shots != 1)} a class"
    cards = [(tmp_path / folder / "README.md").read_text(encoding="utf-8") for folder in ("start", "tuned")]
    assert f"seed 0 for {said}." in cards[0] and f"tuned on {said} of `mood`" in cards[1]


def test_numbers_that_are_there_are_named(study: Study, tmp_path: Path) -> None:
    """The study's own number is no other one; a method that is not pre-trained has one start for all."""
    own = export_prompt(study.workspace, PromptChoice("tiny", "MetaPT", shots=4), tmp_path / "own")
    assert "shots" not in PromptFacts.load(own[0].parent).made_by
    start = export_prompt(study.workspace, PromptChoice("tiny", "PT", shots=2), tmp_path / "pt")
    assert torch.equal(load_file(start[0])["prompt"], study.prompt("PT").tensors("prompt")["prompt"])
    assert "a class" not in (start[0].parent / "README.md").read_text(encoding="utf-8").split("A text is read")[0]
    for shots, wanted in ((3, "on 3 examples a class; its numbers"), (8, "are 1, 2, 4")):
        with pytest.raises(UserError, match=wanted):
            export_prompt(study.workspace, PromptChoice("tiny", "MetaPT", "mood", shots=shots), tmp_path / "none")
    told = ["--method", "MetaPT", "--task", "mood", "--shots", "2", "--out", str(tmp_path / "by command")]
    done = CliRunner().invoke(metapt, ["export", "tiny", *told, "--workspace", str(study.workspace.folder)])
    assert done.exit_code == 0 and PromptFacts.load(tmp_path / "by command").made_by["shots"] == 2


def test_the_lens_sees_all_of_them(study: Study) -> None:
    lens = study.lens()
    names = list(dict.fromkeys(lens.table("vectors")["prompt"]))
    assert names[0] == "PT, seed 0" and "MetaPT on mood" in names, "the study's own number comes first"
    assert {"MetaPT at 1 shot, seed 0", "PPT at 2 shots, seed 0", "MetaPT at 2 shots on mood"} <= set(names)
    assert not [name for name in names if name.startswith("PT at")], "PT has one start for all numbers"
    at_one = vectors_at(lens, study.config, 1)
    assert set(at_one["shots"]) == {1} and set(at_one["method"]) == {"PPT", "MetaPT"}
    nearest = json.loads(at_one[at_one["prompt"] == "MetaPT at 1 shot, seed 0"]["nearest"].iloc[0])
    assert nearest, "its own vectors, with their neighbours"
    assert len(vectors_at(lens, study.config, None)) == sum(len(vectors_at(lens, study.config, k)) for k in (1, 2, 4))
    with pytest.raises(UserError, match="are 1, 2, 4"):
        vectors_at(lens, study.config, 5)
    asked = ["lens", "tiny", "--shots", "2", "--json", "--workspace", str(study.workspace.folder)]
    printed = [json.loads(line) for line in CliRunner().invoke(metapt, asked).stdout.splitlines()]
    assert {row["shots"] for row in printed} == {2}


def test_headroom_at_each_number(study: Study) -> None:
    """Support rows of that number, and its own prompt."""
    at_one = study.headroom("MetaPT", at="MetaPT", shots=1)
    assert at_one.stage["parents"]["prompt"] == study.prompt("MetaPT", shots=1).id
    assert at_one.stage["config"]["support_size"] == 2
    own = Headroom.requested(study, "MetaPT", at="MetaPT")
    assert own.config()["support_size"] == 8 and own.id != at_one.id
    assert own.id == Headroom.requested(study, "MetaPT", at="MetaPT", shots=4).id
    (entry,) = [entry for entry in study.workspace.index("tiny") if entry["id"] == at_one.id]
    assert (entry["kind"], entry["shots"]) == ("headroom at other shots", 1)
