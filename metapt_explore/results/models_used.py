"""The models behind a study's scores: hash of their files, revision, and what they were rounded from."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from metapt_explore.config import EncoderConfig, StudyConfig
from metapt_explore.errors import UserError
from metapt_explore.storage.studies import IndexEntry
from metapt_explore.storage.workspace import Workspace

#: What a model is, by the key of its hash among the inputs of a stage.
ROLES = {"model": "language model", "encoder": "sentence encoder", "classifier": "classifier"}


def models_used(workspace: Workspace, config: StudyConfig, done: Sequence[IndexEntry]) -> list[dict[str, Any]]:
    """The language model, sentence encoders and classifiers of finished stages.

    Args:
        workspace: Where the study lies.
        config: The study.
        done: Entries of its list that are finished. The hashes are those of their stages: files may have changed since.

    Returns:
        For each model ``role``, ``name``, ``hash``, and as far as known ``revision`` (as the study asks for it),
        ``commit``, ``package``, ``version``, ``file``, ``sha256``, ``quantisation``.
    """
    used: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in done:
        inputs = workspace.artifact(entry["id"]).stage["inputs"]
        for key, role in ROLES.items():
            content = str(inputs.get(key, ""))
            if not content or (role, content) in used:
                continue
            asked = config.model if key == "model" else _encoder(config, entry)
            facts = {"role": role, "name": _portable(asked.name), "hash": content}
            if asked.revision is not None:
                facts["revision"] = asked.revision
            used[role, content] = facts | _origin(asked.name, asked.revision, content)
    return sorted(used.values(), key=lambda facts: list(ROLES.values()).index(facts["role"]))


def _encoder(config: StudyConfig, entry: IndexEntry) -> EncoderConfig:
    """The encoder that a stage ran: a baseline may have its own."""
    if entry["kind"].startswith("baseline"):
        with suppress(UserError):
            return config.baseline(entry["method"]).encoder_in(config.encoder)
    return config.encoder


def _origin(name: str, revision: str | None, content: str) -> dict[str, Any]:
    """What is noted beside the model's files, if they are still the ones that were used."""
    from metapt_explore.models.folder import content_hash, model_folder
    from metapt_explore.models.origin import origin_of

    with suppress(UserError, OSError):
        folder = _cached(name, revision) if _is_hub_name(name) else model_folder(name)
        if folder is not None and content_hash(folder) == content:
            return origin_of(folder)
    return {}


def _cached(name: str, revision: str | None) -> Path | None:
    """A hub model's files on this machine: a record is no reason to download them."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    with suppress(HFValidationError):  # a folder that is gone
        found = try_to_load_from_cache(name, "config.json", revision=revision)
        return Path(found).parent if isinstance(found, str) else None
    return None


def _is_hub_name(name: str) -> bool:
    from metapt_explore.starter.models import STARTER_MODELS

    return name not in STARTER_MODELS and not Path(name).expanduser().exists()


def _portable(name: str) -> str:
    return Path(name).name if Path(name).expanduser().is_absolute() else name


def format_model(facts: dict[str, Any]) -> str:
    """A model in a line of a report.

    Example:
        >>> facts = {"role": "language model", "name": "own", "hash": "0123456789abcdef", "quantisation": "Q4_1"}
        >>> format_model({**facts, "file": "own.Q4_1.gguf", "package": "pack", "version": "1.0"})
        'language model own, files 0123456789ab, from own.Q4_1.gguf of pack 1.0, quantised: Q4_1'
    """
    parts = [f"{facts['role']} {facts['name']}", f"files {str(facts['hash'])[:12]}"]
    if facts.get("revision"):
        parts.append(f"revision {facts['revision']}")
    if facts.get("commit"):
        parts.append(f"commit {str(facts['commit'])[:12]}")
    if facts.get("package"):
        parts.append(f"from {facts.get('file')} of {facts['package']} {facts.get('version')}")
    elif facts.get("file"):
        parts.append(f"from {facts['file']}")
    if facts.get("quantisation"):
        parts.append(f"quantised: {facts['quantisation']}")
    return ", ".join(parts)


def format_code(manifest: dict[str, Any]) -> str:
    """The package's code in a line of a report; empty where it was not noted.

    Example:
        >>> format_code({"code": {"commit": "0123456789abcdef", "changed": True, "package_hash": "fedcba9876543210"}})
        'commit 0123456789ab, changed since (package fedcba987654)'
    """
    code = manifest.get("code")
    if not isinstance(code, dict):
        return ""
    package = f"package {str(code.get('package_hash'))[:12]}"
    if not code.get("commit"):
        return package
    return f"commit {str(code['commit'])[:12]}" + (f", changed since ({package})" if code.get("changed") else "")
