"""A version is written once, or a test holds its copies together."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

import metapt_explore
from metapt_explore.config import BaselineConfig

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PINS = dict(re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.M))


def load(name: str) -> dict:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_version_of_the_package_is_written_once() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"] and "version" not in PROJECT["project"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "metapt_explore.__version__"}
    assert load("CITATION.cff")["version"] == metapt_explore.__version__


def test_hooks_use_the_versions_that_make_check_uses() -> None:
    pins = {"ruff-pre-commit": "ruff", "codespell": "codespell"}
    revisions = {repo["repo"].rpartition("/")[2]: repo.get("rev") for repo in load(".pre-commit-config.yaml")["repos"]}
    assert {name: f"v{PINS[package]}" for name, package in pins.items()} == {name: revisions[name] for name in pins}


def test_every_hook_is_run_by_make_check() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ncheck: setup\n")[2].partition("\n\n")[0]
    hooks = [hook["id"] for repo in load(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    for hook in hooks:
        assert hook.removeprefix("ruff-") in recipe, hook


def test_everything_that_the_package_needs_is_pinned() -> None:
    project = PROJECT["project"]
    wanted = [
        *project["dependencies"],
        *(name for extra in project["optional-dependencies"].values() for name in extra),
    ]
    names = {re.split(r"[<>=]", line)[0] for line in wanted}
    assert names <= PINS.keys()


def test_baselines_ask_for_the_versions_that_the_extras_name() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    needed = {kind.needs_package for kind in BaselineConfig.kinds.values() if kind.needs_package}
    assert len(needed) == 3
    for requirement, extra in needed:
        assert requirement in extras[extra] and requirement in extras["dev"]


def test_the_workflow_covers_the_versions_that_are_promised() -> None:
    versions = load(".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]
    promised = [line.rpartition(" :: ")[2] for line in PROJECT["project"]["classifiers"] if "Python :: 3." in line]
    assert versions == promised
    assert PROJECT["project"]["requires-python"] == f">={versions[0]}"


def test_the_audit_passes_only_over_versions_that_were_looked_up() -> None:
    """Without --strict, pip-audit leaves out what it finds no advisories for, says so, and passes."""
    steps = " ".join(step.get("run", "") for step in load(".github/workflows/ci.yml")["jobs"]["audit"]["steps"])
    assert 'pip-audit" --strict' in steps and "cyclonedx-py" in steps and "-o sbom.json" in steps
