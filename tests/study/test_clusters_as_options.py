"""`unified` under `cluster_classes`: a task's own words as options, as an unmodified model reads them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from format_world import FORMATS, config_of
from transformers import AutoModelForCausalLM

from metapt_explore.config import task_formats
from metapt_explore.models.scoring import score_all
from metapt_explore.stages.common_start import CommonStart
from metapt_explore.stages.format_rows import FormatRows
from metapt_explore.stages.prompt import Prompt
from metapt_explore.stages.task_patterns import read_patterns
from metapt_explore.study.study import Study
from metapt_explore.texts.rows import as_inputs

#: Stand for A, B, C, D, which the tiny tokenizer does not know.
LETTERS = ["good", "bad", "negative", "positive"]


@pytest.fixture
def studies(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Study, Study]:
    """The same study with a word and with a letter as the answer."""
    monkeypatch.setattr(task_formats, "LETTERS", LETTERS)
    plain, unified = (config_of(world, tmp_path, [{**FORMATS[1], **more}]) for more in ({}, {"unified": True}))
    return Study(plain, tmp_path / "workspace"), Study(unified, tmp_path / "workspace")


def test_tasks_are_the_same_and_prompts_are_not(studies: tuple[Study, Study]) -> None:
    """Old ids stay what they are where options are not asked for."""
    plain, unified = studies
    tasks = [each.tasks_of(each.config.method("MetaPT")) for each in studies]
    assert tasks[0].id == tasks[1].id
    prompts = [Prompt(each, each.config.method("MetaPT"), 0) for each in studies]
    assert prompts[0].artifact.id != prompts[1].artifact.id
    assert "unified" not in json.dumps(prompts[0].config()) and "unified" in json.dumps(prompts[1].config())
    before, after = (read_patterns(each.config, tasks[0], unified.backbone) for each in studies)
    assert after.words == before.words, "what stands for a class is the same"
    assert unified.prompt("MetaPT").status == "done" and plain.prompt("MetaPT").id == prompts[0].artifact.id


def test_scores_are_those_of_an_unmodified_model(studies: tuple[Study, Study], world: Path) -> None:
    """Text, prompt, options in the task's drawn order and template, in that order (placement `suffix`)."""
    _, study = studies
    reading = read_patterns(study.config, study.tasks_of(study.config.method("MetaPT")), study.backbone)
    inputs = as_inputs(FormatRows(study).artifact.table("texts"))
    prompt = study.make(CommonStart.of(study, 0)).tensors("prompt")["prompt"]
    model = AutoModelForCausalLM.from_pretrained(world / "lm", attn_implementation="eager", dtype=torch.float32)
    embed = model.get_input_embeddings()

    def ids(text: str) -> list[int]:
        return list(study.backbone.tokenizer(text, add_special_tokens=False)["input_ids"])

    for task, of_class in reading.tasks.items():
        text = inputs[next(iter(of_class.values()))[0]]
        assert isinstance(text, str)
        options = zip(LETTERS, reading.words[str(task)], strict=False)
        behind = "\n".join(["", *(f"{letter}. {word}" for letter, word in options), "Topic:"])
        row = ids(text)[: study.config.model.max_text_tokens]
        with torch.no_grad():
            whole = torch.cat([embed(torch.tensor(row)), prompt, embed(torch.tensor(ids(behind)))])[None]
            logits = model(inputs_embeds=whole, use_cache=False).logits[0, -1]
        by_hand = logits[[ids(letter)[0] for letter in LETTERS[: len(of_class)]]]
        pattern = reading.pattern_of(task)
        (scores,) = score_all(study.backbone, prompt[None], study.backbone.bank([text], pattern), pattern=pattern)
        torch.testing.assert_close(scores[0].log_softmax(0), by_hand.log_softmax(0), atol=1e-4, rtol=1e-4)
