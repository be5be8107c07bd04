"""Static embeddings by hand: means of vectors out of a table that the test makes itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from huggingface_hub import constants

from metapt_explore import hub
from metapt_explore.baselines import registry
from metapt_explore.baselines.static_embeddings import static_folder
from metapt_explore.config import StudyConfig, parse
from metapt_explore.cost.count import Reckoning
from metapt_explore.errors import UserError
from metapt_explore.fewshot.logistic_regression import LogisticRegressionHead
from metapt_explore.stages.baseline import Baseline
from metapt_explore.stages.registry import count
from metapt_explore.study.check import check_study
from metapt_explore.study.study import Study
from metapt_explore.texts.rows import as_inputs

model2vec = pytest.importorskip("model2vec")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("static") / "model", seed=0)


def make(folder: Path, seed: int) -> Path:
    """A random table over the tiny models' words."""
    words = tiny.tokenizer().backend_tokenizer
    vectors = np.random.default_rng(seed).normal(size=(words.get_vocab_size(), 12)).astype(np.float32)
    model2vec.StaticModel(vectors, words, normalize=True).save_pretrained(folder)
    return folder


def study_of(world: Path, workspace: Path, model: Path | str, **settings: Any) -> Study:
    baseline = {"name": "static", "kind": "static_embeddings", "model": str(model), **settings}
    tree = tiny.study_tree(world, methods=[{"name": "PT", "kind": "pt"}], baselines=[baseline])
    return Study(parse(StudyConfig, tree, "test"), workspace)


def test_means_of_vectors_and_a_logistic_regression(world: Path, table: Path, tmp_path: Path) -> None:
    study = study_of(world, tmp_path, table, c_values=[1.0])
    artifact = study.baseline("static", "mood")
    rows, model = study.split("mood").table("rows"), model2vec.StaticModel.from_pretrained(table)

    def vectors(texts: list[str]) -> np.ndarray:
        means = [model.embedding[ids].mean(0) for ids in model.tokenize(texts)]
        return np.stack([mean / np.linalg.norm(mean) for mean in means])

    train = rows[(rows["split"] == "train") & (rows["data_seed"] == 2)]
    labels = [list(study.tasks["mood"].labels).index(label) for label in train["label"]]
    head = LogisticRegressionHead(vectors(as_inputs(train)), labels, 2, c=1.0, where="rows")
    expected = head.scores(vectors(as_inputs(rows[rows["split"] == "test"]))).argmax(1).tolist()
    said = artifact.table("predictions")
    assert said[said["data_seed"] == 2]["predicted"].tolist() == expected
    summary = artifact.summary
    assert summary["runs"] == f"static embeddings {table}" and summary["trained_parameters"] == 12 + 1
    assert not study.model.loaded, "no language model is loaded for it"


def test_other_vectors_are_another_question(world: Path, table: Path, tmp_path: Path) -> None:
    def stage(model: Path, **settings: Any) -> Baseline:
        study = study_of(world, tmp_path / "workspace", model, **settings)
        return Baseline(study, study.config.baseline("static"), study.tasks["mood"])

    copied = make(tmp_path / "copy", seed=0)
    assert stage(table).id == stage(copied).id != stage(make(tmp_path / "other", seed=1)).id
    assert stage(table).id != stage(table, head="knn").id
    study = stage(table).pipeline
    assert not count(study, Reckoning.of(study.config, text_tokens=10)).get("baseline/none/static/mood")


def test_what_is_no_static_model_is_found_out_first(
    world: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_study(study_of(world, tmp_path, table))
    with pytest.raises(UserError, match=r"baseline 'static': .*is no model2vec model: its weights hold no table"):
        check_study(study_of(world, tmp_path, world / "encoder"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "_snapshots", {})
    with pytest.raises(
        UserError, match=r"Cannot load the static model 'minishlab/potion-base-8M'.*model2vec model"
    ) as e:
        static_folder("minishlab/potion-base-8M")
    assert "starter" not in str(e.value), "no starter is a table of vectors"
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    with pytest.raises(
        UserError, match=r"'static' needs MODEL2VEC: pip install 'model2vec>=.*metapt-explore\[static\]"
    ):
        check_study(study_of(world, tmp_path, table))


def test_clusters_are_made_of_them_too(world: Path, table: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """`embeddings: {kind: static}`: the model's own vectors; its content is the id, and what is missing is said."""
    from metapt_explore.stages.embeddings import Embeddings

    def study(model: Path | str) -> Study:
        tree = tiny.study_tree(world, methods=[{"name": "PT", "kind": "pt"}], embeddings={"kind": "static"})
        tree["embeddings"]["model"] = str(model)
        return Study(parse(StudyConfig, tree, "test"), tmp_path / "w")

    own = study(table)
    own.check_settings()
    texts = own.texts().table("texts")["text"].tolist()
    expected = model2vec.StaticModel.from_pretrained(table).encode(texts)
    found = own.embeddings().tensors("embeddings")["embeddings"].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.dtype == np.float32 and own.clusters("kmeans").summary["clusters"]
    same, other = make(tmp_path / "same", seed=0), make(tmp_path / "other", seed=1)
    assert Embeddings(study(same)).id == Embeddings(own).id != Embeddings(study(other)).id
    with pytest.raises(UserError, match="no model2vec model"):
        study(world / "encoder").check_settings()
    monkeypatch.setattr("metapt_explore.baselines.static_embeddings.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'model2vec"):
        own.check_settings()
