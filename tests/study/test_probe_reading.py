"""Studies whose classes are read by label words and a probe: what is taken over, what is read anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tiny
import torch

from metapt_explore.cli.try_sentences import answer_sentences
from metapt_explore.config import StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.export.classify import Classifier
from metapt_explore.export.export import PromptChoice, export_prompt
from metapt_explore.fewshot import tuning
from metapt_explore.reporting.report import make_report
from metapt_explore.results.find_lineage import lineage
from metapt_explore.results.record import record_of
from metapt_explore.stages.split import FewShotRows
from metapt_explore.study.run import finished_keys
from metapt_explore.study.study import Study

PROBED = {"name": "PT and probe", "kind": "pt", "verbalizer": {"read": "probe_ensemble"}}
BOTH = [{"name": "PT", "kind": "pt"}, PROBED]


def study_of(world: Path, workspace: Path, methods: list[dict[str, Any]], **changes: Any) -> Study:
    return Study(parse(StudyConfig, tiny.study_tree(world, methods=methods, **changes), "test"), workspace)


@pytest.fixture(scope="module")
def both(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    study = study_of(world, tmp_path_factory.mktemp("both"), BOTH)
    study.run()
    return study


def test_tuned_prompts_are_read_once_more(both: Study) -> None:
    plain, probed = both.fewshot("PT", "mood"), both.fewshot("PT and probe", "mood")
    curves, kept = plain.table("curves"), [c for c in plain.table("curves") if not c.startswith("test_")]
    pd.testing.assert_frame_equal(curves[kept], probed.table("curves")[kept])
    assert probed.table("curves").drop(columns=kept).isna().all().all()  # test scores on the way are of the words
    for name, prompt in plain.tensors("prompts").items():
        torch.testing.assert_close(prompt, probed.tensors("prompts")[name], rtol=0, atol=0)
    old, new = plain.table("results"), probed.table("results")
    same = ["data_seed", "start_accuracy", "start_loss", "learning_rate", "step"]
    pd.testing.assert_frame_equal(old[same], new[same])
    assert (old["test_loss"] != new["test_loss"]).all()
    assert probed.stage["parents"]["tuned"] == plain.id


def test_without_the_plain_evaluation_the_same_comes_out(both: Study, world: Path, tmp_path: Path) -> None:
    alone = study_of(world, tmp_path / "alone", [PROBED])
    alone.run()
    for task in ("mood", "question"):
        there, here = both.fewshot("PT and probe", task), alone.fewshot("PT and probe", task)
        assert there.id == here.id
        pd.testing.assert_frame_equal(there.table("results"), here.table("results"))
        assert there.summary == here.summary
    # The evaluation by words that tuned for it is no score of the study.
    assert set(alone.results()["method"]) == {"PT and probe"}


def test_seconds_are_those_of_tuning_as_well(both: Study) -> None:
    results = both.results().groupby(["task", "method"])["seconds"].sum().unstack()
    # Figures of single rows are rounded to hundredths.
    assert (results["PT and probe"] >= results["PT"] - 0.02).all()


@pytest.mark.parametrize("methods", [[PROBED, BOTH[0]], [PROBED]], ids=["probe first", "alone"])
def test_prompts_are_tuned_once_in_any_order(
    methods: list[dict[str, Any]], world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned = []
    monkeypatch.setattr(tuning, "tune", lambda *a, tune=tuning.tune, **k: tuned.append(1) or tune(*a, **k))
    study_of(world, tmp_path / "w", methods).run()
    assert len(tuned) == 2  # two tasks


def test_starts_alone_can_be_scored(world: Path, tmp_path: Path) -> None:
    study = study_of(world, tmp_path / "w", BOTH, evaluation={"steps": 0, "curve_steps": [0]})
    assert study.run()["test_loss"].notna().all()


def test_finished_scores_ask_for_no_states(both: Study, world: Path) -> None:
    views = both.hidden_states("mood").folder
    away = views.rename(views.with_name("away"))
    try:
        assert both.fewshot("PT and probe", "mood").status == "done"
        assert not views.exists()
        assert "PT and probe" in set(both.results()["method"])
        # The list begins anew where a setting changed: scores that are there count at once.
        changed = study_of(world, both.workspace.folder, BOTH, evaluation={"init_seeds": [0, 1]})
        changed.run([0], until="prompts")
        assert set(changed.results()["method"]) == {"PT", "PT and probe"}
        assert not views.exists()
    finally:
        away.rename(views)


def test_rows_of_dev_that_were_trained_on_weigh_nothing(both: Study) -> None:
    task = both.tasks["mood"]
    rows = FewShotRows(both.split("mood"), task, both.config.evaluation, 0)
    weights = both.fewshot("PT and probe", "mood").summary["weights"]
    for seed, dev in rows.dev.items():
        free = sum(text not in rows.train[seed].texts for text in dev.texts)
        assert weights[f"data_seed_{seed}"]["weighed_on"] in (0, free)
    told = [json.loads(entry) for entry in both.fewshot("PT and probe", "mood").table("results")["weights"]]
    assert told == list(weights.values())


def test_states_are_made_once_a_task(both: Study) -> None:
    kinds = [entry["kind"] for entry in both.workspace.current_index("tiny")]
    assert kinds.count("hidden_states") == 2
    views = both.hidden_states("mood")
    texts = both.split("mood").table("rows")["text"].nunique()
    assert views.summary["texts"] == texts
    assert views.tensors("hidden_states")["hidden_states"].shape[1] == texts


def test_finished_states_cost_nothing(both: Study, world: Path, tmp_path: Path) -> None:
    assert finished_keys(both) >= {
        "hidden_states/mood",
        "hidden_states/question",
        "tuning/PT and probe/mood/0",
        "fewshot/PT and probe/mood/0",
    }
    fresh = study_of(world, tmp_path / "fresh", BOTH)
    assert finished_keys(fresh) == set()


def test_lineage_says_who_was_listened_to(both: Study) -> None:
    found = lineage(both.workspace, "tiny", "PT and probe", "mood", data_seed=1, init_seed=0)
    assert "label words and probe weighed" in str(found)
    assert "the frozen model's states of" in str(found)
    assert "label words and probe" not in str(lineage(both.workspace, "tiny", "PT", "mood", data_seed=1, init_seed=0))


def test_a_sentence_is_tried_with_the_probe_beside(
    both: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, texts = both.workspace.folder, ["a good book", "bad pan"]
    answer_sentences([json.dumps(text) for text in texts], "tiny", "mood", seeds=(0, 1), workspace=folder)
    said, *answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert said["methods"] == ["PT", "PT and probe"]
    for method in said["methods"]:
        export_prompt(both.workspace, PromptChoice("tiny", method, "mood", 1, 0), tmp_path / method)
        alone = [
            prediction.probabilities for prediction in Classifier(tmp_path / method, dtype="float32").classify(texts)
        ]
        assert [answer[method] for answer in answers] == [pytest.approx(shares, abs=1e-5) for shares in alone]
    assert any(answer["PT"] != pytest.approx(answer["PT and probe"], abs=1e-3) for answer in answers)


def test_a_probe_that_cannot_be_read_leaves_the_others(
    both: Study, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_classes(*arguments: Any) -> None:
        raise UserError("The task has other classes now.")

    monkeypatch.setattr("metapt_explore.stages.fewshot_probe.kept_probe", other_classes)
    answer_sentences([json.dumps("a good book")], "tiny", "mood", seeds=(0, 1), workspace=both.workspace.folder)
    said, answer = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert said["methods"] == ["PT"] and list(answer) == ["PT"]
    assert said["left_out"] == {"PT and probe": "The task has other classes now."}


def test_reports_say_how_classes_were_read(both: Study) -> None:
    text = make_report(record_of(both.workspace, "tiny")).markdown()
    assert "by a probe of the frozen model, weighed on dev" in text
    starts = text.split("## A better start?")[1].split("\n## ")[0]
    assert "PT (PT and probe as well)" in starts and "| PT |" in starts and "| PT and probe |" not in starts


def test_a_clustering_gains_nothing_by_the_probe(world: Path, tmp_path: Path) -> None:
    """What a method gains over PPT is put down to its clusters where nothing else sets it apart."""
    meta = {"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"}
    probed = {**meta, "name": "MetaPT and probe", "verbalizer": {"read": "probe_ensemble"}}
    study = study_of(world, tmp_path / "w", [{"name": "PPT", "kind": "ppt"}, meta, probed])
    study.run()
    table = study.clustering_quality().set_index("clustering")
    assert table.loc["kmeans", "methods"] == "MetaPT"
    markdown = make_report(record_of(study.workspace, "tiny")).markdown()
    assert "– ± –" not in markdown


def test_dev_rows_of_other_seeds_can_be_scored(world: Path, tmp_path: Path) -> None:
    tree = tiny.study_tree(world, methods=BOTH)
    tree["evaluation"] |= {"scored_on": "other_seeds", "init_seeds": [0, 1], "pairing": "paired"}
    study = Study(parse(StudyConfig, tree, "test"), tmp_path / "w")
    results = study.run()
    assert results.groupby("method")["accuracy"].count().tolist() == [4, 4]


def test_it_goes_with_plain_label_words_only() -> None:
    for other in ({"decode": "whole_vocabulary"}, {"calibration": "batch_mean"}):
        with pytest.raises(UserError, match="label words"):
            parse(
                StudyConfig,
                tiny.study_tree(Path("/nowhere"), verbalizer={"read": "probe_ensemble", **other}),
                "test",
            )
