"""What was taken away gives the predictions that the study saw: by our command, by twenty lines, and by PEFT."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
import yaml

from metapt_explore.cli.classify import ClassifyOptions, classify_lines
from metapt_explore.config import StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.export.card import model_card
from metapt_explore.export.classify import Classifier
from metapt_explore.export.export import Chosen, export_prompt
from metapt_explore.export.facts import PromptFacts
from metapt_explore.export.loader import LOADER
from metapt_explore.export.peft_format import TASK_TYPES
from metapt_explore.prompts.load import find_adapter
from metapt_explore.storage.files import write_json
from metapt_explore.study.study import Study

LAYOUTS = [
    ("llama", "suffix"),
    ("llama", "prefix"),
    ("gpt2", "prefix"),
    ("t5", "encoder"),
    ("t5", "decoder"),
    ("bart", "encoder"),
    ("bert", "prefix"),
]
SMALL = {"data_seeds": [1, 2], "steps": 2, "curve_steps": [0, 2], "test_rows": 12}


@pytest.fixture(scope="session")
def studies(world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Study, Path]]:
    """A finished evaluation of MetaPT on one task for each layout, and its exported prompt."""
    found = {}
    base = tmp_path_factory.mktemp("handover")
    for kind, placement in LAYOUTS:
        model = base / kind
        if not model.exists():
            tiny.make_language_model(model, kind)
        tree = tiny.study_tree(
            world,
            model={"name": str(model)},
            prompt={"placement": placement},
            pretraining={"steps": 2},
            evaluation=SMALL,
        )
        study = Study(parse(StudyConfig, tree, "test"), base / f"{kind}-{placement}")
        study.fewshot("MetaPT", "mood")
        folder = base / f"{kind}-{placement}-exported"
        export_prompt(study.workspace, Chosen("tiny", "MetaPT", "mood", 2), folder)
        found[f"{kind}-{placement}"] = study, folder
    return found


def test_rows_of(study: Study) -> tuple[list[str], list[str]]:
    rows = study.split("mood").table("rows")
    rows = rows[rows["split"] == "test"]
    return rows["text"].tolist(), rows["label"].tolist()


test_rows_of.__test__ = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("layout", [f"{kind}-{placement}" for kind, placement in LAYOUTS])
def test_predictions_are_those_of_the_study(studies: dict[str, tuple[Study, Path]], layout: str) -> None:
    study, folder = studies[layout]
    texts, labels = test_rows_of(study)
    found = list(Classifier(folder, dtype="float32").classify(texts, batch=5))
    right = sum(prediction.label == label for prediction, label in zip(found, labels, strict=True)) / len(labels)
    results = study.fewshot("MetaPT", "mood").table("results").set_index("data_seed")
    assert right == pytest.approx(results.loc[2, "accuracy"])
    assert all(sum(prediction.probabilities.values()) == pytest.approx(1.0) for prediction in found)
    loss = -sum(
        torch.tensor(p.probabilities[label]).log() for p, label in zip(found, labels, strict=True)
    ) / len(labels)  # fmt: skip
    assert float(loss) == pytest.approx(results.loc[2, "test_loss"], abs=1e-5)


@pytest.mark.parametrize("layout", ["llama-suffix", "llama-prefix", "gpt2-prefix"])
def test_twenty_lines_without_this_package_say_the_same(studies: dict[str, tuple[Study, Path]], layout: str) -> None:
    study, folder = studies[layout]
    texts, _ = test_rows_of(study)
    code = LOADER.replace("FOLDER", str(folder))
    assert len([line for line in code.splitlines() if line.strip()]) <= 24
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert LOADER.strip() in card
    space: dict[str, Any] = {}
    exec(code, space)
    ours = list(Classifier(folder, dtype="float32").classify(texts))
    for text, prediction in zip(texts, ours, strict=True):
        assert space["probabilities"](text) == pytest.approx(prediction.probabilities, abs=1e-5)


def test_the_card_is_one_that_a_hub_reads(studies: dict[str, tuple[Study, Path]], tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    study, folder = studies["llama-prefix"]
    card = ModelCard((folder / "README.md").read_text(encoding="utf-8"))
    row = study.fewshot("MetaPT", "mood").table("results").set_index("data_seed").loc[2]
    assert card.data.eval_results is not None
    scores = {found.metric_type: found.metric_value for found in card.data.eval_results}
    assert scores == pytest.approx({"accuracy": row["accuracy"], "f1": row["macro_f1"]}, abs=1e-4)
    assert card.data.get("library_name") == "peft" and card.data.get("pipeline_tag") == "text-classification"
    # A folder of this machine is no model of a hub's: the card says so, and does not say which it is.
    assert card.data.get("base_model") is None and str(Path(study.config.model.name).parent) not in card.content
    assert "Before the prompt is pushed" in card.content
    facts = replace(PromptFacts.load(folder), model={"name": "google/flan-t5-base"})
    named = ModelCard(model_card(facts, study.config, True))
    assert named.data.get("base_model") == "google/flan-t5-base" and "Before the prompt is pushed" not in named.content
    start = ModelCard(model_card(replace(facts, scored_rows="other_seeds rows"), study.config, False))
    assert start.data.eval_results is None, "only scores on test rows are results"


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.parametrize("layout", ["llama-prefix", "gpt2-prefix", "t5-encoder", "bart-encoder"])
def test_peft_says_the_same(studies: dict[str, tuple[Study, Path]], layout: str) -> None:
    """The adapter as PEFT reads it, row by row, without padding."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    study, folder = studies[layout]
    texts, _ = test_rows_of(study)
    backbone = study.backbone
    pattern = backbone.pattern(study.tasks["mood"], "mood")
    auto = AutoModelForCausalLM if backbone.placement == "prefix" else AutoModelForSeq2SeqLM
    model = PeftModel.from_pretrained(auto.from_pretrained(study.config.model.name), folder).eval()
    words = [[word[0].token for word in own] for own in pattern.verbalizer.words]
    ours = list(Classifier(folder, dtype="float32").classify(texts))
    for (ids, position), prediction in zip(backbone.layout.rows(texts, pattern), ours, strict=True):
        given = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
        if backbone.placement == "prefix":
            logits = model(**given).logits[0, -1]
            assert position == len(ids) - 1
        else:
            start = torch.tensor([list(backbone.decoder_start)])  # type: ignore[attr-defined]
            logits = model(**given, decoder_input_ids=start).logits[0, -1]
        scores = torch.stack([logits[own].logsumexp(0) for own in words])
        assert scores.softmax(0).tolist() == pytest.approx(list(prediction.probabilities.values()), abs=1e-5)


