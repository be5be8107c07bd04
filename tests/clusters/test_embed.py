"""Embedding of many texts: stopped at any batch it goes on to the same rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from kept import KeptInMemory, StopAt

from metapt_explore.clusters.embed import embed
from metapt_explore.config import EncoderConfig
from metapt_explore.errors import Cancelled


def test_what_was_stopped_goes_on_at_the_next_batch(world: Path) -> None:
    config = EncoderConfig(name=str(world / "encoder"), batch_size=4)
    texts = [f"a good book w{row % 40} " + "of " * (7 * row % 5) for row in range(22)]
    counted = StopAt(None)
    whole = embed(texts, config, on_rows=counted)
    assert counted.calls == 6
    for n in range(1, 7):
        kept, rest = KeptInMemory(), StopAt(None)
        with pytest.raises(Cancelled):
            embed(texts, config, on_rows=StopAt(n), record=kept)
        np.testing.assert_array_equal(embed(texts, config, on_rows=rest, record=kept), whole)
        assert rest.calls == 6 - n
