"""Baselines with a sentence encoder of their own: found, checked early, run, counted, part of the id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
import yaml
from huggingface_hub import constants

from metapt_explore import hub
from metapt_explore.clusters.embed import load_encoder
from metapt_explore.config import EncoderConfig, StudyConfig, load_study, parse
from metapt_explore.config.embeddings import runs_encoder
from metapt_explore.cost.calibrate import preview_without_model
from metapt_explore.cost.count import Reckoning, Work
from metapt_explore.errors import UserError
from metapt_explore.fewshot.logistic_regression import LogisticRegressionHead
from metapt_explore.reporting.report import make_report
from metapt_explore.results.record import record_of
from metapt_explore.stages.baseline import Baseline
from metapt_explore.stages.registry import count
from metapt_explore.study.check import check_study
from metapt_explore.study.study import Study
from metapt_explore.texts.rows import as_inputs


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A larger encoder than the study's: other weights, and more of them."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("other") / "encoder"
    torch.manual_seed(1)
    words = tiny.tokenizer()
    shape = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 96}
    BertModel(BertConfig(vocab_size=len(words), **shape)).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def study_of(world: Path, workspace: Path, *baselines: Any) -> Study:
    tree = tiny.study_tree(world, methods=[{"name": "PT", "kind": "pt"}], baselines=list(baselines))
    return Study(parse(StudyConfig, tree, "test"), workspace)


def probe(encoder: Path | str | None) -> dict[str, Any]:
    return {"name": "probe", "kind": "linear_probe", "encoder": None if encoder is None else str(encoder)}


def stage(study: Study, name: str = "probe") -> Baseline:
    baseline = study.config.baseline(name)
    return Baseline(study, baseline, study.tasks["mood"], 0 if baseline.seeded else None)


def test_the_probe_reads_its_own_encoder(world: Path, other: Path, tmp_path: Path) -> None:
    study = study_of(world, tmp_path, {**probe(other), "c_values": [1.0]})
    artifact = study.baseline("probe", "mood")
    rows, encoder = study.split("mood").table("rows"), load_encoder(EncoderConfig(name=str(other)))
    train = rows[(rows["split"] == "train") & (rows["data_seed"] == 1)]
    classes = list(study.tasks["mood"].labels)
    labels = [classes.index(label) for label in train["label"]]
    head = LogisticRegressionHead(encoder.embed(as_inputs(train)), labels, 2, c=1.0, where="rows")
    expected = head.scores(encoder.embed(as_inputs(rows[rows["split"] == "test"]))).argmax(1).tolist()
    said = artifact.table("predictions")
    assert said[said["data_seed"] == 1]["predicted"].tolist() == expected
    assert artifact.summary["runs"] == f"sentence encoder {other}"
    assert artifact.summary["trained_parameters"] == 48 + 1
    assert Baseline.describe(artifact.summary, {}) == f"sentence encoder {other}, 20 test rows"
    record = record_of(study.workspace, "tiny")
    assert [budget.get("made_by") for budget in record.budgets] == ["sentence encoder encoder"]
    assert "or by a model of their own: probe: sentence encoder encoder." in make_report(record).markdown()


def test_its_files_are_part_of_the_id_and_its_name_is_not(world: Path, other: Path, tmp_path: Path) -> None:
    plain, same, own = (stage(study_of(world, tmp_path, probe(e))) for e in (None, world / "encoder", other))
    assert plain.id == same.id != own.id
    assert plain.inputs()["encoder"] != own.inputs()["encoder"] and own.config() == plain.config()
    assert "sentence encoder" == plain._runs == same._runs


def test_a_larger_encoder_is_more_work(world: Path, other: Path, tmp_path: Path) -> None:
    study = study_of(world, tmp_path, "linear_probe", probe(other))
    works = count(study, Reckoning.of(study.config, text_tokens=10))
    plain, own = (works[f"baseline/encoder/{name}/mood"].embedded for name in ("linear_probe", "probe"))
    shapes = lambda folder: sum(  # noqa: E731
        value.numel()
        for name, value in load_encoder(EncoderConfig(name=str(folder))).model.named_parameters()
        if "embed" not in name
    )
    assert own / plain == pytest.approx(shapes(other) / shapes(world / "encoder"), rel=1e-2) and own > 3 * plain


def test_the_studys_encoder_is_not_needed_where_each_has_its_own(world: Path, other: Path, tmp_path: Path) -> None:
    def runs(*baselines: Any, **changes: Any) -> bool:
        return runs_encoder(parse(StudyConfig, tiny.study_tree(world, baselines=list(baselines), **changes), "test"))

    assert runs(probe(other)), "texts are embedded for the clusterings"
    words = {"embeddings": {"kind": "tfidf"}}
    assert not runs(probe(other), **words) and runs(probe(None), **words) and runs(probe(world / "encoder"), **words)
    tree = tiny.study_tree(world, methods=[], baselines=[probe(other)], encoder={"name": "/nowhere"}, **words)
    study = Study(parse(StudyConfig, tree, "test"), tmp_path)
    check_study(study)
    cost = preview_without_model(study.config, {"probe": Work(embedded=100)}, "cpu")
    assert cost.seconds > 0


@pytest.mark.parametrize("kind", ["linear_probe", "setfit"])
def test_an_encoder_that_is_not_there_is_found_out_first(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "_snapshots", {})
    study = study_of(
        world, tmp_path, {"name": "MPNet", "kind": kind, "encoder": "sentence-transformers/all-mpnet-base-v2"}
    )
    with pytest.raises(UserError, match=r"baseline 'MPNet': Cannot load the encoder 'sentence-transformers/all-mpnet"):
        check_study(study)
    with pytest.raises(UserError, match=r"baseline 'MPNet': .*holds no model: config.json is missing"):
        check_study(study_of(world, tmp_path, {"name": "MPNet", "kind": kind, "encoder": str(tmp_path)}))


def test_other_kinds_have_none(world: Path) -> None:
    of = lambda **entry: parse(StudyConfig, tiny.study_tree(world, baselines=[{"name": "x", **entry}]), "test")  # noqa: E731
    with pytest.raises(UserError, match=r"`encoder` belongs to .*linear_probe.*not to tfidf"):
        of(kind="tfidf", encoder="minilm")
    with pytest.raises(UserError, match="`encoder` goes with `of: encoder`, not with `of: model`"):
        of(kind="linear_probe", of="model", encoder="minilm")


def test_a_folder_beside_the_study_is_found(world: Path, other: Path, tmp_path: Path) -> None:
    tree = tiny.study_tree(world, baselines=[probe("encoder"), "tfidf"])
    (other.parent / "study.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    baselines = load_study(other.parent / "study.yaml").baselines
    assert [each.model_dump().get("encoder") for each in baselines] == [str(other), None]
