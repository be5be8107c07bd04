"""A classifier: a frozen language model with a soft prompt that is tuned on labelled texts."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from metapt_explore.config import StudyConfig, parse
from metapt_explore.errors import UserError
from metapt_explore.estimators.begin import find_begin
from metapt_explore.estimators.classes import Words, read_classes
from metapt_explore.estimators.engine import columns, hold, open_bench
from metapt_explore.estimators.exported import ExportedPrompt
from metapt_explore.estimators.result import number, scored_prompt, tuned_prompt
from metapt_explore.estimators.rows import read_rows
from metapt_explore.estimators.saving import SavedPrompt, own_settings, saved_settings
from metapt_explore.estimators.tuning import METHOD, TASK, chooses_on_dev, read_labelled, tuning_study
from metapt_explore.export.classify import Classifier
from metapt_explore.models.study_model import StudyModel
from metapt_explore.texts.rows import duplicate_key

if TYPE_CHECKING:
    from torch import Tensor

    from metapt_explore.export.facts import PromptFacts
    from metapt_explore.models.backbone import Backbone

#: Settings that belong to a machine or a session and are not saved.
NOT_SAVED = ("model", "init", "workspace", "progress")


@dataclass(eq=False, repr=False)
class PromptClassifier(SavedPrompt, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    r"""Prompt tuning as a scikit-learn classifier of texts, or of pairs of texts.

    The language model stays as it is; `fit` learns a few input vectors, as a study's few-shot evaluation does (it *is*
    one: equal settings and rows give equal prompts). Learning rate and step are chosen on dev rows, which are a share
    of the rows given or `validation`; where a class has fewer than three of them, nothing is chosen: the last of ten
    steps at one learning rate is kept.

    Args:
        model: A starter model, a folder or a hub name; `init`'s model when absent, else ``smollm2-135m``.
        init: Where the prompt begins: a fitted `PromptPretrainer` or `PromptClassifier`, a folder that one was saved in
            (or `metapt export` wrote), a PEFT adapter, a safetensors file, a hub name; ``vocabulary`` (default),
            ``random``, ``labels`` or ``{"text": ...}``.
        label_words: Class to the word, or words, that stand for it. When absent `init`'s, where it knows the same
            classes; else the classes' own names (for 0 and 1 a guess, with a warning).
        template: How a text is read, such as ``"{text}\nTopic:"``, before a label word; guessed when absent.
        prompt_length: Vectors of the prompt; `init`'s when absent, else 8.
        placement: Where the prompt stands (docs/models.md); `init`'s when absent, else the model's usual one.
        learning_rates: Step sizes, of which dev chooses; as in a study when absent.
        steps: Tuning steps; 30 when absent.
        batch_size: Rows of a step.
        dev_share: Share of each class's rows that is dev, where `fit` gets no `validation`.
        read: ``probe_ensemble``: label words and, beside them, a probe of the frozen model; or ``words`` alone. When
            absent both, where dev rows weigh the two, else the words (docs/estimators.md).
        max_text_tokens: Longer texts are cut.
        seed: Of every random choice.
        settings: Other keys of a study, such as ``{"model": {"dtype": "float32"}}`` (docs of the study file).
        workspace: A folder that keeps what is computed, so that the same fit is found there; none when absent.
        progress: Whether a bar is shown, in a notebook or a terminal.

    Attributes:
        classes_: The classes, sorted.
        exported_: The fitted prompt's files.
        prompt_: The prompt, fp32 `[prompt_length, width]`.
        dev_accuracy_: Share of the dev rows that it answers right; NaN where nothing was chosen on dev.
        learning_rate_: The learning rate that was kept.
        n_steps_: The step that was kept; NaN, as its rate, where several were averaged.
        curves_: Losses of every learning rate at every step that was looked at.
        notices_: What was said while it was fitted.

    Example:
        >>> classifier = PromptClassifier(seed=1)
        >>> classifier.fit(["good film", "bad film"], ["positive", "negative"])  # doctest: +SKIP
        >>> classifier.predict(["what a lovely story"])  # doctest: +SKIP
        array(['positive'], dtype=object)
    """

    model: str | None = None
    _: KW_ONLY
    init: Any = None
    label_words: Words | None = None
    template: str | None = None
    prompt_length: int | None = None
    placement: str | None = None
    learning_rates: float | Sequence[float] | None = None
    steps: int | None = None
    batch_size: int = 16
    dev_share: float = 0.5
    read: Literal["words", "probe_ensemble"] | None = None
    max_text_tokens: int = 64
    seed: int = 0
    settings: Mapping[str, Any] | None = None
    workspace: str | Path | None = None
    progress: bool = True

    def fit(self, texts: Any, labels: Any = None, validation: Any = None) -> Self:
        """Tunes the prompt.

        Args:
            texts: Texts, or pairs of texts: a list, an array, pandas, or a `datasets.Dataset`.
            labels: A class for each; a table's column ``label`` when absent.
            validation: Rows for choosing learning rate and step: ``(texts, labels)``, or a table with labels.

        Raises:
            UserError: Where rows or settings do not fit, or the model cannot be found.
        """
        if not 0 < self.dev_share < 1:
            raise UserError(f"dev_share is {self.dev_share}; it is a share of the rows, between 0 and 1.")
        notices: list[str] = []
        classes, labelled = read_labelled(read_rows(texts, labels), validation, notices.append)
        with open_bench(self.workspace, notices, progress=self.progress) as bench:
            begin = find_begin(self.init, partial(bench.write, "prompt"))
            pairs = labelled.rows.pairs
            reading = read_classes(classes, self.label_words, self.template, pairs=pairs, known=begin.reading)
            if reading.guessed:
                said = ", ".join(f"{name} by {entry['words'][0]!r}" for name, entry in reading.labels.items())
                warnings.warn(f"Classes are numbers, read {said}; name the words by `label_words`.", stacklevel=2)
            study = tuning_study(bench, self, labelled, reading, begin)
            score = study.fewshot(METHOD, TASK)
            chosen = chooses_on_dev(self, labelled)
            tuned = tuned_prompt(study, score, bench.scratch, chosen=chosen)
        self.classes_ = np.array(classes)
        self.exported_, self.curves_, self.notices_ = tuned.exported, tuned.curves, notices
        self.learning_rate_, self.n_steps_ = tuned.learning_rate, tuned.step
        self.dev_accuracy_ = tuned.dev_accuracy if chosen else float("nan")
        learned_from = [*labelled.rows.texts, *(labelled.dev.texts if labelled.dev else [])]
        self._trained_on = frozenset(map(duplicate_key, learned_from))
        return self

    def predict_proba(self, texts: Any) -> np.ndarray:
        """Probabilities of the classes.

        Args:
            texts: As for `fit`.

        Returns:
            `[rows, classes]`, classes in the order of `classes_`.

        Raises:
            UserError: Where a row is blank, or the model cannot be found.
            NotFittedError: Before `fit`.
        """
        self._check_fitted()
        rows = read_rows(texts)
        if blank := rows.blank():
            raise UserError(f"Row {blank[0]} is blank: there is nothing to classify. Leave blank rows out.")
        facts = self.exported_.facts
        names = [str(each) for each in self.classes_]
        with self.exported_.folder() as folder:
            classifier = Classifier(folder, backbone=self._backbone(facts))
            found = list(classifier.classify(rows.texts))
        return np.array([[each.probabilities[name] for name in names] for each in found]).reshape(-1, len(names))

    def predict(self, texts: Any) -> np.ndarray:
        """The most probable class of each text; see `predict_proba`."""
        shares = self.predict_proba(texts)
        return np.asarray(self.classes_[shares.argmax(axis=1)])

    def score(self, texts: Any, labels: Any = None, sample_weight: Any = None) -> float:
        """Accuracy on labelled texts. The last one is kept for the model card, unless rows have weights.

        Args:
            texts: As for `fit`.
            labels: A class for each; a table's column ``label`` when absent.
            sample_weight: A weight for each.

        Raises:
            UserError: Where there are no labels, or a row is blank.
            NotFittedError: Before `fit`.
        """
        from sklearn.metrics import accuracy_score

        rows = read_rows(texts, labels)
        if rows.labels is None:
            raise UserError("score needs a label for each text: give `labels`, or a table with a column 'label'.")
        accuracy = float(accuracy_score(rows.labels, self.predict(texts), sample_weight=sample_weight))
        if sample_weight is None and "rows" in self.exported_.facts.made_by:
            known: frozenset[Any] | None = getattr(self, "_trained_on", None)
            again = None if known is None else sum(duplicate_key(text) in known for text in rows.texts)
            self.exported_ = scored_prompt(self.exported_, accuracy, len(rows.texts), again)
        return accuracy

    @property
    def prompt_(self) -> Tensor:
        """The fitted prompt, fp32 `[prompt_length, width]`."""
        self._check_fitted()
        return self.exported_.prompt

    def __sklearn_is_fitted__(self) -> bool:
        """Whether it can predict."""
        return hasattr(self, "exported_")

    def __sklearn_clone__(self) -> Self:
        """An unfitted copy; what the prompt begins from stays fitted."""
        cloned: Self = super().__sklearn_clone__()
        cloned.init = self.init
        return cloned

    def __sklearn_tags__(self) -> Any:
        """Texts, not numbers."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array, tags.input_tags.one_d_array = True, False, True
        return tags

    def _backbone(self, facts: PromptFacts) -> Backbone:
        """The language model; the one in memory, where that is it."""
        changes = dict((self.settings or {}).get("model", {}))
        model = {**facts.model, **changes, **({"name": self.model} if self.model is not None else {})}
        tree = {
            "name": "predict",
            "model": model,
            "texts": {"file": "-", "columns": columns(pairs="{text_pair}" in facts.template)},
            "auxiliary_tasks": {"template": facts.template, "labels": facts.labels},
            "prompt": {"length": facts.tokens, "placement": facts.placement},
            "methods": [{"name": METHOD, "kind": "pt"}],
            "evaluation": {"tasks": [TASK]},
        }
        held = StudyModel(parse(StudyConfig, tree, "PromptClassifier"), lambda message: None)
        hold(held)
        return held.backbone

    def _settings(self) -> dict[str, Any]:
        return {**saved_settings(self, not_saved=NOT_SAVED), "classes": self.classes_.tolist()}

    @classmethod
    def _loaded(cls, exported: ExportedPrompt, stored: dict[str, Any], settings: dict[str, Any]) -> Self:
        facts = exported.facts
        own = own_settings(cls, stored, settings, not_saved=NOT_SAVED)
        made = cls(**{"model": str(facts.model["name"]), **own})
        names, classes = list(facts.labels), stored.get("classes")
        if not isinstance(classes, list) or sorted(map(str, classes)) != sorted(names):
            classes = sorted(names)
        made.exported_, made.classes_, made.notices_ = exported, np.array(classes), []
        made.learning_rate_, made.n_steps_, made.dev_accuracy_ = (
            number(facts.made_by.get(key)) for key in ("learning_rate", "step", "dev_accuracy")
        )
        return made
