"""Several formats of auxiliary tasks in one study: rows, tasks, prompts, lineage, and what is refused."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny
import yaml
from format_world import FORMATS, WORDS, config_of

from metapt_explore.config import StudyConfig, parse
from metapt_explore.diagnostics.task_gradients import balanced_draws, gradients_of
from metapt_explore.errors import UserError
from metapt_explore.pretraining.draw_counts import episodes, recorded_task
from metapt_explore.reporting.report import make_report
from metapt_explore.results.find_lineage import lineage
from metapt_explore.results.record import record_of
from metapt_explore.stages.drawn_tasks import drawn_tasks
from metapt_explore.stages.format_rows import FormatRows
from metapt_explore.stages.task_patterns import most_of_format, read_formats, read_patterns
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study
from metapt_explore.texts.normalise import normalise
from metapt_explore.texts.rows import as_inputs


def write_questions(folder: Path) -> Path:
    """Another labelled set, with classes of its own."""
    rng, file = random.Random(4), folder / "questions.jsonl"
    with file.open("w", encoding="utf-8") as stream:
        for number in range(60):
            kind = list(tiny.QUESTIONS)[number % len(tiny.QUESTIONS)]
            text = tiny.sentence(rng, tiny.TOPICS[next(iter(tiny.TOPICS))], tiny.QUESTIONS[kind])
            stream.write(json.dumps({"text": text, "kind": kind}) + "\n")
    return file


@pytest.fixture(scope="module")
def study(formats_finished: Path) -> Study:
    """A study of three formats, finished."""
    workspace = Workspace(formats_finished)
    return Study(workspace.study_config("tiny"), workspace)


def tasks_of(study: Study, method: str = "MetaPT") -> Artifact:
    return study.workspace.artifact(study.prompt(method).stage["parents"]["tasks"])


def test_rows_stand_behind_the_texts_and_name_their_document(study: Study) -> None:
    texts = study.texts().table("texts")
    rows = FormatRows(study).artifact.table("texts")
    assert rows["text"][: len(texts)].tolist() == texts["text"].tolist()
    made = rows[rows["format"] == "sentence_pair"]
    assert len(made) > 50 and set(made["label"]) == set(WORDS) and made["document"].between(0, len(texts) - 1).all()
    for text, other, document, label in zip(
        made["text"], made["text_pair"], made["document"], made["label"], strict=True
    ):
        whole = texts["text"][document]
        assert text in whole and (other in whole) == (label != "other")


def test_every_format_makes_tasks_with_rows_and_words_of_its_own(study: Study) -> None:
    tasks, formats = read_formats(tasks_of(study), [])
    assert formats is not None and formats.weights == [2.0, 1.0, 1.0]
    rows = FormatRows(study).artifact.table("texts")
    reading = read_patterns(study.config, tasks_of(study), study.backbone)
    words = [list(pattern.words) for pattern in reading.patterns]
    by_format: dict[int, list[int]] = {}
    for task, place in formats.of_task.items():
        by_format.setdefault(place, []).append(task)
        kinds = {rows["format"][row] for members in tasks[task].values() for row in members}
        assert kinds == ({"sentence_pair"} if place == 2 else {""})
    assert len(by_format[1]) == 6 and len({reading.of_task[task] for task in by_format[1]}) == 6
    assert len({reading.of_task[task] for task in by_format[2]}) == 1
    assert all(len(set(each)) == len(each) for each in words), "no two classes of a task share a word"
    for task in by_format[0]:
        labels = {name: {rows["label"][row] for row in members} for name, members in tasks[task].items()}
        assert labels == {"negative": {"negative"}, "positive": {"positive"}}


def test_a_step_draws_formats_by_their_weights_and_pooled_draws_the_same_rows(study: Study) -> None:
    drawn = {}
    for name in ("PPT", "MetaPT"):
        tasks, formats = read_formats(tasks_of(study, name), [])
        assert formats is not None
        drawn[name] = list(episodes(recorded_task(study.prompt(name).stage["config"], tasks, None, formats)))
        for episode in drawn[name]:
            assert [formats.of_task[task] for task in episode.tasks] == [0, 0, 1, 2]
    assert drawn["PPT"] == drawn["MetaPT"][: len(drawn["PPT"])]


def test_lineage_leads_from_a_score_to_the_rows_that_were_made(study: Study) -> None:
    found = lineage(study.workspace, "tiny", "MetaPT", "mood", data_seed=1, init_seed=0)
    assert not found.notes
    table = found.texts()
    assert table["drawn"].sum() == 3 * 4 * 8
    rows = FormatRows(study).artifact.table("texts")
    clusters = study.clusters("kmeans").table("clusters")["cluster"]
    made = table[table["row"].isin(rows.index[rows["format"] == "sentence_pair"])]
    assert len(made) and (made["cluster"] == clusters[rows["document"][made["row"]]].to_numpy()).all()
    pooled = lineage(study.workspace, "tiny", "PPT", "mood", data_seed=1, init_seed=0).texts()
    assert pooled["drawn"].sum() == 3 * 4 * 8


def test_requests_read_each_task_in_its_own_way(study: Study) -> None:
    hardest = study.request("hardest_texts", method="MetaPT", shown=2).table("texts")
    classes = hardest.groupby("name")["predicted"].unique()
    assert any(set(found) <= set(WORDS) for name, found in classes.items() if str(name).startswith("sentence_pair"))
    assert any(str(name).startswith("cluster_classes") for name in classes.index)
    told = study.request("agreement").summary["tasks"]
    assert {each["name"].split(":")[0] for each in told if each["kind"] == "auxiliary"} == {
        "labels",
        "cluster_classes",
        "sentence_pair",
    }


@pytest.mark.parametrize(("kinds", "most"), [(1, 24), (2, 12), (3, 8), (5, 6)])
def test_formats_share_the_tasks_that_are_looked_at(study: Study, kinds: int, most: int) -> None:
    """Six of the hundreds of tasks of one format told nothing: intervals from −0.6 to 1.2."""
    auxiliary = study.config.auxiliary_tasks
    formats = [auxiliary.formats[0]] * (kinds - bool(auxiliary.labels))
    assert most_of_format(auxiliary.model_copy(update={"formats": formats})) == most
    reading = read_patterns(study.config, tasks_of(study), study.backbone)
    counts = Counter(reading.formats.of_task[task] for task in reading.sample())
    assert max(counts.values()) <= reading.most_of_format == most_of_format(auxiliary)


def test_tasks_of_several_formats_have_the_gradients_that_each_has_alone(study: Study) -> None:
    """And in fewer passes: tasks that differ in words alone share them."""
    reading = read_patterns(study.config, tasks_of(study), study.backbone)
    inputs = as_inputs(FormatRows(study).artifact.table("texts"))
    prompt = study.prompt("MetaPT").tensors("prompt")["prompt"]
    draws = {
        task: balanced_draws(reading.tasks[task], 8, draws=2, rng=np.random.default_rng(task))[0]
        for task in replace(reading, most_of_format=3).sample()
    }
    found: dict[str, list[Any]] = {}
    passes = []
    for chosen in (draws, *({task: of} for task, of in draws.items())):
        looked_at = drawn_tasks(study.backbone, inputs, reading, chosen)
        gradients = gradients_of(
            looked_at.objective,
            prompt,
            tasks={str(task): of for task, of in looked_at.draws.items()},
            kind="auxiliary",
            patterns={str(task): number for task, number in looked_at.patterns.items()},
        )
        passes.append(looked_at.objective.passes)
        for each in gradients:
            found.setdefault(each.name, []).append(each)
    assert len(found) == 9 and passes[0] < sum(passes[1:])
    for together, alone in found.values():
        np.testing.assert_allclose(together.whole, alone.whole, rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(together.losses, alone.losses, rtol=1e-5)


def test_the_report_says_what_was_made(study: Study) -> None:
    report = make_report(record_of(study.workspace, "tiny")).markdown()
    rows = int((FormatRows(study).artifact.table("texts")["format"] == "sentence_pair").sum())
    assert f"Made of the texts: {rows} rows of sentence_pair." in report
    assert "6 cluster_classes, " in report


def test_formats_read_no_label(world: Path, tmp_path: Path) -> None:
    """With labels taken away, tasks without the format `labels` are the same."""
    parts = []
    for with_labels in (True, False):
        folder = tmp_path / str(with_labels)
        folder.mkdir()
        config = config_of(world, folder, FORMATS[1:])
        if not with_labels:
            file = Path(str(config.texts.file))
            frame = pd.read_json(file, lines=True).drop(columns="label")
            frame.to_json(file, orient="records", lines=True)
            tree = config.model_dump(mode="json", exclude_none=True)
            tree["texts"]["columns"].pop("label")
            config = parse(StudyConfig, tree, "test")
        parts.append(Study(config, folder / "workspace").auxiliary_tasks("kmeans").table("tasks"))
    pd.testing.assert_frame_equal(parts[0], parts[1])


def test_a_labelled_set_of_its_own_is_one_task(world: Path, tmp_path: Path) -> None:
    own = {
        "format": "labels",
        "name": "questions",
        "labels": {kind: kind for kind in tiny.QUESTIONS},
        "template": "{text} Type :",
        "texts": {"file": str(write_questions(tmp_path)), "columns": {"text": "text", "label": "kind"}},
    }
    study = Study(config_of(world, tmp_path, [FORMATS[0], own]), tmp_path / "workspace")
    tasks = study.auxiliary_tasks("kmeans")
    names = [name for name in tasks.summary["names"].values() if not name.startswith("labels")]
    assert names == ["questions"] and tasks.summary["task_classes"][-1] == list(tiny.QUESTIONS)
    assert study.prompt("MetaPT").summary["outer_steps"] == 3
    there = FormatRows(study).artifact.table("texts")
    assert (there[there["format"] == "questions"]["document"] == -1).all()


def test_pair_tasks_meet_pair_pretraining(world: Path, tmp_path: Path) -> None:
    config = config_of(world, tmp_path, FORMATS[2:])
    tasks = {"evaluation": {**config.evaluation.model_dump(mode="json"), "tasks": [str(world / "same.yaml")]}}
    tree = config.model_dump(mode="json", exclude_none=True) | tasks
    study = Study(parse(StudyConfig, tree, "test"), tmp_path / "workspace")
    assert study.fewshot("MetaPT", "same").table("results")["accuracy"].between(0, 1).all()


def test_a_sentence_that_is_a_test_row_is_in_no_made_row(world: Path, tmp_path: Path) -> None:
    """Rows of two words: too short for the texts that hold them to be dropped."""
    short = tmp_path / "short.jsonl"
    rows = [{"text": f"w{n // 2} {('awful', 'great')[n % 2]}", "label": n % 2} for n in range(60)]
    short.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    task = yaml.safe_load((world / "mood.yaml").read_text("utf-8"))
    task |= {"name": "short", "data": {"file": str(short), "columns": {"text": "text", "label": "label"}}}
    (tmp_path / "short.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
    config = config_of(world, tmp_path, FORMATS[2:])
    file = Path(str(config.texts.file))
    frame = pd.read_json(file, lines=True)
    frame["text"] = [f"{text} {rows[n % 60]['text']}." for n, text in enumerate(frame["text"])]
    frame.to_json(file, orient="records", lines=True)
    changed = {"evaluation": {**config.evaluation.model_dump(mode="json"), "tasks": [str(tmp_path / "short.yaml")]}}
    config = parse(StudyConfig, config.model_dump(mode="json", exclude_none=True) | changed, "test")
    study = Study(config, tmp_path / "workspace")
    made = study.make(FormatRows(study))
    held = {normalise(text) for text in study.split("short").table("rows").query("split != 'train'")["text"]}
    table = made.table("texts").query("format != ''")
    assert len(table) and not held & {normalise(text) for text in [*table["text"], *table["text_pair"]]}
    assert made.summary["formats"]["sentence_pair"]["repeat_dev_or_test"] > 0


def test_a_downstream_tasks_own_data_are_refused(world: Path, tmp_path: Path) -> None:
    own = {
        "format": "labels",
        "name": "leak",
        "labels": {"a": {"value": "0", "word": "bad"}, "b": {"value": "1", "word": "good"}},
        "texts": {"file": str(world / "mood.jsonl"), "columns": {"text": "text", "label": "label"}},
    }
    study = Study(config_of(world, tmp_path, [FORMATS[0], own]), tmp_path / "workspace")
    with pytest.raises(UserError, match="'leak': its texts are the data of the downstream task 'mood'"):
        study.auxiliary_tasks("kmeans")


def test_options_are_rows_with_letters(world: Path, tmp_path: Path) -> None:
    entries = [
        {**FORMATS[2], "name": "choice", "unified": True},
        {"format": "selection", "min_words": 2, "options": 2},
        {**FORMATS[0], "name": "moods", "unified": True},
    ]
    study = Study(config_of(world, tmp_path, entries), tmp_path / "workspace")
    rows = study.make(FormatRows(study)).table("texts")
    by_format = {name: part for name, part in rows.groupby("format") if name}
    assert set(by_format["choice"]["label"]) == set("ABC") and set(by_format["selection"]["label"]) == set("AB")
    mood = by_format["moods"].iloc[0]
    options = dict(line.split(". ", 1) for line in mood["text_pair"].splitlines())
    assert options[mood["label"]] == study.texts().table("texts")["label"][mood["document"]]
    # How much a model reads decides what rows with options show, and nothing else.
    longer = study.config.model_copy(update={"model": study.config.model.model_copy(update={"max_text_tokens": 17})})
    assert FormatRows(Study(longer, tmp_path)).config() != FormatRows(study).config()
    plain = [Study(config_of(world, tmp_path, FORMATS, model=each.model), tmp_path) for each in (study.config, longer)]
    assert FormatRows(plain[0]).config() == FormatRows(plain[1]).config()


@pytest.mark.parametrize(
    ("formats", "changes", "said"),
    [
        ([], {}, "the list is empty"),
        ([FORMATS[2], FORMATS[2]], {}, "two entries are called 'sentence_pair'"),
        ([{"format": "sentences"}], {}, "there is no format 'sentences'"),
        ([{**FORMATS[1], "clustering": "kmean"}], {}, "no clustering 'kmean'"),
        ([{"format": "cluster_classes"}], {"methods": [{"name": "PPT", "kind": "ppt"}]}, "'PPT' needs `clustering`"),
        ([{**FORMATS[0], "softness": 0.1}, FORMATS[2]], {}, "`softness` and `n_tasks` go with one kind"),
        ([FORMATS[2]], {"labelling": {"by": "zero_shot"}}, "of which there is none"),
        ([{**FORMATS[2], "words": {"adjacent": "a"}}], {}, "a word of its own to each of"),
        ([{**FORMATS[2], "options": 4}], {}, "`options` belongs to selection"),
        ([{"format": "cluster_classes", "unified": True, "classes": 9}], {}, "`unified` goes with 8 classes"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    world: Path, tmp_path: Path, formats: list[dict[str, Any]], changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        config_of(world, tmp_path, formats, **changes)
