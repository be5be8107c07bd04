"""What a study makes on request only: maps, stability, diagnostics; no run and no score depends on any of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from metapt_explore.clusters.projections import PROJECTIONS
from metapt_explore.diagnostics.screen import Screening
from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.results.decisions import decisions_in
from metapt_explore.results.map_table import map_table
from metapt_explore.stages.clusters import Clusters
from metapt_explore.stages.registry import REQUESTS
from metapt_explore.stages.texts import Texts
from metapt_explore.storage.artifact import Artifact
from metapt_explore.study.pipeline import StudyPipeline


class RequestedParts(StudyPipeline):
    """A study's verbs for what nobody gets without asking."""

    def request(self, kind: str, **parameters: Any) -> Artifact:
        """Makes what is made on request only (`stages.registry.REQUESTS`).

        Args:
            kind: Which, such as ``stability``.
            parameters: What `requested` of its class takes; without any, the first that ``metapt run --until KIND``
                makes.

        Raises:
            UserError: Where there is no such kind.
        """
        if kind not in REQUESTS:
            raise UserError(f"Nothing is called '{kind}'. {did_you_mean(kind, REQUESTS)}")
        stage = REQUESTS[kind]
        if parameters:
            return self.make(stage.requested(self, **parameters))
        return self.make(next(iter(stage.asked(self, self.config.evaluation.init_seeds))))

    def map(self, clustering: str | None = None, projection: str = "pca") -> pd.DataFrame:
        """Every text with its place on a map and its cluster, in the columns that Embedding Atlas reads.

        Args:
            clustering: One of the study's clusterings; the first when absent.
            projection: ``pca``, ``tsne`` or ``umap``; computed where it is not there yet.

        Returns:
            Columns ``text``, ``projection_x``, ``projection_y``, ``category`` (the cluster's name), ``row`` …

        Raises:
            UserError: Where there is no such clustering or projection.
        """
        if projection not in PROJECTIONS:
            raise UserError(f"There is no map '{projection}'. {did_you_mean(projection, PROJECTIONS)}")
        if not self.config.clusterings:
            raise UserError("This study has no clustering, so its texts have no map. Add one under `clusterings`.")
        name = self.config.clusterings[0].name if clustering is None else self.config.clustering(clustering).name
        clusters = self.make(Clusters(self, name))
        positions = None if projection == "pca" else self.request(projection).table("positions")
        return map_table(self.make(Texts(self)).table("texts"), clusters, positions)

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
        return self.request("stability", name=name, runs=runs)

    def memberships(self, name: str) -> pd.DataFrame:
        """How probable each cluster is for each text (`clusters/memberships.py`); `run` does not make it.

        Args:
            name: A clustering that has probabilities; controls have none.

        Returns:
            A row for each text of the study and a column for each cluster's id, in half precision; rows sum to 1 at
            most. The summary of ``request("memberships", name=...)`` says what the probabilities are.

        Raises:
            UserError: Where the clustering has none, or they cannot be made.
        """
        found = self.request("memberships", name=name).tensors("memberships")["memberships"].numpy()
        return pd.DataFrame(found).rename_axis(index="row", columns="cluster")

    def rank_templates(self, task: str, candidates: str | Path | None = None) -> Artifact:
        """Templates and label words of a task, ranked on its training rows without a prompt.

        Args:
            task: One of the study's tasks.
            candidates: A YAML file of templates and words; the task's own and a small menu when absent.

        Returns:
            An artifact whose summary holds the `ranking`, best first.
        """
        return self.request("template_ranking", task=task, candidates=candidates)

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
        return self.request("agreement", init_seed=init_seed, method=method, clustering=clustering)

    def headroom(
        self, method: str, init_seed: int | None = None, *, at: str | None = None, shots: int | None = None
    ) -> Artifact:
        """What adapting to a few rows of an auxiliary task gains on its other rows (`diagnostics/headroom.py`).

        Made on request, of training texts only; no score depends on it.

        Args:
            method: Whose tasks and inner steps.
            init_seed: The initialisation seed (the first of the study when absent).
            at: The method at whose prompt tasks begin; the start that all methods share when absent.
            shots: One of `evaluation.more_shots` that it is pre-trained for (`support_shots: match`); the study's own
                number when absent.

        Returns:
            An artifact with the table ``headroom`` (losses of each task and draw) and, in its summary, ``over_tasks``.
        """
        return self.request("headroom", method=method, init_seed=init_seed, at=at, shots=shots)

    def screen(self, method: str, init_seed: int | None = None) -> Screening:
        """Whether a meta-learned method is worth trying: task diversity, headroom and displacement, in a sentence.

        Args:
            method: The method.
            init_seed: The initialisation seed (the first of the study when absent).
        """
        return Screening.of(self.request("screen", method=method, init_seed=init_seed).summary)

    def slices(self, task: str, methods: Sequence[str] | None = None) -> pd.DataFrame:
        """Accuracy of the finished methods in parts of a task's scored rows.

        Rows are cut by class, length and group and, where the study groups texts, by nearest cluster and by similarity
        with the nearest pre-training text, for which the rows are embedded where they are not yet.

        Args:
            task: The task.
            methods: Only these methods and baselines.

        Returns:
            Columns ``by``, ``slice``, ``rows``, ``method``, ``accuracy`` and an interval over rows, ``low`` and
            ``high``; few rows make it wide.

        Raises:
            UserError: Where the task has no rows yet, or a method no decisions.
        """
        if self.config.clusterings:
            self.request("slices", task=task)
        return decisions_in(self.workspace, self.config, task).slice_table(methods)

    def lens(self) -> Artifact:
        """What the finished prompts look like beside the vocabulary (`prompts/lens.py`); pre-trains nothing.

        Returns:
            An artifact with the tables ``vectors`` (a row for each vector of each prompt) and ``similarities``.

        Raises:
            UserError: Where no prompt is finished.
        """
        return self.request("lens")
