"""What makes the stages of a study: each with its parents, once, and entered into the study's list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd

from metapt_explore.config import Family, Placement, StudyConfig, TaskConfig, load_study, load_tasks
from metapt_explore.config.fixed_recipe import few_dev_rows
from metapt_explore.config.task_formats import LabelsFormat
from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.models.backbone import Backbone
from metapt_explore.models.study_model import StudyModel
from metapt_explore.models.text_lengths import MANY, CutShare, format_cut
from metapt_explore.progress.failed_part import FailedPart
from metapt_explore.progress.state import Progress
from metapt_explore.results.cut_texts import BEGINNING_ONLY, OPTIONS_LOST, cut_shares
from metapt_explore.results.tables import results_table
from metapt_explore.stages.base import Stage
from metapt_explore.stages.registry import shares
from metapt_explore.stages.split import Split
from metapt_explore.storage.artifact import Artifact, Question
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.check import check_study
from metapt_explore.study.elsewhere import Elsewhere
from metapt_explore.study.failures import Failures, Named, PartFailed
from metapt_explore.study.trackers import Trackers


class StudyPipeline:
    """Makes stages when they are asked for (`study.Study` is what to use)."""

    #: Tasks (None: the pre-training texts) of which it was said that many texts are cut.
    _said_to_be_cut: frozenset[str | None] = frozenset()

    def __init__(
        self,
        source: str | Path | dict[str, Any] | StudyConfig,
        workspace: str | Path | Workspace | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.config = source if isinstance(source, StudyConfig) else load_study(source)
        self.workspace = workspace if isinstance(workspace, Workspace) else Workspace(workspace)
        self.progress = progress or Progress()
        # The progress is looked up anew each time: a run gives the study another one.
        self.model = StudyModel(self.config, lambda message: self.progress.notice(message))
        self.tasks: dict[str, TaskConfig] = {}
        for task in load_tasks(self.config.evaluation):
            if task.name in self.tasks:
                raise UserError(f"Two tasks of the study are called '{task.name}'; rename one in its YAML file.")
            self.tasks[task.name] = task
        #: Questions that were asked already, see `remembering`.
        self.known: dict[tuple[str, ...], Question] | None = None
        #: The failed parts of the run that goes on; None outside of a run, where an error is the caller's.
        self.failures: Failures | None = None
        #: What the last run could not compute, with the reasons.
        self.failed: list[FailedPart] = []
        self._saved = False
        #: Makes stages in other processes; None: this process makes them all.
        self.elsewhere: Elsewhere | None = None
        #: Other tools that are told of finished stages.
        self.trackers = Trackers(self.config.name, {}, self.progress.notice)
        self.progress.plan(shares(self))

    # ------------------------------------------------------------------------------ what stages look at

    @property
    def family(self) -> Family:
        """The language model's family, read from its files."""
        return self.model.family

    @property
    def placement(self) -> Placement:
        """Where the prompt stands: what the study says, else the family's first."""
        return self.model.placement

    @property
    def backbone(self) -> Backbone:
        """The frozen language model, loaded when it is first needed."""
        return self.model.backbone

    @property
    def goes_on(self) -> bool:
        """Whether a run goes on where one part fails."""
        return self.failures is not None

    def refuse(self, identifier: str) -> None:
        """Raises where the stage of that id has failed in this run: it is not computed twice.

        Raises:
            PartFailed: With the reason of then.
        """
        if self.failures is not None:
            self.failures.refuse(identifier)

    @contextmanager
    def remembering(self) -> Iterator[None]:
        """Inside, each question is asked once: files are assumed not to change."""
        before = self.known
        self.known = {} if before is None else before
        try:
            yield
        finally:
            self.known = before

    # ----------------------------------------------------------------------------------- making stages

    def make(self, stage: Stage) -> Artifact:
        """Makes a stage and all its ancestors, unless they are finished.

        Raises:
            PartFailed: In a run, where it or something that it is made from fails.
            UserError: Where the user's input is wrong.
        """
        with self.remembering():
            made: set[str] = set()
            self._make_parents(stage, made)
            return self._make(stage, made)

    def prepare(self, stage: Stage) -> None:
        """Makes all ancestors of a stage and checks that it can be computed from them."""
        with self.remembering():
            self._make_parents(stage, set())

    def _make_parents(self, stage: Stage, made: set[str]) -> None:
        for role, parent in stage.parents.items():
            if isinstance(parent, Stage) and parent.id not in made:
                self._make_parents(parent, made)
                if role in stage.only_listed:
                    self.enter(parent)
                else:
                    self._make(parent, made)
        stage.check()

    def _make(self, stage: Stage, made: set[str]) -> Artifact:
        question = stage.question
        self.refuse(question.id)
        # Pages find a running artifact through the index, so it is entered before it is made.
        artifact = self.enter(stage)
        if self.elsewhere is not None and stage.uses != "nothing" and not artifact.is_whole:
            self.elsewhere.make([stage])  # this process runs no model
        if not artifact.is_whole:
            units = stage.units
            try:
                if self.elsewhere is not None:
                    self.elsewhere.refuse(stage)
                if stage.uses == "model":
                    self._load_model()
                self.progress.begin(stage.key, stage.title, units, with_model=stage.uses == "model")
                artifact = self.workspace.make(
                    question,
                    stage.compute,
                    while_waiting=lambda: self.progress.advance(0),
                    on_notice=self.progress.notice,
                )
                self.trackers.tell(stage.key, artifact, stage.subject())
            except Exception as error:
                if self.failures is None or isinstance(error, PartFailed):
                    raise
                raise PartFailed(self.failures.add(stage, error, question.id)) from error
            self.progress.advance(units)
        self.progress.finish(stage.key)
        made.add(question.id)
        return artifact

    def make_ahead(self, stages: Iterable[Stage]) -> None:
        """Has stages made elsewhere, if the study runs on an engine; `make` then finds and lists them, in order."""
        if self.elsewhere is not None:
            self.elsewhere.make(list(stages))

    def _load_model(self) -> None:
        """Loads the language model, which counts for no method; one that does not load is tried once in a run."""
        if self.model.loaded:
            return
        loading = Named("model", "loading the language model")
        self.refuse(loading.title)
        self.progress.begin("", loading.title, 1, with_model=False)
        try:
            self.backbone  # noqa: B018
        except Exception as error:
            if self.failures is None:
                raise
            raise PartFailed(self.failures.add(loading, error, loading.title)) from error

    def save(self) -> None:
        """Writes what is asked into the study's folder, once.

        Raises:
            UserError: Where another process is running a study of that name with other settings.
        """
        if not self._saved:
            before = self.workspace.save_study(
                self.config, holds_lock=self.progress.holds_lock, tasks=self.tasks.values()
            )
            self._saved = True
            if before is not None:
                self.progress.notice(f"Another study was called '{self.config.name}' here; it is kept as {before}.")

    def enter(self, stage: Stage) -> Artifact:
        """Puts an artifact on the study's list; nothing is computed."""
        self.save()
        self.workspace.add_to_index(self.config.name, stage.entry())
        return self.workspace.artifact(stage.id)

    # ---------------------------------------------------------------------------------------- look-ups

    def finished_splits(self) -> dict[str, Artifact]:
        """Finished splits by task; computes nothing."""
        splits = {}
        for name, task in self.tasks.items():
            with suppress(UserError):
                split = Split(self, task)
                if split.is_there:
                    splits[name] = split.artifact
        return splits

    def task(self, name: str) -> TaskConfig:
        """The task of that name, or says which exist."""
        if name not in self.tasks:
            raise UserError(f"The study has no task '{name}'. {did_you_mean(name, self.tasks)}")
        return self.tasks[name]

    def seed(self, init_seed: int | None) -> int:
        """An initialisation seed of the study; its first when None."""
        seeds = self.config.evaluation.init_seeds
        if init_seed is None:
            return seeds[0]
        if init_seed not in seeds:
            raise UserError(f"Initialisation seed {init_seed} is not among evaluation.init_seeds {seeds}.")
        return init_seed

    def results(self) -> pd.DataFrame:
        """Scores so far: one row for each method, task, data seed and initialisation seed."""
        return results_table(self.workspace, self.config.name)

    # ------------------------------------------------------------------------------ before computing

    def check_settings(self) -> None:
        """Finds what is wrong without reading a text: a missing model, a label word of two tokens, a bad start.

        Raises:
            UserError: Naming what is wrong.
        """
        for sentence in few_dev_rows(self.config.model_dump(mode="json")):
            self.progress.notice(sentence)
        check_study(self)

    def cut_texts(self) -> list[CutShare]:
        """How many texts are cut at `model.max_text_tokens`, of the pre-training texts and of each task."""
        return cut_shares(self)

    def notice_cut_texts(self, shares: Sequence[CutShare]) -> None:
        """Says where many texts are cut; once, though a later look at the texts may give another share."""
        new = [cut for cut in shares if cut.share > MANY and cut.of not in self._said_to_be_cut]
        self._said_to_be_cut |= {cut.of for cut in new}
        # Of labelled rows the text is cut, never the options that `unified` writes below it.
        formats = self.config.auxiliary_tasks.formats
        ends = {each.called for each in formats if not isinstance(each, LabelsFormat)} - {*self.tasks}
        for cut in new:
            self.progress.notice(f"{format_cut(cut)} {OPTIONS_LOST if cut.of in ends else BEGINNING_ONLY}")
