"""An exported prompt gives the predictions that the study saw: by our command and by PEFT."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from layouts import LAYOUTS, rows_on_test

from metapt_explore.export.card import model_card
from metapt_explore.export.classify import Classifier
from metapt_explore.export.facts import PromptFacts
from metapt_explore.export.peft_format import TASK_TYPES
from metapt_explore.prompts.load import find_adapter
from metapt_explore.study.study import Study


@pytest.mark.parametrize("layout", [f"{kind}-{placement}" for kind, placement in LAYOUTS])
def test_predictions_are_those_of_the_study(studies: dict[str, tuple[Study, Path]], layout: str) -> None:
    study, folder = studies[layout]
    texts, labels = rows_on_test(study)
    found = list(Classifier(folder, dtype="float32").classify(texts, batch=5))
    right = sum(prediction.label == label for prediction, label in zip(found, labels, strict=True)) / len(labels)
    results = study.fewshot("MetaPT", "mood").table("results").set_index("data_seed")
    assert right == pytest.approx(results.loc[2, "accuracy"])
    assert all(sum(prediction.probabilities.values()) == pytest.approx(1.0) for prediction in found)
    loss = -sum(
        torch.tensor(p.probabilities[label]).log() for p, label in zip(found, labels, strict=True)
    ) / len(labels)  # fmt: skip
    assert float(loss) == pytest.approx(results.loc[2, "test_loss"], abs=1e-5)


def test_the_card_is_one_that_a_hub_reads(studies: dict[str, tuple[Study, Path]], tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    study, folder = studies["llama-prefix"]
    card = ModelCard((folder / "README.md").read_text(encoding="utf-8"))
    row = study.fewshot("MetaPT", "mood").table("results").set_index("data_seed").loc[2]
    assert card.data.eval_results is not None
    scores = {(found.dataset_split, found.metric_type): found.metric_value for found in card.data.eval_results}
    recorded = {
        ("test", "accuracy"): "accuracy",
        ("test", "f1"): "macro_f1",
        ("validation", "accuracy"): "dev_accuracy",
    }
    assert scores == pytest.approx({key: row[column] for key, column in recorded.items()}, abs=1e-4)
    assert {found.task_type for found in card.data.eval_results} == {"text-classification"}
    assert {found.dataset_type for found in card.data.eval_results} == {"mood"}
    assert all("data seed 2" in found.dataset_name for found in card.data.eval_results)
    assert card.data.get("library_name") == "peft" and card.data.get("pipeline_tag") == "text-classification"
    # A folder of this machine is no model of a hub's: the card says so, and does not say which it is.
    assert card.data.get("base_model") is None and str(Path(study.config.model.name).parent) not in card.content
    assert "Before the prompt is pushed" in card.content
    facts = replace(PromptFacts.load(folder), model={"name": "google/flan-t5-base"})
    named = ModelCard(model_card(facts, study.config, with_adapter=True))
    assert named.data.get("base_model") == "google/flan-t5-base" and "Before the prompt is pushed" not in named.content
    start = ModelCard(model_card(replace(facts, scored_rows="other_seeds rows"), study.config, with_adapter=False))
    assert start.data.eval_results is None, "only scores on test rows are results"


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.parametrize(
    "layout", ["llama-prefix", "gpt2-prefix", "llama-deep", "gpt2-deep", "t5-encoder", "bart-encoder"]
)
def test_peft_says_the_same(studies: dict[str, tuple[Study, Path]], layout: str) -> None:
    """The adapter as PEFT reads it, row by row, without padding."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    study, folder = studies[layout]
    texts, _ = rows_on_test(study)
    backbone = study.backbone
    pattern = backbone.pattern(study.tasks["mood"], "mood")
    auto = AutoModelForCausalLM if backbone.left_to_right else AutoModelForSeq2SeqLM
    model = PeftModel.from_pretrained(auto.from_pretrained(study.config.model.name), folder).eval()
    words = [[word[0].token for word in own] for own in pattern.verbalizer.words]
    ours = list(Classifier(folder, dtype="float32").classify(texts))
    for (ids, position), prediction in zip(backbone.layout.rows(texts, pattern), ours, strict=True):
        given = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
        if backbone.left_to_right:
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
