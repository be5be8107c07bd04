"""`metapt classify`: texts in, labels and probabilities out, line by line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import tee
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

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
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Each line is a JSON object; it comes back with `prediction` added.")
    ] = False
    text: Annotated[str | None, typer.Option(help="With --jsonl: key of the text (default: guessed).")] = None
    text_pair: Annotated[str | None, typer.Option(help="With --jsonl: key of the second text of a pair.")] = None
    model: Annotated[str | None, typer.Option(help="Folder of the same model on this machine.")] = None
    device: DeviceOption = "auto"


@takes_options
def classify(
    prompt: Annotated[str, typer.Option(help="A folder that `metapt export` wrote, or owner/name on a hub.")],
    options: ClassifyOptions,
) -> None:
    """Classify texts from standard input, one a line, with an exported prompt; prints one JSON object a line.

    A pair has a tab between its texts. With --jsonl, lines are JSON objects, and come back with what was found.
    """
    from metapt_explore.prompts.exported_files import find_folder

    classify_lines(sys.stdin, find_folder(prompt), options)


def classify_lines(lines: Iterable[str], folder: Path, options: ClassifyOptions | None = None) -> None:
    """Prints a line for each line.

    Args:
        lines: Texts; a pair has a tab between its two texts. A blank line gets a blank label. With `options.jsonl`
            JSON objects, which are printed with ``prediction`` and ``probabilities`` added.
        folder: What `metapt export` wrote.
        options: Options; the defaults when absent.

    Raises:
        UserError: Where the folder holds no prompt or the model cannot be found; for a pair, where a line has no tab;
            where a line is no JSON object, or lacks a text.
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
    pairs = "{text_pair}" in classifier.facts.template
    rows = _json_rows(lines, options, pairs=pairs) if options.jsonl else _inputs(lines, pairs=pairs)
    texts, read = tee(rows)
    answers = classifier.classify((text for _, text in texts), options.batch)
    for (row, _), answer in zip(read, answers, strict=True):
        if options.labels_only:
            echo(answer.label or "")
            continue
        probabilities = {name: round(share, 6) for name, share in answer.probabilities.items()}
        given = {"label": answer.label} if row is None else {**row, "prediction": answer.label}
        echo(json.dumps({**given, "probabilities": probabilities}, ensure_ascii=False))


def _json_rows(
    lines: Iterable[str], options: ClassifyOptions, *, pairs: bool
) -> Iterator[tuple[dict[str, Any], TextInput]]:
    """Each line's object, and the text or the two texts in it; keys are guessed once, on the first object."""
    keys: tuple[str, ...] = ()
    for number, line in _numbered(lines):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            raise UserError(f"line {number} is no JSON; without --jsonl each line is a text.") from None
        if not isinstance(row, dict):
            raise UserError(f'line {number}: a JSON object is expected, such as {{"text": "…"}}.')
        keys = keys or _keys(row, options, pairs=pairs)
        texts = []
        for key, option in zip(keys, ("--text", "--text-pair"), strict=False):
            if not isinstance(row.get(key), str | None):
                raise UserError(f"line {number}: '{key}' is no text; say where the text is with {option}.")
            if key not in row:
                raise UserError(f"line {number} has no '{key}'. {did_you_mean(key, list(row))} ({option})")
            texts.append(row[key] or "")
        yield row, (texts[0], texts[1]) if pairs else texts[0]


def _keys(row: dict[str, Any], options: ClassifyOptions, *, pairs: bool) -> tuple[str, ...]:
    """Keys of the text, and of the second text of pairs: as given, else customary names, else guessed."""
    from metapt_explore.texts.guess import guess_columns
    from metapt_explore.texts.guess_pairs import guess_pair

    texts = [key for key, value in row.items() if isinstance(value, str)]
    if not pairs:
        guessed = "text" if "text" in row or not texts else guess_columns({key: [row[key]] for key in texts}).text
        return (options.text or guessed,)
    first, second = ("text", "text_pair") if "text_pair" in row else guess_pair(texts) or ("text", "text_pair")
    return options.text or first, options.text_pair or second


def _inputs(lines: Iterable[str], *, pairs: bool) -> Iterator[tuple[None, TextInput]]:
    """The text of each line, or its two texts."""
    for number, line in _numbered(lines):
        text = line.rstrip("\r\n")
        if not pairs or not text.strip():
            yield None, text
            continue
        first, tab, second = text.partition("\t")
        if not tab:
            raise UserError(f"line {number}: the prompt reads pairs; put a tab between the two texts, or use --jsonl.")
        yield None, (first, second)


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
