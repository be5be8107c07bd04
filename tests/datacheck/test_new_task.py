"""A task file out of somebody's rows: guessed, asked for, or refused by the option that is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from metapt_explore.cli.main import main, metapt
from metapt_explore.config import Columns, TaskConfig, load_task, parse, readable_yaml
from metapt_explore.datacheck.few_shot_files import most_shots
from metapt_explore.datacheck.new_task import Ask, Wanted, new_task
from metapt_explore.errors import UserError
from metapt_explore.fewshot.splits import make_splits


def rows(path: Path, labels: list[str], each: int = 12, header: str = "review,stars") -> Path:
    lines = [f"this is text number {n} of {label},{label}" for n in range(each) for label in labels]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def made(wanted: Wanted, out: Path, ask: Ask | None = None) -> TaskConfig:
    """The task, through the text of its file."""
    tree = new_task(wanted, out, ask=ask)
    assert yaml.safe_load(readable_yaml(tree)) == tree
    return parse(TaskConfig, tree, str(out))


def test_all_of_it_is_guessed(tmp_path: Path) -> None:
    file = rows(tmp_path / "my reviews.csv", ["0", "1"])
    task = made(Wanted(file), tmp_path / "task.yaml")
    assert task.name == "my-reviews" and task.template == "{text}\nSentiment:" and task.sentiment
    assert {name: (label.value, label.word) for name, label in task.labels.items()} == {
        "negative": ("0", "negative"), "positive": ("1", "positive"),
    }  # fmt: skip
    assert task.data is not None and task.data.file == "my reviews.csv", "as seen from the task file"
    assert task.data.columns == Columns(text="review", label="stars")


def test_words_that_cannot_be_guessed_are_asked_for_with_an_example(tmp_path: Path) -> None:
    file = rows(tmp_path / "a.csv", ["1", "3", "5"])
    asked: list[str] = []

    def ask(question: str, proposed: str) -> str:
        asked.append(question)
        return {"1": "bad", "3": "fair", "5": "great"}[question.split("'")[1]]

    task = made(Wanted(file), tmp_path / "t.yaml", ask)
    assert [label.word for label in task.labels.values()] == ["bad", "fair", "great"] and list(task.labels) == [
        "bad",
        "fair",
        "great",
    ]
    assert "this is text number 0 of 1" in asked[0]
    with pytest.raises(UserError, match=r"--word '1=WORD'"):
        made(Wanted(file), tmp_path / "t.yaml")
    given = made(Wanted(file, words={"1": "bad", "3": "fair", "5": "great"}), tmp_path / "t.yaml")
    assert given == task, "an answer and an option are one"


def test_two_classes_cannot_share_a_word(tmp_path: Path) -> None:
    words = made(Wanted(rows(tmp_path / "a.csv", ["very good", "very bad"])), tmp_path / "t.yaml").labels
    assert {label.word for label in words.values()} == {"good", "bad"}, "the word that tells them apart"
    with pytest.raises(UserError, match="which word stands for the label 'a"):
        made(Wanted(rows(tmp_path / "b.csv", ["a-b", "a_b"])), tmp_path / "t.yaml")


@pytest.mark.parametrize(
    ("header", "labels", "template"),
    [
        ("text,topic", ["sport", "law"], "Topic"),
        ("text,label", ["sport", "law"], "Topic"),
        ("text,question_type", ["who", "why"], "Question type"),
    ],
)
def test_templates_ask_for_what_the_column_is_called(
    tmp_path: Path, header: str, labels: list[str], template: str
) -> None:
    task = made(Wanted(rows(tmp_path / "a.csv", labels, header=header)), tmp_path / "t.yaml")
    assert task.template == f"{{text}}\n{template}:" and list(task.labels) == sorted(labels)


def test_what_makes_no_task_is_refused(tmp_path: Path) -> None:
    one = rows(tmp_path / "one.csv", ["x"])
    with pytest.raises(UserError, match="--label"):
        made(Wanted(one), tmp_path / "t.yaml")
    with pytest.raises(UserError, match="needs two labels"):
        made(Wanted(one, columns=Columns(text="", label="stars")), tmp_path / "t.yaml")
    with pytest.raises(UserError, match="no row has the label '7'"):
        made(Wanted(rows(tmp_path / "two.csv", ["0", "1"]), words={"7": "x"}), tmp_path / "t.yaml")
    with pytest.raises(UserError, match="--dev goes with --test"):
        made(Wanted(one, dev=one), tmp_path / "t.yaml")
    bad = tmp_path / "bad.csv"
    bad.write_bytes("text,label\ncafé au lait,1\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"not UTF-8.*metapt data check"):
        made(Wanted(bad), tmp_path / "t.yaml")


def test_the_command_writes_a_task_that_can_be_read(tmp_path: Path) -> None:
    file = rows(tmp_path / "a.csv", ["1", "5"], each=9)
    command = [
        "task",
        "new",
        str(file),
        "--word",
        "1=bad",
        "--word",
        "5=great",
        "--template",
        "{text}\\nStars:",
        "--yes",
    ]
    run = CliRunner().invoke(metapt, command)
    assert run.exit_code == 0, run.output
    task = load_task(tmp_path / "a.yaml")
    assert task.template == "{text}\nStars:" and list(task.labels) == ["bad", "great"]
    assert most_shots(task) == 4 and "up to 4 labelled examples" in run.output
    assert len(make_splits(task, 4, [1], test_rows=None, seed=0).train[1]) == 8
    run = CliRunner().invoke(metapt, command)
    assert isinstance(run.exception, UserError) and "exists" in str(run.exception)


def test_questions_are_answered_in_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import metapt_explore.cli.task_new as commands

    file = rows(tmp_path / "a.csv", ["1", "5"])
    monkeypatch.setattr(commands.sys.stdin.__class__, "isatty", lambda self: True, raising=False)
    from metapt_explore.cli.task_new import new_task_in_terminal

    answers = iter(["bad", "great"])
    monkeypatch.setattr("typer.prompt", lambda question, default=None, show_default=True: next(answers))
    new_task_in_terminal(Wanted(file), tmp_path / "t.yaml", ask=True)
    assert list(load_task(tmp_path / "t.yaml").labels) == ["bad", "great"]


def test_rows_of_train_and_test_in_files_of_their_own(tmp_path: Path) -> None:
    for name, each in (("train", 20), ("test", 5)):
        lines = [
            json.dumps({"text": f"{name} text {n} is {word}", "label": word})
            for n in range(each)
            for word in ("good", "bad")
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "tasks").mkdir()
    run = CliRunner().invoke(
        metapt,
        [
            "task",
            "new",
            str(tmp_path / "train.jsonl"),
            "--test",
            str(tmp_path / "test.jsonl"),
            "--name",
            "mine",
            "--out",
            str(tmp_path / "tasks" / "mine.yaml"),
        ],
    )
    assert run.exit_code == 0, run.output
    splits = make_splits(load_task(tmp_path / "tasks" / "mine.yaml"), 8, [1], test_rows=None, seed=0)
    assert len(splits.test) == 10 and not set(splits.train[1]["text"]) & set(splits.dev[1]["text"])


def test_a_wrong_option_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = rows(tmp_path / "a.csv", ["1", "5"])
    monkeypatch.setattr("sys.argv", ["metapt", "task", "new", str(file), "--word", "bad"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "VALUE=WORD" in capsys.readouterr().err


def test_a_file_that_is_sorted_by_class_is_guessed(tmp_path: Path) -> None:
    file = tmp_path / "sorted.csv"
    lines = [f"this is text number {n},{int(n >= 9000)}" for n in range(12000)]
    file.write_text("\n".join(["text,label", *lines]), encoding="utf-8")
    assert set(made(Wanted(file), tmp_path / "t.yaml").labels) == {"negative", "positive"}


def test_test_rows_are_looked_at_before_anything_is_written(tmp_path: Path) -> None:
    file = rows(tmp_path / "train.csv", ["0", "1"])
    with pytest.raises(UserError, match="no file"):
        made(Wanted(file, test=tmp_path / "nope.csv"), tmp_path / "t.yaml")
    with pytest.raises(UserError, match="has the label '2', of which"):
        made(Wanted(file, test=rows(tmp_path / "test.csv", ["0", "2"])), tmp_path / "t.yaml")
    with pytest.raises(UserError, match="space before or behind"):
        made(Wanted(rows(tmp_path / "odd.csv", ["0", " 1"])), tmp_path / "t.yaml")


def test_many_classes_are_a_task_where_their_column_is_named(tmp_path: Path) -> None:
    many = [f"kind{n:02d}" for n in range(30)]
    file = rows(tmp_path / "many.csv", many, each=3, header="text,intent")
    task = made(Wanted(file, columns=Columns(text="", label="intent")), tmp_path / "t.yaml")
    assert list(task.labels) == many


def test_a_label_of_blank_rows_only_is_asked_for_all_the_same(tmp_path: Path) -> None:
    file = rows(tmp_path / "a.csv", ["1", "5"])
    with file.open("a", encoding="utf-8") as stream:
        stream.write(",3\n")
    answers = {"1": "bad", "3": "fair", "5": "great"}
    assert len(made(Wanted(file), tmp_path / "t.yaml", lambda question, _: answers[question.split("'")[1]]).labels) == 3


def test_a_word_for_nothing_is_a_class_only_where_it_is_asked_for(tmp_path: Path) -> None:
    file = rows(tmp_path / "a.csv", ["good", "bad", "NaN"])
    told: list[str] = []
    tree = new_task(Wanted(file), tmp_path / "t.yaml", ask=None, tell=told.append)
    assert list(tree["labels"]) == ["negative", "positive"] and "12 rows have the label 'NaN'" in told[0]
    task = parse(TaskConfig, tree, str(tmp_path / "t.yaml"))
    task = task.model_copy(update={"data": task.data.model_copy(update={"file": str(file)})})  # type: ignore[union-attr]
    splits = make_splits(task, 4, [1], test_rows=None, seed=0)
    assert splits.dropped["unlabelled"] == 12, "its rows are left out and counted"
    assert "NaN" in new_task(Wanted(file, keep_missing=True), tmp_path / "t.yaml")["labels"]
    assert "NaN" in new_task(Wanted(file, words={"NaN": "unknown"}), tmp_path / "t.yaml")["labels"]
    asked: list[str] = []

    def ask(question: str, proposed: str) -> str:
        asked.append(question)
        return "yes"

    assert "NaN" in new_task(Wanted(file), tmp_path / "t.yaml", ask=ask)["labels"]
    assert len(asked) == 1 and "Make a class of it?" in asked[0]
    alone = rows(tmp_path / "b.csv", ["toxic", "none"])
    with pytest.raises(UserError, match=r"needs two labels; .* has 1 besides none \(--keep-missing"):
        new_task(Wanted(alone), tmp_path / "t.yaml")


def test_the_command_says_what_it_leaves_out(tmp_path: Path) -> None:
    file = rows(tmp_path / "a.csv", ["good", "bad", "NaN"])
    run = CliRunner().invoke(metapt, ["task", "new", str(file), "--yes"])
    assert run.exit_code == 0 and "no class is made of it" in run.output and "NaN:" not in run.output
    file = rows(tmp_path / "b.csv", ["good", "bad", "NaN"])
    run = CliRunner().invoke(metapt, ["task", "new", str(file), "--yes", "--keep-missing"])
    assert run.exit_code == 0 and "NaN:" in (tmp_path / "b.yaml").read_text(encoding="utf-8")
