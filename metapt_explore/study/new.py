"""A new study on your own texts, from a few choices."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metapt_explore.config import ClusteringConfig, Placement, SourceConfig, StudyConfig, load_task, parse
from metapt_explore.config.fixed_recipe import FEW_DEV_ROWS
from metapt_explore.config.task_formats import SizedFormat, TaskFormat
from metapt_explore.config.task_terms import ALL
from metapt_explore.errors import UserError
from metapt_explore.storage.workspace import Workspace
from metapt_explore.study.first_look import CLASS_ROWS, Bounds, set_rows, usual_bounds

#: How prompts are tuned where dev has too few rows to choose by (docs/study.md, One and two examples).
FIXED_RECIPE: Mapping[str, Any] = {"learning_rate": 0.016, "steps": 10}


#: What the average of two readers is called in a study that this makes.
TOGETHER = "readers together"


@dataclass(frozen=True)
class Scale:
    """How much is computed, and what that can show.

    Attributes:
        name: What it is called.
        said: What it costs and shows, in a sentence.
        pretraining: Settings of pre-training.
        evaluation: Settings of the few-shot comparison.
    """

    name: str
    said: str
    pretraining: Mapping[str, Any]
    evaluation: Mapping[str, Any]


SCALES = (
    Scale(
        "a look",
        "Minutes on a laptop: one pre-training a method, three data seeds. Shows how things work and proves nothing.",
        {"steps": 16, "meta_batch_size": 4, "support_size": 8, "query_size": 8},
        {
            "shots": 8, "data_seeds": [13, 21, 42], "init_seeds": [0], "learning_rates": [0.003], "steps": 12,
            "batch_size": 8, "curve_steps": [0, 4, 12], "test_rows": 150,
        },
    ),
    Scale(
        "a first answer",
        "Five pairs of seeds, the fewest for a verdict. Shows large differences. *Predict the cost* says how long.",
        {"steps": 60, "meta_batch_size": 4, "support_size": 8, "query_size": 8},
        {
            "shots": 16, "data_seeds": [13, 21, 42, 87, 100], "init_seeds": [0, 1, 2, 3, 4], "pairing": "paired",
            "learning_rates": [0.001, 0.004, 0.016, 0.064], "halving_steps": [5, 10], "steps": 30, "batch_size": 16,
            "curve_steps": [0, 2, 5, 10, 20, 30], "test_rows": 400, "curve_rows": 60,
        },
    ),
    Scale(
        "a statement",
        "Hours on two cores: ten pairs of seeds, each with its own pre-training. Differences of a few points need it.",
        {"steps": 60, "meta_batch_size": 4, "support_size": 8, "query_size": 8},
        {
            "shots": 16, "data_seeds": [13, 21, 42, 87, 100], "init_seeds": list(range(10)), "pairing": "paired",
            "learning_rates": [0.001, 0.004, 0.016, 0.064], "halving_steps": [5, 10], "steps": 30, "batch_size": 16,
            "curve_steps": [0, 2, 5, 10, 20, 30], "test_rows": 400, "curve_rows": 60,
        },
    ),
)  # fmt: skip


def study_name(wanted: str, workspace: Workspace) -> str:
    """A name that a study may have and no study of the workspace has.

    Example:
        >>> study_name("My reviews (2024).csv", Workspace("nowhere"))
        'My-reviews-2024-.csv'
    """
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", wanted).lstrip("-_.") or "study"
    number, name = 1, plain
    while (workspace.study_folder(name) / "study.yaml").exists():
        number += 1
        name = f"{plain}-{number}"
    return name


@dataclass(frozen=True)
class Choices:
    """What else a new study may be asked for.

    Attributes:
        template: How a text is read in pre-training.
        labelled: Whether the texts have labels; else the language model labels them (zero-shot).
        formats: Formats of auxiliary tasks that are made of the raw texts (`TaskFormat.format`), instead of labels.
        algorithms: How texts are grouped (`ClusteringConfig.algorithm`), each in a clustering of its own.
        control: Whether MetaPT also learns on random groups, of the sizes of the first clustering.
        n_clusters: Clusters, for algorithms that are told how many.
        probe: Whether the prompts of PT, PPT and MetaPT on the first clustering are also read beside a probe.
        baselines: Kinds of baselines (`BaselineConfig.kind`), or settings of one.
        together: Whether *PPT and probe* and a logistic regression on embeddings are averaged, too (needs `probe`).
        more_shots: Other numbers of labelled examples a class to score at.
        limit: Texts to keep, sampled; all when None.
        model: Language model.
        encoder: Sentence encoder whose embeddings are clustered.
        embeddings: What is clustered: settings of an `EmbeddingsConfig`.
        outliers: What becomes of the texts that HDBSCAN leaves out (`HdbscanClustering.outliers`).
        shots: Labelled examples a class; those of the scale when None.
        length: Vectors of the prompt.
        placement: Where the prompt stands; the first that the model's family can do when None.
        bounds: What a cluster needs to become a task; the usual of so many classes when None.
        all_rows: Tasks that take every training row of their files (`shots: all`).
        max_text_tokens: Tokens of a text that the language model reads.
        metric: Score that comparisons are of.
        seed: Of the sample of texts, the clusters and the drawn rows.
        min_cluster_size: Texts that make a cluster of HDBSCAN; its usual number when None.
    """

    template: str = "{text}\nSentiment:"
    labelled: bool = True
    formats: Sequence[str] = ()
    algorithms: Sequence[str] = ("kmeans",)
    control: bool = True
    n_clusters: int = 8
    probe: bool = False
    baselines: Sequence[str | Mapping[str, Any]] = ()
    together: bool = False
    more_shots: Sequence[int] = ()
    limit: int | None = 2000
    model: str = "smollm2-135m"
    encoder: str = "minilm"
    embeddings: Mapping[str, Any] = field(default_factory=lambda: {"kind": "encoder"})
    outliers: str = "drop"
    shots: int | None = None
    length: int = 8
    placement: Placement | None = None
    bounds: Bounds | None = None
    all_rows: Sequence[str] = ()
    max_text_tokens: int = 40
    metric: str = "accuracy"
    seed: int = 0
    min_cluster_size: int | None = None


def new_study(
    name: str,
    source: SourceConfig,
    labels: Mapping[str, Mapping[str, str]],
    *,
    tasks: Sequence[str],
    scale: Scale = SCALES[0],
    choices: Choices = Choices(),
) -> StudyConfig:
    """A study that compares PT, PPT and MetaPT on each clustering, with random groups of the same sizes as control.

    Args:
        name: What the study is called.
        source: Where the texts come from, with its columns.
        labels: Class name to the ``value`` in the data and the ``word`` that stands for it.
        tasks: Downstream tasks.
        scale: How much is computed.
        choices: What else is asked for.

    Raises:
        UserError: Where the choices do not make a study; it says which.
    """
    algorithms, bounds = choices.algorithms, choices.bounds or usual_bounds(len(labels))
    kinds = ClusteringConfig.kinds
    if not algorithms:
        raise UserError("Choose how texts are grouped: without a clustering there are no tasks for MetaPT.")
    clusterings: list[dict[str, Any]] = [
        {
            "name": algorithm,
            "algorithm": algorithm,
            **({"n_clusters": choices.n_clusters} if kinds[algorithm].counted else {}),
            **(_of_hdbscan(choices) if algorithm == "hdbscan" else {}),
        }
        for algorithm in algorithms
    ]
    if choices.control:
        clusterings.append({"name": "random", "algorithm": "random_groups", "like": algorithms[0]})
    methods: list[dict[str, Any]] = [{"name": "PT", "kind": "pt"}, {"name": "PPT", "kind": "ppt"}]
    if choices.formats:
        methods[1]["clustering"] = algorithms[0]  # the tasks and rows that MetaPT draws
    methods += _on_clusters(algorithms, control=choices.control)
    if choices.probe:
        verbalizer = {"read": "probe_ensemble"}
        methods += [
            {**method, "name": f"{method['name']} and probe", "verbalizer": verbalizer} for method in methods[:3]
        ]
    tree: dict[str, Any] = {
        "name": name,
        "seed": choices.seed,
        "model": {"name": choices.model, "max_text_tokens": choices.max_text_tokens},
        "encoder": {"name": choices.encoder},
        **({"embeddings": dict(choices.embeddings)} if choices.embeddings["kind"] != "encoder" else {}),
        "texts": {
            **source.model_dump(mode="json", exclude_none=True, exclude_defaults=True),
            **({"limit": choices.limit} if choices.limit else {}),
        },
        "clusterings": clusterings,
        "auxiliary_tasks": [_format(each, choices) for each in choices.formats]
        or {
            "template": choices.template,
            "labels": {key: dict(entry) for key, entry in labels.items()},
            "min_size": bounds.min_size,
            "min_per_label": bounds.min_per_label,
        },
        "prompt": {
            "length": choices.length,
            **({"placement": choices.placement} if choices.placement else {}),
            "init": "vocabulary",
        },
        # An inner step is what a tuning step is, and as long: else hardly anything would be adapted.
        "pretraining": {
            **scale.pretraining,
            **_set_sizes(labels, choices),
            "inner_optimiser": "adam",
            "outer_lr": 0.01,
        },
        "methods": methods,
        "baselines": _baselines(choices),
        "evaluation": {"tasks": [_task(task, choices) for task in tasks], **scale.evaluation, **_shots(choices, scale)},
    }
    if not choices.labelled and not choices.formats:
        tree["labelling"] = {"by": "zero_shot"}
    return parse(StudyConfig, tree, f"the study '{name}'")


def _baselines(choices: Choices) -> list[Any]:
    """Entries of `baselines`; the average stands behind what it is of."""
    entries = [each if isinstance(each, str) else dict(each) for each in choices.baselines]
    if choices.together:
        if not any(
            each == "linear_probe" or (isinstance(each, dict) and each["name"] == "linear_probe") for each in entries
        ):
            entries.append("linear_probe")
        entries.append({"name": TOGETHER, "kind": "average", "of": ["PPT and probe", "linear_probe"]})
    return entries


def _task(source: str, choices: Choices) -> str | dict[str, Any]:
    """An entry of `evaluation.tasks`; half of each class is dev where train and dev are one source."""
    if source not in choices.all_rows:
        return source
    splits = load_task(source).splits
    one_source = splits is None or splits.train.place == splits.dev.place
    return {"task": source, "shots": ALL, **({"dev_share": 0.5} if one_source else {})}


def _of_hdbscan(choices: Choices) -> dict[str, Any]:
    size = {} if choices.min_cluster_size is None else {"min_cluster_size": choices.min_cluster_size}
    return size | ({} if choices.outliers == "drop" else {"outliers": choices.outliers})


def _set_sizes(labels: Mapping[str, Any], choices: Choices) -> dict[str, int]:
    """Support and query sets hold at least a row of each class."""
    rows = set_rows(0 if choices.formats else len(labels))
    return {"support_size": rows, "query_size": rows}


def _shots(choices: Choices, scale: Scale) -> dict[str, Any]:
    """Examples a class; where dev has too few rows to choose by, nothing is chosen."""
    shots = choices.shots or int(scale.evaluation["shots"])
    settings: dict[str, Any] = {"shots": shots, "more_shots": list(choices.more_shots), "metric": choices.metric}
    if shots <= FEW_DEV_ROWS:
        steps = FIXED_RECIPE["steps"]
        curve = sorted({step for step in scale.evaluation["curve_steps"] if step < steps} | {steps})
        settings |= {"select_by": "last", "learning_rates": [FIXED_RECIPE["learning_rate"]], "steps": steps}
        settings |= {"halving_steps": [], "curve_steps": curve}
    elif min(choices.more_shots, default=shots) <= FEW_DEV_ROWS:
        settings["fixed_recipe"] = dict(FIXED_RECIPE)
    return settings


def _format(name: str, choices: Choices) -> dict[str, Any]:
    """An entry of a format; small files would have no task with the usual bounds."""
    if issubclass(TaskFormat.kinds[name], SizedFormat):
        return {"format": name, "min_size": 16, "min_per_label": 4}
    # Read as the texts are read downstream, where their labels say how.
    template = {"template": choices.template} if choices.labelled else {}
    return {"format": name, **template, "min_per_class": CLASS_ROWS}


def _on_clusters(algorithms: Sequence[str], *, control: bool) -> list[dict[str, str]]:
    """MetaPT on each clustering; the only one is called just that."""
    named = {of: "MetaPT" if len(algorithms) == 1 else f"MetaPT {of.replace('_', ' ')}" for of in algorithms}
    if control:
        named["random"] = "MetaPT random groups"
    return [{"name": name, "kind": "metapt", "clustering": of} for of, name in named.items()]
