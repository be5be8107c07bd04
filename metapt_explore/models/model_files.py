"""Checks of a model's files before transformers loads them; each error names the folder and the file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from metapt_explore.errors import UserError, library_errors

#: Limit of a JSON file of settings in bytes; real ones have a few thousand (an index of shards 100,000).
MAX_SETTINGS_BYTES = 32 * 2**20
#: Limits of layers and classes: each one is made in Python before any weight is read.
MAX_LAYERS, MAX_CLASSES = 1_000, 1_000_000
#: Limit of any other size (vocabulary, positions, width).
MAX_SIZE = 2**24
#: Keys of config.json that count layers or classes, and those that are sizes.
_LAYERS = re.compile(r"(^|_)(n_layers?|layers|depth|num_labels)$")
_SIZES = re.compile(r"(size|dim|heads?|positions|position_embeddings|experts|buckets|d_model|d_ff|d_kv|n_embd|n_ctx)$")

#: What transformers reads: one file, or an index and the shards that it names.
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
#: Number formats that are read; others (F8_E4M3, F4 …) are parts of quantised weights.
DTYPES = ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL")
#: Weights in formats that are not read: pickles can run code when they are loaded.
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_FOREIGN = ("*.gguf", "*.h5", "*.msgpack", "*.onnx")
#: The first bytes of a pointer that git leaves in place of a large file.
_LFS_POINTER = b"version https://git-lfs"


def read_json(file: Path, what: str) -> Any:
    """Reads a JSON file of settings.

    Args:
        file: The file.
        what: Its owner, which begins the messages (``The model 'x'``).

    Returns:
        The parsed JSON; None if there is no such file.

    Raises:
        UserError: Where it is no regular file, too large, or not JSON.
    """
    try:
        if not file.exists():
            return None
        if not file.is_file():
            raise UserError(f"{what}: {file} is no regular file.")
        if (size := file.stat().st_size) > MAX_SETTINGS_BYTES:
            raise UserError(
                f"{what}: {file} has {size:,} bytes; a file of settings may have {MAX_SETTINGS_BYTES:,} (32 MiB)."
            )
        return json.loads(file.read_text(encoding="utf-8"))
    except RecursionError:
        raise UserError(f"{what}: {file} cannot be read: its values are nested too deeply.") from None
    except json.JSONDecodeError as error:
        hint = f"; {git_lfs}" if (git_lfs := _lfs_hint(file)) else ""
        raise UserError(f"{what}: {file} cannot be read as JSON ({error}){hint}.") from None
    except UnicodeDecodeError:
        raise UserError(f"{what}: {file} cannot be read as JSON: it is not UTF-8 text.") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{what}: {file} cannot be read: {error}.") from None


def read_settings(folder: Path, name: str) -> dict[str, Any]:
    """Reads a model's ``config.json``.

    Args:
        folder: The model's files.
        name: What to call it in messages.

    Raises:
        UserError: Where it is missing, not a JSON object, or holds sizes that no model has.

    Example:
        >>> read_settings(Path("all-MiniLM-L6-v2"), "minilm")["model_type"]  # doctest: +SKIP
        'bert'
    """
    file = folder / "config.json"
    settings = read_json(file, f"The model '{name}'")
    if settings is None:
        raise UserError(f"The model '{name}': there is no {file}.")
    if not isinstance(settings, dict):
        raise UserError(f"The model '{name}': {file} must hold a JSON object; it holds a {type(settings).__name__}.")
    for key, value in _numbers(settings):
        last = key.rpartition(".")[2]
        most = MAX_SIZE if _SIZES.search(last) else None
        if _LAYERS.search(last):
            most = MAX_CLASSES if last == "num_labels" else MAX_LAYERS
        if most is not None and abs(value) > most:
            raise UserError(
                f"The model '{name}': {file} has a value of `{key}` that no model has (more than {most:,}); the file "
                "is damaged."
            )
    return settings


def _numbers(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{prefix}{key}.")
        elif isinstance(value, int | float):
            yield f"{prefix}{key}", value


def weight_files(folder: Path, name: str) -> list[Path]:
    """Finds the safetensors files that hold a model's weights; none of them is read.

    Raises:
        UserError: Where there are none, the index is damaged, or a shard that it names is missing.
    """
    if (folder / WEIGHTS).exists():
        return [folder / WEIGHTS]
    index = read_json(folder / INDEX, f"The model '{name}'")
    if index is None:
        raise UserError(_without_weights(folder, name))
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not places or not all(isinstance(file, str) for file in places.values()):
        raise UserError(
            f"The model '{name}': {folder / INDEX} is damaged; a `weight_map` of names to files is missing."
        )
    shards = sorted(set(places.values()))
    for shard in shards:
        if Path(shard).name != shard:
            raise UserError(f"The model '{name}': {folder / INDEX} names a file outside of its folder ('{shard}').")
        if not (folder / shard).is_file():
            raise UserError(
                f"The model '{name}': {folder} lacks {shard}, which {INDEX} names; copy or download it again."
            )
    return [folder / shard for shard in shards]


def _without_weights(folder: Path, name: str) -> str:
    """Why a folder has no weights that are read, and what to do."""
    lacks = f"The model '{name}': {folder} holds no {WEIGHTS}"
    if pickles := [file.name for pattern in _PICKLES for file in sorted(folder.glob(pattern))]:
        return (
            f"{lacks}, only {pickles[0]}, a pickle, which is not read because loading it can run code. Convert it "
            "where you trust it: load the model with transformers and save it with save_pretrained(folder)."
        )
    if foreign := [file.name for pattern in _FOREIGN for file in sorted(folder.glob(pattern))]:
        if foreign[0].endswith(".gguf"):
            return f"{lacks}, only {foreign[0]}. `metapt convert` makes a folder of such a file."
        return f"{lacks}, only {foreign[0]}. Save the model with transformers' save_pretrained(folder)."
    if others := [file.name for file in sorted(folder.glob("*.safetensors"))]:
        if others[0].startswith("adapter_"):
            return f"{lacks}, only {others[0]}, an adapter of another model. Merge it into its model and save that."
        return f"{lacks} and no {INDEX}, only {', '.join(others[:3])}; copy or download the missing file."
    return f"{lacks}; copy or download the weights again."


def check_weight_files(folder: Path, name: str) -> None:
    """Checks that weight files are complete and of a number format that is read; reads their headers only.

    Raises:
        UserError: Naming the file.
    """
    files = weight_files(folder, name)
    held: set[str] = set()
    for file in files:
        for tensor, dtype in _header(file, f"The model '{name}'").items():
            held.add(tensor)
            if dtype not in DTYPES:
                raise UserError(
                    f"The model '{name}': {file} holds numbers of the format {dtype} ('{tensor}'), which are parts of "
                    "quantised weights; use the model's files in float32, float16 or bfloat16."
                )
    if not held:
        raise UserError(f"The model '{name}': {', '.join(str(file) for file in files)} holds no weights.")
    if (folder / WEIGHTS).exists():
        return
    promised = read_json(folder / INDEX, f"The model '{name}'")["weight_map"]
    for tensor, shard in promised.items():
        if tensor not in held:
            raise UserError(
                f"The model '{name}': {folder / shard} lacks '{tensor}', which {INDEX} says it holds; the files do not "
                "belong together."
            )


def _header(file: Path, what: str) -> dict[str, str]:
    """Names and number formats of a file's tensors; safetensors compares the header with the file's length."""
    return {tensor: dtype for tensor, (dtype, _) in safetensors_header(file, what).items()}


def safetensors_header(
    file: Path, what: str, advice: str = "it is damaged or was not copied to its end"
) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Number format and shape of each tensor of a safetensors file; the tensors are not read.

    Args:
        file: The file.
        what: Its owner, which begins the messages.
        advice: Ends the message if it cannot be read.

    Raises:
        UserError: Where it is no regular file, or no complete safetensors file.
    """
    from safetensors import safe_open

    def refuse(reason: str) -> str:
        return f"{what}: {file} cannot be read as safetensors ({reason}). {_capital(_lfs_hint(file) or advice)}."

    if not file.is_file():
        raise UserError(f"{what}: {file} is no regular file.")
    with library_errors(refuse), safe_open(file, framework="pt") as opened:
        parts = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
        return {name: (str(part.get_dtype()), tuple(part.get_shape())) for name, part in parts.items()}


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _lfs_hint(file: Path) -> str | None:
    try:
        with file.open("rb") as stream:
            pointer = stream.read(len(_LFS_POINTER)) == _LFS_POINTER
    except OSError:
        return None
    return "it is a pointer that git left in its place: run `git lfs pull`" if pointer else None


def damaged_json(folder: Path, name: str) -> str | None:
    """What is wrong with a folder's JSON files; None if nothing is."""
    for file in sorted(folder.glob("*.json")):
        try:
            read_json(file, f"The model '{name}'")
        except UserError as error:
            return str(error)
    return None
