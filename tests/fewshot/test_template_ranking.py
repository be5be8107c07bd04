"""The probe's ranking against numbers computed by hand, and what is refused in a file of candidates."""

from __future__ import annotations

from math import exp, log, sqrt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

from metapt_explore.config import LabelsConfig, TaskConfig
from metapt_explore.errors import UserError
from metapt_explore.fewshot import template_ranking
from metapt_explore.fewshot.scoring import LabelledTexts
from metapt_explore.fewshot.template_candidates import file_candidates, menu_candidates
from metapt_explore.fewshot.template_ranking import rank_templates
from metapt_explore.verbalizers.verbalizer import read_onwards

TEXTS = ["a", "b", "c", "d"]
ROWS = {1: LabelledTexts(["a", "b"], [0, 1]), 2: LabelledTexts(["c", "d"], [0, 1])}


class Stub:
    """Knows the logits of each template; a template `unreadable` cannot be read."""

    def __init__(self, logits: dict[str, list[list[float]]]) -> None:
        self.logits, self.seen = logits, []

    def pattern(self, labels: LabelsConfig, where: str, whole_vocabulary: bool) -> Any:
        if "unreadable" in labels.template:
            raise UserError(f"{where}: this model has no such word.")
        verbalizer = read_onwards(
            {name: [(i,)] for i, name in enumerate(labels.labels)}, whole_vocabulary=whole_vocabulary
        )
        return SimpleNamespace(verbalizer=verbalizer, template=labels.template)

    def zero_shot(self, texts: list[str], pattern: Any) -> torch.Tensor:
        self.seen += texts
        rows = self.logits[pattern.template.removeprefix("{text} ")]
        return torch.tensor([rows[TEXTS.index(text)] for text in texts])


@pytest.fixture(autouse=True)
def given_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_ranking, "zero_shot", Stub.zero_shot)


def candidates(*templates: str) -> list[LabelsConfig]:
    return [LabelsConfig(template=f"{{text}} {each}", labels={"x": "bad", "y": "good"}) for each in templates]


def softplus(x: float) -> float:
    return log(1 + exp(x))


def test_the_ranking_by_hand() -> None:
    logits = {
        # Likes class 0 by 4 whatever the text says: collapsed as it is, right everywhere once that is taken off.
        "biased": [[5.0, 0.0], [3.0, 0.0], [5.0, 0.0], [3.0, 0.0]],
        # Right in three of four, unsure of all; nothing to calibrate in the first data seed.
        "unsure": [[0.1, 0.0], [0.0, 0.1], [0.0, 0.0], [0.2, 0.0]],
    }
    stub = Stub(logits)
    done: list[int] = []
    best, unsure, last = rank_templates(
        stub, candidates("unsure", "unreadable", "biased"), ROWS, on_candidate=done.append
    )
    assert done == [1, 2, 3]
    assert [best["template"], unsure["template"], last["template"]] == [
        "{text} biased",
        "{text} unsure",
        "{text} unreadable",
    ]
    assert (best["rank"], best["candidate"], unsure["rank"], last["rank"]) == (1, 2, 2, None)
    assert last["reason"] == "this model has no such word." and "loss" not in last and best["reason"] is None

    # As it comes: always class 0.
    assert best["accuracy"] == 0.5 and best["commonest"] == 1.0
    assert best["macro_f1"] == pytest.approx((2 / 3 + 0) / 2)
    assert best["loss"] == pytest.approx((softplus(-5) + softplus(3)) / 2)
    # Calibrated, the difference of the two log-probabilities is off by its mean, 4: it is +1 and -1.
    assert best["calibrated_accuracy"] == 1.0 and best["calibrated_commonest"] == 0.5
    assert best["calibrated_macro_f1"] == 1.0 and best["calibrated_accuracy_std"] == 0.0
    assert best["calibrated_loss"] == pytest.approx(softplus(-1))
    assert best["calibrated_loss_se"] == pytest.approx(0) and best["behind"] == 0 and best["level"] is True

    # Differences of the logits 0.1, -0.1 and 0, 0.2; the second pair is -0.1, 0.1 once its mean is off, and wrong.
    assert unsure["accuracies"] == {"1": 1.0, "2": 0.5} and unsure["calibrated_accuracies"] == {"1": 1.0, "2": 0.0}
    assert unsure["calibrated_accuracy_std"] == pytest.approx(sqrt(0.5))
    losses = [softplus(-0.1)] * 2 + [softplus(0.1)] * 2
    assert unsure["calibrated_loss"] == pytest.approx(sum(losses) / 4)
    behind = [loss - softplus(-1) for loss in losses]
    mean = sum(behind) / 4
    error = sqrt(sum((each - mean) ** 2 for each in behind) / 3 / 4)
    assert unsure["behind"] == pytest.approx(mean) and unsure["behind_se"] == pytest.approx(error)
    assert unsure["level"] is (mean <= 2 * error) is False


