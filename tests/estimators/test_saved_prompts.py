"""Saved, loaded, pushed and pulled: the same predictions, safetensors and JSON only, no token in code."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from local_hub import LocalHub

from metapt_explore.errors import UserError
from metapt_explore.estimators.classifier import PromptClassifier
from metapt_explore.export.classify import Classifier
from metapt_explore.prompts.exported_files import find_folder

Rows = tuple[list[str], list[str]]


def test_saved_and_loaded(fitted: PromptClassifier, rows: Rows, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    fitted.save_pretrained(folder)
    assert {file.name for file in folder.iterdir()} == {
        "README.md", "config.json", "prompt.json", "prompt.safetensors", "prompt_pipeline.py",
    }  # fmt: skip
    loaded = PromptClassifier.from_pretrained(folder, settings=fitted.settings)
    assert np.array_equal(loaded.predict_proba(rows[0]), fitted.predict_proba(rows[0]))
    assert loaded.classes_.tolist() == fitted.classes_.tolist()
    assert (loaded.seed, loaded.steps, loaded.dev_accuracy_) == (7, 4, fitted.dev_accuracy_)
    assert [found.label for found in Classifier(folder, dtype="float32").classify(rows[0][:4])] == list(
        fitted.predict(rows[0][:4])
    )
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "tuned on 8 labelled rows" in card and "8 dev rows" in card and "test rows of" not in card
    loaded.fit(*rows)
    assert torch.equal(loaded.prompt_, fitted.prompt_)


def results(folder: Path) -> dict[str, float]:
    """Accuracies of a saved card as hubs read them, by split."""
    found = ModelCard.load(folder / "README.md").data.eval_results or []
    assert all(each.metric_type == "accuracy" for each in found)
    return {str(each.dataset_split): each.metric_value for each in found}


def test_the_card_has_the_scores_that_there_are(
    fitted: PromptClassifier, rows: Rows, other_rows: Rows, tmp_path: Path
) -> None:
    """Dev's, and that of rows which its user scored it on; a score on training rows is no result."""
    fitted.save_pretrained(tmp_path)
    assert results(tmp_path) == pytest.approx({"validation": fitted.dev_accuracy_}, abs=1e-4)
    scored = copy.copy(fitted)
    texts, labels = other_rows
    assert not {*texts} & {*rows[0]}
    accuracy = scored.score(texts, labels)
    assert accuracy == np.mean(np.array(labels) == fitted.predict(texts))
    scored.save_pretrained(tmp_path)
    assert results(tmp_path) == pytest.approx({"validation": fitted.dev_accuracy_, "test": accuracy}, abs=1e-4)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "on 10 rows that its user scored it on (`score`); it was trained on none of them" in card
    loaded = PromptClassifier.from_pretrained(tmp_path, settings=fitted.settings)
    assert loaded.score({"text": texts, "label": labels}) == accuracy
    loaded.save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "whether it was trained on some of them is not known" in card and "test" in results(tmp_path)
    scored.score(*rows)
    scored.save_pretrained(tmp_path)
    assert set(results(tmp_path)) == {"validation"}
    assert "it was trained on 16 of them, so this says little" in (tmp_path / "README.md").read_text(encoding="utf-8")
    with pytest.raises(UserError, match="score needs a label for each text"):
        scored.score(texts)


def test_without_dev_rows_and_scores_the_card_has_none(small: dict[str, Any], few_rows: Rows, tmp_path: Path) -> None:
    PromptClassifier(**{**small, "learning_rates": 0.01}).fit(*few_rows).save_pretrained(tmp_path)
    assert results(tmp_path) == {}
    assert "It has no score" in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_a_folder_of_metapt_export_is_loaded(fitted: PromptClassifier, rows: Rows, tmp_path: Path) -> None:
    fitted.save_pretrained(tmp_path)
    (tmp_path / "config.json").unlink()
    loaded = PromptClassifier.from_pretrained(tmp_path, settings=fitted.settings)
    assert np.array_equal(loaded.predict_proba(rows[0]), fitted.predict_proba(rows[0]))


