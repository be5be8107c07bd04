"""Soft prompts that lie in files: a tensor of a safetensors file, or a PEFT prompt or prefix tuning adapter.

Only safetensors is read, never a pickle, and PEFT itself is not needed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from metapt_explore import hub
from metapt_explore.errors import UserError, library_errors
from metapt_explore.models.model_files import MAX_SIZE, read_json, safetensors_header

#: What PEFT calls its files, and the tensor in the second.
ADAPTER_CONFIG, ADAPTER_WEIGHTS, ADAPTER_TENSOR = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "prompt_embeddings",
)
#: The tensor that is read where a file holds several and none is named; prompt artifacts call theirs so.
USUAL_TENSOR = "prompt"
#: Number formats of a prompt.
FORMATS = ("F64", "F32", "F16", "BF16")
#: Largest number in a prompt, and largest length of its vectors in lengths of the model's longest token vector.
#: Tuning at high rates makes long vectors; beyond these the model's answer no longer depends on the text.
LARGEST, TIMES_LONGER = 1e6, 1e4


@dataclass(frozen=True)
class StoredPrompt:
    """A prompt that was found in a file and not yet read.

    Attributes:
        where: The key that asked for it, for messages (``prompt.init``).
        file: The safetensors file.
        tensor: The tensor's name.
        shape: The tensor's shape, which begins with the prompt's rows.
        length: Rows of it that are the prompt.
        content: SHA-256 of the file in hex.
    """

    where: str
    file: Path
    tensor: str
    shape: tuple[int, ...]
    length: int
    content: str

    def check_fits(self, length: int, width: int | None = None) -> None:
        """Refuses a prompt of another shape than `[length, width]`.

        Args:
            length: The study's `prompt.length`.
            width: Numbers in a vector, by model and placement; not compared when None.

        Raises:
            UserError: With the expected and the found shape, and what to change.
        """
        tensor = f"{self.where}: tensor '{self.tensor}' of {self.file} has the shape {list(self.shape)}"
        if len(self.shape) != 2:
            raise UserError(f"{tensor}; expected [{length}, {width or 'width'}] (prompt.length, model width).")
        if width is not None and self.shape[1] != width:
            raise UserError(
                f"{tensor}; expected [{length}, {width}]: a vector of this model's prompts has {width} numbers in the "
                "study's placement, so this prompt was made for another model, or for `prompt.placement: deep` where "
                "the study has another (or the other way round)."
            )
        if self.length != length:
            of_them = f", of which {self.length} are the prompt" if self.length != self.shape[0] else ""
            raise UserError(f"{tensor}{of_them}, but prompt.length is {length}: set prompt.length to {self.length}.")

    def other_starts(self) -> int:
        """How many starts stand beside a prompt of this package, as ``offsets`` from it; 0 where there are none."""
        if self.tensor != "prompt":
            return 0
        with safe_open(self.file, framework="pt") as opened:
            return int(opened.get_slice("offsets").get_shape()[0]) if "offsets" in opened.keys() else 0  # noqa: SIM118

    def read(self, embedding: Tensor | None = None) -> Tensor:
        """Reads the prompt.

        Args:
            embedding: The model's vectors of tokens, `[vocabulary, width]` (of a deep prompt keys and values), where
                they are at hand: the prompt's must be of comparable length.

        Returns:
            fp32 `[length, width]` on the CPU.

        Raises:
            UserError: Where the file is no longer what was found, or holds numbers that are no prompt.
        """
        if not self.file.is_file() or _content(self.file) != self.content:
            raise UserError(f"{self.where}: {self.file} was changed while the study ran: run the study again.")
        with (
            library_errors(lambda reason: f"{self.where}: {self.file} cannot be read ({reason})."),
            safe_open(self.file, framework="pt") as opened,
        ):
            prompt: Tensor = opened.get_tensor(self.tensor)[: self.length].float()
        self._check_values(prompt, embedding)
        return prompt

    def _check_values(self, prompt: Tensor, embedding: Tensor | None) -> None:
        tensor = f"{self.where}: tensor '{self.tensor}' of {self.file}"
        if not torch.isfinite(prompt).all():
            raise UserError(f"{tensor} must hold finite floating-point numbers only.")
        if not prompt.any():
            raise UserError(f"{tensor} holds zeros only, which is no prompt; save the tuned vectors again.")
        alike = torch.nonzero(prompt.amax(dim=1) == prompt.amin(dim=1)).flatten().tolist()
        if alike and prompt.shape[1] > 1:
            row = alike[0]
            raise UserError(
                f"{tensor}: vector {row + 1} of {len(prompt)} is {prompt[row, 0]:g} in every place, which no tuned "
                "vector is; save the tuned vectors again."
            )
        largest = float(prompt.abs().max())
        if largest > LARGEST:
            raise UserError(f"{tensor} holds {largest:.3g}; numbers of a prompt are at most {LARGEST:,.0f}.")
        if embedding is not None:
            longest, usual = float(prompt.norm(dim=1).max()), float(embedding.float().norm(dim=1).max())
            if longest > TIMES_LONGER * usual:
                raise UserError(
                    f"{tensor}: a vector has the length {longest:.3g}, more than {TIMES_LONGER:,.0f} times that of the "
                    f"model's longest token vector ({usual:.3g}); this prompt was made for another model."
                )


def find_tensor(file: str | Path, tensor: str | None, where: str) -> StoredPrompt:
    """Finds a prompt in a safetensors file; the tensor itself is not read.

    Args:
        file: The file.
        tensor: The tensor's name; when None the only one, or ``prompt`` where there are several.
        where: The key that asked for it, for messages.

    Raises:
        UserError: Where there is no such file or tensor, or the file is not safetensors.

    Example:
        >>> find_tensor("mine.safetensors", None, "prompt.init").shape    # doctest: +SKIP
        (8, 576)
    """
    try:
        path = Path(file).expanduser()
        exists = path.is_file()
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"{where}: the file {str(file)!r} cannot be read: {error}.") from None
    if not exists:
        raise UserError(f"{where}: there is no file {path}.")
    header = safetensors_header(
        path,
        where,
        "Save the prompt with safetensors.torch.save_file; .pt, .pth and .bin files are not read, because loading them "
        "can run code",
    )
    shapes = {name: shape for name, (_, shape) in header.items()}
    if tensor is None:
        tensor = next(iter(shapes)) if len(shapes) == 1 else USUAL_TENSOR
    if tensor not in shapes:
        listed = ", ".join(f"{name} {list(shape)}" for name, shape in sorted(shapes.items())) or "none"
        hint = "" if tensor == ADAPTER_TENSOR else "; name one with `tensor`"
        raise UserError(f"{where}: {path} has no tensor '{tensor}' (found: {listed}){hint}.")
    dtype, shape = header[tensor]
    if dtype not in FORMATS:
        raise UserError(
            f"{where}: tensor '{tensor}' of {path} must hold finite floating-point numbers only (float32, float16 or "
            f"bfloat16); its format is {dtype}."
        )
    if 0 in shape:
        raise UserError(f"{where}: tensor '{tensor}' of {path} is empty: it has the shape {list(shape)}.")
    return StoredPrompt(where, path, tensor, shape, shape[0] if shape else 0, _content(path))


def find_adapter(name: str, where: str) -> StoredPrompt:
    """Finds the prompt of a PEFT prompt tuning or prefix tuning adapter.

    Adapters of encoder-decoder models may hold a prompt for the encoder and one for the decoder
    (`num_transformer_submodules` 2, PEFT's default for them). The encoder's, which comes first, is taken. A prefix
    tuning adapter is a deep prompt; where it was trained through a projection, PEFT has stored what came out of it.

    Args:
        name: The adapter's folder, or a hub name.
        where: The key that asked for it, for messages.

    Raises:
        UserError: Where there is no such adapter, it is of another type, its weights are a pickle or its
            files contradict each other.

    Example:
        >>> find_adapter("adapters/mine", "prompt.init").length    # doctest: +SKIP
        20
    """
    folder = _adapter_folder(name, where)
    config = folder / ADAPTER_CONFIG
    settings = _adapter_settings(config, where)
    kind = settings.get("peft_type")
    if kind not in ("PROMPT_TUNING", "PREFIX_TUNING"):
        kind = str(kind)[:40]
        raise UserError(
            f"{where}: {config} is an adapter of the type {kind}; only PROMPT_TUNING and PREFIX_TUNING are soft "
            "prompts."
        )
    weights = folder / ADAPTER_WEIGHTS
    if not weights.is_file():
        if (folder / "adapter_model.bin").is_file():
            raise UserError(
                f"{where}: {folder} holds adapter_model.bin, a pickle, which is not read because loading it can run "
                "code. Load the adapter with PEFT where you trust it and save it again with "
                "save_pretrained(folder, safe_serialization=True)."
            )
        raise UserError(f"{where}: {folder} holds no {ADAPTER_WEIGHTS}.")
    prompt = find_tensor(weights, ADAPTER_TENSOR, where)
    length, width = (
        _whole(settings, "num_virtual_tokens", config=config, where=where),
        _whole(settings, "token_dim", config=config, where=where),
    )
    if kind == "PREFIX_TUNING":
        width *= 2 * _whole(settings, "num_layers", config=config, where=where)
        if settings.get("task_type") != "CAUSAL_LM":
            raise UserError(
                f"{where}: {config} has the task_type {str(settings.get('task_type'))[:40]}; deep prompts are for "
                "decoder-only models (CAUSAL_LM)."
            )
        if prompt.shape != (length, width):
            raise UserError(
                f"{where}: tensor '{ADAPTER_TENSOR}' of {weights} has the shape {list(prompt.shape)}; {config.name} "
                f"says [{length}, {width}] (num_virtual_tokens, 2 × num_layers × token_dim)."
            )
        return prompt
    if settings.get("num_transformer_submodules") is None:  # as PEFT fills it in when it meets the model
        settings["num_transformer_submodules"] = 2 if settings.get("task_type") == "SEQ_2_SEQ_LM" else 1
    parts = _whole(settings, "num_transformer_submodules", config=config, where=where)
    if prompt.shape != (length * parts, width):
        raise UserError(
            f"{where}: tensor '{ADAPTER_TENSOR}' of {weights} has the shape {list(prompt.shape)}; {config.name} says "
            f"[{length * parts}, {width}] (num_virtual_tokens × num_transformer_submodules, token_dim)."
        )
    return StoredPrompt(where, weights, ADAPTER_TENSOR, prompt.shape, length, prompt.content)


def _adapter_folder(name: str, where: str) -> Path:
    try:
        folder = Path(name).expanduser()
        if folder.is_dir():
            return folder
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"{where}: the adapter folder {name!r} cannot be read: {error}.") from None
    if name.startswith((".", "/", "~")):
        raise UserError(f"{where}: there is no adapter folder {folder}.")
    try:
        return _from_hub(name)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


@cache  # one answer a process: stages of one study must not begin from two versions of an adapter
def _from_hub(name: str) -> Path:
    return hub.snapshot(name, hub.ADAPTER, patterns=(ADAPTER_CONFIG, ADAPTER_WEIGHTS), starters=lambda: ())


def _adapter_settings(config: Path, where: str) -> dict[str, Any]:
    settings = read_json(config, where)
    if settings is None:
        raise UserError(f"{where}: {config.parent} holds no PEFT adapter: {config.name} is missing.")
    if not isinstance(settings, dict):
        raise UserError(f"{where}: {config} must hold a JSON object.")
    return settings


def _whole(settings: dict[str, Any], key: str, *, config: Path, where: str) -> int:
    number = settings.get(key)
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= MAX_SIZE:
        shown = repr(number)[:40] if isinstance(number, str | int | float | None) else type(number).__name__
        raise UserError(f"{where}: {config} must give {key} as a whole number of at least 1 (found {shown}).")
    return number


def _content(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error}.") from None
