"""Reads data sets of the hub, at the requested revision, from the hub or its local cache."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import huggingface_hub
from datasets import Dataset
from datasets.naming import camelcase_to_snakecase

from metapt_explore import hub
from metapt_explore.config import SourceConfig
from metapt_explore.errors import UserError
from metapt_explore.starter.texts import installed_sets
from metapt_explore.texts.messages import memory_ran_out

_OFFLINE_SWITCH = threading.Lock()
_COMMIT = re.compile(r"[0-9a-f]{40}")
#: Data sets that were read; rows stay on disk, mapped into memory.
_read: dict[tuple[str | None, ...], Dataset] = {}


def read_hub(source: SourceConfig) -> Dataset:
    """Reads a data set of the hub, once in a process: stages that ask again get the same rows.

    Without a pinned revision the hub may deliver others an hour later, in the middle of a study. `forget_hub` looks
    again.

    Args:
        source: Its name, subset, split and revision. A revision is never replaced by another one.

    Raises:
        UserError: Where it cannot be reached, found or read, or holds no rows.
    """
    key = data_set_key(source)
    if key not in _read:
        _read[key] = _read_now(source)
    return _read[key]


def data_set_key(source: SourceConfig) -> tuple[str | None, ...]:
    """What tells data sets apart in one process."""
    return (source.hub, source.subset, source.split, source.revision, str(datasets.config.HF_DATASETS_CACHE))


def forget_hub() -> None:
    """Lets data sets be read from the hub again."""
    _read.clear()


def _read_now(source: SourceConfig) -> Dataset:
    assert source.hub is not None
    with _cache_only_when_unreachable() as offline:
        try:
            if offline is not None and source.revision is not None:
                loaded = _pinned(source)
            else:
                loaded = datasets.load_dataset(source.hub, source.subset, split=source.split, revision=source.revision)
        except MemoryError:
            raise UserError(memory_ran_out(source.name)) from None
        except Exception as error:
            raise explained(source, error, offline) from None
    if not isinstance(loaded, Dataset) or not len(loaded):
        raise UserError(f"The hub data set '{source.hub}' (split '{source.split}') holds no rows.")
    _check_commit(source, loaded)
    return loaded


def explained(source: SourceConfig, error: Exception, offline: str | None) -> UserError:
    """What is wrong with a data set that could not be read, and what to do.

    Args:
        source: The data set.
        error: What the library raised.
        offline: Why the hub was not asked; None where it was.
    """
    assert source.hub is not None
    reason = hub.error_reason(error, source.hub, source.revision).removeprefix("the hub says: ")
    if offline is None:
        return UserError(
            f"The hub data set '{source.hub}' (split '{source.split}') could not be loaded: {reason.rstrip('.')}. "
            "Check its name, subset, split and revision, or use `file:` with a local file."
        )
    held = _folder(source.hub).is_dir()
    # A copy that is there and cannot be read has its own reason (an unknown subset or split, another revision).
    why = f"its copy in the cache: {reason.rstrip('.')}" if held else "its cache on this machine holds no copy"
    return hub.unavailable(
        source.hub,
        hub.DATA_SET,
        why=f"{offline}, and {why}",
        starters=installed_sets(),
        usable=lambda repo: _folder(repo.repo_id).is_dir(),
    )


def _folder(name: str) -> Path:
    """Where the data sets library keeps a data set that was read once; only from there it is read offline."""
    *namespace, last = name.split("/")
    return Path(datasets.config.HF_DATASETS_CACHE).expanduser() / "___".join([*namespace, camelcase_to_snakecase(last)])


def _pinned(source: SourceConfig) -> Dataset:
    """Reads a revision from the cache: the library itself takes the latest copy, whatever revision is asked for."""
    assert source.hub is not None
    commit = _commit(source)
    folder = _folder(source.hub)
    copies = sorted(path.parent for path in folder.glob(f"*/*/{commit or '-'}/dataset_info.json"))
    if source.subset is not None:
        copies = [copy for copy in copies if copy.parts[-3] == source.subset]
    if not copies:
        held = sorted({path.parent.name[:12] for path in folder.glob("*/*/*/dataset_info.json")})
        subset = f" with the subset '{source.subset}'" if source.subset else ""
        raise ValueError(f"revision '{source.revision}'{subset} is not in it (revisions: {', '.join(held) or 'none'})")
    if len(copies) > 1:
        raise ValueError(f"set `subset` to one of {', '.join(copy.parts[-3] for copy in copies)}")
    subset, version, fingerprint = copies[0].parts[-3:]
    from datasets.packaged_modules.cache.cache import Cache

    builder: Any = Cache(
        dataset_name=source.hub.split("/")[-1],
        config_name=subset,
        version=version,
        hash=fingerprint,
        repo_id=source.hub,
    )
    builder.download_and_prepare()
    return builder.as_dataset(split=source.split)


def _commit(source: SourceConfig) -> str | None:
    """The commit of a revision, as far as this machine knows it."""
    revision = source.revision or "main"
    if _COMMIT.fullmatch(revision):
        return revision
    repo = huggingface_hub.constants.REPO_ID_SEPARATOR.join(["datasets", *str(source.hub).split("/")])
    ref = Path(huggingface_hub.constants.HF_HUB_CACHE) / repo / "refs" / revision
    return ref.read_text(encoding="utf-8").strip() if ref.is_file() else None


def _check_commit(source: SourceConfig, loaded: Dataset) -> None:
    """The library falls back to any copy where the hub stops answering half-way; a pinned revision must not."""
    files = loaded.cache_files
    if source.revision is None or not files:
        return
    read_commit, wanted_commit = Path(files[0]["filename"]).parent.name, _commit(source)
    if wanted_commit is not None and _COMMIT.fullmatch(read_commit) and read_commit != wanted_commit:
        raise UserError(
            f"The hub data set '{source.hub}': revision '{source.revision}' could not be read, only a copy of "
            f"{read_commit[:12]} in the cache. Try again when the hub answers."
        )


@contextmanager
def _cache_only_when_unreachable() -> Iterator[str | None]:
    """Lets the data sets library use its cache only while the hub is not asked; gives the reason."""
    offline = hub.offline_reason()
    if offline is None:
        yield None
        return
    constants = huggingface_hub.constants
    with _OFFLINE_SWITCH:
        before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
        constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
        try:
            yield offline
        finally:
            constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before
