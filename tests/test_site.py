"""The documentation site is built without a warning, and the pages made of the code are whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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


def test_every_key_and_option_says_what_it_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import reference

    for page in (reference.study_page(), reference.task_page(), reference.commands_page()):
        rows = [line for line in page.splitlines() if line.startswith("| `")]
        assert len(rows) > 10
        assert not [row for row in rows if "|  |" in row], "a key or an option without a meaning"
