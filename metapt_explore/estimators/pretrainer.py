"""Pre-trains a soft prompt on texts, with labels or without: what few-shot tuning begins from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sklearn.base import BaseEstimator

from metapt_explore import plots
from metapt_explore.errors import UserError
from metapt_explore.estimators.classes import Words, read_classes, sorted_classes
from metapt_explore.estimators.engine import open_bench
from metapt_explore.estimators.exported import ExportedPrompt
from metapt_explore.estimators.pretraining import CLUSTERING, METHOD, pretraining_study
from metapt_explore.estimators.rows import Rows, read_rows
from metapt_explore.estimators.saving import SavedPrompt, own_settings, saved_settings
from metapt_explore.export.export import PromptChoice, export_prompt

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from torch import Tensor

    from metapt_explore.estimators.classes import Reading
    from metapt_explore.estimators.engine import Bench
    from metapt_explore.study.study import Study

#: Settings that belong to a machine or a session and are not saved.
NOT_SAVED = ("model", "workspace", "progress")


@dataclass(eq=False, repr=False)
class PromptPretrainer(SavedPrompt, BaseEstimator):  # type: ignore[misc]
    r"""Pre-trains a soft prompt: `PromptClassifier(init=pretrainer)` goes on from it with few labelled rows.

    With labels each cluster of texts is a task that tells them apart (``metapt`` and the meta-learners), or all
    labelled rows are one pool (``ppt``). Without labels tasks are made of the texts themselves: which cluster is a text
    from, which sentence comes next (docs/task-formats.md). It is a study's pre-training: equal settings and texts give
    equal prompts.

    Args:
        model: A starter model, a folder or a hub name; ``smollm2-135m`` when absent.
        clustering: How texts are grouped, such as ``kmeans``, ``hdbscan`` or ``known_groups`` (by `groups`), or its
            settings, as in ``{"algorithm": "kmeans", "dimensions": 8}`` (docs/clusterings.md).
        n_clusters: Number of clusters; the clustering's default when absent.
        method: ``ppt``, ``metapt``, or a meta-learner: ``reptile``, ``leap``, ``meta_sgd``, ``hsml``,
            ``prompt_per_cluster``; or settings, as in ``{"kind": "metapt", "inner_steps": 2}`` (docs/study.md).
        label_words: Class to the word, or words, that stand for it; guessed when absent.
        template: How a text is read, such as ``"{text}\nTopic:"``; guessed when absent.
        formats: Without labels: what is made of texts, by name or with settings.
        encoder: The sentence encoder whose embeddings are clustered.
        prompt_length: Vectors of the prompt.
        placement: Where the prompt stands (docs/models.md); the model's usual one when absent.
        steps: Outer steps; 60 when absent.
        max_text_tokens: Longer texts are cut.
        seed: Of every random choice.
        settings: Other keys of a study, such as ``{"pretraining": {"outer_lr": 0.02}}``.
        workspace: A folder that keeps what is computed, so that the same fit is found there; none when absent.
        progress: Whether a bar is shown, in a notebook or a terminal.

    Attributes:
        exported_: The prompt's files.
        prompt_: The prompt, fp32 `[prompt_length, width]`.
        clusters_: A row for each text that was kept: text, cluster, its name, membership, place on the map.
        losses_: Losses of pre-training, by outer step and task.
        tasks_: Names of the auxiliary tasks, by number.
        leaks_: Texts that were left out because they say what a held-out row says.
        notices_: What was said while it was fitted.

    Example:
        >>> pretrainer = PromptPretrainer(n_clusters=8, method="metapt")
        >>> pretrainer.fit(reviews, stars).plot_clusters()  # doctest: +SKIP
    """

    model: str | None = None
    _: KW_ONLY
    clustering: str | Mapping[str, Any] = "kmeans"
    n_clusters: int | None = None
    method: str | Mapping[str, Any] = "metapt"
    label_words: Words | None = None
    template: str | None = None
    formats: Sequence[str | Mapping[str, Any]] = ("cluster_classes",)
    encoder: str = "minilm"
    prompt_length: int = 8
    placement: str | None = None
    steps: int | None = None
    max_text_tokens: int = 64
    seed: int = 0
    settings: Mapping[str, Any] | None = None
    workspace: str | Path | None = None
    progress: bool = True

    def fit(self, texts: Any, labels: Any = None, *, groups: Any = None, held_out: Any = None) -> Self:
        """Pre-trains the prompt.

        Args:
            texts: Texts: a list, an array, pandas, or a `datasets.Dataset`.
            labels: A class for each, None where it is not known; a table's column ``label`` when absent. Without any,
                tasks are made of the texts.
            groups: A known group of each, for ``clustering="known_groups"``.
            held_out: Texts that you will choose or test on: pre-training texts that equal or nearly equal one of them
                are left out and counted.

        Raises:
            UserError: Where texts or settings do not fit, or a model cannot be found.
        """
        rows = read_rows(texts, labels, groups)
        if not rows.texts:
            raise UserError("There is no text to pre-train on.")
        reading = self._reading(rows)
        named = None if rows.labels is None else [None if label is None else str(label) for label in rows.labels]
        kept_clear = [] if held_out is None else read_rows(held_out).texts
        notices: list[str] = []
        with open_bench(self.workspace, notices, progress=self.progress) as bench:
            study = pretraining_study(bench, self, replace(rows, labels=named), reading, kept_clear)
            self._keep(study, bench)
        self.notices_ = notices
        return self

    def _reading(self, rows: Rows) -> Reading | None:
        """How labels are read; None without labels."""
        known = [label for label in rows.labels or [] if label is not None]
        if not known:
            return None
        return read_classes(sorted_classes(known), self.label_words, self.template, pairs=rows.pairs)

    def _keep(self, study: Study, bench: Bench) -> None:
        """Has the prompt made, and keeps it with what there is to look at."""
        prompt = study.prompt(METHOD)
        folder = bench.scratch / "exported"
        export_prompt(study.workspace, PromptChoice(study.config.name, METHOD), folder)
        self.exported_ = ExportedPrompt.read(folder)
        self.losses_, self.tasks_ = prompt.metrics, {}
        self.leaks_ = study.texts().table("leaks")
        method = study.config.method(METHOD)
        if not method.clusterings:
            return
        self.tasks_ = study.task_names(method.clusterings)
        made, kept = study.clusters(CLUSTERING), study.texts().table("texts")
        self._clusters: list[dict[str, Any]] = made.summary["clusters"]
        names = {int(cluster["cluster"]): cluster["name"] for cluster in self._clusters}
        table = made.table("clusters")
        table.insert(0, "text", kept["text"].reindex(table["row"]).to_numpy())
        table.insert(2, "name", [names.get(int(number), "") for number in table["cluster"]])
        self.clusters_ = table

    def plot_clusters(self) -> go.Figure:
        """Every text as a point at its place on the map, in the colour of its cluster.

        Raises:
            UserError: Where it was fitted without clusters, or loaded: texts are not saved with a prompt.
            NotFittedError: Before `fit`.
        """
        self._check_fitted()
        if not hasattr(self, "clusters_"):
            raise UserError(
                "There are no clusters to draw: ppt with labels makes none, and a saved prompt has no texts."
            )
        texts = self.clusters_.set_index("row")["text"]
        return plots.cluster_map(self.clusters_, texts, self._clusters)

    def plot_losses(self) -> go.Figure:
        """Losses of pre-training against the outer step, a panel for each auxiliary task.

        Raises:
            UserError: Where the prompt was loaded: losses are not saved with it.
            NotFittedError: Before `fit`.
        """
        self._check_fitted()
        if not hasattr(self, "losses_"):
            raise UserError("There are no losses to draw: they are not saved with a prompt.")
        return plots.meta_loss(self.losses_, self.tasks_)

    @property
    def prompt_(self) -> Tensor:
        """The fitted prompt, fp32 `[prompt_length, width]`."""
        self._check_fitted()
        return self.exported_.prompt

    def __sklearn_is_fitted__(self) -> bool:
        """Whether it has a prompt."""
        return hasattr(self, "exported_")

    def _settings(self) -> dict[str, Any]:
        return saved_settings(self, not_saved=NOT_SAVED)

    @classmethod
    def _loaded(cls, exported: ExportedPrompt, stored: dict[str, Any], settings: dict[str, Any]) -> Self:
        facts = exported.facts
        own = own_settings(cls, stored, settings, not_saved=NOT_SAVED)
        made = cls(**{"model": str(facts.model["name"]), **own})
        made.exported_, made.notices_ = exported, []
        return made
