"""How a sentence encoder pools: read from its files, computed by hand, and part of what a stage is asked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch

from metapt_explore.clusters.embed import embed
from metapt_explore.config import EncoderConfig, LabelsConfig, ModelConfig, StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.models.load import load_backbone
from metapt_explore.models.pooling import Pooling, read_pooling
from metapt_explore.models.scoring import score_all
from metapt_explore.study.study import Study

TEXTS = ["the camera is good", "a book", "my old oven was really bad and broken"]
KINDS = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token", "max": "pooling_mode_max_tokens"}
TYPE = "sentence_transformers.models."


def with_files(source: Path, folder: Path, pooling: dict[str, Any], *more: str, longest: int | None = None) -> Path:
    """A copy of an encoder with the files that sentence-transformers writes."""
    shutil.copytree(source, folder)
    kinds = ["Transformer", "Pooling", *more]
    modules = [{"path": f"{i}_{kind}" if i else "", "type": TYPE + kind} for i, kind in enumerate(kinds)]
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 24, **pooling}), encoding="utf-8"
    )
    (folder / "sentence_bert_config.json").write_text(
        json.dumps({"max_seq_length": longest, "do_lower_case": False}), encoding="utf-8"
    )
    return folder


def switches(mode: str) -> dict[str, bool]:
    return {key: name == mode for name, key in KINDS.items()}


def by_hand(folder: Path, mode: str, longest: int = 128) -> torch.Tensor:
    """Each text by itself through the unmodified encoder: no padding, no batch."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    rows = []
    for text in TEXTS:
        batch = tokenizer(text, truncation=True, max_length=longest, return_tensors="pt")
        with torch.no_grad():
            hidden = model(**batch).last_hidden_state[0]
        rows.append({"mean": hidden.mean(0), "cls": hidden[0], "max": hidden.max(0).values}[mode])
    return torch.stack(rows)


@pytest.mark.parametrize("mode", KINDS)
@pytest.mark.parametrize("normalise", [True, False])
def test_embeddings_are_pooled_as_the_files_say(mode: str, normalise: bool, world: Path, tmp_path: Path) -> None:
    more = ["Dropout", *(["Normalize"] if normalise else [])]
    folder = with_files(world / "encoder", tmp_path / "encoder", switches(mode), *more)
    expected = by_hand(folder, mode)
    if normalise:
        expected = torch.nn.functional.normalize(expected, dim=1)
    found = torch.from_numpy(embed(TEXTS, EncoderConfig(name=str(folder))))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_without_files_it_is_the_unit_mean_as_ever(world: Path, tmp_path: Path) -> None:
    plain = embed(TEXTS, EncoderConfig(name=str(world / "encoder")))
    unit = torch.nn.functional.normalize(by_hand(world / "encoder", "mean"), dim=1)
    torch.testing.assert_close(torch.from_numpy(plain), unit, atol=1e-5, rtol=1e-4)
    assert read_pooling(world / "encoder", "encoder") == Pooling()
    # The commonest files say the same, to the bit.
    usual = with_files(world / "encoder", tmp_path / "usual", switches("mean"), "Normalize", longest=256)
    assert read_pooling(usual, "usual") == Pooling(longest=256)
    assert (embed(TEXTS, EncoderConfig(name=str(usual))) == plain).all()


def test_texts_are_cut_to_what_the_encoder_was_made_for(world: Path, tmp_path: Path) -> None:
    folder = with_files(world / "encoder", tmp_path / "encoder", switches("mean"), "Normalize", longest=5)
    expected = torch.nn.functional.normalize(by_hand(folder, "mean", longest=5), dim=1)
    found = torch.from_numpy(embed(TEXTS, EncoderConfig(name=str(folder))))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["pooling_mode", "pooling_mode_lasttoken"])
def test_newer_names_and_unknown_ones(name: str, world: Path, tmp_path: Path) -> None:
    known = with_files(world / "encoder", tmp_path / "known", {"pooling_mode": "cls"})
    assert read_pooling(known, "known").mode == "cls"
    value = "lasttoken" if name == "pooling_mode" else True
    unknown = with_files(world / "encoder", tmp_path / "unknown", {name: value})
    with pytest.raises(UserError, match=r"'unknown' pools its tokens by lasttoken \(1_Pooling/config\.json\)"):
        read_pooling(unknown, "unknown")


