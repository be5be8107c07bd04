"""Formats of auxiliary tasks: what is made of texts beside tasks that tell the texts' own labels apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from metapt_explore.config.clustering import TextsConfig
from metapt_explore.config.kinds import Kind, one_of
from metapt_explore.config.limits import MOST_ENTRIES, Count
from metapt_explore.config.names import Name, Text
from metapt_explore.config.task import UNNAMED, LabelsConfig, check_pairs, in_data_folder

#: Letters that stand in front of options.
LETTERS = "ABCDEFGH"
#: Words are put into templates without what marks their slots.
NO_BRACES = str.maketrans("", "", "{}")
#: Classes of sentence pairs.
PAIR_CLASSES = ("adjacent", "same_document", "other")
#: Classes of a task that is made of clusters.
ClassCount = Annotated[int, Field(ge=2, le=100)]


class TaskFormat(Kind):
    """A format of auxiliary tasks. An outer step draws formats by their weights, then tasks of each."""

    told_by = ("format",)
    #: Whether its rows are made of texts, so that every cluster of them is a task.
    makes_rows: ClassVar[bool] = True
    #: Whether each task has words of its own.
    draws_words: ClassVar[bool] = False
    format: str
    name: Name | None = Field(None, description="what its tasks are called; the format's own name when absent")
    weight: float = Field(1.0, gt=0, le=1000, description="how often its tasks are drawn, against the other formats'")

    @classmethod
    def expand(cls, given: Any) -> Any:
        """An entry with labels and without `format` tells labels apart."""
        if isinstance(given, dict) and "format" not in given and "labels" in given:
            return {"format": "labels", **given}
        return given

    @property
    def called(self) -> str:
        """Its name."""
        return self.name or self.format

    @property
    def reading(self) -> LabelsConfig | None:
        """Template and words; None where each task has words of its own."""
        return None


class SizedFormat(TaskFormat):
    """What formats share whose tasks are clusters: how many rows one needs."""

    min_size: int = Field(32, ge=2, le=1_000_000, description="rows a cluster needs to become a task")
    min_per_label: Count = Field(8, description="rows of each class a cluster needs to become a task")


class LabelsFormat(SizedFormat, LabelsConfig):
    """Tasks that tell labels apart: the study's own texts by cluster, or another labelled set, which is one task.

    Several sets with label spaces of their own are what MPT learns from (Wang et al., ICLR 2023, arXiv 2303.02861).
    """

    title = "labels"
    implementation = "labels:auxiliary_tasks"
    format: Literal["labels"]
    texts: TextsConfig | None = Field(
        None, description="a labelled set of its own, which is one task; the study's texts when absent"
    )
    unified: bool = Field(
        False,
        description="each row asks which of the label words, given as options A, B …, is right (Unified PPT); long "
        "texts are shortened so that the options are read (`model.max_text_tokens`)",
    )

    @model_validator(mode="after")
    def _fits_its_texts(self) -> LabelsFormat:
        if self.texts is None:
            return self
        check_pairs(self, self.texts)
        if in_data_folder(self.texts.file):
            raise ValueError(UNNAMED.format(file=self.texts.file))
        return self

    @model_validator(mode="after")
    def _options_fit(self) -> LabelsFormat:
        if self.unified and len(self.labels) > len(LETTERS):
            raise ValueError(f"`unified` goes with {len(LETTERS)} classes or fewer")
        return self

    @property
    def reading(self) -> LabelsConfig | None:
        """Template and words; as options, letters."""
        if not self.unified:
            return LabelsConfig(template=self.template, labels=self.labels)
        template = self.template if self.pairs else self.template.replace("{text}", "{text}\n{text_pair}")
        return LabelsConfig.model_validate(
            {"template": template, "labels": {letter: letter for letter in LETTERS[: len(self.labels)]}}
        )


class SentencesFormat(SizedFormat):
    """What formats share that are made of the sentences of a document."""

    template: Text = Field("{text}\n{text_pair}", description="as in a task file, with {text} and {text_pair}")
    per_document: int = Field(3, ge=1, le=1000, description="rows made of a text at most")
    min_words: int = Field(4, ge=1, le=1000, description="shorter sentences are joined with the next")
    max_words: int = Field(40, ge=2, le=10_000, description="longer sentences are cut into several")

    @field_validator("template")
    @classmethod
    def _holds_both(cls, template: str) -> str:
        for slot in ("{text}", "{text_pair}"):
            if template.count(slot) != 1:
                raise ValueError(f"the template must hold {slot} exactly once")
        if template.count("{mask}") > 1:
            raise ValueError("the template may hold {mask} once")
        return template


class SentencePairFormat(SentencesFormat):
    """Do two sentences follow one another, stand in one text, or neither? PPT's three classes (Gu et al., 2022)."""

    title = "sentence pairs"
    implementation = "formats.sentence_pair:sentence_pairs"
    format: Literal["sentence_pair"]
    template: Text = Field(
        "{text}\n{text_pair}\nDoes the second follow from the first?",
        description="as in a task file, with {text} and {text_pair}",
    )
    shown_words: int = Field(
        24,
        ge=2,
        le=10_000,
        description="of longer sentences the last words of the first and the first words of the second are shown: the "
        "model must see both (`model.max_text_tokens`)",
    )
    words: dict[str, Text] = Field(
        default={"adjacent": "yes", "same_document": "maybe", "other": "no"},
        max_length=len(PAIR_CLASSES),
        description="the word of each class",
    )

    @field_validator("words")
    @classmethod
    def _of_every_class(cls, words: dict[str, str]) -> dict[str, str]:
        if sorted(words) != sorted(PAIR_CLASSES) or len(set(words.values())) < len(words):
            raise ValueError(f"give a word of its own to each of {', '.join(PAIR_CLASSES)}")
        return words

    unified: bool = Field(
        False,
        description="each row asks which of the words, given as options A, B, C below at most 16 words of the second "
        "sentence, is right (Unified PPT)",
    )

    @property
    def reading(self) -> LabelsConfig | None:
        """Template and words; as options, letters."""
        words = {name: self.words[name] for name in PAIR_CLASSES}
        letters = {letter: letter for letter in LETTERS[: len(words)]}
        return LabelsConfig.model_validate({"template": self.template, "labels": letters if self.unified else words})


