"""Baselines by their kind, and checks that the study's model can run them."""

from __future__ import annotations

import re
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING

from metapt_explore.config import BaselineConfig, Family, StudyConfig
from metapt_explore.config.baselines import StaticEmbeddingsBaseline
from metapt_explore.config.families import FAMILIES
from metapt_explore.errors import UserError

if TYPE_CHECKING:
    from metapt_explore.baselines.inputs import RunBaseline


def run_of(baseline: BaselineConfig) -> RunBaseline:
    """The function that runs a baseline; imports its module."""
    run: RunBaseline = baseline.load("metapt_explore.baselines")
    return run


def package_of(requirement: str) -> str:
    """The package that a requirement names.

    Example:
        >>> package_of("peft>=0.19.1")
        'peft'
    """
    return re.split(r"[<>=~ ]", requirement)[0]


def package_version(baseline: BaselineConfig) -> str | None:
    """Package and version that a baseline runs by, such as ``peft 0.21.2``; None where it needs none."""
    if baseline.needs_package is None:
        return None
    package = package_of(baseline.needs_package[0])
    return f"{package} {version(package)}"


def check_baselines(study: StudyConfig, family: Family) -> None:
    """Refuses baselines that the study's model cannot run, before anything is computed.

    Raises:
        UserError: Naming the baseline and what to do.
    """
    facts = FAMILIES[family]
    for baseline in study.baselines:
        where = f"baseline '{baseline.name}'"
        if baseline.needs_left_to_right and not facts.left_to_right:
            raise UserError(f"{where} needs a decoder-only model, which '{study.model.name}' is not; leave it out.")
        if baseline.backward and baseline.runs == "model" and not facts.has_vocabulary:
            raise UserError(
                f"{where}: '{study.model.name}' is a sentence encoder without words; use the baseline `setfit`."
            )
        if baseline.needs_package is not None:
            requirement, extra = baseline.needs_package
            package = package_of(requirement)
            if find_spec(package) is None:
                raise UserError(
                    f"{where} needs {package.upper()}: pip install '{requirement}' (or metapt-explore[{extra}])."
                )


def check_files(study: StudyConfig) -> None:
    """Finds and checks models that single baselines name, before anything is computed; loads no weights.

    Raises:
        UserError: Naming the baseline, and what is wrong with the files or why the hub does not give them.
    """
    from metapt_explore.baselines.sentence_pairs import check_classifier_files
    from metapt_explore.baselines.static_embeddings import static_folder
    from metapt_explore.clusters.embed import check_encoder_files

    for baseline in study.baselines:
        encoder = baseline.encoder_in(study.encoder)
        try:
            if isinstance(baseline, StaticEmbeddingsBaseline):
                static_folder(baseline.model)
            elif encoder is not study.encoder and baseline.runs == "encoder":
                check_encoder_files(encoder)
            elif encoder is not study.encoder and baseline.runs == "classifier":
                check_classifier_files(encoder, kind=baseline.kind)
        except UserError as error:
            raise UserError(f"baseline '{baseline.name}': {error}") from None
