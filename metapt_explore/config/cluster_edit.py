"""One edit of a clustering by hand."""

from __future__ import annotations

from pydantic import Field, model_validator

from metapt_explore.config.limits import MOST_VALUES, ClusterId
from metapt_explore.config.names import Name
from metapt_explore.config.row_ranges import MOST_LETTERS, parse_rows
from metapt_explore.config.task import Strict


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
