"""What estimators compute with: a study in a workspace of its own, its progress, and the model that stays in memory."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metapt_explore.config import LabelsConfig, StudyConfig, parse, readable_yaml
from metapt_explore.estimators.rows import GROUP, LABEL, SECOND, TEXT
from metapt_explore.models.study_model import StudyModel
from metapt_explore.progress.console import make_console
from metapt_explore.progress.notebook import NotebookView, in_notebook
from metapt_explore.progress.state import Progress, State
from metapt_explore.progress.terminal import TerminalView
from metapt_explore.storage.files import write_bytes
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.study import Study
from metapt_explore.texts.rows import TextInput

#: Whoever asked for a language model last: the next fit, or prediction, with the same model need not load it again.
_HELD: list[StudyModel] = []


@dataclass(frozen=True)
class Bench:
    """Where an estimator computes.

    Attributes:
        workspace: The workspace.
        scratch: A folder for files that are gone afterwards.
        progress: Told how far it is.
    """

    workspace: Workspace
    scratch: Path
    progress: Progress

    def study(self, kind: str, tree: Mapping[str, Any], where: str) -> Study:
        """A study over the workspace, which keeps its language model in memory until another is asked for.

        Args:
            kind: What its name begins with; the rest follows from the settings, wherever the workspace lies.
            tree: Its settings.
            where: Who asks, for messages.

        Raises:
            UserError: Where the settings do not fit.
        """
        asked = repr(dict(tree)).replace(str(self.workspace.folder.absolute()), "")
        name = f"{kind}-{hashlib.sha256(asked.encode()).hexdigest()[:8]}"
        study = Study(parse(StudyConfig, {"name": name, **tree}, where), self.workspace, self.progress)
        hold(study.model)
        return study

    def write(self, name: str, contents: Mapping[str, bytes]) -> Path:
        """Writes input files into a folder of the workspace that is named by their content."""
        digest = hashlib.sha256(b"\0".join([*contents.values()])).hexdigest()[:12]
        folder = self.workspace.folder / "own-tasks" / f"{name}-{digest}"
        for file, content in contents.items():
            if not (folder / file).exists():
                write_bytes(folder / file, content)
        return folder.absolute()


def check_words(study: Study, readings: Mapping[str, LabelsConfig]) -> None:
    """Finds label words that the model cannot say, and templates that do not fit, before anything is loaded.

    Args:
        study: The study.
        readings: Templates and words, by what they are called in messages.

    Raises:
        UserError: Naming the word.
    """
    from metapt_explore.models.load import check_files, layout_class

    model = study.config.model
    layout = layout_class(study.family)(check_files(model).tokenizer, model, study.placement)
    for where, labels in readings.items():
        layout.pattern(labels, where, whole_vocabulary=study.config.verbalizer.decode == "whole_vocabulary")


def hold(model: StudyModel) -> None:
    """Keeps a language model in memory, in place of the one that was kept before."""
    _HELD[:] = [model]


@contextmanager
def open_bench(workspace: str | Path | None, notices: list[str], *, progress: bool) -> Iterator[Bench]:
    """Opens a place to compute in.

    Args:
        workspace: A folder that is kept, where the same question is not computed twice; a temporary one when None.
        notices: Gets what a user should know.
        progress: Whether a bar is shown, in a notebook or a terminal.
    """
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="metapt-")))
        heard = 0
        show = stack.enter_context(_view(progress=progress))

        def listen(state: State) -> None:
            nonlocal heard
            notices.extend(state.notices[heard:])
            heard = len(state.notices)
            show(state)

        folder = scratch / "workspace" if workspace is None else Path(workspace).expanduser()
        yield Bench(Workspace(folder), scratch, Progress(listen))


@contextmanager
def _view(*, progress: bool) -> Iterator[Callable[[State], None]]:
    if progress and in_notebook():
        yield NotebookView().show
        return
    console = make_console()
    if not progress or not console.is_terminal:
        yield lambda state: None
        return
    view = TerminalView(console)
    try:
        yield view.show
    finally:
        view.close()


def as_lines(
    texts: Sequence[TextInput], labels: Sequence[str | None] | None = None, groups: Sequence[Any] | None = None
) -> bytes:
    r"""Rows as JSONL.

    Example:
        >>> as_lines(["good"], ["1"])
        b'{"text": "good", "label": "1"}\n'
    """
    lines = []
    for number, text in enumerate(texts):
        row: dict[str, Any] = {TEXT: text} if isinstance(text, str) else dict(zip((TEXT, SECOND), text, strict=True))
        if labels is not None:
            row[LABEL] = labels[number]
        if groups is not None:
            row[GROUP] = None if groups[number] is None else str(groups[number])
        lines.append(json.dumps(row) + "\n")
    return "".join(lines).encode()


def columns(*, pairs: bool, labelled: bool = True) -> dict[str, Any]:
    """What the columns of such rows are called, as `columns` of a source has it."""
    return {"text": TEXT, **({"text_pair": SECOND} if pairs else {}), **({"label": LABEL} if labelled else {})}


def merged(tree: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A tree of settings with those of another put into it.

    Example:
        >>> merged({"prompt": {"length": 8}}, {"prompt": {"placement": "prefix"}, "seed": 1})
        {'prompt': {'length': 8, 'placement': 'prefix'}, 'seed': 1}
    """
    made = dict(tree)
    for key, value in changes.items():
        old = made.get(key)
        made[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return made


def task_file(tree: Mapping[str, Any]) -> bytes:
    """A task as its YAML file."""
    return readable_yaml(dict(tree)).encode()
