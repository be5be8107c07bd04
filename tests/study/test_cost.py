"""The cost preview: counted by hand, calibrated without a trace, settled after the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from typer.testing import CliRunner

from metapt_explore.cli.main import metapt
from metapt_explore.config import StudyConfig, parse
from metapt_explore.cost import calibrate as calibrate_module
from metapt_explore.cost.calibrate import calibrate
from metapt_explore.cost.count import Memory, Reckoning, Speed, TextCounts, Work, predict, seconds_of
from metapt_explore.cost.row_sets import MadeRows, RowSet
from metapt_explore.errors import Cancelled
from metapt_explore.progress.state import Progress
from metapt_explore.stages.registry import count
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study import preview as preview_module
from metapt_explore.study.preview import format_cost, read_cost
from metapt_explore.study.run import finished_keys
from metapt_explore.study.study import Study


def config_of(world: Path, **changes: Any) -> StudyConfig:
    return parse(StudyConfig, tiny.study_tree(world, **changes), "test")


def works_of(config: StudyConfig, text_tokens: float | None = None, texts: TextCounts | None = None) -> dict[str, Work]:
    return count(Study(config, "nowhere"), Reckoning.of(config, text_tokens=text_tokens, texts=texts))


METHODS = [
    {"name": "PT", "kind": "pt"},
    {"name": "PPT", "kind": "ppt"},
    {"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"},
    {"name": "exact", "kind": "metapt", "clustering": "kmeans", "order": "exact", "inner_steps": 3},
]


def test_a_prompt_that_is_read_twice_is_pre_trained_once(world: Path) -> None:
    methods = [
        {"name": "PPT", "kind": "ppt"},
        {"name": "probed", "kind": "ppt", "verbalizer": {"read": "probe_ensemble"}},
        {"name": "longer", "kind": "ppt", "tuning": {"steps": 6}},
        {"name": "other", "kind": "ppt", "average_last": 0.5},
    ]
    study = config_of(world, methods=methods)
    works = works_of(study)
    trained = {name: works[f"prompt/{name}/0"].trained for name in ("PPT", "probed", "longer", "other")}
    assert trained["PPT"] == trained["other"] > 0 and trained["probed"] == trained["longer"] == 0


def test_rows_are_counted_by_hand(world: Path) -> None:
    """4 steps of 2 tasks × (4 + 4) rows: a budget of 64 row passes."""
    config = config_of(world, methods=METHODS)
    works = works_of(config, 10)
    assert works["prompt/PT/0"] == Work()
    # 64 rows are drawn, fewer than half of the unknown 5,000: each method encodes its own.
    assert works["prompt/PPT/0"] == Work(trained=64, encoded=640)
    assert works["prompt/MetaPT/0"] == Work(trained=64, scored=4 * 2 * 4, encoded=640)
    # 3 inner steps with a Hessian product each: 2 × (3 × 4 × 3 + 4) = 80 passes a step, so one step.
    assert works["prompt/exact/0"] == Work(trained=2 * (3 * 4 + 4), hessian=2 * 3 * 4, scored=2 * 4, encoded=160)
    # 4 steps × 4 rows × 2 data seeds × 2 rates; dev: 2 seeds × (1 + 2 × 2) prompts × 8 rows; test: (1 + 2 × 2) × 20.
    states = 2 * 4 * 2 * 2 + 20
    assert works["fewshot/PT/mood/0"] == Work(trained=64, tuned=64, scored=80 + 100, encoded=10 * states)
    assert works["fewshot/PPT/mood/0"] == Work(trained=64, tuned=64, scored=180, encoded=0)
    assert works["fewshot/PT/question/0"].encoded == 10 * states


def test_halved_rates_and_shorter_curves_are_counted_by_hand(world: Path) -> None:
    tree = tiny.study_tree(world, methods=METHODS[:1])
    tree["evaluation"] |= {"learning_rates": [0.001, 0.01, 0.1], "steps": 6, "curve_steps": [1], "curve_rows": 5}
    tree["evaluation"] |= {"halving_steps": [2, 3]}
    config = parse(StudyConfig, tree, "test")
    # 3 rates for 2 steps, 2 for one, 1 for three: 11 × 4 rows × 2 seeds. Dev at 0 once, at 1 and 2 three rates, at 3
    # two, at 6 one. Test: the start and two chosen prompts on 20 rows, 3 other steps of each seed on 5.
    work = works_of(config, 10)["fewshot/PT/mood/0"]
    assert (work.trained, work.scored) == (11 * 4 * 2, 2 * (1 + 3 + 3 + 2 + 1) * 8 + 3 * 20 + 2 * 3 * 5)


def test_a_probe_reads_prompts_that_are_tuned_already(world: Path) -> None:
    """2 data seeds × (20 test + 8 dev rows) once more; its own tuning where no method by words has the same prompts."""
    probed = {"name": "probed", "kind": "pt", "verbalizer": {"read": "probe_ensemble"}}
    other = {"name": "other", "kind": "pt", "tuning": {"steps": 2}, "verbalizer": {"read": "probe_ensemble"}}
    config = config_of(world, methods=[{"name": "PT", "kind": "pt"}, probed, other])
    works = works_of(config, 10)
    assert works["fewshot/probed/mood/0"] == Work(scored=2 * (20 + 8))
    assert works["tuning/other/mood/0"].trained == 2 * 4 * 2 * 2
    assert "tuning/probed/mood/0" not in works
    assert works["hidden_states/mood"] == Work(encoded=10 * (2 * 4 * 2 * 2 + 20))


def test_prefix_encodes_nothing_and_shared_texts_are_encoded_once(world: Path) -> None:
    prefix = config_of(world, prompt={"placement": "prefix"})
    assert sum(work.encoded for work in works_of(prefix).values()) == 0
    shared = config_of(world, texts={"limit": 100})
    works = works_of(shared, 10)
    assert (works["prompt/PPT/0"].encoded, works["prompt/MetaPT/0"].encoded) == (1000, 0)


def test_texts_that_were_counted_are_not_guessed(world: Path) -> None:
    """Of 300 texts 120 have no label; 64 rows are drawn, fewer than half."""
    config = config_of(world, labelling={"by": "zero_shot"})
    guessed = works_of(config, 10)
    assert guessed["labels/zero_shot"] == Work(scored=5000, encoded=50_000)
    counted = works_of(config, 10, TextCounts(300, 120))
    assert counted["labels/zero_shot"] == Work(scored=120, encoded=1200)
    anew = config_of(world, labelling={"by": "zero_shot", "which": "all"})
    assert works_of(anew, 10, TextCounts(300, 120))["labels/zero_shot"].scored == 300
    # All 100 of them are one bank.
    few = works_of(config, 10, TextCounts(100, 100))
    assert (few["prompt/PPT/0"].encoded, few["prompt/MetaPT/0"].encoded) == (1000, 0)


FORMATS = [
    {"format": "labels", "labels": {"a": "good", "b": "bad"}, "template": "{text} Type :", "weight": 2},
    {"format": "cluster_classes", "clustering": "kmeans", "template": "{text} Sentiment :"},
    {"format": "sentence_pair", "words": {"adjacent": "good", "same_document": "book", "other": "bad"}},
]
MADE = {"labels": MadeRows(300, 10.0), "sentence_pair": MadeRows(20, 30.0)}


def test_rows_of_formats_are_counted_by_hand(world: Path) -> None:
    """64 draws of formats that weigh 2, 1 and 1; 16 of 20 pairs are drawn, so all 20 are encoded, once for all."""
    methods = [{**each, "clustering": "kmeans"} for each in METHODS[1:3]]
    methods.append({**methods[1], "name": "noise", "clustering": "random"})
    tree = tiny.study_tree(world, methods=methods) | {"auxiliary_tasks": FORMATS}
    config = parse(StudyConfig, tree, "test")
    works = works_of(config, 10, TextCounts(300, 0, made=MADE))
    assert works["prompt/PPT/0"] == Work(trained=64, encoded=32 * 10 + 16 * 10 + 20 * 30)
    # MetaPT draws the very rows that PPT draws; over other clusters the tasks are others.
    assert works["prompt/MetaPT/0"] == Work(trained=64, scored=32)
    assert works["prompt/noise/0"] == Work(trained=64, scored=32, encoded=32 * 10 + 16 * 10)
    # Not known yet: three pairs of each text, as long as texts are.
    guessed = works_of(config, 10)["prompt/PPT/0"].encoded
    assert guessed == (32 + 16 + 16) * 10


def test_each_format_is_timed_at_its_own_length(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of a format takes as many seconds as it has tokens here; a pooled step sends 32 rows at once."""
    seen: list[tuple[int, int]] = []

    class Trial:
        def __init__(self, *_: Any, tokens: int, **__: Any) -> None:
            self.tokens = tokens

        def trained(self, rows: int) -> float:
            seen.append((self.tokens, rows))
            return float(self.tokens)

        def scored(self, rows: int, *, prompts: int) -> float:
            return 0.0

        encoded = forget = lambda self: 0.0

    monkeypatch.setattr(calibrate_module, "Trial", Trial)
    config = config_of(world, pretraining={"meta_batch_size": 4})
    study = Study(config, tmp_path)
    sets = [
        RowSet("texts", 0.75, 300, 12.0, config.auxiliary_tasks),
        RowSet("pairs", 0.25, 90, 40.4, config.auxiliary_tasks),
    ]
    speed = calibrate(config, study.tasks, study.backbone, text_tokens=8, sets=sets)
    assert seen[-2:] == [(12, 24), (40, 8)]
    assert (speed.tuned, speed.trained) == (8.0, 0.75 * 12 + 0.25 * 40)


