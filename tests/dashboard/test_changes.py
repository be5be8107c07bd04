"""Studies are edited, duplicated and deleted; nothing that another study uses is lost, and never while a job works."""

from __future__ import annotations

import re

import handmade
import pytest
from typer.testing import CliRunner

from metapt_explore.cli.main import metapt
from metapt_explore.config import StudyConfig
from metapt_explore.errors import UserError
from metapt_explore.jobs import queue
from metapt_explore.jobs.changes import delete_study, duplicate_study, save_edited, what_goes
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.edit import depends_on, less_memory, with_copy, with_settings, with_title, without

NAME = handmade.NAME


def kinds(workspace: Workspace, name: str = NAME) -> list[tuple[str, str | None]]:
    return [(entry["kind"], entry.get("method")) for entry in workspace.index(name)]


def folders(workspace: Workspace) -> set[str]:
    return {path.name for path in (workspace.folder / "artifacts").iterdir()}


def grown() -> StudyConfig:
    """A derived clustering, and methods of both."""
    tree = handmade.config().model_dump(mode="json", exclude_defaults=True)
    tree["clusterings"].append({"name": "chance", "algorithm": "random_groups", "like": "kmeans"})
    tree["methods"].append({"name": "MetaPT chance", "kind": "metapt", "clustering": "chance"})
    return StudyConfig.model_validate(tree)


def test_what_depends_on_a_clustering_goes_with_it() -> None:
    study = grown()
    assert str(depends_on(study, "clusterings", "chance")) == "clustering 'chance', 'MetaPT chance'"
    everything = depends_on(study, "clusterings", "kmeans")
    assert (everything.clusterings, everything.methods) == ({"kmeans", "chance"}, {"MetaPT", "MetaPT chance"})
    assert [method.name for method in without(study, "clusterings", "kmeans").methods] == ["PT", "PPT"]
    assert without(study, "methods", "PT").method("MetaPT") == study.method("MetaPT")
    with pytest.raises(UserError, match=r"no 'kmeens' among its clusterings.*kmeans"):
        without(study, "clusterings", "kmeens")
    alone = study.model_copy(update={"methods": study.methods[:1]})
    with pytest.raises(UserError, match="both empty"):
        without(alone, "methods", "PT")


def test_copies_and_other_settings_are_checked_like_a_file() -> None:
    study, name = with_copy(grown(), "clusterings", "kmeans")
    assert name == "kmeans 2" and study.clustering("kmeans 2").n_clusters == 2
    other = with_settings(study, "clusterings", "kmeans 2", {"n_clusters": 5, "name": "ignored"})
    assert other.clustering("kmeans 2").n_clusters == 5 and other.clustering("kmeans") == study.clustering("kmeans")
    with pytest.raises(UserError, match="n_clusters"):
        with_settings(study, "clusterings", "kmeans", {"n_clusters": 1})
    assert with_title(study, " mine ").title == "mine"


def test_memory_that_no_score_depends_on_is_lowered_first() -> None:
    study = handmade.config()
    seen = []
    for _ in range(4):
        study, meaning = less_memory(study)
        seen.append((study.model.text_state_gib, study.model.pass_memory_gib, "anew" in meaning))
    assert seen == [(1.0, None, False), (0.5, None, False), (0.25, None, False), (0.25, 0.5, True)]


def test_an_edited_study_keeps_what_is_computed_of_its_other_parts(demo: Workspace) -> None:
    before = kinds(demo)
    save_edited(demo, with_title(demo.study_config(NAME), "a title"))
    assert kinds(demo) == before and demo.study_config(NAME).title == "a title"
    changed = with_settings(demo.study_config(NAME), "clusterings", "kmeans", {"n_clusters": 3})
    save_edited(demo, changed, depends_on(changed, "clusterings", "kmeans"))
    left = kinds(demo)
    assert ("prompt", "PPT") in left and ("fewshot", "PT") in left
    assert not {kind for kind, method in left if kind == "clusters" or method == "MetaPT"}
    assert len(left) == len(before) - 4  # clusters, tasks, prompt, score


def test_a_copy_of_a_study_has_all_that_is_computed(demo: Workspace) -> None:
    duplicate_study(demo, NAME, "second")
    assert kinds(demo, "second") == kinds(demo) and demo.study_config("second").name == "second"
    with pytest.raises(UserError, match="has a study 'second' already"):
        duplicate_study(demo, NAME, "second")
    with pytest.raises(UserError):
        duplicate_study(demo, NAME, "../elsewhere")
    everything = folders(demo)
    goes = what_goes(demo, "second")
    assert not goes.artifacts and len(goes.shared) == len(everything) and "other studies use them" in str(goes)
    assert delete_study(demo, "second") == goes
    assert demo.study_names() == [NAME] and folders(demo) == everything


def test_deleting_a_study_leaves_what_others_use(demo: Workspace) -> None:
    duplicate_study(demo, NAME, "second")
    config = without(demo.study_config(NAME), "methods", "MetaPT")
    save_edited(demo, config, depends_on(demo.study_config(NAME), "methods", "MetaPT"))
    goes = delete_study(demo, "second")
    metapt = handmade.METHODS.index("MetaPT")
    assert set(goes.artifacts) == {f"prompt-{metapt:016d}", f"fewshot-{metapt:016d}"} and goes.bytes > 0
    assert not set(goes.artifacts) & folders(demo) and set(goes.shared) <= folders(demo)
    delete_study(demo, NAME)
    assert not folders(demo) and not demo.study_names()
    assert not list(demo.folder.glob(".deleted-*"))


def test_a_prompt_that_another_study_starts_from_stays(demo: Workspace) -> None:
    start = next(e["id"] for e in demo.index(NAME) if e["kind"] == "prompt" and e.get("method") == "MetaPT")
    tree = handmade.config().model_dump(mode="json", exclude_defaults=True)
    tree |= {"name": "further", "prompt": {"init": {"artifact": start[:14]}}}
    demo.save_study(StudyConfig.model_validate(tree))
    goes = delete_study(demo, NAME)
    assert start in goes.shared and start in folders(demo)


def test_nothing_is_changed_while_a_job_works(demo: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "ensure_workers", lambda workspace: 0)
    duplicate_study(demo, NAME, "second")
    save_edited(demo, without(demo.study_config("second"), "methods", "PPT"))
    queue.enqueue(demo, demo.study_config("second"))
    refused = re.escape("A job of 'second' runs or waits")
    with pytest.raises(UserError, match=refused):
        save_edited(demo, demo.study_config("second"))
    with pytest.raises(UserError, match=refused):
        delete_study(demo, "second")
    everything = folders(demo)
    assert not delete_study(demo, NAME).artifacts and folders(demo) == everything, "another study's job may use them"
    with pytest.raises(UserError, match="has no study 'demo'"):
        delete_study(demo, NAME)


def test_the_commands_ask_before_they_delete(demo: Workspace) -> None:
    runner, folder = CliRunner(), ["--workspace", str(demo.folder)]
    assert runner.invoke(metapt, ["duplicate", NAME, "second", *folder]).exit_code == 0
    asked = runner.invoke(metapt, ["delete", "second", *folder], input="n\n")
    assert asked.exit_code == 1 and "other studies use them" in asked.output and "second" in demo.study_names()
    assert runner.invoke(metapt, ["delete", "second", "--yes", *folder]).exit_code == 0
    assert demo.study_names() == [NAME]
    outside = runner.invoke(metapt, ["delete", f"../studies/{NAME}", "--yes", *folder])
    assert isinstance(outside.exception, UserError) and demo.study_names() == [NAME]
