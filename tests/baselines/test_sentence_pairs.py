"""Zero-shot by NLI models and rerankers, against transformers' own pipeline and the plain model."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from small_inputs import inputs_of
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertForSequenceClassification, ZeroShotClassificationPipeline

from metapt_explore.baselines.inputs import BaselineInputs
from metapt_explore.baselines.registry import check_files
from metapt_explore.baselines.sentence_pairs import load_classifier, nli, reranker
from metapt_explore.config import EncoderConfig, StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.models.scoring import calibrated
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study

NLI = {0: "CONTRADICTION", 1: "ENTAILMENT", 2: "NEUTRAL"}


def make_classifier(folder: Path, labels: dict[int, str], seed: int = 0) -> Path:
    """Writes a tiny random classifier of text pairs, with a tokenizer that writes pairs as BERT's does."""
    torch.manual_seed(seed)
    words = tiny.tokenizer("bert")
    cls, sep = words.convert_tokens_to_ids(["[CLS]", "[SEP]"])
    words.backend_tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", cls), ("[SEP]", sep)],
    )
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.5,
        id2label=labels,
        label2id={label: index for index, label in labels.items()},
    )
    model = BertForSequenceClassification(config)
    with torch.no_grad():
        model.classifier.weight *= 20  # so that sentences are told apart
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classifiers")
    make_classifier(folder / "nli", NLI)
    make_classifier(folder / "reranker", {0: "LABEL_0"})
    return folder


def classifier_inputs(world: Path, folder: Path, kind: str, **options: Any) -> BaselineInputs:
    """Inputs as the stage gives them: the classifier stands where the study's encoder does."""
    inputs = inputs_of(world, kind, settings={"model": str(folder), "max_tokens": 32, **options})
    baseline = inputs.study.baseline("b")
    return replace(inputs, study=inputs.study.model_copy(update={"encoder": baseline.encoder_in(inputs.study.encoder)}))


def test_nli_is_transformers_zero_shot_pipeline(world: Path, models: Path) -> None:
    inputs = classifier_inputs(world, models / "nli", "nli", hypothesis="this is so {label}", batch_size=3)
    outcome = nli(inputs)
    loaded = load_classifier(EncoderConfig(name=str(models / "nli"), max_tokens=64), "cpu", kind="nli")
    pipeline = ZeroShotClassificationPipeline(model=loaded.model, tokenizer=loaded.tokenizer)
    said: Any = pipeline(
        list(inputs.test), candidate_labels=["negative", "positive"], hypothesis_template="this is so {}"
    )
    expected = [
        [dict(zip(row["labels"], row["scores"], strict=True))[w] for w in ("negative", "positive")] for row in said
    ]
    for scored in outcome.seeds.values():
        torch.testing.assert_close(scored.scores.softmax(1), torch.tensor(expected), atol=1e-5, rtol=1e-4)
    assert torch.tensor(expected).std() > 0.01
    # Each of 12 test rows and two times 8 dev rows with two sentences.
    assert outcome.spent.forward_rows == 2 * (12 + 16) and outcome.spent.row_passes == 0


def test_a_reranker_is_the_plain_model_pair_by_pair(world: Path, models: Path) -> None:
    outcome = reranker(classifier_inputs(world, models / "reranker", "reranker", hypothesis="the {label}"))
    inputs = classifier_inputs(
        world, models / "reranker", "reranker", calibration="content_free", hypothesis="the {label}"
    )
    loaded = load_classifier(EncoderConfig(name=str(models / "reranker"), max_tokens=64), "cpu", kind="reranker")

    @torch.no_grad()
    def plain(texts: Any) -> torch.Tensor:
        rows = [
            [loaded.tokenizer(text, f"the {word}", return_tensors="pt") for word in tiny.FEELINGS] for text in texts
        ]
        return torch.tensor([[float(loaded.model(**pair).logits[0, 0]) for pair in row] for row in rows])

    torch.testing.assert_close(outcome.seeds[1].scores, plain(inputs.test), atol=1e-3, rtol=1e-4)
    free = inputs.study.verbalizer.content_free
    again = reranker(inputs)
    expected = calibrated(plain(inputs.test), plain(free))
    torch.testing.assert_close(again.seeds[1].scores, expected, atol=1e-3, rtol=1e-4)
    assert again.spent.forward_rows == outcome.spent.forward_rows + 2 * 3 * len(free)


