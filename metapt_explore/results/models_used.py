"""The models behind a study's scores: hash of their files, revision, and what they were rounded from."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from metapt_explore.config import StudyConfig
from metapt_explore.errors import UserError
from metapt_explore.storage.stage_file import StageRecord


def models_used(config: StudyConfig, stages: Sequence[StageRecord]) -> list[dict[str, Any]]:
    """The language model and the sentence encoder of finished stages.

    Args:
        config: The study.
        stages: Records of its stages. The hashes are theirs: a model's files may have changed since.

    Returns:
        For each model ``role``, ``name``, ``hash``, and as far as known ``revision`` (as the study asks for it),
        ``commit``, ``package``, ``version``, ``file``, ``sha256``, ``quantisation``.
    """
    used: list[dict[str, Any]] = []
    for role, key, asked in (
        ("language model", "model", config.model),
        ("sentence encoder", "encoder", config.encoder),
    ):
        hashes = list(dict.fromkeys(str(found) for stage in stages if (found := stage["inputs"].get(key))))
        for content in hashes:
            facts = {"role": role, "name": _portable(asked.name), "hash": content}
            if asked.revision is not None:
                facts["revision"] = asked.revision
            used.append(facts | _origin(asked.name, asked.revision, content))
    return used


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
