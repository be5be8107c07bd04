"""What every grouping of texts has: its name, and facts of its algorithm that forms, checks and plans read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from metapt_explore.config.kinds import Kind
from metapt_explore.config.limits import Seed
from metapt_explore.config.names import Name, Text


class ClusteringConfig(Kind):
    """One grouping of the texts. Each algorithm has a class of its own.

    Attributes:
        control: Whether it is there to be compared with.
        meaningful: Whether the texts of a cluster have something in common.
        seeded: Whether it draws random numbers.
        counted: Whether it is told how many clusters to make.
        needs_groups: Whether it reads the groups named in the data.
        probabilities: What says how probable each cluster is for a text, as ``file:function`` below
            `metapt_explore.clusters`; empty where nothing does.
        fits_up_to: Texts up to which it is fitted on all of them, unless `fit_rows` says otherwise; None: any number.
        sample_rows: Texts that it is fitted on where there are more than that; None: in mini-batches of all of them.
        unused: Settings that are left out of ids and files where they have their default: clusterings made before these
            settings were there keep their ids.

    Example:
        >>> ClusteringConfig(name="topics", algorithm="kmeans", n_clusters=4)
        KMeansClustering(name='topics', algorithm='kmeans', dimensions=50, fit_rows=None, n_clusters=4, seed=None)
    """

    told_by = ("algorithm",)
    kinds: ClassVar[dict[str, type[ClusteringConfig]]]
    hints: ClassVar = {"seed": "it draws no random numbers"}
    control: ClassVar[bool] = False
    meaningful: ClassVar[bool] = True
    seeded: ClassVar[bool] = False
    counted: ClassVar[bool] = False
    needs_groups: ClassVar[bool] = False
    probabilities: ClassVar[str] = ""
    fits_up_to: ClassVar[int | None] = None
    sample_rows: ClassVar[int | None] = None
    unused: ClassVar[tuple[str, ...]] = ("fit_rows",)

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

    def fitted_rows(self, rows: int) -> int:
        """Texts that it is fitted on, of so many; the others are assigned to what was found."""
        asked: int | None = getattr(self, "fit_rows", None)
        if asked is None and self.fits_up_to is not None and rows > self.fits_up_to:
            asked = self.sample_rows
        return rows if asked is None else min(asked, rows)

    def in_mini_batches(self, rows: int) -> bool:
        """Whether so many texts are too many for its own way, so that mini-batches of all of them take its place."""
        beyond = self.fits_up_to is not None and rows > self.fits_up_to
        return beyond and self.sample_rows is None and getattr(self, "fit_rows", None) is None

    @model_serializer(mode="wrap")
    def _without_what_is_unused(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = serialise(self)
        for key in self.unused:
            if key in data and data[key] == type(self).model_fields[key].default:
                del data[key]
        return data


class FittedClustering(ClusteringConfig):
    """A clustering that can be fitted on a sample of the texts, and tell where the others belong."""

    fit_rows: int | None = Field(
        None,
        ge=2,
        le=1_000_000_000,
        description="texts that it is fitted on, drawn at random; the others are assigned to what was found. When "
        "absent: all, up to the number that the algorithm can take",
    )


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