def test_texts_are_cut_and_sentences_are_not(world: Path, models: Path) -> None:
    loaded = load_classifier(EncoderConfig(name=str(models / "nli"), max_tokens=8), "cpu", kind="nli")
    long = "the old camera is very good and so on"
    scores = loaded.scores([long, "the old"], sentences=["bad book", "good song"])
    # Three of eight are special tokens, two the sentence: three words of the text are left.
    torch.testing.assert_close(scores[:1], loaded.scores(["the old camera"], sentences=["bad book", "good song"]))
    assert not torch.allclose(scores[0], scores[1])


@pytest.mark.parametrize("kind", ["nli", "reranker"])
def test_a_sentence_leaves_a_token_for_the_text(world: Path, models: Path, kind: str) -> None:
    """Three special tokens and five of the sentence."""

    def run(most: int) -> Any:
        how = {"hypothesis": "this is so very {label}", "max_tokens": most}
        return {"nli": nli, "reranker": reranker}[kind](classifier_inputs(world, models / kind, kind, **how))

    with pytest.raises(
        UserError,
        match=f"task mood, baseline `{kind}`: the sentence about the class 'negative' has 8 tokens, special ones "
        r"counted, and `max_tokens: 8` leaves none for the text\. Raise `max_tokens`",
    ):
        run(8)
    assert run(9).seeds[1].scores.isfinite().all()


def test_what_a_model_cannot_do_is_said(world: Path, models: Path, tmp_path: Path) -> None:
    def checked(entry: dict[str, Any]) -> None:
        check_files(parse(StudyConfig, tiny.study_tree(world, baselines=[{"name": "N", **entry}]), "test"))

    checked({"kind": "nli", "model": str(models / "nli"), "max_tokens": 64})
    checked({"kind": "reranker", "model": str(models / "reranker"), "max_tokens": 64})
    with pytest.raises(
        UserError, match=r"baseline 'N': '.*reranker' is no model of natural language inference.*LABEL_0"
    ):
        checked({"kind": "nli", "model": str(models / "reranker"), "max_tokens": 64})
    with pytest.raises(UserError, match=r"has 3 outputs \(CONTRADICTION, ENTAILMENT, NEUTRAL\); a reranker has one"):
        checked({"kind": "reranker", "model": str(models / "nli"), "max_tokens": 64})
    with pytest.raises(UserError, match=r"`max_tokens` is 256, but '.*nli' holds 64 tokens"):
        checked({"kind": "nli", "model": str(models / "nli")})
    with pytest.raises(UserError, match=r"Cannot load the classifier 'somebody/nli'.*Or give a classifier's folder"):
        checked({"kind": "nli", "model": "somebody/nli"})
    with pytest.raises(UserError, match="There is no classifier folder /no/such"):
        checked({"kind": "nli", "model": "/no/such"})
    # A language model without such a head: transformers would make one up.
    headless = tiny.make_language_model(tmp_path / "bert", "bert")
    settings = json.loads((headless / "config.json").read_text(encoding="utf-8"))
    settings |= {"id2label": {str(index): label for index, label in NLI.items()}}
    (headless / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(UserError, match=r"baseline 'N'.*classifier"):
        checked({"kind": "nli", "model": str(headless), "max_tokens": 64})
    with pytest.raises(UserError, match=r"`hypothesis` holds no {label}"):
        checked({"kind": "nli", "model": str(models / "nli"), "hypothesis": "so it is"})
    for kind, name in (("nli", "MoritzLaurer/deberta"), ("reranker", "BAAI/bge-reranker")):
        with pytest.raises(UserError, match=f"Cannot load the classifier '{name}"):
            checked({"kind": kind})


def test_files_are_in_the_id_and_their_place_is_not(world: Path, models: Path, tmp_path: Path) -> None:
    def baseline(folder: Path, workspace: str, **settings: Any) -> Any:
        entry = {"name": "N", "kind": "nli", "model": str(folder), "max_tokens": 64, **settings}
        tree = tiny.study_tree(world, methods=[{"name": "PT", "kind": "pt"}], baselines=[entry])
        return Study(tree, tmp_path / workspace).baseline("N", "mood")

    first = baseline(models / "nli", "a")
    assert first.summary["runs"] == f"sequence classifier {models / 'nli'}" and first.summary["row_passes"] == 0
    assert set(first.table("results")["data_seed"]) == {1, 2} and Workspace(tmp_path / "a")
    moved = shutil.copytree(models / "nli", tmp_path / "moved")
    assert baseline(moved, "b").id == first.id
    assert baseline(models / "nli", "c", hypothesis="It is {label}.").id != first.id
    assert baseline(make_classifier(tmp_path / "other", NLI, seed=1), "d").id != first.id
