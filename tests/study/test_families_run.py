"""One study of every family, and every way of reading classes, from texts to the results table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny

from metapt_explore.config import StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.study.study import Study

#: Model kinds with every placement of their family.
RUNS = [
    ("t5", "encoder"),
    ("t5", "decoder"),
    ("bart", "encoder"),
    ("bart", "decoder"),
    ("bert", "prefix"),
    ("roberta", "prefix"),
    ("sentence", "prefix"),
    ("gpt2", "suffix"),
    ("gpt2", "prefix"),
    ("gpt2", "deep"),
    ("qwen2", "suffix"),
    ("qwen2", "prefix"),
    ("qwen2", "deep"),
]
SMALL = {
    "data_seeds": [1, 2],
    "steps": 2,
    "curve_steps": [0, 2],
    "test_rows": 12,
}


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of tiny random models, one for each kind."""
    folder = tmp_path_factory.mktemp("models")
    for kind in dict.fromkeys(kind for kind, _ in RUNS):
        tiny.make_language_model(folder / kind, kind)
    return folder


def study_of(world: Path, workspace: Path, model: Path, **changes: Any) -> Study:
    tree = tiny.study_tree(
        world,
        **{
            "model": {"name": str(model)},
            "pretraining": {"steps": 2},
            "evaluation": SMALL,
            **changes,
        },
    )
    return Study(parse(StudyConfig, tree, "test"), workspace)


@pytest.mark.parametrize(("kind", "placement"), RUNS, ids=["-".join(run) for run in RUNS])
def test_a_study_of_each_family_and_placement(
    kind: str, placement: str, world: Path, models: Path, tmp_path: Path
) -> None:
    study = study_of(
        world,
        tmp_path,
        models / kind,
        prompt={"length": 3, "placement": placement},
        pretraining={"steps": 2, "outer_lr": 0.1},
    )
    table = study.run()
    assert set(table["method"]) == {"PT", "PPT", "MetaPT"}
    assert len(table) == 3 * 2 * 2
    assert table["test_loss"].notna().all()
    for method in ("PPT", "MetaPT"):
        assert study.prompt(method).summary["moved"] > 0
    start = study.prompt("PT").tensors("prompt")["prompt"]
    assert not any(start.equal(study.prompt(m).tensors("prompt")["prompt"]) for m in ("PPT", "MetaPT"))


@pytest.mark.parametrize(
    ("kind", "placement", "can"),
    [("t5", "suffix", "encoder"), ("bert", "decoder", "prefix"), ("gpt2", "encoder", "suffix")],
)
def test_an_impossible_placement_is_refused_with_the_possible_ones(
    kind: str, placement: str, can: str, world: Path, models: Path, tmp_path: Path
) -> None:
    study = study_of(world, tmp_path, models / kind, prompt={"length": 3, "placement": placement})
    with pytest.raises(UserError, match=rf"prompt.placement is `{placement}`.*can do .*{can}"):
        study.check()


VERBALIZERS: list[dict[str, Any]] = [
    {"decode": "whole_vocabulary"},
    {"read": "prototypes"},
    {"read": "mixed"},
    {"read": "automatic", "automatic_words": 2},
    {"read": "probe_ensemble"},
    {"calibration": "batch_mean"},
    {"calibration": "content_free", "content_free": ["of the", "w1"]},
]
ONLY_PT = {"methods": [{"name": "PT", "kind": "pt"}, {"name": "PPT", "kind": "ppt"}]}


@pytest.mark.parametrize("settings", VERBALIZERS, ids=lambda settings: "-".join(map(str, settings.values())))
@pytest.mark.parametrize("kind", ["qwen2", "t5", "bert"])
def test_every_way_of_reading_classes(
    kind: str, settings: dict[str, Any], world: Path, models: Path, tmp_path: Path
) -> None:
    plain = study_of(world, tmp_path, models / kind, **ONLY_PT)
    other = study_of(world, tmp_path, models / kind, verbalizer=settings, **ONLY_PT)
    found = other.run()
    assert found["test_loss"].notna().all()
    # The prompt is pre-trained by label words either way, unless every token competes.
    same = settings.get("decode") is None
    assert (plain.prompt("PPT").id == other.prompt("PPT").id) == same
    assert plain.fewshot("PT", "mood").id != other.fewshot("PT", "mood").id
    losses = [study.fewshot("PT", "mood").table("results")["test_loss"].tolist() for study in (plain, other)]
    assert losses[0] != losses[1]
    if settings.get("read") == "automatic":
        results = other.fewshot("PT", "mood").table("results")
        words = [json.loads(entry) for entry in results["words"]]
        assert all(set(entry) == {"negative", "positive"} for entry in words)
        assert all(len(set(entry["negative"]) | set(entry["positive"])) == 4 for entry in words)
        # Chosen on the examples of a seed, without a prompt: the same for every method.
        assert results["words"].tolist() == other.fewshot("PPT", "mood").table("results")["words"].tolist()


