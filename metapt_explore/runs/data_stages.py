"""The first half of the pipeline as stages: few-shot splits, texts, embeddings, clusters, auxiliary tasks.

Each function returns a stage (the question) and a function that computes its answer into an artifact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from metapt_explore import hub
from metapt_explore.config import StudyConfig, TaskConfig
from metapt_explore.errors import UserError
from metapt_explore.runs.artifact import Artifact, ArtifactWriter, Stage

Recipe = tuple[Stage, Callable[[ArtifactWriter], None]]
OnUnits = Callable[[int], None]


def split_recipe(study: StudyConfig, task: TaskConfig) -> Recipe:
    """Few-shot splits of a downstream task: the same test rows, and train and dev rows for each data seed."""
    from metapt_explore.texts.sources import source_fingerprint

    evaluation = study.evaluation
    inputs = []
    for source in task.sources:
        seeds: list[int | None] = list(evaluation.data_seeds) if "{seed}" in (source.file or "") else [None]
        for seed in seeds:
            file = source.file.replace("{seed}", str(seed)) if source.file and seed is not None else source.file
            inputs.append(source_fingerprint(source.model_copy(update={"file": file})))
    asked = task.model_dump(mode="json", include={"name", "labels"})
    columns = [source.columns.model_dump(mode="json") for source in task.sources]
    # Label words do not change the rows; only the values that tell classes apart do.
    asked["labels"] = {name: label["value"] for name, label in asked["labels"].items()}
    config = {
        **asked,
        "columns": columns,
        "shots": evaluation.shots,
        "data_seeds": evaluation.data_seeds,
        "test_rows": evaluation.test_rows,
        "seed": study.seed,
    }
    stage = Stage("split", f"few-shot splits of {task.name}", 1, config, {}, {"sources": inputs})

    def compute(out: ArtifactWriter) -> None:
        from metapt_explore.fewshot.splits import make_splits

        splits = make_splits(task, evaluation.shots, evaluation.data_seeds, evaluation.test_rows, study.seed)
        parts: list[tuple[str, int | None, Any]] = [("test", None, splits.test)]
        parts += [("train", seed, rows) for seed, rows in splits.train.items()]
        parts += [("dev", seed, rows) for seed, rows in splits.dev.items()]
        frames = []
        for part, part_seed, rows in parts:
            frame = rows.to_pandas()[["text", "label"]]
            frame.insert(0, "data_seed", pd.Series([part_seed] * len(frame), dtype="Int64"))
            frame.insert(0, "split", part)
            frames.append(frame)
        out.write_table("rows", pd.concat(frames, ignore_index=True))
        sizes = {"test": len(splits.test), "train": len(next(iter(splits.train.values())))}
        out.write_summary(
            {"sizes": sizes, "dropped": splits.dropped, "warnings": splits.warnings, "checksums": splits.checksums}
        )

    return stage, compute


def texts_recipe(study: StudyConfig, splits: dict[str, Artifact]) -> Recipe:
    """The pre-training texts: loaded, reported on, decontaminated, sampled."""
    from metapt_explore.texts.sources import source_fingerprint

    texts = study.texts
    config = texts.model_dump(mode="json", exclude={"starter", "file", "hub"})
    config["seed"] = study.seed
    parents = {f"split of {name}": split.id for name, split in sorted(splits.items())}
    # The version is raised whenever what this stage writes changes.
    stage = Stage("texts", "pre-training texts", 1, config, parents, {"source": source_fingerprint(texts)})

    def compute(out: ArtifactWriter) -> None:
        from metapt_explore.seeds import stream
        from metapt_explore.texts.decontaminate import decontaminate
        from metapt_explore.texts.normalise import normalise
        from metapt_explore.texts.report import data_report
        from metapt_explore.texts.sources import load_source

        rows = load_source(texts)
        report = data_report(rows)
        frame = rows.to_pandas()
        held_out = held_out_rows(splits)
        verdict = decontaminate(list(frame["text"]), list(held_out["text"]), texts.near_duplicate)
        normal = frame["text"].map(normalise)
        reason = pd.Series("", index=frame.index)
        reason[normal.str.count(" ") + 1 < texts.min_words] = f"shorter than {texts.min_words} words"
        reason[normal == ""] = "blank"
        leaked = pd.Series(verdict.reason, index=frame.index)
        reason[leaked == "near"] = "nearly equals a dev or test row"
        reason[leaked == "equal"] = "equals a dev or test row"
        if texts.labelled_only:
            reason[(reason == "") & frame["label"].isna()] = "no label"
        # Last, so that a row that is dropped anyway does not make a later one its duplicate.
        usable = frame.index[reason == ""]
        reason[usable[normal[usable].duplicated()]] = "duplicate"
        left = frame.index[reason == ""].to_numpy()
        if texts.limit is not None and len(left) > texts.limit:
            chosen = np.sort(stream(study.seed, "texts").permutation(len(left))[: texts.limit])
            dropped = np.setdiff1d(left, left[chosen])
            reason[dropped] = "not sampled"
            left = left[chosen]
        if not len(left):
            raise UserError(f"{texts.name}: no text is left to pre-train on ({_counts(reason)}).")
        kept = frame.loc[left].rename_axis("source_row").reset_index()
        out.write_table("texts", kept[["source_row", "text", "label", "group"]])
        leaks = frame.index[leaked != ""]
        leak_table = pd.DataFrame(
            {
                "source_row": leaks,
                "text": frame.loc[leaks, "text"].to_numpy(),
                "reason": leaked[leaks].to_numpy(),
                "held_out_task": held_out["task"].to_numpy()[verdict.match[leaks]],
                "held_out_text": held_out["text"].to_numpy()[verdict.match[leaks]],
                "overlap": verdict.overlap[leaks],
            }
        )
        out.write_table("leaks", leak_table)
        by_task = leak_table["held_out_task"].value_counts().to_dict()
        out.write_summary(
            {
                "report": report,
                "kept": len(kept),
                "dropped": _counts(reason),
                "held_out_rows": len(held_out),
                "leaks_by_task": {str(task): int(count) for task, count in by_task.items()},
            }
        )

    return stage, compute


def held_out_rows(splits: dict[str, Artifact]) -> pd.DataFrame:
    """All dev and test rows of the study's tasks: columns task, text."""
    frames = []
    for name, split in sorted(splits.items()):
        rows = split.table("rows")
        rows = rows[rows["split"] != "train"]
        frames.append(pd.DataFrame({"task": name, "text": rows["text"]}).drop_duplicates())
    return pd.concat(frames, ignore_index=True)


