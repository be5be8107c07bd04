"""What stands beside a result: one auxiliary task, labels that a model found, what is missing, seeds of one sample."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
from rich.console import Console
from tampering import reseal

from metapt_explore.cli.results import print_summary
from metapt_explore.config import StudyConfig, parse
from metapt_explore.reporting.notes import grounds_of, label_sentences, notes_of, one_task_sentences, unfinished
from metapt_explore.reporting.report import answers, make_report, verdicts
from metapt_explore.results.record import Record, record_of, scores_of
from metapt_explore.results.tables import results_table, split_samples, split_warnings, summary_table
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study


def study_of(*methods: dict[str, Any], **more: Any) -> dict[str, Any]:
    clusterings = [{"name": "k", "algorithm": "kmeans"}, {"name": "pool", "algorithm": "one_pool"}]
    return {"clusterings": clusterings, "methods": [{"name": "M", "kind": "metapt", **m} for m in methods], **more}


@pytest.mark.parametrize(
    ("method", "tasks", "told"),
    [
        ({"clustering": "k"}, None, False),
        ({"clustering": "k"}, 6, False),
        ({"clustering": "k"}, 1, True),
        ({"clustering": "k", "only": [2]}, 6, True),
        ({"clustering": "k", "only": [2, 3]}, 6, False),
        ({"clustering": "k", "without": [0]}, 2, True),
        ({"clustering": "pool"}, None, True),
        ({"clustering": ["k", "pool"]}, 1, False),
        ({"kind": "ppt", "clustering": "pool"}, None, False),
    ],
)
def test_metapt_over_one_task_is_named(method: dict[str, Any], tasks: int | None, told: bool) -> None:
    found = one_task_sentences(study_of(method), [{"name": "k", "tasks": tasks}])
    assert bool(found) == told and all("M learns from one auxiliary task" in said for said in found)


def test_one_task_of_clusters_as_classes_is_named() -> None:
    auxiliary = {"classes": "clusters", "n_tasks": 1}
    assert one_task_sentences(study_of({"clustering": "k"}, auxiliary_tasks=auxiliary))
    assert not one_task_sentences(study_of({"clustering": "pool"}, auxiliary_tasks={**auxiliary, "n_tasks": 8}))


def test_labels_that_the_model_found_are_said_beside_the_answer(finished: Path, tmp_path: Path) -> None:
    told = {"accuracy": 0.8, "rows": 50, "kept_accuracy": 0.9, "kept_rows": 40, "recall": {}}
    classes = {"good": {"kept": 40, "of_the_data": 10}, "bad": {"kept": 20}}
    labels = {"by": "zero_shot", "classes": classes, "agreement": told}
    (said,) = label_sentences(labels)
    assert said.startswith("Labels of 60 of 70 pre-training texts were found by the language model itself (zero-shot)")
    assert "80 % of the 50 texts that have both, and for 90 % of the 40 of them that are used" in said
    assert "by a classifier" in label_sentences({**labels, "by": "classifier"})[0]
    assert label_sentences({}) == []
    record = replace(record_of(Workspace(finished), "tiny"), labels=labels)
    record.save(tmp_path)
    answer = make_report(Record.load(tmp_path)).markdown().split("## Scores")[0]
    assert said in answer and said in notes_of(record)


def test_what_is_missing_has_a_short_section_and_lines_in_the_terminal(finished: Path) -> None:
    record = record_of(Workspace(finished), "tiny")
    missing = [{"key": "fewshot/MetaPT/mood/0", "reason": "There is [no] memory."}]
    assert "What is missing" not in make_report(record).markdown()
    text = make_report(record, missing).markdown()
    assert "## What is missing" in text and "- fewshot/MetaPT/mood/0: There is \\[no] memory." in text
    empty = replace(record, results=record.results.iloc[:0])
    assert "fewshot/MetaPT/mood/0" in make_report(empty, missing).markdown()
    out = io.StringIO()
    print_summary("tiny", summary_table(record.results), console=Console(file=out, width=200), missing=missing)
    assert "Missing: fewshot/MetaPT/mood/0: There is [no] memory." in out.getvalue()


def test_an_unfinished_study_says_so_in_its_verdict(finished: Path) -> None:
    record = record_of(Workspace(finished), "tiny")
    assert unfinished(record) == "" and "not finished" not in verdicts(record)[0]
    some = replace(record, results=record.results.iloc[[0, *range(2, len(record.results))]])
    said = verdicts(some)[0]
    assert said.startswith("The study is not finished: 11 of 12 scores are there.")


def test_a_study_on_one_file_of_k_rows_a_class_has_one_sample(world: Path, tmp_path: Path) -> None:
    """Five data seeds of the same rows: no report may say that anything is settled."""
    rows = {
        name: "".join(
            json.dumps({"text": f"{name} number {n} is {word}", "label": word}) + "\n"
            for n in range(count)
            for word in ("good", "bad")
        )
        for name, count in (("train", 4), ("dev", 12), ("test", 20))
    }
    for name, text in rows.items():
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    task = {
        "name": "one",
        "template": "{text}\nIt was",
        "labels": {"bad": {"value": "bad", "word": "bad"}, "good": {"value": "good", "word": "good"}},
        "splits": {
            name: {"file": str(tmp_path / f"{name}.jsonl"), "columns": {"text": "text", "label": "label"}}
            for name in rows
        },
    }
    (tmp_path / "one.yaml").write_text(json.dumps(task), encoding="utf-8")
    seeds = [1, 2, 3, 4, 5]
    evaluation = {"tasks": [str(tmp_path / "one.yaml")], "data_seeds": seeds, "init_seeds": seeds, "pairing": "paired"}
    methods = [{"name": "PT", "kind": "pt"}, {"name": "PPT", "kind": "ppt"}]
    tree = tiny.study_tree(world, methods=methods, evaluation=evaluation)
    study = Study(parse(StudyConfig, tree, "test"), tmp_path / "workspace")
    study.run()
    workspace, name = study.workspace, study.config.name
    said = "Task 'one': all 5 data seeds have the same 8 training rows: they are one few-shot sample, not 5."
    assert said in split_warnings(workspace, name)
    for record in (record_of(workspace, name), scores_of(workspace, name)):
        (found, *_) = answers(record)[1]
        assert (found.data_seeds, found.independent, found.pairs) == (1, 1, 5)
        assert found.verdict in ("cannot tell", "nothing learned") and "Settled" not in verdicts(record)[0]
    text = make_report(record_of(workspace, name)).markdown()
    assert said in text and "Settled" not in text
    # A split of an older version did not count: its rows are looked at.
    split = study.split("one")
    facts = split_samples(split)
    summary = split.summary
    del summary["samples"]
    (split.folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    reseal(split.folder)
    assert split_samples(split) == facts
    (split.folder / "rows.parquet").unlink()
    reseal(split.folder)
    assert split_samples(split) is None and said not in split_warnings(workspace, name)
    assert len(results_table(workspace, name)) == 10


def test_scores_on_dev_rows_have_no_chance_level_of_the_test_rows(finished: Path) -> None:
    record = record_of(Workspace(finished), "tiny")
    assert grounds_of(record)["mood"].chance == 0.5 and grounds_of(record)["mood"].test_rows == 20
    record.study["evaluation"]["scored_on"] = "other_seeds"
    assert grounds_of(record)["mood"].chance is None
