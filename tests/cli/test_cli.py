"""The command line: one clear sentence and exit code 2 for a user's mistake."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import yaml
from command_line import call

from metapt_explore.config import load_study
from metapt_explore.models.setup import required_packages
from metapt_explore.reporting.plan_power import detectable_sentence
from metapt_explore.results.tables import results_table
from metapt_explore.storage.workspace import Workspace


def test_help_imports_nothing_heavy() -> None:
    """What makes `metapt --help` slow would be an import of these."""
    code = (
        "import sys; sys.argv = ['metapt', '--help']\n"
        "from metapt_explore.cli.main import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'transformers', 'pandas', 'sklearn', 'datasets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, encoding="utf-8")
    assert done.stdout.strip().endswith("[]")
    assert "tour" in done.stdout


def test_results_as_json(finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(monkeypatch, "results", "--workspace", finished, "--json") == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(records) == 12
    wanted = {"study", "method", "task", "data_seed", "init_seed", "accuracy", "macro_f1", "start_accuracy", "seconds"}
    assert wanted <= records[0].keys()
    assert records[0]["study"] == "tiny" and 0 <= records[0]["accuracy"] <= 1


def test_run_prints_the_table_and_what_it_does_not_prove(
    world: Path, finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(monkeypatch, "run", world / "tiny.yaml", "--workspace", finished) == 0
    out = capsys.readouterr().out
    assert "MetaPT" in out and "Time by stage: " in out
    power = detectable_sentence(load_study(str(world / "tiny.yaml")))
    # What the study could find is said before anything is computed.
    assert power and power in (said := " ".join(out.split())) and said.index(power) < said.index("Time by stage: ")
    assert "2 data seeds × 1 initialisation seed: this proves nothing." in out
    assert "streamlit run app.py" in out


def write(folder: Path, tree: dict[str, object]) -> Path:
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model": {"name": "nobody/nothing"}}, "Cannot load the model 'nobody/nothing'"),
        ({"evaluation": {"tasks": ["trek"]}}, "Did you mean 'trec'"),
        ({"auxiliary_tasks": {"labels": {"negative": " ", "positive": "good"}}}, "a label word is blank"),
        (
            {
                "verbalizer": {"decode": "whole_vocabulary"},
                "auxiliary_tasks": {"labels": {"negative": "not a word", "positive": "good"}},
            },
            "label word 'not a word' of class 'negative' is .* tokens",
        ),
        ({"prompt": {"length": 3, "placement": "encoder"}}, "suffix"),
        ({"stepps": 3}, "unknown key 'stepps'"),
        ({"model": {"device": "cuda:99"}}, r"model\.device 'cuda:99' cannot be used"),
    ],
)
def test_mistakes_are_one_sentence(
    changes: dict[str, object],
    sentence: str,
    world: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tree = tiny.study_tree(world)
    for key, value in changes.items():
        tree[key] = {**tree[key], **value} if isinstance(value, dict) and key in tree else value
    code = call(monkeypatch, "run", write(tmp_path, tree), "--workspace", tmp_path / "ws")
    error = capsys.readouterr().err
    assert code == 2
    assert re.search(sentence, error), error
    assert error.startswith("Error: ") and "Traceback" not in error


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"texts": {"file": "/no/texts.csv"}}, r"/no/texts\.csv"),
        ({"texts": {"columns": {"text": "review"}}}, "no column 'review'"),
        ({"texts": {"columns": {"text": "text", "label": "labels"}}}, "no column 'labels'"),
        ({"auxiliary_tasks": {"labels": {"angry": "bad", "happy": "good"}}}, "no label of the texts"),
    ],
)
def test_texts_that_cannot_be_used_leave_what_needs_none(
    changes: dict[str, object],
    sentence: str,
    world: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tree = tiny.study_tree(world, **changes)
    code = call(monkeypatch, "run", write(tmp_path, tree), "--workspace", tmp_path / "ws")
    said = " ".join("".join(capsys.readouterr()).split())
    assert code == 1
    assert re.search(sentence, said), said
    assert "Traceback" not in said
    scored = results_table(Workspace(tmp_path / "ws"), "tiny")
    assert set(scored["method"]) == {"PT"}


def test_a_study_of_which_nothing_could_be_computed(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tiny.study_tree(world, evaluation={"shots": 500})
    assert call(monkeypatch, "run", write(tmp_path, tree), "--workspace", tmp_path / "ws") == 1
    error = capsys.readouterr().err
    assert error.startswith("Error: ") and "shots" in error and "Traceback" not in error


def test_a_label_without_a_word_is_named(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mood.jsonl").write_text(
        (world / "mood.jsonl").read_text(encoding="utf-8") + '{"text": "so so", "label": 2}\n', encoding="utf-8"
    )
    (tmp_path / "mood.yaml").write_text((world / "mood.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    tree = tiny.study_tree(world, evaluation={"tasks": [str(tmp_path / "mood.yaml")]})
    assert call(monkeypatch, "run", write(tmp_path, tree), "--workspace", tmp_path / "ws") == 1
    error = capsys.readouterr().err
    assert "'2'" in error and "mood" in error


def test_results_of_an_empty_workspace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(monkeypatch, "results", "--workspace", tmp_path) == 2
    assert "holds no study yet: run `metapt tour`" in capsys.readouterr().err


def test_requirements_data_lists_what_setup_installs() -> None:
    file = Path(__file__).parents[2] / "requirements-data.txt"
    assert sorted(line for line in file.read_text(encoding="utf-8").splitlines() if line) == required_packages()


def test_the_queue_on_the_command_line(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask, look, ask again, stop; no worker is started here."""
    monkeypatch.setenv("METAPT_WORKERS", "0")

    def metapt(*words: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "metapt_explore", *words, "--workspace", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8")
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    assert "No study has been asked for" in metapt("jobs")
    asked = metapt("run", str(world / "tiny.yaml"), "--queue", "--until", "clusters", "--init-seeds", "0")
    assert "'tiny' is in the queue" in asked and "nothing before it" in asked and "metapt cancel tiny" in asked
    again = ("run", str(world / "tiny.yaml"), "--queue", "--until", "clusters")
    assert "already: queued" in metapt(*again, "--init-seeds", "0")
    assert "already queued with different settings (initialisation seeds)" in metapt(*again, code=2)
    (line,) = metapt("jobs", "--json").splitlines()
    assert {k: json.loads(line)[k] for k in ("study", "status", "position")} == {
        "study": "tiny", "status": "queued", "position": 1,
    }  # fmt: skip
    assert "waits, number 1" in metapt("jobs")
    assert "is taken out" in metapt("cancel", "tiny")
    assert "cancelled" in metapt("jobs")
    assert "neither runs nor waits" in metapt("cancel", "tiny", code=2)
    assert "Did you mean 'tiny'" in metapt("cancel", "tinny", code=2)
    assert "There is no --until 'clutsers'" in metapt("run", str(world / "tiny.yaml"), "--until", "clutsers", code=2)
    assert "--minutes" in metapt("run", str(world / "tiny.yaml"), "--queue", "--minutes", "3", code=2)
