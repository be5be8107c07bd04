"""Gradient agreement: attenuation by hand, noise that is known, and gradients of an unmodified model."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM

from metapt_explore.cli.main import main
from metapt_explore.config import StudyConfig, parse, to_yaml
from metapt_explore.diagnostics.agreement import TaskGradients, agreement_pairs, corrected_cosine, task_record
from metapt_explore.diagnostics.task_gradients import balanced_draws, halved
from metapt_explore.pretraining.episodes import read_tasks
from metapt_explore.seeds import stream
from metapt_explore.study.study import Study


def made(name: str, halves: Any, apart: bool = True) -> TaskGradients:
    values = np.asarray(halves, dtype=float)
    return TaskGradients(name, "auxiliary", values.mean(axis=1), values, np.ones(len(values)), apart)


def test_attenuation_by_hand() -> None:
    """Halves at right angles to one another in part: every number here is worked out on paper."""
    # Halves (1, 1) and (1, -1) share nothing: cosine 0. Halves (2, 1) and (2, -1): cosine 3/5, whole 2·0.6/1.6 = 3/4.
    a = made("a", [[[2, 1, 0], [2, -1, 0]]])
    b = made("b", [[[3, 4, 1], [3, 4, -1]]])  # cosine 24/26, whole 2·(24/26)/(50/26) = 0.96
    record = task_record(a)
    assert record["half_cosine"] == pytest.approx(0.6) and record["reliability"] == pytest.approx(0.75)
    assert task_record(b)["reliability"] == pytest.approx(0.96)
    (pair,) = agreement_pairs([a, b])
    assert pair["cosine"] == pytest.approx(0.6)  # (2, 0, 0) and (3, 4, 0)
    assert pair["corrected"] == pytest.approx(0.6 / np.sqrt(0.75 * 0.96))
    assert np.isnan(pair["standard_error"]) and record["standard_error"] is None  # one draw has no spread
    noise = made("noise", [[[1, 1, 0], [1, -1, 0]]])
    (pair,) = agreement_pairs([a, noise])
    assert pair["cosine"] == pytest.approx(1.0) and np.isnan(pair["corrected"])
    assert np.isnan(corrected_cosine(0.5, float("nan"), 1.0))


def test_halves_of_two_draws_are_compared_only_where_they_share_no_row() -> None:
    halves = [[[1, 0], [3, 4]], [[0, 1], [1, 0]]]  # cosines of first with second halves: 0.6, 1; 0.8, 0
    assert made("a", halves).half_cosine() == pytest.approx(0.6)
    assert made("a", halves, apart=False).half_cosine() == pytest.approx(0.3)
    assert task_record(made("a", halves, apart=False))["standard_error"] == pytest.approx(0.3)  # that of a mean of two


def test_the_jackknife_is_that_of_two_means() -> None:
    """With one-dimensional angles the observed cosine is a mean over a grid; its error has a closed form."""
    rng = np.random.default_rng(0)
    first, second = (made(str(i), rng.normal(size=(5 + i, 2, 40)) + 1) for i in range(2))
    (pair,) = agreement_pairs([first, second])
    unit = [g.whole / np.linalg.norm(g.whole, axis=1, keepdims=True) for g in (first, second)]
    grid = unit[0] @ unit[1].T
    assert pair["cosine"] == pytest.approx(grid.mean()) and pair["draws"] == [5, 6]
    by_row, by_column = grid.mean(axis=1), grid.mean(axis=0)
    expected = np.sqrt(by_row.var(ddof=1) / 5 + by_column.var(ddof=1) / 6)
    assert pair["standard_error"] == pytest.approx(expected)


@pytest.mark.parametrize("truth", [0.5, 0.0, -0.4])
def test_noise_is_corrected_for_and_the_error_covers_the_truth(truth: float) -> None:
    """Known directions at a known angle under noise that halves the cosine."""
    rng = np.random.default_rng(3)
    size, draws, hits, errors = 600, 8, 0, []
    for _ in range(60):
        axes = np.linalg.qr(rng.normal(size=(size, 2)))[0].T
        signals = [axes[0], truth * axes[0] + np.sqrt(1 - truth**2) * axes[1]]
        # Noise of a half is as long as 1.4 times the signal: halves agree at about 1/3, wholes at 1/2.
        tasks = [
            made(str(i), signal + rng.normal(size=(draws, 2, size)) * np.sqrt(2 / size))
            for i, signal in enumerate(signals)
        ]
        assert task_record(tasks[0])["reliability"] == pytest.approx(0.5, abs=0.1)
        (pair,) = agreement_pairs(tasks)
        assert abs(pair["cosine"]) < abs(truth) or truth == 0
        errors.append(pair["corrected"] - truth)
        hits += abs(errors[-1]) < 2.2 * pair["corrected_standard_error"]
    assert np.mean(errors) == pytest.approx(0, abs=0.03)
    assert hits >= 54  # about 95 % of 60


def test_draws_are_balanced_halves_that_share_no_row() -> None:
    classes = {"bad": list(range(0, 20)), "good": list(range(20, 50)), "so-so": list(range(50, 63))}
    draws, apart = balanced_draws(classes, rows=13, draws=5, rng=np.random.default_rng(0))
    for draw in draws:
        (first, labels), (second, other) = draw
        assert labels == other == [0, 0, 1, 1, 2, 2]  # 13 // (2 halves · 3 classes) of each
        assert not set(first) & set(second)
        assert all(row in list(classes.values())[label] for row, label in zip(first, labels, strict=True))
    assert apart == 13 // 4
    kept = [row for draw in draws[:apart] for half, _ in draw for row in half]
    assert len(set(kept)) == len(kept)
    # Too few rows for the draw that is asked for: smaller, not unbalanced; a single row cannot be halved.
    assert balanced_draws({"a": [0, 1, 2], "b": [3, 4]}, 32, draws=1, rng=np.random.default_rng(0))[0][0][0][1] == [
        0,
        1,
    ]
    assert len(balanced_draws({"a": [0, 1, 2], "b": [3]}, 32, draws=1, rng=np.random.default_rng(0))[0][0]) == 1


def test_few_shot_rows_are_halved_class_by_class() -> None:
    first, second = halved([0] * 3 + [1] * 3, first=10)
    assert first == ([10, 12, 14], [0, 0, 1]) and second == ([11, 13, 15], [0, 1, 1])
    assert halved([0, 1, 1]) == [([0, 1, 2], [0, 1, 1])]


# ------------------------------------------------------------------------------------------- the stage


@pytest.fixture(scope="module")
def study(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    tree = tiny.study_tree(world, name="why", agreement={"rows": 8, "draws": 3})
    return Study(parse(StudyConfig, tree, "test"), tmp_path_factory.mktemp("agreement"))


class Reference:
    """Gradients by autograd through an unmodified model, one row at a time."""

    def __init__(self, world: Path, study: Study) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(world / "lm", attn_implementation="eager").eval()
        self.model.requires_grad_(False)
        self.words = tiny.tokenizer()
        self.study = study

    def gradient(self, prompt: torch.Tensor, labels: Any, texts: list[str], classes: list[int]) -> np.ndarray:
        embed = self.model.get_input_embeddings()
        leaf = prompt.clone().requires_grad_(True)
        tail = self.ids(labels.template.removeprefix("{text}"))
        answers = [self.ids(f" {label.word}")[0] for label in labels.labels.values()]
        scores = []
        for text in texts:
            whole = torch.cat([embed(torch.tensor(self.ids(text)[:16])), leaf, embed(torch.tensor(tail))])[None]
            scores.append(self.model(inputs_embeds=whole).logits[0, -1][torch.tensor(answers)])
        loss = F.cross_entropy(torch.stack(scores), torch.tensor(classes))
        return torch.autograd.grad(loss, leaf)[0].flatten().double().numpy()

    def ids(self, text: str) -> list[int]:
        return list(self.words(text, add_special_tokens=False)["input_ids"])


@pytest.mark.parametrize("method", [None, "PPT"])
def test_agreement_equals_autograd_through_an_unmodified_model(world: Path, study: Study, method: str | None) -> None:
    found = study.agreement(method=method)
    prompt = study.prompt(method or "PT").tensors("prompt")["prompt"]
    reference, auxiliary = Reference(world, study), study.config.auxiliary_tasks
    texts = study.texts().table("texts")["text"].tolist()
    tasks = read_tasks(study.auxiliary_tasks("kmeans").table("tasks"), list(auxiliary.labels))
    names = {cluster["cluster"]: cluster["name"] for cluster in study.clusters("kmeans").summary["clusters"]}
    expected = []
    for number, classes in tasks.items():
        draws, apart = balanced_draws(classes, 8, draws=3, rng=stream(7, "agreement", number))
        halves = [
            [reference.gradient(prompt, auxiliary, [texts[row] for row in rows], labels) for rows, labels in draw]
            for draw in draws
        ]
        expected.append(made(names[number], halves, apart == 3))
    for name in ("mood", "question"):
        rows = study.split(name).table("rows")
        halves = []
        for seed in (1, 2):
            own = rows[(rows["split"] == "train") & (rows["data_seed"] == seed)]
            labels = [list(study.tasks[name].labels).index(label) for label in own["label"]]
            halves.append(
                [
                    reference.gradient(prompt, study.tasks[name], [own["text"].iloc[row] for row in part], classes)
                    for part, classes in halved(labels)
                ]
            )
        expected.append(made(name, halves, apart=False))
    table = found.table("agreement")
    wanted = pd.DataFrame(agreement_pairs(expected))
    assert table[["first", "second"]].equals(wanted[["first", "second"]])
    assert len(table) == 6 * 5 // 2
    for column in ("cosine", "standard_error", "corrected", "corrected_standard_error"):
        np.testing.assert_allclose(table[column], wanted[column], rtol=2e-3, atol=2e-4)
    for record, task in zip(found.summary["tasks"], expected, strict=True):
        mine = task_record(task)
        assert record["name"] == mine["name"]
        assert record["reliability"] == pytest.approx(mine["reliability"], rel=1e-3, abs=1e-4)
        assert record["norm"] == pytest.approx(mine["norm"], rel=1e-3)


def test_its_rows_are_counted_apart_and_it_is_made_once(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    found = study.agreement()
    tasks = len(study.auxiliary_tasks("kmeans").table("tasks")["task"].unique())
    assert found.summary["diagnostic_rows"] == tasks * 3 * 8 + 2 * 2 * 8
    assert study.prompt("PPT").summary["row_passes"] == 4 * 2 * 8
    again = Study(study.config, study.workspace)
    monkeypatch.setattr(Study, "backbone", property(lambda self: pytest.fail("the model was loaded")))
    assert again.agreement().id == found.id
    # The start is PT's prompt; another clustering, seed of the study or size of a draw is another question.
    assert found.stage["parents"]["prompt"] == again.prompt("PT").id


def test_dev_and_test_rows_have_no_part_in_it(world: Path, tmp_path: Path, study: Study) -> None:
    """Other dev and test rows give the same numbers; the training rows are what is looked at."""
    copy = Study(study.config, study.workspace.folder)
    splits = copy.split("mood")
    file = splits.folder / "rows.parquet"
    before = pd.read_parquet(file)
    changed = before.copy()
    rest = changed["split"] != "train"
    changed.loc[rest, "text"] = [f"other {row}" for row in range(rest.sum())]
    found = copy.agreement().table("agreement")
    try:
        changed.to_parquet(file, index=False)
        tree = copy.config.model_copy(update={"agreement": copy.config.agreement.model_copy(update={"rows": 9})})
        other = Study(tree, study.workspace).agreement().table("agreement")
    finally:
        before.to_parquet(file, index=False)
    pd.testing.assert_frame_equal(found, other)  # 9 rows of two classes in two halves are 8


def test_settings_enter_no_other_id(world: Path, study: Study) -> None:
    other = parse(StudyConfig, tiny.study_tree(world, name="why", agreement={"rows": 4, "draws": 2}), "test")
    asked = Study(other, study.workspace)
    assert asked.prompt("PPT").id == study.prompt("PPT").id
    assert asked.agreement().id != study.agreement().id


def test_the_command_prints_cosines_and_what_they_cost(
    world: Path, study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(to_yaml(study.config), encoding="utf-8")

    def call(*words: str) -> str:
        workspace = ["--workspace", str(study.workspace.folder)]
        monkeypatch.setattr(sys, "argv", ["metapt", "agreement", str(file), *words, *workspace])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert not stopped.value.code
        return capsys.readouterr().out

    said = call()
    found = study.agreement()
    for task in found.summary["tasks"]:
        assert task["kind"] == "downstream" or task["name"] in said
    assert f"{found.summary['diagnostic_rows']} rows forward and backward" in said
    records = [json.loads(line) for line in call("--json").splitlines()]
    assert [record["cosine"] for record in records] == found.table("agreement")["cosine"].tolist()
