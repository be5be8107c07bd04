"""A fitted prompt as the files that `export_prompt` writes, held in memory: a few kilobytes that are saved anywhere."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from metapt_explore.errors import UserError
from metapt_explore.export.facts import PromptFacts
from metapt_explore.export.standalone import write_pipeline
from metapt_explore.prompts.exported_files import NAMES, PROMPT_FILE
from metapt_explore.storage.files import write_bytes

if TYPE_CHECKING:
    from torch import Tensor

#: Bytes of a file that are read at most: a deep prompt of a large model has some hundred megabytes.
MOST_BYTES = 2**31


@dataclass(frozen=True, repr=False)
class ExportedPrompt:
    """The files of a prompt.

    Attributes:
        files: Name to content.
    """

    files: Mapping[str, bytes]

    @classmethod
    def read(cls, folder: Path) -> ExportedPrompt:
        """Reads what `export_prompt`, or `write`, wrote.

        Raises:
            UserError: Where the folder holds no prompt.
        """
        files = {}
        for name in NAMES:
            file = folder / name
            if file.is_file():
                if file.stat().st_size > MOST_BYTES:
                    raise UserError(f"{file} is larger than {MOST_BYTES // 2**30} GiB, which no prompt is.")
                files[name] = file.read_bytes()
        if PROMPT_FILE not in files:
            raise UserError(f"{folder} holds no prompt: {PROMPT_FILE} is missing. `save_pretrained` writes one.")
        PromptFacts.load(folder)
        return cls(files)

    def write(self, folder: Path) -> Path:
        """Writes the files; those of another prompt in the folder are replaced."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in NAMES:
            if name in self.files:
                write_bytes(folder / name, self.files[name])
            else:
                (folder / name).unlink(missing_ok=True)
        write_pipeline(folder, PromptFacts.load(folder))
        return folder

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A folder that holds the files for a while."""
        with tempfile.TemporaryDirectory(prefix="metapt-prompt-") as name:
            yield self.write(Path(name))

    @property
    def facts(self) -> PromptFacts:
        """Model, placement, template, words, and where the prompt comes from."""
        with self.folder() as folder:
            return PromptFacts.load(folder)

    @property
    def prompt(self) -> Tensor:
        """The prompt, fp32 `[tokens, width]`."""
        from safetensors.torch import load

        return load(self.files[PROMPT_FILE])["prompt"]
