"""Examples in docstrings run; notebooks are committed without outputs; the README names what exists."""

from __future__ import annotations

import doctest
import json
import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest

import metapt_explore
from metapt_explore.config import load_study, parse
from metapt_explore.config.study import StudyConfig
from metapt_explore.config.task import TaskConfig

ROOT = Path(__file__).parents[1]
#: Pages are scripts, and __main__ runs the command line: importing them would start something.
SCRIPTS = ("metapt_explore.dashboard.views", "metapt_explore.__main__")
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(metapt_explore.__path__, "metapt_explore.")
    if not module.name.startswith(SCRIPTS)
)


@pytest.mark.parametrize("name", ["metapt_explore", *MODULES])
def test_examples_in_docstrings(name: str) -> None:
    module = import_module(name)
    # Examples use what stands in their module.
    assert doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0


@pytest.mark.parametrize("file", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda file: file.name)
def test_notebooks_are_committed_without_outputs(file: Path) -> None:
    notebook = json.loads(file.read_text(encoding="utf-8"))
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert not cell["outputs"] and cell["execution_count"] is None


def test_the_studies_in_the_readme_are_valid() -> None:
    import yaml

    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    study, task = (yaml.safe_load(block) for block in blocks)
    assert parse(StudyConfig, study, "README study").methods[-2].clustering == "random"
    assert list(parse(TaskConfig, task, "README task").labels) == ["negative", "positive"]


def test_files_and_defaults_named_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\(((?!http)[^)]+)\)", text):
        assert (ROOT / link).exists(), link
    defaults = StudyConfig.model_fields["pretraining"].default
    assert f"{defaults.steps} outer steps of {defaults.meta_batch_size} tasks" in text
    assert f"({defaults.support_size} support + {defaults.query_size} query)" in " ".join(text.split())
    assert load_study("tour").evaluation.shots == 8 and "eight examples per class" in text


def test_the_table_of_the_study_in_the_readme_is_its_records() -> None:
    """Figures in the README are those of the record beside the study, to the last digit."""
    from metapt_explore.reporting.document import _markdown_table
    from metapt_explore.reporting.tables import score_table
    from metapt_explore.results.record import Record

    record = Record.load(ROOT / "studies" / "amazon")
    scored = list(dict.fromkeys(record.results["method"]))
    methods = [m for m in record.methods if m in scored] + [m for m in scored if m not in record.methods]
    assert _markdown_table(score_table(record.results, methods)) in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", sorted((ROOT / "studies").glob("*/record.json")), ids=lambda file: file.parent.name)
def test_reports_of_recorded_studies_are_those_that_the_tool_makes(file: Path) -> None:
    from metapt_explore.reporting.report import make_report
    from metapt_explore.results.record import Record

    report = make_report(Record.load(file.parent))
    assert report.markdown().strip() == (file.parent / "report.md").read_text(encoding="utf-8").strip()
