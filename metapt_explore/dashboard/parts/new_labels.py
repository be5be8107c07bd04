"""What a new study's auxiliary tasks tell apart: classes and their words, or formats made of raw texts."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import streamlit as st
from pydantic import ValidationError

from metapt_explore.config import Columns, LabelsConfig, SourceConfig
from metapt_explore.config.task_formats import TaskFormat
from metapt_explore.dashboard.parts import messages
from metapt_explore.errors import UserError
from metapt_explore.texts.guess import can_be_said, guess_labels, guess_template
from metapt_explore.texts.rows import cell_text

MOST_CLASSES = 20
EXAMPLE_LETTERS = 60


@dataclass(frozen=True)
class Told:
    """What auxiliary tasks tell apart.

    Attributes:
        template: How a text is read.
        labels: Class name to the ``value`` in the data and the ``word`` that stands for it.
        labelled: Whether the texts have labels; else the language model finds them, unless there are formats.
        formats: Formats that are made of the raw texts, instead of labels.
    """

    template: str
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    labelled: bool = False
    formats: list[str] = field(default_factory=list)

    @property
    def config(self) -> LabelsConfig | None:
        """Template and classes; None where they do not go together yet."""
        try:
            return LabelsConfig.model_validate({"template": self.template, "labels": self.labels})
        except ValidationError:
            return None


def choose_told(table: dict[str, list[Any]], source: SourceConfig) -> Told:
    """Asks what auxiliary tasks tell apart, and how a text is read.

    Args:
        table: All columns of the source.
        source: The source, with its columns.
    """
    columns = source.columns
    single = columns.label is None and columns.text_pair is None  # formats are made of single texts
    formats = _formats() if single else []
    if formats:
        return Told("{text}\nSentiment:", formats=formats)
    labels, labelled = _labels(table, columns)
    guessed = guess_template(columns, labels) if labelled else "{text}\nSentiment:"
    template = st.text_area(
        "How a text is read ({text} is the text; the label word comes next)",
        guessed,
        key=f"new_template_{source.name}_{guessed}",  # another file, another guess
    )
    return Told(template, labels, labelled)


def _formats() -> list[str]:
    """Formats of tasks that are made of texts without labels; none where the model shall label them."""
    st.markdown("**The texts have no labels. What is learned from them?**")
    return st.multiselect(
        "Tasks made of the raw texts",
        [name for name, kind in TaskFormat.kinds.items() if name != "labels"],
        default=["cluster_classes"],
        format_func=lambda name: str(TaskFormat.kinds[name].title),
        key="new_formats",
        help="Clusters as classes: which cluster is a text from? Sentence pairs and selection need texts of several "
        "sentences. None chosen: the language model labels the texts, by words that you give it.",
    )


def _labels(table: dict[str, list[Any]], columns: Columns) -> tuple[dict[str, dict[str, str]], bool]:
    """Classes of the auxiliary tasks, and whether the texts have labels."""
    if columns.label is None:
        st.caption(
            "The texts have no labels, so the language model gives them some, by these words and without a prompt "
            "(`labelling: {by: zero_shot}`); the Clusters page then says how sure it was."
        )
        guessed = guess_labels(["negative", "positive"])
    else:
        guessed = guess_labels(table[columns.label], columns)
        st.caption("A class for each value of the label column; the word is what the model says for it. Correct both.")
    wanted = {label["value"].strip() for label in list(guessed.values())[:MOST_CLASSES]}
    examples = {} if columns.label is None else _examples(table, columns, wanted)
    frame = pd.DataFrame(
        [
            {
                "value in the data": label["value"],
                "class": name,
                "word": label["word"],
                **({"one of its texts": examples.get(label["value"].strip(), "")} if examples else {}),
            }
            for name, label in guessed.items()
        ]
    )
    edited = st.data_editor(
        frame.head(MOST_CLASSES),
        key=f"classes_{columns.label}",
        hide_index=True,
        num_rows="delete",
        disabled=["value in the data", "one of its texts"],
    )
    if len(frame) > MOST_CLASSES:
        st.warning(f"{len(frame)} different values: only the {MOST_CLASSES} commonest can be classes. Is it the label?")
    labels = labels_of(edited.to_dict(orient="records"))
    if unsaid := [label["word"] for label in labels.values() if not can_be_said(label["word"])]:
        st.warning(
            f"{', '.join(messages.plain(word) for word in unsaid)}: a number is no word that the model would say of a "
            "text. Write a word for each in the column *word*."
        )
    return labels, columns.label is not None


def _examples(table: dict[str, list[Any]], columns: Columns, wanted: set[str]) -> dict[str, str]:
    """Each wanted value of the label column to the beginning of its first text."""
    first_texts: dict[str, str] = {}
    for label, text in zip(table[columns.label or ""], table[columns.text], strict=True):
        if len(first_texts) == len(wanted):
            break
        value = "" if label is None else cell_text(label).strip()
        if value in wanted and value not in first_texts and text is not None:
            first_texts[value] = " ".join(str(text).split())[:EXAMPLE_LETTERS]
    return first_texts


def labels_of(rows: list[dict[Hashable, Any]]) -> dict[str, dict[str, str]]:
    """Classes out of the rows of the table; a row without a class is left out.

    Raises:
        UserError: Where two values have one class, or a class has no word.
    """
    labels: dict[str, dict[str, str]] = {}
    for row in rows:
        name = "" if pd.isna(row["class"]) else str(row["class"]).strip()
        word = "" if pd.isna(row["word"]) else str(row["word"]).strip()
        if not name:
            continue
        if name in labels:
            raise UserError(
                f"Two values have the class '{name}': a class stands for one value of the data. Give one of them "
                "another class, or join the values in the file."
            )
        if not word:
            raise UserError(f"The class '{name}' has no word for the model to say.")
        labels[name] = {"value": str(row["value in the data"]), "word": word}
    return labels