def test_prediction_is_work_times_speed(world: Path) -> None:
    config = config_of(world)
    works = works_of(config, 10)
    speed = Speed(trained=0.5, tuned=0.25, hessian=2.0, scored=0.01, encoded=0.001, spent=1.0, base_mib=100.0)
    assert seconds_of(works["fewshot/PPT/mood/0"], speed) == pytest.approx(64 * 0.25 + 1.8)
    assert seconds_of(works["prompt/PPT/0"], speed) == pytest.approx(32 + 0.64)
    needed = Memory(50.0, 25.0)
    everything = predict(works, (), speed, memory=needed, device="cpu", dtype="float32")
    rest = predict(works, {"prompt/PPT/0"}, speed, memory=needed, device="cpu", dtype="float32")
    assert everything.seconds - rest.seconds == pytest.approx(32.64) and everything.peak_mib == 175.0
    assert rest.stages["prompt/PPT/0"]["seconds"] == 0 and rest.stages["prompt/PPT/0"]["trained"] == 64


@pytest.mark.parametrize("placement", ["suffix", "prefix"])
def test_calibration_leaves_no_trace(placement: str, world: Path, tmp_path: Path) -> None:
    config = config_of(world, methods=METHODS, prompt={"placement": placement})
    study = Study(config, tmp_path)
    before = torch.get_rng_state()
    speed = calibrate(config, study.tasks, study.backbone, text_tokens=8)
    assert torch.equal(before, torch.get_rng_state())
    assert min(speed.trained, speed.tuned, speed.hessian, speed.scored, speed.base_mib) > 0
    assert (speed.encoded > 0) == (placement == "suffix")
    assert not len(study.backbone.banks) and not study.backbone._cache._kept

    def stop() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        calibrate(config, study.tasks, study.backbone, text_tokens=8, check=stop)


