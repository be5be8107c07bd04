"""Pairs of texts: columns, splits, decontamination, and templates that do not fit."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import tiny

from metapt_explore.config import Columns, SourceConfig, StudyConfig, TaskConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.fewshot.splits import make_splits
from metapt_explore.study.study import Study
from metapt_explore.texts.decontaminate import decontaminate, decontaminate_rows
from metapt_explore.texts.labelling import classifier_rows
from metapt_explore.texts.report import data_report
from metapt_explore.texts.rows import TextInput, as_inputs, texts_of
from metapt_explore.texts.sources import load_source

COLUMNS = {"text": "premise", "text_pair": "hypothesis", "label": "label"}


def write(path: Path, rows: list[tuple[str, str, str]]) -> SourceConfig:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerows([("premise", "hypothesis", "label"), *rows])
    return SourceConfig(file=str(path), columns=Columns(**COLUMNS))


def task_of(source: SourceConfig, **changes: Any) -> TaskConfig:
    labels = {"no": "bad", "yes": "good"}
    return TaskConfig(
        **{"name": "pairs", "data": source, "template": "{text} {text_pair} :", "labels": labels, **changes}
    )


def test_a_pair_is_read_from_two_columns(tmp_path: Path) -> None:
    rows = load_source(write(tmp_path / "a.csv", [("It rains.", "It is wet.", "yes"), ("It rains.", "", "no")]))
    assert rows.column_names == ["text", "text_pair", "label", "group"]
    frame = rows.to_pandas()
    assert as_inputs(frame) == [("It rains.", "It is wet."), ("It rains.", "")]
    assert texts_of(frame)[0] == "It rains.\nIt is wet."
    report = data_report(rows)
    assert (report["rows"], report["blank"], report["words"]["max"]) == (2, 1, 5)
    assert (
        "text_pair" not in load_source(SourceConfig(file=str(tmp_path / "a.csv"), columns=Columns(text="premise")))[0]
    )


def test_a_missing_second_column_is_named(tmp_path: Path) -> None:
    source = write(tmp_path / "a.csv", [("a", "b", "yes")])
    wrong = source.model_copy(update={"columns": Columns(**{**COLUMNS, "text_pair": "hypotesis"})})
    with pytest.raises(UserError, match=r"no column 'hypotesis' \(columns\.text_pair\).*hypothesis"):
        load_source(wrong)


def test_both_texts_decide_what_is_a_duplicate(tmp_path: Path) -> None:
    """One premise may stand with several hypotheses; the same pair twice, or with two answers, may not."""
    rows = [(f"premise {i} of many words", f"hypothesis {i}", ("no", "yes")[i % 2]) for i in range(40)]
    rows += [("premise 0 of many words", "another", "no"), ("Premise 1 of many words!", "hypothesis 1", "yes")]
    rows += [("premise 2 of many words", "hypothesis 2", "yes"), ("only one", " ", "no")]
    splits = make_splits(task_of(write(tmp_path / "a.csv", rows)), 4, [13], test_rows=None, seed=0)
    assert splits.dropped == {"blank": 1, "unlabelled": 0, "duplicate": 1, "conflicting": 2}
    assert splits.test.column_names == ["text", "text_pair", "label"]
    every = [
        pair
        for part in (splits.test, splits.train[13], splits.dev[13])
        for pair in zip(part["text"], part["text_pair"], strict=True)
    ]
    assert len(every) == len(set(every))
    assert all(second.split()[-1] == first.split()[1] or second == "another" for first, second in every)


def test_template_and_columns_must_both_speak_of_pairs(tmp_path: Path) -> None:
    source = write(tmp_path / "a.csv", [("a", "b", "yes")])
    with pytest.raises(
        ValueError, match=r"columns\.text_pair of .*a\.csv names a second text, but the template has no"
    ):
        task_of(source, template="{text} :")
    alone = source.model_copy(update={"columns": Columns(text="premise", label="label")})
    with pytest.raises(ValueError, match=r"holds {text_pair}, but columns\.text_pair of .*a\.csv"):
        task_of(alone)


def test_the_study_says_so_too(world: Path) -> None:
    tree = tiny.study_tree(world, auxiliary_tasks={"template": "{text} {text_pair} :"})
    with pytest.raises(UserError, match=r"columns\.text_pair of .*texts\.csv"):
        parse(StudyConfig, tree, "test")


def test_columns_of_single_texts_are_written_as_before() -> None:
    """Or everything that was computed before there were pairs would be computed again."""
    assert Columns().model_dump(mode="json") == {"text": "text", "label": None, "group": None}
    assert Columns(text_pair="b").model_dump()["text_pair"] == "b"


def test_pretraining_texts_that_give_a_pair_away_are_dropped(world: Path, tmp_path: Path) -> None:
    """The whole pair, in one text or as a pair, and a premise long enough to be known again; not a short one."""
    words = ["camera", "lens", "photo", "zoom", "book", "story", "page", "oven", "recipe", "album", "song", "guitar"]

    def premise(number: int) -> str:
        return " ".join(f"{word}{number}" for word in words)

    pairs = [(premise(i), f"short w{i}", ("no", "yes")[i % 2]) for i in range(40)]
    source = write(tmp_path / "held.csv", pairs)
    task = {"name": "held", "template": "{text} {text_pair} :", "labels": {"no": "bad", "yes": "good"}}
    (tmp_path / "held.yaml").write_text(
        json.dumps({**task, "data": {"file": source.file, "columns": COLUMNS}}), encoding="utf-8"
    )
    tree = tiny.study_tree(
        world,
        texts={"file": str(tmp_path / "texts.csv"), "columns": {"text": "text", "label": "label"}},
        evaluation={"tasks": [str(tmp_path / "held.yaml")], "data_seeds": [1], "test_rows": None},
    )
    study = Study(parse(StudyConfig, tree, "test"), tmp_path / "workspace")
    rows = study.split("held").table("rows")
    held, trained = (rows[(rows["split"] == "train") == train].iloc[0] for train in (False, True))
    kept = ["so " + held["text_pair"], trained["text"], "this album was a song", "my book of photo"]
    leaks = [held["text"], f"{held['text']} {held['text_pair']}", f"so the {held['text']} was good"]
    with (tmp_path / "texts.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["text", "label"], *([text, "positive"] for text in [*kept, *leaks])])
    texts = study.texts()
    assert set(texts.table("texts")["text"]) == set(kept)
    assert set(texts.table("leaks")["text"]) == set(leaks)
    assert texts.summary["held_out_rows"] == len(rows) - 8  # train rows are no held-out rows


LONG = "the old camera with the new lens is broken"


def test_a_pair_leaks_in_either_order_and_by_each_of_its_texts() -> None:
    held_out = ["It rains.\nIt is wet.", LONG, "Dull film!"]
    rows: list[TextInput] = [
        ("it rains", "it is wet"),
        ("It is wet.", "It rains."),
        ("a word", LONG.upper()),
        (f"so {LONG} now", "another word"),
        ("no more", "dull film"),
        ("It rains.", "It is dry."),
    ]
    found = decontaminate_rows(rows, held_out, 0.7)
    assert found.reason.tolist() == ["equal", "equal", "equal", "near", "equal", ""]
    assert found.match.tolist() == [0, 0, 1, 1, 2, -1]
    assert found.overlap[:5].tolist() == pytest.approx([1, 1, 1, 1, 1])
    # The worse verdict counts, wherever it is found: near by the first text, equal by the second.
    worse = decontaminate_rows([(f"so {LONG} now", "Dull film")], held_out, 0.7)
    assert (worse.reason[0], worse.match[0]) == ("equal", 2)


def test_single_texts_are_judged_as_before() -> None:
    texts = [LONG, f"so {LONG}", "dull", "the new lens is broken"]
    one, other = decontaminate(texts, [LONG, "Dull!"], 0.5), decontaminate_rows(texts, [LONG, "Dull!"], 0.5)
    for name in ("reason", "match", "overlap"):
        assert (getattr(one, name) == getattr(other, name)).all()


def test_a_swapped_pair_is_a_duplicate_but_no_contradiction(tmp_path: Path) -> None:
    """Train and test must not hold one pair in two orders; what follows from what may well depend on the order."""
    rows = [(f"premise {i} of many words", f"hypothesis {i}", ("no", "yes")[i % 2]) for i in range(40)]
    swapped = [(second, first, ("yes", "no")[i % 2]) for i, (first, second, _) in enumerate(rows)]
    splits = make_splits(task_of(write(tmp_path / "a.csv", rows + swapped)), 4, [13], test_rows=None, seed=0)
    assert splits.dropped == {"blank": 0, "unlabelled": 0, "duplicate": 40, "conflicting": 0}
    # Published splits are taken as they are, and what stands in two of them is said.
    files = {"train": rows[:8], "dev": rows[8:16], "test": swapped[:4] + rows[20:30]}
    published = {name: write(tmp_path / f"{name}.csv", part) for name, part in files.items()}
    found = make_splits(task_of(published["test"], data=None, splits=published), 4, [13], test_rows=None, seed=0)
    assert found.warnings == ["Task 'pairs', data seed 13: texts that stand in both train and test: 4."]


def test_a_classifier_learns_from_no_swapped_test_pair() -> None:
    rows: list[TextInput] = [("a lens", "a zoom"), ("A zoom!", "a lens"), ("It is wet.", "It rains."), ("b", "c")]
    found = classifier_rows(rows, ["+", "+", "-", "-"], ["It rains.\nIt is wet."], near_duplicate=0.7)
    assert found.kept == [0, 3]
    assert found.dropped == {"duplicate": 1, "equals or nearly equals a dev or test row": 1}


def test_pretraining_pairs_in_another_order_are_dropped(world: Path, tmp_path: Path) -> None:
    tree = tiny.study_tree(
        world,
        texts={"file": str(tmp_path / "pairs.csv"), "columns": COLUMNS, "min_words": 1},
        auxiliary_tasks={"template": "{text} and {text_pair} Type :", "labels": {"no": "bad", "yes": "good"}},
        evaluation={"tasks": [str(world / "same.yaml")], "data_seeds": [1], "test_rows": None},
    )
    study = Study(parse(StudyConfig, tree, "test"), tmp_path / "workspace")
    rows = study.split("same").table("rows")
    held = rows[rows["split"] == "test"].iloc[0]
    write(
        tmp_path / "pairs.csv",
        [
            ("a fine album", "a fine song", "yes"),
            ("A fine song.", "a fine album", "no"),
            (held["text_pair"], held["text"], "yes"),
            ("some words", held["text_pair"], "no"),
        ],
    )
    texts = study.texts()
    assert texts.table("texts")["text"].tolist() == ["a fine album"]
    dropped = texts.summary["dropped"]
    assert dropped["duplicate"] == 1 and dropped["equals a dev or test row"] == 2
    assert set(texts.table("leaks")["held_out_task"]) == {"same"}


def test_ids_of_single_texts_have_not_changed(world: Path, tmp_path: Path) -> None:
    """Only how pairs are compared is another question than before."""
    study = Study(world / "tiny.yaml", tmp_path)
    assert "pairs" not in study.split("mood").stage["config"] and "pairs" not in study.texts().stage["config"]
