"""How many texts of a study are cut at `model.max_text_tokens`: for plan, check and report. Loads no model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from metapt_explore.auxiliary_tasks.formats.from_texts import sentence_rows
from metapt_explore.config import SourceConfig, StudyConfig, TaskConfig
from metapt_explore.config.task_formats import SentencesFormat
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
        shares += [cut_share(made, tokenizer, limit, of=name) for name, made in _made_rows(pipeline, rows).items()]
    for name, task in pipeline.tasks.items():
        rows = _rows_of(Split(pipeline, task), "rows")
        shares.append(cut_share(_task_texts(study, task) if rows is None else rows, tokenizer, limit, of=name))
    return [cut for cut in shares if cut is not None]


def _made_rows(pipeline: Pipeline, texts: Sequence[TextInput]) -> dict[str, Sequence[TextInput]]:
    """Rows of each format that makes any; of some of the texts where they are not made yet."""
    formats = pipeline.config.auxiliary_tasks.formats
    with suppress(UserError):
        stage = FormatRows(pipeline)
        if formats and stage.is_there:
            rows = stage.artifact.table("texts")
            return {str(name): as_inputs(part) for name, part in rows[rows["format"] != ""].groupby("format")}
    some = [text for text in texts[:: 1 + len(texts) // SAMPLE] if isinstance(text, str)]
    made: dict[str, Sequence[TextInput]] = {}
    for each in formats:
        if isinstance(each, SentencesFormat):
            with suppress(UserError):  # a run or a check says what is wrong with it
                made[each.called] = as_inputs(sentence_rows(each, some, seed=pipeline.config.seed))
    return made


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
    return study.model.model_dump(mode="json", include={"name", "revision", "family", "max_text_tokens"})
