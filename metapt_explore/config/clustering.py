"""The pre-training texts, their groupings, and what becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from metapt_explore.config.cluster_edit import ClusterEdit
from metapt_explore.config.clustering_base import (
    ClusteringConfig,
    CountedClustering,
    DerivedClustering,
    FittedClustering,
    SeededClustering,
)
from metapt_explore.config.kinds import one_of
from metapt_explore.config.limits import MANY_TEXTS, MOST_ENTRIES, Count
from metapt_explore.config.task import SourceConfig


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


class KMeansClustering(SeededClustering, CountedClustering, FittedClustering):
    """k-means on sentence embeddings."""

    title = "k-means"
    implementation = "algorithms:kmeans"
    probabilities = "memberships:by_distance"
    fits_up_to = MANY_TEXTS
    algorithm: Literal["kmeans"]


class MiniBatchKMeansClustering(SeededClustering, CountedClustering, FittedClustering):
    """k-means on small random batches, for very many texts."""

    title = "mini-batch k-means (many texts)"
    implementation = "algorithms:minibatch_kmeans"
    probabilities = "memberships:by_distance"
    algorithm: Literal["minibatch_kmeans"]


#: What becomes of texts that no cluster holds; the words and their meaning are BERTopic's (`reduce_outliers`).
Outliers = Literal["drop", "own_task", "nearest_centroid", "probability", "c_tf_idf"]


class HdbscanClustering(FittedClustering):
    """Dense regions of the embeddings; what lies between them is left out, or given to a cluster afterwards."""

    title = "HDBSCAN (finds how many by itself, and outliers)"
    implementation = "density:hdbscan"
    probabilities = "density:membership_vectors"
    fits_up_to, sample_rows = 100_000, 50_000
    unused = ("fit_rows", "outliers", "outlier_threshold")
    algorithm: Literal["hdbscan"]
    min_cluster_size: int = Field(15, ge=2, le=1_000_000, description="texts that make a cluster")
    min_samples: Count | None = Field(None, description="texts around a dense one; min_cluster_size when absent")
    outliers: Outliers = Field(
        "drop",
        description="what becomes of them: left out; a cluster of their own; moved to the nearest centroid, the most "
        "probable cluster, or the one with the most similar words",
    )
    outlier_threshold: float = Field(
        0.0, ge=0, le=1, description="cosine similarity or probability from which an outlier is moved; others stay out"
    )

    @property
    def moves_outliers(self) -> bool:
        """Whether outliers may be given to the clusters."""
        return self.outliers not in ("drop", "own_task")

    @model_validator(mode="after")
    def _threshold_of_something(self) -> HdbscanClustering:
        if self.outlier_threshold and not self.moves_outliers:
            raise ValueError(
                "`outlier_threshold` goes with `outliers: nearest_centroid`, `probability` and `c_tf_idf`: only they "
                "move outliers into clusters"
            )
        return self


class GaussianMixtureClustering(SeededClustering, CountedClustering, FittedClustering):
    """A mixture of Gaussians: clusters that are wider in some directions than in others."""

    title = "Gaussian mixture (clusters of different width)"
    implementation = "mixture:gaussian_mixture"
    probabilities = "mixture:responsibilities"
    fits_up_to, sample_rows = MANY_TEXTS, 100_000
    algorithm: Literal["gaussian_mixture"]
    covariance: Literal["diag", "full", "tied", "spherical"] = Field(
        "diag",
        description="how a cluster may be wide: along the principal components, in any direction, as all of them are, "
        "or in all directions alike",
    )


class AgglomerativeClustering(CountedClustering, FittedClustering):
    """A tree of clusters, joined two by two from single texts upwards and cut where `n_clusters` are left."""

    title = "agglomerative (a tree of clusters)"
    implementation = "algorithms:agglomerative"
    probabilities = "memberships:by_distance"
    fits_up_to, sample_rows = 30_000, 20_000
    algorithm: Literal["agglomerative"]
    linkage: Literal["ward", "average", "complete"] = Field(
        "ward",
        description="which two clusters are joined: those whose variance grows least, that are nearest on average, or "
        "whose farthest texts are nearest",
    )


class LdaClustering(SeededClustering, CountedClustering, FittedClustering):
    """Topics of words (latent Dirichlet allocation)."""

    title = "topics (LDA)"
    implementation = "topics:lda"
    probabilities = "topics:topic_shares"
    fits_up_to, sample_rows = MANY_TEXTS, 100_000
    algorithm: Literal["lda"]


class EditedClustering(DerivedClustering):
    """Another clustering, edited by hand."""

    title = "edited by hand"
    implementation = "edit:edited"
    probabilities = "memberships:by_distance"
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
        GaussianMixtureClustering,
        AgglomerativeClustering,
        LdaClustering,
        EditedClustering,
        OnePool,
        RandomGroups,
        KnownGroups,
    )
