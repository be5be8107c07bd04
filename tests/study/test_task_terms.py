"""Number of examples and length of texts of one task: read, told apart in ids, run, and shown."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import tiny
import yaml

from metapt_explore.config import EvaluationConfig, StudyConfig, load_study, load_task, parse, to_yaml
from metapt_explore.errors import UserError
from metapt_explore.results.record import record_of
from metapt_explore.results.tables import efficiency_table, results_table
from metapt_explore.study.overview import asked_scores, finished_scores
from metapt_explore.study.study import Study


def evaluation(**settings: Any) -> EvaluationConfig:
    return parse(EvaluationConfig, settings, "evaluation")


def with_entries(world: Path, tasks: list[Any], **changes: Any) -> dict[str, Any]:
    tree = tiny.study_tree(world, methods=[{"name": "PT", "kind": "pt"}], clusterings=[])
    tree["evaluation"] |= {"tasks": tasks, **changes}
    return tree


def test_entries_are_read_and_written_back(world: Path) -> None:
    entries = [str(world / "question.yaml"), {"task": str(world / "mood.yaml"), "shots": "all", "dev_share": 0.5}]
    study = load_study(with_entries(world, entries))
    assert study.evaluation.tasks == [str(world / "question.yaml"), str(world / "mood.yaml")]
    assert [terms.shots for terms in study.evaluation.task_terms] == ["all"]
    assert load_study(yaml.safe_load(to_yaml(study))) == study
    assert load_study(yaml.safe_load(to_yaml(study, brief=True))) == study
    # Names alone mean what they meant, and nothing more is written.
    plain = load_study(with_entries(world, [str(world / "mood.yaml")]))
    assert "task_terms" not in to_yaml(plain)
    assert plain == load_study(with_entries(world, [{"task": str(world / "mood.yaml")}]))


def test_all_for_every_task() -> None:
    every = evaluation(tasks=["trec", {"task": "imdb", "shots": 4}, {"task": "satire", "max_tokens": 9}], shots="all")
    assert [(terms.task, terms.shots, terms.max_tokens) for terms in every.task_terms] == [
        ("trec", "all", None),
        ("imdb", 4, None),
        ("satire", "all", 9),
    ]
    assert len(evaluation(tasks="starter", shots="all").task_terms) == 7


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tasks": [{"task": "trec", "shot": 3}]}, "shots"),
        ({"tasks": [{"task": "trec", "shots": "some"}]}, "all"),
        ({"tasks": [{"task": "trec", "shots": 0}]}, "greater than or equal to 1"),
        ({"tasks": [{"task": "trec", "shots": 4, "dev_share": 0.5}]}, "goes with `shots: all`"),
        ({"tasks": [{"task": "trec", "dev_share": 0.5}]}, "give `shots` or `max_tokens`"),
        ({"tasks": ["trec"], "task_terms": [{"task": "trek", "shots": 4}]}, "no task 'trek'"),
        ({"tasks": ["trec"], "shots": "all", "more_shots": [2]}, "none is scored at another number"),
        ({"tasks": ["trec"], "shots": "all", "task_terms": [{"shots": "all"}]}, "names its `task`"),
        ({"tasks": ["trec"], "shots": "all", "task_terms": ["x"]}, "names its `task`"),
        ({"tasks": [{"task": ["a"], "shots": 4}]}, "is the name of a packaged task"),
    ],
)
def test_wrong_entries_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        evaluation(**settings)


def test_a_task_file_is_told_where_they_belong(world: Path, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    tree = yaml.safe_load((world / "mood.yaml").read_text(encoding="utf-8"))
    file.write_text(yaml.safe_dump({**tree, "shots": "all"}), encoding="utf-8")
    with pytest.raises(UserError, match=r"own\.yaml, shots: all"):
        load_task(file)


def test_own_shots_are_the_same_question_as_the_study_s(world: Path, tmp_path: Path) -> None:
    mood, question = str(world / "mood.yaml"), str(world / "question.yaml")
    three = Study(with_entries(world, [mood], shots=3), tmp_path)
    four = Study(with_entries(world, [{"task": mood, "shots": 3}, question]), tmp_path)
    usual = Study(with_entries(world, [mood, question]), tmp_path)

    def ids(study: Study, task: str) -> list[str]:
        return [question.id for question in (stage.question for stage in _stages(study, task))]

    assert ids(three, "mood") == ids(four, "mood") != ids(usual, "mood")
    assert ids(four, "question") == ids(usual, "question")


def _stages(study: Study, task: str) -> list[Any]:
    from metapt_explore.stages.fewshot import FewShot
    from metapt_explore.stages.split import Split

    return [Split(study, study.task(task)), *(s for s in FewShot.asked(study, [0]) if s.task.name == task)]


def test_a_published_set_shares_a_study(world: Path, tmp_path: Path) -> None:
    """Unequal classes, all rows, longer texts, beside a task at 4 and 2 examples a class."""
    rows = [json.loads(line) for line in (world / "mood.jsonl").read_text(encoding="utf-8").splitlines()]
    good, bad = ([row for row in rows if row["label"] == label] for label in (1, 0))
    files = {"train": good[:9] + bad[:2], "dev": good[9:12] + bad[2:5], "test": good[12:] + bad[12:]}
    for name, part in files.items():
        with (tmp_path / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, ["text", "label"])
            writer.writeheader()
            writer.writerows(part)
    columns = {"text": "text", "label": "label"}
    task = yaml.safe_load((world / "mood.yaml").read_text(encoding="utf-8"))
    task = {key: value for key, value in task.items() if key != "data"} | {"name": "published"}
    task["splits"] = {name: {"file": f"{name}.csv", "columns": columns} for name in files}
    (tmp_path / "published.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
    own = {"task": str(tmp_path / "published.yaml"), "shots": "all", "max_tokens": 5}
    baselines = [{"name": kind, "kind": kind} for kind in ("tfidf", "linear_probe")]
    tree = with_entries(world, [own, str(world / "question.yaml")], more_shots=[2], data_seeds=[1])
    study = Study({**tree, "baselines": baselines}, tmp_path / "workspace")
    study.run()

    workspace = study.workspace
    split = study.split("published").table("rows")
    counts = Counter(zip(split["split"], split["label"], strict=True))
    assert (counts["train", "positive"], counts["train", "negative"]) == (9, 2)
    assert study.fewshot("PT", "published").stage["inputs"]["max_text_tokens"] == 5
    assert study.fewshot("PT", "question").stage["inputs"]["max_text_tokens"] == 16
    results = results_table(workspace, "tiny")
    assert Counter(results["task"]) == {"published": 3, "question": 3}
    # The curve over K holds the task that has one; nothing was computed for the other at 2.
    assert set(efficiency_table(workspace, "tiny")["task"]) == {"question"}
    assert not [e for e in workspace.index("tiny") if e.get("shots") == 2 and e.get("task") == "published"]
    assert asked_scores(study.config) == finished_scores(workspace, study.config) == 2 * 3 + 3
    facts = {each["name"]: each for each in record_of(workspace, "tiny").tasks if each["shots"] != 2}
    assert (facts["published"]["shots"], facts["published"]["max_tokens"]) == ("all", 5)


def test_the_model_reads_as_much_of_a_text_as_the_task_says(world: Path, tmp_path: Path) -> None:
    tree = with_entries(world, [{"task": str(world / "mood.yaml"), "max_tokens": 3}])
    study = Study(tree, tmp_path)
    text = " ".join(["film"] * 30)

    def tokens_read(limit: int | None) -> int:
        return len(study.model.reading(limit).layout.tokens([text])[0])

    assert [tokens_read(limit) for limit in (3, None, 20)] == [3, 16, 20]
    assert study.backbone.config.max_text_tokens == 16
    with pytest.raises(UserError, match=r"task mood.*`max_tokens`"):
        Study(with_entries(world, [{"task": str(world / "mood.yaml"), "max_tokens": 9000}]), tmp_path).check_settings()


def test_study_config_is_unchanged_without(world: Path) -> None:
    study = parse(StudyConfig, with_entries(world, [str(world / "mood.yaml")]), "study")
    assert study.evaluation.task_terms == []
    assert study.evaluation.tasks_at_more_shots == study.evaluation.tasks
