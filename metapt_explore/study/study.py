"""A study: the pipeline's stages as verbs, each made when it is first asked for.

>>> study = Study("tour", workspace="workspace")      # doctest: +SKIP
>>> study.clusters("kmeans").summary["quality"]       # doctest: +SKIP
>>> study.prompt("MetaPT").metrics                    # doctest: +SKIP
>>> study.run()                                       # doctest: +SKIP
>>> study.results()                                   # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from metapt_explore.config import EditedClustering, MethodConfig, StudyConfig
from metapt_explore.cost.count import Cost, count
from metapt_explore.errors import UserError
from metapt_explore.models.text_lengths import MANY, CutShare, format_cut
from metapt_explore.results.clustering_quality import clustering_quality
from metapt_explore.results.tables import results_table
from metapt_explore.stages import texts as data_stages
from metapt_explore.stages.agreement import agreement_recipe
from metapt_explore.stages.lens import lens_recipe, prompts_to_see
from metapt_explore.stages.stability import stability_recipe
from metapt_explore.stages.template_ranking import probe_recipe
from metapt_explore.storage.artifact import Artifact
from metapt_explore.study.check import check_study
from metapt_explore.study.cut_texts import BEGINNING_ONLY, cut_shares
from metapt_explore.study.job_file import working_on
from metapt_explore.study.preview import text_counts, text_tokens
from metapt_explore.study.run import Until, run_all
from metapt_explore.study.scores import StudyScores


class Study(StudyScores):
    """A study in a workspace.

    Args:
        source: A YAML file, a packaged example, a dictionary or a `StudyConfig`.
        workspace: Folder for what is computed.
        progress: Told what is going on; may stop the study.

    Raises:
        UserError: Where the configuration or a task file is wrong.
    """

    #: Tasks (None: the pre-training texts) of which it was said that many texts are cut.
    _said_to_be_cut: frozenset[str | None] = frozenset()

    def stability(self, name: str, runs: int = 5) -> Artifact:
        """How far a clustering comes back with other seeds and on parts of the texts; `run` does not make it.

        Args:
            name: The clustering.
            runs: Other seeds, and sub-samples: twice as many clusterings, or as many where nothing is drawn.

        Returns:
            An artifact whose summary `clusters/stability.py` describes; ``sentence`` says it in words.

        Raises:
            UserError: Where there are fewer than two runs.
        """
        if runs < 2:
            raise UserError(f"stability of '{name}': runs is {runs}; two runs or more can be compared.")
        if isinstance(self.config.clustering(name), EditedClustering):
            raise UserError(f"stability of '{name}': edits name clusters of one clustering; look at that one's.")
        like_name = self.config.clustering(name).source
        like = self.clusters(like_name) if like_name else None
        clusters = self.clusters(name)
        recipe = stability_recipe(
            self.config, name, runs, self.texts(), self.embeddings(), clusters, like, self._advance
        )
        return self._make(f"stability/{name}", recipe, 2 * runs, clustering=name)

    def clustering_quality(self) -> pd.DataFrame:
        """Quality of each finished clustering beside what methods gained with it (see `clusters/quality_table.py`)."""
        return clustering_quality(self.workspace, self.config)

    def probe(self, task: str, candidates: str | Path | None = None) -> Artifact:
        """Templates and label words of a task, ranked on its training rows without a prompt.

        Args:
            task: One of the study's tasks.
            candidates: A YAML file of templates and words; the task's own and a small menu when absent.

        Returns:
            An artifact whose summary holds the `ranking`, best first.
        """
        from metapt_explore.fewshot.template_candidates import file_candidates, menu_candidates

        asked = self._task(task)
        listed = file_candidates(asked, Path(candidates)) if candidates else menu_candidates(asked, self.family)
        recipe = probe_recipe(
            self.config,
            asked,
            listed,
            self.split(task),
            self.model.identity,
            self.placement,
            self._load,
            self._advance,
        )
        return self._make(f"probe/{task}", recipe, len(listed), task=task)

    def check_agreement(self) -> None:
        """Refuses to look for agreement where no texts are grouped, before anything is computed."""
        if not self.config.clusterings:
            raise UserError(
                f"Study '{self.config.name}' groups no texts: there are no auxiliary tasks whose gradients could "
                "agree. List a grouping under `clusterings`."
            )

    def agreement(
        self, init_seed: int | None = None, method: str | None = None, clustering: str | list[str] | None = None
    ) -> Artifact:
        """Whether gradients of auxiliary and downstream tasks point the same way (`diagnostics/agreement.py`).

        Made on request; no score depends on it, and its rows are no part of any method's budget.

        Args:
            init_seed: The initialisation seed (the first of the study when absent).
            method: At whose prompt gradients are taken; at the start that all methods share when absent.
            clustering: Whose auxiliary tasks; the method's own, else the first that a metapt method has, when absent.

        Returns:
            An artifact with the table ``agreement`` (cosines of pairs) and, in its summary, ``tasks`` (reliability).
        """
        init_seed = self._seed(init_seed)
        if clustering is None:
            methods = [self.config.method(method)] if method else []
            methods += [other for other in self.config.methods if other.kind == "metapt"]
            self.check_agreement()
            clustering = next((m.clustering for m in methods if m.clustering), self.config.clusterings[0].name)
        if method is None:
            # The prompt of PT where the study has one: its id is the same.
            recipe = self.prompt_recipe(MethodConfig(name="the common start", kind="pt"), init_seed)
            prompt = self._make(f"prompt/start/{init_seed}", recipe, 1, kind="common start", init_seed=init_seed)
        else:
            prompt = self.prompt(method, init_seed)
        recipe = agreement_recipe(
            self.config,
            self.tasks,
            self.texts(),
            self.auxiliary_tasks(clustering),
            self.task_names(clustering),
            {name: self.split(name) for name in self.tasks},
            prompt,
            self.model.identity,
            self.placement,
            self._load,
            self._advance,
        )
        units = self.config.agreement.draws + len(self.tasks) * len(self.config.evaluation.data_seeds)
        of: dict[str, Any] = {
            "clustering": clustering if isinstance(clustering, str) else " + ".join(clustering),
            "init_seed": init_seed,
            **({"method": method} if method else {}),
        }
        return self._make(f"agreement/{method or 'start'}/{init_seed}", recipe, units, **of)

    def lens(self) -> Artifact:
        """What the finished prompts look like beside the vocabulary (`prompts/lens.py`); pre-trains nothing.

        Returns:
            An artifact with the tables ``vectors`` (a row for each vector of each prompt) and ``likeness``.

        Raises:
            UserError: Where no prompt is finished.
        """
        recipe = lens_recipe(prompts_to_see(self.workspace, self.config.name), self.model.identity, self._load)
        return self._make("lens", recipe, 1)

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
        from metapt_explore.cost.calibrate import preview, preview_without_model

        texts = texts or data_stages.find_texts(self.config, self.tasks, self.workspace)
        counts = text_counts(texts, self.finished_splits() if splits is None else splits)
        if not any(work.needs_model for work in count(self.config, self.tasks, None, self.placement, counts).values()):
            return preview_without_model(self.config, self.tasks, self.model.device, counts)
        return preview(self.config, self.tasks, self.backbone, set(), text_tokens(self, texts), texts=counts)

    def run(self, init_seeds: Sequence[int] | None = None, until: Until = "all") -> pd.DataFrame:
        """Makes everything that is not there yet and returns the results table.

        Clusters come before anything that needs the language model, so that there is soon something to see.
        While it runs, this process holds the study's lock and pages show it as a job.

        Args:
            init_seeds: Work on these of the study's initialisation seeds only; the others are left for another day or
                machine. All when absent.
            until: Stop when this is there: ``texts``, ``clusters`` (and their tasks), ``plan`` (the predicted cost of
                the rest), ``stability``, ``agreement``, ``lens`` (the verbs of that name), ``prompts``, or ``all``.

        Raises:
            UserError: Where the user's input is wrong, or another process is running the study.
            Cancelled: Where the study was asked to stop.
        """
        chosen = list(self.config.evaluation.init_seeds) if init_seeds is None else [*map(self._seed, init_seeds)]
        if self.progress.holds_lock:
            return run_all(self, chosen, until)
        before = self.progress
        try:
            with working_on(self.workspace, self.config.name, before.tell) as self.progress:
                return run_all(self, chosen, until)
        finally:
            self.progress = before

    def results(self) -> pd.DataFrame:
        """Scores so far: one row for each method, task, data seed and initialisation seed."""
        return results_table(self.workspace, self.config.name)

    def check(self) -> None:
        """Finds what would fail late, early, and says how many texts are cut; see `problems.looking` for all of it.

        Raises:
            UserError: Naming what is wrong.
        """
        self.check_settings()
        self.notice_cut_texts(self.cut_texts())

    def check_settings(self) -> None:
        """Finds what is wrong without reading a text: a missing model, a label word of two tokens, a bad start.

        Raises:
            UserError: Naming what is wrong.
        """
        check_study(self.config, self.tasks, self.family, self.placement, self.workspace, self.model.identity)

    def cut_texts(self) -> list[CutShare]:
        """How many texts are cut at `model.max_text_tokens`, of the pre-training texts and of each task."""
        return cut_shares(self.config, self.tasks, self.workspace)

    def notice_cut_texts(self, shares: Sequence[CutShare]) -> None:
        """Says where many texts are cut; once, though a later look at the texts may give another share."""
        new = [cut for cut in shares if cut.share > MANY and cut.of not in self._said_to_be_cut]
        self._said_to_be_cut |= {cut.of for cut in new}
        for cut in new:
            self.progress.notice(f"{format_cut(cut)} {BEGINNING_ONLY}")
