"""Prompts that begin from the few-shot rows: which tokens they hold, and that no other row has a part in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from small_inputs import split
from tuned import LABELS, data_of

from metapt_explore.config import EvaluationConfig, MethodConfig, ModelConfig, StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.export.export import PromptChoice, export_prompt
from metapt_explore.export.facts import PromptFacts
from metapt_explore.fewshot.demonstrations import Demonstration, FromDemonstrations, demonstrations, fill
from metapt_explore.fewshot.scoring import FewShotData, LabelledTexts
from metapt_explore.fewshot.starts import Starts, TrainRows
from metapt_explore.fewshot.tuning import TuningOutcome, tune
from metapt_explore.fewshot.tuning_steps import TuningPlan
from metapt_explore.models.causal import CausalBackbone
from metapt_explore.models.load import load_backbone
from metapt_explore.results.begins import begins_of, begins_table, format_begins
from metapt_explore.results.budgets import method_budgets
from metapt_explore.results.find_lineage import lineage
from metapt_explore.study.study import Study

METHODS = [{"name": "PT", "kind": "pt"}, {"name": "CT", "kind": "pt", "init": "demonstrations"}]


def starts_of(backbone: Any, data: FewShotData, vectors: int) -> Starts:
    given = torch.zeros(vectors, backbone.width)
    rows = TrainRows.of(backbone, backbone.pattern(LABELS, "test"), data.train)
    return FromDemonstrations(LABELS, "test")(given, rows)


def written(backbone: Any, texts: list[str]) -> torch.Tensor:
    ids = [token for text in texts for token in backbone.tokenizer(text, add_special_tokens=False)["input_ids"]]
    return backbone.embedding[torch.tensor(ids)]


def test_a_start_is_the_embeddings_of_the_rows_as_they_are_written(backbone: CausalBackbone) -> None:
    train = LabelledTexts(["the zoom is bad", "a good lens", "so awful", "very lovely song"], [0, 1, 0, 1])
    made = starts_of(backbone, FewShotData({3: train}, {}, train), 40)
    expected = written(
        backbone,
        [
            "the zoom is bad Sentiment : negative",
            "a good lens Sentiment : positive",
            "so awful Sentiment : negative",
            "very lovely song Sentiment : positive",
        ],
    )
    assert torch.equal(made.prompts[3][: len(expected)], expected)
    assert not made.prompts[3][len(expected) :].any(), "vectors left over stay as they are"
    assert made.begins[3].record() == {"demonstrations": 4, "of_rows": 4, "vectors": len(expected), "cut": False}
    assert (made.row_passes, made.forward_rows) == (0, 0)


def test_whole_rounds_of_classes_fit_or_texts_are_cut(backbone: CausalBackbone) -> None:
    train = LabelledTexts(["the zoom is bad", "a good lens", "so awful", "very lovely song"], [0, 1, 0, 1])
    notices: list[str] = []
    backbone.on_notice = notices.append  # type: ignore[method-assign]
    made = starts_of(backbone, FewShotData({3: train}, {}, train), 20)
    first_round = written(backbone, ["the zoom is bad Sentiment : negative", "a good lens Sentiment : positive"])
    assert torch.equal(made.prompts[3][:13], first_round) and not made.prompts[3][13:].any()
    made = starts_of(backbone, FewShotData({3: train}, {}, train), 11)
    cut = written(backbone, ["the zoom Sentiment : negative", "a good Sentiment : positive"])
    assert torch.equal(made.prompts[3][:10], cut) and made.begins[3].cut
    # Too few for the template: the label word, which comes last, stays.
    made = starts_of(backbone, FewShotData({3: train}, {}, train), 3)
    assert torch.equal(made.prompts[3][:2], written(backbone, ["negative positive"]))
    assert notices[0] == (
        "test: prompts begin from 2 of 4 few-shot rows because there are 20 vectors for them; all rows would fill up "
        "to 24."
    )
    assert "2 of 4 few-shot rows, with texts cut, because there are 11 vectors for them" in notices[1]
    with pytest.raises(UserError, match="of 2 classes do not fit 1 vectors"):
        starts_of(backbone, FewShotData({3: train}, {}, train), 1)


def test_classes_are_balanced_whatever_the_order() -> None:
    pattern: Any = None

    class Row(Demonstration):
        def tokens(self, most: int | None = None) -> list[int]:
            return self.text[:most]

    rows = [Row([number] * 3, None, [], [], pattern) for number in range(6)]
    filled = fill(rows, [1, 1, 1, 0, 0, 0], 13)
    assert filled.shown == [3, 0, 4, 1] and filled.tokens == [3, 3, 3, 0, 0, 0, 4, 4, 4, 1, 1, 1]
    assert fill(rows, [1, 1, 1, 0, 0, 0], 5).tokens == [3, 3, 0, 0]


def test_pairs_are_cut_alike(backbone: CausalBackbone) -> None:
    labels = LABELS.model_copy(update={"template": "{text} and {text_pair} Type :"})
    pattern = backbone.pattern(labels, "test")
    (row,) = demonstrations(backbone, pattern, labels, LabelledTexts([("the old camera lens", "a book")], [1]))
    decoded = [backbone.tokenizer.decode(row.tokens(most)) for most in (None, 8, 6)]
    assert decoded == [
        "the old camera lens and a book Type : positive",
        "the old and a book Type : positive",
        "the and a Type : positive",
    ]


@pytest.mark.parametrize("kind", ["bert", "t5", "sentence"])
def test_other_families_have_them_too(kind: str, tmp_path: Path) -> None:
    folder = tiny.make_language_model(tmp_path / kind, kind)
    backbone: Any = load_backbone(ModelConfig(name=str(folder), dtype="float32", device="cpu"))
    train = LabelledTexts(["so awful", "very lovely song"], [0, 1])
    made = starts_of(backbone, FewShotData({3: train}, {}, train), 20)
    expected = written(backbone, ["so awful Sentiment : negative", "very lovely song Sentiment : positive"])
    assert torch.equal(made.prompts[3][: len(expected)], expected.float())


def test_deep_prompts_are_the_keys_and_values_of_the_rows(world: Path) -> None:
    backbone: Any = load_backbone(ModelConfig(name=str(world / "lm"), dtype="float32", device="cpu"), placement="deep")
    train = LabelledTexts(["so awful", "very lovely song"], [0, 1])
    given = torch.zeros(14, backbone.width)
    rows = TrainRows.of(backbone, backbone.pattern(LABELS, "test"), {3: train})
    made = FromDemonstrations(LABELS, "test")(given, rows).prompts[3]
    tokens = written(backbone, ["so awful Sentiment : negative", "very lovely song Sentiment : positive"])
    torch.testing.assert_close(made[: len(tokens)], backbone.as_prompt(tokens))
    assert not made[len(tokens) :].any()


def outcome_of(backbone: CausalBackbone, data: FewShotData, vectors: int = 30, **settings: Any) -> TuningOutcome:
    config = EvaluationConfig(
        tasks=["x"], learning_rates=[0.01, 0.1], steps=4, batch_size=4, curve_steps=[0, 4], **settings
    )
    plan = TuningPlan(config, (0, 0), starts=FromDemonstrations(LABELS, "test"))
    start = backbone.embedding[20 : 20 + vectors].clone()
    return tune(start, data, plan, backbone=backbone, pattern=backbone.pattern(LABELS, "test"))


def test_each_data_seed_is_tuned_from_its_own_start(backbone: CausalBackbone) -> None:
    data = data_of([3, 8])
    both = outcome_of(backbone, data, proximal=0.5)
    assert both.passes == 2 * 2 * 4 * 4 and not torch.equal(both.starts[3], both.starts[8])
    for seed in (3, 8):
        alone = outcome_of(
            backbone, FewShotData({seed: data.train[seed]}, {seed: data.dev[seed]}, data.scored), proximal=0.5
        )
        assert torch.equal(alone.starts[seed], both.starts[seed])
        torch.testing.assert_close(alone.prompts[seed], both.prompts[seed], rtol=1e-4, atol=1e-5)
        (result,) = [each for each in both.results if each["data_seed"] == seed]
        assert result["start_loss"] == pytest.approx(alone.results[0]["start_loss"], rel=1e-4)
        assert begins_of(result)["of_rows"] == 8


def test_dev_and_scored_rows_have_no_part_in_a_start(backbone: CausalBackbone) -> None:
    data = data_of([3])
    other = FewShotData(data.train, {3: split(900, 8)}, split(901, 24))
    assert torch.equal(outcome_of(backbone, data).starts[3], outcome_of(backbone, other).starts[3])


def test_a_study_with_demonstrations(world: Path, tmp_path: Path) -> None:
    evaluation = {"tasks": [str(world / "mood.yaml")], "data_seeds": [1, 2], "init_seeds": [0]}
    tree = tiny.study_tree(world, methods=METHODS, prompt={"length": 24}, evaluation=evaluation)
    study = Study(parse(StudyConfig, tree, "study.yaml"), tmp_path)
    results = study.run()
    plain, own = (study.fewshot(name, "mood") for name in ("PT", "CT"))
    assert "begins" not in plain.stage["config"] and own.stage["config"]["begins"] == "demonstrations"
    # What they leave free is as in the vocabulary start.
    assert torch.equal(study.prompt("PT").tensors("prompt")["prompt"], study.prompt("CT").tensors("prompt")["prompt"])
    starts = own.tensors("starts")
    assert set(starts) == {"data_seed_1", "data_seed_2"} and starts["data_seed_1"].shape == (24, 32)
    table = begins_table(results)
    assert list(table["method"]) == ["CT", "CT"] and "of its 8 few-shot rows" in str(table.loc[0, "began from"])
    told = [str(lineage(study.workspace, "tiny", name, "mood", data_seed=1, init_seed=0)) for name in ("CT", "PT")]
    assert ["of its 8 few-shot rows" in each for each in told] == [True, False]


def test_where_they_cannot_begin(world: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="pre-training never sees: give it to a method of kind pt"):
        parse(StudyConfig, tiny.study_tree(world, prompt={"init": "demonstrations"}), "study.yaml")
    few = parse(StudyConfig, tiny.study_tree(world, methods=METHODS, prompt={"length": 1}), "study.yaml")
    with pytest.raises(UserError, match="method 'CT': demonstrations of the 2 classes of task 'mood' do not fit 1 vec"):
        Study(few, tmp_path).check()


def test_behind_a_prompt_they_have_vectors_of_their_own(backbone: CausalBackbone) -> None:
    train = LabelledTexts(["so awful", "very lovely song"], [0, 1])
    given = backbone.embedding[20:23].clone()
    rows = TrainRows.of(backbone, backbone.pattern(LABELS, "test"), {3: train})
    made = FromDemonstrations(LABELS, "test", added=14)(given, rows).prompts[3]
    tokens = written(backbone, ["so awful Sentiment : negative", "very lovely song Sentiment : positive"])
    assert torch.equal(made, torch.cat([given, tokens, tokens[: 14 - len(tokens)]]))


def test_a_pretrained_prompt_with_demonstrations_behind_it(world: Path, tmp_path: Path) -> None:
    sgd = {"name": "SGD", "kind": "metapt", "clustering": "kmeans", "learner": "meta_sgd", "outer_lr": 0.5}
    methods = [sgd, {**sgd, "name": "SGD and rows", "tuning": {"demonstrations": 20}}]
    evaluation = {"tasks": [str(world / "mood.yaml")], "data_seeds": [1, 2], "init_seeds": [0]}
    study = Study(parse(StudyConfig, tiny.study_tree(world, methods=methods, evaluation=evaluation), "s"), tmp_path)
    study.run()
    assert study.prompt("SGD").id == study.prompt("SGD and rows").id, "one pre-training serves both"
    own = study.fewshot("SGD and rows", "mood")
    assert own.stage["config"]["begins"] == {"demonstrations": 20}
    start, tuned = (own.tensors(name)["data_seed_2"] for name in ("starts", "prompts"))
    assert torch.equal(start[:3], study.prompt("SGD").tensors("prompt")["prompt"]) and tuned.shape == (23, 32)
    trained = {each["method"]: each["trained_parameters"] for each in method_budgets(study.workspace, study.config)}
    assert trained == {"SGD": 3 * 32, "SGD and rows": 23 * 32}
    export_prompt(study.workspace, PromptChoice("tiny", "SGD and rows", "mood"), tmp_path / "out")
    assert PromptFacts.load(tmp_path / "out").tokens == 23
    study.lens()


def test_what_does_not_go_with_them() -> None:
    few = {"tuning": {"demonstrations": 20}}
    with pytest.raises(ValueError, match="does not go with `init: demonstrations`"):
        MethodConfig(name="m", kind="pt", init="demonstrations", **few)
    with pytest.raises(ValueError, match="does not go with a learner of several starts"):
        MethodConfig(name="m", kind="metapt", clustering="c", learner="hsml", **few)


def test_a_start_in_words() -> None:
    begins = {"demonstrations": 2, "of_rows": 8, "vectors": 10, "cut": True}
    assert format_begins(begins) == "began from 2 of its 8 few-shot rows (10 vectors, texts cut)"
