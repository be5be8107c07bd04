"""The stage Texts as it is described: every row in memory, one step after the other. Tests compare with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from metapt_explore.config import TextsConfig
from metapt_explore.seeds import stream
from metapt_explore.texts.decontaminate import decontaminate_rows
from metapt_explore.texts.language import guess_language
from metapt_explore.texts.normalise import normalise
from metapt_explore.texts.rows import as_inputs, duplicate_key, texts_of
from metapt_explore.texts.sources import load_source
from metapt_explore.texts.words import count_words


def plain_texts(settings: TextsConfig, held_out: list[str], seed: int) -> dict[str, Any]:
    """Kept rows, leaks, counts and some of the report."""
    frame = load_source(settings).to_pandas()
    written = pd.Series(texts_of(frame), index=frame.index)
    inputs = as_inputs(frame)
    verdict = decontaminate_rows(inputs, held_out, settings.near_duplicate)
    reason = pd.Series("", index=frame.index)
    reason[written.map(count_words) < settings.min_words] = f"shorter than {settings.min_words} words"
    reason[written.map(normalise) == ""] = "blank"
    filled = frame["text"].str.strip() != ""
    if "text_pair" in frame:
        filled &= frame["text_pair"].str.strip() != ""
        reason[~filled] = "blank"
    leaked = pd.Series(verdict.reason, index=frame.index)
    reason[leaked == "near"] = "nearly equals a dev or test row"
    reason[leaked == "equal"] = "equals a dev or test row"
    if settings.labelled_only or settings.balanced:
        reason[(reason == "") & frame["label"].isna()] = "no label"
    usable = frame.index[reason == ""]
    keys = pd.Series([duplicate_key(row) for row in inputs], index=frame.index)
    reason[usable[keys[usable].duplicated()]] = "duplicate"
    left = frame.index[reason == ""].to_numpy()
    if settings.limit is not None and len(left) > settings.limit:
        order = stream(seed, "texts").permutation(len(left))
        if settings.balanced:
            labels = pd.Series(frame["label"][left[order]].to_numpy())
            order = order[np.argsort(labels.groupby(labels).cumcount().to_numpy(), kind="stable")]
        chosen = np.sort(order[: settings.limit])
        reason[np.setdiff1d(left, left[chosen])] = "not sampled"
        left = left[chosen]
    kept = frame.loc[left].rename_axis("source_row").reset_index()
    leaks = frame.index[leaked != ""]
    shown = [text for text, is_filled in zip(written, filled, strict=True) if is_filled]
    language = guess_language(shown)
    return {
        "kept": kept,
        "leaks": pd.DataFrame(
            {
                "source_row": leaks,
                "text": written[leaks].to_numpy(),
                "reason": leaked[leaks].to_numpy(),
                "held_out_text": np.array(held_out, dtype=object)[verdict.match[leaks]],
                "overlap": verdict.overlap[leaks],
            }
        ),
        "dropped": {str(name): int(count) for name, count in reason[reason != ""].value_counts().items()},
        "duplicates": len(shown) - len({normalise(text) or text.strip() for text in shown}),
        "words": sum(count_words(text) for text in shown),
        "filled": len(shown),
        "language": None if language is None else language.name,
    }
