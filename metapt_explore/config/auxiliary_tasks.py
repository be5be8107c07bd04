"""What pre-training tells apart: one kind of auxiliary tasks, or a list of several."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from metapt_explore.config.limits import MOST_CLASSES, MOST_ENTRIES, Count
from metapt_explore.config.names import Name
from metapt_explore.config.task import Label, LabelsConfig
from metapt_explore.config.task_formats import AnyFormat, ClusterClassesFormat, LabelsFormat, TaskFormat


class AuxiliaryTasksConfig(LabelsConfig):
    """Which clusters become auxiliary tasks, and how their rows are read.

    A list makes several formats of tasks (`task_formats.py`). The entry that tells the labels of the study's own texts
    apart has its keys here, the others stand under `formats`; without such an entry there are no `labels`.

    Example:
        >>> AuxiliaryTasksConfig.model_validate([{"format": "sentence_pair"}]).formats[0].called
        'sentence_pair'
    """

    name: Name | None = Field(None, description="in a list of formats: what the tasks of this one are called")
    weight: float = Field(1.0, gt=0, le=1000, description="in a list of formats: how often tasks of this one are drawn")
    labels: dict[str, Label] = Field(
        {}, max_length=MOST_CLASSES, description="class name to its label word, words or settings"
    )

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
    min_probability: float | None = Field(
        None,
        gt=0,
        le=1,
        description="a row also belongs to the clusters that are at least so probable for it (membership "
        "probabilities); to its own only when absent",
    )

    formats: list[AnyFormat] = Field(
        [],
        max_length=MOST_ENTRIES,
        description="the other entries; `auxiliary_tasks: [...]` is the short form",
    )

    @model_validator(mode="before")
    @classmethod
    def _list_of_formats(cls, given: Any) -> Any:
        if not isinstance(given, list):
            return given
        if not given:
            raise ValueError("the list is empty")
        entries, own = [], None
        for entry in given:
            if own is None and _reads_own_labels(entry):
                own = {key: value for key, value in entry.items() if key not in ("format", "texts", "unified")}
            else:
                entries.append(entry)
        return {**(own or {}), "formats": entries}

    @property
    def _may_lack_labels(self) -> bool:
        return bool(self.formats) and not self.labels

    @property
    def is_soft(self) -> bool:
        """Whether a row may belong to several clusters."""
        return self.softness > 0 or self.min_probability is not None

    @property
    def by_labels(self) -> bool:
        """Whether some tasks tell the labels of the study's own texts apart."""
        return self.classes == "labels" and (bool(self.labels) or any(_own_labels(each) for each in self.formats))

    @property
    def first_reading(self) -> LabelsConfig:
        """Template and words of the first format; short words stand for those which tasks draw."""
        if self.labels:
            return self
        first = self.formats[0]
        return first.stand_in if isinstance(first, ClusterClassesFormat) else first.reading or self

    @property
    def called(self) -> str:
        """Name of the tasks that tell labels apart, in a list of formats."""
        return self.name or "labels"

    @property
    def cluster_classes(self) -> list[ClusterClassesFormat]:
        """The formats whose classes are clusters."""
        return [each for each in self.formats if isinstance(each, ClusterClassesFormat)]

    @model_validator(mode="after")
    def _formats_differ(self) -> AuxiliaryTasksConfig:
        if not self.formats:
            for key in ("name", "weight"):
                if getattr(self, key) != type(self).model_fields[key].default:
                    raise ValueError(f"`{key}` goes with a list of formats")
            return self
        if self.classes == "clusters":
            raise ValueError("in a list, clusters as classes are an entry `format: cluster_classes`")
        if self.is_soft or self.n_tasks != type(self).model_fields["n_tasks"].default:
            key = "min_probability" if self.min_probability else "softness"
            raise ValueError(f"`{key}` and `n_tasks` go with one kind of auxiliary tasks, not with a list of formats")
        names = [*([self.called] if self.labels else []), *(each.called for each in self.formats)]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two entries are called '{name}'; give each a `name`")
        return self

    @model_validator(mode="after")
    def _a_row_has_one_word(self) -> AuxiliaryTasksConfig:
        key = "min_probability" if self.min_probability else "softness"
        if self.is_soft and self.classes == "clusters":
            raise ValueError(f"`{key}` goes with `classes: labels`: with clusters as classes a row has one cluster")
        if self.softness and self.min_probability:
            raise ValueError(
                "give `softness` or `min_probability`, not both: each says which clusters a row belongs to"
            )
        return self


def _reads_own_labels(entry: Any) -> bool:
    """Whether an entry of a list, in plain values, tells the labels of the study's own texts apart as they stand."""
    if isinstance(entry, LabelsFormat):
        return False
    tree = TaskFormat.expand(entry)
    return isinstance(tree, dict) and tree.get("format") == "labels" and not (tree.get("texts") or tree.get("unified"))


def _own_labels(entry: TaskFormat) -> bool:
    return isinstance(entry, LabelsFormat) and entry.texts is None
