"""Where the package keeps files that belong to no study: converted starter models, remembered hashes, text states."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path, user_config_path

_NAME = "metapt_explore"


def cache_folder() -> Path:
    """The package's cache folder: `$METAPT_HOME`, else the user's cache folder.

    On macOS and Windows earlier versions used ``~/.cache/metapt_explore``; it is used where it exists.
    """
    if named := os.environ.get("METAPT_HOME"):
        return Path(named).expanduser()
    earlier = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / _NAME
    return earlier if earlier.is_dir() else user_cache_path(_NAME, appauthor=False)


def machine_path() -> Path | None:
    """The machine file (`config.machine`): `$METAPT_MACHINE`, else the user's, where there is one."""
    if named := os.environ.get("METAPT_MACHINE"):
        return Path(named).expanduser()
    file = user_config_path(_NAME, appauthor=False) / "machine.yaml"
    return file if file.is_file() else None
