"""Pages of the notebooks: as they ran where `make notebooks` ran them, without outputs elsewhere.

Figures of plotly are drawn by one copy of plotly.js for the whole site; nothing is fetched from elsewhere.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
#: Copies of the notebooks with the outputs of their last run; `make notebooks` makes them. Not under version control.
EXECUTED = ROOT / ".executed"
FIGURE = "application/vnd.plotly.v1+json"
LIBRARY = "plotly.min.js"


def write_notebooks(folder: Path, static: Path) -> None:
    """Writes the notebooks' pages, and beside the site's style plotly.js for their figures."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted((ROOT / "notebooks").glob("*.ipynb")):
        text = json.dumps(page(file, EXECUTED / file.name), ensure_ascii=False)
        target = folder / file.name
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")
    static.mkdir(parents=True, exist_ok=True)
    if not (static / LIBRARY).exists():
        import plotly

        shutil.copy(Path(plotly.__file__).parent / "package_data" / LIBRARY, static / LIBRARY)


def page(file: Path, executed: Path) -> dict[str, Any]:
    """The notebook with its outputs, if its cells are those that ran; a sentence under its title says which it is."""
    notebook: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    ran = json.loads(executed.read_text(encoding="utf-8")) if executed.exists() else {"cells": []}
    whole = [_source(cell) for cell in ran["cells"]] == [_source(cell) for cell in notebook["cells"]]
    how = "As it ran on the small profile (`METAPT_FAST=1`: few texts, steps and seeds), so that its scores are low."
    if whole:
        notebook = ran
        for number, cell in enumerate(notebook["cells"]):
            if cell["cell_type"] == "code":
                cell["outputs"] = [
                    shown
                    for place, output in enumerate(cell["outputs"])
                    if (shown := _shown(output, f"{file.stem}-{number}-{place}"))
                ]
    else:
        how = (
            "Without outputs: `make notebooks` runs the notebooks, and the next build of this site shows what they say."
        )
    note = f"*{how} The notebook itself: `notebooks/{file.name}`.*"
    notebook["cells"].insert(1, {"cell_type": "markdown", "id": "how-it-ran", "metadata": {}, "source": [note]})
    for cell in notebook["cells"]:
        cell["metadata"].pop("execution", None)
    return notebook


def _source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def _shown(output: dict[str, Any], name: str) -> dict[str, Any] | None:
    """An output as the site shows it: figures as HTML, of progress nothing."""
    if output["output_type"] == "stream":
        return None if output["name"] == "stderr" else output
    if FIGURE in output.get("data", {}):
        from plotly.io import to_html

        figure = output["data"][FIGURE]
        drawn = to_html(
            {"data": figure["data"], "layout": figure["layout"]},
            include_plotlyjs=False,
            full_html=False,
            div_id=name,
            validate=False,
            config={"displaylogo": False},
        )
        output["data"] = {"text/html": f'<script src="../../_static/{LIBRARY}"></script>{drawn}'}
    return output
