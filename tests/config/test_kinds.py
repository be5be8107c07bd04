"""Settings that come in kinds: the kind that is asked for is made, and a key of another is refused by name."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import tiny

from metapt_explore.config import ClusteringConfig, MethodConfig, StudyConfig, parse
from metapt_explore.config.clustering import HdbscanClustering, KMeansClustering
from metapt_explore.errors import UserError


def study(**changes: Any) -> StudyConfig:
    return parse(StudyConfig, tiny.study_tree(Path("/w"), **changes), "study.yaml")


def refused(message: str, **changes: Any) -> None:
    with pytest.raises(UserError) as told:
        study(**changes)
    assert str(told.value) == f"study.yaml: {message}"


def clustering(**settings: Any) -> dict[str, Any]:
    return {"clusterings": [{"name": "k", **settings}], "methods": [{"name": "PT", "kind": "pt"}]}


def test_the_shared_class_makes_the_kind_that_is_asked_for() -> None:
    made = ClusteringConfig(name="k", algorithm="kmeans", n_clusters=3)
    assert type(made) is KMeansClustering and made.n_clusters == 3
    assert made == KMeansClustering(name="k", algorithm="kmeans", n_clusters=3)
    assert made == ClusteringConfig.model_validate(made.model_dump()) == pickle.loads(pickle.dumps(made))
    assert made == copy.deepcopy(made) and type(made.model_copy(update={"name": "l"})) is KMeansClustering
    assert study(clusterings=[made], methods=[{"name": "PT", "kind": "pt"}]).clusterings == [made]


def test_a_key_of_another_kind_is_refused_by_its_kinds() -> None:
    refused(
        "clusterings.0: `seed` belongs to kmeans, minibatch_kmeans, gaussian_mixture, lda, edited and random_groups, "
        "not to hdbscan: it draws no random numbers.",
        **clustering(algorithm="hdbscan", seed=1),
    )
    refused(
        "clusterings.0: `min_samples` belongs to hdbscan, not to kmeans.",
        **clustering(algorithm="kmeans", min_samples=4),
    )


def test_a_key_of_another_kind_at_its_default_changes_nothing() -> None:
    """Studies were written with all keys of all kinds."""
    found = study(**clustering(algorithm="hdbscan", n_clusters=6, min_cluster_size=9, like=None, edits=[]))
    assert found.clusterings == [HdbscanClustering(name="k", algorithm="hdbscan", min_cluster_size=9)]


def test_a_kind_that_is_missing_or_unknown_is_named() -> None:
    valid = ", ".join(sorted(ClusteringConfig.kinds))
    assert {"edited", "hdbscan", "kmeans", "known_groups", "lda", "minibatch_kmeans", "one_pool", "random_groups"} <= {
        *ClusteringConfig.kinds
    }
    refused("key 'clusterings.0.algorithm' is missing.", **clustering())
    refused(
        f"clusterings.0: there is no algorithm 'kmean'. Did you mean 'kmeans'? Valid: {valid}.",
        **clustering(algorithm="kmean"),
    )
    refused(f"clusterings.0: there is no algorithm 'list'. Valid: {valid}.", **clustering(algorithm=["kmeans"]))
    refused("clusterings.0: a mapping of keys to values is expected, found the text 'kmeans'.", clusterings=["kmeans"])


def test_places_are_those_of_the_file() -> None:
    refused(
        "clusterings.0.n_clusters: Input should be greater than or equal to 2 (found 1).",
        **clustering(algorithm="kmeans", n_clusters=1),
    )
    refused(
        "unknown key 'clusterings.0.edits.0.intto'. Did you mean 'into'? "
        "Valid: exclude, gather, into, merge, rename, split.",
        **clustering(algorithm="edited", like="x", edits=[{"split": 1, "intto": 3}]),
    )


def test_methods_and_learners_hold_their_own_keys() -> None:
    refused(
        "methods.0: `order` belongs to maml and meta_sgd, not to reptile: it never differentiates through its inner "
        "steps.",
        methods=[{"name": "M", "kind": "metapt", "clustering": "kmeans", "learner": "reptile", "order": "exact"}],
    )
    refused(
        "methods.0: `clustering` belongs to ppt and metapt, not to pt: it has no pre-training.",
        methods=[{"name": "M", "kind": "pt", "clustering": "kmeans"}],
    )
    learners = sorted(MethodConfig.choices("learner"))
    assert {"maml", "meta_sgd", "reptile"} <= {*learners}
    refused(
        f"methods.0: there is no learner 'mamla'. Did you mean 'maml'? Valid: {', '.join(learners)}.",
        methods=[{"name": "M", "kind": "metapt", "clustering": "kmeans", "learner": "mamla"}],
    )
    refused(
        "methods.0: there is no kind 'ptt'. Did you mean 'pt'? Valid: metapt, ppt, pt.",
        methods=[{"name": "M", "kind": "ptt"}],
    )
    refused("methods.0: `tensor` belongs to file, not to text.".replace("methods.0", "prompt.init"),
        prompt={"init": {"text": "good or bad", "tensor": "x"}})  # fmt: skip