def test_words_of_several_tokens_and_several_words(world: Path, models: Path, tmp_path: Path) -> None:
    labels = {"negative": ["bad", "very poor"], "positive": ["good", "very solid", "quite lovely"]}
    for kind in ("qwen2", "t5", "bert"):
        study = study_of(world, tmp_path / kind, models / kind, auxiliary_tasks={"labels": labels}, **ONLY_PT)
        assert study.run()["test_loss"].notna().all()


def test_a_sentence_encoder_reads_descriptions(world: Path, models: Path, tmp_path: Path) -> None:
    labels = {
        "negative": {"value": "negative", "description": "this was very bad and awful"},
        "positive": {"value": "positive", "description": "this is really good and superb"},
    }
    study = study_of(world, tmp_path, models / "sentence", auxiliary_tasks={"labels": labels}, **ONLY_PT)
    assert study.run()["test_loss"].notna().all()
    automatic = study_of(world, tmp_path, models / "sentence", verbalizer={"read": "automatic"}, **ONLY_PT)
    with pytest.raises(UserError, match="has no words to choose from"):
        automatic.check()
    whole = study_of(world, tmp_path, models / "sentence", verbalizer={"decode": "whole_vocabulary"}, **ONLY_PT)
    with pytest.raises(UserError, match="needs a model with an output layer"):
        whole.check()


PAIR_TEXTS = {
    "texts": {"columns": {**tiny.PAIR_COLUMNS, "group": "topic"}},
    "auxiliary_tasks": {"template": "{text} and {text_pair} Type :", "labels": {"no": "bad", "yes": "good"}},
}


@pytest.mark.parametrize(
    ("kind", "placement"),
    [("t5", "decoder"), ("bert", "prefix"), ("bart", "encoder"), ("qwen2", "suffix"), ("sentence", "prefix")],
)
def test_pairs_of_texts_from_file_to_results(
    kind: str, placement: str, world: Path, models: Path, tmp_path: Path
) -> None:
    """Pre-training on pairs, and one task of pairs beside one of single texts."""
    study = study_of(
        world,
        tmp_path,
        models / kind,
        prompt={"length": 3, "placement": placement},
        texts={"file": str(world / "pairs.csv"), **PAIR_TEXTS["texts"]},
        auxiliary_tasks={**PAIR_TEXTS["auxiliary_tasks"], "min_per_label": 2},
        evaluation={**SMALL, "tasks": [str(world / "same.yaml"), str(world / "mood.yaml")]},
    )
    table = study.run()
    assert set(table["task"]) == {"same", "mood"} and table["test_loss"].notna().all()
    assert list(study.texts().table("texts").columns) == ["source_row", "text", "text_pair", "label", "group"]
    assert "text_pair" not in study.split("mood").table("rows")
    rows = study.split("same").table("rows")
    assert rows["text_pair"].str.len().min() > 0
    assert not set(zip(rows["text"], rows["text_pair"], strict=True)) & set(
        study.texts().table("texts")[["text", "text_pair"]].itertuples(index=False, name=None)
    )


@pytest.mark.parametrize("kind", ["t5", "bert", "sentence"])
@pytest.mark.parametrize("start", ["random", "labels", {"text": "is this good or bad"}], ids=str)
def test_every_start(kind: str, start: Any, world: Path, models: Path, tmp_path: Path) -> None:
    """Descriptions stand in for words where there are none."""
    labels = {
        name: {"value": name, "description": f"this was {word}"} | ({} if kind == "sentence" else {"word": word})
        for name, word in (("negative", "bad"), ("positive", "good"))
    }
    study = study_of(
        world, tmp_path, models / kind, prompt={"length": 3, "init": start}, auxiliary_tasks={"labels": labels}
    )
    assert study.prompt("PPT").summary["moved"] > 0


