"""What a table of texts gives before a study is made of it: usable texts, tasks by number of clusters, sizes that fit.

Seconds, and no model: the form of a new study and `metapt check` say it before anybody waits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metapt_explore.auxiliary_tasks.formats.sentences import split_sentences
from metapt_explore.auxiliary_tasks.quick_look import QuickLook, TaskCount, quick_look, recommended
from metapt_explore.config import Columns, CountedClustering, Label, StudyConfig
from metapt_explore.config.label_values import class_of_values
from metapt_explore.stages.labels import row_classes
from metapt_explore.storage.artifact import Artifact
from metapt_explore.texts.rows import cell_text, duplicate_key, texts_of
from metapt_explore.texts.words import count_words

#: Rows of a support or query set, where that is at least one of each class.
SET_ROWS = 8
#: Tasks below which lower bounds are tried.
FEW_TASKS = 3
#: Share of the labelled texts that tasks should hold.
MOST = 0.5
#: The fewest rows of a label that a task may have: one for support, one for query.
LEAST_PER_LABEL = 2
#: Texts that a cluster needs to be a class.
CLASS_ROWS = 8
#: Sentences that a text needs for sentence pairs and selection; texts that are cut to see it.
SENTENCES, MOST_CUT = 3, 300
#: Texts below which nothing sensible is learned.
FEWEST_TEXTS = 20


@dataclass(frozen=True)
class Bounds:
    """What a cluster needs to become an auxiliary task, in rows.

    Attributes:
        min_size: Labelled rows.
        min_per_label: Rows of each label.
    """

    min_size: int
    min_per_label: int


def set_rows(classes: int) -> int:
    """Rows of a support set, and of a query set: at least one of each class.

    Example:
        >>> set_rows(2), set_rows(20)
        (8, 20)
    """
    return max(SET_ROWS, classes)


def usual_bounds(classes: int) -> Bounds:
    """Bounds from which support and query set of a task hold different rows.

    Example:
        >>> usual_bounds(2), usual_bounds(3)
        (Bounds(min_size=16, min_per_label=8), Bounds(min_size=18, min_per_label=6))
    """
    per_label = max(LEAST_PER_LABEL, math.ceil(2 * set_rows(classes) / max(1, classes)))
    return Bounds(per_label * classes, per_label)


def fitting_bounds(look: QuickLook, classes: int) -> Bounds:
    """The usual bounds, or lower ones where only those give some tasks.

    Below the usual bounds a task's rows come again, in its support and its query set too.

    Args:
        look: What the texts give.
        classes: Labels that tasks tell apart.
    """
    tried = [usual_bounds(classes)]
    while tried[-1].min_per_label > LEAST_PER_LABEL:
        per_label = max(LEAST_PER_LABEL, tried[-1].min_per_label // 2)
        tried.append(Bounds(per_label * classes, per_label))
    tasks = [0 if (count := best_count(look, bounds)) is None else count.tasks for bounds in tried]
    enough = [place for place, count in enumerate(tasks) if count >= FEW_TASKS]
    return tried[enough[0] if enough else tasks.index(max(tasks))]


def best_count(look: QuickLook, bounds: Bounds) -> TaskCount | None:
    """What the recommended number of clusters gives; None where no number gives two tasks."""
    counts = look.counts(min_size=bounds.min_size, min_per_label=bounds.min_per_label)
    n_clusters = recommended(counts)
    return next((count for count in counts if count.n_clusters == n_clusters), None)


def labels_teach(look: QuickLook, bounds: Bounds) -> bool:
    """Whether clusters hold enough of every label for several tasks, with most of the texts in them.

    Else clusters nearly say the label, or texts are few, and clusters are better taken as classes.
    """
    count = best_count(look, bounds)
    return count is not None and count.tasks >= FEW_TASKS and count.used >= MOST and not look.is_pure


def usable_rows(
    table: Mapping[str, Sequence[Any]], columns: Columns, rows: Sequence[int] | None = None, *, min_words: int = 3
) -> list[int]:
    """Rows whose texts a study would keep: not blank, not shorter than some words, no copy of an earlier one.

    Args:
        table: Column name to cells.
        columns: Which column is what.
        rows: The rows to choose from; all when absent.
        min_words: `texts.min_words`.

    Example:
        >>> usable_rows({"text": ["a warm soup", "A warm soup!", "soup", ""]}, Columns())
        [0]
    """
    seen: set[str] = set()
    kept: list[int] = []
    first = table[columns.text]
    second = None if columns.text_pair is None else table[columns.text_pair]
    for row in range(len(first)) if rows is None else rows:
        text = cell_text(first[row])
        pair = None if second is None else cell_text(second[row])
        if not text.strip() or (pair is not None and not pair.strip()):
            continue
        key = duplicate_key(text if pair is None else (text, pair))
        if key in seen or count_words(text if pair is None else f"{text}\n{pair}") < min_words:
            continue
        seen.add(key)
        kept.append(row)
    return kept


def texts_of_sentences(texts: Sequence[str], fewest: int = SENTENCES) -> int:
    """About how many texts have so many sentences, as sentence pairs and selection need; an estimate for many texts.

    Example:
        >>> texts_of_sentences(["It rains all day. We stay at home. We read old books.", "One sentence is no pair."])
        1
    """
    looked = texts[:: 1 + len(texts) // MOST_CUT]
    long = sum(len(split_sentences(text, min_words=4, max_words=40)) >= fewest for text in looked)
    return round(long * len(texts) / max(1, len(looked)))


def look_at_rows(
    table: Mapping[str, Sequence[Any]],
    columns: Columns,
    labels: Mapping[str, Label],
    rows: Sequence[int],
    *,
    limit: int | None = None,
) -> QuickLook:
    """A quick look at some rows of a table.

    Args:
        table: Column name to cells.
        columns: Which column is what.
        labels: Classes that tasks tell apart; none: clusters are to be classes.
        rows: The rows that are left for pre-training (`usable_rows`).
        limit: Most texts that the study takes.
    """
    texts = [cell_text(table[columns.text][row]) for row in rows]
    if columns.text_pair is not None:
        texts = [f"{text}\n{cell_text(table[columns.text_pair][row])}" for text, row in zip(texts, rows, strict=True)]
    if not labels or columns.label is None:
        return quick_look(texts, None, [], rows=limit)
    values = [cell_text(table[columns.label][row]) for row in rows]
    classes = class_of_values(labels, set(values))
    return quick_look(texts, [classes.get(value) for value in values], list(labels), rows=limit)


def clusters_sentences(study: StudyConfig, texts: Artifact) -> list[str]:
    """What `metapt check` says of the number of clusters of each clustering; nothing where labels are not there yet.

    Args:
        study: The study.
        texts: Its pre-training texts.
    """
    auxiliary = study.auxiliary_tasks
    by_labels = auxiliary.classes == "labels" and not auxiliary.formats and study.labelling is None
    wanted = [each for each in study.clusterings if isinstance(each, CountedClustering)]
    learned = {name for method in study.methods for name in method.clusterings}
    wanted = [each for each in wanted if each.name in learned]
    if not (by_labels and wanted):
        return []
    rows = texts.table("texts")
    classes = row_classes(study, texts, None)
    look = quick_look(texts_of(rows), classes, list(auxiliary.labels), seed=study.seed)
    return [said for each in wanted if (said := _clustering_sentence(each, look, study))]


def _clustering_sentence(clustering: CountedClustering, look: QuickLook, study: StudyConfig) -> str:
    auxiliary = study.auxiliary_tasks
    bounds = {"min_size": auxiliary.min_size, "min_per_label": auxiliary.min_per_label}
    count = look.count(clustering.n_clusters, **bounds)
    if count is None:
        return ""
    start = f"Clustering '{clustering.name}', a quick look at words: {count}"
    if count.tasks > 1:
        return f"{start} (the study uses {study.embeddings.called}: similar, not the same)."
    return (
        f"{start}, and MetaPT needs several. Lower auxiliary_tasks.min_per_label and min_size, take another number of "
        "clusters, or make clusters the classes (`auxiliary_tasks: [{format: cluster_classes}]`)."
    )
