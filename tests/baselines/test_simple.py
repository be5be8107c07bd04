"""Baselines without training of a model, by hand; and what every baseline may not do: look at test labels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from tampering import reseal

from metapt_explore.baselines.linear_probe import mean_hidden_states
from metapt_explore.baselines.registry import check_baselines
from metapt_explore.config import BaselineConfig, StudyConfig, parse, to_yaml
from metapt_explore.errors import UserError
from metapt_explore.fewshot.linear_probe import LinearProbe
from metapt_explore.fewshot.logistic_regression import NEVER, LogisticRegressionHead, fit_on_dev
from metapt_explore.fewshot.scoring import measure
from metapt_explore.models.hidden_states import text_hidden_states
from metapt_explore.models.load import load_backbone
from metapt_explore.models.scoring import calibrated, zero_shot
from metapt_explore.results.tables import COLUMNS, results_table, summary_table
from metapt_explore.study.study import Study
from metapt_explore.texts.rows import as_inputs

SIMPLE = [
    "majority",
    "zero_shot",
    "tfidf",
    "linear_probe",
    {"name": "probe of LM", "kind": "linear_probe", "of": "model"},
    {"name": "probe alone", "kind": "linear_probe", "of": "hidden_states"},
]
ALL = [
    *SIMPLE,
    {"name": "ICL", "kind": "in_context", "max_prompt_tokens": 60, "orders": 2},
    {"name": "SetFit", "kind": "setfit", "pairs_per_text": 2, "batch_size": 8, "learning_rates": [1e-3]},
    {"name": "LoRA", "kind": "lora", "learning_rates": [0.01]},
    {"name": "full", "kind": "full", "learning_rates": [0.001]},
]


def study_of(world: Path, folder: Path, baselines: list[Any], **changes: Any) -> Study:
    tree = tiny.study_tree(world, methods=[{"name": "PT", "kind": "pt"}], baselines=baselines, **changes)
    return Study(parse(StudyConfig, tree, "test"), folder)


def rows_of(study: Study, split: str, seed: int | None = None) -> tuple[list[Any], list[int]]:
    rows = study.split("mood").table("rows")
    rows = rows[(rows["split"] == split) & ((rows["data_seed"] == seed) if seed is not None else True)]
    return as_inputs(rows), [list(study.tasks["mood"].labels).index(label) for label in rows["label"]]


def test_majority_by_hand(world: Path, tmp_path: Path) -> None:
    study = study_of(world, tmp_path, ["majority"])
    result = study.baseline("majority", "mood").table("results").iloc[0]
    _, test = rows_of(study, "test")
    # Four training rows of each class: of equals the first, each as likely.
    assert result["accuracy"] == pytest.approx(test.count(0) / len(test))
    assert result["test_loss"] == pytest.approx(np.log(2)) and result["dev_accuracy"] == 0.5
    assert pd.isna(result["step"]) and pd.isna(result["start_accuracy"])


@pytest.mark.parametrize("calibration", ["none", "batch_mean", "content_free"])
def test_zero_shot_is_the_frozen_model(world: Path, tmp_path: Path, calibration: str) -> None:
    study = study_of(world, tmp_path, [{"name": "Z", "kind": "zero_shot", "calibration": calibration}])
    artifact = study.baseline("Z", "mood")
    model = study.backbone
    pattern = model.pattern(study.tasks["mood"], "test")
    texts, labels = rows_of(study, "test")
    scores = zero_shot(model, texts, pattern)
    if calibration != "none":
        reference = scores if calibration == "batch_mean" else zero_shot(model, ["N/A", "nothing", "..."], pattern)
        scores = calibrated(scores, reference)
    expected = measure(scores, labels)
    for _, row in artifact.table("results").iterrows():
        assert row["accuracy"] == expected["accuracy"] and row["test_loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert artifact.table("results")["accuracy"].nunique() == 1
    assert artifact.summary["row_passes"] == 0 and artifact.summary["runs"] == "language model"


def test_dev_chooses_c_and_equals_take_the_smallest() -> None:
    generator = np.random.default_rng(0)
    train, dev = generator.normal(size=(12, 3)), generator.normal(size=(40, 3))
    labels, dev_labels = [int(row[0] > 0) for row in train], [int(row[0] > 0) for row in dev]
    fit = partial(LogisticRegressionHead, train, labels, 2, where="rows")
    head, choice = fit_on_dev(fit, dev, dev_labels, c_values=[10.0, 0.01, 1.0], select_by="loss")
    losses = {c: measure(fit(c=c).scores(dev), dev_labels) for c in (0.01, 1.0, 10.0)}
    assert choice["c"] == min(losses, key=lambda c: losses[c]["loss"]) == head.model.C
    flat = fit_on_dev(fit, np.zeros((4, 3)), [0, 1, 0, 1], c_values=[10.0, 0.01], select_by="accuracy")[1]
    assert flat["dev_accuracy"] == 0.5 and flat["c"] in (0.01, 10.0)
    with pytest.raises(UserError, match="all of one class"):
        LogisticRegressionHead(train, [1] * 12, 2, c=1.0, where="rows")


def test_a_class_without_training_rows_is_hardly_ever_said() -> None:
    head = LogisticRegressionHead(np.eye(2), [0, 2], 3, c=1.0, where="rows")
    scores = head.scores(np.eye(2))
    assert scores[:, 1].tolist() == pytest.approx([np.log(NEVER)] * 2) and scores.argmax(1).tolist() == [0, 2]
    assert head.parameters == 3


def test_tfidf_learns_words_of_the_training_rows_only(world: Path, tmp_path: Path) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    study = study_of(world, tmp_path, [{"name": "T", "kind": "tfidf", "c_values": [10.0]}])
    row = study.baseline("T", "mood").table("results").set_index("data_seed").loc[2]
    texts, labels = rows_of(study, "train", 2)
    words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b", sublinear_tf=True).fit(texts)
    model = LogisticRegression(C=10.0, max_iter=2000).fit(words.transform(texts), labels)
    test, truth = rows_of(study, "test")
    assert row["accuracy"] == model.score(words.transform(test), truth) and row["c"] == 10.0


@pytest.mark.parametrize("kind", ["llama", "t5", "bert", "sentence"])
def test_mean_hidden_states_do_not_see_padding(kind: str, tmp_path: Path) -> None:
    from metapt_explore.config import ModelConfig

    folder = tiny.make_language_model(tmp_path / kind, kind)
    model = load_backbone(ModelConfig(name=str(folder), dtype="float32", device="cpu"))
    texts = ["good book", "a very long and boring story of the old camera", "was it"]
    together = mean_hidden_states(model, texts)
    alone = np.concatenate([mean_hidden_states(model, [text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=2e-5)
    ids = [*model.layout.special_before, *model.layout.tokens([texts[0]])[0], *model.layout.special_after]
    base = model.model.get_encoder() if kind == "t5" else model.model.base_model
    with torch.no_grad():
        hidden = base(input_ids=torch.tensor([ids])).last_hidden_state[0]
    np.testing.assert_allclose(together[0], hidden.mean(0).numpy(), atol=2e-5)


@pytest.fixture(scope="module")
def compared(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    study = study_of(world, tmp_path_factory.mktemp("compared"), ALL, evaluation={"init_seeds": [0, 1]})
    study.run()
    return study


def test_the_probe_alone_is_the_one_beside_words(compared: Study) -> None:
    artifact = compared.baseline("probe alone", "mood")
    rows, classes = compared.split("mood").table("rows"), list(compared.tasks["mood"].labels)
    test = text_hidden_states(compared.backbone, as_inputs(rows[rows["split"] == "test"]))
    predictions = artifact.table("predictions")
    for record in artifact.table("results").to_dict(orient="records"):
        train = rows[(rows["split"] == "train") & (rows["data_seed"] == record["data_seed"])]
        labels = [classes.index(label) for label in train["label"]]
        views = text_hidden_states(compared.backbone, as_inputs(train))
        probe = LinearProbe.fit(views, labels, len(classes), c=record["c"], where="here")
        own = predictions[predictions["data_seed"] == record["data_seed"]]
        assert probe.scores(test).argmax(1).tolist() == own["predicted"].tolist()


def test_run_makes_baselines_and_shows_them(compared: Study) -> None:
    results = compared.results()
    assert list(results.columns) == [*COLUMNS, "c"]
    cells = results.groupby(["task", "method"], sort=False).size().unstack(0)
    names = [baseline.name for baseline in compared.config.baselines]
    assert set(cells.index) == {"PT", *names}
    seeded = {baseline.name: baseline.seeded for baseline in compared.config.baselines}
    for name in names:
        own = results[results["method"] == name]
        # Two data seeds; two initialisation seeds where there is one at all.
        assert (cells.loc[name] == (4 if seeded[name] else 2)).all()
        assert own["init_seed"].isna().all() != seeded[name]
        assert own["accuracy"].between(0, 1).all() and own["dev_accuracy"].between(0, 1).all()
    trained = results[results["method"].isin(["SetFit", "LoRA", "full"])]
    assert trained[["learning_rate", "step", "start_accuracy", "start_loss"]].notna().all(axis=None)
    assert results[results["method"] == "tfidf"][["learning_rate", "step", "start_loss"]].isna().all(axis=None)
    assert summary_table(results)["method"].iloc[0] == "PT"
    assert (results["seconds"] >= 0).all() and (results["pretraining_seconds"] >= 0).all()


def test_a_second_run_computes_nothing(compared: Study) -> None:
    again = Study(compared.config, compared.workspace)
    pd.testing.assert_frame_equal(again.run(), compared.results())
    assert not again.model.loaded


def test_what_a_baseline_cost(compared: Study) -> None:
    summary = {name: compared.baseline(name, "mood").summary for name in ("zero_shot", "tfidf", "full", "LoRA")}
    assert summary["zero_shot"]["forward_rows"] == 20 + 2 * 8 and summary["zero_shot"]["trained_parameters"] == 0
    assert summary["tfidf"]["runs"] == "no model" and summary["tfidf"]["row_passes"] == 0
    # Two data seeds, one rate, four steps of four rows.
    assert summary["full"]["row_passes"] == summary["LoRA"]["row_passes"] == 2 * 4 * 4
    telemetry = compared.baseline("full", "mood").table("telemetry")
    assert telemetry["seconds"][0] > 0 and telemetry["peak_mib"][0] > 1


def test_test_labels_have_no_say(compared: Study, world: Path, tmp_path: Path) -> None:
    """With the test rows' labels turned round predictions and choices are the same, and accuracy is turned round."""
    turned = study_of(world, tmp_path, ALL)
    split = turned.split("mood")
    rows = split.table("rows")
    test = rows["split"] == "test"
    rows.loc[test, "label"] = rows.loc[test, "label"].map({"negative": "positive", "positive": "negative"})
    rows.to_parquet(split.folder / "rows.parquet")
    reseal(split.folder)
    scores = {"accuracy", "macro_f1", "test_loss", "start_accuracy", "start_loss"}
    for baseline in turned.config.baselines:
        before, after = compared.baseline(baseline.name, "mood"), turned.baseline(baseline.name, "mood")
        assert before.id == after.id and before.folder != after.folder
        said, again = (each.table("predictions").drop(columns="label") for each in (before, after))
        pd.testing.assert_frame_equal(said, again)
        kept = [column for column in before.table("results") if column not in scores]
        pd.testing.assert_frame_equal(before.table("results")[kept], after.table("results")[kept])
        accuracy = before.table("results")["accuracy"] + after.table("results")["accuracy"]
        np.testing.assert_allclose(accuracy, 1.0)


