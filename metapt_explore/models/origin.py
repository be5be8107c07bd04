"""Where a model's files come from: package or hub, revision, and how its weights were rounded before."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from metapt_explore.config import read_yaml
from metapt_explore.errors import UserError
from metapt_explore.storage.files import read_json

#: Facts that were noted when the folder was made. Not a suffix that `content_hash` looks at: the model is the same.
FILE = "origin.yaml"
#: A type of quantisation in the name of a GGUF file, such as Q4_1 or IQ2_XS.
_GGUF_TYPE = re.compile(r"\b(I?Q\d\w*|F16|F32|BF16)\.gguf$", re.IGNORECASE)
_COMMIT = re.compile(r"[0-9a-f]{40}")


def note_origin(folder: Path, file: Path, package: str = "", version: str = "") -> None:
    """Writes down which file a model folder was made from.

    Args:
        folder: The model's folder.
        file: The file, or the folder that was copied.
        package: The package that the file lies in, if any.
        version: Its version.
    """
    facts: dict[str, Any] = {"package": package, "version": version} if package else {}
    facts["file"] = file.name
    if file.is_file():
        with file.open("rb") as stream:
            facts["sha256"] = hashlib.file_digest(stream, "sha256").hexdigest()
    if kind := _GGUF_TYPE.search(file.name):
        facts["quantisation"] = kind.group(1).upper()
    (folder / FILE).write_text(yaml.safe_dump(facts, sort_keys=False), encoding="utf-8")


def origin_of(folder: Path) -> dict[str, Any]:
    """What is known of a model folder's files: empty where nothing is.

    Returns:
        ``package``, ``version``, ``file``, ``sha256`` and ``quantisation`` as they were noted; ``commit`` of a folder
        of the hub's cache; ``quantisation`` by the model's own configuration.
    """
    facts: dict[str, Any] = {}
    with suppress(UserError):
        noted = read_yaml(folder / FILE)
        facts |= noted if isinstance(noted, dict) else {}
    if folder.parent.name == "snapshots" and _COMMIT.fullmatch(folder.name):
        facts["commit"] = folder.name
    config = read_json(folder / "config.json")
    quantised = config.get("quantization_config") if isinstance(config, dict) else None
    if isinstance(quantised, dict):
        facts.setdefault("quantisation", str(quantised.get("quant_method", "yes")))
    return facts