def test_what_cannot_be_told_apart_is_marked() -> None:
    """Better on one row, worse on another: the mean difference is small against its standard error."""
    logits = {
        "one": [[2.0, 0.0], [0.0, 0.5], [1.0, 0.0], [0.0, 1.0]],
        "other": [[0.4, 0.0], [0.0, 2.0], [1.0, 0.0], [0.0, 1.0]],
        "wrong": [[0.0, 3.0], [3.0, 0.0], [0.0, 3.0], [3.0, 0.0]],
    }
    records = rank_templates(Stub(logits), candidates("wrong", "other", "one"), ROWS)
    assert [record["level"] for record in records] == [True, True, False]
    assert records[2]["template"] == "{text} wrong" and records[2]["calibrated_accuracy"] == 0


def test_equal_losses_are_ordered_by_accuracy() -> None:
    """Calibrated they are the same; as it comes only the second is right."""
    logits = {"shifted": [[9.0, 0.0], [7.0, 0.0]] * 2, "plain": [[1.0, 0.0], [-1.0, 0.0]] * 2}
    records = rank_templates(Stub(logits), candidates("shifted", "plain"), ROWS)
    assert [record["template"] for record in records] == ["{text} plain", "{text} shifted"]
    assert records[0]["calibrated_loss"] == pytest.approx(records[1]["calibrated_loss"])


