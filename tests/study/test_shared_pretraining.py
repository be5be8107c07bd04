"""Settings that pre-trainings share, a method's own, and defaults that depend: what holds, and what enters ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny

from metapt_explore.config import StudyConfig, parse, to_yaml
from metapt_explore.config.load import read_yaml
from metapt_explore.results.budgets import method_budgets
from metapt_explore.stages.prompt import Prompt
from metapt_explore.study.study import Study

PPT = {"name": "PPT", "kind": "ppt"}
METAPT = {"name": "MetaPT", "kind": "metapt", "clustering": "kmeans"}


def study(world: Path, folder: Path, methods: list[dict[str, Any]], **pretraining: Any) -> Study:
    evaluation = {"tasks": [str(world / "mood.yaml")], "data_seeds": [1], "init_seeds": [0]}
    tree = tiny.study_tree(world, methods=methods, evaluation=evaluation, pretraining=pretraining)
    return Study(parse(StudyConfig, tree, "test"), folder)


def test_prompts_of_studies_without_new_settings_keep_their_ids(world: Path, tmp_path: Path) -> None:
    """The keys as they stood when studies were recorded: a key more or less would be another question."""
    reptile = {**METAPT, "name": "Reptile", "learner": "reptile"}
    made = study(world, tmp_path, [PPT, METAPT, reptile, {**reptile, "name": "same", "inner_rows": "same"}])
    keys = {method.name: set(Prompt(made, method, 0).config()) for method in made.config.methods}
    shared = {"kind", "init_seed", "seed", "length", "placement", "init", "steps", "meta_batch_size", "support_size"}
    shared |= {"query_size", "outer_lr", "average_last", "template", "words", "classes", "decode"}
    assert keys["PPT"] == shared
    assert keys["MetaPT"] == shared | {
        *("learner", "inner_steps", "inner_lr", "outer_steps"),
        *("order", "pooled_weight", "task_weights"),
    }
    assert keys["Reptile"] == keys["same"] == shared | {"learner", "inner_steps", "inner_lr", "outer_steps"}
    longer = study(world, tmp_path, [{**reptile, "inner_steps": 2}])
    assert Prompt(longer, longer.config.methods[0], 0).config()["inner_rows"] == "new"


def test_averaging_is_shared_and_a_methods_own_overrides_it(world: Path, tmp_path: Path) -> None:
    def ids(methods: list[dict[str, Any]], **pretraining: Any) -> list[str]:
        made = study(world, tmp_path, methods, **pretraining)
        return [Prompt(made, method, 0).id for method in made.config.methods]

    plain, mean = ids([PPT, METAPT]), ids([{**PPT, "average_last": 0.5}, {**METAPT, "average_last": 0.5}])
    assert ids([PPT, METAPT], average_last=0.5) == mean and not set(mean) & set(plain)
    assert ids([{**PPT, "average_last": 0.0}, METAPT], average_last=0.5) == [plain[0], mean[1]]
    made = study(world, tmp_path, [PPT, {**METAPT, "average_last": 0.0}], average_last=0.5)
    made.run()
    assert [budget["average_last"] for budget in method_budgets(made.workspace, made.config)] == [0.5, 0.0]


@pytest.mark.parametrize(
    ("shared", "own", "rate"),
    [
        ({}, {}, 0.064),
        ({}, {"order": "exact"}, 0.03),
        ({"inner_optimiser": "gradient"}, {}, 0.03),
        ({"inner_optimiser": "gradient"}, {"inner_optimiser": "adam"}, 0.064),
        ({"inner_optimiser": "adam"}, {"inner_optimiser": "gradient"}, 0.03),
        ({"inner_optimiser": "adam", "inner_lr": 0.2}, {}, 0.2),
        ({"inner_optimiser": "adam", "inner_lr": 0.2}, {"inner_lr": 0.1}, 0.1),
    ],
    ids=str,
)
def test_an_inner_step_of_adam_is_as_long_as_one_of_tuning(
    world: Path, shared: dict[str, Any], own: dict[str, Any], rate: float
) -> None:
    # Of four rates the third, as tuning is free to take it.
    evaluation = {"learning_rates": [0.256, 0.004, 0.016, 0.064]}
    tree = tiny.study_tree(
        world, methods=[PPT, {**METAPT, **own}], evaluation=evaluation, pretraining={"inner_lr": None, **shared}
    )
    config = parse(StudyConfig, tree, "test")
    assert config.pretraining_of(config.method("MetaPT")).inner_lr == rate
    again = parse(StudyConfig, read_yaml(_written(world, to_yaml(config))), "test")
    assert again == config, "what is not given stays open"


def _written(world: Path, text: str) -> Path:
    file = world / "shared_pretraining.yaml"
    file.write_text(text, encoding="utf-8")
    return file
