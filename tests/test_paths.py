"""Where the cache folder is: named by the environment, where an earlier version left it, or the system's place."""

from __future__ import annotations

from pathlib import Path

import pytest

from metapt_explore import paths


@pytest.fixture(autouse=True)
def user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user with an empty home on a system whose caches lie in ``Caches``."""
    monkeypatch.delenv("METAPT_HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(paths, "user_cache_path", lambda name, **options: tmp_path / "Caches" / name)
    return tmp_path


def test_the_system_says_where_caches_lie(user: Path) -> None:
    assert paths.cache_folder() == user / "Caches" / "metapt_explore"


def test_the_folder_of_an_earlier_version_stays_in_use(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = user / ".cache" / "metapt_explore"
    earlier.mkdir(parents=True)
    assert paths.cache_folder() == earlier
    monkeypatch.setenv("XDG_CACHE_HOME", str(user / "xdg"))
    assert paths.cache_folder() == user / "Caches" / "metapt_explore"
    (user / "xdg" / "metapt_explore").mkdir(parents=True)
    assert paths.cache_folder() == user / "xdg" / "metapt_explore"


def test_the_environment_comes_first(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (user / ".cache" / "metapt_explore").mkdir(parents=True)
    monkeypatch.setenv("METAPT_HOME", "~/elsewhere")
    monkeypatch.setenv("HOME", str(user))
    monkeypatch.setenv("USERPROFILE", str(user))
    assert paths.cache_folder() == user / "elsewhere"
    monkeypatch.setenv("METAPT_HOME", "")  # as good as not set
    assert paths.cache_folder() == user / ".cache" / "metapt_explore"
