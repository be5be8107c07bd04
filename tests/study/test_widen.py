"""A study with wider grids: what changes, what does not, and that prompts are not pre-trained again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from command_line import call

from metapt_explore.config import StudyConfig, load_study, parse
from metapt_explore.errors import UserError
from metapt_explore.reporting.report import make_report
from metapt_explore.results.record import record_of
from metapt_explore.results.search_grids import search_grids, searched
from metapt_explore.stages.prompt import Prompt
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study
from metapt_explore.study.widen import widen

RATES = [0.001, 0.004, 0.016, 0.064]


def study_of(methods: list[dict[str, Any]] | None = None, **more: Any) -> StudyConfig:
    tree: dict[str, Any] = {
        "name": "demo",
        "texts": {"file": "/nowhere/texts.csv"},
        "clusterings": [{"name": "kmeans", "algorithm": "kmeans", "n_clusters": 2}],
        "auxiliary_tasks": {"labels": {"negative": "negative", "positive": "positive"}},
        "methods": methods or [{"name": "PT", "kind": "pt"}, {"name": "PPT", "kind": "ppt"}],
        "evaluation": {"tasks": ["trec"], "learning_rates": RATES, "steps": 30, "curve_steps": [0, 10, 30]},
    }
    return parse(StudyConfig, {**tree, **more}, "demo")


def scores(**chosen: tuple[list[float], list[int]]) -> pd.DataFrame:
    rows = [(m, rate, step) for m, (rates, steps) in chosen.items() for rate, step in zip(rates, steps, strict=True)]
    return pd.DataFrame(rows, columns=["method", "learning_rate", "step"])


INSIDE = ([0.004, 0.016, 0.016, 0.004], [10, 10, 0, 10])


def test_nothing_at_an_edge_changes_nothing() -> None:
    wide = widen(study_of(), scores(PT=INSIDE, PPT=INSIDE))
    assert wide.changes == () and wide.study.evaluation.learning_rates == RATES and wide.study.name == "demo-wide"


def test_one_method_at_the_edge_widens_the_list_that_all_share() -> None:
    wide = widen(study_of(), scores(PT=([0.064, 0.064, 0.016, 0.016], [10, 30, 30, 10]), PPT=INSIDE))
    assert wide.study.evaluation.learning_rates == [*RATES, 0.256]
    assert wide.study.evaluation.steps == 60 and wide.study.evaluation.scored_steps == [0, 10, 30, 45, 60]
    assert [change.methods for change in wide.changes] == [("PT",), ("PT",)]
    assert load_study_text(wide.yaml) == wide.study and "# evaluation.learning_rates: [0.001, 0.004" in wide.yaml
    assert widen(study_of(), scores(PT=([0.001, 0.064, 0.016, 0.016], [10] * 4))).study.evaluation.learning_rates == [
        0.00025,
        *RATES,
        0.256,
    ]


def load_study_text(text: str) -> StudyConfig:
    from metapt_explore.config.reading import parse_yaml

    return parse(StudyConfig, parse_yaml(text, "wide"), "wide")


def test_own_rates_and_steps_are_widened_where_they_stand() -> None:
    own = {"name": "PPT", "kind": "ppt", "tuning": {"learning_rates": [0.1, 0.01], "steps": 40}}
    baselines = [{"name": "LoRA", "kind": "lora", "learning_rates": [1e-3, 3e-3], "steps": 8}, "tfidf"]
    study = study_of([{"name": "PT", "kind": "pt"}, own], baselines=baselines)
    table = scores(PT=INSIDE, PPT=([0.1] * 4, [40] * 4), LoRA=([1e-3] * 4, [8] * 4)).assign(c=None)
    table = pd.concat([table, pd.DataFrame({"method": "tfidf", "c": [100.0] * 4})])
    wide = widen(study, table).study
    assert wide.evaluation.learning_rates == RATES and wide.evaluation.steps == 30
    tuning = wide.method("PPT").tuning
    assert tuning is not None and (tuning.learning_rates, tuning.steps) == ([0.01, 0.1, 1.0], 80)
    lora, tfidf = (baseline.options for baseline in wide.baselines)
    assert (lora["learning_rates"], lora["steps"]) == ([pytest.approx(3.33e-4), 1e-3, 3e-3], 16)
    assert tfidf["c_values"][-1] == 1000


def test_nothing_is_searched_where_the_last_step_is_kept() -> None:
    study = study_of(
        evaluation={"tasks": ["trec"], "learning_rates": [0.016], "select_by": "last", "steps": 30, "halving_steps": []}
    )
    assert search_grids(study) == []


def test_inner_rates_that_follow_from_the_middle_rate_stay() -> None:
    """With five rates the middle one would be another: the prompts would be pre-trained anew."""
    methods = [{"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"}]
    study = study_of(methods, pretraining={"inner_optimiser": "adam"})
    wide = widen(study, scores(MetaPT=([0.001] * 4, [10] * 4))).study
    assert wide.evaluation.learning_rates[0] == 0.00025
    before, after = (s.pretraining_of(s.method("MetaPT")) for s in (study, wide))
    assert before == after and after.inner_lr == 0.016


def test_a_share_is_a_share() -> None:
    with pytest.raises(UserError, match="share is above 0"):
        widen(study_of(), scores(PT=INSIDE), share=25)


def test_prompts_of_a_wider_study_are_those_that_are_there(finished: Path) -> None:
    workspace = Workspace(finished)
    study = Study(workspace.study_config("tiny"), workspace)
    rates = study.config.evaluation.learning_rates
    results = study.results().assign(learning_rate=max(rates), step=study.config.evaluation.steps)
    wide = widen(study.config, results)
    assert wide.changes

    def prompts(of: Study) -> list[str]:
        return [Prompt.at(of, method, 0, None).id for method in of.config.methods]

    assert prompts(Study(wide.study, workspace)) == prompts(study)


def test_record_report_and_command_name_the_edges(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = record_of(Workspace(finished), "tiny")
    top = record.study["evaluation"]["learning_rates"] = [0.01, 0.03]
    record.results["learning_rate"] = max(top)
    assert "0.03 for" in searched(record).sentences[0]
    report = make_report(record).markdown()
    assert "`metapt widen tiny`" in report and "| highest, chosen |" in report and "0.03 (100 %)" in report
    record.save(tmp_path / "record")
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "widen", "record") == 0
    assert "evaluation.learning_rates: [0.01, 0.03, 0.09]" in capsys.readouterr().out
    assert load_study(tmp_path / "tiny-wide.yaml").evaluation.learning_rates == [0.01, 0.03, 0.09]
    assert call(monkeypatch, "widen", "record") != 0
    assert "is there already" in capsys.readouterr().err
