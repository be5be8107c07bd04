"""The pre-training texts, their groupings, and what becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from metapt_explore.config.kinds import Kind, one_of
from metapt_explore.config.limits import MOST_ENTRIES, MOST_VALUES, ClusterId, Count, Seed
from metapt_explore.config.names import Name, Text
from metapt_explore.config.row_ranges import MOST_LETTERS, parse_rows
from metapt_explore.config.task import SourceConfig, Strict


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


class ClusterEdit(Strict):
    """One edit by hand; exactly one of `merge`, `split`, `exclude`, `rename` and `gather`.

    Clusters are named by their ids as they stand after the edits before it: a merged cluster has the first id of the
    list, a split one keeps its id for the largest part, and the other parts get the next free ids. So does a new one.
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
    gather: str | None = Field(
        None,
        min_length=1,
        max_length=MOST_LETTERS,
        description="rows of the study's texts that become a cluster of their own, as numbers and ranges: 0-4, 9",
    )

    @model_validator(mode="after")
    def _one_thing(self) -> ClusterEdit:
        given = [key for key in ("merge", "split", "exclude", "rename", "gather") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(
                f"an edit is one of merge, split, exclude, rename and gather; this one has {len(given)} of them"
            )
        if self.gather is not None and not self.rows:
            raise ValueError("gather: no row is named")
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

    @property
    def rows(self) -> list[int]:
        """Rows that it gathers."""
        return [] if self.gather is None else parse_rows(self.gather)

    def __str__(self) -> str:
        if self.gather is not None:
            count = len(self.rows)
            return f"gather {count:,} text{'s' * (count != 1)} into a new cluster"
        if self.merge is not None:
            return f"merge {', '.join(map(str, self.merge))}"
        if self.split is not None:
            return f"split {self.split} into {self.into}"
        if self.exclude is not None:
            return f"exclude {', '.join(map(str, self.exclude))}"
        return "rename " + ", ".join(f"{cluster} to '{name}'" for cluster, name in (self.rename or {}).items())


class ClusteringConfig(Kind):
    """One grouping of the texts. Each algorithm has a class of its own.

    Attributes:
        control: Whether it is there to be compared with.
        meaningful: Whether the texts of a cluster have something in common.
        seeded: Whether it draws random numbers.
        counted: Whether it is told how many clusters to make.
        needs_groups: Whether it reads the groups named in the data.

    Example:
        >>> ClusteringConfig(name="topics", algorithm="kmeans", n_clusters=4)
        KMeansClustering(name='topics', algorithm='kmeans', dimensions=50, n_clusters=4, seed=None)
    """

    told_by = ("algorithm",)
    kinds: ClassVar[dict[str, type[ClusteringConfig]]]
    hints: ClassVar = {"seed": "it draws no random numbers"}
    control: ClassVar[bool] = False
    meaningful: ClassVar[bool] = True
    seeded: ClassVar[bool] = False
    counted: ClassVar[bool] = False
    needs_groups: ClassVar[bool] = False

    if TYPE_CHECKING:

        def __init__(self, **settings: Any) -> None: ...

    name: Name = Field(description="what methods and pages call it")
    algorithm: str = Field(description="how texts are grouped")
    dimensions: int = Field(
        50, ge=2, le=100_000, description="principal components before clustering, and before its quality is measured"
    )

    @classmethod
    def facts(cls, algorithm: str) -> type[ClusteringConfig]:
        """The class of an algorithm; the shared class for one that this version does not know."""
        return cls.kinds.get(algorithm, ClusteringConfig)

    @classmethod
    def offered(cls, *, grouped: bool) -> bool:
        """Whether a new study can use this grouping, with or without groups named in the data."""
        return grouped if cls.needs_groups else not cls.control and "like" not in cls.model_fields

    @property
    def source(self) -> str | None:
        """The clustering that it is made from, if any."""
        return None

    @property
    def own_seed(self) -> int | None:
        """The seed of this clustering alone."""
        return None


class SeededClustering(ClusteringConfig):
    """A clustering that draws random numbers."""

    seeded = True
    seed: Seed | None = Field(
        None,
        description="another seed for this clustering alone; the study's when absent; a list makes a "
        "clustering of each",
    )

    @property
    def own_seed(self) -> int | None:
        """The seed of this clustering alone."""
        return self.seed


class CountedClustering(ClusteringConfig):
    """A clustering that is told how many clusters to make."""

    counted = True
    n_clusters: int = Field(
        6, ge=2, le=10_000, description="how many clusters; a list makes a clustering of each (`sweep.py`)"
    )


class DerivedClustering(SeededClustering):
    """A clustering that is made from another."""

    like: Text = Field(description="the clustering that it is made from")

    @property
    def source(self) -> str | None:
        """The clustering that it is made from."""
        return self.like


class KMeansClustering(SeededClustering, CountedClustering):
    """k-means on sentence embeddings."""

    title = "k-means"
    implementation = "algorithms:kmeans"
    algorithm: Literal["kmeans"]


class MiniBatchKMeansClustering(SeededClustering, CountedClustering):
    """k-means on small random batches, for very many texts."""

    title = "mini-batch k-means (many texts)"
    implementation = "algorithms:minibatch_kmeans"
    algorithm: Literal["minibatch_kmeans"]


class HdbscanClustering(ClusteringConfig):
    """Dense regions of the embeddings; what lies between them is left out."""

    title = "HDBSCAN (finds how many by itself, and outliers)"
    implementation = "algorithms:hdbscan"
    algorithm: Literal["hdbscan"]
    min_cluster_size: int = Field(15, ge=2, le=1_000_000, description="texts that make a cluster")
    min_samples: Count | None = Field(None, description="texts around a dense one; min_cluster_size when absent")


class LdaClustering(SeededClustering, CountedClustering):
    """Topics of words (latent Dirichlet allocation)."""

    title = "topics (LDA)"
    implementation = "topics:lda"
    algorithm: Literal["lda"]


class EditedClustering(DerivedClustering):
    """Another clustering, edited by hand."""

    title = "edited by hand"
    implementation = "edit:edited"
    algorithm: Literal["edited"]
    edits: list[ClusterEdit] = Field(
        min_length=1, max_length=MOST_ENTRIES, description="what to do, one after the other"
    )


class OnePool(ClusteringConfig):
    """Control: all texts in one cluster."""

    title = "all texts together"
    implementation = "algorithms:one_pool"
    control = True
    meaningful = False
    algorithm: Literal["one_pool"]


class RandomGroups(DerivedClustering):
    """Control: random groups that have the sizes of another clustering."""

    title = "random groups"
    implementation = "algorithms:random_groups"
    control = True
    meaningful = False
    algorithm: Literal["random_groups"]


class KnownGroups(ClusteringConfig):
    """Control: the groups named in the data."""

    title = "the group column"
    implementation = "algorithms:known_groups"
    control = True
    needs_groups = True
    algorithm: Literal["known_groups"]


if TYPE_CHECKING:
    AnyClustering = ClusteringConfig
else:
    AnyClustering = one_of(
        ClusteringConfig,
        KMeansClustering,
        MiniBatchKMeansClustering,
        HdbscanClustering,
        LdaClustering,
        EditedClustering,
        OnePool,
        RandomGroups,
        KnownGroups,
    )