def test_a_hostile_folder_decides_nothing(fitted: PromptClassifier, tmp_path: Path) -> None:
    """Paths of a file are not taken, odd content is left alone, a damaged prompt is named."""
    fitted.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    bad = {**settings, "workspace": "/elsewhere", "init": "/elsewhere", "classes": ["x"], "other": 1}
    (tmp_path / "config.json").write_text(json.dumps(bad), encoding="utf-8")
    loaded = PromptClassifier.from_pretrained(tmp_path)
    assert loaded.workspace is None and loaded.init is None and loaded.classes_.tolist() == ["negative", "positive"]
    (tmp_path / "config.json").write_text("[1]", encoding="utf-8")
    assert PromptClassifier.from_pretrained(tmp_path).seed == 0
    with pytest.raises(UserError, match="no setting 'modell'"):
        PromptClassifier.from_pretrained(tmp_path, modell="x")
    (tmp_path / "prompt.json").unlink()
    with pytest.raises(UserError, match="holds no prompt"):
        PromptClassifier.from_pretrained(tmp_path)


def test_pushed_and_pulled_by_name(
    fitted: PromptClassifier, rows: Rows, a_hub: LocalHub, small: dict[str, Any], tmp_path: Path
) -> None:
    address = fitted.push_to_hub("somebody/reviews", private=True)
    sent = a_hub.repositories["somebody/reviews"]
    assert address == f"{a_hub.endpoint}/somebody/reviews/commit/{sent.commits[-1]}" and sent.private
    fitted.save_pretrained(tmp_path / "saved")
    assert sent.files == {file.name: file.read_bytes() for file in (tmp_path / "saved").iterdir()}
    sent.files["evil.pkl"] = b"x"
    loaded = PromptClassifier.from_pretrained("somebody/reviews", settings=fitted.settings)
    assert np.array_equal(loaded.predict_proba(rows[0]), fitted.predict_proba(rows[0]))
    fetched = {file.name for file in find_folder("somebody/reviews").iterdir()}
    assert fetched == {"README.md", "config.json", "prompt.json", "prompt.safetensors"}, "no pickle, no code"
    own = {**small, "model": None, "prompt_length": None, "steps": 0, "learning_rates": [0.01]}
    for begun in ("somebody/reviews", {"hub": "somebody/reviews"}, {"hub": "somebody/reviews", "revision": "main"}):
        assert torch.equal(PromptClassifier(**own, init=begun).fit(*rows).prompt_, fitted.prompt_)


def test_tokens_come_from_the_environment(
    fitted: PromptClassifier, a_hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for call in (
        lambda: fitted.push_to_hub("somebody/x", token="secret"),
        lambda: fitted.save_pretrained(tmp_path, push_to_hub=True, token="secret"),
        lambda: PromptClassifier.from_pretrained("somebody/x", token="secret"),
    ):
        with pytest.raises(UserError, match="environment only"):
            call()
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(UserError, match="cannot be pushed without a token: set the environment variable HF_TOKEN"):
        fitted.push_to_hub("somebody/x")
    assert a_hub.tokens <= {None} and not a_hub.repositories


def test_a_hub_that_refuses_is_quoted(
    fitted: PromptClassifier, a_hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"the token may not write to 'another'.*You don't have the rights"):
        fitted.push_to_hub("another/x")
    with pytest.raises(UserError, match="'no owner' is no name of a hub"):
        fitted.push_to_hub("no owner")
    with pytest.raises(UserError, match="'x' has no owner"):
        fitted.push_to_hub("x")
    with pytest.raises(UserError, match="Cannot load the prompt 'somebody/none'"):
        PromptClassifier.from_pretrained("somebody/none")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(UserError, match="the hub does not take the token: set the environment variable HF_TOKEN"):
        fitted.push_to_hub("somebody/x")
