"""Studies that grow: what a page adds to one, as the study that its YAML would say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metapt_explore.config import (
    ClusterEdit,
    CountedClustering,
    EditedClustering,
    MAMLMethod,
    MethodConfig,
    RandomGroups,
    StudyConfig,
    parse,
    to_yaml,
)
from metapt_explore.config.reading import parse_yaml
from metapt_explore.errors import UserError


def free_name(wanted: str, taken: Sequence[str]) -> str:
    """The name, or the first of ``name 2``, ``name 3`` … that is free.

    Example:
        >>> free_name("kmeans by hand", ["kmeans", "kmeans by hand"])
        'kmeans by hand 2'
    """
    number, name = 1, wanted
    while name in taken:
        number += 1
        name = f"{wanted} {number}"
    return name


def with_edited_clustering(
    study: StudyConfig,
    base: str,
    name: str,
    edits: Sequence[ClusterEdit],
    *,
    pretrain: bool = True,
    control: bool = False,
) -> StudyConfig:
    """Adds an edited clustering to a study, and methods that learn from it.

    Args:
        study: The study.
        base: The clustering that is edited.
        name: What the new one is called.
        edits: What is done, one after the other.
        pretrain: Add the method ``MetaPT NAME``, with the settings of the method that learns from `base` where there is
            one.
        control: Add random groups of the same sizes, and a method that learns from those.

    Raises:
        UserError: Where the name is taken or blank, or nothing is edited.

    Example:
        >>> with_edited_clustering(study, "kmeans", "by hand", [ClusterEdit(merge=[0, 1])])  # doctest: +SKIP
    """
    study.clustering(base)
    name = name.strip()
    taken = [clustering.name for clustering in study.clusterings]
    if not name:
        raise UserError("Give the edited clustering a name.")
    if name in taken:
        raise UserError(f"The study has a clustering '{name}' already; give the edited one another name.")
    if not edits:
        raise UserError("Nothing is edited yet.")
    clusterings = [*study.clusterings, EditedClustering(name=name, algorithm="edited", like=base, edits=list(edits))]
    methods = list(study.methods)
    pattern = next((m for m in study.methods if m.meta_learned and m.clusterings == [base]), None)
    pattern = pattern or MAMLMethod(name="MetaPT", kind="metapt", clustering=base)
    if pretrain:
        methods.append(_like(pattern, f"MetaPT {name}", name, methods))
    if control:
        chance = free_name(f"{name} at random", taken)
        clusterings.append(RandomGroups(name=chance, algorithm="random_groups", like=name))
        methods.append(_like(pattern, f"MetaPT {chance}", chance, methods))
    grown = study.model_copy(update={"clusterings": clusterings, "methods": methods})
    return parse(StudyConfig, parse_yaml(to_yaml(grown), study.name), study.name)


def with_method(study: StudyConfig, method: Mapping[str, Any]) -> StudyConfig:
    """Adds a method to a study.

    Args:
        study: The study.
        method: Its settings, as they stand under `methods` in YAML.

    Raises:
        UserError: Where the name is taken, or the settings do not fit; it says which.

    Example:
        >>> exact = {"name": "exact", "kind": "metapt", "clustering": "kmeans", "order": "exact"}
        >>> with_method(study, exact)  # doctest: +SKIP
    """
    taken = [*(entry.name for entry in study.methods), *(entry.name for entry in study.baselines)]
    if method.get("name") in taken:
        raise UserError(f"The study has a method '{method['name']}' already; give this one another name.")
    tree = parse_yaml(to_yaml(study), study.name)
    return parse(
        StudyConfig, {**tree, "methods": [*tree.get("methods", []), dict(method)]}, f"method '{method.get('name')}'"
    )


def with_sweep(study: StudyConfig, base: str, counts: Sequence[int], *, pretrain: bool = False) -> StudyConfig:
    """Adds the same clustering with other numbers of clusters, ``NAME-4``, ``NAME-16`` …

    Args:
        study: The study.
        base: A clustering that is told how many clusters to make.
        counts: Numbers of clusters; what is there already is left out.
        pretrain: Add a method for each, like the one that learns from `base`.

    Raises:
        UserError: Where the clustering is not told how many, or nothing is new.
    """
    clustering = study.clustering(base)
    if not isinstance(clustering, CountedClustering):
        raise UserError(f"'{base}' ({clustering.algorithm}) is not told how many clusters to make.")
    taken = [entry.name for entry in study.clusterings]
    stem = base.removesuffix(f"-{clustering.n_clusters}")
    new = {f"{stem}-{count}": count for count in counts if count != clustering.n_clusters}
    new = {name: count for name, count in new.items() if name not in taken}
    if not new:
        raise UserError("These numbers of clusters are there already.")
    added = [clustering.model_copy(update={"name": name, "n_clusters": count}) for name, count in new.items()]
    methods = list(study.methods)
    if pretrain:
        pattern = next((m for m in study.methods if m.meta_learned and m.clusterings == [base]), None)
        pattern = pattern or MAMLMethod(name="MetaPT", kind="metapt", clustering=base)
        for name in new:
            methods.append(_like(pattern, f"MetaPT {name}", name, methods))
    grown = study.model_copy(update={"clusterings": [*study.clusterings, *added], "methods": methods})
    return parse(StudyConfig, parse_yaml(to_yaml(grown), study.name), study.name)


def _like(pattern: MethodConfig, name: str, clustering: str, methods: Sequence[MethodConfig]) -> MethodConfig:
    free = free_name(name, [method.name for method in methods])
    return pattern.model_copy(update={"name": free, "clustering": clustering, "without": [], "only": []})
