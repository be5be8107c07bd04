"""Wheel and source archive hold what they must and nothing else, and the wheel works where nothing else of us is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import metapt_explore

ROOT = Path(__file__).parents[1]
BESIDE = ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "MANIFEST.in")
BUILD = "from setuptools import build_meta as b; b.build_sdist('out'); b.build_wheel('out')"
IMPORT_ALL = """
import metapt_explore as mp
print(mp.__file__)
for name in mp.__all__:
    getattr(mp, name)
"""
Made = Callable[[str, Callable[[Path], object]], Path]


def packaged() -> set[str]:
    """Files of the package, as a checkout has them."""
    every = (ROOT / "metapt_explore").rglob("*")
    kept = [file for file in every if file.is_file() and "__pycache__" not in file.parts]
    return {file.relative_to(ROOT).as_posix() for file in kept}


def run(words: list[str], folder: Path) -> str:
    """What a command printed; this repository's path is kept from it."""
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(words, cwd=folder, env=clean, capture_output=True, check=False, encoding="utf-8")
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def build(folder: Path) -> None:
    """Builds in a copy, so that nothing is left in the repository."""
    (folder / "tests").mkdir()
    (folder / "tests" / "test_of_ours.py").touch()
    shutil.copytree(ROOT / "metapt_explore", folder / "metapt_explore", ignore=shutil.ignore_patterns("__pycache__"))
    for name in BESIDE:
        shutil.copy(ROOT / name, folder)
    run([sys.executable, "-c", BUILD], folder)


@pytest.fixture(scope="module")
def built(made_once: Made) -> Path:
    return made_once("built", build) / "out"


@pytest.fixture(scope="module")
def fresh(made_once: Made, built: Path) -> Path:
    """An environment with the wheel; its dependencies are this environment's, which this package is hidden from."""

    def install(folder: Path) -> None:
        venv.create(folder, with_pip=False)
        python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
        (wheel,) = built.glob("*.whl")
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index"]
        run([*pip, str(wheel)], folder)
        own = Path(
            run([str(python), "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"], folder).strip()
        )
        # A path in a .pth file comes last, and what lies there as .pth (an editable install) is not followed.
        (own / "dependencies.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n", encoding="utf-8")

    return made_once("fresh", install)


def commands(fresh: Path) -> Path:
    return fresh / ("Scripts" if os.name == "nt" else "bin")


def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    info = f"metapt_explore-{metapt_explore.__version__}.dist-info"
    with zipfile.ZipFile(wheel) as opened:
        names = {name for name in opened.namelist() if not name.startswith(info)}
        assert names == packaged()
        assert opened.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
        metadata = opened.read(f"{info}/METADATA").decode()
    assert "License-Expression: MIT" in metadata and "Requires-Python: >=3.11" in metadata
    assert wheel.stat().st_size < 4 * 2**20, "no model and no text is packed"


def test_the_source_archive_holds_no_half_of_the_tests(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames() if opened.getmember(name).isfile()}
    others = {name for name in names if not name.startswith(("metapt_explore/", "metapt_explore.egg-info/"))}
    assert others == {*BESIDE, "PKG-INFO", "setup.cfg"}
    assert packaged() <= names


def test_the_wheel_works_by_itself(fresh: Path, tmp_path: Path) -> None:
    version = run([str(commands(fresh) / "metapt"), "--version"], tmp_path)
    assert metapt_explore.__version__ in version
    where = run([str(commands(fresh) / "python"), "-c", IMPORT_ALL], tmp_path)
    assert Path(where.strip()).is_relative_to(fresh)


@pytest.mark.starter
def test_the_tour_can_be_run_from_the_wheel(fresh: Path, tmp_path: Path) -> None:
    said = run([str(commands(fresh) / "metapt"), "check", "tour", "--workspace", str(tmp_path / "w")], tmp_path)
    assert "tour" in said
