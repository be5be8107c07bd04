"""A task file out of pairs of texts, and out of files that are one for each data seed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_new_task import made, rows
from typer.testing import CliRunner

from metapt_explore.cli.main import metapt
from metapt_explore.config import Columns, load_task, readable_yaml
from metapt_explore.datacheck.few_shot_files import most_shots
from metapt_explore.datacheck.new_task import Wanted, new_task, task_name
from metapt_explore.errors import UserError
from metapt_explore.fewshot.splits import make_splits


def pairs(path: Path, names: tuple[str, str], labels: list[str], each: int = 8) -> Path:
    """Rows of pairs, in which each first text comes with every label."""
    lines = [
        {names[0]: f"the passage number {n} tells of a river", names[1]: f"is it {n} or {label}", "label": label}
        for n in range(each)
        for label in labels
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("names", "labels", "words", "asked"),
    [
        (("premise", "hypothesis"), ["entailment", "neutral", "contradiction"],
         {"entailment": "Yes", "neutral": "Maybe", "contradiction": "No"}, "Does it follow that: {text_pair}"),
        (("sentence1", "sentence2"), ["entailment", "not_entailment"],
         {"entailment": "Yes", "not_entailment": "No"}, "Does it follow that: {text_pair}\nYes or no?"),
        (("passage", "question"), ["True", "False"], {"yes": "yes", "no": "no"}, "Question: {text_pair}\nAnswer:"),
        (("text_a", "text_b"), ["same", "different"], {"same": "Yes", "different": "No"}, "Do both say the same?"),
        (("text_a", "text_b"), ["worse", "better"], {"worse": "worse", "better": "better"}, "{text_pair}\nAnswer:"),
    ],
)  # fmt: skip
def test_pairs_are_guessed_with_what_is_asked_of_them(
    tmp_path: Path, names: tuple[str, str], labels: list[str], words: dict[str, str], asked: str
) -> None:
    task = made(Wanted(pairs(tmp_path / "a.jsonl", names, labels)), tmp_path / "t.yaml")
    assert task.sources[0].columns == Columns(text=names[0], text_pair=names[1], label="label")
    assert {name: label.word for name, label in task.labels.items()} == words and asked in task.template
    assert not task.sentiment and "Topic" not in task.template


def test_numbers_of_two_sentences_are_asked_for(tmp_path: Path) -> None:
    """1 is entailment in one published set and its opposite in another."""
    file = pairs(tmp_path / "a.jsonl", ("sentence1", "sentence2"), ["0", "1"])
    with pytest.raises(UserError, match="which word stands for the label"):
        made(Wanted(file), tmp_path / "t.yaml")
    task = made(Wanted(file, words={"0": "No", "1": "Yes"}), tmp_path / "t.yaml")
    assert [label.word for label in task.labels.values()] == ["No", "Yes"]


def test_one_passage_with_two_questions_is_two_rows(tmp_path: Path) -> None:
    train = pairs(tmp_path / "train.jsonl", ("passage", "question"), ["true", "false"])
    dev = tmp_path / "dev.jsonl"
    dev.write_text(train.read_text(encoding="utf-8").replace("is it", "was it"), encoding="utf-8")
    run = CliRunner().invoke(metapt, ["data", "check", str(train), str(dev)])
    assert run.exit_code == 0 and "in both" not in run.output, run.output
    dev.write_text(train.read_text(encoding="utf-8"), encoding="utf-8")
    run = CliRunner().invoke(metapt, ["data", "check", str(train), str(dev)])
    assert run.exit_code == 1 and "in both" in run.output


def test_published_files_one_a_data_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in (13, 21, 87):
        for part in ("train", "dev"):
            file = rows(tmp_path / "sst" / str(seed) / f"{part}.csv", ["0", "1"], each=6, header="text,label")
            file.write_text(file.read_text(encoding="utf-8").replace("this", f"{part} {seed}"), encoding="utf-8")
    (tmp_path / "sst" / "87" / "dev.csv").unlink()
    rows(tmp_path / "sst" / "test.csv", ["0", "1"], header="text,label")
    monkeypatch.chdir(tmp_path)
    command = ["task", "new", "sst/{seed}/train.csv", "--test", "sst/test.csv", "--yes"]
    assert "--dev and --test" in str(CliRunner().invoke(metapt, command).exception)
    run = CliRunner().invoke(metapt, [*command, "--dev", "sst/{seed}/dev.csv"])
    assert run.exit_code == 0, run.output
    assert "up to 6 labelled examples" in run.output and "data_seeds: [13, 21]}" in run.output
    task = load_task(tmp_path / "sst" / "sst.yaml")
    assert task.name == "sst" and task.splits is not None and task.splits.train.file is not None
    assert "{seed}" in task.splits.train.file and "'{seed}/train.csv'" in run.output and "&id" not in run.output
    splits = make_splits(task, 6, [13, 21], test_rows=None, seed=0)
    assert all(text.startswith("dev 21") for text in splits.dev[21]["text"]) and not splits.warnings
    assert task_name(Wanted(Path("sst-{seed}.csv"))) == "sst"
    with pytest.raises(UserError, match="with a number in place of"):
        new_task(Wanted(Path("no/{seed}.csv"), Path("sst/test.csv"), Path("no/{seed}.csv")), tmp_path / "t.yaml")


@pytest.mark.parametrize(("each", "shots"), [(3, 1), (12, 5), (70, 34)])
def test_as_many_shots_as_the_rows_allow(tmp_path: Path, each: int, shots: int) -> None:
    tree = new_task(Wanted(rows(tmp_path / "a.csv", ["0", "1"], each=each)), tmp_path / "t.yaml")
    (tmp_path / "t.yaml").write_text(readable_yaml(tree), encoding="utf-8")
    task = load_task(tmp_path / "t.yaml")
    assert most_shots(task) == shots
    make_splits(task, shots, [1], test_rows=None, seed=0)
    with pytest.raises(UserError, match="Lower `shots`"):
        make_splits(task, shots + 1, [1], test_rows=None, seed=0)
