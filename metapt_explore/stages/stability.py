"""Stability of a clustering as a stage: made on request, because it clusters many times."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from metapt_explore.config import StudyConfig
from metapt_explore.stages.texts import Recipe
from metapt_explore.storage.artifact import Artifact, ArtifactWriter, Question
from metapt_explore.texts.rows import texts_of


def stability_recipe(
    study: StudyConfig,
    name: str,
    runs: int,
    texts: Artifact,
    embeddings: Artifact,
    clusters: Artifact,
    like: Artifact | None,
    on_units: Callable[[int], None],
) -> Recipe:
    """Runs a clustering with other seeds and on sub-samples of the texts (see `clusters/stability.py`).

    Args:
        study: The study.
        name: The clustering.
        runs: Other seeds, and sub-samples.
        texts: The pre-training texts.
        embeddings: Their embeddings.
        clusters: The clustering itself; its id holds every setting.
        like: Random groups: the clustering whose sizes they copy.
        on_units: Called with the number of runs done.
    """
    clustering = study.clustering(name)
    parents = {"texts": texts.id, "embeddings": embeddings.id, "clusters": clusters.id}
    if like is not None:
        parents["like"] = like.id
    config = {"runs": runs, "seed": study.seed}
    stage = Question("stability", f"stability of clusters '{name}'", 1, config, parents)

    def compute(out: ArtifactWriter) -> None:
        from metapt_explore.clusters.algorithms import cluster
        from metapt_explore.clusters.stability import stability

        rows = texts.table("texts")
        vectors = embeddings.tensors("embeddings")["embeddings"].numpy()
        groups = [group if isinstance(group, str) else None for group in rows["group"]]
        written = texts_of(rows)
        like_labels = like.table("clusters")["cluster"].to_numpy() if like is not None else None
        done = 0

        def rerun(chosen: np.ndarray, seed: int) -> np.ndarray:
            nonlocal done
            on_units(done)
            done += 1
            made = cluster(
                vectors[chosen],
                clustering.model_copy(update={"seed": seed}) if clustering.seeded else clustering,
                study.seed,
                [groups[row] for row in chosen.tolist()],
                None if like_labels is None else like_labels[chosen],
                [written[row] for row in chosen.tolist()],
            )
            return made.labels

        labels = clusters.table("clusters")["cluster"].to_numpy()
        out.write_summary(stability(labels, rerun, runs, study.seed, clustering.seeded))

    return stage, compute
