"""A study end to end on a tiny random model: equal twice, nothing twice, resumed after a kill."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tiny
import torch

from metapt_explore.config import StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.jobs.state import job_state
from metapt_explore.progress.state import Progress
from metapt_explore.results.tables import COLUMNS, curves_table, summary_table
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.job_file import working_on
from metapt_explore.study.study import Study

SCORES = [column for column in COLUMNS if column not in ("study", "seconds", "pretraining_seconds", "artifact")]


def config_of(world: Path, **changes: Any) -> StudyConfig:
    return parse(StudyConfig, tiny.study_tree(world, **changes), "test")


def test_the_same_study_twice_gives_equal_scores(world: Path, finished: Path, tmp_path: Path) -> None:
    first = Study(world / "tiny.yaml", finished).results()
    second = Study(world / "tiny.yaml", tmp_path).run()
    assert list(first.columns) == COLUMNS
    assert len(first) == 3 * 2 * 2
    pd.testing.assert_frame_equal(first[SCORES], second[SCORES], check_exact=True)
    # Telemetry is there and is not compared.
    assert (second["seconds"] >= 0).all()


def test_nothing_is_computed_twice(world: Path, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*.parquet")}
    study = Study(world / "tiny.yaml", finished)
    monkeypatch.setattr(Study, "backbone", property(lambda self: pytest.fail("the model was loaded")))
    assert len(study.run()) == 12
    assert before == {path: path.stat().st_mtime_ns for path in finished.rglob("*.parquet")}


def test_a_changed_setting_computes_only_what_depends_on_it(world: Path, tmp_path: Path) -> None:
    def ids(**changes: Any) -> dict[tuple[str, Any, Any], str]:
        study = Study(config_of(world, **changes), tmp_path)
        study.run()
        entries = study.workspace.index("tiny")
        return {(e["kind"], e.get("method"), e.get("task") or e.get("clustering")): e["id"] for e in entries}

    def changed(**changes: Any) -> set[tuple[str, Any]]:
        return {key[:2] for key, value in ids(**changes).items() if value != before[key]}

    before = ids()
    assert changed(pretraining={"inner_lr": 0.9}) == {("prompt", "MetaPT"), ("fewshot", "MetaPT")}
    assert changed(pretraining={"budget": "updates"}) == set(), "here no method costs more a step"
    assert changed(evaluation={"steps": 3}) == {("fewshot", method) for method in ("PT", "PPT", "MetaPT")}
    labels = {"negative": {"value": "negative", "word": "bad"}, "positive": {"value": "positive", "word": "good"}}
    words = {(kind, method) for kind in ("prompt", "fewshot") for method in ("PPT", "MetaPT")}
    assert changed(auxiliary_tasks={"labels": labels}) == words
    assert changed() == set()


def test_ppt_does_not_depend_on_the_inner_rate_but_metapt_does(world: Path, tmp_path: Path) -> None:
    def prompts(inner_lr: float) -> dict[str, str]:
        study = Study(config_of(world, name=f"rate{int(inner_lr * 10)}", pretraining={"inner_lr": inner_lr}), tmp_path)
        return {method: study.prompt(method).id for method in ("PPT", "MetaPT")}

    a, b = prompts(0.5), prompts(0.9)
    assert a["PPT"] == b["PPT"] and a["MetaPT"] != b["MetaPT"]


def test_methods_spend_the_same_passes_and_begin_from_the_same_start(world: Path, finished: Path) -> None:
    study = Study(world / "tiny.yaml", finished)
    starts = [study.prompt(method).tensors("prompt")["init"] for method in ("PT", "PPT", "MetaPT")]
    assert torch.equal(starts[0], starts[1]) and torch.equal(starts[0], starts[2])
    ppt, metapt = study.prompt("PPT").summary, study.prompt("MetaPT").summary
    assert ppt["row_passes"] == metapt["row_passes"] == 4 * 2 * (4 + 4)
    assert ppt["diagnostic_rows"] == 0 and metapt["diagnostic_rows"] == 4 * 2 * 4
    assert metapt["moved"] > 0 and study.prompt("PT").summary["moved"] == 0


def test_an_initialisation_seed_is_a_new_pretraining(world: Path, tmp_path: Path) -> None:
    study = Study(config_of(world, evaluation={"init_seeds": [0, 1]}), tmp_path)
    zero, one = study.prompt("PPT", 0).tensors("prompt"), study.prompt("PPT", 1).tensors("prompt")
    assert not torch.equal(zero["init"], one["init"])
    assert not torch.equal(zero["prompt"], one["prompt"])
    with pytest.raises(UserError, match="Initialisation seed 5 is not among"):
        study.prompt("PPT", 5)


def test_test_rows_choose_nothing(world: Path, finished: Path) -> None:
    """The chosen rate and step have the lowest dev loss; test scores exist for that rate only."""
    curves = curves_table(Workspace(finished), "tiny")
    results = Study(world / "tiny.yaml", finished).results()
    for _, row in results.iterrows():
        own = curves[
            (curves["method"] == row["method"])
            & (curves["task"] == row["task"])
            & (curves["data_seed"] == row["data_seed"])
        ]
        best = own.sort_values(["dev_loss", "step"]).iloc[0]
        assert (best["learning_rate"], best["step"]) == (row["learning_rate"], row["step"])
        scored = own.dropna(subset=["test_accuracy"])
        assert set(scored["learning_rate"]) == {row["learning_rate"]}
        at_choice = scored[scored["step"] == row["step"]].iloc[0]
        assert at_choice["test_accuracy"] == row["accuracy"]
        assert scored[scored["step"] == 0].iloc[0]["test_accuracy"] == row["start_accuracy"]


def test_texts_that_equal_test_rows_are_dropped(world: Path, tmp_path: Path) -> None:
    """Leaked rows are counted by task, and no method sees them."""
    folder = tmp_path / "leaky"
    folder.mkdir()
    study = Study(world / "tiny.yaml", tmp_path / "a")
    rows = study.split("mood").table("rows")
    leaked = rows[rows["split"] == "test"]["text"].iloc[0]
    content = (world / "texts.csv").read_text(encoding="utf-8")
    (folder / "texts.csv").write_text(content + f"{leaked.upper()}!,positive,book\n", encoding="utf-8")
    config = config_of(world, texts={"file": str(folder / "texts.csv")})
    texts = Study(config, tmp_path / "b").texts()
    assert texts.summary["leaks_by_task"] == {"mood": 1}
    assert texts.summary["dropped"]["equals a dev or test row"] == 1
    assert texts.table("leaks")["held_out_text"].tolist() == [leaked]
    assert leaked.upper() + "!" not in set(texts.table("texts")["text"])


def test_summary_is_mean_sample_deviation_and_worst() -> None:
    results = pd.DataFrame(
        {"task": ["a"] * 3, "method": ["m"] * 3, "start_accuracy": [0.4, 0.5, 0.6], "accuracy": [0.5, 0.6, 1.0]}
    )
    row = summary_table(results).iloc[0]
    assert row["start"] == pytest.approx(0.5) and row["mean"] == pytest.approx(0.7)
    assert row["std"] == pytest.approx((0.04 + 0.01 + 0.09) ** 0.5 / 2**0.5)
    assert row["worst"] == 0.5 and row["seeds"] == 3


#: `metapt`, killed as soon as five steps of a pre-training are done.
def test_a_study_that_is_run_without_a_job_is_one(world: Path, tmp_path: Path) -> None:
    """`Study.run()` in a notebook holds the lock and shows as a job, like any other run."""
    workspace = Workspace(tmp_path)
    states: list[str] = []
    progress = Progress(lambda state: states.append(job_state(workspace, "tiny")["status"]))
    Study(config_of(world), workspace, progress).run()
    assert set(states[1:]) == {"running"} and job_state(workspace, "tiny")["status"] == "done"
    with working_on(workspace, "tiny"):
        Study(config_of(world), workspace).texts()  # The same settings may be looked at.
        with pytest.raises(UserError, match="with other settings is running"):
            Study(config_of(world, seed=8), workspace).texts()


def test_known_groups_agree_with_the_topics(finished: Path) -> None:
    workspace = Workspace(finished)
    by_name = {
        e.get("clustering"): workspace.artifact(e["id"]) for e in workspace.index("tiny") if e["kind"] == "clusters"
    }
    assert by_name["topics"].summary["agreement"]["adjusted_rand_index"] == 1.0
    kmeans, random = by_name["kmeans"].summary, by_name["random"].summary
    assert kmeans["quality"]["sizes"] == random["quality"]["sizes"]
    assert sum(c["rows"] for c in kmeans["clusters"]) == 160


def test_unlabelled_texts_are_said_to_need_a_label_column(world: Path, tmp_path: Path) -> None:
    config = config_of(
        world, texts={"columns": {"text": "text"}}, clusterings=[{"name": "kmeans", "algorithm": "kmeans"}]
    )
    study = Study(config, tmp_path)
    study.run()
    assert ["texts.columns.label" in part.reason for part in study.failed] == [True, True]


def test_studies_of_one_process_share_their_model_as_long_as_one_holds_it(world: Path, tmp_path: Path) -> None:
    first = Study(config_of(world), tmp_path)
    backbone = first.backbone
    assert Study(config_of(world, name="second"), tmp_path).backbone is backbone
    longer = config_of(world, prompt={"length": 5})
    assert Study(longer, tmp_path).backbone is not backbone, "whether it fits is looked at anew"
    gone = weakref.ref(backbone)
    del first, backbone
    gc.collect()
    assert gone() is None, "nobody holds the model: its memory is free"


def test_a_study_has_the_shared_model_to_itself(world: Path, tmp_path: Path) -> None:
    one, other = (Study(config_of(world, name=name), tmp_path, Progress()) for name in ("one", "other"))
    backbone = one.backbone
    pattern = backbone.pattern(one.config.auxiliary_tasks, "test")
    bank = backbone.bank(["so good"], pattern)
    backbone.halve_passes(4)
    backbone.on_notice("said to one")
    assert other.backbone is backbone and backbone.rows_limit == other.config.model.rows_per_pass
    assert backbone.bank(["so good"], pattern) is not bank, "another study's texts are not there"
    backbone.on_notice("said to the other")
    assert one.backbone is backbone
    backbone.on_notice("said to one again")
    assert [said for said in one.progress.state.notices if said.startswith("said")] == [
        "said to one",
        "said to one again",
    ]
    assert [said for said in other.progress.state.notices if said.startswith("said")] == ["said to the other"]
