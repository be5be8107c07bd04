"""The harness's own fixtures, and the table of what was tried."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import tally
import tiny

_made = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """One file of counts for all processes of pytest-xdist, which inherit its name."""
    if not hasattr(config, "workerinput") and tally.FILE not in os.environ:
        handle, name = tempfile.mkstemp(prefix="metapt-tally-", suffix=".txt")
        os.close(handle)
        os.environ[tally.FILE] = name
        config.stash[_made] = Path(name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says how much was tried."""
    file = config.stash.get(_made, None)
    sums = tally.total(file) if file is not None else {}
    if sums:
        terminalreporter.section("tried")
        for what in sorted(sums):
            terminalreporter.write_line(f"{sums[what]:>10,}  {what}")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Takes the file of counts away."""
    file = config.stash.get(_made, None)
    if file is not None:
        file.unlink(missing_ok=True)
        os.environ.pop(tally.FILE, None)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of several families and an encoder, each in a folder of its name."""
    from transformers import T5EncoderModel

    folder = tmp_path_factory.mktemp("models")
    tiny.make_language_model(folder / "lm")
    tiny.make_encoder(folder / "encoder")
    for kind in ("gpt2", "t5", "bart", "bert", "qwen2", "sentence"):
        tiny.make_language_model(folder / kind, kind)
    shutil.copytree(folder / "t5", folder / "t5-encoder")
    T5EncoderModel.from_pretrained(folder / "t5").save_pretrained(folder / "t5-encoder")
    return folder
