"""The documentation site is built without a warning, and the pages made of the code are whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
pytest.importorskip("sphinx", reason="the site's generator is not installed (`pip install -e .[docs]`)")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The site: the one that `make ci` has just built, where warnings are errors, too; else built here."""
    if "METAPT_SITE" in os.environ:
        return Path(os.environ["METAPT_SITE"])
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", str(tmp_path / "trees"), "-b", "html"]
    done = subprocess.run(
        [*command, str(ROOT / "docs"), str(tmp_path / "site")], capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    return tmp_path / "site"


def test_the_site_is_built_without_a_warning(site: Path) -> None:
    study = (site / "_generated" / "study-file.html").read_text(encoding="utf-8")
    assert "halving_steps" in study and "successive halving" in study
    assert "metapt data check" in (site / "_generated" / "commands.html").read_text(encoding="utf-8")
    assert "Does MetaPT beat pooled pre-training?" in (site / "findings.html").read_text(encoding="utf-8")
    tour = (site / "_generated" / "notebooks" / "01_tour.html").read_text(encoding="utf-8")
    assert "Without outputs" in tour or "As it ran" in tour
    assert "# Solution" in tour.partition("<details")[2]
    assert (site / "_static" / "plotly.min.js").exists()


def test_notebooks_are_shown_as_they_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the outputs of the same cells, and their figures drawn; without any where cells changed since they ran."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import executed

    source = ROOT / "notebooks" / "01_tour.ipynb"
    ran = json.loads(source.read_text(encoding="utf-8"))
    cell = next(cell for cell in ran["cells"] if "cluster_map" in "".join(cell["source"]))
    figure = {"data": [{"type": "scatter", "x": [1, 2], "y": [3, 4], "name": "of the run"}], "layout": {}}
    cell["outputs"] = [
        {"output_type": "stream", "name": "stderr", "text": ["clusters 40%"]},
        {"output_type": "display_data", "metadata": {}, "data": {executed.FIGURE: figure, "text/plain": ["Figure"]}},
    ]
    copy = tmp_path / source.name
    copy.write_text(json.dumps(ran), encoding="utf-8")

    def outputs(page: dict[str, Any]) -> list[Any]:
        return [output for cell in page["cells"] if cell["cell_type"] == "code" for output in cell["outputs"]]

    (shown,) = outputs(executed.page(source, copy))
    drawn = shown["data"].pop("text/html")
    assert not shown["data"] and '"of the run"' in drawn and "_static/plotly.min.js" in drawn and "http" not in drawn

    changed = tmp_path / "changed.ipynb"
    changed.write_text(source.read_text(encoding="utf-8").replace("sample(5", "sample(6"), encoding="utf-8")
    page = executed.page(changed, copy)
    assert not outputs(page) and "Without outputs" in page["cells"][1]["source"][0]


def test_every_key_and_option_says_what_it_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import reference

    for page in (reference.study_page(), reference.task_page(), reference.commands_page()):
        rows = [line for line in page.splitlines() if line.startswith("| `")]
        assert len(rows) > 10
        assert not [row for row in rows if "|  |" in row], "a key or an option without a meaning"
