"""Which code made a result: hash of the package's files, and the commit where git knows them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from metapt_explore.storage.code_version import code_version, package_hash
from metapt_explore.storage.manifest import manifest


def make_package(folder: Path) -> Path:
    (folder / "part").mkdir(parents=True)
    (folder / "__init__.py").write_text("", encoding="utf-8")
    (folder / "part" / "loop.py").write_text("steps = 1\n", encoding="utf-8")
    return folder


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, check=True, encoding="utf-8")
    return done.stdout.strip()


def test_the_hash_is_of_content_and_names_wherever_they_lie(tmp_path: Path) -> None:
    one, other = make_package(tmp_path / "one" / "pack"), make_package(tmp_path / "other" / "pack")
    assert package_hash(one) == package_hash(other)
    (other / "__pycache__").mkdir()
    (other / "__pycache__" / "loop.py").write_text("not the package's", encoding="utf-8")
    assert package_hash(one) == package_hash(other)
    (other / "part" / "loop.py").rename(other / "part" / "hoop.py")
    assert package_hash(one) != package_hash(other)
    (one / "part" / "loop.py").write_text("steps = 2\n", encoding="utf-8")
    assert len({package_hash(one), package_hash(other), package_hash(make_package(tmp_path / "third"))}) == 3


def test_the_commit_is_noted_with_changes_since(tmp_path: Path) -> None:
    package = make_package(tmp_path / "pack")
    assert code_version(package) == {"package_hash": package_hash(package)}
    git(tmp_path, "init", "-q")
    code_version.cache_clear()
    # In somebody's repository, as a virtual environment is: that commit says nothing of the package.
    assert "commit" not in code_version(package)
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "all")
    code_version.cache_clear()
    assert code_version(package)["commit"] == git(tmp_path, "rev-parse", "HEAD")
    assert code_version(package)["changed"] is False
    (package / "part" / "loop.py").write_text("steps = 3\n", encoding="utf-8")
    code_version.cache_clear()
    assert code_version(package)["changed"] is True


def test_the_manifest_holds_it() -> None:
    assert len(manifest()["code"]["package_hash"]) == 64