def test_a_study_without_baselines_is_written_as_before(world: Path) -> None:
    plain = parse(StudyConfig, tiny.study_tree(world), "test")
    assert "baselines" not in to_yaml(plain)
    several = parse(StudyConfig, tiny.study_tree(world, baselines=ALL), "test")
    import yaml

    assert parse(StudyConfig, yaml.safe_load(to_yaml(several)), "again") == several


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("lorra", "there is no baseline 'lorra'.*Did you mean 'lora'"),
        ({"name": "x", "kind": "tfidf", "rank": 4}, "`rank` belongs to lora, not to tfidf"),
        ({"name": "x", "kind": "lora", "rnk": 4}, r"unknown key 'baselines.0.rnk'.*rank"),
        ({"name": "PT", "kind": "tfidf"}, "'PT' is the name of a method and of a baseline"),
    ],
)
def test_wrong_entries_are_refused(world: Path, entry: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(StudyConfig, tiny.study_tree(world, baselines=[entry]), "test")


def test_names_and_calibration_are_checked(world: Path) -> None:
    parsed: Callable[..., Any] = lambda **changes: parse(StudyConfig, tiny.study_tree(world, **changes), "test")  # noqa: E731
    with pytest.raises(UserError, match="baseline 'tfidf' stands twice"):
        parsed(baselines=["tfidf", "tfidf"])
    calibrated_one = {"name": "z", "kind": "zero_shot", "calibration": "batch_mean"}
    with pytest.raises(UserError, match=r"baseline 'z'.*whole_vocabulary"):
        parsed(baselines=[calibrated_one], verbalizer={"decode": "whole_vocabulary"})
    with pytest.raises(UserError, match="The study has no baseline 'lorra'"):
        parsed(baselines=["lora"]).baseline("lorra")


def test_models_that_cannot_are_refused_early(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = lambda kind: parse(StudyConfig, tiny.study_tree(world, baselines=[kind]), "test")  # noqa: E731
    with pytest.raises(UserError, match="'in_context' needs a decoder-only model"):
        check_baselines(of("in_context"), "masked")
    with pytest.raises(UserError, match="use the baseline `setfit`"):
        check_baselines(of("full"), "sentence")
    monkeypatch.setattr("metapt_explore.baselines.registry.find_spec", lambda name: None)
    with pytest.raises(UserError, match="'lora' needs PEFT: pip install"):
        check_baselines(of("lora"), "causal")


def test_options_have_the_defaults_of_their_kind() -> None:
    assert BaselineConfig.model_validate("majority").options == {}
    assert BaselineConfig(name="a", kind="lora").options["rank"] == 8
    assert BaselineConfig(name="a", kind="lora", rank=2).options["rank"] == 2


def test_results_of_a_workspace_without_baselines_keep_their_types(world: Path, finished: Path) -> None:
    from metapt_explore.storage.workspace import Workspace

    assert results_table(Workspace(finished), "tiny")["init_seed"].dtype == "int64"


def test_baselines_are_drawn_beside_methods(compared: Study) -> None:
    from metapt_explore.plots import seed_spread

    names = ["PT", *(baseline.name for baseline in compared.config.baselines)]
    figure = seed_spread(compared.results(), names)
    drawn = figure.to_json()
    assert all(name in drawn for name in names) and "<NA>" not in drawn
    points = {trace.name: len(trace.y) for trace in figure.data if trace.mode == "markers" and trace.name in names}
    assert (points["tfidf"], points["LoRA"]) == (2, 4)
