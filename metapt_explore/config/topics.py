"""A second kind of auxiliary task: which cluster is a text from?"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from metapt_explore.config.limits import MOST_ENTRIES
from metapt_explore.config.names import Text
from metapt_explore.config.task import Strict


class TopicsConfig(Strict):
    """Topic tasks beside the tasks that tell labels apart.

    Clusters of texts that share their labels pose nearly the same task (`docs/why.md`), so that there is little to
    meta-learn. With topic tasks an outer step also asks which cluster a text is from, by another template and by a
    word for each cluster. SUPMER (Pan et al., 2023, arXiv 2303.12314) mixes cluster classification with other formats,
    PPT (Gu et al., 2022, arXiv 2109.04332) pre-trains on several formats; this mixture is our own.
    """

    clustering: Text | Annotated[list[Text], Field(max_length=MOST_ENTRIES)] = Field(
        description="whose clusters are told apart; several: a task for each"
    )
    share: float = Field(0.5, gt=0, lt=1, description="share of an outer step's tasks, and so of its rows")
    template: Text = Field("{text}\nTopic:", description="as in a task file")
    min_rows: int = Field(16, ge=2, le=1_000_000, description="rows that a cluster needs to be one of the classes")

    @field_validator("clustering")
    @classmethod
    def _clusterings_differ(cls, clustering: str | list[str]) -> str | list[str]:
        if isinstance(clustering, list) and (not clustering or len(set(clustering)) != len(clustering)):
            raise ValueError("the list is empty" if not clustering else "a clustering stands twice")
        return clustering

    @field_validator("template")
    @classmethod
    def _holds_the_text(cls, template: str) -> str:
        if template.count("{text}") != 1:
            raise ValueError("the template must hold {text} exactly once")
        for slot in ("{text_pair}", "{mask}"):
            if template.count(slot) > 1:
                raise ValueError(f"the template may hold {slot} once")
        return template

    @property
    def clusterings(self) -> list[str]:
        """The clusterings, in their order.

        Example:
            >>> TopicsConfig(clustering="kmeans").clusterings
            ['kmeans']
        """
        return [self.clustering] if isinstance(self.clustering, str) else list(self.clustering)