def test_what_cannot_be_computed_is_refused(world: Path, tmp_path: Path) -> None:
    both = with_files(world / "encoder", tmp_path / "both", {key: True for key in list(KINDS.values())[:2]})
    with pytest.raises(UserError, match="by mean_tokens and cls_token"):
        read_pooling(both, "both")
    dense = with_files(world / "encoder", tmp_path / "dense", switches("cls"), "Dense")
    with pytest.raises(UserError, match=r"'.*dense' has a step that cannot be computed here \(Dense"):
        embed(TEXTS, EncoderConfig(name=str(dense)))
    (both / "modules.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"modules\.json cannot be read"):
        read_pooling(both, "both")
    (both / "modules.json").write_text('{"0": 1}', encoding="utf-8")
    with pytest.raises(UserError, match="is damaged; a list"):
        read_pooling(both, "both")


# ------------------------------------------------------------------------------------ sentence family


@pytest.fixture(scope="module")
def sentence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_language_model(tmp_path_factory.mktemp("sentence") / "model", "sentence")


@pytest.mark.parametrize("mode", KINDS)
def test_the_sentence_family_pools_so_too(mode: str, sentence: Path, tmp_path: Path) -> None:
    """Every row's score is 20 × the cosine of embeddings pooled by hand, without the prompt's vectors."""
    folder = with_files(sentence, tmp_path / "model", switches(mode))
    config = ModelConfig(name=str(folder), dtype="float32", device="cpu", family="sentence", max_text_tokens=32)
    backbone = load_backbone(config, prompt_tokens=3)  # its own check compares with the full pass
    torch.testing.assert_close(
        backbone.sentence_vectors(TEXTS),
        torch.nn.functional.normalize(by_hand(folder, mode), dim=1),
        atol=1e-5,
        rtol=1e-4,
    )
    labels = LabelsConfig(template="{text}", labels={"bad": "bad camera", "good": "good book"})
    pattern = backbone.pattern(labels, "test")
    prompt = backbone.embedding[5:8].float()
    bank = backbone.bank(TEXTS, pattern)
    scores = score_all(backbone, prompt[None], bank, pattern=pattern)[0]
    for row, text in enumerate(TEXTS):
        ids = backbone.layout.rows([text], pattern)[0][0]
        whole = torch.cat([prompt, backbone.model.get_input_embeddings()(torch.tensor(ids))])[None]
        with torch.no_grad():
            hidden = backbone.model(inputs_embeds=whole).last_hidden_state[0, 3:]
        own = {"mean": hidden.mean(0), "cls": hidden[0], "max": hidden.max(0).values}[mode]
        cosines = torch.nn.functional.cosine_similarity(
            own[None], backbone.sentence_vectors(["bad camera", "good book"])
        )
        torch.testing.assert_close(scores[row].log_softmax(-1), (20 * cosines).log_softmax(-1), atol=1e-3, rtol=1e-3)


def test_a_sentence_model_says_that_it_cuts_texts(sentence: Path, tmp_path: Path) -> None:
    folder = with_files(sentence, tmp_path / "model", switches("mean"), longest=6)
    told: list[str] = []
    config = ModelConfig(name=str(folder), dtype="float32", device="cpu", max_text_tokens=32, family="sentence")
    backbone = load_backbone(config, on_notice=told.append, prompt_tokens=3)
    assert len(told) == 1 and "cut to 6 tokens" in told[0]
    assert max(map(len, backbone.layout.tokens(TEXTS))) == 6


def test_pooling_is_part_of_the_question_only_where_it_is_unusual(world: Path, sentence: Path, tmp_path: Path) -> None:
    def study(encoder: Path, model: Path) -> Study:
        changes = {"model": {"name": str(model), "family": "sentence"}, "encoder": {"name": str(encoder)}}
        return Study(parse(StudyConfig, tiny.study_tree(world, **changes), "test"), tmp_path / "workspace")

    plain = study(world / "encoder", sentence)
    assert plain.embeddings().stage["config"] == {"max_tokens": 128, "batch_size": 64}
    assert "pooling" not in plain.prompt("PT").stage["inputs"]
    encoder = with_files(world / "encoder", tmp_path / "encoder", switches("cls"), longest=100)
    model = with_files(sentence, tmp_path / "model", switches("max"))
    other = study(encoder, model)
    assert other.embeddings().stage["config"] == {
        "max_tokens": 100, "batch_size": 64, "pooling": "cls", "normalise": False,
    }  # fmt: skip
    assert other.prompt("PT").stage["inputs"]["pooling"] == "max"
