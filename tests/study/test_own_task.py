"""Rows of a user's own file that are set aside for the comparison, before pre-training sees the file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metapt_explore.config import Columns, LabelsConfig, load_task
from metapt_explore.fewshot.splits import make_splits
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.own_task import OwnTask, Sizes, plan_own_task, propose_shots
from metapt_explore.study.own_task_files import write_own_task
from metapt_explore.texts.normalise import comparison_key
from metapt_explore.texts.sources import load_source

WORDS = ("bug", "praise", "billing")
USUAL = Sizes()


def labels(*names: str) -> LabelsConfig:
    return LabelsConfig(labels={name: name for name in names})


def messages(**each: int) -> dict[str, list[Any]]:
    """A file sorted by class; every text is another."""
    rows = [(f"{name} message {n} about item {n * 7}", name) for name, count in each.items() for n in range(count)]
    return {"text": [text for text, _ in rows], "label": [label for _, label in rows], "n": list(range(len(rows)))}


def plan(table: dict[str, list[Any]], *names: str, sizes: Sizes = USUAL, **columns: str) -> OwnTask:
    return plan_own_task(table, Columns(**{"label": "label", **columns}), labels(*names), name="mine", sizes=sizes)


def test_most_rows_stay_for_pretraining_and_the_counts_are_said_before() -> None:
    own = plan(messages(bug=100, praise=100, billing=100), *WORDS)
    assert own.sentences[0] == (
        "300 texts: 144 set aside for the comparison (16 a class for train and 16 for dev, drawn from 96; 48 for "
        "test), 156 for pre-training."
    )
    assert "48 test rows is uncertain by up to ±14 points" in own.sentences[1] and len(own.sentences) == 2
    large = plan(messages(bug=3000, praise=3000), "bug", "praise", sizes=Sizes(16, 5, 400))
    assert (len(large.drawn_from), len(large.test)) == (2 * 2 * 16 * 5, 400), "no more than is of use"


def test_copies_of_set_aside_rows_go_neither_way() -> None:
    table = messages(bug=40, praise=40)
    own = plan(table, "bug", "praise", sizes=Sizes(4))
    long = "the whole screen goes blank after the last update of the app"
    table["text"][own.test[0]] = long
    for text in (long.upper() + "!", f"hello, {long} and nothing helps"):
        for name, cell in (("text", text), ("label", ""), ("n", 0)):
            table[name].append(cell)
    again = plan(table, "bug", "praise", sizes=Sizes(4))
    assert again.test == own.test and again.copies == (80, 81)
    assert "Left out of both: 2 copies and near copies." in again.sentences and again.sentences[0].startswith(
        "82 texts:"
    )


@settings(max_examples=15, deadline=None)
@given(
    counts=st.lists(st.integers(1, 60), min_size=2, max_size=4),
    copied=st.lists(st.integers(0, 30), max_size=10),
    sizes=st.builds(Sizes, st.integers(1, 6), st.integers(1, 4), st.integers(1, 50)),
)
def test_set_aside_and_left_are_disjoint_and_classes_balanced(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int], copied: list[int], sizes: Sizes
) -> None:
    names = [f"kind{n}" for n in range(len(counts))]
    table = messages(**dict(zip(names, counts, strict=True)))
    for row in copied:
        for cells in table.values():
            cells.append(cells[row % len(cells)])
    own = plan(table, *names, sizes=sizes)
    assert sorted([*own.drawn_from, *own.test, *own.copies, *own.rest]) == list(range(len(table["text"])))
    assert own == plan(table, *names, sizes=sizes), "deterministic"
    if own.problems:
        assert min(counts) < 4 * sizes.shots + 2 and not own.sentences
        return
    text = [comparison_key(each) for each in table["text"]]
    parts = [{text[row] for row in rows} for rows in (own.drawn_from, own.test, own.rest)]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    drawn = Counter(table["label"][row] for row in own.drawn_from)
    assert min(drawn.values()) >= 2 * sizes.shots and set(drawn) == set(names)
    left = Counter(table["label"][row] for row in own.rest)
    assert all(2 * own.of_class[name] <= 2 * 60 and left[name] >= own.of_class[name] // 2 for name in names)
    written = write_own_task(Workspace(tmp_path_factory.mktemp("ws")), own, table)
    splits = make_splits(load_task(written.file), sizes.shots, [1, 2], test_rows=sizes.test_rows, seed=3)
    assert splits.warnings == [] and sum(splits.dropped.values()) == 0
    for seed in (1, 2):
        for rows in (splits.train[seed], splits.dev[seed]):
            assert Counter(rows["label"]) == dict.fromkeys(names, sizes.shots)
    assert {comparison_key(t) for t in load_source(written.texts)["text"]} == parts[2]


def test_a_class_that_is_too_small_is_named_with_what_to_do() -> None:
    own = plan(messages(bug=100, praise=30), "bug", "praise")
    (problem,) = own.problems
    assert "'praise' has 30" in problem and "ask for at most 7" in problem and own.most_shots == 7
    assert own.proposed_shots == 4 and not plan(messages(bug=100, praise=30), "bug", "praise", sizes=Sizes(7)).problems
    (problem,) = plan(messages(bug=100, praise=2), "bug", "praise").problems
    assert "'praise' has 2: take it out" in problem and propose_shots({"bug": 100, "praise": 2}) == 0
    (problem,) = plan(messages(bug=100), "bug", "praise").problems
    assert "'praise' has 0" in problem


def test_texts_whose_labels_disagree_blank_and_unlabelled_rows_are_not_drawn() -> None:
    table = messages(bug=40, praise=40)
    for text, label in (("bug message 3 about item 21", "praise"), ("", "bug"), ("no label here at all", "")):
        for name, cell in (("text", text), ("label", label), ("n", 0)):
            table[name].append(cell)
    own = plan(table, "bug", "praise", sizes=Sizes(4))
    assert own.of_class == {"bug": 39, "praise": 40} and not {3, 80, 81, 82} & {*own.drawn_from, *own.test}
    assert own.blank == 1 and own.repeated == 1 and {81, 82} <= set(own.rest)


def test_the_task_can_be_taken_elsewhere_and_is_written_once(tmp_path: Path) -> None:
    table = messages(bug=40, praise=40)
    own = plan(table, "bug", "praise", sizes=Sizes(4))
    first = write_own_task(Workspace(tmp_path / "ws"), own, table)
    assert write_own_task(Workspace(tmp_path / "ws"), own, table) == first
    assert len(list((tmp_path / "ws" / "own-tasks").iterdir())) == 1
    moved = (tmp_path / "ws" / "own-tasks").rename(tmp_path / "elsewhere")
    task = load_task(next(moved.glob("*/task.yaml")))
    assert task.sentiment and len(make_splits(task, 4, [1], test_rows=None, seed=0).test) == len(own.test)


def test_pairs_are_set_aside_with_all_that_shares_a_long_text() -> None:
    passages = [f"passage {n} tells of river {n * 3} and of the town {n * 5} beside it" for n in range(40)]
    table = {
        "passage": [passage for passage in passages for _ in range(2)],
        "question": [f"is it question {n}" for n in range(80)],
        "label": ["yes" if n % 4 < 2 else "no" for n in range(80)],
    }
    columns = Columns(text="passage", text_pair="question", label="label")
    both = LabelsConfig(template="{text}\nQuestion: {text_pair}?\nAnswer:", labels={"yes": "yes", "no": "no"})
    own = plan_own_task(table, columns, both, name="pairs", sizes=Sizes(2))
    assert not own.problems
    drawn, test = ({table["passage"][row] for row in rows} for rows in (own.drawn_from, own.test))
    assert not drawn & test and not (drawn | test) & {table["passage"][row] for row in own.rest}
    assert len(drawn | test) <= len(own.drawn_from) + len(own.test) and len(own.rest) >= 40, "few passages are touched"
