"""The rivals' architectures by hub names: tiny random MPNet, DeBERTa and XLM-R models in a cache made by hand.

Their weights could never be had here; what loads them is the very path of a name of the hub.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
import transformers
from huggingface_hub import constants

from metapt_explore.baselines.sentence_pairs import load_classifier
from metapt_explore.baselines.static_embeddings import static_folder
from metapt_explore.clusters.embed import load_encoder
from metapt_explore.config import EncoderConfig, ModelConfig
from metapt_explore.models.load import load_backbone

COMMIT = "c" * 40
TEXTS = ["a good camera", "this book was boring and old"]
SHAPE: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
Put = Callable[[str, Callable[[Path], object]], str]


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Put:
    """Puts a model into the hub's local cache under a name, and returns the name."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def fill(name: str, write: Callable[[Path], object]) -> str:
        folder = tmp_path / "hub" / "--".join(["models", *name.split("/")])
        snapshot = folder / "snapshots" / COMMIT
        snapshot.mkdir(parents=True)
        (folder / "blobs").mkdir()
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text(COMMIT, encoding="utf-8")
        write(snapshot)
        return name

    return fill


def write(folder: Path, kind: str, head: str, **more: Any) -> None:
    """A tiny random model with a tokenizer of BERT's kind."""
    torch.manual_seed(0)
    words = tiny.tokenizer("bert")
    config = transformers.AutoConfig.for_model(kind, vocab_size=len(words), **SHAPE, **more)
    model = getattr(transformers, head).from_config(config)
    model.save_pretrained(folder)
    words.save_pretrained(folder)


def write_mpnet(folder: Path) -> None:
    """As sentence-transformers/all-mpnet-base-v2: its files call it a masked model, pooling stands beside them."""
    write(folder, "mpnet", "AutoModelForMaskedLM")
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 24, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling), encoding="utf-8")


def test_mpnet_as_encoder_and_as_language_model(put: Put) -> None:
    name = put("sentence-transformers/all-mpnet-base-v2", write_mpnet)
    encoder = load_encoder(EncoderConfig(name=name, max_tokens=32), "cpu")
    vectors = encoder.embed(TEXTS)
    for text, vector in zip(TEXTS, vectors, strict=True):
        batch = encoder.tokenizer([text], return_tensors="pt")
        hidden = encoder.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
        mean = hidden.last_hidden_state[0].mean(0).detach().numpy()
        assert vector == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)
    assert type(encoder.model).__name__ == "MPNetModel"
    config = ModelConfig(name=name, family="sentence", device="cpu", dtype="float32", max_text_tokens=16)
    assert load_backbone(config, prompt_tokens=4).width == 24


@pytest.mark.parametrize(
    ("name", "kind", "architecture", "labels"),
    [
        ("MoritzLaurer/deberta-v3-base-zeroshot-v2.0", "nli", "deberta-v2", ["entailment", "not_entailment"]),
        ("BAAI/bge-reranker-base", "reranker", "xlm-roberta", ["LABEL_0"]),
        ("cross-encoder/ms-marco-MiniLM-L6-v2", "reranker", "bert", ["LABEL_0"]),
    ],
)
def test_classifiers_of_pairs(put: Put, name: str, kind: str, architecture: str, labels: list[str]) -> None:
    options: dict[str, Any] = {
        "id2label": dict(enumerate(labels)),
        "label2id": {each: i for i, each in enumerate(labels)},
    }
    if architecture == "deberta-v2":
        options |= {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8}
    put(name, lambda folder: write(folder, architecture, "AutoModelForSequenceClassification", **options))
    found = load_classifier(EncoderConfig(name=name, max_tokens=32), "cpu", kind=kind)
    assert type(found.model).__name__.endswith("ForSequenceClassification")
    batch = found.tokenizer([TEXTS[0]], [TEXTS[1]], return_tensors="pt")
    with torch.no_grad():
        said = found.model(**batch).logits
    assert said.shape == (1, len(labels)) and bool(torch.isfinite(said).all())
    assert found.output == 0


def test_a_static_model(put: Put) -> None:
    model2vec = pytest.importorskip("model2vec")
    words = tiny.tokenizer().backend_tokenizer
    vectors = np.random.default_rng(0).normal(size=(words.get_vocab_size(), 12)).astype(np.float32)
    name = put(
        "minishlab/potion-base-8M",
        lambda folder: model2vec.StaticModel(vectors, words, normalize=True).save_pretrained(folder),
    )
    assert static_folder(name).name == COMMIT
