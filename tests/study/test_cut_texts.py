"""How many texts are cut is said in plan, check, data check and report, and is what the layout does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny
from format_world import FORMATS, config_of
from typer.testing import CliRunner

from metapt_explore.cli.main import metapt
from metapt_explore.config import ModelConfig, StudyConfig, parse
from metapt_explore.models.text_lengths import SAMPLE, CutShare, cut_share, format_cut, token_counts
from metapt_explore.reporting.report import make_report
from metapt_explore.results.cut_texts import BEGINNING_ONLY, FILE, OPTIONS_LOST, cut_shares, read_cut_texts
from metapt_explore.results.record import Record, record_of
from metapt_explore.stages.format_rows import FormatRows
from metapt_explore.storage.study_files import copy_of
from metapt_explore.study.preview import text_counts
from metapt_explore.study.study import Study
from metapt_explore.texts.rows import as_inputs


def of(world: Path, limit: int, **changes: object) -> StudyConfig:
    return parse(StudyConfig, tiny.study_tree(world, model={"max_text_tokens": limit}, **changes), "test")


@pytest.mark.parametrize("limit", [3, 10, 12, 60])
def test_a_text_counts_as_cut_where_the_layout_cuts_it(world: Path, limit: int) -> None:
    from metapt_explore.models.load import layout_class

    words = tiny.tokenizer()
    layout = layout_class("causal")(words, ModelConfig(name="x", max_text_tokens=limit), "suffix")
    texts = ["old new " * n for n in range(1, 9)]
    whole = layout_class("causal")(words, ModelConfig(name="x", max_text_tokens=10_000), "suffix")
    for inputs in (texts, [(text, "a lens of the pan") for text in texts]):
        differ = [a != b for a, b in zip(layout.bare_tokens(inputs), whole.bare_tokens(inputs), strict=True)]
        cut = cut_share(inputs, words, limit)
        assert cut is not None and cut.share == sum(differ) / len(inputs)


def test_of_many_texts_some_are_looked_at(world: Path) -> None:
    texts = ["old"] * (SAMPLE * 2) + ["old new old"] * (SAMPLE * 2)
    cut = cut_share(texts, tiny.tokenizer(), 2, of="mood")
    assert cut == CutShare("mood", 0.5, 2, 2, SAMPLE)
    assert cut_share([], tiny.tokenizer(), 2) is None
    assert format_cut(CutShare("mood", 0.001, 9, 3, 1000)) == (
        "Less than 1 % of the texts of mood are cut at model.max_text_tokens: 9."
    )


def test_sources_and_artifacts_are_looked_at_alike(world: Path, tmp_path: Path) -> None:
    study = Study(of(world, 9), tmp_path)
    before = cut_shares(study)
    assert [cut.of for cut in before] == [None, "mood", "question"] and all(0 < cut.share < 1 for cut in before)
    assert not any(tmp_path.iterdir()), "looking writes nothing"
    rows = as_inputs(study.texts().table("texts"))
    after = cut_shares(study)
    assert after[0].looked_at == len(rows)
    assert abs(after[0].share - before[0].share) < 0.1


def test_options_are_said_to_be_lost_only_where_they_stand_at_the_end_of_a_text(world: Path, tmp_path: Path) -> None:
    options = {"format": "selection", "name": "choice", "options": 2, "min_words": 2}
    labels = {"format": "labels", "name": "asked", "unified": True, "labels": {"negative": "bad", "positive": "good"}}
    study, said = Study(config_of(world, tmp_path, [options, labels]), tmp_path / "w"), list[str]()
    study.progress.notice = said.append  # type: ignore[method-assign]
    study.notice_cut_texts([CutShare(name, 0.9, 9, 30, 100) for name in ("choice", "asked")])
    lost, whole = said
    assert "the texts of choice" in lost and lost.endswith(OPTIONS_LOST)
    assert "the texts of asked" in whole and whole.endswith(BEGINNING_ONLY)


def test_rows_of_formats_are_looked_at_before_they_are_made(world: Path, tmp_path: Path) -> None:
    made = {"format": "selection", "name": "choice", "options": 2, "min_words": 2}
    config = config_of(world, tmp_path, [*FORMATS, made])
    config = config.model_copy(update={"model": config.model.model_copy(update={"max_text_tokens": 40})})
    study = Study(config, tmp_path / "w")
    before = [cut for cut in cut_shares(study) if cut.of in ("sentence_pair", "choice")]
    assert [cut.of for cut in before] == ["sentence_pair", "choice"]
    predicted = text_counts(study, study.texts(), {}).made
    rows = study.make(FormatRows(study)).table("texts")
    made = rows[rows["format"].isin(["sentence_pair", "choice"])]
    assert {cut.of: cut.looked_at for cut in before} == made["format"].value_counts().to_dict()
    # So long are they for the prediction of the cost, before and after they are made; a model reads 40 tokens.
    lengths = token_counts(as_inputs(made), tiny.tokenizer()).clip(max=40)
    means = made.assign(tokens=lengths).groupby("format")["tokens"].mean()
    assert predicted == text_counts(study, study.texts(), {}).made
    assert {name: each.tokens for name, each in predicted.items()} == pytest.approx(means.to_dict())
    assert means["choice"] > means["sentence_pair"]


def test_what_cannot_be_read_quickly_is_left_out(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = of(world, 9)
    gone = study.model_copy(update={"texts": study.texts.model_copy(update={"file": str(tmp_path / "none.csv")})})
    assert [cut.of for cut in cut_shares(Study(gone, tmp_path))] == ["mood", "question"]
    monkeypatch.setattr("metapt_explore.results.cut_texts.MOST_BYTES", 10)
    assert cut_shares(Study(study, tmp_path)) == []


def test_a_check_names_share_and_setting_once(world: Path, tmp_path: Path) -> None:
    study = Study(of(world, 9), tmp_path)
    study.check()
    said = list(study.progress.state.notices)
    assert [sentence for sentence in said if "cut at model.max_text_tokens: 9" in sentence] and len(said) == 3
    study.check()
    assert study.progress.state.notices == said
    roomy = Study(of(world, 60), tmp_path)
    roomy.check()
    assert not roomy.progress.state.notices


def test_report_and_record_name_it(world: Path, tmp_path: Path) -> None:
    config = of(
        world,
        9,
        methods=[{"name": "PT", "kind": "pt"}, {"name": "PPT", "kind": "ppt"}],
        clusterings=[],
        evaluation={"tasks": [str(world / "mood.yaml")], "data_seeds": [1], "learning_rates": [0.01]},
    )
    study = Study(config, tmp_path / "w")
    study.run()
    shares = read_cut_texts(study.workspace, config)
    assert [cut.of for cut in shares] == [None, "mood"]
    record = record_of(study.workspace, config.name)
    record.save(tmp_path / "record")
    written = make_report(Record.load(tmp_path / "record")).markdown()
    assert "reads 9 tokens of a text (`model.max_text_tokens`)" in written
    assert f"{100 * shares[0].share:.1f} % of the pre-training texts" in written
    assert f"{100 * shares[1].share:.1f} % of mood" in written
    # Of another limit the file says nothing, damaged neither; but there is a copy of it.
    assert read_cut_texts(study.workspace, of(world, 8)) == []
    file = study.workspace.study_folder(config.name) / FILE
    file.write_text("{", encoding="utf-8")
    assert read_cut_texts(study.workspace, config) == shares
    copy_of(file).unlink()
    for damage in ("[]", "{", '{"model": 1}', json.dumps({"model": {}, "shares": [1]})):
        file.write_text(damage, encoding="utf-8")
        assert read_cut_texts(study.workspace, config) == []


def test_data_check_of_a_study(world: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("text,label\n" + "old new old new old new old new old new old,1\na lens,0\n" * 2, encoding="utf-8")
    import yaml

    study = tmp_path / "study.yaml"
    study.write_text(yaml.safe_dump(tiny.study_tree(world, model={"max_text_tokens": 9})), encoding="utf-8")
    done = CliRunner().invoke(metapt, ["data", "check", str(file), "--study", str(study)])
    assert done.exit_code == 0 and "50 % of the texts of a.csv are cut at model.max_text_tokens: 9" in done.output


def test_a_plan_says_it(world: Path, tmp_path: Path) -> None:
    import yaml

    study = tmp_path / "study.yaml"
    study.write_text(yaml.safe_dump(tiny.study_tree(world, model={"max_text_tokens": 9})), encoding="utf-8")
    asked = ["plan", str(study), "--workspace", str(tmp_path / "w")]
    done = CliRunner().invoke(metapt, asked)
    assert done.exit_code == 0, done.output
    assert "of the pre-training texts are cut at model.max_text_tokens: 9" in " ".join(done.output.split())
    told = json.loads(CliRunner().invoke(metapt, [*asked, "--json"]).stdout)
    assert [cut["of"] for cut in told["cut_texts"]] == [None, "mood", "question"]
