"""What lies behind a study changes while its own file stays the same: task files, data, the cost of a run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import tiny
import yaml

from metapt_explore.config import MethodConfig, StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.jobs import queue
from metapt_explore.results.tables import curves_table, results_table
from metapt_explore.storage.files import read_json, write_json
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study import preview as preview_module
from metapt_explore.study.job_file import working_on
from metapt_explore.study.preview import read_cost
from metapt_explore.study.study import Study


@pytest.fixture
def own(world: Path, finished: Path, tmp_path: Path) -> Study:
    """A finished study whose files may be changed; it lists one method less than a run makes, to be quick."""
    folder = Path(shutil.copytree(world, tmp_path / "world"))
    tree = tiny.study_tree(folder, methods=[{"name": "PT", "kind": "pt"}, {"name": "PPT", "kind": "ppt"}])
    study = Study(parse(StudyConfig, tree, "test"), Workspace(tmp_path / "workspace"))
    study.run()
    return study


def again(study: Study) -> Study:
    return Study(study.config, study.workspace)


def change_task(study: Study, **changes: object) -> None:
    file = Path(study.config.evaluation.tasks[0])
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


def test_a_changed_task_file_begins_a_new_table(own: Study) -> None:
    """study.yaml names the task file only, so it is the same before and after."""
    cells = own.results()
    assert set(cells["task"]) == {"mood", "question"}
    change_task(own, template="{text} Mood :")
    changed = again(own)
    changed.fewshot("PT", "mood")
    table = results_table(own.workspace, "tiny")
    assert set(zip(table["method"], table["task"], strict=True)) == {("PT", "mood")}
    assert not set(table["artifact"]) & set(cells.loc[cells["task"] == "mood", "artifact"])
    # The other task is found again, not computed again.
    assert set(changed.run().query("task == 'question'")["artifact"]) == set(
        cells.query("task == 'question'")["artifact"]
    )
    assert again(own).run().equals(changed.results())


def test_a_task_file_that_changes_under_a_running_study_is_refused(own: Study) -> None:
    change_task(own, template="{text} Mood :")
    with working_on(own.workspace, "tiny"), pytest.raises(UserError, match="with other settings is running"):
        again(own).fewshot("PT", "mood")


def test_a_study_without_a_hash_keeps_its_answers(own: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """As studies of earlier versions have none, and those that a page has just started."""
    (own.workspace.study_folder("tiny") / "tasks.json").unlink()
    cells = own.results()
    again(own).split("mood")
    assert own.results().equals(cells)
    assert set(read_json(own.workspace.study_folder("tiny") / "tasks.json")) == {"mood", "question"}
    monkeypatch.setattr(queue, "ensure_workers", lambda workspace: 0)
    assert queue.enqueue(own.workspace, own.config)
    assert own.results().equals(cells)


def test_cells_of_old_data_are_not_in_the_table(own: Study) -> None:
    """A task's rows change: its cells leave the table as soon as the new split is there, and come back one by one."""
    before = own.results()
    file = Path(own.config.evaluation.tasks[0]).parent / "mood.jsonl"
    file.write_text("".join(reversed(file.read_text(encoding="utf-8").splitlines(keepends=True))), encoding="utf-8")
    changed = again(own)
    changed.split("mood")
    assert set(changed.results()["task"]) == {"question"} == set(curves_table(own.workspace, "tiny")["task"])
    changed.fewshot("PT", "mood")
    table = changed.results()
    assert set(table.query("task == 'mood'")["method"]) == {"PT"}
    # New splits are another question for the texts, and so for PPT's prompt; PT's has nothing to do with them.
    changed.texts()
    assert set(changed.results()["method"]) == {"PT"}
    assert len(changed.run()) == len(before)


def test_of_two_answers_to_one_question_the_newest_counts(own: Study) -> None:
    """As a list repaired by hand may hold them."""
    file = own.workspace.study_folder("tiny") / "index.json"
    index = read_json(file)
    old = next(entry for entry in index if entry["kind"] == "fewshot")
    cells = own.results()
    write_json(file, [{**old, "id": "fewshot-0000000000000000"}, *index])
    assert sorted(own.results()["artifact"]) == sorted(cells["artifact"])


def test_the_cost_of_another_run_is_not_shown(own: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    file = own.workspace.study_folder("tiny") / "cost.json"
    old = {"stages": {}, "seconds": 1e6, "peak_mib": 1.0, "device": "cpu", "dtype": "float32", "spent": 0.0}
    write_json(file, old)
    monkeypatch.setattr(preview_module, "WORTH_TOKENS", 10**12)
    again(own).run()
    assert read_cost(own.workspace, "tiny") is None, "too short to be worth predicting"
    write_json(file, old)
    changed = own.config.model_copy(update={"title": "another"})
    own.workspace.save_study(changed)
    assert read_cost(own.workspace, "tiny") is None


def test_what_pages_added_is_kept_when_an_example_is_started_again(own: Study) -> None:
    workspace, small = own.workspace, own.config
    grown = small.model_copy(
        update={"methods": [*small.methods, MethodConfig(name="labels", kind="pt", init="labels")]}
    )
    assert workspace.extension_of(small) == small
    workspace.save_study(grown)
    assert workspace.extension_of(small) == grown
    other = small.model_copy(update={"seed": 99})
    assert workspace.extension_of(other) == other
    assert workspace.extension_of(small.model_copy(update={"name": "unheard-of"})).name == "unheard-of"
    # Who writes another study in its place finds the old one beside it.
    workspace.save_study(other)
    kept = workspace.study_folder(small.name) / "study.before-1.yaml"
    assert parse(StudyConfig, yaml.safe_load(kept.read_text(encoding="utf-8")), "kept") == grown


def test_a_job_says_how_much_was_asked_for(own: Study) -> None:
    with working_on(own.workspace, "tiny", until="clusters", init_seeds=[0]):
        pass
    state = read_json(own.workspace.study_folder("tiny") / "job.json")
    assert (state["status"], state["until"], state["init_seeds"]) == ("done", "clusters", [0])


def test_a_method_taken_out_of_the_workspaces_own_file_leaves_its_tables(own: Study) -> None:
    file = own.workspace.study_folder("tiny") / "study.yaml"
    whole = file.read_text(encoding="utf-8")
    tree = yaml.safe_load(whole)
    assert tree["methods"].pop()["name"] == "PPT"
    file.write_text(yaml.safe_dump(tree), encoding="utf-8")
    assert set(Study(own.workspace.study_config("tiny"), own.workspace).run()["method"]) == {"PT"}
    # Asked for again it is found, not computed.
    artifacts = own.workspace.folder / "artifacts"
    before = sorted(path.name for path in artifacts.iterdir())
    file.write_text(whole, encoding="utf-8")
    assert set(Study(own.workspace.study_config("tiny"), own.workspace).run()["method"]) == {"PT", "PPT"}
    assert sorted(path.name for path in artifacts.iterdir()) == before
