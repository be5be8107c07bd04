"""The stages up to the auxiliary tasks; `study_scores.py` adds prompts and scores, `study.Study` what looks at them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from metapt_explore.config import (
    Family,
    MethodConfig,
    Placement,
    RandomGroups,
    StudyConfig,
    TaskConfig,
    load_study,
    load_task,
)
from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.models.backbone import Backbone
from metapt_explore.progress.failed_part import FailedPart
from metapt_explore.progress.state import Progress
from metapt_explore.progress.work import MODEL_STAGES, estimate
from metapt_explore.stages import clusters as cluster_stages
from metapt_explore.stages import joined_tasks as task_stages
from metapt_explore.stages import texts as data_stages
from metapt_explore.stages.labels import labels_recipe
from metapt_explore.stages.task_subset import chosen_tasks_recipe
from metapt_explore.stages.texts import Recipe
from metapt_explore.storage.artifact import Artifact, Question
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.failures import Failures, PartFailed
from metapt_explore.study.model import StudyModel


class StudyPipeline:
    """The stages, each made when it is first asked for (see `study.Study`, which is what to use)."""

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
        for name in self.config.evaluation.tasks:
            task = load_task(name)
            if task.name in self.tasks:
                raise UserError(f"Two tasks of the study are called '{task.name}'; rename one in its YAML file.")
            self.tasks[task.name] = task
        self.progress.plan(estimate(self.config, self.tasks))
        #: The failed parts of the run that goes on; None outside of a run, where an error is the caller's.
        self.failures: Failures | None = None
        #: What the last run could not compute, with the reasons.
        self.failed: list[FailedPart] = []
        self._saved = False

    def split(self, task: str, shots: int | None = None) -> Artifact:
        """Few-shot splits of a downstream task; `shots` is one of `evaluation.more_shots`."""
        study, of_task = self.config.at_shots(shots), self._task(task)
        of: dict[str, Any] = {"task": task} | ({} if shots is None else {"shots": shots})
        kind = "split" if shots is None else "split at other shots"
        try:
            recipe = data_stages.split_recipe(study, of_task)
        except UserError as error:
            return self._read_before(error, kind, data_stages.split_config(study, of_task), {}, **of)
        return self._make(f"split/{task}", recipe, 1, kind=kind, **of)

    def finished_splits(self) -> dict[str, Artifact]:
        """The splits that are there, by task; nothing is computed."""
        found = {}
        for name, task in self.tasks.items():
            with suppress(UserError):
                split = self.workspace.artifact(data_stages.split_recipe(self.config, task)[0].id)
                if split.is_whole:
                    found[name] = split
        return found

    def _all_splits(self) -> dict[str, Artifact]:
        """Splits of every task at every number of shots: no dev or test row of any may be pre-trained on."""
        splits = {}
        for shots in (None, *self.config.evaluation.more_shots):
            for name in self.tasks:
                called = name if shots is None else f"{name} at {shots} shots"
                try:
                    splits[called] = self.split(name, shots)
                except UserError:
                    if self.failures is None:
                        raise
                    # A task that cannot be read is scored in no way, so there is nothing of it that could leak.
                    self.progress.notice(
                        f"Pre-training texts are not compared with the rows of {called}, which could not be read. "
                        "When they can be read again, pre-training begins anew."
                    )
        if not splits:
            raise UserError("no task of the study can be read, so nothing could be scored.")
        return splits

    def texts(self) -> Artifact:
        """The pre-training texts, decontaminated against every dev and test row of the study."""
        splits = self._all_splits()
        try:
            recipe = data_stages.texts_recipe(self.config, splits)
        except UserError as error:
            of_texts = data_stages.texts_config(self.config)
            return self._read_before(error, "texts", of_texts, data_stages.text_parents(splits))
        return self._make("texts", recipe, 1)

    def _read_before(
        self, error: UserError, kind: str, config: dict[str, Any], parents: dict[str, str], **of: Any
    ) -> Artifact:
        """What a run read earlier from a file that cannot be read any more.

        Raises:
            UserError: `error`, where there is no such artifact, or no run goes on.
        """
        if self.failures is None:
            raise error
        for entry in reversed(self.workspace.index(self.config.name)):
            if entry["kind"] != kind or any(entry.get(key) != value for key, value in of.items()):
                continue
            artifact = self.workspace.artifact(str(entry["id"]))
            stage = artifact.stage
            if artifact.is_whole and stage.get("config") == config and stage.get("parents") == parents:
                self.progress.notice(f"{error} What was read of it before is used.")
                return artifact
        raise error

    def embeddings(self) -> Artifact:
        """Sentence embeddings of the texts."""
        texts = self.texts()
        recipe = data_stages.embeddings_recipe(self.config, texts, self.model.device, self._advance)
        return self._make("embeddings", recipe, texts.summary["kept"])

    def labels(self) -> Artifact | None:
        """Labels found for the texts, where the study asks for that."""
        labelling = self.config.labelling
        if labelling is None:
            return None
        texts = self.texts()
        recipe = labels_recipe(
            self.config,
            labelling,
            texts,
            self.embeddings() if labelling.by == "classifier" else None,
            self._all_splits() if labelling.by == "classifier" else {},
            self.model.identity,
            self._load,
            self.model.device,
            self._advance,
        )
        return self._make(f"labels/{labelling.by}", recipe, texts.summary["kept"])

    def clusters(self, name: str) -> Artifact:
        """The clustering of that name."""
        like_name = self.config.clustering(name).source
        like = self.clusters(like_name) if like_name else None
        recipe = cluster_stages.clusters_recipe(self.config, name, self.texts(), self.embeddings(), like)
        return self._make(f"clusters/{name}", recipe, 1, clustering=name)

    def auxiliary_tasks(self, clustering: str | list[str] | None) -> Artifact:
        """Auxiliary tasks out of a clustering, or several together; None is one pool of all labelled rows."""
        names = [clustering] if isinstance(clustering, str) else list(clustering or [])
        soft = self.config.auxiliary_tasks.softness > 0
        if len(names) > 1 or (names and soft):
            parts = [task_stages.Part(name, self.clusters(name), self._copied(name)) for name in names]
            embeddings = self.embeddings() if soft else None
            recipe = task_stages.joined_tasks_recipe(self.config, self.texts(), parts, embeddings, self.labels())
        else:
            clusters = self.clusters(names[0]) if names else None
            recipe = cluster_stages.tasks_recipe(self.config, self.texts(), clusters, self.labels())
        called = " + ".join(names) or "pool"
        return self._make(f"tasks/{called}", recipe, 1, clustering=called)

    def _copied(self, name: str) -> Artifact | None:
        """Random groups: the clustering whose sizes they copy, in the end."""
        clustering = self.config.clustering(name)
        if not isinstance(clustering, RandomGroups):
            return None
        return self._copied(clustering.like) or self.clusters(clustering.like)

    def tasks_of(self, method: MethodConfig) -> Artifact:
        """The auxiliary tasks that a method learns from: those of its clustering, or some of them."""
        tasks = self.auxiliary_tasks(method.clustering)
        if not (method.without or method.only):
            return tasks
        called = " + ".join(method.clusterings)
        recipe = chosen_tasks_recipe(tasks, called, method.without, method.only, f"method '{method.name}'")
        # Another name in the study's list: the entry of all tasks stays.
        title = recipe[0].title.removeprefix("auxiliary tasks ")
        return self._make(f"tasks/{called} {title}", recipe, 1, kind="some tasks", clustering=f"{called} {title}")

    def task_names(self, clustering: str | list[str] | None) -> dict[int, str]:
        """What the auxiliary tasks of a clustering, or of several, are called: as their clusters; empty for a pool."""
        told = self.auxiliary_tasks(clustering).summary.get("names")
        if told is not None:
            return {int(task): str(name) for task, name in told.items()}
        if not isinstance(clustering, str) or self.config.auxiliary_tasks.classes == "clusters":
            return {}
        clusters = self.clusters(clustering).summary["clusters"]
        return {int(cluster["cluster"]): str(cluster["name"]) for cluster in clusters}

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

    def _make(self, key: str, recipe: Recipe, units: int, kind: str | None = None, **of: Any) -> Artifact:
        """Makes a stage's artifact; `kind` is what the study's list calls it, where that is not its own kind."""
        stage, compute = recipe
        if self.failures is not None:
            self.failures.refuse(stage.id)
        # Pages find a running artifact through the index, so it is entered before it is made.
        artifact = self._enter(stage, kind, **of)
        if not artifact.is_whole:
            try:
                if key.startswith(MODEL_STAGES) or stage.kind in ("probe", "agreement", "lens"):
                    self._load_model()
                self.progress.begin(key, stage.title, units)
                artifact = self.workspace.make(
                    stage,
                    compute,
                    while_waiting=lambda: self.progress.advance(0),
                    on_notice=self.progress.notice,
                )
            except Exception as error:
                if self.failures is None or isinstance(error, PartFailed):
                    raise
                raise PartFailed(self.failures.add(key, stage.title, error, stage.id)) from error
            self.progress.advance(units)
        self.progress.finish(key)
        return artifact

    def _load_model(self) -> None:
        """Loads the language model, which counts for no method; one that does not load is tried once in a run."""
        if self.model.loaded:
            return
        title = "loading the language model"
        if self.failures is not None:
            self.failures.refuse(title)
        self.progress.begin("", title, 1)
        try:
            self.backbone  # noqa: B018
        except Exception as error:
            if self.failures is None:
                raise
            raise PartFailed(self.failures.add("model", title, error, title)) from error

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

    def _enter(self, stage: Question, kind: str | None = None, **of: Any) -> Artifact:
        """Puts an artifact on the study's list; nothing is computed."""
        self.save()
        self.workspace.add_to_index(
            self.config.name, {"kind": kind or stage.kind, "id": stage.id, "title": stage.title, **of}
        )
        return self.workspace.artifact(stage.id)

    def _load(self) -> Backbone:
        return self.backbone

    def _advance(self, done: int) -> None:
        self.progress.advance(done)

    def _task(self, name: str) -> TaskConfig:
        if name not in self.tasks:
            raise UserError(f"The study has no task '{name}'. {did_you_mean(name, self.tasks)}")
        return self.tasks[name]

    def _seed(self, init_seed: int | None) -> int:
        seeds = self.config.evaluation.init_seeds
        if init_seed is None:
            return seeds[0]
        if init_seed not in seeds:
            raise UserError(f"Initialisation seed {init_seed} is not among evaluation.init_seeds {seeds}.")
        return init_seed
