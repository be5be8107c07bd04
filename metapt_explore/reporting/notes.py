"""What stands beside a result wherever it is shown: report, page and terminal say the same sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metapt_explore.config import ClusteringConfig, OnePool
from metapt_explore.config.fixed_recipe import few_dev_rows
from metapt_explore.fewshot.samples import sample_sentences
from metapt_explore.results.record import Record
from metapt_explore.results.search_grids import searched
from metapt_explore.statistics.ground import TaskGround, chance_sentences, ground_of


def grounds_of(record: Record) -> dict[str, TaskGround]:
    """What `statistics.compare` has to know of each task: shared rows, and what guessing scores."""
    on_test = record.study["evaluation"].get("scored_on", "test") == "test"
    return {task["name"]: ground_of(task.get("samples"), on_test=on_test) for task in record.tasks}


def metric_of(record: Record) -> str:
    """The score that comparisons are of: `evaluation.metric`; accuracy where an older record has no other."""
    asked = str(record.study["evaluation"].get("metric", "accuracy"))
    return asked if asked in record.results and record.results[asked].notna().any() else "accuracy"


def notes_of(record: Record) -> list[str]:
    """What a reader of verdicts must know: MetaPT over one task, a model's labels, tasks at chance, narrow grids."""
    notes = [
        *one_task_sentences(record.study, record.clusterings),
        *label_sentences(record.labels),
        *few_dev_rows(record.study),
    ]
    if len(record.results):
        notes += chance_sentences(record.results, grounds_of(record))
        notes += searched(record).sentences
    return notes


def sample_notes(record: Record) -> list[str]:
    """What is odd about the few-shot samples, task by task."""
    return [sentence for task in record.tasks for sentence in sample_sentences(task["name"], task.get("samples"))]


def unfinished(record: Record) -> str:
    """Says that scores are missing; empty where none are."""
    if len(record.results) >= record.cells:
        return ""
    return f"The study is not finished: {len(record.results)} of {record.cells} scores are there."


def one_task_sentences(study: Mapping[str, Any], clusterings: Sequence[Mapping[str, Any]] = ()) -> list[str]:
    """Names MetaPT methods that learn from one auxiliary task: that is pooled pre-training under another name.

    Args:
        study: The study's settings as plain values.
        clusterings: Name and number of auxiliary tasks of each clustering that is there. Before anything is computed
            only settings that give one task whatever the texts are can be named.

    Example:
        >>> study = {
        ...     "clusterings": [{"name": "pool", "algorithm": "one_pool"}],
        ...     "methods": [{"name": "MetaPT", "kind": "metapt", "clustering": "pool"}],
        ... }
        >>> print(one_task_sentences(study)[0])
        MetaPT learns from one auxiliary task: that is pooled pre-training, and says nothing about learning over tasks.
    """
    counts: dict[str, int | None] = {}
    auxiliary = study.get("auxiliary_tasks") or {}
    by_clusters = auxiliary.get("classes", "labels") == "clusters"
    for clustering in study.get("clusterings", []):
        is_pool = ClusteringConfig.facts(clustering["algorithm"]) is OnePool
        one = auxiliary.get("n_tasks") == 1 if by_clusters else is_pool
        counts[clustering["name"]] = 1 if one and not auxiliary.get("formats") else None
    counts |= {
        clustering["name"]: int(clustering["tasks"])
        for clustering in clusterings
        if clustering.get("tasks") is not None
    }
    sentences = []
    for method in study.get("methods", []):
        named = method.get("clustering") or []
        task_counts = [counts.get(name) for name in ([named] if isinstance(named, str) else named)]
        if method["kind"] != "metapt" or None in task_counts or not task_counts:
            tasks = None
        else:
            tasks = sum(count for count in task_counts if count is not None) - len(method.get("without") or [])
        if method["kind"] == "metapt" and method.get("only"):
            tasks = len(method["only"])
        if tasks == 1:
            sentences.append(
                f"{method['name']} learns from one auxiliary task: that is pooled pre-training, and says nothing about "
                "learning over tasks."
            )
    return sentences


