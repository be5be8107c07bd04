"""Configuration: what is refused, and in what words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny
import yaml

from metapt_explore.config import (
    EXAMPLES,
    EvaluationConfig,
    InitConfig,
    StudyConfig,
    load_study,
    load_task,
    packaged_tasks,
    parse,
    to_yaml,
)
from metapt_explore.errors import UserError
from metapt_explore.seeds import derived_seed, stream

WORLD = Path("/nowhere")


def refused(match: str, **changes: Any) -> None:
    with pytest.raises(UserError, match=match):
        parse(StudyConfig, tiny.study_tree(WORLD, **changes), "study.yaml")


@pytest.mark.parametrize("name", sorted(file.stem for file in EXAMPLES.glob("*.yaml")))
def test_examples_are_valid_and_survive_a_round_trip(name: str, tmp_path: Path) -> None:
    config = load_study(name)
    (tmp_path / "copy.yaml").write_text(to_yaml(config), encoding="utf-8")
    assert load_study(tmp_path / "copy.yaml") == config
    for task in config.evaluation.tasks:
        assert load_task(task).name == task


@pytest.mark.parametrize("name", packaged_tasks())
def test_packaged_tasks_are_valid(name: str) -> None:
    task = load_task(name)
    assert task.name == name and task.title and task.source_note
    assert all(" " not in label.word for label in task.labels.values())


def test_a_null_that_means_something_survives(tmp_path: Path) -> None:
    """`test_rows: null` is all rows; leaving it out would be 400."""
    config = parse(StudyConfig, tiny.study_tree(WORLD, evaluation={"test_rows": None}), "study.yaml")
    (tmp_path / "copy.yaml").write_text(to_yaml(config), encoding="utf-8")
    assert load_study(tmp_path / "copy.yaml") == config
    assert load_study(tmp_path / "copy.yaml").evaluation.test_rows is None


def test_model_folders_are_relative_to_the_yaml_file(tmp_path: Path) -> None:
    (tmp_path / "lm").mkdir()
    (tmp_path / "lm" / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "study.yaml").write_text(
        yaml.safe_dump(tiny.study_tree(WORLD, model={"name": "./lm"})), encoding="utf-8"
    )
    assert load_study(tmp_path / "study.yaml").model.name == str(tmp_path / "lm")


def test_unknown_keys_name_the_nearest() -> None:
    refused(r"unknown key 'modell'. Did you mean 'model'\?", modell="x")
    refused(r"unknown key 'pretraining.inner_rl'. Did you mean 'inner_lr'\?", pretraining={"inner_rl": 1})
    clusterings = [{"name": "a", "algorithm": "kmeans", "n_cluster": 3}]
    refused(r"unknown key 'clusterings.0.n_cluster'. Did you mean 'n_clusters'\?", clusterings=clusterings)


def test_contradictions_are_refused() -> None:
    refused(
        "no clustering 'kmean'. Did you mean 'kmeans'", methods=[{"name": "M", "kind": "metapt", "clustering": "kmean"}]
    )
    refused("a metapt method needs `clustering`", methods=[{"name": "M", "kind": "metapt"}])
    refused("method 'A' stands twice", methods=[{"name": "A", "kind": "pt"}, {"name": "A", "kind": "ppt"}])
    refused("not a clustering listed before", clusterings=[{"name": "r", "algorithm": "random_groups", "like": "r"}])
    refused(
        "`like` belongs to edited and random_groups, not to kmeans",
        clusterings=[{"name": "k", "algorithm": "kmeans", "like": "x"}],
    )
    exact = {"name": "M", "kind": "metapt", "clustering": "kmeans", "order": "exact"}
    refused("steps of Adam are first order", methods=[exact], pretraining={"inner_optimiser": "adam"})
    refused("steps of Adam are first order", methods=[{**exact, "inner_optimiser": "adam"}])
    refused("exactly one of starter, file and hub", texts={"starter": "vader"})
    refused("a value stands twice", evaluation={"data_seeds": [1, 1]})
    refused("learning_rates.0: Input should be greater than 0", evaluation={"learning_rates": [-1]})
    labels = {"template": "no place", "labels": {"a": "x", "b": "y"}}
    refused(r"\{text\} exactly once", auxiliary_tasks=labels)
    refused("have the same word 'good'", auxiliary_tasks={"labels": {"a": "good", "b": {"value": "1", "word": "good"}}})


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "task.yaml").write_text("name: x", encoding="utf-8")
    with pytest.raises(UserError, match=r"mood\.yaml cannot be read: Not a directory"):
        load_task(tmp_path / "task.yaml" / "mood.yaml")
    with pytest.raises(UserError, match=r"There is no file .*missing\.yaml"):
        load_study(tmp_path / "missing.yaml")
    with pytest.raises(UserError, match=r"no file or packaged example 'tuor'\. Did you mean 'tour'"):
        load_study("tuor")
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [1, 2\nseed: 3", encoding="utf-8")
    with pytest.raises(UserError, match=r"not valid YAML.*line"):
        load_study(broken)
    broken.write_text("just words", encoding="utf-8")
    with pytest.raises(UserError, match="expected a mapping"):
        load_study(broken)
    with pytest.raises(UserError, match=r"no packaged task 'trek'\. Did you mean 'trec'"):
        load_task("trek")


def test_files_are_relative_to_the_yaml_file(tmp_path: Path) -> None:
    tree = tiny.study_tree(tmp_path)
    tree["texts"]["file"] = "data/texts.csv"
    tree["evaluation"]["tasks"] = ["tasks/mood.yaml"]
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    config = load_study(tmp_path / "study.yaml")
    assert config.texts.file == str(tmp_path / "data" / "texts.csv")
    assert config.evaluation.tasks == [str(tmp_path / "tasks" / "mood.yaml")]


STARTS = [
    "random",
    "vocabulary",
    "labels",
    {"text": "Is this review good or bad?"},
    {"file": "/data/my.safetensors"},
    {"file": "/data/my.safetensors", "tensor": "mine"},
    {"peft": "somebody/adapter"},
    {"hub": "somebody/prompt"},
    {"hub": "somebody/prompt", "revision": "v1"},
    {"artifact": "3fa9c2"},
]


@pytest.mark.parametrize("start", STARTS, ids=str)
def test_starts_survive_a_round_trip_as_they_were_written(start: Any, tmp_path: Path) -> None:
    methods = [{"name": "PT", "kind": "pt", "init": start}]
    config = parse(StudyConfig, tiny.study_tree(WORLD, prompt={"init": start}, methods=methods), "study.yaml")
    written = yaml.safe_load(to_yaml(config))
    assert written["prompt"]["init"] == written["methods"][0]["init"] == start
    (tmp_path / "copy.yaml").write_text(to_yaml(config), encoding="utf-8")
    assert load_study(tmp_path / "copy.yaml") == config
    assert config.prompt.init == InitConfig.model_validate(start) == config.methods[0].init


def test_a_study_without_a_start_samples_the_vocabulary() -> None:
    config = parse(StudyConfig, tiny.study_tree(WORLD), "study.yaml")
    assert config.prompt.init == InitConfig(kind="vocabulary")
    assert yaml.safe_load(to_yaml(config))["prompt"]["init"] == "vocabulary"


def test_starts_that_are_refused() -> None:
    def start(match: str, value: Any) -> None:
        refused(r"study\.yaml: prompt\.init(\.\w+)?: " + match, prompt={"init": value})

    start(r"there is no init 'vocab'\. Did you mean 'vocabulary'\?.*text, vocabulary\.$", "vocab")
    start(r"unknown key 'fiel'\. Did you mean 'file'\?", {"fiel": "x.safetensors"})
    start(r"give exactly one of text, file, peft, hub and artifact \(found text and peft\)", {"text": "a", "peft": "b"})
    start(r"give exactly one of .*\(found none of them\)", {"tensor": "prompt"})
    start("`tensor` belongs to file, not to text", {"text": "a", "tensor": "prompt"})
    start("`revision` belongs to hub, not to text", {"text": "a", "revision": "v1"})
    start("'file' needs to be told which: write `init: {file: ...}`", "file")
    start("'labels' has no settings: write `init: labels`", {"labels": True})
    start("'random' has no settings .found text.", {"kind": "random", "text": "a"})
    start("is blank", {"text": "  "})
    start("YAML reads this id as a number: put it in quotes", {"artifact": 123456})
    start("give a name .random, vocabulary, labels, demonstrations. or a mapping", ["random"])
    refused("`init` belongs to pt", methods=[{"name": "P", "kind": "ppt", "init": {"text": "a"}}])


def test_starts_are_relative_to_the_yaml_file(tmp_path: Path) -> None:
    """A `peft` that is no folder there may be a hub name and stays as it is."""
    (tmp_path / "adapters" / "mine").mkdir(parents=True)
    methods = [
        {"name": "A", "kind": "pt", "init": {"peft": "adapters/mine"}},
        {"name": "B", "kind": "pt", "init": {"peft": "somebody/adapter"}},
    ]
    tree = tiny.study_tree(WORLD, prompt={"init": {"file": "my.safetensors"}}, methods=methods)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    config = load_study(tmp_path / "study.yaml")
    assert config.prompt.init.file == str(tmp_path / "my.safetensors")
    adapters = [method.init.peft for method in config.methods if method.init is not None]
    assert adapters == [str(tmp_path / "adapters" / "mine"), "somebody/adapter"]


def test_scored_steps_hold_the_start_and_the_end() -> None:
    config = load_study("tour").evaluation
    assert config.model_copy(update={"curve_steps": [2, 99], "steps": 7}).scored_steps == [0, 2, 7]


def test_streams_are_named_and_fixed() -> None:
    """A pinned value: a changed derivation would silently change every study."""
    assert derived_seed(0, "episodes", 1) == derived_seed(0, "episodes", 1)
    assert derived_seed(0, "episodes", 1) != derived_seed(0, "episodes", 2) != derived_seed(1, "episodes", 2)
    assert derived_seed(0, "texts") == 9186373470490520525
    assert stream(3, "a").integers(0, 100, 5).tolist() == stream(3, "a").integers(0, 100, 5).tolist()


@pytest.mark.parametrize("name", ["tour", "tour_small"])
def test_the_tour_shows_the_recommended_recipe(name: str) -> None:
    """It reads PPT's prompts, so that it costs no pre-training and no tuning of its own."""
    *_, ppt, _, recommended = load_study(name).methods
    assert recommended.verbalizer is not None and recommended.verbalizer.has_probe
    assert recommended.model_copy(update={"name": ppt.name, "verbalizer": None}) == ppt


