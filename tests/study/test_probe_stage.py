"""The probe as a stage and on the command line, on the tiny study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny
import yaml
from command_line import call
from tampering import reseal

from metapt_explore.config import LabelsConfig, load_task
from metapt_explore.fewshot import template_ranking
from metapt_explore.models.backbone import Backbone
from metapt_explore.stages.template_ranking import training_rows
from metapt_explore.study.study import Study


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Texts that the model is shown."""
    texts: list[str] = []
    zero_shot = template_ranking.zero_shot

    def watched(backbone: Backbone, rows: Any, pattern: Any) -> Any:
        texts.extend(rows)
        return zero_shot(backbone, rows, pattern)

    monkeypatch.setattr(template_ranking, "zero_shot", watched)
    return texts


def test_only_training_rows_are_read(world: Path, tmp_path: Path, seen: list[str]) -> None:
    study = Study(tiny.study_tree(world), tmp_path)
    found = study.rank_templates("mood")
    rows = study.split("mood").table("rows")
    train = set(rows.loc[rows["split"] == "train", "text"])
    assert set(seen) == train and not train & set(rows.loc[rows["split"] == "test", "text"])
    summary = found.summary
    # Words with a capital are unknown to the tiny tokenizer.
    ranking = [record for record in summary["ranking"] if record["reason"] is None]
    assert len(ranking) > 9 and summary["rows"] == len(train) and len(seen) == len(train) * len(ranking)
    assert summary["also_dev"] == len(train & set(rows.loc[rows["split"] == "dev", "text"]))

    assert [record["rank"] for record in ranking] == list(range(1, len(ranking) + 1))
    losses = [record["calibrated_loss"] for record in ranking]
    assert losses == sorted(losses)
    assert set(ranking[0]["accuracies"]) == {"1", "2"}


def test_a_second_call_computes_nothing(world: Path, tmp_path: Path, seen: list[str]) -> None:
    first = Study(tiny.study_tree(world), tmp_path).rank_templates("mood")
    seen.clear()
    again = Study(tiny.study_tree(world), tmp_path)
    assert again.rank_templates("mood").id == first.id and not seen and not again.model.loaded
    entries = [entry for entry in again.workspace.index("tiny") if entry["kind"] == "template_ranking"]
    assert [(entry["task"], entry["id"]) for entry in entries] == [("mood", first.id)]
    assert again.rank_templates("question").id != first.id


def test_a_training_row_that_is_a_test_row_is_left_out(world: Path, tmp_path: Path) -> None:
    study = Study(tiny.study_tree(world), tmp_path)
    split = study.split("mood")
    rows = split.table("rows")
    leaked = rows.loc[rows["split"] == "train", "text"].iloc[0]
    rows.loc[rows.index[rows["split"] == "test"][0], "text"] = leaked.upper()
    rows.to_parquet(split.folder / "rows.parquet")
    reseal(split.folder)
    found = training_rows(split, study.tasks["mood"], [1, 2])
    assert found.also_test == 1 and all(leaked not in texts for texts in found.texts.values())
    assert [len(texts) for texts in found.texts.values()] == [len(labels) for labels in found.labels.values()]


@pytest.mark.parametrize("kind", ["bert", "t5"])
def test_other_families_are_probed(kind: str, world: Path, tmp_path: Path) -> None:
    folder = tiny.make_language_model(tmp_path / kind, kind)
    tree = tiny.study_tree(world, model={"name": str(folder)})
    ranking = Study(tree, tmp_path / "ws").rank_templates("mood").summary["ranking"]
    words_of_own = [record for record in ranking if record["words"]["negative"] == ["negative"]]
    assert all(record["reason"] is None and 0 <= record["accuracy"] <= 1 for record in words_of_own)
    assert any("{mask}" in record["template"] for record in ranking) == (kind == "bert")


def test_on_the_command_line(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [{"negative": "bad", "positive": "good"}, {"negative": "so awful", "positive": ["great", "lovely"]}]
    file = tmp_path / "candidates.yaml"
    file.write_text(
        yaml.safe_dump({"templates": ["{text} it was", "{text}\nis {mask} :"], "words": words}), encoding="utf-8"
    )
    tree = tiny.study_tree(world)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    asked = ("rank-templates", tmp_path / "study.yaml", "mood", "--candidates", file, "--workspace", tmp_path / "ws")
    assert call(monkeypatch, *asked) == 0
    out = capsys.readouterr().out
    assert "mood: templates on the training rows" in out and "2 data seeds" in out
    assert out.count("Not readable by this model: {text}\\nis {mask} :") == 2 and "before its end" in out

    # The last lines stand in a task file as they are.
    lines = out[out.index("template: ") :]
    task = load_task(world / "mood.yaml")
    pasted = LabelsConfig.model_validate(yaml.safe_load(lines))
    assert call(monkeypatch, *asked, "--json") == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(records) == 4 and [record["rank"] for record in records] == [1, 2, None, None]
    assert pasted.template == records[0]["template"] == "{text} it was"
    assert {name: label.words for name, label in pasted.labels.items()} == records[0]["words"]
    assert [label.value for label in pasted.labels.values()] == [label.value for label in task.labels.values()]

    assert call(monkeypatch, *asked, "--json", "--limit", 1) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_mistakes_on_the_command_line(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    study, where = world / "tiny.yaml", ("--workspace", tmp_path)
    assert call(monkeypatch, "probe", study, "moods", *where) == 2
    error = capsys.readouterr().err
    assert "`metapt probe` is called `metapt rank-templates` now." in error
    assert "has no task 'moods'. Did you mean 'mood'" in error
    assert call(monkeypatch, "rank-templates", study, "mood", "--candidates", tmp_path / "none.yaml", *where) == 2
    assert "There is no file" in capsys.readouterr().err


def test_words_that_cannot_compete_with_the_vocabulary_are_listed(world: Path, tmp_path: Path) -> None:
    words = [{"negative": each, "positive": "good"} for each in ("so bad", "bad")]
    file = tmp_path / "candidates.yaml"
    file.write_text(yaml.safe_dump({"words": words}), encoding="utf-8")
    tree = {**tiny.study_tree(world), "verbalizer": {"decode": "whole_vocabulary"}}
    ranking = Study(tree, tmp_path / "ws").rank_templates("mood", file).summary["ranking"]
    assert ranking[0]["reason"] is None and ranking[0]["words"]["negative"] == ["bad"]
    assert "label word 'so bad' of class 'negative' is 2 tokens" in ranking[1]["reason"]
