"""`metapt classify`: texts in, labels and probabilities out, line by line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast, get_args

from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.export.classify import Calibration, Classifier
from metapt_explore.progress.console import echo
from metapt_explore.texts.rows import TextInput


def classify_lines(
    lines: Iterable[str],
    folder: Path,
    calibration: str | None = None,
    batch: int = 64,
    labels_only: bool = False,
    model: str | None = None,
    device: str = "auto",
) -> None:
    """Prints a line for each line.

    Args:
        lines: Texts; a pair has a tab between its two. A blank line gets a blank label.
        folder: What `metapt export` wrote.
        calibration: See `Classifier`.
        batch: Texts that are looked at together.
        labels_only: Print the label and nothing else.
        model: Where the same model lies, if not where it was.
        device: Where it runs.

    Raises:
        UserError: Where the folder holds no prompt or the model cannot be found; for a pair, where a line has no tab.
    """
    if calibration is not None and calibration not in get_args(Calibration):
        raise UserError(f"--calibration: {did_you_mean(calibration, get_args(Calibration))}")
    classifier = Classifier(folder, cast("Calibration | None", calibration), model, device)
    for note in classifier.notes:
        echo(note, err=True)
    pairs = "{text_pair}" in classifier.facts.template

    def rows() -> Iterator[TextInput]:
        for number, line in _numbered(lines):
            text = line.rstrip("\r\n")
            if not pairs or not text.strip():
                yield text
                continue
            first, tab, second = text.partition("\t")
            if not tab:
                raise UserError(f"line {number}: the prompt reads pairs; put a tab between the two texts.")
            yield first, second

    for found in classifier.classify(rows(), batch):
        if labels_only:
            echo(found.label or "")
        else:
            shares = {name: round(share, 6) for name, share in found.probabilities.items()}
            echo(json.dumps({"label": found.label, "probabilities": shares}, ensure_ascii=False))


def _numbered(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Lines from 1 on; what is not UTF-8 is refused."""
    number, told = 0, "the texts are not UTF-8; save them as UTF-8 first."
    try:
        for number, line in enumerate(lines, 1):
            line.encode()  # a locale that lets anything through marks what it could not read
            yield number, line
    except UnicodeEncodeError:
        raise UserError(f"Line {number}: {told}") from None
    except UnicodeDecodeError:
        raise UserError(f"Behind line {number}: {told}") from None  # files are read some lines ahead
