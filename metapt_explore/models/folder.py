"""The folder that holds a model's files, by the model's name, and the hash of its content."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from metapt_explore import hub
from metapt_explore.errors import UserError
from metapt_explore.paths import cache_folder
from metapt_explore.starter.models import STARTER_ENCODERS, STARTER_MODELS, has_starter, starter_folder
from metapt_explore.storage.files import write_bytes


def model_folder(name: str, revision: str | None = None, kind: hub.RepoKind = hub.MODEL) -> Path:
    """Finds the folder with a model's files, downloading from the hub where the name is a hub name.

    Args:
        name: A starter model, a folder, or a hub name such as ``google/t5-v1_1-base``.
        revision: Commit or tag of a hub model.
        kind: What to call it in messages, such as `hub.MODEL`, `hub.ENCODER` or `hub.CLASSIFIER`.

    Raises:
        UserError: Where the starter is not set up, the folder holds no model, or the hub has no such model or cannot
            be reached (see `hub.snapshot`).
    """
    if name in STARTER_MODELS:
        if not has_starter(name):
            title = STARTER_MODELS[name]
            raise UserError(f"'{name}' ({title}) is not on this machine yet: run `metapt setup` once.")
        return starter_folder(name)
    try:
        folder = Path(name).expanduser()
        if folder.is_dir():
            if not (folder / "config.json").exists():
                raise UserError(f"The folder {folder} holds no model: config.json is missing.")
            return folder
        is_file = folder.exists()
    except (OSError, ValueError, RuntimeError) as error:  # no permission, a name too long, no home of that user
        raise UserError(f"The {kind.title} folder {name!r} cannot be read: {error}.") from None
    if is_file and folder.suffix.lower() == ".gguf":
        made = folder.with_suffix("")
        raise UserError(f"Studies read folders: `metapt convert {folder} {made}` makes one of this file, once.")
    if is_file:
        raise UserError(f"{folder} is no folder: give the folder in which the {kind.title}'s config.json lies.")
    if name.startswith((".", "/", "~")) or folder.is_absolute():
        raise UserError(f"There is no {kind.title} folder {folder}.")
    wanted = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
    return hub.snapshot(name, kind, patterns=wanted, starters=lambda: _set_up(kind), revision=revision)


def is_here(name: str) -> bool:
    """Whether a model's files are on this machine: a starter that is set up, a folder, or a copy in the hub's cache.

    Args:
        name: As for `model_folder`; nothing is downloaded.

    Example:
        >>> is_here("/no/such/folder")
        False
    """
    from huggingface_hub import try_to_load_from_cache

    if name in STARTER_MODELS:
        return has_starter(name)
    try:
        if (Path(name).expanduser() / "config.json").exists():
            return True
        return isinstance(try_to_load_from_cache(name, "config.json"), str)
    except (OSError, ValueError, RuntimeError):  # no name of the hub, too long, no home of that user
        return False


def _set_up(kind: hub.RepoKind) -> list[str]:
    """Starter models that are on this machine; every encoder is also a model, but not the other way round."""
    names = {hub.ENCODER: STARTER_ENCODERS, hub.MODEL: tuple(STARTER_MODELS)}.get(kind, ())
    return [name for name in names if has_starter(name)]


def content_hash(folder: Path) -> str:
    """Hash of a model's weights, configuration and tokenizer files.

    It is remembered for each file by size, inode and times, because reading gigabytes takes seconds.
    """
    memory = cache_folder() / "hashes.json"
    known = _remembered(memory)
    parts, changed = [], False
    try:
        for file in sorted(folder.iterdir()):
            if file.suffix not in (".json", ".safetensors", ".model", ".txt") or not file.is_file():
                continue
            stat = file.stat()
            # The time of the last change of any kind: a copy may keep the time of modification.
            key = f"{file.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ctime_ns}|{stat.st_ino}"
            if key not in known:
                with file.open("rb") as stream:
                    known[key] = hashlib.file_digest(stream, "sha256").hexdigest()
                changed = True
            parts.append(f"{file.name}={known[key]}")
    except OSError as error:
        raise UserError(f"The model folder {folder} cannot be read: {error}.") from None
    if changed:
        with suppress(OSError):  # a full or read-only disk costs the time of reading again, nothing else
            write_bytes(memory, json.dumps(known).encode())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _remembered(memory: Path) -> dict[str, str]:
    """Hashes of files by what their key says; none where the memory is missing or damaged."""
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    usable = isinstance(known, dict) and all(isinstance(value, str) for value in known.values())
    return known if usable else {}
