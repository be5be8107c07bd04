"""How many texts of a study are cut at `model.max_text_tokens`: for plan, check and report. Loads no model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from metapt_explore.auxiliary_tasks.formats.from_texts import sentence_rows
from metapt_explore.auxiliary_tasks.formats.unified import with_options
from metapt_explore.config import SourceConfig, StudyConfig, TaskConfig
from metapt_explore.config.task_formats import LabelsFormat, SentencesFormat, TaskFormat
from metapt_explore.errors import UserError
from metapt_explore.models.text_lengths import SAMPLE, CutShare, cut_share
from metapt_explore.stages.base import Pipeline, Stage
from metapt_explore.stages.format_rows import FormatRows
from metapt_explore.stages.split import Split
from metapt_explore.stages.texts import Texts
from metapt_explore.storage.study_files import read_json_or_copy, write_json_with_copy
from metapt_explore.storage.workspace import Workspace
from metapt_explore.texts.rows import TextInput, as_inputs

#: Largest file, in bytes, that is read just to measure its texts; larger ones are measured during a run.
MOST_BYTES = 100_000_000
FILE = "cut_texts.json"
#: Advice if many texts are cut.
BEGINNING_ONLY = "The model reads their beginning only; a larger limit costs time and memory."
#: The same for rows that a format made.
OPTIONS_LOST = (
    "What stands at their ends, such as options, is not read: show fewer words (`shown_words`, `option_words`), or "
    "raise the limit."
)


def cut_shares(pipeline: Pipeline) -> list[CutShare]:
    """Share of texts that are cut: of the pre-training texts, of what formats make of them, and of each task.

    Texts that are in the workspace are looked at there, others in their source. A source that cannot be read, a large
    file and a hub data set are left out.

    Args:
        pipeline: The study.

    Raises:
        UserError: Where the model's tokenizer cannot be read.
    """
    study = pipeline.config
    tokenizer, limit = tokenizer_and_limit(study)
    shares = []
    if study.pretrains:
        rows = _rows_of(Texts(pipeline), "texts")
        rows = _source_texts([study.texts]) if rows is None else rows
        shares.append(cut_share(rows, tokenizer, limit))
        samples = format_samples(pipeline, rows)
        shares += [cut_share(made.rows, tokenizer, limit, of=name) for name, made in samples.items()]
    for name, task in pipeline.tasks.items():
        rows = _rows_of(Split(pipeline, task), "rows")
        texts = _task_texts(study, task) if rows is None else rows
        cut = cut_share(texts, tokenizer, task.max_tokens or limit, of=name)
        shares.append(replace(cut, own=True) if cut and task.max_tokens else cut)
    return [cut for cut in shares if cut is not None]


@dataclass(frozen=True)
class FormatSample:
    """Rows of a format of auxiliary tasks.

    Attributes:
        rows: All that it made; before they are made, those of some of the texts.
        number: How many there are, or will be about.
    """

    rows: Sequence[TextInput]
    number: int


def format_samples(pipeline: Pipeline, texts: Sequence[TextInput]) -> dict[str, FormatSample]:
    """Rows of each format that makes rows of its own, by its name; of some of the texts where they are not made yet.

    Args:
        pipeline: The study.
        texts: Its pre-training texts.
    """
    formats = {each.called: each for each in pipeline.config.auxiliary_tasks.formats if _has_own_rows(each)}
    with suppress(UserError):
        stage = FormatRows(pipeline)
        if formats and stage.is_there:
            rows = stage.artifact.table("texts")
            parts = {str(name): as_inputs(part) for name, part in rows.groupby("format") if name in formats}
            return {name: FormatSample(part, len(part)) for name, part in parts.items()}
    every = 1 + len(texts) // SAMPLE
    some = [text for text in texts[::every] if isinstance(text, str)]
    made: dict[str, FormatSample] = {}
    for name, each in formats.items():
        with suppress(UserError):  # a run or a check says what is wrong with it
            own = _source_texts([each.texts]) if isinstance(each, LabelsFormat) and each.texts is not None else None
            sample = _rows_made_of(each, some if own is None else own[:: 1 + len(own) // SAMPLE], pipeline.config)
            number = every * len(sample) if own is None else len(own)
            made[name] = FormatSample(sample, number)
    return made


def _has_own_rows(each: TaskFormat) -> bool:
    """Whether its rows are not just the texts again."""
    return each.makes_rows and not (isinstance(each, LabelsFormat) and each.texts is None and not each.unified)


def _rows_made_of(each: TaskFormat, texts: Sequence[TextInput], study: StudyConfig) -> Sequence[TextInput]:
    room = study.model.max_text_tokens
    if isinstance(each, SentencesFormat):
        some = [text for text in texts if isinstance(text, str)]
        return as_inputs(sentence_rows(each, some, room=room, seed=study.seed))
    assert isinstance(each, LabelsFormat)
    if not each.unified:
        return texts
    words = {name: label.word for name, label in each.labels.items()}
    parts = [(text, None) if isinstance(text, str) else text for text in texts]
    rows = pd.DataFrame(parts, columns=["text", "text_pair"])
    # Which label a row has changes the letter of its answer only.
    return as_inputs(with_options(rows.assign(label=next(iter(words))), words, room=room, seed=study.seed))


def _rows_of(stage: Stage, table: str) -> Sequence[TextInput] | None:
    """Texts from the workspace, else from their source; None if neither can be read."""
    with suppress(UserError):
        if stage.is_there:
            return as_inputs(stage.artifact.table(table))
    return None


def tokenizer_and_limit(study: StudyConfig) -> tuple[Any, int]:
    """The language model's tokenizer, and the tokens of a text that it reads.

    Raises:
        UserError: Where the model cannot be found or has no tokenizer.
    """
    from metapt_explore.config.families import FAMILIES
    from metapt_explore.models.families import family_of
    from metapt_explore.models.folder import model_folder
    from metapt_explore.models.hf_load import load_tokenizer
    from metapt_explore.models.pooling import read_pooling

    model = study.model
    folder = model_folder(model.name, model.revision)
    limit = model.max_text_tokens
    if not FAMILIES[family_of(folder, model)].has_vocabulary:
        limit = read_pooling(folder, model.name).tokens(limit)
    return load_tokenizer(folder, model.name), limit


def _task_texts(study: StudyConfig, task: TaskConfig) -> Sequence[TextInput]:
    seed = str(study.evaluation.data_seeds[0])
    return _source_texts(
        source.model_copy(update={"file": source.file and source.file.replace("{seed}", seed)})
        for source in task.sources
    )


def _source_texts(sources: Iterable[SourceConfig]) -> list[TextInput]:
    """Texts that are not blank, of the sources that are quickly read."""
    from metapt_explore.texts.sources import load_source

    texts: list[TextInput] = []
    for source in sources:
        if _quickly_read(source):
            # Another command reports what is wrong with a source.
            with suppress(UserError):
                texts += as_inputs(load_source(source).to_pandas())
    return [text for text in texts if (text if isinstance(text, str) else "".join(text)).strip()]


def _quickly_read(source: SourceConfig) -> bool:
    if source.file is None:
        return source.starter is not None
    file = Path(source.file).expanduser()
    return file.is_file() and file.stat().st_size <= MOST_BYTES


def write_cut_texts(workspace: Workspace, study: StudyConfig, shares: Sequence[CutShare]) -> None:
    """Saves the shares for the report."""
    written = {"model": _reading(study), "shares": [cut.as_dict() for cut in shares]}
    write_json_with_copy(workspace.study_folder(study.name) / FILE, written)


def read_cut_texts(workspace: Workspace, study: StudyConfig) -> list[CutShare]:
    """Shares saved by the last run; empty if there are none, the file is damaged, or the model has changed."""
    stored = read_json_or_copy(workspace.study_folder(study.name) / FILE)
    try:
        if not isinstance(stored, dict) or stored["model"] != _reading(study):
            return []
        return [CutShare(**entry) for entry in stored["shares"]]
    except (KeyError, TypeError):
        return []


def _reading(study: StudyConfig) -> dict[str, Any]:
    """Settings that decide which texts are cut."""
    own = {terms.task: terms.max_tokens for terms in study.evaluation.task_terms if terms.max_tokens is not None}
    settings = study.model.model_dump(mode="json", include={"name", "revision", "family", "max_text_tokens"})
    return {**settings, **({"max_tokens": own} if own else {})}
