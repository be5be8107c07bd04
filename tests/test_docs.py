"""Examples in docstrings run; notebooks are committed without outputs; the README names what exists."""

from __future__ import annotations

import doctest
import json
import pkgutil
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import metapt_explore
from metapt_explore.config import load_study, parse
from metapt_explore.config.study import StudyConfig
from metapt_explore.config.task import TaskConfig

ROOT = Path(__file__).parents[1]
#: Pages are scripts, and __main__ runs the command line: importing them would start something.
SCRIPTS = ("metapt_explore.dashboard.views", "metapt_explore.dashboard.main", "metapt_explore.__main__")
PAGES = ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{file.name}" for file in (ROOT / "docs").glob("*.md"))]
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


@pytest.mark.parametrize("file", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda file: file.name)
def test_cells_of_notebooks_are_short_and_solutions_folded(file: Path) -> None:
    """In JupyterLab by `source_hidden`, on the site by the tag."""
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    assert not [cell["id"] for cell in cells if len(cell["source"]) > 25]
    assert len({cell["id"] for cell in cells}) == len(cells)
    solutions = [cell for cell in cells if "".join(cell["source"]).startswith("# Solution")]
    assert solutions
    for cell in solutions:
        assert cell["metadata"] == {"jupyter": {"source_hidden": True}, "tags": ["solution", "hide-cell"]}


def test_the_studies_in_the_quickstart_are_valid() -> None:
    import yaml

    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8"), re.S)
    study, task = (yaml.safe_load(block) for block in blocks)
    assert parse(StudyConfig, study, "quickstart's study").methods[-2].clustering == "random"
    assert list(parse(TaskConfig, task, "quickstart's task").labels) == ["negative", "positive"]


def test_the_readme_is_short_and_shows_the_dashboard_first() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) <= 1500
    assert text.index("](docs/images/") < text.index("\n## ")


def test_the_readme_names_the_starter_model_as_what_it_is() -> None:
    from metapt_explore.models.setup import MODEL_PACKAGE

    assert MODEL_PACKAGE[2].endswith("SmolLM2-135M-Instruct.Q4_1.gguf")
    for page in ("README.md", "docs/findings.md", "docs/quickstart.md"):
        text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
        assert "SmolLM2-135M-Instruct" in text and "rounded to 4 bits" in text, page


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    for link in re.findall(r"\]\(((?!http|#)[^)]+)\)", (ROOT / page).read_text(encoding="utf-8")):
        file = link.partition("#")[0]
        assert "_generated/" in file or ((ROOT / page).parent / file).exists(), link


@pytest.mark.parametrize("page", PAGES)
def test_files_of_code_that_pages_name_exist(page: str) -> None:
    files = [
        file.relative_to(ROOT).as_posix() for part in ("metapt_explore", "tests") for file in (ROOT / part).rglob("*")
    ]
    named = re.findall(r"`([\w/.-]+\.py|(?:tests|metapt_explore)/[\w/.-]*)`", (ROOT / page).read_text(encoding="utf-8"))
    for name in named:
        assert (ROOT / name).exists() or any(f"/{file}".endswith(f"/{name}") for file in files), name


def test_defaults_named_in_the_quickstart() -> None:
    text = " ".join((ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8").split())
    defaults = StudyConfig.model_fields["pretraining"].default
    assert f"{defaults.steps} outer steps of {defaults.meta_batch_size} tasks" in text
    assert f"({defaults.support_size} support + {defaults.query_size} query)" in text
    assert load_study("tour").evaluation.shots == 8 and "eight examples a class" in text


@pytest.mark.parametrize("study", ["amazon", "starter"])
def test_score_tables_in_the_findings_are_the_records(study: str) -> None:
    """To the last digit."""
    from metapt_explore.reporting.document import _markdown_table
    from metapt_explore.reporting.tables import score_table
    from metapt_explore.results.record import Record

    record = Record.load(ROOT / "studies" / study)
    scored = list(dict.fromkeys(record.results["method"]))
    methods = [m for m in record.methods if m in scored] + [m for m in scored if m not in record.methods]
    table = _markdown_table(score_table(record.results, methods))
    assert table in (ROOT / "docs" / "findings-in-detail.md").read_text(encoding="utf-8")


@pytest.fixture
def figure(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script that draws the findings."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import findings_figure

    return findings_figure


def test_the_tables_of_findings_are_computed_from_the_records(figure: Any) -> None:
    page = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    rows = figure.compared(page)
    assert len(rows) >= 8 and "Does MetaPT beat pooled pre-training?" in dict(row[:2] for row in rows)
    for _, method, other, cells in rows:
        for study, cell in zip(figure.studies_of(method), cells, strict=True):
            if cell != "not run":
                assert cell == figure.cell(figure.difference(study, method, other)), (method, other)
    for shots, by_pair in figure.by_examples(page):
        for (method, other), cell in by_pair.items():
            assert cell == figure.cell(figure.difference(figure.FEW, method, other, shots)), (method, other, shots)


def test_the_figure_of_findings_is_of_their_tables(figure: Any) -> None:
    """Its texts, which hold every number, and its colours; where things stand depends on a machine's fonts."""
    drawn = figure.draw((ROOT / "docs" / "findings.md").read_text(encoding="utf-8"))
    kept = figure.FILE.read_text(encoding="utf-8")
    for part in (">[^<>]+</text>", "stroke: #[0-9a-f]+", "fill: #[0-9a-f]+"):
        assert sorted(re.findall(part, kept)) == sorted(re.findall(part, drawn)), part


def test_what_the_readme_found_stands_in_the_findings() -> None:
    """Its few lines and every interval in them; the figure is that of the findings."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = readme[readme.index("## What we found") : readme.index("## Your own study")]
    findings = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    intervals = re.findall(r"[+−]\d+\.\d \([+−]\d+\.\d to [+−]\d+\.\d\)", found)
    assert len(intervals) >= 4 and all(interval in findings for interval in intervals)
    assert found.count("\n- ") == 5 and "(docs/images/findings.svg)" in found


@pytest.mark.parametrize("file", sorted((ROOT / "studies").glob("*/record.json")), ids=lambda file: file.parent.name)
def test_reports_of_recorded_studies_are_those_that_the_tool_makes(file: Path) -> None:
    from metapt_explore.reporting.document import Figure
    from metapt_explore.reporting.report import make_report
    from metapt_explore.results.record import Record

    report = make_report(Record.load(file.parent))
    assert report.markdown().strip() == (file.parent / "report.md").read_text(encoding="utf-8").strip()
    assert all(block.svg.startswith("<?xml") for block in report.blocks if isinstance(block, Figure)), "all are drawn"
