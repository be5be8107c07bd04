"""Usable tasks by number of clusters: the quick look at words, against the study's sentence encoder.

python benchmarks/quick_look.py    # three packaged sets, 600 texts each; about two minutes on two cores
"""

from __future__ import annotations

import time

from metapt_explore.auxiliary_tasks.quick_look import COUNTS, QuickLook, quick_look
from metapt_explore.clusters.embed import embed
from metapt_explore.config import EncoderConfig
from metapt_explore.starter.texts import read_starter
from metapt_explore.study.first_look import fitting_bounds, labels_teach, usual_bounds

SETS = ("airline", "rotten_tomatoes", "newsgroups")
TEXTS = 600


def main() -> None:
    """Prints the usable tasks of both, at the usual bounds, and whether labels or clusters are proposed as classes."""
    print("clusters", *COUNTS)
    for name in SETS:
        frame = read_starter(name).dropna(subset=["text", "label"]).sample(TEXTS, random_state=0)
        texts, labels = frame["text"].tolist(), frame["label"].astype(str).tolist()
        names = sorted(set(labels))
        bounds = usual_bounds(len(names))
        asked = {"min_size": bounds.min_size, "min_per_label": bounds.min_per_label}
        began = time.perf_counter()
        words = quick_look(texts, labels, names)
        words.counts(**asked)
        quick = time.perf_counter() - began
        vectors = embed(texts, EncoderConfig(), "cpu").astype(float)
        encoder = QuickLook(vectors, words.ids, labels=len(names), rows=len(texts))
        for kind, look in (("words", words), ("encoder", encoder)):
            proposed = "labels" if labels_teach(look, fitting_bounds(look, len(names))) else "clusters as classes"
            print(f"{name}, {kind}:", *(count.tasks for count in look.counts(**asked)), proposed)
        print(f"{name}: {quick:.1f} s for the quick look")


if __name__ == "__main__":
    main()
