"""What a workspace must not lose: checkpoints, lists, hand edits, artifacts; and what killed processes leave in it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tampering import dead_process

from metapt_explore.cli.main import main
from metapt_explore.config import ClusterEdit, ClusteringConfig, load_study
from metapt_explore.errors import UserError
from metapt_explore.progress.state import Progress
from metapt_explore.results.tables import results_table
from metapt_explore.storage import files, integrity
from metapt_explore.storage.artifact import Question
from metapt_explore.storage.making import making
from metapt_explore.storage.stage_file import read_stage, sum_of_file
from metapt_explore.storage.study_files import copy_of
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study

STAGE = Question("prompt", "a prompt", 1, {"steps": 2})


@pytest.fixture
def own(finished: Path, tmp_path: Path) -> Workspace:
    """A copy of the finished workspace."""
    shutil.copytree(finished, tmp_path / "workspace", ignore=shutil.ignore_patterns("*.lock", ".lock"))
    return Workspace(tmp_path / "workspace")


def metapt(*words: object) -> int:
    """Exit code of a command."""
    argv, sys.argv = sys.argv, ["metapt", *map(str, words)]
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    finally:
        sys.argv = argv
    return 0


def test_leftovers_are_swept_by_a_run_and_by_verify(
    own: Workspace, world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f".half.json.{dead_process()}.1.tmp"
    in_study, elsewhere = own.study_folder("tiny") / name, own.folder / "queue" / name
    elsewhere.parent.mkdir(exist_ok=True)
    for file in (in_study, elsewhere):
        file.write_text("half", encoding="utf-8")
    Study(world / "tiny.yaml", own).run()
    assert not in_study.exists() and elsewhere.exists()
    assert metapt("verify", "-w", own.folder) == 0, "a leftover is no damage"
    assert "1 temporary file" in capsys.readouterr().out
    assert metapt("verify", "-w", own.folder, "--repair") == 0
    assert not elsewhere.exists()


# ---------------------------------------------------------------------------------------- verify


def test_verify_names_what_is_damaged_and_repair_sets_it_aside(
    own: Workspace, world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert metapt("verify", "-w", own.folder) == 0
    assert "Nothing is damaged." in capsys.readouterr().out
    table = next(own.folder.glob("artifacts/fewshot-*/results.parquet"))
    before, content = results_table(own, "tiny"), table.read_bytes()
    table.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
    index, study = (own.study_folder("tiny") / name for name in ("index.json", "study.yaml"))
    listed, asked = index.read_bytes(), study.read_bytes()
    index.write_bytes(listed[:50])
    study.write_bytes(asked.replace(b"steps: ", b"stepz: ", 1))
    assert metapt("verify", "-w", own.folder, "--json") == 1
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {record["file"] for record in told} == {
        table.relative_to(own.folder).as_posix(),
        "studies/tiny/index.json",
        "studies/tiny/study.yaml",
    }
    assert metapt("verify", "-w", own.folder) == 1
    assert "metapt verify --repair" in capsys.readouterr().out
    assert metapt("results", "-w", own.folder) == 2
    assert "metapt verify --repair" in capsys.readouterr().err
    assert metapt("verify", "-w", own.folder, "--repair") == 0
    assert (index.read_bytes(), study.read_bytes()) == (listed, asked)
    aside = own.damaged / f"{table.parent.name}-1"
    assert sorted(path.name for path in aside.iterdir()) == sorted(
        ["stage.json", *read_names(before, own, table.parent.name)]
    )
    again = Study(world / "tiny.yaml", own).run()
    assert again["accuracy"].tolist() == before["accuracy"].tolist()
    assert metapt("verify", "-w", own.folder) == 0


def read_names(before: pd.DataFrame, own: Workspace, identifier: str) -> list[str]:
    """Names of an artifact's files, from the one that was made in its place or from its list."""
    return list(json.loads((own.damaged / f"{identifier}-1" / "stage.json").read_text(encoding="utf-8"))["files"])


def test_a_run_says_what_it_set_aside(own: Workspace, world: Path) -> None:
    folder = next(own.folder.glob("artifacts/clusters-*"))
    (folder / "clusters.parquet").write_bytes(b"")
    notices: set[str] = set()
    Study(world / "tiny.yaml", own, Progress(lambda state: notices.update(state.notices))).run()
    (notice,) = [said for said in notices if "clusters.parquet" in said]
    assert "is damaged" in notice and str(own.damaged / f"{folder.name}-1") in notice


def test_verify_of_no_workspace_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert metapt("verify", "-w", tmp_path / "none") == 2
    assert "There is no workspace" in capsys.readouterr().err


# ---------------------------------------------------------------------------- lists and hand edits


