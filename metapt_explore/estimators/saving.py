"""Saving, loading and pushing a fitted estimator, by huggingface_hub's mixin: safetensors and JSON, never a pickle."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, Self

from huggingface_hub import ModelHubMixin

from metapt_explore import hub
from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.estimators.exported import ExportedPrompt
from metapt_explore.export.push import check_can_push
from metapt_explore.models.model_files import read_json
from metapt_explore.prompts.exported_files import PIPELINE_FILE, SENT, SETTINGS, find_folder
from metapt_explore.storage.files import write_json

TOKEN = "A token is read from the environment only (HF_TOKEN, or `hf auth login`): leave `token` out."


class SavedPrompt(ModelHubMixin):
    """What both estimators share: `save_pretrained`, `from_pretrained`, `push_to_hub`.

    Attributes:
        exported_: The fitted prompt's files.
    """

    exported_: ExportedPrompt

    def __new__(cls, *args: Any, **settings: Any) -> Self:
        """Makes an instance without the mixin's copy of its settings, which `set_params` would leave behind."""
        return object.__new__(cls)

    def save_pretrained(self, save_directory: str | Path, **settings: Any) -> str | None:
        """Writes the fitted prompt into a folder that `from_pretrained`, `metapt classify` and PEFT can read.

        Args:
            save_directory: The folder; made where it is missing.
            **settings: As huggingface_hub has them (``push_to_hub``, ``repo_id`` …), without ``token``.

        Raises:
            UserError: Where a token is given.
            NotFittedError: Where there is nothing to save.
        """
        _refuse_token(settings)
        self._check_fitted()
        said: str | None = super().save_pretrained(save_directory, **settings)
        return said

    def push_to_hub(self, repo_id: str, **settings: Any) -> str:
        """Sends what `save_pretrained` writes to a hub.

        Args:
            repo_id: Such as ``owner/name``; made where it is missing.
            **settings: As huggingface_hub has them (``private``, ``commit_message``, ``create_pr`` …), without
                ``token``, which is read from the environment.

        Returns:
            Address of the commit.

        Raises:
            UserError: Where a token is given or there is none in the environment, or the hub refuses; it says why.
            NotFittedError: Where there is nothing to push.
        """
        _refuse_token(settings)
        self._check_fitted()
        check_can_push(repo_id)
        sent = {*self.exported_.files, SETTINGS}
        if self.exported_.facts.token_ids is not None:
            sent.add(PIPELINE_FILE)
        settings.setdefault("delete_patterns", [each for each in SENT if each not in sent])
        try:
            commit = str(super().push_to_hub(repo_id, **settings))
        except (UserError, TypeError):
            raise
        except Exception as error:  # the client's errors have no common class
            raise hub.push_refused(error, repo_id) from error
        hub.forget(repo_id)
        return commit

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, *, revision: str | None = None, **settings: Any
    ) -> Self:
        """Reads what `save_pretrained`, `push_to_hub` or `metapt export` wrote.

        Args:
            pretrained_model_name_or_path: A folder, or a name on the hub.
            revision: Commit or tag, on the hub.
            **settings: Settings of the estimator that are to be others, such as ``model`` where it lies elsewhere.

        Raises:
            UserError: Where there is no such prompt, or a setting is not known.
        """
        _refuse_token(settings)
        folder = find_folder(str(pretrained_model_name_or_path), revision)
        exported = ExportedPrompt.read(folder)
        stored = read_json(folder / SETTINGS, str(folder))
        return cls._loaded(exported, stored if isinstance(stored, dict) else {}, settings)

    def _save_pretrained(self, save_directory: Path) -> None:
        self.exported_.write(save_directory)
        write_json(save_directory / SETTINGS, self._settings())

    def _check_fitted(self) -> None:
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self, "exported_")

    def _settings(self) -> dict[str, Any]:
        """What ``config.json`` says."""
        raise NotImplementedError

    @classmethod
    def _loaded(cls, exported: ExportedPrompt, stored: dict[str, Any], settings: dict[str, Any]) -> Self:
        """An estimator out of its files; `settings` are the caller's own."""
        raise NotImplementedError


def own_settings(
    cls: type[Any], stored: Mapping[str, Any], settings: Mapping[str, Any], *, not_saved: Collection[str]
) -> dict[str, Any]:
    """Settings of a loaded estimator: those that were saved, and the caller's in their place.

    Args:
        cls: The estimator, a dataclass.
        stored: Content of ``config.json``.
        settings: The caller's.
        not_saved: Settings that are never taken from a file.

    Raises:
        UserError: Where the caller names a setting that there is none of.
    """
    known = [each.name for each in fields(cls)]
    for name in settings:
        if name not in known:
            raise UserError(f"from_pretrained: {cls.__name__} has no setting '{name}'. {did_you_mean(name, known)}")
    return {**{name: stored[name] for name in known if name in stored and name not in not_saved}, **settings}


def saved_settings(estimator: Any, *, not_saved: Collection[str]) -> dict[str, Any]:
    """Settings that ``config.json`` keeps: those that JSON can say."""
    saved: dict[str, Any] = {"estimator": type(estimator).__name__}
    for each in fields(estimator):
        if each.name not in not_saved:
            with suppress(TypeError, ValueError):
                saved[each.name] = json.loads(json.dumps(getattr(estimator, each.name)))
    return saved


def _refuse_token(settings: dict[str, Any]) -> None:
    if "token" in settings:
        raise UserError(TOKEN)
