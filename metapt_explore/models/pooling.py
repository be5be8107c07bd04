"""How a sentence encoder pools the tokens of a text, read from its files of sentence-transformers.

``modules.json`` lists the steps behind the encoder (Reimers & Gurevych, EMNLP 2019): pooling, perhaps normalisation.
An encoder that was trained with its first token gives poor embeddings by the mean over tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from metapt_explore.errors import UserError
from metapt_explore.models.model_files import read_json

if TYPE_CHECKING:
    from torch import Tensor

Mode = Literal["mean", "cls", "max"]

#: Names of sentence-transformers: switches in older files, a value in newer ones.
_MODES: dict[str, Mode] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "mean": "mean",
    "cls": "cls",
    "max": "max",
}
#: Steps without effect in evaluation mode.
_IDLE = ("Dropout",)


@dataclass(frozen=True)
class Pooling:
    """From the hidden states of a text's tokens to its embedding.

    Attributes:
        mode: The mean over tokens, the first token (``cls``), or the largest value of each dimension.
        normalise: Whether embeddings have length one.
        longest: Maximum tokens of a text, special ones included; None if the files do not say.
    """

    mode: Mode = "mean"
    normalise: bool = True
    longest: int | None = None

    @property
    def unusual(self) -> dict[str, Any]:
        """Settings that differ from the defaults, for a stage's configuration."""
        return {
            **({"pooling": self.mode} if self.mode != "mean" else {}),
            **({"normalise": False} if not self.normalise else {}),
        }

    def tokens(self, asked: int) -> int:
        """Tokens to cut a text to: as many as asked for, at most `longest`."""
        return asked if self.longest is None else min(asked, self.longest)

    def pooled(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Pools without normalising.

        Args:
            hidden: `[rows, tokens, width]`.
            mask: `[rows, tokens]`, not 0 at real tokens.

        Returns:
            fp32 `[rows, width]`.
        """
        hidden = hidden.float()
        if self.mode == "cls":
            first = mask.int().argmax(dim=1)  # some tokenizers pad in front
            return hidden.gather(1, first[:, None, None].expand(-1, 1, hidden.shape[2]))[:, 0]
        if self.mode == "max":
            return hidden.masked_fill(mask[..., None] == 0, float("-inf")).amax(dim=1)
        weights = mask[..., None].float()
        return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


def read_pooling(folder: Path, name: str) -> Pooling:
    """Reads how an encoder pools.

    Args:
        folder: Its files.
        name: What to call it in messages.

    Returns:
        The mean over tokens, normalised, where it has no ``modules.json``.

    Raises:
        UserError: Where the files are damaged, or ask for what cannot be computed here.

    Example:
        >>> read_pooling(Path("all-MiniLM-L6-v2"), "minilm")  # doctest: +SKIP
        Pooling(mode='mean', normalise=True, longest=256)
    """
    modules = _read(folder / "modules.json", name)
    if modules is None:
        return Pooling()
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
        raise UserError(f"The encoder '{name}': {folder / 'modules.json'} is damaged; a list of modules is expected.")
    mode: Mode = "mean"
    normalise = False
    longest = None
    for module in modules:
        kind = str(module.get("type", "")).split(".")[-1]
        module_folder = folder / str(module.get("path", ""))
        if kind == "Transformer":
            longest = _longest(module_folder, name)
        elif kind == "Pooling":
            mode = _mode(_read(module_folder / "config.json", name) or {}, module_folder / "config.json", name)
        elif kind == "Normalize":
            normalise = True
        elif kind not in _IDLE:
            raise UserError(
                f"The encoder '{name}' has a step that cannot be computed here ({kind or 'without a type'}, in its "
                "modules.json); use an encoder of Transformer, Pooling and Normalize."
            )
    return Pooling(mode, normalise, longest)


def _mode(settings: Any, file: Path, name: str) -> Mode:
    given = settings.get("pooling_mode") if isinstance(settings, dict) else None
    if given is None:
        given = [key for key, on in dict(settings).items() if key.startswith("pooling_mode_") and on is True]
    chosen = [given] if isinstance(given, str) else list(given)
    if not chosen:
        return "mean"
    if len(chosen) > 1 or chosen[0] not in _MODES:
        modes = " and ".join(str(key).removeprefix("pooling_mode_") for key in chosen)
        raise UserError(
            f"The encoder '{name}' pools its tokens by {modes} ({file.parent.name}/{file.name}); only the mean, the "
            "first token (cls) and the maximum can be computed, one of them alone. Use another encoder."
        )
    return _MODES[chosen[0]]


def _longest(folder: Path, name: str) -> int | None:
    """`max_seq_length` of ``sentence_bert_config.json``, whose middle word is the kind of the encoder."""
    for file in sorted(folder.glob("sentence_*_config.json")):
        settings = _read(file, name)
        length = settings.get("max_seq_length") if isinstance(settings, dict) else None
        if isinstance(length, int) and length > 0:
            return length
    return None


def _read(file: Path, name: str) -> Any:
    return read_json(file, f"The encoder '{name}'")