def test_a_list_whose_copy_is_lost_too_is_rebuilt_by_a_run(own: Workspace, world: Path) -> None:
    index = own.study_folder("tiny") / "index.json"
    listed, before = own.index("tiny"), results_table(own, "tiny")
    index.write_bytes(index.read_bytes()[:-40])
    copy_of(index).unlink()
    with pytest.raises(UserError, match="run the study again"):
        results_table(own, "tiny")
    made = {path: path.stat().st_mtime_ns for path in own.folder.glob("artifacts/*/stage.json")}
    after = Study(world / "tiny.yaml", own).run()
    assert sorted(entry["id"] for entry in own.index("tiny")) == sorted(entry["id"] for entry in listed)
    assert sorted(after["accuracy"]) == sorted(before["accuracy"])
    assert made == {path: path.stat().st_mtime_ns for path in own.folder.glob("artifacts/*/stage.json")}


def test_hand_edits_survive_any_number_of_other_studies_of_the_name(own: Workspace, world: Path) -> None:
    plain = load_study(world / "tiny.yaml")
    kept: dict[Path, str] = {}
    for number in range(5):
        edits = [ClusterEdit(rename={0: f"by hand {number}"})]
        by_hand = ClusteringConfig(name="by hand", algorithm="edited", like="kmeans", edits=edits)
        edited = plain.model_copy(update={"clusterings": [*plain.clusterings, by_hand], "seed": number})
        own.save_study(edited)
        text = (own.study_folder("tiny") / "study.yaml").read_text(encoding="utf-8")
        before = own.save_study(plain.model_copy(update={"seed": 100 + number}))
        assert before is not None
        kept[before] = text
    assert len(kept) == 5
    assert all(file.read_text(encoding="utf-8") == text for file, text in kept.items())
    # The same study is kept once, however often it comes and goes.
    own.save_study(edited)
    assert own.save_study(plain) in kept


def test_an_edit_by_hand_counts_and_damage_does_not(own: Workspace) -> None:
    file = own.study_folder("tiny") / "study.yaml"
    whole = file.read_text(encoding="utf-8")
    file.write_text(
        whole + "title: tried by hand\n" if "title:" not in whole else whole + "# by hand\n", encoding="utf-8"
    )
    assert own.study_config("tiny").name == "tiny"
    for damaged in (whole[: len(whole) // 2], whole.replace("e", "u", 1), ""):
        file.write_text(damaged, encoding="utf-8")
        with pytest.raises(UserError, match="metapt verify --repair"):
            own.study_config("tiny")
    file.unlink()
    assert own.study_names() == ["tiny"]
    with pytest.raises(UserError, match="is missing"):
        own.study_config("tiny")


# ------------------------------------------------------------------------------- lost in mid-run


def test_what_is_deleted_while_a_study_runs_is_made_again(own: Workspace, world: Path) -> None:
    """When the last baseline or score is begun, two finished scores vanish."""
    before = results_table(own, "tiny")
    scores = sorted(own.folder.glob("artifacts/fewshot-*"))
    shutil.rmtree(scores[0])
    gone: list[Path] = []

    def delete(state: Any) -> None:
        # While the one that is missing is made again, others that were found already are deleted.
        if state.stage and state.done and not gone:
            gone.extend(folder for folder in scores[1:3])
            for folder in gone:
                shutil.rmtree(folder)

    progress = Progress(delete)
    after = Study(world / "tiny.yaml", own, progress).run()
    assert len(gone) == 2
    assert after["accuracy"].tolist() == before["accuracy"].tolist()


def test_an_artifact_that_loses_a_file_while_it_is_made_is_not_done(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"summary\.json was deleted while"), making(tmp_path, STAGE, {}) as out:
        out.write_summary({"rows": 1})
        (tmp_path / "summary.json").unlink()
    assert read_stage(tmp_path)["status"] == "failed"


def test_something_that_deletes_all_the_time_is_said(
    own: Workspace, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from metapt_explore.study import lost

    monkeypatch.setattr(lost, "_is_whole", lambda stage: "fewshot" not in stage.key)
    with pytest.raises(UserError, match="Something deletes artifacts"):
        Study(world / "tiny.yaml", own).run()


# ------------------------------------------------------------------------------------ performance


def test_a_file_is_summed_once_for_each_time_it_was_written(own: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages read the same tables again and again."""
    summed: list[str] = []
    monkeypatch.setattr(files, "SETTLED_S", -1e9)  # as if all files were written long ago
    real: Callable[[Path], dict[str, Any]] = sum_of_file
    monkeypatch.setattr(integrity, "sum_of_file", lambda file: summed.append(file.name) or real(file))
    results_table(own, "tiny")
    first = len(summed)
    results_table(own, "tiny")
    assert first > 0 and len(summed) == first
    table = next(own.folder.glob("artifacts/fewshot-*/results.parquet"))
    table.write_bytes(table.read_bytes())
    results_table(own, "tiny")
    assert summed[first:] == ["results.parquet"]
