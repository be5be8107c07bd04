"""Tables out of a study's artifacts; reads files only and imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd

from metapt_explore.errors import UserError
from metapt_explore.fewshot.samples import mean_share, sample_facts, sample_sentences
from metapt_explore.results.begins import BEGINS
from metapt_explore.results.readers import readers_of
from metapt_explore.results.study_order import study_order
from metapt_explore.stages.base import listed_at
from metapt_explore.stages.ensemble import READERS, share_of
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.integrity import damaged
from metapt_explore.storage.stage_file import StageRecord
from metapt_explore.storage.studies import IndexEntry
from metapt_explore.storage.workspace import Workspace

COLUMNS = [
    "study",
    "method",
    "task",
    "data_seed",
    "init_seed",
    "accuracy",
    "macro_f1",
    "start_accuracy",
    "dev_accuracy",
    "learning_rate",
    "step",
    "test_loss",
    "start_loss",
    "calibrated_accuracy",
    "start_calibrated_accuracy",
    "seconds",
    "pretraining_seconds",
    "artifact",
]


#: Kinds of index entries for scores at `evaluation.more_shots`, of methods and of baselines.
OTHER_SHOTS = ("fewshot at other shots", "baseline at other shots")


def results_table(workspace: Workspace, study: str) -> pd.DataFrame:
    """One row for each method, task, data seed and initialisation seed that is finished, in the order of the study.

    `seconds` is tuning and scoring (a data seed's equal share of the batch it was computed in);
    `pretraining_seconds` is the whole pre-training behind the prompt, with encoding the texts where no
    method before it had. Both are telemetry. Baselines have no pre-training, and those without initialisation no
    `init_seed`.
    """
    entries = [entry for entry in ordered_index(workspace, study) if entry["kind"] in ("fewshot", "baseline")]
    return _results(workspace, study, entries)


def _results(workspace: Workspace, study: str, entries: list[IndexEntry]) -> pd.DataFrame:
    frames, heads = [], []
    for entry in entries:
        artifact = workspace.artifact(entry["id"])
        if not artifact.finished:
            continue
        frame = artifact.table("results")
        seconds, pretraining = seconds_of(workspace, artifact)
        frames.append(frame)
        heads.append(
            {
                "study": study,
                "method": entry["method"],
                "task": entry["task"],
                "init_seed": entry.get("init_seed", pd.NA),
                "seconds": round(seconds / len(frame), 2),
                "pretraining_seconds": round(pretraining, 2),
                "artifact": entry["id"],
            }
        )
    table = _stacked(frames, heads)
    # Label words, starts and readers per data seed, if they are chosen. Older scores lack some columns.
    return table.reindex(columns=[*COLUMNS, *(name for name in ("words", BEGINS, READERS, "c") if name in table)])


def _stacked(frames: list[pd.DataFrame], heads: list[dict[str, Any]]) -> pd.DataFrame:
    """Tables below one another, each row with the head of its table.

    Columns are set once: set in each of hundreds of small tables they take longer than reading.
    """
    if not frames:
        return pd.DataFrame()
    table = pd.concat(frames, ignore_index=True)
    places = np.repeat(np.arange(len(frames)), [len(frame) for frame in frames])
    head_of_row = pd.DataFrame(heads).iloc[places].reset_index(drop=True)
    if head_of_row["init_seed"].isna().any():
        head_of_row["init_seed"] = head_of_row["init_seed"].astype("Int64")
    return table.assign(**{str(column): head_of_row[column] for column in head_of_row})


def seconds_of(workspace: Workspace, artifact: Artifact) -> tuple[float, float]:
    """Of tuning and scoring, and of the pre-training behind it; of an ensemble those of what it combines."""
    seconds = artifact.stage["seconds"] + tuned_by(workspace, artifact).get("seconds", 0.0)
    prompts = {}
    for score in [artifact, *(readers := readers_of(workspace, artifact))]:
        prompt = _stage_behind(workspace, score, "prompt")
        prompts[score.stage["parents"].get("prompt")] = prompt.get("seconds", 0.0)
    for reader in readers:
        spent = reader.stage["seconds"] + tuned_by(workspace, reader).get("seconds", 0.0)
        seconds += spent * share_of(reader, artifact.stage["config"]["data_seeds"])
    return seconds, sum(prompts.values())


def tuned_by(workspace: Workspace, artifact: Artifact) -> StageRecord:
    """The record of the evaluation whose tuned prompts this one reuses; empty if it tunes its own."""
    return _stage_behind(workspace, artifact, "tuned")


def _stage_behind(workspace: Workspace, artifact: Artifact, role: str) -> StageRecord:
    """The record of what a score was made from; empty if it has no such parent.

    Raises:
        UserError: Where it is damaged or gone: its seconds belong to the score.
    """
    parent = artifact.stage.get("parents", {}).get(role)
    if parent is None:
        return {}
    behind = workspace.artifact(parent)
    if behind.status == "missing":
        raise damaged(behind.folder, f"is gone, and {artifact.id} was made from it")
    return behind.stage if behind.finished else {}


def fewshot_entries(workspace: Workspace, study: str, shots: int | None = None) -> list[IndexEntry]:
    """The few-shot evaluations in a study's list that answer what is asked now (see `Workspace.current_index`).

    Args:
        workspace: Where the study lies.
        study: Its name.
        shots: One of `evaluation.more_shots`; the study's own number of examples when absent.
    """
    kind = listed_at("fewshot", shots)
    listed = [entry for entry in ordered_index(workspace, study) if entry["kind"] == kind]
    return [entry for entry in listed if entry.get("shots") == shots]


def ordered_index(workspace: Workspace, study: str) -> list[IndexEntry]:
    """`Workspace.current_index` in the order of the study, whatever was computed first."""
    return study_order(workspace, study).entries(workspace.current_index(study))


def efficiency_table(workspace: Workspace, study: str) -> pd.DataFrame:
    """Scores by the number of labelled examples per class: those of `evaluation.shots` and of `more_shots`.

    Returns:
        The columns of `results_table`, ``shots``, and ``shared_rows``: the share of training rows that the few-shot
        samples of two data seeds have in common at that number (mean over their pairs), where it is known. Tasks
        with `shots` of their own are left out: they are scored at one number only.
    """
    evaluation, index = workspace.study_config(study).evaluation, ordered_index(workspace, study)
    frames, own = [], _tasks_with_own_shots(workspace, index, evaluation.shots)
    for shots in (None, *evaluation.more_shots):
        kinds = ("fewshot", "baseline") if shots is None else OTHER_SHOTS
        scores = _results(
            workspace, study, [entry for entry in index if entry["kind"] in kinds and entry.get("shots") == shots]
        )
        if len(scores):
            scores = scores[~scores["task"].isin(own)]
            shared = _shared_rows(workspace, index, shots)
            at = evaluation.shots if shots is None else shots
            frames.append(scores.assign(shots=at, shared_rows=scores["task"].map(shared).astype(float)))
    if not frames:
        return pd.DataFrame(columns=[*COLUMNS, "shots", "shared_rows"])
    return pd.concat(frames, ignore_index=True)


def _tasks_with_own_shots(workspace: Workspace, index: list[IndexEntry], shots: int) -> set[str]:
    """Tasks whose few-shot rows are not the study's number for each class."""
    splits = [workspace.artifact(entry["id"]) for entry in index if entry["kind"] == "split"]
    configs = [split.stage["config"] for split in splits if split.finished]
    return {str(config["name"]) for config in configs if config.get("shots", shots) != shots}


def _shared_rows(workspace: Workspace, index: list[IndexEntry], shots: int | None) -> dict[str, float]:
    """Share of training rows that samples of a task have in common, mean over pairs of data seeds, by task."""
    kind, shared = listed_at("split", shots), {}
    for entry in index:
        if entry["kind"] == kind and entry.get("shots") == shots:
            samples = split_samples(workspace.artifact(entry["id"]))
            if samples is not None:
                shared[entry["task"]] = mean_share(samples["train"], samples["data_seeds"])
    return shared


def curves_table(workspace: Workspace, study: str) -> pd.DataFrame:
    """Dev and test scores after each scored number of tuning steps.

    Test scores exist for the learning rate that dev chose; other rates have none.
    """
    frames, heads = [], []
    for entry in fewshot_entries(workspace, study):
        artifact = workspace.artifact(entry["id"])
        if artifact.finished:
            frames.append(artifact.table("curves"))
            heads.append({key: entry[key] for key in ("method", "task", "init_seed")})
    return _stacked(frames, heads)


def summary_table(results: pd.DataFrame) -> pd.DataFrame:
    """Mean, standard deviation and worst of accuracy over seeds, and mean macro F1, for each task and method.

    Args:
        results: What `results_table` returned.

    Returns:
        Columns task, method, start, mean, std, worst (accuracies in 0..1), macro_f1 and seeds; std is the sample
        standard deviation, absent for one seed. Methods and tasks keep the order of the study.
    """
    records: list[dict[str, Any]] = []
    for (task, method), cells in results.groupby(["task", "method"], sort=False):
        records.append(
            {
                "task": task,
                "method": method,
                "start": cells["start_accuracy"].mean(),
                "mean": cells["accuracy"].mean(),
                "std": cells["accuracy"].std(ddof=1),
                "worst": cells["accuracy"].min(),
                "macro_f1": cells["macro_f1"].mean() if "macro_f1" in cells else float("nan"),
                "seeds": len(cells),
            }
        )
    return pd.DataFrame(records, columns=["task", "method", "start", "mean", "std", "worst", "macro_f1", "seeds"])


def split_warnings(workspace: Workspace, study: str) -> list[str]:
    """What is odd about the few-shot rows: samples that are the same, a text that stands in both train and test …"""
    sentences: list[str] = []
    for entry in study_order(workspace, study).entries(workspace.index(study)):
        if entry["kind"] == "split":
            artifact = workspace.artifact(entry["id"])
            sentences += sample_sentences(entry["task"], split_samples(artifact))
            sentences += [str(line) for line in artifact.summary.get("warnings", [])]
    return sentences


def split_samples(split: Artifact) -> Mapping[str, Any] | None:
    """What samples of data seeds share, see `sample_facts`; None where it cannot be known."""
    samples = split.summary.get("samples")
    if isinstance(samples, dict):
        return samples
    # An older split without counts; some rows may be missing from its examples.
    with suppress(UserError, OSError, KeyError, ValueError):
        return sample_facts(split.table("rows"))
    return None


def caution(results: pd.DataFrame) -> str:
    """Says how little a few seeds prove.

    Example:
        >>> caution(pd.DataFrame({"data_seed": [1, 2, 3], "init_seed": [0, 0, 0]}))[:38]
        '3 data seeds × 1 initialisation seed: '
    """
    # Baselines without initialisation seeds have no pairs of seeds.
    pairs = results.dropna(subset=["init_seed"])[["data_seed", "init_seed"]].drop_duplicates()
    data_seeds, init_seeds = results["data_seed"].nunique(), pairs["init_seed"].nunique()
    counted = (
        f"{data_seeds} data seed{'s' * (data_seeds != 1)} × {init_seeds} initialisation seed{'s' * (init_seeds != 1)}"
    )
    if pairs.empty:
        # Baselines that draw only their rows.
        counted = f"{data_seeds} data seed{'s' * (data_seeds != 1)}"
        if data_seeds >= 10:
            return f"{counted}: compare means together with their spread, and seed by seed."
        return (
            f"{counted}: this proves nothing. Differences of a few points can turn round with other few-shot samples."
        )
    if len(pairs) < data_seeds * init_seeds:
        counted = f"{len(pairs)} pairs of a data seed and an initialisation seed"
    if len(pairs) >= 10 and init_seeds >= 3:
        return f"{counted}: compare means together with their spread, and method with method seed by seed."
    return (
        f"{counted}: this proves nothing. Differences of a few points can turn round with other seeds; "
        "a statement needs ten or more pairs of seeds, each initialisation seed a new pre-training."
    )
