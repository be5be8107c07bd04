"""Every number, list and text of the settings has a bound, and what is beyond it is refused in a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny

from metapt_explore.cli.run import parse_seeds
from metapt_explore.config import StudyConfig, TaskConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.storage.workspace import Workspace


def unbounded(schema: Any, where: str = "") -> Iterator[str]:
    """Places of a JSON schema that take a number, a list or a text of any size."""
    if isinstance(schema, list):
        for part in schema:
            yield from unbounded(part, where)
    if not isinstance(schema, dict):
        return
    kind = schema.get("type")
    closed = "enum" in schema or "const" in schema
    if kind in ("integer", "number") and not closed and not {"maximum", "exclusiveMaximum"} & schema.keys():
        yield f"{where}: {kind}"
    if kind == "array" and "maxItems" not in schema:
        yield f"{where}: list"
    if kind == "string" and not closed and "maxLength" not in schema:
        yield f"{where}: text"
    for key, part in schema.items():
        if key not in ("default", "description", "title"):
            yield from unbounded(part, f"{where}.{key}" if key not in ("properties", "$defs", "anyOf") else where)


@pytest.mark.parametrize("model", [StudyConfig, TaskConfig])
def test_no_setting_is_without_a_bound(model: type[StudyConfig] | type[TaskConfig]) -> None:
    assert list(unbounded(model.model_json_schema())) == []


def refused(said: str, **changes: Any) -> None:
    with pytest.raises(UserError, match=said) as told:
        parse(StudyConfig, tiny.study_tree(Path("/w"), **changes), "study.yaml")
    assert len(str(told.value)) < 6000


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (10**9, r"pretraining\.steps: the limit is 1,000,000 \(found 1000000000\)"),
        (10**5000, "the limit is 1,000,000"),
        (-1, "greater than or equal to 1"),
        (True, "a number is expected, found true"),
        ("true", "a whole number is expected, found the text 'true'"),
        ("1e3", "found the text '1e3': write it in plain digits"),
        (2.5, "a whole number is expected, found 2.5"),
        (float("inf"), "finite"),
        (float("nan"), "finite"),
        (None, "found nothing"),
        ([3], "a whole number is expected, found a list"),
    ],
    ids=lambda value: str(value)[:20] if not isinstance(value, int) or value < 10**9 else "many digits",
)
def test_numbers_that_nobody_means(steps: Any, said: str) -> None:
    refused(said, pretraining={"steps": steps})
    if isinstance(steps, float) and steps != steps:
        refused("finite", pretraining={"inner_lr": steps}, evaluation={"learning_rates": [0.1]})
        refused("finite", evaluation={"learning_rates": [steps]})


def test_lists_that_nobody_means() -> None:
    many = [{"name": f"m{i}", "kind": "pt"} for i in range(15_000)]
    refused("methods: more than 1,000 of them", methods=many)
    tasks = [f"{i}.yaml" for i in range(90_000)]
    refused(r"evaluation\.tasks: 90,000 entries; 1,000 at most", evaluation={"tasks": tasks})
    refused("90,000 entries; 10,000 at most", evaluation={"data_seeds": list(range(90_000))})
    seeds = {"data_seeds": list(range(10_000)), "init_seeds": list(range(10_000))}
    refused("make 600,000,000 scores; 1,000,000 at most", evaluation=seeds)
    swept = {"name": "k", "algorithm": "kmeans", "n_clusters": list(range(2, 900)), "seed": list(range(900))}
    refused("clusterings: more than 1,000 of them", clusterings=[swept])
    refused("and 2,990 more", **{f"key{i}": 1 for i in range(3000)})
    for seeds_written in ("0-99999999", "9" * 5000, "²", "0-", "5-2"):
        with pytest.raises(UserError):
            parse_seeds(seeds_written)


@pytest.mark.parametrize(
    "name", ["a/b", "a\\b", "..", ".", "con", "NUL.txt", "x.", "-x", "", " a", "a\n", "ä", "x" * 300]
)
def test_a_study_is_called_what_a_folder_can_be(name: str) -> None:
    refused("name: ", name=name)


@pytest.mark.parametrize(
    "name", ["", " ", " a", "a\nb", "\x1b[31m", "a\u202eb", "\x9b", "x" * 300, 5, None, True, ["a"]]
)
def test_a_method_is_called_what_a_line_can_show(name: Any) -> None:
    refused(r"methods\.0\.name: ", methods=[{"name": name, "kind": "pt"}])
    refused(r"clusterings\.0\.name: |clusterings", clusterings=[{"name": name, "algorithm": "hdbscan"}])


def test_names_of_any_script_and_with_any_sign() -> None:
    for name in ("日本語", "PPT + MetaPT (2)", "$\\x{y}$", "<b>", "[red]", "=1+1", "a/b", "👩\u200d💻"):
        parse(StudyConfig, tiny.study_tree(Path("/w"), methods=[{"name": name, "kind": "pt"}]), "study.yaml")


def test_studies_of_a_workspace_differ_in_more_than_case(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.save_study(parse(StudyConfig, tiny.study_tree(Path("/w"), name="Mine"), "study.yaml"))
    workspace.save_study(parse(StudyConfig, tiny.study_tree(Path("/w"), name="Mine", title="again"), "study.yaml"))
    with pytest.raises(UserError, match="has a study 'Mine' already, and 'mine' differs from it in case only"):
        workspace.save_study(parse(StudyConfig, tiny.study_tree(Path("/w"), name="mine"), "study.yaml"))
