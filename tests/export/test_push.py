"""`metapt push FOLDER owner/name`: sent, pulled and used again by its name; what cannot be sent says why."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import torch
from layouts import rows_on_test
from local_hub import LocalHub

from metapt_explore.cli.share import pull, push
from metapt_explore.config import StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.export.classify import Classifier
from metapt_explore.export.push import push_prompt
from metapt_explore.prompts.exported_files import find_folder
from metapt_explore.study.study import Study

NAME = "somebody/mood"
METAPT = [sys.executable, "-m", "metapt_explore"]


def test_pushed_by_the_command_and_used_by_name(studies: dict[str, tuple[Study, Path]], a_hub: LocalHub) -> None:
    study, folder = studies["llama-suffix"]
    done = subprocess.run([*METAPT, "push", str(folder), NAME], capture_output=True, check=False, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    sent = a_hub.repositories[NAME]
    assert sent.files == {file.name: file.read_bytes() for file in folder.iterdir()}
    assert f"commit/{sent.commits[-1]}" in done.stdout and "a folder of this machine" in done.stdout
    texts, _ = rows_on_test(study)
    told = subprocess.run(
        [*METAPT, "classify", "--prompt", NAME, "--labels-only"],
        input="\n".join(texts), capture_output=True, check=False, encoding="utf-8",
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert told.stdout.split() == [found.label for found in Classifier(folder).classify(texts)]


def test_a_study_begins_from_it(
    studies: dict[str, tuple[Study, Path]], world: Path, a_hub: LocalHub, tmp_path: Path
) -> None:
    study, folder = studies["llama-suffix"]
    push_prompt(folder, NAME)

    def begun(**model: str) -> Study:
        tree = tiny.study_tree(
            world,
            model={**study.config.model.model_dump(exclude_none=True, include={"name"}), **model},
            prompt={"length": study.config.prompt.length, "init": {"hub": NAME}},
            methods=[{"name": "PT", "kind": "pt"}],
        )
        return Study(parse(StudyConfig, tree, "test"), tmp_path / "w")

    prompt = begun().prompt("PT")
    expected = study.fewshot("MetaPT", "mood").tensors("prompts")["data_seed_2"]
    assert torch.equal(prompt.tensors("prompt")["prompt"], expected)
    assert prompt.stage["config"]["init"] == "hub" and len(prompt.stage["inputs"]["init"]) == 64
    tiny.make_language_model(tmp_path / "another", "gpt2")
    with pytest.raises(UserError, match=r"prompt.init: the prompt 'somebody/mood' was made for the model"):
        begun(name=str(tmp_path / "another")).prompt("PT")


def test_only_a_prompt_is_sent_and_nothing_is_left_of_another(
    studies: dict[str, tuple[Study, Path]], a_hub: LocalHub, tmp_path: Path
) -> None:
    push_prompt(studies["llama-prefix"][1], NAME, private=True)
    assert "adapter_config.json" in a_hub.repositories[NAME].files and a_hub.repositories[NAME].private
    assert (find_folder(NAME) / "adapter_config.json").exists()
    shutil.copytree(studies["llama-suffix"][1], tmp_path / "prompt")
    (tmp_path / "prompt" / "my-texts.csv").write_text("text", encoding="utf-8")
    push_prompt(tmp_path / "prompt", NAME)
    assert set(a_hub.repositories[NAME].files) == {
        "README.md", "prompt.json", "prompt.safetensors", "prompt_pipeline.py",
    }  # fmt: skip
    # A name is asked for once in a process, but again after something was sent to it.
    assert not (find_folder(NAME) / "adapter_config.json").exists()
    assert (find_folder(NAME) / "prompt.json").read_bytes() == (tmp_path / "prompt" / "prompt.json").read_bytes()


def test_the_second_word_decides_and_errors_say_what_to_do(
    studies: dict[str, tuple[Study, Path]], a_hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, folder = studies["llama-suffix"]
    workspace = study.workspace.folder
    with pytest.raises(UserError, match=r"there is no folder 'tiny'.*A study goes to .*: \./some/one"):
        push("tiny", "some/one", workspace=workspace)
    with pytest.raises(UserError, match=r"is the folder of a prompt, which goes to a hub"):
        push(str(folder), str(tmp_path / "shared"), workspace=workspace)
    with pytest.raises(UserError, match="holds no prompt"):
        push(str(tmp_path), NAME, workspace=workspace)
    with pytest.raises(UserError, match=r"write a folder as \./shared"):
        push("tiny", "shared", workspace=workspace)
    with pytest.raises(UserError, match="--private is for a prompt"):
        push("tiny", "./shared", private=True, workspace=workspace)
    with pytest.raises(UserError, match="--check is for a study"):
        push(str(folder), NAME, check=True, workspace=workspace)
    with pytest.raises(UserError, match="A prompt on a hub is used by its name"):
        pull("some/one", workspace=workspace)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(UserError, match="without a token: set the environment variable HF_TOKEN"):
        push(str(folder), NAME, workspace=workspace)
    assert not a_hub.repositories
    push("tiny", str(tmp_path / "shared"), workspace=workspace)
    assert any((tmp_path / "shared").iterdir())
    facts = json.loads((folder / "prompt.json").read_text(encoding="utf-8"))
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "prompt.json").write_text(json.dumps({**facts, "tokens": 99}), encoding="utf-8")
    shutil.copy(folder / "prompt.safetensors", broken)
    with pytest.raises(UserError, match=r"has the shape \[\d+, \d+\]; expected|prompt.length is 99"):
        push_prompt(broken, NAME)


def test_what_is_no_folder_and_no_name_says_so(a_hub: LocalHub) -> None:
    from metapt_explore.cli.classify import classify_lines

    for name in ("nowhere", "./nowhere", "/nowhere/at/all"):
        with pytest.raises(UserError, match="There is no folder"):
            classify_lines(io.StringIO(""), find_folder(name))
    with pytest.raises(UserError, match="Cannot load the prompt 'somebody/nothing'"):
        find_folder("somebody/nothing")