@pytest.mark.parametrize("name", ["tour", "tour_small", "tour_minilm", "unlabelled"])
def test_a_brief_study_is_the_same_study(name: str, tmp_path: Path) -> None:
    config = load_study(name)
    (tmp_path / "brief.yaml").write_text(to_yaml(config, brief=True), encoding="utf-8")
    assert load_study(tmp_path / "brief.yaml") == config
    assert len(to_yaml(config, brief=True)) < 0.6 * len(to_yaml(config))


def test_learning_rates_by_default_are_halved_within_reach(tmp_path: Path) -> None:
    """A brief study keeps the rates: without them it would be halved where the study was not."""

    def halving(**given: Any) -> list[int]:
        return EvaluationConfig(tasks=["trec"], **given).halving_steps

    assert (halving(), halving(steps=10), halving(steps=3)) == ([5, 10], [5], [])
    assert halving(learning_rates=[0.1]) == [] and halving(halving_steps=[2]) == [2]
    for changes in ({}, {"halving_steps": []}, {"steps": 8}, {"learning_rates": [0.1]}):
        config = load_study("tour")
        evaluation = EvaluationConfig(tasks=["trec"], **changes)  # type: ignore[arg-type]
        for brief in (True, False):
            (tmp_path / "study.yaml").write_text(
                to_yaml(config.model_copy(update={"evaluation": evaluation}), brief=brief),
                encoding="utf-8",
            )
            assert load_study(tmp_path / "study.yaml").evaluation == evaluation


def test_a_class_may_be_called_file_and_a_path_may_begin_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    labels = {"file": "document", "peft": {"word": "adapter"}}
    task = {"name": "kinds", "labels": labels, "data": {"file": "~/rows.csv", "columns": {"label": "label"}}}
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "kinds.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
    found = load_task(tmp_path / "home" / "kinds.yaml")
    assert [label.words for label in found.labels.values()] == [["document"], ["adapter"]]
    assert found.data is not None and found.data.file == str(tmp_path / "home" / "rows.csv")
    tree = tiny.study_tree(WORLD, evaluation={"tasks": ["~/kinds.yaml"]}, auxiliary_tasks={"labels": labels})
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    study = load_study(tmp_path / "study.yaml")
    assert study.evaluation.tasks == [str(tmp_path / "home" / "kinds.yaml")]
    assert study.auxiliary_tasks.labels["file"].words == ["document"]
