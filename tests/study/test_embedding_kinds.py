"""Vectors of every make, clustered by every algorithm, in tiny studies; what depends on them works or is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny
from fake_pipeline import fake_pipeline
from sklearn.metrics import adjusted_rand_score

from metapt_explore.clusters.model_vectors import model_vectors, standardised
from metapt_explore.config import StudyConfig, parse
from metapt_explore.config.embeddings import runs_encoder
from metapt_explore.config.task import SourceConfig
from metapt_explore.cost.count import Reckoning, Work
from metapt_explore.errors import UserError
from metapt_explore.stages.clusters import Clusters
from metapt_explore.stages.embeddings import Embeddings
from metapt_explore.study.study import Study
from metapt_explore.texts.rows import as_inputs
from metapt_explore.texts.sources import load_source

ALGORITHMS: dict[str, dict[str, Any]] = {
    "kmeans": {"n_clusters": 4},
    "minibatch_kmeans": {"n_clusters": 4},
    "agglomerative": {"n_clusters": 4},
    "gaussian_mixture": {"n_clusters": 4},
    "hdbscan": {"min_cluster_size": 4, "min_samples": 1, "outliers": "nearest_centroid"},
    "lda": {"n_clusters": 4},
    "known_groups": {},
    "one_pool": {},
}
CLUSTERINGS = [
    *({"name": name, "algorithm": name, "dimensions": 6, **settings} for name, settings in ALGORITHMS.items()),
    {"name": "random", "algorithm": "random_groups", "like": "kmeans"},
    {"name": "edited", "algorithm": "edited", "like": "kmeans", "edits": [{"merge": [0, 1]}]},
]


def study_of(world: Path, folder: Path, embeddings: Any, **changes: Any) -> Study:
    tree = tiny.study_tree(world, methods=[{"name": "PT", "kind": "pt"}], embeddings=embeddings, **changes)
    return Study(parse(StudyConfig, tree, "test"), folder)


def topic_vectors(world: Path, folder: Path) -> tuple[Path, np.ndarray]:
    """Vectors that lie around a direction for each topic, one for each row of the source; and the topics."""
    rows = load_source(parse(StudyConfig, tiny.study_tree(world), "test").texts).to_pandas()
    topics = pd.factorize(rows["group"])[0]
    vectors = np.eye(8)[topics] + 0.1 * np.random.default_rng(0).normal(size=(len(rows), 8))
    np.save(folder / "own.npy", vectors)
    return folder / "own.npy", topics


@pytest.mark.parametrize("kind", ["encoder", "tfidf", "model_states", "file"])
def test_every_algorithm_clusters_vectors_of_every_make(world: Path, tmp_path: Path, kind: str) -> None:
    file, topics = topic_vectors(world, tmp_path)
    embeddings = {"kind": kind, **({"file": str(file)} if kind == "file" else {})}
    study = study_of(world, tmp_path / "w", embeddings, clusterings=CLUSTERINGS)
    study.check_settings()
    vectors = study.embeddings().tensors("embeddings")["embeddings"].numpy()
    assert vectors.dtype == np.float32 and np.isfinite(vectors).all() and len(vectors) == 160
    for clustering in study.config.clusterings:
        found = study.clusters(clustering.name)
        labels = found.table("clusters")["cluster"].to_numpy()
        assert len(labels) == 160 and found.summary["clusters"], clustering.name
        if clustering.probabilities:
            probabilities = study.memberships(clustering.name)
            assert probabilities.shape == (160, found.summary["quality"]["n_clusters"])
        if kind == "file" and clustering.name in ("kmeans", "agglomerative", "gaussian_mixture", "hdbscan"):
            assert adjusted_rand_score(topics[study.texts().table("texts")["source_row"]], labels) > 0.9
    assert study.map("kmeans")["cluster"].nunique() == 4 and len(study.request("tsne").table("positions")) == 160


def test_own_vectors_follow_their_texts_where_some_are_dropped(world: Path, tmp_path: Path) -> None:
    """By place in the source, by an id of both files, and by the text."""
    rows = load_source(parse(StudyConfig, tiny.study_tree(world), "test").texts).to_pandas()
    test_row = load_source(SourceConfig(file=str(world / "mood.jsonl")))[0]["text"]
    texts = ["too short", test_row, rows["text"][0], *rows["text"]]  # dropped: short, a leak; its copy is a duplicate
    table = pd.DataFrame({"text": texts, "label": [*rows["label"][:3], *rows["label"]], "number": range(len(texts))})
    table.to_csv(tmp_path / "more.csv", index=False)
    vectors = np.random.default_rng(1).normal(size=(len(texts), 5)).astype(np.float32)
    np.save(tmp_path / "own.npy", vectors)
    vectors[3] = vectors[2]  # of one text
    order = np.random.default_rng(2).permutation(len(texts))
    pd.DataFrame({"number": order, "words": [texts[row] for row in order], "vector": list(vectors[order])}).to_parquet(
        tmp_path / "own.parquet"
    )
    source = {"file": str(tmp_path / "more.csv"), "columns": {"text": "text", "label": "label"}}
    made = []
    for number, more in enumerate(({}, {"id": "number"}, {"text": "words"})):
        file = tmp_path / ("own.parquet" if more else "own.npy")
        embeddings = {"kind": "file", "file": str(file), **more}
        study = study_of(world, tmp_path / f"w{number}", embeddings, texts=source)
        kept = study.texts().table("texts")["source_row"].to_numpy()
        assert len(kept) < len(texts) and not {0, 1, 3} & set(kept.tolist())
        made.append(study.embeddings().tensors("embeddings")["embeddings"].numpy())
        np.testing.assert_array_equal(made[-1], vectors[kept])


def test_what_does_not_fit_is_refused_before_anything_is_computed(world: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "own.npy", np.ones((7, 3)))
    study = study_of(world, tmp_path / "w", {"kind": "file", "file": str(tmp_path / "own.npy")})
    for until in ("all", "clusters", "memberships"):
        with pytest.raises(UserError, match=r"own\.npy holds 7 vectors, and the texts' source has 160 rows"):
            study.run(until=until)
    assert not [folder for folder in (tmp_path / "w").rglob("stage.json")]


def test_content_and_settings_are_the_id(world: Path, tmp_path: Path) -> None:
    file, _ = topic_vectors(world, tmp_path)
    own = {"kind": "file", "file": str(file)}
    tfidf = {"kind": "tfidf", "dimensions": 20}
    every = (None, "encoder", "tfidf", tfidf, "model_states", {"kind": "model_states", "layer": "last"}, own)
    ids = [
        study_of(world, tmp_path / "w", embeddings or "encoder").config.embeddings.kind
        and Embeddings(study_of(world, tmp_path / "w", embeddings or "encoder")).id
        for embeddings in every
    ]
    assert ids[0] == ids[1] and len(set(ids)) == len(ids) - 1
    plain = Study(parse(StudyConfig, tiny.study_tree(world), "test"), tmp_path / "w")
    assert Embeddings(plain).id == ids[0] and "kind" not in Embeddings(plain).config()
    np.save(file, np.load(file) + 1)
    assert Embeddings(study_of(world, tmp_path / "w", own)).id != ids[-1]
    assert Clusters(study_of(world, tmp_path / "w", own), "kmeans").id not in ids


def test_states_are_the_models_and_a_stop_changes_nothing(world: Path, tmp_path: Path) -> None:
    import torch
    from kept import KeptInMemory, StopAt

    from metapt_explore.clusters import model_vectors as module
    from metapt_explore.errors import Cancelled

    study = study_of(world, tmp_path, "model_states")
    texts = as_inputs(study.texts().table("texts"))[:20]
    backbone = study.backbone
    for layer, place in (("middle", 1), ("last", -1)):
        by_hand = []
        for text in texts:
            layout = backbone.layout
            ids = [*layout.special_before, *layout.bare_tokens([text])[0], *layout.special_after]
            with torch.no_grad():
                states = backbone.model(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states
            by_hand.append(states[max(1, (len(states) - 1) // 2) if place == 1 else -1][0].mean(0).numpy())
        wanted = np.stack(by_hand)
        wanted = (wanted - wanted.mean(axis=0)) / wanted.std(axis=0)
        np.testing.assert_allclose(model_vectors(backbone, texts, layer), wanted, atol=1e-3)  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", 8)
        whole, kept = model_vectors(backbone, texts), KeptInMemory()
        with pytest.raises(Cancelled):
            model_vectors(backbone, texts, on_rows=StopAt(3), record=kept)
        rest = StopAt(None)
        np.testing.assert_array_equal(model_vectors(backbone, texts, on_rows=rest, record=kept), whole)
        assert rest.calls == 2
    assert (standardised(np.ones((3, 2))) == 0).all()


def test_a_classifier_of_labels_keeps_the_encoder(world: Path) -> None:
    train = {"file": str(world / "mood.jsonl"), "columns": {"text": "text", "label": "label"}}
    tree = tiny.study_tree(world, embeddings="tfidf", labelling={"by": "classifier", "train": train})
    study = fake_pipeline(parse(StudyConfig, tree, "test"))
    first, second = Embeddings.asked(study, ())
    assert (first.key, first.uses, second.key, second.uses) == (
        "embeddings",
        "nothing",
        "embeddings/encoder",
        "encoder",
    )
    assert "tfidf" in str(first.config()) and "max_tokens" in second.config() and runs_encoder(study.config)
    del tree["embeddings"]
    assert [stage.key for stage in Embeddings.asked(fake_pipeline(parse(StudyConfig, tree, "t")), ())] == ["embeddings"]


def test_what_is_not_run_is_neither_looked_for_nor_counted(world: Path, tmp_path: Path) -> None:
    study = study_of(world, tmp_path, "tfidf", encoder={"name": str(tmp_path / "no-encoder")})
    study.check_settings()
    assert not runs_encoder(study.config)
    reckoning = Reckoning.of(study.config)
    assert Embeddings(study).work(reckoning) == Work()
    states = study_of(world, tmp_path, "model_states")
    assert Embeddings(states).work(Reckoning.of(states.config)).encoded > 0
    baselines = [{"name": "probe", "kind": "linear_probe"}]
    with pytest.raises(UserError, match="no-encoder"):
        study_of(world, tmp_path, "tfidf", encoder={"name": str(tmp_path / "no-encoder")}, baselines=baselines
                 ).check_settings()  # fmt: skip