def label_sentences(labels: Mapping[str, Any]) -> list[str]:
    """Says that labels of pre-training texts were found by a model, and how often they are the known ones.

    Args:
        labels: Summary of the stage that looked for them; empty where none did.

    Example:
        >>> found = {"by": "zero_shot", "classes": {"good": {"kept": 30, "of_the_data": 10}}, "agreement": None}
        >>> print(label_sentences(found)[0])
        Labels of 30 of 40 pre-training texts were found by the language model itself (zero-shot): its own errors are \
in what is learned. How often they are right is not known: no text that got one has a label of its own.
    """
    by_model = sum(int(counts["kept"]) for counts in labels.get("classes", {}).values())
    if not by_model:
        return []
    given = sum(int(counts.get("of_the_data") or 0) for counts in labels["classes"].values())
    by = {"zero_shot": "the language model itself (zero-shot)", "classifier": "a classifier"}
    agreement = labels.get("agreement")
    if agreement:
        right = (
            f"They are the data's own for {100 * agreement['accuracy']:.0f} % of the {agreement['rows']:,} texts "
            "that have both"
        )
        if agreement.get("kept_accuracy") is not None:
            right += (
                f", and for {100 * agreement['kept_accuracy']:.0f} % of the {agreement['kept_rows']:,} of them that "
                "are used"
            )
    else:
        right = "How often they are right is not known: no text that got one has a label of its own"
    return [
        f"Labels of {by_model:,} of {by_model + given:,} pre-training texts were found by "
        f"{by.get(labels['by'], labels['by'])}: its own errors are in what is learned. {right}."
    ]


def missing_sentences(missing: Sequence[Mapping[str, str]]) -> list[str]:
    """Parts of a study that are not there, a sentence each.

    Args:
        missing: For each ``key`` (such as ``fewshot/MetaPT/trec/0``) and ``reason``.

    Example:
        >>> missing_sentences([{"key": "baseline/SetFit/trec", "reason": "There is too little memory."}])
        ['baseline/SetFit/trec: There is too little memory.']
    """
    return [f"{part['key']}: {part['reason']}" for part in missing]


def methods_chosen_on_dev(study: Mapping[str, Any]) -> list[str]:
    """Methods whose learning rate and step dev chooses: all but those of `select_by: last`.

    Example:
        >>> tuning = {"select_by": "loss", "steps": 90}
        >>> methods = [{"name": "PT"}, {"name": "PPT", "tuning": tuning}]
        >>> methods_chosen_on_dev({"evaluation": {"select_by": "last"}, "methods": methods})
        ['PPT']
    """
    shared = study["evaluation"].get("select_by", "loss")
    by = {m["name"]: (m.get("tuning") or {}).get("select_by") or shared for m in study.get("methods", [])}
    return [name for name, select_by in by.items() if select_by != "last"]


def choice_sentence(study: Mapping[str, Any]) -> str:
    """How learning rate and step of the methods were found.

    Example:
        >>> methods = [{"name": "PT"}, {"name": "PPT", "tuning": {"select_by": "last"}}]
        >>> choice_sentence({"evaluation": {}, "methods": methods})
        'Learning rate and step were chosen on dev; of PPT the last step of one learning rate was kept.'
    """
    names = [method["name"] for method in study.get("methods", [])]
    chosen = methods_chosen_on_dev(study)
    fixed = [name for name in names if name not in chosen]
    if fixed and not chosen:
        baselines = " Baselines chose their own settings on dev." if study.get("baselines") else ""
        return f"No prompt was chosen on dev: the last step of one learning rate was kept.{baselines}"
    kept = f"; of {' and '.join(fixed)} the last step of one learning rate was kept" if fixed else ""
    return f"Learning rate and step were chosen on dev{kept}."
