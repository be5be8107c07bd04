"""Where rows come from, how they are read, and what a downstream task is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from metapt_explore.config.limits import LONGEST_TEXT, MOST_CLASSES, MOST_SEARCHED, Count
from metapt_explore.config.names import Name, Text


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _a_truth_value_is_no_number(cls, value: Any, about: ValidationInfo) -> Any:
        # Else `steps: true` would be one step.
        parts = value if isinstance(value, list) else [value]
        if any(isinstance(part, bool) for part in parts) and about.field_name in cls.model_fields:
            kinds = set(_kinds(cls.model_fields[about.field_name].annotation))
            if kinds & {int, float} and bool not in kinds:
                raise ValueError(
                    f"a number is expected, found {str(next(p for p in parts if p in (True, False))).lower()}"
                )
        return value


def _kinds(annotation: Any) -> Iterator[Any]:
    """The plain types that an annotation is made of."""
    yield annotation
    for part in get_args(annotation):
        yield from _kinds(part)


# ---------------------------------------------------------------------------------------- sources


class Columns(Strict):
    """Which column of a source holds what."""

    text: Text = Field("text", description="the text")
    text_pair: Text | None = Field(None, description="the second text of a pair (premise and hypothesis …)")
    label: Text | None = Field(None, description="its class")
    group: Text | None = Field(None, description="a known group (a department, a source)")

    @model_serializer(mode="wrap")
    def _single_texts_have_no_pair(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Ids of artifacts made before there were pairs stay the same.
        data: dict[str, Any] = serialise(self)
        if data.get("text_pair") is None:
            data.pop("text_pair", None)
        return data


class SourceConfig(Strict):
    """Where rows come from: exactly one of a starter set, a file and a hub data set."""

    starter: Text | None = Field(None, description="name of a starter set, see `metapt starters`")
    file: Text | None = Field(None, description="CSV, TSV, JSON, JSONL, Parquet or Excel file")
    hub: Text | None = Field(None, description="data set name for datasets.load_dataset")
    subset: Text | None = Field(None, description="configuration name of a hub data set")
    split: Text = Field("train", description="split of a hub data set")
    revision: Text | None = Field(None, description="commit or tag of a hub data set")
    columns: Columns = Field(Columns(), description="which column is what")

    @model_validator(mode="after")
    def _exactly_one(self) -> SourceConfig:
        given = [key for key in ("starter", "file", "hub") if getattr(self, key) is not None]
        if len(given) != 1:
            named = " and ".join(given) or "none of them"
            raise ValueError(f"give exactly one of starter, file and hub (found {named})")
        return self

    @property
    def name(self) -> str:
        """What the source is called in messages and reports."""
        return self.starter or self.file or self.hub or ""

    @property
    def place(self) -> tuple[str | None, ...]:
        """Where its rows lie, whatever their columns are called: sources of one place have the same rows.

        Example:
            >>> of_file = {"file": "a.csv", "split": "test"}
            >>> SourceConfig(**of_file).place == SourceConfig(file="a.csv", columns={"label": "class"}).place
            True
        """
        of_hub = (self.hub, self.subset, self.split, self.revision)
        return of_hub if self.hub is not None else (self.starter, self.file)


class Label(Strict):
    """One class: the value it has in the data, and the words or the description that stand for it."""

    value: str = Field(
        max_length=LONGEST_TEXT, description="what the label column says; the class's own name when absent"
    )
    words: list[Text] = Field(
        [],
        max_length=MOST_SEARCHED,
        description="label words (`word` for a single one); a class is as likely as its words on average",
    )
    description: Text | None = Field(None, description="what a text of the class is, for sentence encoders")

    @model_validator(mode="before")
    @classmethod
    def _one_word(cls, entry: Any) -> Any:
        if isinstance(entry, dict) and "word" in entry:
            if "words" in entry:
                raise ValueError("give `word` or `words`, not both")
            entry = {**{key: value for key, value in entry.items() if key != "word"}, "words": [entry["word"]]}
        return entry

    @field_validator("value", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int | float | bool) else value

    @field_validator("words")
    @classmethod
    def _written(cls, words: list[str]) -> list[str]:
        if any(not word.strip() for word in words):
            raise ValueError("a label word is blank")
        return words

    @property
    def word(self) -> str:
        """The first label word; the description of a class that has none."""
        return self.words[0] if self.words else self.description or ""


class LabelsConfig(Strict):
    """A template and the classes read from it (the verbalizer).

    The template holds ``{text}`` once, ``{text_pair}`` for the second text of a pair, and ``{mask}`` where the answer
    stands, if that is not the end. `labels` maps a class name to its label word, or to ``{value: ..., word: ...}``
    where the data call the class by another value; ``words: [..., ...]`` gives a class several. Words are written
    without a leading space. Sentence encoders compare texts with each class's ``description`` (else its words).
    """

    template: Text = Field("{text}\nSentiment:", description="how a text is read; the label word comes next")
    labels: dict[str, Label] = Field(
        max_length=MOST_CLASSES, description="class name to its label word, words or settings"
    )

    @field_validator("labels", mode="before")
    @classmethod
    def _short_form(cls, labels: Any) -> Any:
        if not isinstance(labels, dict):
            return labels
        full = {}
        for name, entry in labels.items():
            if isinstance(entry, str):
                entry = {"value": str(name), "words": [entry]}
            elif isinstance(entry, list):
                entry = {"value": str(name), "words": entry}
            elif isinstance(entry, dict):
                entry = {"value": str(name), **entry}
            full[str(name)] = entry
        return full

    @model_validator(mode="after")
    def _check(self) -> LabelsConfig:
        if self.template.count("{text}") != 1:
            raise ValueError("the template must hold {text} exactly once")
        for slot in ("{text_pair}", "{mask}"):
            if self.template.count(slot) > 1:
                raise ValueError(f"the template may hold {slot} once")
        if len(self.labels) < 2 and not self._may_lack_labels:
            raise ValueError("at least two labels are needed")
        for attribute in ("value", "word"):
            seen: dict[str, str] = {}
            for name, label in self.labels.items():
                for entry in [label.value] if attribute == "value" else label.words:
                    if entry in seen:
                        raise ValueError(f"labels '{seen[entry]}' and '{name}' have the same {attribute} '{entry}'")
                    seen[entry] = name
        for name, label in self.labels.items():
            if not label.words and label.description is None:
                raise ValueError(f"label '{name}' has neither a label word nor a description")
        return self

    @property
    def _may_lack_labels(self) -> bool:
        return False

    @property
    def pairs(self) -> bool:
        """Whether the template puts two texts together."""
        return "{text_pair}" in self.template


def check_pairs(labels: LabelsConfig, source: SourceConfig) -> None:
    """Refuses a template and a source where only one of them has second texts."""
    if labels.pairs and source.columns.text_pair is None:
        raise ValueError(
            f"the template holds {{text_pair}}, but columns.text_pair of {source.name} does not say where it is"
        )
    if source.columns.text_pair is not None and not labels.pairs:
        raise ValueError(
            f"columns.text_pair of {source.name} names a second text, but the template has no {{text_pair}} for it"
        )


# ------------------------------------------------------------------------------------ task files


#: Stands for the folder of the user's own data, `$METAPT_DATA`, at the beginning of a file's name.
DATA_FOLDER = "{data}"
UNNAMED = "'{file}' lies in the data folder: set METAPT_DATA to the folder that holds it"


def in_data_folder(file: str | None) -> bool:
    """Whether a file's name begins with ``{data}`` still: no data folder was named."""
    return file is not None and file.startswith(DATA_FOLDER)


