"""Labels as a stage: what no test label may reach, what is left alone, ids, progress and cost."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from fake_pipeline import fake_pipeline

from metapt_explore.config import LabellingConfig, MethodConfig, PretrainingConfig, StudyConfig, parse
from metapt_explore.cost.count import Reckoning, Work
from metapt_explore.errors import Cancelled, UserError
from metapt_explore.models import scoring
from metapt_explore.pretraining.learner import PretrainingTask
from metapt_explore.pretraining.pooled import Pooled
from metapt_explore.progress.state import Progress
from metapt_explore.stages.labels import Labels
from metapt_explore.stages.registry import count
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.checkpoint import RowsCheckpoint
from metapt_explore.study.study import Study
from metapt_explore.texts.labelling import classifier_rows, format_labels

COLUMNS = {"text": "text", "label": "label"}


def config_of(world: Path, **changes: Any) -> StudyConfig:
    return parse(StudyConfig, tiny.study_tree(world, **changes), "test")


def labels_of(study: Study) -> Artifact:
    labels = study.labels()
    assert labels is not None
    return labels


def write_rows(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def own_rows(world: Path) -> list[dict[str, str]]:
    with (world / "texts.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


# ------------------------------------------------------------------------------- what is learned from


def test_training_rows_by_hand() -> None:
    held_out = ["the camera was really good and solid", "Dull!"]
    texts = ["a good lens", "A good lens!", "dull", "my camera was really good and solid", "", "a lens", "poor zoom"]
    classes = ["+", "-", "-", "+", "+", None, "-"]
    found = classifier_rows(texts, classes, held_out, near_duplicate=0.5)
    # 4 of the 6 triples that the two camera sentences have together are in both.
    assert found.kept == [0, 6]
    leaked = "equals or nearly equals a dev or test row"
    assert found.dropped == {"duplicate": 1, leaked: 2, "blank": 1, "label is no class": 1}


def test_no_dev_or_test_label_reaches_the_classifier(world: Path, tmp_path: Path) -> None:
    """With every dev and test row in its training file the classifier says exactly what it says without them."""
    rows = own_rows(world)
    splits = Study(world / "tiny.yaml", tmp_path / "w").split("mood").table("rows")
    held_out = splits[splits["split"] != "train"]["text"].unique()
    leaky = rows + [{"text": text, "label": "negative", "topic": "x"} for text in held_out]

    def made(name: str, content: list[dict[str, str]]) -> Artifact:
        train = {"file": str(write_rows(tmp_path / name, content)), "columns": COLUMNS}
        labelling = {"by": "classifier", "which": "all", "train": train}
        return labels_of(Study(config_of(world, labelling=labelling), tmp_path / "w"))

    clean, dirty = made("clean.csv", rows), made("leaky.csv", leaky)
    assert clean.id != dirty.id
    pd.testing.assert_frame_equal(clean.table("labels"), dirty.table("labels"), check_exact=True)
    dropped = dirty.summary["train"]["dropped"]["equals or nearly equals a dev or test row"]
    assert dropped == len(held_out) and clean.summary["train"]["rows"] == dirty.summary["train"]["rows"] == len(rows)
    assert f"{len(held_out)} training rows that equal or nearly equal a dev or test row" in format_labels(dirty.summary)
    assert "agreement" in clean.summary and clean.summary["agreement"] is None, "it was trained on all of them"


def test_a_classifiers_missing_file_is_found_before_anything_runs(world: Path, tmp_path: Path) -> None:
    train = {"file": str(tmp_path / "nowhere.csv"), "columns": COLUMNS}
    study = Study(config_of(world, labelling={"by": "classifier", "train": train}), tmp_path / "w")
    with pytest.raises(UserError, match=r"no file .*nowhere\.csv"):
        study.run()
    assert not study.workspace.index("tiny")


# ------------------------------------------------------------------------------------ what is labelled


@pytest.fixture
def three_kinds(world: Path, tmp_path: Path) -> Path:
    """Every third text is called neutral, every third has no label."""
    rows = [{**row, "label": ("neutral", row["label"], "")[index % 3]} for index, row in enumerate(own_rows(world))]
    return write_rows(tmp_path / "three.csv", rows)


def test_a_text_that_the_data_call_something_else_is_left_alone(world: Path, three_kinds: Path, tmp_path: Path) -> None:
    study = Study(config_of(world, texts={"file": str(three_kinds)}, labelling={"by": "zero_shot"}), tmp_path / "w")
    table, given = labels_of(study).table("labels"), study.texts().table("texts")["label"]
    neutral = given == "neutral"
    assert neutral.sum() == 54 and table["class"][neutral].isna().all() and table["confidence"][neutral].isna().all()
    assert (table["source"] == "zero_shot").equals(given.isna())
    summary = labels_of(study).summary
    assert summary["asked"] == given.isna().sum() and summary["other_labels"] == {"rows": 54, "kept": 0}
    assert "54 texts have a label that is no class and keep none." in format_labels(summary)
    assert study.auxiliary_tasks(None).summary["counts"]["unlabelled"] == 54


def test_asked_for_all_it_says_how_many_of_them_got_a_class(world: Path, three_kinds: Path, tmp_path: Path) -> None:
    labelling = {"by": "zero_shot", "which": "all", "most_per_class": 30}
    changes: dict[str, Any] = {"texts": {"file": str(three_kinds), "labelled_only": True}, "labelling": labelling}
    study = Study(config_of(world, **changes), tmp_path / "w")
    table, given = labels_of(study).table("labels"), study.texts().table("texts")["label"]
    summary = labels_of(study).summary
    assert given.notna().all() and summary["agreement"]["rows"] == (given != "neutral").sum()
    kept = int(table["class"][given == "neutral"].notna().sum())
    assert summary["other_labels"] == {"rows": 54, "kept": kept} and 0 < kept < 54
    assert f"54 texts have a label that is no class; {kept} of them got one." in format_labels(summary)


LOGITS = {"a": [2.0, 0.0], "b": [1.0, 0.0], "N/A": [3.0, 0.0], "-": [1.0, 0.0]}


class NoModel:
    """Stands for the language model, whose logits are given."""

    def pattern(self, *of: Any) -> None: ...


@pytest.mark.parametrize("calibration", ["none", "batch_mean", "content_free"])
def test_calibration_by_hand(world: Path, calibration: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def given(backbone: NoModel, texts: list[str], pattern: None) -> torch.Tensor:
        return torch.tensor([LOGITS[text] for text in texts])

    monkeypatch.setattr(scoring, "zero_shot", given)
    labelling = LabellingConfig(by="zero_shot", calibration=calibration, content_free=["N/A", "-"])
    units: list[int] = []
    config = config_of(world).model_copy(update={"labelling": labelling})
    labels = Labels(fake_pipeline(config, progress=SimpleNamespace(advance=units.append)))
    found = labels.zero_shot(["a", "b"], NoModel(), RowsCheckpoint(None))  # type: ignore[arg-type]
    share = {name: np.exp(logits) / np.exp(logits).sum() for name, logits in LOGITS.items()}
    reference = {"none": [], "batch_mean": ["a", "b"], "content_free": ["N/A", "-"]}[calibration]
    prior = np.mean([share[name] for name in reference], axis=0) if reference else np.ones(2)
    expected = np.stack([share["a"] / prior, share["b"] / prior])
    assert np.allclose(found, expected / expected.sum(1, keepdims=True), atol=1e-6)
    assert found.argmax(1).tolist() == {"none": [0, 0], "batch_mean": [0, 1], "content_free": [0, 1]}[calibration]


# ------------------------------------------------------------------------------- ids, progress, cost


def test_everything_behind_labels_depends_on_them(world: Path, tmp_path: Path) -> None:
    def prompts(**labelling: Any) -> tuple[str, str, str]:
        config = config_of(world, labelling={"by": "zero_shot", "which": "all", **labelling})
        study = Study(config, tmp_path)
        return study.auxiliary_tasks("kmeans").id, study.prompt("MetaPT").id, study.prompt("PT").id

    one, other = prompts(), prompts(most_per_class=60)
    assert one[0] != other[0] and one[1] != other[1] and one[2] == other[2]


def test_zero_shot_labels_report_progress_and_can_be_stopped(world: Path, tmp_path: Path) -> None:
    config = config_of(world, labelling={"by": "zero_shot", "which": "all"})
    done: list[int] = []
    stages: list[str] = []

    def listen(state: Any) -> None:
        stages.append(state.stage)
        if state.stage.startswith("labels"):
            done.append(state.done)

    stopping = Study(config, tmp_path, Progress(listen, lambda: bool(done) and done[-1] >= 64))
    with pytest.raises(Cancelled):
        stopping.labels()
    assert max(done) == 64, "the first 64 of 160 texts were scored"
    # The model is loaded under its own name, not on the labels' time.
    assert "loading the language model" in stages
    entry = next(e for e in stopping.workspace.index("tiny") if e["kind"] == "labels")
    assert stopping.workspace.artifact(entry["id"]).status == "cancelled"
    # The first 64 are not asked for again, and the same comes out as without a break.
    first: list[int] = []

    def listen_again(state: Any) -> None:
        if state.stage.startswith("labels"):
            first.append(state.done)

    found = labels_of(Study(config, tmp_path, Progress(listen_again)))
    assert found.status == "done" and next(done for done in first if done) == 64
    whole = labels_of(Study(config, tmp_path / "whole"))
    pd.testing.assert_frame_equal(found.table("labels"), whole.table("labels"), check_exact=True)


def works_of(config: StudyConfig, placement: Any = None) -> dict[str, Work]:
    return count(Study(config, "nowhere"), Reckoning.of(config, placement, text_tokens=10))


def test_zero_shot_passes_are_in_the_cost(world: Path) -> None:
    config = config_of(world, labelling={"by": "zero_shot"}, texts={"limit": 100})
    works = works_of(config)
    assert works["labels/zero_shot"] == Work(scored=100, encoded=1_000)
    assert works_of(config, "prefix")["labels/zero_shot"] == Work(scored=100)
    without = works_of(config.model_copy(update={"labelling": None}))
    assert {key: work for key, work in works.items() if key != "labels/zero_shot"} == without


# ------------------------------------------------------------------------------- clusters as classes


def pool_of(tasks: dict[int, dict[str, list[int]]]) -> dict[str, list[int]]:
    method = MethodConfig(name="PPT", kind="ppt", clustering="c")
    return Pooled(PretrainingTask(tasks, PretrainingConfig(), method, 0, 0))._pool


def test_a_pooled_row_has_one_word() -> None:
    """Clusters 0 1 2 of two rows each; the second task turns the words of 0 and 1 round and brings in 2."""
    tasks = {
        0: {"first": [0, 1], "second": [2, 3]},
        1: {"first": [2, 3], "second": [0, 1]},
        2: {"first": [4, 5], "second": [0, 1]},
    }
    assert pool_of(tasks) == {"first": [0, 1, 4, 5], "second": [2, 3]}


def test_the_pool_of_labelled_tasks_is_all_their_rows() -> None:
    tasks = {3: {"bad": [5, 1], "good": [2]}, 1: {"bad": [7], "good": [9, 8]}}
    assert pool_of(tasks) == {"bad": [7, 5, 1], "good": [9, 8, 2]}
