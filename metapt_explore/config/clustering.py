"""The pre-training texts, their groupings, and what becomes of them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from metapt_explore.config.limits import MOST_ENTRIES, MOST_VALUES, ClusterId, Count, Seed
from metapt_explore.config.names import Name, Text
from metapt_explore.config.task import LabelsConfig, SourceConfig, Strict


class TextsConfig(SourceConfig):
    """The pre-training texts."""

    limit: int | None = Field(None, ge=1, le=1_000_000_000, description="rows to keep, sampled; all when absent")
    balanced: bool = Field(
        False, description="the sample holds as many rows of each label as they reach; rows without one are dropped"
    )
    min_words: int = Field(
        3,
        ge=1,
        le=10_000,
        description="shorter texts are dropped and counted; in scripts without spaces a character counts as a word",
    )
    labelled_only: bool = Field(False, description="drop rows without a label before sampling")
    near_duplicate: float = Field(
        0.7,
        gt=0,
        le=1,
        description="overlap of word triples (in scripts without spaces of characters) from which a text counts as "
        "nearly equal to a dev or test row",
    )


Algorithm = Literal[
    "kmeans", "minibatch_kmeans", "hdbscan", "lda", "edited", "one_pool", "random_groups", "known_groups"
]
#: Groupings that draw random numbers.
SEEDED = ("kmeans", "minibatch_kmeans", "lda", "edited", "random_groups")


class ClusterEdit(Strict):
    """One edit by hand; exactly one of `merge`, `split`, `exclude` and `rename`.

    Clusters are named by their ids as they stand after the edits before it: a merged cluster has the first id of the
    list, a split one keeps its id for the largest part, and the other parts get the next free ids.
    """

    merge: list[ClusterId] | None = Field(
        None, min_length=2, max_length=MOST_VALUES, description="clusters that become one, with the first one's id"
    )
    split: ClusterId | None = Field(None, description="a cluster that is cut in parts, by k-means on its own texts")
    into: int = Field(2, ge=2, le=1000, description="split: how many parts")
    exclude: list[ClusterId] | None = Field(
        None, min_length=1, max_length=MOST_VALUES, description="clusters whose texts are left out"
    )
    rename: dict[ClusterId, Name] | None = Field(
        None, min_length=1, max_length=MOST_VALUES, description="names of clusters, by their ids"
    )

    @model_validator(mode="after")
    def _one_thing(self) -> ClusterEdit:
        said = [key for key in ("merge", "split", "exclude", "rename") if getattr(self, key) is not None]
        if len(said) != 1:
            raise ValueError(f"an edit is one of merge, split, exclude and rename; this one has {len(said)} of them")
        if self.into != 2 and self.split is None:
            raise ValueError("`into` goes with `split`")
        if len(set(self.clusters)) < len(self.clusters):
            raise ValueError("a cluster stands twice in an edit")
        if any(not name.strip() for name in (self.rename or {}).values()):
            raise ValueError("rename: a name is blank")
        return self

    @property
    def clusters(self) -> list[int]:
        """Ids of the clusters that it names."""
        return [
            *(self.merge or []),
            *([] if self.split is None else [self.split]),
            *(self.exclude or []),
            *(self.rename or {}),
        ]

    def __str__(self) -> str:
        if self.merge is not None:
            return f"merge {', '.join(map(str, self.merge))}"
        if self.split is not None:
            return f"split {self.split} into {self.into}"
        if self.exclude is not None:
            return f"exclude {', '.join(map(str, self.exclude))}"
        return "rename " + ", ".join(f"{cluster} to '{name}'" for cluster, name in (self.rename or {}).items())


class ClusteringConfig(Strict):
    """One grouping of the texts.

    `random_groups` copies the sizes of the clustering named in `like`; `edited` is that clustering with `edits`.
    """

    name: Name = Field(description="what methods and pages call it")
    algorithm: Algorithm = Field(description="how texts are grouped; the last three are controls")
    n_clusters: int = Field(
        6,
        ge=2,
        le=10_000,
        description="kmeans, minibatch_kmeans; lda: topics; a list makes a clustering of each (`sweep.py`)",
    )
    min_cluster_size: int = Field(15, ge=2, le=1_000_000, description="hdbscan")
    min_samples: Count | None = Field(None, description="hdbscan; min_cluster_size when absent")
    dimensions: int = Field(50, ge=2, le=100_000, description="principal components before clustering")
    like: Text | None = Field(None, description="random_groups: whose sizes are copied; edited: what is edited")
    edits: list[ClusterEdit] = Field([], max_length=MOST_ENTRIES, description="edited: what to do, one after the other")
    seed: Seed | None = Field(
        None,
        description="another seed for this clustering alone; the study's when absent; a list makes a "
        "clustering of each",
    )

    @model_validator(mode="after")
    def _seed_is_used(self) -> ClusteringConfig:
        if self.seed is not None and self.algorithm not in SEEDED:
            raise ValueError(f"`seed` changes nothing: {self.algorithm} draws no random numbers")
        return self

    @model_validator(mode="after")
    def _like_is_used(self) -> ClusteringConfig:
        if (self.algorithm in ("random_groups", "edited")) != (self.like is not None):
            raise ValueError(
                "`like` (the clustering whose sizes are copied, or that is edited) goes with random_groups and edited, "
                "and only with them"
            )
        if (self.algorithm == "edited") != bool(self.edits):
            raise ValueError("`edits` goes with the algorithm `edited`, and only with it")
        return self


class AuxiliaryTasksConfig(LabelsConfig):
    """Which clusters become auxiliary tasks, and how their rows are read."""

    classes: Literal["labels", "clusters"] = Field(
        "labels",
        description="what a task tells apart: its cluster's texts by their labels, or clusters (no label needed, "
        "CACTUs and SUPMER)",
    )
    n_tasks: int = Field(8, ge=1, le=10_000, description="clusters as classes: tasks to draw")
    min_size: int = Field(32, ge=2, le=1_000_000, description="labelled rows a cluster needs to become a task")
    min_per_label: Count = Field(8, description="rows of each label a cluster needs to become a task")
    softness: float = Field(
        0.0,
        ge=0,
        le=2,
        description="a row also belongs to the clusters whose centres are so little (cosine similarity) less like it "
        "than the best one; 0: to its own only",
    )

    @model_validator(mode="after")
    def _a_row_has_one_word(self) -> AuxiliaryTasksConfig:
        if self.softness and self.classes == "clusters":
            raise ValueError("`softness` goes with `classes: labels`: with clusters as classes a row has one cluster")
        return self
