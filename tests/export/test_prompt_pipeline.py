"""`prompt_pipeline.py` beside a prompt: transformers alone, without this package, says what the study saw."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import tiny
from layouts import SMALL, rows_on_test

from metapt_explore.config import StudyConfig, parse
from metapt_explore.export import prompt_pipeline
from metapt_explore.export.classify import Classifier
from metapt_explore.export.export import PromptChoice, export_prompt
from metapt_explore.fewshot.logistic_regression import NEVER
from metapt_explore.study.study import Study

#: Runs a file in an interpreter in which this package cannot be imported, wherever it is installed.
WITHOUT_PACKAGE = """
import runpy, sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "metapt_explore":
            raise ModuleNotFoundError(f"there is no {name} here")

sys.meta_path.insert(0, Refused())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def module_of(folder: Path) -> ModuleType:
    """The written file as a module of its own."""
    made = ModuleType("prompt_pipeline_of_a_folder")
    exec(compile((folder / "prompt_pipeline.py").read_text(encoding="utf-8"), "prompt_pipeline.py", "exec"), vars(made))
    return made


@pytest.fixture(scope="module")
def with_probe(world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Path]:
    """A prompt that is read beside a probe."""
    base = tmp_path_factory.mktemp("probe")
    verbalizer = {"read": "probe_ensemble"}
    tree = tiny.study_tree(world, pretraining={"steps": 2}, evaluation={**SMALL, "shots": 6}, verbalizer=verbalizer)
    study = Study(parse(StudyConfig, tree, "test"), base / "workspace")
    study.fewshot("MetaPT", "mood")
    export_prompt(study.workspace, PromptChoice("tiny", "MetaPT", "mood", 2), base / "exported")
    return study, base / "exported"


@pytest.mark.parametrize("layout", ["llama-suffix", "llama-prefix", "gpt2-prefix", "llama-deep", "gpt2-deep"])
def test_it_says_the_same(studies: dict[str, tuple[Study, Path]], layout: str) -> None:
    study, folder = studies[layout]
    texts, _ = rows_on_test(study)
    classify = module_of(folder).load_prompt(folder)
    expected = list(Classifier(folder, dtype="float32").classify(texts))
    for answer, prediction in zip(classify(texts, top_k=None), expected, strict=True):
        assert {each["label"]: each["score"] for each in answer} == pytest.approx(prediction.probabilities, abs=1e-5)
    best = classify(texts, batch_size=4)
    assert [each["label"] for each in best] == [each.label for each in expected]
    assert classify(texts[0]) == [pytest.approx(best[0])], "one text gives a list of one, as transformers has it"


def test_a_probe_is_read_too(with_probe: tuple[Study, Path]) -> None:
    study, folder = with_probe
    texts, _ = rows_on_test(study)
    facts = json.loads((folder / "prompt.json").read_text(encoding="utf-8"))
    classify = module_of(folder).load_prompt(folder)
    for weight in (facts["probe"]["probe"], 2.0):
        facts["probe"]["probe"] = weight  # dev may have chosen to leave it out
        (folder / "prompt.json").write_text(json.dumps(facts), encoding="utf-8")
        classify = module_of(folder).load_prompt(folder)
        expected = list(Classifier(folder, dtype="float32").classify(texts))
        for answer, prediction in zip(classify(texts, top_k=None), expected, strict=True):
            assert {each["label"]: each["score"] for each in answer} == pytest.approx(
                prediction.probabilities, abs=1e-5
            )
    assert prompt_pipeline.LEAST == NEVER


def test_it_runs_where_this_package_is_not(studies: dict[str, tuple[Study, Path]], tmp_path: Path) -> None:
    """The default placement, in a shell, in a process that cannot import this package."""
    study, folder = studies["llama-suffix"]
    texts, _ = rows_on_test(study)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PACKAGE, str(folder / "prompt_pipeline.py")],
        input="\n".join(texts), capture_output=True, check=False, cwd=tmp_path, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    expected = list(Classifier(folder, dtype="float32").classify(texts))
    assert [answer["label"] for answer in answers] == [each.label for each in expected]
    for answer, prediction in zip(answers, expected, strict=True):
        assert answer["probabilities"] == pytest.approx(prediction.probabilities, abs=1e-5)


def test_it_is_written_where_it_can_read_the_prompt(studies: dict[str, tuple[Study, Path]]) -> None:
    for layout, (study, folder) in studies.items():
        card = (folder / "README.md").read_text(encoding="utf-8")
        assert (folder / "prompt_pipeline.py").exists() == study.backbone.left_to_right, layout
        assert ("from prompt_pipeline import load_prompt" in card) == study.backbone.left_to_right