@pytest.mark.parametrize("kind", ["t5", "bart", "bert"])
def test_a_peft_adapter_of_each_family_is_a_start(kind: str, world: Path, models: Path, tmp_path: Path) -> None:
    """As PEFT saves it; of an encoder-decoder's two prompts the encoder's is taken."""
    import torch
    import transformers
    from peft import PromptTuningConfig, TaskType, get_peft_model

    name, task = {
        "t5": ("AutoModelForSeq2SeqLM", TaskType.SEQ_2_SEQ_LM),
        "bart": ("AutoModelForSeq2SeqLM", TaskType.SEQ_2_SEQ_LM),
        "bert": ("AutoModelForMaskedLM", TaskType.FEATURE_EXTRACTION),
    }[kind]
    model = getattr(transformers, name).from_pretrained(models / kind)
    tuned = get_peft_model(model, PromptTuningConfig(task_type=task, num_virtual_tokens=3))
    weight = tuned.prompt_encoder["default"].embedding.weight
    tuned.save_pretrained(tmp_path / "adapter")
    study = study_of(
        world, tmp_path / "w", models / kind, prompt={"length": 3, "init": {"peft": str(tmp_path / "adapter")}}
    )
    study.check()
    assert torch.equal(study.prompt("PT").tensors("prompt")["prompt"], weight[:3].detach())


def test_the_packaged_sentence_encoder_for_real(world: Path, tmp_path: Path) -> None:
    """The tour with MiniLM, shortened, and beside a task of single texts one of pairs."""
    from metapt_explore.config import load_study
    from metapt_explore.models.setup import is_set_up

    if not is_set_up():
        pytest.skip("the starter models are not there; run `metapt setup`")
    tree = load_study("tour_minilm").model_dump(mode="json", exclude_none=True)
    tree["model"] |= {"dtype": "float32", "device": "cpu"}
    tree["texts"]["limit"] = 200
    tree["auxiliary_tasks"] |= {"min_size": 16, "min_per_label": 4}
    tree["pretraining"] |= {"steps": 3, "meta_batch_size": 2, "support_size": 4, "query_size": 4}
    tree["evaluation"] |= {"tasks": ["rotten_tomatoes", str(world / "same.yaml")], "data_seeds": [13], "steps": 3}
    tree["evaluation"] |= {"shots": 4, "test_rows": 20, "curve_steps": [0, 3], "batch_size": 4}
    tree["methods"] = [{"name": "PT", "kind": "pt"}, {"name": "M", "kind": "metapt", "clustering": "kmeans"}]
    study = Study(parse(StudyConfig, tree, "test"), tmp_path)
    table = study.run()
    assert study.family == "sentence" and set(table["task"]) == {"rotten_tomatoes", "same"}
    assert table["test_loss"].notna().all() and study.prompt("M").summary["moved"] > 0


@pytest.mark.parametrize("kind", ["bert", "t5", "sentence", "gpt2"])
def test_answers_of_an_older_reading_are_not_taken(
    kind: str, world: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of these families were read otherwise once; decoder-only models' never were, and their ids stay."""

    def ids() -> dict[str, str]:
        study = study_of(world, tmp_path, models / kind, prompt={"length": 3}, labelling={"by": "zero_shot"})
        labels = study.labels()
        assert labels is not None and ("reading" in labels.stage["inputs"]) == (kind != "gpt2")
        made = {
            "labels": labels,
            "prompt": study.prompt("PT"),
            "fewshot": study.fewshot("PT", "mood"),
            "probe": study.rank_templates("mood"),
            "split": study.split("mood"),
            "clusters": study.clusters("kmeans"),
        }
        return {name: artifact.id for name, artifact in made.items()}

    now = ids()
    monkeypatch.setattr("metapt_explore.models.study_model.READING", 1)
    before = ids()
    changed = {name for name in now if now[name] != before[name]}
    assert changed == (set() if kind == "gpt2" else {"labels", "prompt", "fewshot", "probe"})
