"""A study: the pipeline's stages as verbs, each made when it is first asked for.

>>> study = Study("tour", workspace="workspace")      # doctest: +SKIP
>>> study.clusters("kmeans").summary["quality"]       # doctest: +SKIP
>>> study.prompt("MetaPT").metrics                    # doctest: +SKIP
>>> study.run()                                       # doctest: +SKIP
>>> study.results()                                   # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import pandas as pd

from metapt_explore.config import MethodConfig, StudyConfig
from metapt_explore.config.ensembles import is_seeded
from metapt_explore.cost.count import Cost, Reckoning
from metapt_explore.errors import UserError
from metapt_explore.results.clustering_quality import clustering_quality
from metapt_explore.results.predictions import predictions_of
from metapt_explore.stages.auxiliary_tasks import Tasks, task_names
from metapt_explore.stages.baseline import Baseline
from metapt_explore.stages.clusters import Clusters
from metapt_explore.stages.embeddings import Embeddings
from metapt_explore.stages.ensemble import Ensemble
from metapt_explore.stages.fewshot import FewShot
from metapt_explore.stages.fewshot_probe import FewShotProbe
from metapt_explore.stages.hidden_states import HiddenStates
from metapt_explore.stages.labels import Labels
from metapt_explore.stages.prompt import Prompt
from metapt_explore.stages.registry import count
from metapt_explore.stages.split import Split
from metapt_explore.stages.task_subset import tasks_of
from metapt_explore.stages.texts import Texts
from metapt_explore.storage.artifact import Artifact
from metapt_explore.study.job_file import working_on
from metapt_explore.study.preview import text_counts, text_tokens
from metapt_explore.study.requests import RequestedParts
from metapt_explore.study.run import run_all


class Study(RequestedParts):
    """A study in a workspace.

    Args:
        source: A YAML file, a packaged example, a dictionary or a `StudyConfig`.
        workspace: Folder for what is computed.
        progress: Told what is going on; may stop the study.

    Raises:
        UserError: Where the configuration or a task file is wrong.
    """

    def split(self, task: str, shots: int | None = None) -> Artifact:
        """Few-shot splits of a downstream task; `shots` is one of `evaluation.more_shots`."""
        return self.make(Split(self, self.task(task), shots))

    def texts(self) -> Artifact:
        """The pre-training texts, decontaminated against every dev and test row of the study."""
        return self.make(Texts(self))

    def embeddings(self) -> Artifact:
        """Vectors of the texts, of the make that `embeddings` names."""
        return self.make(Embeddings(self))

    def labels(self) -> Artifact | None:
        """Labels found for the texts; None without `labelling`."""
        return None if self.config.labelling is None else self.make(Labels(self))

    def clusters(self, name: str) -> Artifact:
        """The clustering of that name."""
        return self.make(Clusters(self, name))

    def auxiliary_tasks(self, clustering: str | list[str] | None) -> Artifact:
        """Auxiliary tasks out of a clustering, or several together; None is one pool of all labelled rows."""
        return self.make(Tasks(self, (clustering,) if isinstance(clustering, str) else tuple(clustering or ())))

    def tasks_of(self, method: MethodConfig) -> Artifact:
        """The auxiliary tasks that a method learns from: those of its clustering, or some of them."""
        return self.make(tasks_of(self, method))

    def task_names(self, clustering: str | list[str] | None) -> dict[int, str]:
        """What the auxiliary tasks of a clustering, or of several, are called: as their clusters; empty for a pool."""
        return task_names(self.auxiliary_tasks(clustering))

    def prompt(self, method: str, init_seed: int | None = None, *, shots: int | None = None) -> Artifact:
        """The prompt of a method for one initialisation seed (the first of the study when absent).

        Args:
            method: The method.
            init_seed: The initialisation seed.
            shots: One of `evaluation.more_shots`, where `pretraining.support_shots` matches them.
        """
        return self.make(Prompt.at(self, self.config.method(method), self.seed(init_seed), shots))

    def fewshot(self, method: str, task: str, init_seed: int | None = None, *, shots: int | None = None) -> Artifact:
        """Few-shot evaluation of one prompt on one task, over the data seeds that go with its initialisation seed.

        Args:
            method: The method.
            task: One of the study's tasks.
            init_seed: The initialisation seed (the first of the study when absent).
            shots: One of `evaluation.more_shots`, where that is asked for.
        """
        chosen = self.config.method(method)
        stage = FewShotProbe if self.config.reading_of(chosen).has_probe else FewShot
        prompt = Prompt.at(self, chosen, self.seed(init_seed), shots)
        return self.make(stage(self, prompt, self.task(task), shots))

    def hidden_states(self, task: str, shots: int | None = None) -> Artifact:
        """What the frozen model makes of the texts of a task's splits; what probes are fitted to."""
        return self.make(HiddenStates(self, self.task(task), shots))

    def baseline(self, name: str, task: str, init_seed: int | None = None, *, shots: int | None = None) -> Artifact:
        """A baseline on one task, over all data seeds.

        Args:
            name: One of the study's baselines.
            task: One of its tasks.
            init_seed: For baselines with an initialisation (`BaselineConfig.seeded`); the study's first when absent.
            shots: One of `evaluation.more_shots`, where that is asked for.
        """
        chosen = self.config.baseline(name)
        seed = self.seed(init_seed) if is_seeded(self.config, chosen) else None
        stage = Ensemble if chosen.combines else Baseline
        return self.make(stage(self, chosen, self.task(task), seed, shots))

    def predictions(self, task: str, shots: int | None = None) -> pd.DataFrame:
        """Every decision of the finished methods and baselines on a task (`results/predictions.py`).

        Args:
            task: One of the study's tasks.
            shots: One of `evaluation.more_shots`.

        Returns:
            A row for each method, pair of seeds and scored row; `statistics.compare_rows` takes two methods' rows.
        """
        return predictions_of(self.workspace, self.config.name, task, shots=shots)

    def clustering_quality(self) -> pd.DataFrame:
        """Quality of each finished clustering beside what methods gained with it (see `clusters/quality_table.py`)."""
        return clustering_quality(self.workspace, self.config)

    def leave_one_out(self, method: str) -> StudyConfig:
        """A study that has the method with all its clusters, and once without each of them (`docs/why.md`).

        Clusters and tasks are made, which needs no language model; nothing is pre-trained.
        """
        from metapt_explore.diagnostics.leave_one_out import leave_one_out

        tasks = self.tasks_of(self.config.method(method)).summary["sizes"]
        return leave_one_out(self.config, method, [int(task) for task in tasks])

    def preview(self, texts: Artifact | None = None, splits: Mapping[str, Artifact] | None = None) -> Cost:
        """Predicts rows, time and memory of the whole study from a few timed passes; computes no artifact.

        Args:
            texts: The pre-training texts; looked for in the workspace when absent.
            splits: The few-shot rows of tasks; likewise.
        """
        from metapt_explore.cost.calibrate import measure, preview, preview_without_model, shape_of
        from metapt_explore.cost.speeds import KeptSpeeds

        texts = texts or self._texts_that_are_there()
        counts = text_counts(self, texts, self.finished_splits() if splits is None else splits)
        works = count(self, Reckoning.of(self.config, self.placement, texts=counts))
        if not any(work.needs_model for work in works.values()):
            return preview_without_model(self.config, works, self.model.device)
        reckoning = Reckoning.of(self.config, self.placement, text_tokens=text_tokens(self, texts), texts=counts)
        works = count(self, reckoning)
        embeds = any(work.embedded for work in works.values())
        speed = measure(self.config, self.tasks, self.backbone, reckoning=reckoning, embeds=embeds)
        kept = KeptSpeeds(self.workspace.folder, self.model.identity)
        kept.keep_outside(shape_of(self.config, self.tasks, reckoning), speed)
        return preview(self.config, self.tasks, self.backbone, works=works, reckoning=reckoning, speed=speed)

    def _texts_that_are_there(self) -> Artifact | None:
        with suppress(UserError):  # a source that cannot be read was not read before either
            texts = Texts(self).artifact
            return texts if texts.status == "done" else None
        return None

    def run(self, init_seeds: Sequence[int] | None = None, until: str = "all") -> pd.DataFrame:
        """Makes everything that is not there yet and returns the results table.

        Clusters come before anything that needs the language model, so that there is soon something to see.
        While it runs, this process holds the study's lock and pages show it as a job.

        Args:
            init_seeds: Work on these of the study's initialisation seeds only; the others are left for another day or
                machine. All when absent.
            until: Stop when this is there: ``texts``, ``clusters`` (and their tasks), ``plan`` (the predicted cost of
                the rest), a kind that is made on request (``stability``, ``agreement``, ``lens`` …), ``prompts``, or
                ``all``.

        Raises:
            UserError: Where the user's input is wrong, or another process is running the study.
            Cancelled: Where the study was asked to stop.
        """
        chosen = list(self.config.evaluation.init_seeds) if init_seeds is None else [*map(self.seed, init_seeds)]
        if self.progress.holds_lock:
            return run_all(self, chosen, until)
        before = self.progress
        try:
            with working_on(self.workspace, self.config.name, before.tell) as self.progress:
                return run_all(self, chosen, until)
        finally:
            self.progress = before

    def check(self) -> None:
        """Finds what would fail late, early, and says how many texts are cut; see `problems.looking` for all of it.

        Raises:
            UserError: Naming what is wrong.
        """
        self.check_settings()
        self.notice_cut_texts(self.cut_texts())