class SelectionFormat(SentencesFormat):
    """Which of several sentences goes on from this one? The right one follows it in its text (Gu et al., 2022)."""

    title = "selection"
    implementation = "formats.selection:selections"
    format: Literal["selection"]
    template: Text = Field(
        "{text}\nWhat comes next?\n{text_pair}\nAnswer:", description="as in a task file, with {text} and {text_pair}"
    )
    options: int = Field(3, ge=2, le=len(LETTERS), description="sentences to choose from")
    option_words: int = Field(
        8,
        ge=2,
        le=1000,
        description="longer options show their first words, and the text its last, twice as many: the model must see "
        "all options (`model.max_text_tokens`)",
    )

    @property
    def reading(self) -> LabelsConfig | None:
        """Template and letters."""
        letters = {letter: letter for letter in LETTERS[: self.options]}
        return LabelsConfig.model_validate({"template": self.template, "labels": letters})


class ClusterClassesFormat(TaskFormat):
    """Tasks whose classes are clusters, each with a word drawn for that task (CACTUs, Hsu et al., ICLR 2019; SUPMER).

    A word means something else in each task, so that it cannot be learned by heart.
    """

    title = "clusters as classes"
    implementation = "formats.cluster_classes:draw_cluster_tasks"
    makes_rows = False
    draws_words = True
    format: Literal["cluster_classes"]
    template: Text = Field("{text}\nTopic:", description="as in a task file")
    clustering: Text | Annotated[list[Text], Field(max_length=MOST_ENTRIES)] | None = Field(
        None, description="whose clusters are drawn, each task from one of them; the method's when absent"
    )
    n_tasks: int = Field(100, ge=1, le=10_000, description="tasks to draw")
    classes: tuple[ClassCount, ClassCount] = Field((2, 4), description="fewest and most classes of a task")
    words: Literal["random", "keywords"] = Field(
        "keywords",
        description="keywords: of the cluster, drawn anew for each task; random: common words of the texts",
    )
    min_per_class: int = Field(16, ge=2, le=1_000_000, description="texts a cluster needs to be a class")
    unified: bool = Field(
        False,
        description="each row asks which of the task's words, given as options A, B …, is right (Unified PPT); their "
        "order is drawn for each task",
    )

    @field_validator("classes", mode="before")
    @classmethod
    def _a_range(cls, classes: Any) -> Any:
        return (classes, classes) if isinstance(classes, int) and not isinstance(classes, bool) else classes

    @field_validator("classes")
    @classmethod
    def _in_order(cls, classes: tuple[int, int]) -> tuple[int, int]:
        if classes[0] > classes[1]:
            raise ValueError("give a number of classes, or the fewest and the most")
        return classes

    @field_validator("template")
    @classmethod
    def _holds_the_text(cls, template: str) -> str:
        if template.count("{text}") != 1 or "{text_pair}" in template:
            raise ValueError("the template must hold {text} exactly once, and no {text_pair}")
        return template

    @model_validator(mode="after")
    def _options_fit(self) -> ClusterClassesFormat:
        if self.unified and self.classes[1] > len(LETTERS):
            raise ValueError(f"`unified` goes with {len(LETTERS)} classes or fewer")
        return self

    def reading_of(self, words: Mapping[str, str]) -> LabelsConfig:
        r"""How a task with these words is read; with `unified` they stand below the text, and the answer is a letter.

        Args:
            words: The word of each class, in the drawn order of the task's classes.

        Example:
            >>> asked = ClusterClassesFormat(format="cluster_classes", unified=True)
            >>> reading = asked.reading_of({"cluster 7": "tea", "cluster 2": "snow"})
            >>> reading.template, [label.word for label in reading.labels.values()]
            ('{text}\nA. tea\nB. snow\nTopic:', ['A', 'B'])
        """
        if not self.unified:
            return LabelsConfig.model_validate({"template": self.template, "labels": dict(words)})
        letters = dict(zip(words, LETTERS, strict=False))
        # A brace would be read as a slot of the template.
        lines = [f"{letters[name]}. {word.translate(NO_BRACES)}" for name, word in words.items()]
        template = self.template.replace("{text}", "\n".join(["{text}", *lines]))
        return LabelsConfig.model_validate({"template": template, "labels": letters})

    @property
    def stand_in(self) -> LabelsConfig:
        """Its template with short words that stand for those which tasks draw, for checks and estimates."""
        return self.reading_of({"one": "a", "other": "the"})

    @property
    def clusterings(self) -> list[str]:
        """The clusterings that it names; none: the method's."""
        return [self.clustering] if isinstance(self.clustering, str) else list(self.clustering or [])


if TYPE_CHECKING:
    AnyFormat = TaskFormat
else:
    AnyFormat = one_of(TaskFormat, LabelsFormat, SentencePairFormat, SelectionFormat, ClusterClassesFormat)
