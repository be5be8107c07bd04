"""The file that uses an exported prompt without this package: `prompt_pipeline.py`, copied as it stands here."""

from __future__ import annotations

from pathlib import Path

from metapt_explore.export.facts import PromptFacts
from metapt_explore.prompts.exported_files import PIPELINE_FILE
from metapt_explore.storage.files import write_bytes


def write_pipeline(folder: Path, facts: PromptFacts) -> list[Path]:
    """Writes the file where it can read the prompt; takes away that of another prompt where it cannot.

    It reads prompts of decoder-only models, single texts, and classes of one token a word.

    Args:
        folder: The prompt's folder.
        facts: Of the prompt.

    Returns:
        The file, or nothing.
    """
    file = folder / PIPELINE_FILE
    if facts.token_ids is None:
        file.unlink(missing_ok=True)
        return []
    write_bytes(file, Path(__file__).with_name(PIPELINE_FILE).read_bytes())
    return [file]
