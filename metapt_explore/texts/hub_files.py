"""Where the Parquet files of a large hub data set lie, and whether a study reads them there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
from datasets import Features
from datasets.packaged_modules.parquet.parquet import Parquet
from fsspec.core import url_to_fs

from metapt_explore import hub
from metapt_explore.config import SourceConfig, TextsConfig
from metapt_explore.texts.hub_data import data_set_key

#: Bytes of a split from which it is read where it lies; a smaller one is downloaded once, and read again for nothing.
STREAMED_BYTES = 512 * 2**20
#: A whole split; `train[:10%]` is a part of one.
SPLIT = re.compile(r"\w+(\.\w+)*")
#: Data sets that were looked up; None for one that is read as a whole.
_known: dict[tuple[str | None, ...], HubFiles | None] = {}


@dataclass(frozen=True)
class HubFiles:
    """The Parquet files of a split.

    Attributes:
        urls: Where they lie, in order.
        features: Types of its columns, as its card says; None where it does not.
        fingerprint: As the data sets library gives it to the whole data set.
        examples: Rows, as its card says; None where it does not.
    """

    urls: tuple[str, ...]
    features: Features | None
    fingerprint: str
    examples: int | None

    def rows(self) -> int:
        """Rows of all files: by the card, else by the files' footers."""
        return self.examples if self.examples is not None else sum(self.counts)

    @cached_property
    def counts(self) -> list[int]:
        """Rows of each file, by its footer."""
        counts = []
        for url in self.urls:
            with open_parquet(url) as file:
                counts.append(int(file.metadata.num_rows))
        return counts


def streamed_hub(source: SourceConfig) -> HubFiles | None:
    """The files of a hub data set that is read where it lies; None where it is read as a whole.

    That takes `texts.limit`, a hub that answers, a split of Parquet files that is large, and no copy in the cache.

    Args:
        source: The texts of a study, or any other source (which is read as a whole).
    """
    if source.hub is None or not isinstance(source, TextsConfig) or source.limit is None:
        return None
    if not SPLIT.fullmatch(source.split):
        return None
    key = data_set_key(source)
    if key not in _known:  # once in a process: stages that ask again read it in the same way
        _known[key] = None if hub.offline_reason() is not None else _find(source)
    return _known[key]


def forget_files() -> None:
    """Lets data sets be looked up again."""
    _known.clear()


def _find(source: SourceConfig) -> HubFiles | None:
    assert source.hub is not None
    try:
        builder: Any = datasets.load_dataset_builder(source.hub, source.subset, revision=source.revision)
        files = (builder.config.data_files or {}).get(source.split)
        if not isinstance(builder, Parquet) or not files or _is_cached(builder):
            return None
        size = 0
        for url in files:
            system, path = url_to_fs(url)
            size += int(system.size(path) or 0)
    except Exception:  # reading it as a whole says what is wrong
        return None
    if size < STREAMED_BYTES:
        return None
    known = (builder.info.splits or {}).get(source.split)
    examples = None if known is None else known.num_examples
    fingerprint = str(builder._get_dataset_fingerprint(source.split))
    return HubFiles(tuple(map(str, files)), builder.info.features, fingerprint, examples or None)


def _is_cached(builder: Any) -> bool:
    return Path(builder.cache_dir, str(datasets.config.DATASET_INFO_FILENAME)).is_file()


def open_parquet(url: str) -> pq.ParquetFile:
    """A Parquet file, wherever it lies; its footer is read."""
    system, path = url_to_fs(url)
    # One request fetches the columns of a row group, not one for each page.
    return pq.ParquetFile(system.open(path, "rb"), pre_buffer=True)