class PublishedSplits(Strict):
    """Splits that exist as files; `{seed}` in a file name stands for the data seed."""

    train: SourceConfig = Field(description="what prompts are tuned on")
    dev: SourceConfig = Field(description="what chooses learning rate and step")
    test: SourceConfig = Field(description="what is scored")


class HubSplits(PublishedSplits):
    """The same task's splits on the hub, for users without the files.

    Where train and dev are one source, each data seed draws both from it without repeating a row.
    """

    values: dict[str, Text] = Field(
        {}, max_length=MOST_CLASSES, description="class: its value in the hub's label column, where that is another"
    )


class TaskConfig(LabelsConfig):
    """A downstream task: one YAML file, no Python.

    Either `data` (train, dev and test are sampled from it) or `splits` (published splits). Splits whose files begin
    with ``{data}`` lie in the folder that ``$METAPT_DATA`` names; where it names none, `hub` is read instead.
    """

    name: Name = Field(description="what tables call it")
    title: Text = Field("", description="what it is, in some words")
    sentiment: bool = Field(False, description="shares its label space with the pre-training text")
    data: SourceConfig | None = Field(None, description="one source, from which train, dev and test are drawn")
    splits: PublishedSplits | None = Field(None, description="or published splits")
    hub: HubSplits | None = Field(None, description="read instead of splits in {data} where no such folder is named")
    source_note: Text = Field("", description="licence and citation of the data")
    instead_of: Text | None = Field(
        None, exclude=True, description="set when read: the file that the hub stands in for"
    )
    shots: Count | Literal["all"] | None = Field(
        None, exclude=True, description="set by the study (`evaluation.tasks`): its own number of examples per class"
    )
    dev_share: float | None = Field(None, gt=0, lt=1, exclude=True, description="likewise")
    max_tokens: Count | None = Field(None, exclude=True, description="likewise: tokens of a text that the model reads")

    @model_validator(mode="after")
    def _one_kind_of_data(self) -> TaskConfig:
        if (self.data is None) == (self.splits is None):
            raise ValueError("give either data or splits")
        for source in self.sources:
            check_pairs(self, source)
        if self.hub is not None:
            if self.splits is None:
                raise ValueError("`hub` stands in for `splits`, of which there are none")
            for name in self.hub.values:
                if name not in self.labels:
                    raise ValueError(f"hub.values: no class '{name}' among {', '.join(self.labels)}")
        return self

    @property
    def located(self) -> TaskConfig:
        """The task with the source that is there: splits in the data folder, else the hub's.

        Raises:
            ValueError: Where the files lie in a data folder that is not named, and the hub has none.
        """
        if self.splits is None or not any(in_data_folder(source.file) for source in self.sources):
            return self.model_copy(update={"hub": None})
        if self.hub is None:
            raise ValueError(UNNAMED.format(file=self.splits.test.file))
        labels = {
            name: label.model_copy(update={"value": self.hub.values.get(name, label.value)})
            for name, label in self.labels.items()
        }
        splits = PublishedSplits(train=self.hub.train, dev=self.hub.dev, test=self.hub.test)
        given = {"splits": splits, "labels": labels, "hub": None, "instead_of": self.splits.test.file}
        return self.model_copy(update=given)

    @property
    def sources(self) -> list[SourceConfig]:
        """Every source the task reads."""
        if self.data is not None:
            return [self.data]
        assert self.splits is not None
        return [self.splits.train, self.splits.dev, self.splits.test]