def test_rows_that_data_seeds_share_are_run_and_counted_once() -> None:
    logits = {"one": [[1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [0.0, 1.0]]}
    stub = Stub(logits)
    (record,) = rank_templates(stub, candidates("one"), {1: ROWS[1], 2: LabelledTexts(["c", "b"], [0, 1])})
    assert stub.seen == ["a", "b", "c"]
    # Differences 1, -1 and 2, -1: evened they are 1, -1 and 1.5, -1.5, so "b" has the mean of its two losses.
    losses = [softplus(-1), (softplus(-1) + softplus(-1.5)) / 2, softplus(-1.5)]
    mean = sum(losses) / 3
    assert record["calibrated_loss"] == pytest.approx((softplus(-1) + softplus(-1.5)) / 2)
    assert record["calibrated_loss_se"] == pytest.approx(sqrt(sum((each - mean) ** 2 for each in losses) / 2 / 3))


def test_against_the_whole_vocabulary_another_word_is_wrong() -> None:
    """Columns: log-probabilities of both classes and everything else, then the best token of each."""
    scores = [[log(0.3), log(0.2), log(0.5), log(0.3), log(0.2), log(0.4)]] * 2
    scores += [[log(0.6), log(0.2), log(0.2), log(0.6), log(0.2), log(0.1)]] * 2
    (record,) = rank_templates(Stub({"one": scores}), candidates("one"), ROWS, whole_vocabulary=True)
    assert record["accuracies"] == {"1": 0.0, "2": 0.5}
    assert record["loss"] == pytest.approx(-(log(0.3) + log(0.2) + log(0.6) + log(0.2)) / 4)
    assert record["calibrated_loss"] == pytest.approx(log(2))


# ------------------------------------------------------------------------------------- candidates


def task(**changes: Any) -> TaskConfig:
    tree = {
        "name": "mood",
        "template": "{text} Sentiment :",
        "labels": {"negative": {"value": "0", "word": "bad"}, "positive": {"value": "1", "word": "good"}},
        "data": {"file": "x.csv"},
    }
    return TaskConfig.model_validate({**tree, **changes})


def write(folder: Path, tree: Any) -> Path:
    file = folder / "candidates.yaml"
    file.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return file


def test_templates_and_words_are_crossed(tmp_path: Path) -> None:
    words = [{"positive": "good", "negative": "bad"}, {"negative": ["poor", "sad"], "positive": "great"}]
    found = file_candidates(task(), write(tmp_path, {"templates": ["{text} A", "{text} B"], "words": words}))
    assert [each.template for each in found] == ["{text} A", "{text} A", "{text} B", "{text} B"]
    assert {name: (label.value, label.words) for name, label in found[1].labels.items()} == {
        "negative": ("0", ["poor", "sad"]),
        "positive": ("1", ["great"]),
    }
    assert list(found[0].labels) == ["negative", "positive"], "the order of the task, which says the class indices"
    assert [each.template for each in file_candidates(task(), write(tmp_path, {"words": words}))] == [
        "{text} Sentiment :"
    ] * 2
    repeated = file_candidates(task(), write(tmp_path, {"templates": ["{text} A", "{text} A"]}))
    assert [each.labels for each in repeated] == [task().labels]


def test_words_of_a_file_are_read_in_place_of_a_description(tmp_path: Path) -> None:
    labels = {"a": {"value": "0", "description": "a gloomy text"}, "b": {"value": "1", "description": "a merry text"}}
    (found,) = file_candidates(task(labels=labels), write(tmp_path, {"words": [{"a": "sad", "b": "glad"}]}))
    assert [(label.words, label.description) for label in found.labels.values()] == [(["sad"], None), (["glad"], None)]
    assert menu_candidates(task(labels=labels), "sentence")[3].labels["a"].description == "a gloomy text"


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        ([], "expected a mapping"),
        ({}, "holds no candidates"),
        ({"template": ["{text} A"]}, "unknown key 'template'. Did you mean 'templates'"),
        ({"templates": "{text} A"}, "`templates` must be a list"),
        ({"templates": ["{text} A", "no slot"]}, r"templates\[1\]: the template must hold {text} exactly once"),
        ({"templates": ["{text} A", 3]}, r"templates\[1\] is a int"),
        ({"templates": ["{text} {text_pair} A"]}, r"templates\[0\]: .* rows of the task 'mood' are one text"),
        ({"words": [{"negative": "bad"}]}, r"words\[0\] has no word for class 'positive'"),
        ({"words": [{"negative": "bad", "positiv": "good"}]}, r"words\[0\]: .* 'positiv'. Did you mean 'positive'"),
        ({"words": [{"negative": False, "positive": True}]}, r"words\[0\]: class 'negative' .*put it in quotes"),
        ({"words": [{"negative": "so", "positive": ["a", "so"]}]}, r"words\[0\]: labels .* have the same word 'so'"),
        ({"words": [{"negative": [], "positive": "good"}]}, r"words\[0\]: class 'negative' has an empty list"),
        ({"words": [{"negative": " ", "positive": "good"}]}, r"words\[0\]: a label word is blank"),
        ({"words": ["bad"]}, r"words\[0\] is a str"),
    ],
)
def test_wrong_entries_are_named(tree: Any, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        file_candidates(task(), write(tmp_path, tree))
    assert str(tmp_path / "candidates.yaml") in str(caught.value)


def test_the_menu_begins_with_the_tasks_own() -> None:
    own = task()
    menu = menu_candidates(own, "causal")
    assert menu[0].template == own.template and 8 <= sum(each.labels == own.labels for each in menu) <= 10
    assert not any("{text_pair}" in each.template for each in menu)
    masked = menu_candidates(own, "masked")
    assert all(each.template.endswith(" {mask}.") for each in masked if each.template != own.template)
    other = [each for each in menu if each.labels != own.labels]
    assert other and all(each.template == own.template for each in other), "other words, in the task's own template"
    columns = {"text": "a", "text_pair": "b", "label": "label"}
    pairs = menu_candidates(
        task(template="{text} or {text_pair} :", data={"file": "x.csv", "columns": columns}), "causal"
    )
    assert len(pairs) > 3 and all(each.pairs for each in pairs)
