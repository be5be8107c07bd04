"""Saved, loaded, pushed and pulled: the same predictions, safetensors and JSON only, no token in code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from huggingface_hub import hub_mixin

from metapt_explore import hub
from metapt_explore.errors import UserError
from metapt_explore.estimators.classifier import PromptClassifier
from metapt_explore.export.classify import Classifier

Rows = tuple[list[str], list[str]]


class LocalHub:
    """Stands for a hub: a folder for each repository, reached by the two calls of the mixin and by a snapshot."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.tokens, self.private = folder, [], {}

    def api(self, token: str | None = None) -> LocalHub:
        self.tokens.append(token)
        return self

    def create_repo(self, repo_id: str, private: bool | None, exist_ok: bool) -> Any:
        assert exist_ok
        self.private[repo_id] = private
        return huggingface_hub.RepoUrl(f"https://huggingface.co/{repo_id}")

    def upload_folder(self, *, repo_id: str, folder_path: Path, **settings: Any) -> str:
        shutil.copytree(folder_path, self.folder / repo_id, dirs_exist_ok=True)
        return f"https://huggingface.co/{repo_id}/commit/1"

    def snapshot_download(self, name: str, **settings: Any) -> str:
        if not (self.folder / name).is_dir():
            raise huggingface_hub.errors.LocalEntryNotFoundError("no such repository")
        fetched = self.folder / "fetched" / name
        shutil.copytree(
            self.folder / name, fetched, dirs_exist_ok=True,
            ignore=lambda _, names: [each for each in names if each not in settings["allow_patterns"]],
        )  # fmt: skip
        return str(fetched)


@pytest.fixture
def local_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalHub:
    made = LocalHub(tmp_path / "hub")
    monkeypatch.setattr(hub_mixin, "HfApi", made.api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", made.snapshot_download)
    monkeypatch.setattr(hub, "offline_reason", lambda: None)
    return made


def test_saved_and_loaded(fitted: PromptClassifier, rows: Rows, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    fitted.save_pretrained(folder)
    assert {file.name for file in folder.iterdir()} == {
        "README.md", "config.json", "prompt.json", "prompt.safetensors",
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
    fitted: PromptClassifier, rows: Rows, local_hub: LocalHub, small: dict[str, Any]
) -> None:
    assert fitted.push_to_hub("somebody/reviews", private=True) == "https://huggingface.co/somebody/reviews/commit/1"
    assert local_hub.tokens == [None] and local_hub.private == {"somebody/reviews": True}
    (local_hub.folder / "somebody" / "reviews" / "evil.pkl").write_bytes(b"x")
    loaded = PromptClassifier.from_pretrained("somebody/reviews", settings=fitted.settings)
    assert np.array_equal(loaded.predict_proba(rows[0]), fitted.predict_proba(rows[0]))
    assert not (local_hub.folder / "fetched" / "somebody" / "reviews" / "evil.pkl").exists()
    own = {**small, "model": None, "prompt_length": None, "steps": 0, "learning_rates": [0.01]}
    assert torch.equal(PromptClassifier(**own, init="somebody/reviews").fit(*rows).prompt_, fitted.prompt_)


def test_tokens_come_from_the_environment(fitted: PromptClassifier, local_hub: LocalHub, tmp_path: Path) -> None:
    for call in (
        lambda: fitted.push_to_hub("somebody/x", token="secret"),
        lambda: fitted.save_pretrained(tmp_path, push_to_hub=True, token="secret"),
        lambda: PromptClassifier.from_pretrained("somebody/x", token="secret"),
    ):
        with pytest.raises(UserError, match="environment only"):
            call()
    assert local_hub.tokens == []


def test_a_hub_that_refuses_is_quoted(
    fitted: PromptClassifier, local_hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **settings: Any) -> Any:
        raise OSError("403 Forbidden\nmore")

    monkeypatch.setattr(local_hub, "create_repo", refuse)
    with pytest.raises(UserError, match="'somebody/x' could not be pushed: the hub says: 403 Forbidden"):
        fitted.push_to_hub("somebody/x")
    with pytest.raises(UserError, match="Cannot load the prompt 'somebody/none'"):
        PromptClassifier.from_pretrained("somebody/none")
