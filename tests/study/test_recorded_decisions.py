"""Decisions in a record: what was said comes back, without a text, small, joined; hostile ones are refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny
from command_line import call

from metapt_explore.clusters.embed import embed
from metapt_explore.errors import UserError
from metapt_explore.reporting import published
from metapt_explore.reporting.report import make_report
from metapt_explore.results import kept_rows
from metapt_explore.results.decisions import decisions_in, decisions_of, recorded_tasks
from metapt_explore.results.join import joined
from metapt_explore.results.record import Record, record_of
from metapt_explore.statistics.calibration import calibration_of
from metapt_explore.statistics.errors import compare_rows
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study

METHODS = ["PT", "tfidf"]


@pytest.fixture(scope="module")
def study(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """PT and a baseline on single texts and on pairs, whose rows lie near clusters."""
    tree = tiny.study_tree(world, methods=[{"name": "PT", "kind": "pt"}], baselines=METHODS[1:])
    tree["clusterings"] = [{"name": "kmeans", "algorithm": "kmeans", "n_clusters": 4, "dimensions": 8}]
    tree["evaluation"] |= {"tasks": [str(world / "mood.yaml"), str(world / "same.yaml")], "learning_rates": [0.05]}
    made = Study(tree, tmp_path_factory.mktemp("recorded"))
    made.run()
    made.run(until="slices")
    return made


@pytest.fixture
def folder(study: Study, tmp_path: Path) -> Path:
    record_of(study.workspace, "tiny").save(tmp_path / "record")
    return tmp_path / "record"


def test_a_record_keeps_every_decision_and_no_text(study: Study, folder: Path) -> None:
    record = Record.load(folder)
    assert recorded_tasks(record) == ["mood", "same"]
    for task in ("mood", "same"):
        here, there = decisions_in(study.workspace, study.config, task), decisions_of(record, task)
        assert there.methods == here.methods == METHODS and there.classes == here.classes
        pd.testing.assert_frame_equal(here.predictions, there.predictions, check_dtype=False)
        assert there.predictions["score_0"].dtype == np.float16
        told = [name for name in here.rows if name not in ("text", "text_pair")]
        assert "cluster:kmeans" in told and "similarity" in told
        pd.testing.assert_frame_equal(here.rows[told].rename_axis("row"), there.rows[told], check_dtype=False)
        pd.testing.assert_frame_equal(here.slice_table(), there.slice_table(), check_dtype=False)
        # Whoever has the rows finds their texts; nobody else.
        assert list(there.shown.columns) == ["row"]
        found = decisions_of(record, task, study.workspace)
        pd.testing.assert_frame_equal(found.shown, here.shown, check_index_type=False, check_names=False)
    texts = set(study.split("mood").table("rows")["text"]) | set(study.split("same").table("rows")["text_pair"])
    for file in folder.iterdir():
        content = pd.read_parquet(file).to_csv() if file.suffix == ".parquet" else file.read_text("utf-8")
        assert not any(text in content for text in texts), file.name
    report = make_report(record).markdown()
    assert "| PT |" in report[report.index("## Errors") :] and not any(text in report for text in texts)


def test_nearest_clusters_and_texts_against_plain_loops(study: Study) -> None:
    found = decisions_in(study.workspace, study.config, "mood").rows
    vectors = study.embeddings().tensors("embeddings")["embeddings"].numpy().astype(float)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    clusters = study.clusters("kmeans")
    labels = clusters.table("clusters")["cluster"].to_numpy()
    names = {cluster["cluster"]: cluster["name"] for cluster in clusters.summary["clusters"]}
    own = embed(found["text"].tolist(), study.config.encoder).astype(float)
    for vector, (_, row) in zip(own, found.iterrows(), strict=True):
        cosines = vectors @ vector / np.linalg.norm(vector)
        assert row["similarity"] == pytest.approx(cosines.max(), abs=1e-4)
        centres = {cluster: vectors[labels == cluster].mean(axis=0) for cluster in names}
        nearest = max(names, key=lambda c: centres[c] @ vector / np.linalg.norm(centres[c]))
        assert row["cluster:kmeans"] == names[nearest]
    table = study.slices("mood", ["tfidf"])
    cut = table[table["by"] == "nearest cluster of kmeans"]
    assert cut["rows"].sum() == len(found) and cut["rows"].is_monotonic_decreasing
    assert set(table["by"]) > {"class", "length", "similarity with the nearest pre-training text"}
    right = (cut["rows"] * cut["accuracy"]).sum() / len(found)
    said = decisions_in(study.workspace, study.config, "mood").of("tfidf")
    assert right == pytest.approx((said["label"] == said["predicted"]).mean())


def test_texts_of_other_rows_are_not_shown(study: Study, folder: Path) -> None:
    record = Record.load(folder)
    record.rows = record.rows.assign(id=["0" * 16, *record.rows["id"][1:]])
    shown = decisions_of(record, "mood", study.workspace).shown["text"]
    assert shown.iloc[0] == f"row {'0' * 16}" and not shown.iloc[1:].str.startswith("row ").any()
    assert list(decisions_of(record, "mood", Workspace(folder / "empty")).shown.columns) == ["row"]


def test_a_large_record_keeps_two_scores_of_each_decision(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = record_of(study.workspace, "tiny")
    monkeypatch.setattr(kept_rows, "MOST_BYTES", 100)
    small = record_of(study.workspace, "tiny")
    assert not kept_rows.score_columns(small.predictions)
    for task in ("mood", "same"):
        for method in METHODS:
            both = [decisions_of(record, task).of(method) for record in (whole, small)]
            assert calibration_of(both[0]) == calibration_of(both[1])
            right = both[0][["score_0", "score_1"]].to_numpy()[np.arange(len(both[0])), both[0]["label"]]
            assert both[1]["of_label"].tolist() == right.tolist()


def test_joined_records_keep_no_decision_behind_a_score_that_was_made_anew(study: Study) -> None:
    record = record_of(study.workspace, "tiny")
    first, second = (record.predictions["data_seed"] == seed for seed in (1, 2))
    older, newer = record_of(study.workspace, "tiny"), record_of(study.workspace, "tiny")
    older.predictions, newer.predictions = record.predictions[first], record.predictions[second]
    newer.results = newer.results[newer.results["data_seed"] == 2]
    whole = joined(older, newer)
    assert len(whole.predictions) == len(record.predictions) and len(whole.rows) == len(record.rows)
    older.predictions = record.predictions
    again = record_of(study.workspace, "tiny")
    again.predictions = pd.DataFrame()
    assert joined(older, again).predictions.empty  # all its scores were made anew, without decisions
    assert joined(older, record).predictions.shape == record.predictions.shape


def test_the_command_reads_a_record(
    study: Study, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def errors(*more: object) -> tuple[int, str]:
        words = ("errors", folder, "mood", "--method", "PT", "--against", "tfidf", *more)
        code = call(monkeypatch, *words)
        said = capsys.readouterr()
        return code, said.out + said.err

    decisions = decisions_in(study.workspace, study.config, "mood")
    rows = compare_rows(decisions.of("PT"), decisions.of("tfidf")).rows
    for workspace, has_texts in ((study.workspace.folder, True), (folder / "empty", False)):
        code, out = errors("--json", "-w", workspace)
        told = pd.DataFrame(map(json.loads, out.splitlines())).set_index("row")
        assert code == 0 and told["PT"].tolist() == rows["first"].tolist()
        texts = decisions.rows.loc[rows.index, "text"].tolist()
        assert told["text"].tolist() == (texts if has_texts else [None] * len(rows))
    code, out = errors("-w", study.workspace.folder)
    assert code == 0 and "over both" in out and "McNemar" in out
    code, out = errors("--slices", "-w", study.workspace.folder)
    assert code == 0 and "nearest cluster of kmeans" in out and "by length" in out and "until slices" not in out
    assert errors("--shots", "2")[0] == 2
    assert call(monkeypatch, "errors", folder, "moood", "--method", "PT", "--against", "tfidf") == 2
    assert "Did you mean 'mood'?" in " ".join(capsys.readouterr().err.split())


CHANGES: dict[str, tuple[str, Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "no row numbers": ("predictions", lambda t: t.drop(columns="row"), "no column 'row'"),
    "a class that is none": ("predictions", lambda t: t.assign(predicted=7), "classes 0 to 1"),
    "a class below": ("predictions", lambda t: t.assign(label=-1), "classes 0 to 1"),
    "halves of classes": ("predictions", lambda t: t.assign(predicted=0.5), "whole numbers"),
    "an unknown task": ("predictions", lambda t: t.assign(task="else"), "does not list"),
    "scores that are words": ("predictions", lambda t: t.assign(score_0="x"), "must hold numbers"),
    "unknown rows": ("predictions", lambda t: t.assign(row=9999), "each row of"),
    "rows twice": ("rows", lambda t: pd.concat([t, t]), "each row of"),
    "rows without hash": ("rows", lambda t: t.drop(columns="id"), "no column 'id'"),
    "no scores": ("predictions", lambda t: t.drop(columns=["score_0", "score_1"]), "no class scores for task 'mood'"),
    "scores of nothing": (
        "predictions",
        lambda t: t.assign(score_0=np.nan, score_1=np.nan),
        "no class scores for task 'mood'",
    ),
    "one score of nothing": (
        "predictions",
        lambda t: t.assign(score_1=t["score_1"].where(t["task"] != "same")),
        "column 'score_1' has no number for task 'same'",
    ),
    "fewer scores than classes": ("predictions", lambda t: t.drop(columns="score_1"), "column 'score_1' has no number"),
    "more scores than classes": ("predictions", lambda t: t.assign(score_2=t["score_1"]), "column 'score_2' has num"),
    "a score of no class": ("predictions", lambda t: t.assign(score_x=t["score_1"]), "column 'score_x' is the score"),
    "a class's number in other digits": ("predictions", lambda t: t.assign(score_01=t["score_1"]), "'score_01'"),
    "an empty score of the class chosen": (
        "predictions",
        lambda t: t.drop(columns=["score_0", "score_1"]).assign(of_predicted=np.float16("nan")),
        "no class scores",
    ),
    "methods that are numbers": ("predictions", lambda t: t.assign(method=3), "column 'method' must hold text"),
    "a method without a name": ("predictions", lambda t: t.assign(method=None), "column 'method' must hold text"),
    "halves of seeds": ("predictions", lambda t: t.assign(init_seed=0.5), "column 'init_seed' must hold whole"),
    "decisions twice": ("predictions", lambda t: pd.concat([t, t.head(1)]), "has a decision twice"),
    "decisions twice without a seed": (
        "predictions",
        lambda t: pd.concat([t.assign(init_seed=np.nan)] * 2),
        "has a decision twice",
    ),
    "seeds in part": (
        "predictions",
        lambda t: t.assign(init_seed=t["init_seed"].astype(float).where(t["data_seed"] == 1)),
        "column 'init_seed' is missing for some decisions of 'PT'",
    ),
    "lengths in words": ("rows", lambda t: t.assign(words="long"), "rows.parquet: column 'words' must hold numbers"),
    "similarities in words": ("rows", lambda t: t.assign(similarity="near"), "column 'similarity' must hold numbers"),
    "hashes that are numbers": ("rows", lambda t: t.assign(id=7), "rows.parquet: column 'id' must hold text"),
    "row numbers in words": ("rows", lambda t: t.assign(row=t["row"].astype(str)), "column 'row' must hold whole"),
    "lists": ("rows", lambda t: t.assign(words=[[1]] * len(t)), "column 'words' holds neither numbers nor texts"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_decisions_that_cannot_be_counted_are_refused(folder: Path, tmp_path: Path, case: str) -> None:
    file, change, said = CHANGES[case]
    table = folder / f"{file}.parquet"
    change(pd.read_parquet(table)).to_parquet(table)
    with pytest.raises(UserError, match=r"^[^\n]+$") as refused:
        published.open_record(Workspace(tmp_path / "workspace"), folder)
    assert said in str(refused.value)
    with pytest.raises(UserError, match=r"^[^\n]+$") as refused:
        Record.load(folder)
    assert said in str(refused.value) and f"{file}.parquet" in str(refused.value)


def test_columns_that_no_record_has_are_left_where_they_are(study: Study, folder: Path) -> None:
    known = Record.load(folder)
    for file in ("predictions", "rows"):
        table = pd.read_parquet(folder / f"{file}.parquet")
        table.assign(text="a text", surprise=1).to_parquet(folder / f"{file}.parquet")
    record = Record.load(folder)
    pd.testing.assert_frame_equal(record.predictions, known.predictions)
    pd.testing.assert_frame_equal(record.rows, known.rows)
    whole = decisions_in(study.workspace, study.config, "mood")
    assert decisions_of(record, "mood", study.workspace).rows["text"].tolist() == whole.rows["text"].tolist()


def test_classes_that_are_no_names_are_refused(folder: Path) -> None:
    facts = json.loads((folder / "record.json").read_bytes())
    for classes in ("ab", 2, [0, 1], ["a", "a"]):
        changed = facts | {"tasks": [facts["tasks"][0] | {"classes": classes}, *facts["tasks"][1:]]}
        (folder / "record.json").write_text(json.dumps(changed), encoding="utf-8")
        with pytest.raises(UserError, match="task 'mood': 'classes' must be a list of names"):
            Record.load(folder)


def test_a_record_opens_with_its_decisions_or_without(folder: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    opened = published.read_record(workspace, published.open_record(workspace, folder))
    assert recorded_tasks(opened) == ["mood", "same"]
    old = shutil.copytree(folder, tmp_path / "old")
    for name in ("predictions", "rows"):
        (old / f"{name}.parquet").unlink()
    without = published.read_record(workspace, published.open_record(workspace, old))
    assert recorded_tasks(without) == [] and without.results.shape == opened.results.shape
    without.save(tmp_path / "again")
    assert not (tmp_path / "again" / "predictions.parquet").exists()
    assert not (tmp_path / "again" / "rows.parquet").exists()
