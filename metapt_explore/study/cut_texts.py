"""How many texts of a study are cut at `model.max_text_tokens`: for plan, check and report. Loads no model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from metapt_explore.config import SourceConfig, StudyConfig, TaskConfig
from metapt_explore.errors import UserError
from metapt_explore.models.text_lengths import CutShare, cut_share
from metapt_explore.stages.texts import find_texts, split_recipe
from metapt_explore.storage.study_files import read_json_or_copy, write_json_with_copy
from metapt_explore.storage.workspace import Workspace
from metapt_explore.texts.rows import TextInput, as_inputs

#: Bytes of a file that is read only to see how long its texts are; of a larger one it is said once a run has read it.
MOST_BYTES = 100_000_000
FILE = "cut_texts.json"
#: What follows where many texts are cut.
BEGINNING_ONLY = "The model reads their beginning only; a larger limit costs time and memory."


def cut_shares(study: StudyConfig, tasks: Mapping[str, TaskConfig], workspace: Workspace) -> list[CutShare]:
    """Share of texts that are cut, of the pre-training texts and of each task.

    Texts that are in the workspace are looked at there, others in their source. A source that cannot be read, a large
    file and a hub data set are left out.

    Args:
        study: The study.
        tasks: Its downstream tasks by name.
        workspace: Where its texts may lie.

    Raises:
        UserError: Where the model's tokenizer cannot be read.
    """
    tokenizer, limit = tokenizer_and_limit(study)
    found = []
    if study.pretrains:
        texts = find_texts(study, dict(tasks), workspace)
        if texts is not None and texts.is_whole:
            rows: Sequence[TextInput] = as_inputs(texts.table("texts"))
        else:
            rows = _source_texts([study.texts])
        found.append(cut_share(rows, tokenizer, limit))
    found += [cut_share(_task_texts(study, task, workspace), tokenizer, limit, of=name) for name, task in tasks.items()]
    return [cut for cut in found if cut is not None]


def tokenizer_and_limit(study: StudyConfig) -> tuple[Any, int]:
    """The language model's tokenizer, and the tokens of a text that it reads.

    Raises:
        UserError: Where the model cannot be found or has no tokenizer.
    """
    from metapt_explore.models.families import family_of
    from metapt_explore.models.folder import model_folder
    from metapt_explore.models.hf_load import load_tokenizer
    from metapt_explore.models.pooling import read_pooling

    model = study.model
    folder = model_folder(model.name, model.revision)
    limit = model.max_text_tokens
    if family_of(folder, model) == "sentence":
        limit = read_pooling(folder, model.name).tokens(limit)
    return load_tokenizer(folder, model.name), limit


def _task_texts(study: StudyConfig, task: TaskConfig, workspace: Workspace) -> Sequence[TextInput]:
    with suppress(UserError):
        split = workspace.artifact(split_recipe(study, task)[0].id)
        if split.is_whole:
            return as_inputs(split.table("rows"))
    seed = str(study.evaluation.data_seeds[0])
    return _source_texts(
        source.model_copy(update={"file": source.file and source.file.replace("{seed}", seed)})
        for source in task.sources
    )


def _source_texts(sources: Iterable[SourceConfig]) -> list[TextInput]:
    """Texts that are not blank, of the sources that are quickly read."""
    from metapt_explore.texts.sources import load_source

    found: list[TextInput] = []
    for source in sources:
        if _quickly_read(source):
            # What is wrong with a source is said where it is needed.
            with suppress(UserError):
                found += as_inputs(load_source(source).to_pandas())
    return [text for text in found if (text if isinstance(text, str) else "".join(text)).strip()]


def _quickly_read(source: SourceConfig) -> bool:
    if source.file is None:
        return source.starter is not None
    file = Path(source.file).expanduser()
    return file.is_file() and file.stat().st_size <= MOST_BYTES


def write_cut_texts(workspace: Workspace, study: StudyConfig, shares: Sequence[CutShare]) -> None:
    """Keeps them for the study's report."""
    written = {"model": _reading(study), "shares": [cut.as_dict() for cut in shares]}
    write_json_with_copy(workspace.study_folder(study.name) / FILE, written)


def read_cut_texts(workspace: Workspace, study: StudyConfig) -> list[CutShare]:
    """Those of a study's last run; none where it has not come so far, another model reads it now, or it is damaged."""
    found = read_json_or_copy(workspace.study_folder(study.name) / FILE)
    try:
        if not isinstance(found, dict) or found["model"] != _reading(study):
            return []
        return [CutShare(**entry) for entry in found["shares"]]
    except (KeyError, TypeError):
        return []


def _reading(study: StudyConfig) -> dict[str, Any]:
    """What decides which texts are cut, besides the texts."""
    return study.model.model_dump(mode="json", include={"name", "revision", "family", "max_text_tokens"})