def test_a_run_is_predicted_and_settled(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the scores are those of a run without preview."""
    monkeypatch.setattr(preview_module, "WORTH_TOKENS", 0)
    seen: list[tuple[float | None, float | None]] = []
    progress = Progress(lambda state: seen.append((state.predicted_seconds, state.seconds_left)))
    study = Study(world / "tiny.yaml", tmp_path / "with", progress)
    scores = study.run()["accuracy"]
    cost = read_cost(study.workspace, "tiny")
    assert cost is not None and cost.seconds > 0 and cost.real_seconds and cost.real_peak_mib
    assert cost.peak_mib > 50 and format_cost(cost).startswith("Predicted ") and "took" in format_cost(cost)
    assert set(cost.stages) == set(count(study))
    # From the moment of the prediction on there is a time left.
    assert any(predicted is not None and left is not None for predicted, left in seen)

    monkeypatch.setattr(preview_module, "WORTH_TOKENS", 10**12)
    plain = Study(world / "tiny.yaml", tmp_path / "without")
    assert plain.run()["accuracy"].tolist() == scores.tolist()
    assert read_cost(plain.workspace, "tiny") is None


def test_what_is_done_costs_nothing(world: Path, tmp_path: Path) -> None:
    study = Study(world / "tiny.yaml", tmp_path)
    assert finished_keys(study) == set()
    study.prompt("PPT")
    study.fewshot("PT", "mood")
    assert finished_keys(study) == {"prompt/PPT/0", "prompt/PT/0", "fewshot/PT/mood/0"}


def test_a_damaged_cost_file_is_no_cost(world: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    folder = workspace.study_folder("tiny")
    folder.mkdir(parents=True)
    for text in ("{", "[]", '{"seconds": 1}'):
        (folder / "cost.json").write_text(text, encoding="utf-8")
        assert read_cost(workspace, "tiny") is None


def test_the_plan_command(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAPT_WORKSPACE", str(tmp_path / "none"))
    runner = CliRunner()
    found = runner.invoke(metapt, ["plan", str(world / "tiny.yaml"), "--json"])
    assert found.exit_code == 0, found.output
    plan = json.loads(found.stdout.strip().splitlines()[-1])
    assert plan["study"] == "tiny" and plan["stages"]["prompt/PPT/0"]["trained"] == 64 and plan["seconds"] > 0
    assert plan["displacement"]["MetaPT"]["inner"] > 0, "its plain gradient is measured: the model is there anyway"
    table = runner.invoke(metapt, ["plan", str(world / "tiny.yaml")])
    told = " ".join(table.stdout.split())
    assert "in its inner step (by one support gradient, measured at the start)" in told and "only the model" not in told
    assert "prompt · MetaPT" in table.stdout and "peak memory about" in table.stdout
    assert "assumed" not in table.stdout and plan["assumed_texts"] is None
    assert not (tmp_path / "none").exists()


def test_the_plan_command_looks_into_the_workspace(world: Path, finished: Path, tmp_path: Path) -> None:
    """For the number of texts, and for the prompt that a study starts from; it writes nothing there."""
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    start = next(e["id"] for e in Workspace(finished).index("tiny") if e["kind"] == "prompt")
    tree = tiny.study_tree(world, name="further", prompt={"length": 3, "init": {"artifact": start}})
    file = tmp_path / "further.yaml"
    file.write_text(json.dumps(tree), encoding="utf-8")
    runner = CliRunner()
    found = runner.invoke(metapt, ["plan", str(file), "--json", "--workspace", str(finished)])
    assert found.exit_code == 0, found.output
    plan = json.loads(found.stdout.strip().splitlines()[-1])
    assert plan["assumed_texts"] is None and plan["stages"]["prompt/PPT/0"]["trained"] == 64
    assert before == {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
