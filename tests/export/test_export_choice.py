"""Which prompt is exported, with what beside it, and which are refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import tiny
import torch
import yaml
from layouts import SMALL, rows_on_test

from metapt_explore.config import StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.export.classify import Classifier
from metapt_explore.export.export import PromptChoice, export_prompt
from metapt_explore.export.facts import PromptFacts
from metapt_explore.study.study import Study


def test_the_pretrained_prompt_itself(studies: dict[str, tuple[Study, Path]], tmp_path: Path) -> None:
    study, _ = studies["llama-suffix"]
    files = export_prompt(study.workspace, PromptChoice("tiny", "MetaPT"), tmp_path / "start")
    assert [file.name for file in files] == ["prompt.safetensors", "prompt.json", "prompt_pipeline.py", "README.md"]
    facts = PromptFacts.load(tmp_path / "start")
    assert facts.made_by["task"] is None and facts.template == study.config.auxiliary_tasks.template
    assert "not tuned on any task" in (tmp_path / "start" / "README.md").read_text(encoding="utf-8")
    tree = tiny.study_tree(
        Path(study.config.texts.file or "").parent,
        prompt={"init": {"file": str(tmp_path / "start" / "prompt.safetensors")}},
        model={"name": study.config.model.name},
    )
    again = Study(parse(StudyConfig, tree, "test"), tmp_path / "again")
    start = again.prompt("PT").tensors("prompt")["prompt"]
    assert torch.equal(start, study.prompt("MetaPT").tensors("prompt")["prompt"])


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        (PromptChoice("tiny", "MetaPTT", "mood"), "Did you mean 'MetaPT'"),
        (PromptChoice("tiny", "MetaPT", "question"), "has no score on 'question'"),
        (PromptChoice("tiny", "MetaPT", "mood", 3), "Data seed 3 is none"),
        (PromptChoice("tiny", "MetaPT", "mood", None, 5), "Initialisation seed 5 is none"),
        (PromptChoice("tiny", "PPT"), "is not finished"),
        (PromptChoice("tyni", "PPT"), "Did you mean 'tiny'"),
    ],
)
def test_a_prompt_that_is_not_there(
    studies: dict[str, tuple[Study, Path]], tmp_path: Path, chosen: PromptChoice, told: str
) -> None:
    study, _ = studies["llama-suffix"]
    with pytest.raises(UserError, match=told):
        export_prompt(study.workspace, chosen, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_prompts_that_are_read_by_examples_are_not_exported(world: Path, tmp_path: Path) -> None:
    tree = tiny.study_tree(world, verbalizer={"read": "prototypes"}, evaluation=SMALL)
    study = Study(parse(StudyConfig, tree, "test"), tmp_path / "w")
    study.fewshot("PT", "mood")
    with pytest.raises(UserError, match="reads classes by prototypes"):
        export_prompt(study.workspace, PromptChoice("tiny", "PT", "mood"), tmp_path / "out")


@pytest.mark.parametrize("kind", ["llama", "bert"])
def test_a_probe_goes_with_the_prompt(kind: str, world: Path, tmp_path: Path) -> None:
    model = tiny.make_language_model(tmp_path / kind, kind)
    tree = tiny.study_tree(
        world, model={"name": str(model)}, verbalizer={"read": "probe_ensemble"}, evaluation={**SMALL, "shots": 8}
    )
    study = Study(parse(StudyConfig, tree, "test"), tmp_path / "w")
    evaluation = study.fewshot("PT", "mood")
    texts, labels = rows_on_test(study)
    for seed, record in evaluation.table("results").set_index("data_seed").iterrows():
        folder = tmp_path / f"out {seed}"
        files = export_prompt(study.workspace, PromptChoice("tiny", "PT", "mood", int(str(seed))), folder)
        assert folder / "probe.safetensors" in files
        found = list(Classifier(folder, dtype="float32").classify(texts, batch=5))
        loss = -sum(torch.tensor(p.probabilities[label]).log() for p, label in zip(found, labels, strict=True))
        assert float(loss) / len(labels) == pytest.approx(record["test_loss"], abs=1e-5)
        assert "of words and probe together" in (folder / "README.md").read_text(encoding="utf-8")
    # A task file that lists its classes the other way round since: the probe's turn with them.
    task = Path(study.config.evaluation.tasks[0])
    before = task.read_text(encoding="utf-8")
    try:
        turned = yaml.safe_load(before)
        turned["labels"] = dict(reversed(turned["labels"].items()))
        task.write_text(yaml.safe_dump(turned, sort_keys=False), encoding="utf-8")
        export_prompt(study.workspace, PromptChoice("tiny", "PT", "mood", 2), tmp_path / "turned")
        again = [p.probabilities for p in Classifier(tmp_path / "turned", dtype="float32").classify(texts, batch=5)]
    finally:
        task.write_text(before, encoding="utf-8")
    assert list(again[0]) == list(reversed(found[0].probabilities))
    assert again == [pytest.approx(p.probabilities, abs=1e-6) for p in found]
    # The probe had a say.
    assert max(weights["probe"] for weights in evaluation.summary["weights"].values()) > 0
    with pytest.raises(UserError, match="label words alone"):
        Classifier(folder, calibration="content_free")
    (folder / "probe.safetensors").unlink()
    with pytest.raises(UserError, match=r"probe\.safetensors is missing"):
        Classifier(folder)


def test_another_template_than_the_prompt_was_tuned_with_is_refused(
    world: Path, finished: Path, tmp_path: Path
) -> None:
    """And of what an earlier prompt left in the folder nothing is left beside the new one."""
    own = Path(shutil.copytree(world, tmp_path / "world"))
    study = Study(
        parse(StudyConfig, tiny.study_tree(own, methods=[{"name": "PT", "kind": "pt"}]), "test"), tmp_path / "w"
    )
    study.run()
    out = tmp_path / "out"
    out.mkdir()
    for name in ("prompt.json", "adapter_config.json", "adapter_model.safetensors", "probe.safetensors", "mine.txt"):
        (out / name).write_text("{}", encoding="utf-8")
    export_prompt(study.workspace, PromptChoice("tiny", "PT", "mood", 1), out)
    written = {"prompt.json", "prompt.safetensors", "prompt_pipeline.py", "README.md"}
    assert {file.name for file in out.iterdir()} == {*written, "mine.txt"}
    file = Path(study.config.evaluation.tasks[0])
    before = file.read_text(encoding="utf-8")
    file.write_text(yaml.safe_dump({**yaml.safe_load(before), "template": "{text} Mood :"}), encoding="utf-8")
    with pytest.raises(UserError, match="another template or other words than those the prompt was tuned with"):
        export_prompt(study.workspace, PromptChoice("tiny", "PT", "mood", 1), out)
    file.write_text(before, encoding="utf-8")
    export_prompt(study.workspace, PromptChoice("tiny", "PT", "mood", 1), out)
