"""Clusters before commitment: how a new study groups its texts, and how many auxiliary tasks that gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from metapt_explore import hub
from metapt_explore.auxiliary_tasks.quick_look import MOST_TEXTS, QuickLook, TaskCount
from metapt_explore.clusters.outliers import WORDS
from metapt_explore.config import ClusteringConfig, Columns, SourceConfig
from metapt_explore.config.embeddings import EmbeddingsConfig
from metapt_explore.config.label_values import class_of_values
from metapt_explore.config.task import LabelsConfig
from metapt_explore.config.task_formats import TaskFormat
from metapt_explore.dashboard.parts import drawing, messages, shared
from metapt_explore.dashboard.parts import model_field as models
from metapt_explore.dashboard.parts.new_group_problems import Asked, Looked, problems_of
from metapt_explore.dashboard.parts.new_labels import Told
from metapt_explore.dashboard.parts.new_source import Readable, stamp, table_of
from metapt_explore.dashboard.parts.new_vectors import choose_vectors
from metapt_explore.plots.task_counts import task_counts
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.first_look import (
    CLASS_ROWS,
    Bounds,
    best_count,
    fitting_bounds,
    labels_teach,
    look_at_rows,
    texts_of_sentences,
    usable_rows,
    usual_bounds,
)
from metapt_explore.texts.rows import cell_text

LABELS, CLASSES = "labels", "cluster_classes"
KINDS = {LABELS: "the labels, inside each cluster", CLASSES: "the clusters: which one is a text from?"}
USUAL_CLUSTERS = 8


@dataclass(frozen=True)
class Groups:
    """How texts are grouped.

    Attributes:
        choices: Settings of `study.new.Choices`.
        problems: Why no study can be made so, a sentence each.
        texts: Texts that pre-training reads.
    """

    choices: dict[str, Any]
    texts: int
    problems: tuple[str, ...]


def choose_groups(
    workspace: Workspace, readable: Readable, told: Told, *, rows: tuple[int, ...] | None, limit: int | None
) -> Groups:
    """Clusters the texts by their words, at once, and asks how many clusters the study makes, and of what tasks.

    Args:
        workspace: Where an uploaded file of vectors is kept.
        readable: The texts, with their columns.
        told: What auxiliary tasks tell apart.
        rows: The rows that are left for pre-training; all when None.
        limit: Most texts that the study takes.
    """
    source = readable.source
    labels = told.config if told.labelled else None
    values = () if labels is None else tuple((name, label.value) for name, label in labels.labels.items())
    looked = _look(
        source.model_copy(update={"columns": Columns()}).model_dump_json(),
        stamp(source),
        source.columns.model_dump_json(),
        values,
        rows,
        limit,
    )
    basis = (source.name, source.columns.model_dump_json(), values, tuple(told.formats))
    formats = list(told.formats)
    if values and source.columns.text_pair is None:  # clusters as classes need single texts
        formats = _kind(looked.quick, len(values), basis)
    look = looked.quick
    if values and not formats:
        bounds = fitting_bounds(look, len(values))
    else:
        look, least = look.of_classes(), CLASS_ROWS if formats else usual_bounds(2).min_size
        bounds = Bounds(least, least)
    best = best_count(look, bounds)
    n_clusters = _number(look, best, basis)
    figure = st.container()  # above the bounds that it is drawn by
    with st.expander("How texts are grouped", key="new_grouping"):
        choices = _algorithms(source)
        own = _embeddings(workspace, readable, choices)
        if values and not formats:
            bounds = _bounds(bounds, basis)
    with figure:
        _show(look, bounds, n_clusters, formats, EmbeddingsConfig.kinds[choices["embeddings"]["kind"]].called)
    by_labels = bounds if values and not formats else None
    choices |= {"n_clusters": n_clusters, "formats": formats, "bounds": by_labels}
    asked = Asked(source.columns.text, n_clusters, by_labels, formats, aside=rows is not None)
    problems = [*problems_of(looked, asked), *([messages.sentence(own)] if own else [])]
    return Groups(choices, look.rows, tuple(problems))


@st.cache_resource(max_entries=6, show_spinner="Clustering your texts by their words …")
def _look(
    source: str,
    stamp: float,
    columns: str,
    values: tuple[tuple[str, str], ...],
    rows: tuple[int, ...] | None,
    limit: int | None,
) -> Looked:
    table, chosen = table_of(source, stamp), Columns.model_validate_json(columns)
    kept = usable_rows(table, chosen, rows)
    entries = {name: {"value": value, "word": f"word {place}"} for place, (name, value) in enumerate(values)}
    labels = LabelsConfig.model_validate({"labels": entries}).labels if entries else {}
    of_class = dict.fromkeys(labels, 0)
    if labels and chosen.label is not None:
        written = [cell_text(table[chosen.label][row]) for row in kept]
        classes = class_of_values(labels, set(written))
        for value in written:
            if value in classes:
                of_class[classes[value]] += 1
    quick = look_at_rows(table, chosen, labels, kept, limit=limit)
    quick.counts(min_size=1, min_per_label=1)  # clusters are made here, where the spinner is
    sentences = 0 if labels else texts_of_sentences([cell_text(table[chosen.text][row]) for row in kept])
    return Looked(len(table[chosen.text]), len(kept), sentences, of_class, quick)


def _kind(look: QuickLook, classes: int, basis: object) -> list[str]:
    """Whether tasks tell labels or clusters apart; the formats of the study."""
    bounds = fitting_bounds(look, classes)
    teach = labels_teach(look, bounds)
    shared.suggest("new_kind_of_tasks", LABELS if teach else CLASSES, basis)
    kind = st.radio("Auxiliary tasks tell apart", list(KINDS), format_func=KINDS.get, key="new_kind_of_tasks")
    if not teach:
        number, purity = look.purest
        reason = (
            f"A cluster's texts nearly all have one label ({purity * 100:.0f} % do, with {number} clusters)"
            if look.is_pure
            else "Few clusters hold enough texts of every label"
        )
        st.info(f"{reason}, so labels make few tasks. Clusters as classes need no labels; yours stay for comparing.")
    return [] if kind == LABELS else [str(kind)]


def _number(look: QuickLook, best: TaskCount | None, basis: object) -> int:
    """How many clusters; the number that is recommended until another is chosen."""
    most = max((count.n_clusters for count in look.counts(min_size=1, min_per_label=1)), default=2)
    shared.suggest("new_clusters", best.n_clusters if best else min(USUAL_CLUSTERS, most), basis)
    number = st.number_input(
        "Clusters",
        2,
        200,
        key="new_clusters",
        help="Recommended are the fewest that give nearly as many usable tasks, with nearly as many texts in them, "
        "as any number does.",
    )
    if best is not None and number != best.n_clusters:
        st.caption(f"{best.n_clusters} are recommended.")
    return int(number)


def _bounds(bounds: Bounds, basis: object) -> Bounds:
    """What a cluster needs to become a task."""
    left, right = st.columns(2)
    shared.suggest("new_min_per_label", bounds.min_per_label, basis)
    shared.suggest("new_min_size", bounds.min_size, basis)
    per_label = left.number_input(
        "Texts of each label that a cluster needs",
        1,
        100_000,
        key="new_min_per_label",
        help="With fewer, support and query rows of a task come again and again.",
    )
    size = right.number_input("Labelled texts that a cluster needs", 2, 100_000, key="new_min_size")
    return Bounds(int(size), int(per_label))


def _algorithms(source: SourceConfig) -> dict[str, Any]:
    """By what texts are grouped."""
    kinds = ClusteringConfig.kinds
    offered = [algorithm for algorithm, facts in kinds.items() if facts.offered(grouped=bool(source.columns.group))]
    algorithms = st.multiselect(
        "Texts are grouped by",
        offered,
        default=["kmeans"],
        format_func=lambda algorithm: kinds[algorithm].title,
        key=f"new_algorithms_{source.columns.group}",
        help="MetaPT learns on the groups of each, so each costs one more pre-training a seed.",
    )
    control = st.checkbox(
        "Also on random groups of the same sizes",
        value=True,
        key="new_control",
        help="The control: does the meaning of the groups matter, or would any groups do?",
    )
    chosen: dict[str, Any] = {"algorithms": algorithms, "control": control}
    if "hdbscan" in algorithms:
        left, right = st.columns(2)
        chosen["outliers"] = left.selectbox(
            "Texts that HDBSCAN leaves out are", list(WORDS), format_func=lambda how: WORDS[how], key="new_outliers"
        )
        usual = kinds["hdbscan"].model_fields["min_cluster_size"].default
        size = right.number_input("Texts that make a cluster of HDBSCAN", 2, 100_000, usual, key="new_min_cluster_size")
        chosen["min_cluster_size"] = None if size == usual else int(size)
    return chosen


def _embeddings(workspace: Workspace, readable: Readable, choices: dict[str, Any]) -> str:
    """In what texts are alike, written into the choices; says why no study can be made so, or nothing."""
    kinds = EmbeddingsConfig.kinds
    kind = st.selectbox(
        "Texts are alike in",
        list(kinds),
        format_func=lambda kind: kinds[kind].title,
        key="new_embeddings",
        help="What clusters are made from. The sentence encoder is chosen under *Models and prompt*.",
    )
    choices["embeddings"] = {"kind": kind}
    if kind == "static":
        choices["embeddings"]["model"] = models.choose(
            "Static model (model2vec)", models.STATIC_MODELS, key="new_static_model", kind=hub.STATIC
        )
    if kind != "file":
        return ""
    own = choose_vectors(workspace, readable.source, readable.rows, readable.file_rows)
    # Until there are some the encoder stands for them: the problem alone is said.
    choices["embeddings"] = {"kind": "encoder"} if own.settings is None else own.settings.model_dump(exclude_none=True)
    return own.problem


def _show(look: QuickLook, bounds: Bounds, n_clusters: int, formats: list[str], called: str) -> None:
    """Usable tasks of every number of clusters, and what the chosen one gives."""
    if formats and CLASSES not in formats:
        titles = " and ".join(str(TaskFormat.kinds[name].title) for name in formats)
        st.caption(f"Tasks are made of {titles}, from the texts of each cluster.")
        return
    asked = {"min_size": bounds.min_size, "min_per_label": bounds.min_per_label}
    counts, chosen = look.counts(**asked), look.count(n_clusters, **asked)
    if chosen is not None and chosen not in counts:
        counts.append(chosen)
    by_labels = look.labels > 1
    if chosen is None:
        cure = "add texts, or choose another column" if n_clusters <= 2 else "take fewer"
        st.warning(f"The texts are too few, or too alike, for {n_clusters} clusters: {cure}.")
    elif chosen.tasks < 2:
        usable = f"{chosen.tasks or 'no'} usable {'task' if by_labels else 'cluster'}{'s' * (chosen.tasks != 1)}"
        cure = "take another number, lower the bounds below" if by_labels else "take another number"
        st.warning(f"{n_clusters} clusters give {usable}, and MetaPT needs several: {cure}, or add texts.")
    elif by_labels:
        st.markdown(f"**{chosen}.**")
    else:
        then = "A task tells two to four of them apart." if formats else "The labels that the model finds say the rest."
        st.markdown(f"**{chosen.tasks} of {n_clusters} clusters hold {bounds.min_size} texts or more.** {then}")
    sample = f" of {len(look.vectors):,} texts" if len(look.vectors) == MOST_TEXTS else ""
    each = f"{bounds.min_per_label} texts of each label, {bounds.min_size} in all"
    need = f"are usable as tasks ({each})" if by_labels else f"hold {bounds.min_size} texts or more"
    drawing.draw(
        task_counts(counts, n_clusters, "usable tasks" if by_labels else "usable clusters"),
        "new_task_counts",
        f"A quick look{sample} with word vectors: for each number of clusters, how many {need}. The study uses "
        f"{called}: similar, not the same.",
    )