@pytest.mark.parametrize("layout", [f"{kind}-{placement}" for kind, placement in LAYOUTS])
def test_an_adapter_is_there_where_peft_has_the_layout_and_comes_in_again(
    studies: dict[str, tuple[Study, Path]], layout: str
) -> None:
    study, folder = studies[layout]
    key = (study.family, study.placement)
    assert (folder / "adapter_config.json").exists() == (key in TASK_TYPES)
    if key in TASK_TYPES:
        tensor = find_adapter(str(folder), "prompt.init").read()
        assert torch.equal(tensor, study.fewshot("MetaPT", "mood").tensors("prompts")["data_seed_2"])
    head = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---")[1])
    assert ("library_name" in head) == (key in TASK_TYPES)


# ---------------------------------------------------------------------------------- which prompt


def test_the_pretrained_prompt_itself(studies: dict[str, tuple[Study, Path]], tmp_path: Path) -> None:
    study, _ = studies["llama-suffix"]
    files = export_prompt(study.workspace, Chosen("tiny", "MetaPT"), tmp_path / "start")
    assert [file.name for file in files] == ["prompt.safetensors", "prompt.json", "README.md"]
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
        (Chosen("tiny", "MetaPTT", "mood"), "Did you mean 'MetaPT'"),
        (Chosen("tiny", "MetaPT", "question"), "has no score on 'question'"),
        (Chosen("tiny", "MetaPT", "mood", 3), "Data seed 3 is none"),
        (Chosen("tiny", "MetaPT", "mood", None, 5), "Initialisation seed 5 is none"),
        (Chosen("tiny", "PPT"), "is not finished"),
        (Chosen("tyni", "PPT"), "Did you mean 'tiny'"),
    ],
)
def test_a_prompt_that_is_not_there(
    studies: dict[str, tuple[Study, Path]], tmp_path: Path, chosen: Chosen, told: str
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
        export_prompt(study.workspace, Chosen("tiny", "PT", "mood"), tmp_path / "out")


@pytest.mark.parametrize("kind", ["llama", "bert"])
def test_a_probe_goes_with_the_prompt(kind: str, world: Path, tmp_path: Path) -> None:
    model = tiny.make_language_model(tmp_path / kind, kind)
    tree = tiny.study_tree(
        world, model={"name": str(model)}, verbalizer={"read": "probe_ensemble"}, evaluation={**SMALL, "shots": 8}
    )
    study = Study(parse(StudyConfig, tree, "test"), tmp_path / "w")
    evaluation = study.fewshot("PT", "mood")
    texts, labels = test_rows_of(study)
    for seed, record in evaluation.table("results").set_index("data_seed").iterrows():
        folder = tmp_path / f"out {seed}"
        files = export_prompt(study.workspace, Chosen("tiny", "PT", "mood", int(str(seed))), folder)
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
        export_prompt(study.workspace, Chosen("tiny", "PT", "mood", 2), tmp_path / "turned")
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


# -------------------------------------------------------------------------------------- the shell


def test_lines_come_out_as_they_go_in(
    studies: dict[str, tuple[Study, Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    study, folder = studies["llama-suffix"]
    texts, _ = test_rows_of(study)
    classify_lines(io.StringIO("\n".join([texts[0], "", texts[1]])), folder)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    expected = list(Classifier(folder).classify(texts[:2]))
    assert [line["label"] for line in lines] == [expected[0].label, None, expected[1].label]
    assert lines[0]["probabilities"] == pytest.approx(expected[0].probabilities, abs=1e-5)
    classify_lines(io.StringIO(texts[0] + "\r\n\n"), folder, ClassifyOptions(labels_only=True))
    assert capsys.readouterr().out.splitlines() == [expected[0].label, ""]


@pytest.mark.parametrize("calibration", ["batch_mean", "content_free"])
def test_calibration_takes_off_what_is_always_said(studies: dict[str, tuple[Study, Path]], calibration: Any) -> None:
    study, folder = studies["llama-suffix"]
    texts, _ = test_rows_of(study)
    plain = torch.tensor([list(p.probabilities.values()) for p in Classifier(folder, dtype="float32").classify(texts)])
    classifier = Classifier(folder, calibration, dtype="float32")
    found = torch.tensor([list(p.probabilities.values()) for p in classifier.classify(texts)])
    nothing = plain
    if calibration == "content_free":
        nothing = torch.tensor(
            [
                list(p.probabilities.values())
                for p in Classifier(folder, dtype="float32").classify(["N/A", "nothing", "..."])
            ]
        )
    by_hand = plain / nothing.mean(0)
    assert torch.allclose(found, by_hand / by_hand.sum(1, keepdim=True), atol=1e-5)


def test_a_folder_that_is_none_and_a_model_that_has_changed(
    studies: dict[str, tuple[Study, Path]], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="holds no prompt"):
        Classifier(tmp_path)
    _, folder = studies["llama-suffix"]
    facts = json.loads((folder / "prompt.json").read_text(encoding="utf-8"))
    for name in ("prompt.safetensors",):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    write_json(tmp_path / "prompt.json", {**facts, "format": 9})
    with pytest.raises(UserError, match="format 9"):
        Classifier(tmp_path)
    write_json(tmp_path / "prompt.json", {**facts, "model_hash": "other"})
    assert "not those that the prompt was made for" in Classifier(tmp_path).notes[0]
    with pytest.raises(UserError, match="--calibration"):
        classify_lines([], folder, ClassifyOptions(calibration="batchmean"))


def test_the_commands(studies: dict[str, tuple[Study, Path]], tmp_path: Path) -> None:
    study, folder = studies["llama-suffix"]
    words = [sys.executable, "-m", "metapt_explore"]
    out = tmp_path / "out"
    chosen = ["--method", "MetaPT", "--task", "mood", "--data-seed", "2", "--out", str(out)]
    done = subprocess.run(
        [*words, "export", "tiny", *chosen, "--workspace", str(study.workspace.folder)],
        capture_output=True, text=True, check=True,
        encoding="utf-8",
    )  # fmt: skip
    assert done.stdout.splitlines()[0] == str(out / "prompt.safetensors")
    assert (out / "prompt.json").read_text(encoding="utf-8") == (folder / "prompt.json").read_text(encoding="utf-8")
    told = subprocess.run(
        [*words, "classify", "--prompt", str(out), "--labels-only"],
        input="a good book\n", capture_output=True, text=True, check=True,
        encoding="utf-8",
    )  # fmt: skip
    assert told.stdout.strip() in ("negative", "positive")


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
    export_prompt(study.workspace, Chosen("tiny", "PT", "mood", 1), out)
    assert {file.name for file in out.iterdir()} == {"prompt.json", "prompt.safetensors", "README.md", "mine.txt"}
    file = Path(study.config.evaluation.tasks[0])
    before = file.read_text(encoding="utf-8")
    file.write_text(yaml.safe_dump({**yaml.safe_load(before), "template": "{text} Mood :"}), encoding="utf-8")
    with pytest.raises(UserError, match="another template or other words than those the prompt was tuned with"):
        export_prompt(study.workspace, Chosen("tiny", "PT", "mood", 1), out)
    file.write_text(before, encoding="utf-8")
    export_prompt(study.workspace, Chosen("tiny", "PT", "mood", 1), out)


def test_texts_that_are_no_utf_8_are_named(studies: dict[str, tuple[Study, Path]], tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("a good book\ncaf\u00e9\n".encode("latin-1"))
    with (tmp_path / "latin.txt").open(encoding="utf-8") as lines, pytest.raises(UserError, match="are not UTF-8"):
        classify_lines(lines, studies["llama-suffix"][1])
    through = (tmp_path / "latin.txt").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    with pytest.raises(UserError, match="Line 2: the texts are not UTF-8"):
        classify_lines(through, studies["llama-suffix"][1])
