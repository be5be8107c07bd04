"""Where an estimator's prompt begins: a name, a fitted estimator, a folder, a file or a hub name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metapt_explore.config import InitConfig
from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.estimators.classes import Reading
from metapt_explore.estimators.exported import ExportedPrompt
from metapt_explore.export.facts import PromptFacts
from metapt_explore.prompts.exported_files import FACTS_FILE, PROMPT_FILE, find_folder
from metapt_explore.prompts.load import ADAPTER_CONFIG, find_adapter, find_tensor

WHERE = "init"


@dataclass(frozen=True)
class Begin:
    """What a prompt begins from.

    Attributes:
        init: As `prompt.init` of a study has it.
        length: Vectors, where the stored prompt says.
        facts: Of the stored prompt, where it has some.
    """

    init: Any
    length: int | None = None
    facts: PromptFacts | None = None

    @property
    def reading(self) -> Reading | None:
        """How the stored prompt reads classes."""
        if self.facts is None:
            return None
        labels = {name: {"value": name, "words": entry.get("words", [])} for name, entry in self.facts.labels.items()}
        if not all(entry["words"] for entry in labels.values()):
            return None
        return Reading(labels, self.facts.template)


def find_begin(given: Any, write: Callable[[Mapping[str, bytes]], Path]) -> Begin:
    """Finds what `init` means.

    Args:
        given: None, ``vocabulary``, ``random`` or ``labels``; a mapping as in `prompt.init` (``{"text": ...}``); a
            fitted estimator; a folder, a safetensors file or a hub name.
        write: Writes a fitted estimator's files and returns their folder.

    Raises:
        UserError: Where it is none of them, cannot be found, or is not fitted.
    """
    if given is None:
        return Begin("vocabulary")
    given = getattr(given, "estimator", given)  # sklearn.frozen.FrozenEstimator
    if hasattr(given, "get_params"):
        exported = getattr(given, "exported_", None)
        if not isinstance(exported, ExportedPrompt):
            raise UserError(
                f"init is a {type(given).__name__} that is not fitted: fit it first. (In a parameter grid scikit-learn "
                "takes the fit away: save it, and give the folder.)"
            )
        return _of_folder(write(exported.files))
    if isinstance(given, Mapping):
        return _of_mapping(dict(given))
    if not isinstance(given, str | Path):
        raise UserError(f"init is a {type(given).__name__}; give a name, a folder, a hub name or a fitted estimator.")
    plain = [tag for tag, kind in InitConfig.kinds.items() if not kind.source and not kind.of_few_shot_rows]
    if given in plain:
        return Begin(given)
    file = Path(given).expanduser()
    if file.is_file():
        return _of_mapping({"file": str(file)})
    if file.is_dir():
        return _of_folder(file)
    if isinstance(given, Path) or file.is_absolute() or str(given).startswith((".", "~")):
        raise UserError(f"init: there is no folder or file {file}.")
    if "/" not in given:
        raise UserError(
            f"init: there is no folder '{given}', and a hub's name has an owner. {did_you_mean(given, plain)}"
        )
    return _of_folder(find_folder(given))


def _of_mapping(given: dict[str, Any]) -> Begin:
    if "file" in given:
        stored = find_tensor(given["file"], given.get("tensor"), WHERE)
        return Begin({**given, "file": str(Path(given["file"]).expanduser().absolute())}, stored.length)
    if "peft" in given:
        return Begin(given, find_adapter(given["peft"], WHERE).length)
    if "hub" in given:
        return _of_folder(find_folder(str(given["hub"]), given.get("revision")))
    return Begin(given)


def _of_folder(folder: Path) -> Begin:
    if (folder / PROMPT_FILE).is_file():
        facts = PromptFacts.load(folder) if (folder / FACTS_FILE).is_file() else None
        file = str((folder / PROMPT_FILE).absolute())
        return Begin({"file": file, "tensor": "prompt"}, find_tensor(file, "prompt", WHERE).length, facts)
    if (folder / ADAPTER_CONFIG).is_file():
        return _of_mapping({"peft": str(folder.absolute())})
    raise UserError(f"init: {folder} holds neither {PROMPT_FILE} nor {ADAPTER_CONFIG}.")
