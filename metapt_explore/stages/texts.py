"""The beginning of the pipeline as stages: few-shot splits, texts, embeddings.

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
from metapt_explore.storage.artifact import Artifact, ArtifactWriter, Question
from metapt_explore.storage.workspace import Workspace
from metapt_explore.texts.decontaminate import is_telling
from metapt_explore.texts.normalise import normalise
from metapt_explore.texts.rows import as_inputs, duplicate_key, texts_of
from metapt_explore.texts.words import count_words

#: How pairs of texts are compared; single texts never were in another way.
PAIRS = "in either order, and each text by itself"

Recipe = tuple[Question, Callable[[ArtifactWriter], None]]
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
            try:
                inputs.append(source_fingerprint(source.model_copy(update={"file": file})))
            except UserError as error:
                if task.instead_of is None:
                    raise
                hint = f"Or set METAPT_DATA to the folder that holds {task.instead_of.removeprefix('{data}/')}."
                raise UserError(f"Task '{task.name}': {error} {hint}") from None
    config = split_config(study, task)
    # Version 2: invisible characters, vowel points and the Turkish i no longer keep equal texts apart.
    stage = Question("split", f"few-shot splits of {task.name}", 2, config, {}, {"sources": inputs})

    def compute(out: ArtifactWriter) -> None:
        from metapt_explore.fewshot.samples import sample_facts
        from metapt_explore.fewshot.splits import make_splits
        from metapt_explore.seeds import stream

        splits = make_splits(
            task, evaluation.shots, evaluation.data_seeds, test_rows=evaluation.test_rows, seed=study.seed
        )
        parts: list[tuple[str, int | None, Any]] = [("test", None, splits.test)]
        parts += [("train", seed, rows) for seed, rows in splits.train.items()]
        parts += [("dev", seed, rows) for seed, rows in splits.dev.items()]
        frames = []
        for part, part_seed, rows in parts:
            frame = rows.to_pandas()
            frame.insert(0, "data_seed", pd.Series([part_seed] * len(frame), dtype="Int64"))
            frame.insert(0, "split", part)
            if evaluation.shuffle_labels:
                order = stream(study.seed, "shuffled_labels", task.name, part, part_seed or 0).permutation(len(frame))
                frame["label"] = frame["label"].to_numpy()[order]
            frames.append(frame)
        table = pd.concat(frames, ignore_index=True)
        out.write_table("rows", table)
        sizes = {"test": len(splits.test), "train": len(next(iter(splits.train.values())))}
        out.write_summary(
            {
                "sizes": sizes,
                "dropped": splits.dropped,
                "warnings": splits.warnings,
                "checksums": splits.checksums,
                "samples": sample_facts(table),
            }
        )

    return stage, compute


def split_config(study: StudyConfig, task: TaskConfig) -> dict[str, Any]:
    """Settings of the splits of a task, without the content of its files."""
    evaluation = study.evaluation
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
    if task.pairs:
        config["pairs"] = PAIRS
    if evaluation.shuffle_labels:
        config["shuffle_labels"] = True
    return config


def texts_config(study: StudyConfig) -> dict[str, Any]:
    """Settings of the pre-training texts, without the content of their file."""
    texts = study.texts
    config = texts.model_dump(mode="json", exclude={"starter", "file", "hub", "balanced"})
    if texts.balanced:
        config["balanced"] = True
    config["seed"] = study.seed
    if texts.columns.text_pair is not None:
        config["pairs"] = PAIRS
    return config


def text_parents(splits: dict[str, Artifact]) -> dict[str, str]:
    """The splits whose dev and test rows no pre-training text may repeat."""
    return {f"split of {name}": split.id for name, split in sorted(splits.items())}


def texts_recipe(study: StudyConfig, splits: dict[str, Artifact]) -> Recipe:
    """The pre-training texts: loaded, reported on, decontaminated, sampled."""
    from metapt_explore.texts.sources import source_fingerprint

    texts = study.texts
    config, parents = texts_config(study), text_parents(splits)
    # The version is raised whenever what this stage writes changes. Version 2: words and near copies in scripts without
    # spaces. What further on depends on how words are cut (keywords, topics) has these texts among its parents.
    stage = Question("texts", "pre-training texts", 2, config, parents, {"source": source_fingerprint(texts)})

    def compute(out: ArtifactWriter) -> None:
        from metapt_explore.seeds import stream
        from metapt_explore.texts.decontaminate import decontaminate_rows
        from metapt_explore.texts.report import data_report
        from metapt_explore.texts.sources import load_source

        rows = load_source(texts)
        report = data_report(rows)
        frame = rows.to_pandas()
        held_out = held_out_rows(splits)
        written = pd.Series(texts_of(frame), index=frame.index)
        inputs = as_inputs(frame)
        verdict = decontaminate_rows(inputs, list(held_out["text"]), texts.near_duplicate)
        normal = written.map(normalise)
        reason = pd.Series("", index=frame.index)
        reason[written.map(count_words) < texts.min_words] = f"shorter than {texts.min_words} words"
        reason[normal == ""] = "blank"
        if "text_pair" in frame:
            reason[(frame["text"].str.strip() == "") | (frame["text_pair"].str.strip() == "")] = "blank"
        leaked = pd.Series(verdict.reason, index=frame.index)
        reason[leaked == "near"] = "nearly equals a dev or test row"
        reason[leaked == "equal"] = "equals a dev or test row"
        if texts.labelled_only or texts.balanced:
            reason[(reason == "") & frame["label"].isna()] = "no label"
        # Last, so that a row that is dropped anyway does not make a later one its duplicate.
        usable = frame.index[reason == ""]
        keys = pd.Series([duplicate_key(row) for row in inputs], index=frame.index)
        reason[usable[keys[usable].duplicated()]] = "duplicate"
        left = frame.index[reason == ""].to_numpy()
        if texts.limit is not None and len(left) > texts.limit:
            order = stream(study.seed, "texts").permutation(len(left))
            if texts.balanced:
                order = order[_by_turns(frame["label"][left[order]].to_numpy())]
            chosen = np.sort(order[: texts.limit])
            dropped = np.setdiff1d(left, left[chosen])
            reason[dropped] = "not sampled"
            left = left[chosen]
        if not len(left):
            raise UserError(f"{texts.name}: no text is left to pre-train on ({_counts(reason)}).")
        kept = frame.loc[left].rename_axis("source_row").reset_index()
        columns = ["source_row", "text", *(["text_pair"] if "text_pair" in kept else []), "label", "group"]
        out.write_table("texts", kept[columns])
        leaks = frame.index[leaked != ""]
        leak_table = pd.DataFrame(
            {
                "source_row": leaks,
                "text": written[leaks].to_numpy(),
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
                "held_out_rows": int(held_out["whole"].sum()),
                "leaks_by_task": {str(task): int(count) for task, count in by_task.items()},
            }
        )

    return stage, compute


def find_texts(study: StudyConfig, tasks: dict[str, TaskConfig], workspace: Workspace) -> Artifact | None:
    """The pre-training texts, if they are there already; nothing is computed."""
    try:
        splits = {name: workspace.artifact(split_recipe(study, task)[0].id) for name, task in tasks.items()}
        for shots in study.evaluation.more_shots:
            other = study.at_shots(shots)
            for name, task in tasks.items():
                splits[f"{name} at {shots} shots"] = workspace.artifact(split_recipe(other, task)[0].id)
        texts = workspace.artifact(texts_recipe(study, splits)[0].id)
    except UserError:  # a source that cannot be read was not read before either
        return None
    return texts if texts.status == "done" else None


def _by_turns(labels: np.ndarray) -> np.ndarray:
    """Positions such that labels take turns, each in its own order; where one has run out the others go on."""
    turn = pd.Series(labels).groupby(labels).cumcount().to_numpy()
    return np.argsort(turn, kind="stable")


def held_out_rows(splits: dict[str, Artifact]) -> pd.DataFrame:
    """What pre-training texts are compared with: columns task, text and whole.

    All dev and test rows of the study's tasks; of pairs the two texts together (``whole``), and each of them that is
    long enough to be known again (a premise that lies in a pre-training text gives half of the row away).
    """
    frames = []
    for name, split in sorted(splits.items()):
        rows = split.table("rows")
        rows = rows[rows["split"] != "train"]
        frames.append(pd.DataFrame({"task": name, "text": texts_of(rows), "whole": True}).drop_duplicates())
        for role in ("text", "text_pair") if "text_pair" in rows else ():
            telling = rows[role][rows[role].map(normalise).map(is_telling).astype(bool)]
            frames.append(pd.DataFrame({"task": name, "text": telling, "whole": False}).drop_duplicates())
    return pd.concat(frames, ignore_index=True)


def _counts(reason: pd.Series) -> dict[str, int]:
    return {str(name): int(count) for name, count in reason[reason != ""].value_counts().items()}


def embeddings_recipe(study: StudyConfig, texts: Artifact, device: str, on_units: OnUnits) -> Recipe:
    """Sentence embeddings of the texts."""
    from metapt_explore.models.folder import content_hash, model_folder
    from metapt_explore.models.pooling import read_pooling

    folder = model_folder(study.encoder.name, study.encoder.revision, hub.ENCODER)
    pooling = read_pooling(folder, study.encoder.name)
    config: dict[str, Any] = {
        "max_tokens": pooling.tokens(study.encoder.max_tokens),
        "batch_size": study.encoder.batch_size,
        **pooling.unusual,
    }
    inputs = {"encoder": content_hash(folder), "device": device.split(":")[0]}
    stage = Question("embeddings", "embeddings", 1, config, {"texts": texts.id}, inputs)

    def compute(out: ArtifactWriter) -> None:
        import torch

        from metapt_explore.clusters.embed import embed

        vectors = embed(texts_of(texts.table("texts")), study.encoder, device, on_units, out)
        out.write_tensors("embeddings", {"embeddings": torch.from_numpy(vectors)})
        out.write_summary({"rows": len(vectors), "width": int(vectors.shape[1])})

    return stage, compute