def _counts(reason: pd.Series) -> dict[str, int]:
    return {str(name): int(count) for name, count in reason[reason != ""].value_counts().items()}


def embeddings_recipe(study: StudyConfig, texts: Artifact, device: str, on_units: OnUnits) -> Recipe:
    """Sentence embeddings of the texts."""
    from metapt_explore.prompts.models import content_hash, model_folder

    folder = model_folder(study.encoder.name, study.encoder.revision, hub.ENCODER)
    config = {"max_tokens": study.encoder.max_tokens, "batch_size": study.encoder.batch_size}
    inputs = {"encoder": content_hash(folder), "device": device.split(":")[0]}
    stage = Stage("embeddings", "embeddings", 1, config, {"texts": texts.id}, inputs)

    def compute(out: ArtifactWriter) -> None:
        import torch

        from metapt_explore.clusters.embed import embed

        vectors = embed(list(texts.table("texts")["text"]), study.encoder, device, on_units)
        out.write_tensors("embeddings", {"embeddings": torch.from_numpy(vectors)})
        out.write_summary({"rows": len(vectors), "width": int(vectors.shape[1])})

    return stage, compute


def clusters_recipe(
    study: StudyConfig, name: str, texts: Artifact, embeddings: Artifact, like: Artifact | None
) -> Recipe:
    """One grouping of the texts, with its map, keywords and quality."""
    clustering = study.clustering(name)
    config = clustering.model_dump(mode="json", exclude={"name", "like"})
    config["seed"] = study.seed
    # The summary counts labels by their names.
    config["labels"] = {label.value: label_name for label_name, label in study.auxiliary_tasks.labels.items()}
    if clustering.algorithm == "random_groups":
        # Its random stream carries the name, so that a study can hold several random controls.
        config["name"] = name
    parents = {"texts": texts.id, "embeddings": embeddings.id}
    if like is not None:
        parents["like"] = like.id
    stage = Stage("clusters", f"clusters '{name}'", 1, config, parents)

    def compute(out: ArtifactWriter) -> None:
        from metapt_explore.clusters.algorithms import cluster
        from metapt_explore.clusters.map import project
        from metapt_explore.clusters.names import cluster_name, keywords
        from metapt_explore.clusters.quality import agreement, cluster_quality
        from metapt_explore.clusters.reduce import reduce_embeddings

        rows = texts.table("texts")
        vectors = embeddings.tensors("embeddings")["embeddings"].numpy()
        groups = [group if isinstance(group, str) else None for group in rows["group"]]
        like_labels = like.table("clusters")["cluster"].to_numpy() if like is not None else None
        grouping = cluster(vectors, clustering, study.seed, groups, like_labels)
        reduced = reduce_embeddings(vectors, clustering.dimensions)
        position = project(vectors)
        words = keywords(list(rows["text"]), grouping.labels)
        classes = study.auxiliary_tasks.labels
        by_value = {label.value: label_name for label_name, label in classes.items()}
        labels = rows["label"].map(lambda value: by_value.get(value, "unlabelled"))
        clusters = []
        for cluster_id in sorted(set(grouping.labels.tolist()) - {-1}):
            members = grouping.labels == cluster_id
            known = grouping.names[cluster_id] if grouping.names else None
            clusters.append(
                {
                    "cluster": int(cluster_id),
                    "name": f"{cluster_id}: {known}" if known else cluster_name(cluster_id, words.get(cluster_id, [])),
                    "rows": int(members.sum()),
                    "keywords": words.get(cluster_id, []),
                    "labels": {str(k): int(v) for k, v in labels[members].value_counts().items()},
                    "strength": float(np.mean(grouping.strength[members])),
                }
            )
        out.write_table(
            "clusters",
            pd.DataFrame(
                {
                    "row": np.arange(len(rows)),
                    "cluster": grouping.labels,
                    "strength": grouping.strength,
                    "x": position[:, 0],
                    "y": position[:, 1],
                }
            ),
        )
        out.write_summary(
            {
                "clusters": clusters,
                "outliers": int((grouping.labels == -1).sum()),
                "quality": cluster_quality(reduced, grouping.labels, study.seed),
                "agreement": agreement(grouping.labels, groups),
            }
        )

    return stage, compute


