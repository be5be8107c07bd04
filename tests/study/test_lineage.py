"""From a score to its texts: draws are those of the pre-training itself, gaps are said."""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tiny

from metapt_explore.cli.main import main
from metapt_explore.config import StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.models.gradients import Batch, PromptObjective
from metapt_explore.results.find_lineage import lineage
from metapt_explore.results.lineage import TEXT_COLUMNS, Lineage
from metapt_explore.storage.files import read_json
from metapt_explore.storage.stage_file import write_stage
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study


def find(workspace: Path, method: str = "MetaPT", data_seed: int = 1, init_seed: int = 0, **more: Any) -> Lineage:
    return lineage(Workspace(workspace), "tiny", method, "mood", data_seed=data_seed, init_seed=init_seed, **more)


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "workspace"))


class Spy:
    """Token ids of all rows that go forward and backward, as the engine itself sees them, a list a call."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[Counter[tuple[int, ...]]] = []
        real = PromptObjective.losses_and_gradients

        def watched(objective: PromptObjective, prompts: Any, batch: Batch) -> Any:
            self.calls.append(Counter(tuple(objective.bank.token_ids[row]) for row in batch.rows))
            return real(objective, prompts, batch)

        monkeypatch.setattr(PromptObjective, "losses_and_gradients", watched)


def counted(texts: pd.DataFrame, column: str) -> Counter[tuple[int, ...]]:
    """The same out of a lineage: how often each text, as tokens, was drawn."""
    words = tiny.tokenizer()
    found: Counter[tuple[int, ...]] = Counter()
    for text, times in zip(texts["text"], texts[column], strict=True):
        found[tuple(words(text, add_special_tokens=False)["input_ids"][:16])] += int(times)
    return +found


EXACT = {"order": "exact", "inner_steps": 2}


@pytest.mark.parametrize(
    ("learner", "budget"),
    [({}, "rows"), ({"learner": "reptile", "inner_steps": 2}, "rows"), (EXACT, "rows"), (EXACT, "updates")],
    ids=str,
)
def test_draws_are_those_of_the_pretraining(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, learner: dict[str, Any], budget: str
) -> None:
    methods = [{"name": "MetaPT", "kind": "metapt", "clustering": "kmeans", **learner}]
    evaluation = {"tasks": [str(world / "mood.yaml")], "data_seeds": [1], "init_seeds": [3]}
    tree = tiny.study_tree(world, methods=methods, evaluation=evaluation, pretraining={"steps": 6, "budget": budget})
    study = Study(parse(StudyConfig, tree, "test"), tmp_path)
    spy = Spy(monkeypatch)
    study.prompt("MetaPT", 3)
    steps = study.prompt("MetaPT", 3).summary["outer_steps"]
    calls = list(spy.calls)  # tuning goes on writing to it
    study.fewshot("MetaPT", "mood", 3)
    texts = find(tmp_path, init_seed=3).texts()
    each = len(calls) // steps
    # A meta-step runs its support rows (again at each inner step; Reptile new ones), then its query rows.
    parts = 2 if "learner" in learner else 1
    support = sum((calls[step * each + part] for step in range(steps) for part in range(parts)), Counter())
    query = sum((calls[(step + 1) * each - 1] for step in range(steps)), Counter())
    assert sum(support.values()) == steps * 2 * 4 * parts
    assert counted(texts, "support") == support
    assert counted(texts, "query") == query
    assert (texts["drawn"] == texts["support"] + texts["query"]).all()


def test_draws_of_pooled_pretraining(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluation = {"tasks": [str(world / "mood.yaml")], "data_seeds": [1], "init_seeds": [0]}
    study = Study(parse(StudyConfig, tiny.study_tree(world, evaluation=evaluation), "test"), tmp_path)
    spy = Spy(monkeypatch)
    passes = study.prompt("PPT").summary["row_passes"]
    drawn = sum(spy.calls, Counter())
    study.fewshot("PPT", "mood")
    texts = find(tmp_path, "PPT").texts()
    assert counted(texts, "drawn") == drawn and sum(drawn.values()) == passes
    assert texts["support"].isna().all() and texts["query"].isna().all()


def test_the_texts_are_the_artifacts_own(world: Path, finished: Path) -> None:
    study = Study(world / "tiny.yaml", finished)
    found = find(finished)
    texts = found.texts()
    assert list(texts.columns) == TEXT_COLUMNS
    pd.testing.assert_series_equal(texts["text"], study.texts().table("texts")["text"])
    clusters = study.clusters("kmeans").table("clusters")["cluster"]
    assert texts["cluster"].tolist() == clusters.tolist()
    tasks = study.auxiliary_tasks("kmeans").table("tasks").set_index("row")
    inside = texts["auxiliary_task"].notna()
    assert inside.sum() == len(tasks)
    assert texts.loc[inside, "auxiliary_task"].tolist() == tasks.loc[texts.loc[inside, "row"], "task"].tolist()
    assert (texts.loc[~inside, "drawn"] == 0).all()
    rows = found.rows()
    assert rows["split"].value_counts().to_dict() == {"test": 20, "train": 8, "dev": 8}
    split = study.split("mood").table("rows")
    mine = split[(split["split"] == "train") & (split["data_seed"] == 1)]
    assert rows.loc[rows["split"] == "train", "text"].tolist() == mine["text"].tolist()


def test_the_tree_leads_from_the_score_to_the_source(world: Path, finished: Path) -> None:
    found = find(finished)
    kinds = [node.kind for node in found.nodes.values()]
    assert kinds[0] == "fewshot" and {"prompt", "texts", "embeddings", "clusters", "tasks", "split"} == set(kinds[1:])
    assert kinds.count("split") == 2  # that of the other task, too: texts are decontaminated against it
    assert all(node.intact and node.status == "done" for node in found.nodes.values())
    assert found.notes == []
    results = Study(world / "tiny.yaml", finished).results()
    own = results.query("method == 'MetaPT' and task == 'mood' and data_seed == 1").iloc[0]
    assert found.score is not None and found.score["accuracy"] == own["accuracy"]
    said = str(found)
    assert f"accuracy {100 * own['accuracy']:.1f} %" in said and f"step {own['step']} chosen" in said
    assert "torch" in said and "metapt run" in said
    assert f"metapt lineage tiny --method MetaPT --task mood --data-seed 1 --init-seed 0 --workspace {finished}" in said
    for identifier in found.nodes:
        assert identifier in said
    assert said.count(", 4 clusters") == 1 and "(above)" in said
    plain = json.loads(json.dumps(found.as_dict()))
    assert plain["artifacts"][0]["manifest"]["versions"]["torch"]
    assert not any(text in json.dumps(plain) for text in found.texts()["text"])


def test_pt_has_no_texts_behind_it(finished: Path) -> None:
    found = find(finished, "PT")
    assert found.texts().empty and list(found.texts().columns) == TEXT_COLUMNS
    assert found.notes == ["The prompt was not pre-trained: no pre-training text is behind it."]


def test_what_is_missing_or_unfinished_is_said(copy: Path) -> None:
    before = find(copy)
    of = {node.kind: node for node in before.nodes.values()}
    shutil.rmtree(copy / "artifacts" / of["clusters"].id)
    stage = copy / "artifacts" / of["prompt"].id / "stage.json"
    write_stage(stage.parent, {**read_json(stage), "status": "cancelled"})
    found = find(copy)
    assert any("clusters-" in note and "not in the workspace" in note for note in found.notes)
    assert any("prompt of MetaPT" in note and "cancelled" in note for note in found.notes)
    assert ", missing" in str(found) and "embeddings" not in {node.kind for node in found.nodes.values()}
    with pytest.raises(UserError, match=r"The clusters behind this score \(clusters-.*\) are missing"):
        found.texts()
    shutil.rmtree(copy / "artifacts" / of["fewshot"].id)
    gone = find(copy)
    assert gone.score is None and "no score yet (missing)" in str(gone)


def test_a_changed_stage_file_is_noticed(copy: Path) -> None:
    node = next(node for node in find(copy).nodes.values() if node.kind == "prompt")
    stage = copy / "artifacts" / node.id / "stage.json"
    tree = read_json(stage)
    tree["config"]["init_seed"] = 9
    write_stage(stage.parent, tree)
    notes = find(copy).notes
    assert any("not the hash" in note for note in notes)
    # With other seeds other tasks are drawn than the ones that pre-training wrote down.
    assert any("not what pre-training wrote down" in note for note in notes)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"data_seed": 9}, r"data seed 9; the nearest is 2 \(there are: 1, 2\)"),
        ({"init_seed": 4}, "initialisation seed 4; the nearest is 0"),
        ({"method": "MetPT"}, "Did you mean 'MetaPT'"),
        ({"shots": 3}, "no score of 'MetaPT' yet"),
    ],
)
def test_what_was_never_asked_for_is_refused(finished: Path, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        find(finished, **asked)


def test_another_task_is_named(finished: Path) -> None:
    with pytest.raises(UserError, match="Did you mean 'mood'"):
        lineage(Workspace(finished), "tiny", "MetaPT", "moods", data_seed=1, init_seed=0)


def test_the_command_writes_the_texts(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "out" / "texts.csv"
    words = ["lineage", "tiny", "--method", "MetaPT", "--task", "mood", "--texts", file, "--workspace", finished]
    monkeypatch.setattr(sys, "argv", ["metapt", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code
    out = capsys.readouterr().out
    written = pd.read_csv(file)
    assert out.startswith("MetaPT on mood, data seed 1, initialisation seed 0: accuracy ")
    assert f"{len(written):,} lines" in out and f"{(written['drawn'] > 0).sum()} of them drawn" in out
    assert list(written["text"]) == list(find(finished).texts()["text"])
