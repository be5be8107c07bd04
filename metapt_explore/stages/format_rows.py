"""Rows that formats of auxiliary tasks make of the pre-training texts, behind the texts themselves."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from metapt_explore.auxiliary_tasks.formats.from_texts import sentence_rows
from metapt_explore.auxiliary_tasks.formats.unified import with_options
from metapt_explore.config import TextsConfig
from metapt_explore.config.label_values import check_values, class_of_values
from metapt_explore.config.task_formats import (
    LabelsFormat,
    SentencesFormat,
    TaskFormat,
)
from metapt_explore.errors import UserError
from metapt_explore.stages.base import Pipeline, Stage
from metapt_explore.stages.labels import Labels
from metapt_explore.stages.steps import Listed
from metapt_explore.stages.texts import Texts, counted, held_out_rows
from metapt_explore.storage.artifact import Artifact, ArtifactWriter
from metapt_explore.storage.studies import Subject
from metapt_explore.texts.normalise import normalise

#: Columns of the table; `document` is the text that a row was made of, -1 where it is of a set of its own.
COLUMNS = ["source_row", "text", "text_pair", "label", "group", "document", "format"]


@dataclass(frozen=True, eq=False)
class SourceTexts(Texts):
    """A labelled set of its own, without whatever a dev or test row of the study repeats.

    Attributes:
        source: Its entry among the formats.
    """

    listed = "source texts"

    source: LabelsFormat

    @classmethod
    def asked(cls, pipeline: Pipeline, init_seeds: Collection[int]) -> Iterator[SourceTexts]:
        """One for each set, where something is pre-trained on it."""
        if pipeline.config.pretrains:
            for each in pipeline.config.auxiliary_tasks.formats:
                if isinstance(each, LabelsFormat) and each.texts is not None:
                    yield cls(pipeline, each)

    @property
    def settings(self) -> TextsConfig:
        """Which texts."""
        assert self.source.texts is not None
        return self.source.texts

    @property
    def key(self) -> str:
        """See `Stage.key`."""
        return f"texts/{self.source.called}"

    @property
    def title(self) -> str:
        """See `Stage.title`."""
        return f"texts of the auxiliary tasks '{self.source.called}'"

    def subject(self) -> Subject:
        """Its name."""
        return {"clustering": self.source.called}

    def check(self) -> None:
        """Refuses a downstream task's own data.

        Raises:
            UserError: Naming the task.
        """
        own = _place(self.settings)
        for name, task in self.pipeline.tasks.items():
            if own in [_place(source) for source in task.sources]:
                raise UserError(
                    f"auxiliary_tasks '{self.source.called}': its texts are the data of the downstream task '{name}', "
                    "whose labels few-shot tuning must not have seen. Leave one of them out."
                )

    @classmethod
    def step(cls, listed: Listed) -> None:
        """See `Stage.step`; the step of texts stands for all."""


def _place(source: Any) -> tuple[Any, ...]:
    return source.starter, source.file, source.hub, source.subset


@dataclass(frozen=True, eq=False)
class FormatRows(Stage):
    """The pre-training texts as they are, and behind them the rows that formats make."""

    kind = "format_rows"
    part = "clusters"
    key = "format_rows"
    title = "rows of the formats of auxiliary tasks"

    @classmethod
    def asked(cls, pipeline: Pipeline, init_seeds: Collection[int]) -> Iterator[FormatRows]:
        """Where a study lists formats and something is pre-trained on them."""
        if pipeline.config.auxiliary_tasks.formats and pipeline.config.pretrains:
            yield cls(pipeline)

    @property
    def _formats(self) -> list[TaskFormat]:
        return [each for each in self.study.auxiliary_tasks.formats if each.makes_rows]

    @cached_property
    def parents(self) -> Mapping[str, Stage | Artifact]:
        """The texts, sets of their own, labels that were found; and the rows that no made row may repeat."""
        texts = Texts(self.pipeline)
        parents: dict[str, Stage | Artifact] = {"texts": texts, **texts.parents}
        for texts_of_its_own in SourceTexts.asked(self.pipeline, ()):
            parents[f"texts of {texts_of_its_own.source.called}"] = texts_of_its_own
        if self.study.labelling is not None:
            parents["labels"] = Labels(self.pipeline)
        return parents

    def config(self) -> dict[str, Any]:
        """What makes rows; templates and weights change none."""
        made = [
            each.model_dump(mode="json", exclude={"texts", "template", "weight", "min_size", "min_per_label"})
            for each in self._formats
        ]
        return {
            "formats": [{**each, "name": fmt.called} for each, fmt in zip(made, self._formats, strict=True)],
            "seed": self.study.seed,
            # Room for options: nothing else depends on how much a model reads.
            **({"room": self._room} if any(getattr(each, "unified", False) for each in self._formats) else {}),
        }

    @property
    def _room(self) -> int:
        return self.study.model.max_text_tokens

    def compute(self, out: ArtifactWriter) -> None:
        """Makes the rows of each format."""
        documents = self.parent("texts").table("texts")
        documents = documents.assign(document=range(len(documents)), format="")
        held_out = self._held_out()
        parts, told = [documents], {}
        for each in self._formats:
            rows = self._rows_of(each, documents).reindex(columns=COLUMNS)
            repeats = rows["text"].map(normalise).isin(held_out)
            repeats |= rows["text_pair"].fillna("").astype(str).map(normalise).isin(held_out)
            told[each.called] = {"rows": int((~repeats).sum()), "repeat_dev_or_test": int(repeats.sum())}
            parts.append(rows[~repeats].assign(format=each.called))
            self.advance(0)
        table = pd.concat([part.reindex(columns=COLUMNS) for part in parts], ignore_index=True)
        out.write_table("texts", table)
        out.write_summary({"kept": len(table), "texts": len(documents), "formats": told})

    def _held_out(self) -> set[str]:
        """Dev and test rows, normalised, that are long enough to be known again."""
        splits = {role: self.parent(role) for role in self.parents if role.startswith("split of ")}
        return {normalise(text) for text in held_out_rows(splits)["text"]} - {""}

    def _rows_of(self, each: TaskFormat, documents: pd.DataFrame) -> pd.DataFrame:
        if isinstance(each, SentencesFormat):
            rows = self._of_sentences(each, documents)
        else:
            assert isinstance(each, LabelsFormat)
            rows = self._of_labels(each, documents)
        if not len(rows):
            raise UserError(f"auxiliary_tasks '{each.called}': no row can be made of the texts: {_why(each)}.")
        return rows

    def _of_sentences(self, each: SentencesFormat, documents: pd.DataFrame) -> pd.DataFrame:
        made = sentence_rows(each, list(documents["text"]), room=self._room, seed=self.study.seed)
        of_document = documents.iloc[made["document"]]
        return made.assign(source_row=of_document["source_row"].to_numpy(), group=of_document["group"].to_numpy())

    def _of_labels(self, each: LabelsFormat, documents: pd.DataFrame) -> pd.DataFrame:
        """Rows of a set of its own, or the texts again as a choice among options."""
        if each.texts is not None:
            table = self.parent(f"texts of {each.called}").table("texts").assign(document=-1)
            check_values(each.labels, _values(table), each.texts.name, key=f"auxiliary_tasks '{each.called}': labels")
        else:
            table = documents.copy()
        found = self.maybe_parent("labels") if each.texts is None else None
        if found is not None:
            known = found.table("labels")["class"].tolist()
            table["label"] = [name if name in each.labels else None for name in known]
        else:
            by_value = class_of_values(each.labels, _values(table))
            table["label"] = [by_value.get(value) if isinstance(value, str) else None for value in table["label"]]
        table = table[table["label"].notna()]
        if not each.unified:
            return table
        words = {name: label.word for name, label in each.labels.items()}
        options = with_options(table.reset_index(drop=True), words, room=self._room, seed=self.study.seed)
        return options.assign(**{key: table[key].to_numpy() for key in ("source_row", "group", "document")})

    @classmethod
    def describe(cls, summary: Mapping[str, Any], config: Mapping[str, Any]) -> str:
        """See `Stage.describe`."""
        made = ", ".join(f"{facts['rows']:,} {name}" for name, facts in summary.get("formats", {}).items())
        return f"{counted(summary.get('texts'), 'text')}; made of them: {made or 'none'}"


def _values(table: pd.DataFrame) -> list[str]:
    return [value for value in table["label"] if isinstance(value, str)]


def _why(each: TaskFormat) -> str:
    if isinstance(each, SentencesFormat):
        return (
            f"texts of several sentences of {each.min_words} words or more are needed; lower min_words, use longer "
            "texts, or leave the entry out"
        )
    return "no text has one of its labels"


def rows_stage(pipeline: Pipeline) -> Stage:
    """What the rows of auxiliary tasks count in: the texts, or the rows that formats made of them."""
    return FormatRows(pipeline) if pipeline.config.auxiliary_tasks.formats else Texts(pipeline)
