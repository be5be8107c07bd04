"""`metapt classify`: texts in, labels and probabilities out, line by line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from metapt_explore.cli.options import DeviceOption, takes_options
from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.progress.console import echo

if TYPE_CHECKING:
    from metapt_explore.texts.rows import TextInput


@dataclass(frozen=True)
class ClassifyOptions:
    """How texts are classified; each field is an option of the command."""

    calibration: Annotated[
        str | None, typer.Option(help="none, content_free or batch_mean (default: as in the study).")
    ] = None
    batch: Annotated[int, typer.Option(min=1, help="Texts per batch.")] = 64
    labels_only: Annotated[bool, typer.Option("--labels-only", help="Print only the label, one a line.")] = False
    model: Annotated[str | None, typer.Option(help="Folder of the same model on this machine.")] = None
    device: DeviceOption = "auto"


@takes_options
def classify(
    prompt: Annotated[Path, typer.Option(help="A folder that `metapt export` wrote.")], options: ClassifyOptions
) -> None:
    """Classify texts from standard input, one a line, with an exported prompt; prints one JSON object a line."""
    classify_lines(sys.stdin, prompt, options)


def classify_lines(lines: Iterable[str], folder: Path, options: ClassifyOptions | None = None) -> None:
    """Prints a line for each line.

    Args:
        lines: Texts; a pair has a tab between its two texts. A blank line gets a blank label.
        folder: What `metapt export` wrote.
        options: Options; the defaults when absent.

    Raises:
        UserError: Where the folder holds no prompt or the model cannot be found; for a pair, where a line has no tab.
    """
    from metapt_explore.export.classify import Calibration, Classifier

    options = options or ClassifyOptions()
    if options.calibration is not None and options.calibration not in get_args(Calibration):
        raise UserError(f"--calibration: {did_you_mean(options.calibration, get_args(Calibration))}")
    classifier = Classifier(
        folder, cast("Calibration | None", options.calibration), model=options.model, device=options.device
    )
    for note in classifier.notes:
        echo(note, err=True)
    inputs = _inputs(lines, pairs="{text_pair}" in classifier.facts.template)
    for answer in classifier.classify(inputs, options.batch):
        if options.labels_only:
            echo(answer.label or "")
        else:
            probabilities = {name: round(share, 6) for name, share in answer.probabilities.items()}
            echo(json.dumps({"label": answer.label, "probabilities": probabilities}, ensure_ascii=False))


def _inputs(lines: Iterable[str], *, pairs: bool) -> Iterator[TextInput]:
    """The text of each line, or its two texts."""
    for number, line in _numbered(lines):
        text = line.rstrip("\r\n")
        if not pairs or not text.strip():
            yield text
            continue
        first, tab, second = text.partition("\t")
        if not tab:
            raise UserError(f"line {number}: the prompt reads pairs; put a tab between the two texts.")
        yield first, second


def _numbered(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Lines, counted from 1; what is not UTF-8 is refused."""
    number, advice = 0, "the texts are not UTF-8; save them as UTF-8 first."
    try:
        for number, line in enumerate(lines, 1):
            line.encode()  # a locale that lets anything through marks what it could not read
            yield number, line
    except UnicodeEncodeError:
        raise UserError(f"Line {number}: {advice}") from None
    except UnicodeDecodeError:
        raise UserError(f"Behind line {number}: {advice}") from None  # files are read some lines ahead