def tasks_recipe(study: StudyConfig, texts: Artifact, clusters: Artifact | None) -> Recipe:
    """Auxiliary tasks out of clusters; without clusters, one task of all labelled rows (PPT's pool)."""
    auxiliary = study.auxiliary_tasks
    config: dict[str, Any] = {
        "labels": {name: label.value for name, label in auxiliary.labels.items()},
        "min_size": auxiliary.min_size,
        "min_per_label": auxiliary.min_per_label,
    }
    parents = {"texts": texts.id}
    if clusters is not None:
        parents["clusters"] = clusters.id
    stage = Stage("tasks", "auxiliary tasks", 1, config, parents)

    def compute(out: ArtifactWriter) -> None:
        from metapt_explore.clusters.auxiliary import auxiliary_tasks

        rows = texts.table("texts")
        by_value = {label.value: name for name, label in auxiliary.labels.items()}
        classes: list[str | None] = [by_value.get(value) for value in rows["label"]]
        if rows["label"].isna().all():
            raise UserError(
                f"{study.texts.name}: no pre-training text has a label; name the label column in texts.columns.label."
            )
        if not any(classes):
            found = sorted({str(value) for value in rows["label"].dropna()})[:8]
            raise UserError(
                f"{study.texts.name}: no label of the texts ({', '.join(found)}) is among auxiliary_tasks.labels "
                f"({', '.join(by_value)})."
            )
        labels = clusters.table("clusters")["cluster"].to_numpy() if clusters is not None else np.zeros(len(rows), int)
        made = auxiliary_tasks(labels, classes, list(auxiliary.labels), auxiliary)
        records = [
            {"task": int(task), "label": label, "row": int(row)}
            for task, by_label in sorted(made.tasks.items())
            for label, members in by_label.items()
            for row in members
        ]
        out.write_table("tasks", pd.DataFrame(records))
        out.write_summary(
            {
                "tasks": len(made.tasks),
                "sizes": {str(t): int(sum(len(m) for m in by.values())) for t, by in sorted(made.tasks.items())},
                "dropped": {str(cluster): why for cluster, why in made.dropped.items()},
                "counts": made.counts,
            }
        )

    return stage, compute
