"""Static embeddings: a vector a token out of a table, averaged over a text, and a classifier; no model runs.

Model2Vec (Tulkens & van Dongen, 2024): the table is distilled from a sentence encoder, and weighs rare tokens more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from metapt_explore import hub
from metapt_explore.baselines.heads import classify
from metapt_explore.baselines.inputs import BaselineInputs, BaselineOutcome
from metapt_explore.config.encoder_baselines import MODEL2VEC
from metapt_explore.errors import UserError
from metapt_explore.models.folder import model_folder
from metapt_explore.models.hf_load import loading
from metapt_explore.models.model_files import safetensors_header
from metapt_explore.texts.rows import written_out

#: Files of a model2vec model; its table is a tensor of this name.
FILES, TABLE = ("model.safetensors", "tokenizer.json"), "embeddings"


def static_embeddings(inputs: BaselineInputs) -> BaselineOutcome:
    """Vectors of a model2vec model, and a classifier whose setting dev chooses.

    Raises:
        UserError: Where the model cannot be found or loaded.
    """
    encode = static_encoder(inputs.options["model"])
    return classify(inputs, lambda texts: encode(written_out(texts)))


def static_encoder(name: str) -> Callable[[Sequence[str]], np.ndarray]:
    """Loads a model2vec model: a function that makes a vector of each text, ``[texts, width]`` in fp32.

    Args:
        name: See `static_folder`.

    Raises:
        UserError: Where the package is missing, or the model cannot be found or loaded.
    """
    check_package()
    from model2vec import StaticModel

    folder = static_folder(name)
    with loading(folder, name, "static model"):
        model = StaticModel.from_pretrained(folder)
    return lambda texts: np.asarray(model.encode(list(texts)), dtype=np.float32)


def check_package() -> None:
    """Raises where model2vec is not installed.

    Raises:
        UserError: With the command that installs it.
    """
    if find_spec("model2vec") is None:
        raise UserError(
            f"Static vectors need the package model2vec: pip install '{MODEL2VEC}' (or metapt-explore[static])."
        )


def static_folder(name: str) -> Path:
    """Finds a model2vec model, and checks that its files are those of one; its table is not read.

    Args:
        name: A folder, or a hub name such as ``minishlab/potion-base-8M``.

    Raises:
        UserError: Where it cannot be found, or is a model of another kind.
    """
    folder = model_folder(name, kind=hub.STATIC)
    missing = [file for file in FILES if not (folder / file).is_file()]
    if missing or TABLE not in safetensors_header(folder / FILES[0], name):
        what = f"{missing[0]} is missing" if missing else f"its weights hold no table `{TABLE}`"
        raise UserError(
            f"'{name}' in {folder} is no model2vec model: {what}. Give one, such as "
            "minishlab/potion-base-8M, or make one out of an encoder with `model2vec.distill`."
        )
    return folder
