"""Files of an exported prompt, and the folder that holds them: of this machine, or a hub's."""

from __future__ import annotations

from pathlib import Path

from metapt_explore import hub
from metapt_explore.errors import UserError
from metapt_explore.prompts.load import ADAPTER_CONFIG, ADAPTER_WEIGHTS

FACTS_FILE, PROMPT_FILE, PROBE_FILE = "prompt.json", "prompt.safetensors", "probe.safetensors"
#: Uses the prompt without this package; written, and never fetched or run.
PIPELINE_FILE = "prompt_pipeline.py"
CARD, SETTINGS = "README.md", "config.json"
#: Files that make a prompt.
NAMES = (FACTS_FILE, PROMPT_FILE, PROBE_FILE, ADAPTER_CONFIG, ADAPTER_WEIGHTS, CARD)
#: What is fetched of a hub's repository: no pickle, no code.
PATTERNS = (*NAMES, SETTINGS)
#: What is sent to one.
SENT = (*NAMES, SETTINGS, PIPELINE_FILE)


def find_folder(name: str, revision: str | None = None) -> Path:
    """The folder of a stored prompt: one of this machine, else a hub's, downloaded or in its cache.

    Args:
        name: A folder, or a name on a hub.
        revision: Commit, tag or branch, on a hub.

    Raises:
        UserError: Where there is neither.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_absolute() or name.startswith((".", "~")) or "/" not in name:
        raise UserError(f"There is no folder {folder}; give a folder, or a name on a hub (owner/name).")
    return hub.snapshot(name, hub.PROMPT, patterns=PATTERNS, starters=lambda: (), revision=revision)
