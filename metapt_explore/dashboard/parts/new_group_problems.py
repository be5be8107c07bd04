"""Why a new study's texts make no tasks for pre-training, whatever the number of clusters: said above its button."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metapt_explore.auxiliary_tasks.quick_look import QuickLook
from metapt_explore.config.task_formats import TaskFormat
from metapt_explore.dashboard.parts import messages
from metapt_explore.study.first_look import FEWEST_TEXTS, Bounds

#: Formats that are made of texts of several sentences.
SENTENCE_FORMATS = {"sentence_pair", "selection"}


@dataclass(frozen=True, eq=False)
class Looked:
    """The texts of a source, looked at.

    Attributes:
        rows: Rows of the source.
        kept: Different texts of three words or more that are left for pre-training.
        sentences: Of these, texts with three sentences; 0 where the texts have labels.
        of_class: Of these, texts of each label.
        quick: Their clusters by words.
    """

    rows: int
    kept: int
    sentences: int
    of_class: Mapping[str, int]
    quick: QuickLook


@dataclass(frozen=True)
class Asked:
    """What is asked of the texts.

    Attributes:
        column: The column of texts.
        n_clusters: How many clusters.
        bounds: What a cluster needs to become a task of labels; None where clusters are classes.
        formats: Formats that are made of the texts.
        aside: Whether rows are set aside for the comparison.
    """

    column: str
    n_clusters: int
    bounds: Bounds | None
    formats: Sequence[str]
    aside: bool


def problems_of(looked: Looked, asked: Asked) -> list[str]:
    """What no number of clusters can mend, a sentence each, ready to be shown."""
    problems = []
    if looked.kept < FEWEST_TEXTS:
        problems.append(_too_few(looked, asked))
    elif looked.kept < asked.n_clusters:
        problems.append(f"{looked.kept} texts cannot make {asked.n_clusters} clusters: take fewer.")
    of_sentences = [name for name in asked.formats if name in SENTENCE_FORMATS]
    if of_sentences and looked.sentences < FEWEST_TEXTS:
        titles = " and ".join(TaskFormat.kinds[name].title for name in of_sentences)
        have = "text has" if looked.sentences == 1 else "texts have"
        problems.append(
            f"{looked.sentences} of {looked.kept} {have} three sentences, which {titles} are made of; {FEWEST_TEXTS} "
            "are needed: take clusters as classes alone."
        )
    if asked.bounds is not None:
        least = asked.bounds.min_per_label
        small = [name for name, count in looked.of_class.items() if count < least]
        if small:
            has = ", ".join(f"'{name}' has {looked.of_class[name]}" for name in small[:5])
            problems.append(
                f"A task needs {least} texts of each label, but for pre-training {has}: delete the class from the "
                "table above, let tasks tell the clusters apart, or add texts of it."
            )
    return [messages.sentence(problem) for problem in problems]


def _too_few(looked: Looked, asked: Asked) -> str:
    said = (
        f"Only {looked.kept} different texts of three words or more are left for pre-training; it needs at least "
        f"{FEWEST_TEXTS}. "
    )
    if not asked.aside and looked.rows >= FEWEST_TEXTS:
        return f"{said}Is '{asked.column}' the column of the texts? Choose another above, or add texts."
    return f"{said}Add texts{', or set fewer aside for comparing (fewer examples a class)' if asked.aside else ''}."
