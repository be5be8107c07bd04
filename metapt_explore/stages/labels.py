"""Labels of the pre-training texts: found by the language model or a classifier, or the data's own."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from metapt_explore.config import LabellingConfig, StudyConfig
from metapt_explore.config.label_values import check_values, class_of_values, words_key
from metapt_explore.cost.count import ENCODER_SHARE, Reckoning, Work
from metapt_explore.errors import UserError
from metapt_explore.stages.base import Needs, Pipeline, Stage
from metapt_explore.stages.embeddings import Embeddings
from metapt_explore.stages.texts import Texts, held_out_rows
from metapt_explore.storage.artifact import Artifact, ArtifactWriter
from metapt_explore.storage.checkpoint import RowsCheckpoint
from metapt_explore.storage.vectors import read_vectors_of
from metapt_explore.texts.labelling import LEAKED, agreement, classifier_rows, classify, confident_labels
from metapt_explore.texts.rows import TextInput, as_inputs, duplicate_key, written_out

if TYPE_CHECKING:
    from metapt_explore.models.backbone import Backbone

#: Texts between two reports of progress.
CHUNK = 64


def row_classes(study: StudyConfig, texts: Artifact, labels: Artifact | None) -> list[str | None]:
    """Class name of each pre-training text, None for an unlabelled one: as found, or by the data's own labels."""
    if labels is not None:
        return [name if isinstance(name, str) else None for name in labels.table("labels")["class"]]
    values = [value if isinstance(value, str) else None for value in texts.table("texts")["label"]]
    by_value = class_of_values(study.auxiliary_tasks.labels, filter(None, values))
    return [by_value.get(value or "") for value in values]


def labelled_classes(study: StudyConfig, texts: Artifact, found_labels: Artifact | None) -> list[str | None]:
    """Class of each text, None where it has none.

    Raises:
        UserError: Where no text has one, or a class has no text at all, saying why.
    """
    rows = texts.table("texts")
    classes = row_classes(study, texts, found_labels)
    if found_labels is not None and not any(classes):
        raise UserError("labelling: no text is confident enough to keep its label; lower labelling.cutoff.")
    if found_labels is None and rows["label"].isna().all():
        raise UserError(
            f"{study.texts.name}: no pre-training text has a label; name the label column in texts.columns.label, "
            "or let labels be found (`labelling: {by: zero_shot}`)."
        )
    if not any(classes):
        listed = sorted({str(value) for value in rows["label"].dropna()})[:8]
        values = [label.value for label in study.auxiliary_tasks.labels.values()]
        raise UserError(
            f"{study.texts.name}: no label of the texts ({', '.join(listed)}) is among auxiliary_tasks.labels "
            f"({', '.join(values)})."
        )
    if found_labels is None:
        # Without rows of every class no cluster could become a task, whatever is clustered.
        check_values(
            study.auxiliary_tasks.labels,
            texts.summary["report"]["labels"],
            study.texts.name,
            key="auxiliary_tasks.labels",
        )
    return classes


@dataclass(frozen=True, eq=False)
class Labels(Stage):
    """Labels for the unlabelled texts, or for all, if `labelling` is set."""

    kind = "labels"
    version = 2
    needs = "model"
    part = "clusters"
    title = "labels of the pre-training texts"

    @classmethod
    def asked(cls, pipeline: Pipeline, init_seeds: Collection[int]) -> Iterator[Labels]:
        """Where texts are labelled and something is pre-trained on them."""
        if pipeline.config.labelling is not None and pipeline.config.pretrains:
            yield cls(pipeline)

    @property
    def labelling(self) -> LabellingConfig:
        """How labels are found."""
        assert self.study.labelling is not None
        return self.study.labelling

    @property
    def uses(self) -> Needs:
        """The language model where it labels, else the sentence encoder."""
        return "model" if self.labelling.by == "zero_shot" else "encoder"

    @property
    def key(self) -> str:
        """See `Stage.key`."""
        return f"labels/{self.labelling.by}"

    @cached_property
    def parents(self) -> Mapping[str, Stage | Artifact]:
        """The texts; for a classifier their embeddings, and the rows that it must not learn from."""
        texts = Texts(self.pipeline)
        if self.labelling.by == "zero_shot":
            return {"texts": texts}
        return {"texts": texts, "embeddings": Embeddings(self.pipeline, by_encoder=True), **texts.parents}

    def config(self) -> dict[str, Any]:
        """How labels are found, and which."""
        labelling, auxiliary = self.labelling, self.study.auxiliary_tasks
        labels = {name: label.value for name, label in auxiliary.labels.items()}
        if labelling.by == "zero_shot":
            asked = labelling.model_dump(mode="json", exclude={"train"})
            return {**asked, "labels": labels, "template": auxiliary.template, "words": words_key(auxiliary)}
        assert labelling.train is not None
        return {
            **labelling.model_dump(mode="json", exclude={"train", "calibration", "content_free"}),
            "labels": labels,
            "columns": labelling.train.columns.model_dump(mode="json"),
            "near_duplicate": self.study.texts.near_duplicate,
        }

    def inputs(self) -> dict[str, Any]:
        """The language model, or the rows that a classifier learns from."""
        from metapt_explore.texts.sources import source_fingerprint

        if self.labelling.train is None:
            return super().inputs()
        return {"train": source_fingerprint(self.labelling.train)}

    @property
    def units(self) -> int:
        """Texts."""
        return int(self.parent("texts").summary["kept"])

    def compute(self, out: ArtifactWriter) -> None:
        """Labels the texts."""
        labelling, texts = self.labelling, self.parent("texts")
        names = list(self.study.auxiliary_tasks.labels)
        rows = texts.table("texts")
        given = row_classes(self.study, texts, None)
        # A text that the data call something else (neutral, say) is known not to be of these classes.
        other = [name is None and labelled for name, labelled in zip(given, rows["label"].notna(), strict=True)]
        todo = [row for row, known in enumerate(rows["label"].notna()) if labelling.which == "all" or not known]
        summary: dict[str, Any] = {"by": labelling.by, "asked": len(todo), "compared": labelling.which == "all"}
        trained_on: set[str] = set()
        chosen = rows.iloc[todo]
        if not todo:
            probabilities = np.zeros((0, len(names)))
        elif labelling.by == "zero_shot":
            probabilities = self.zero_shot(as_inputs(chosen), self.backbone(), RowsCheckpoint(out))
        else:
            learned = self._classifier(todo)
            probabilities, trained_on = learned.probabilities, learned.trained_on
            summary |= {"held_out_accuracy": learned.accuracy, "train": learned.report}
        labels = confident_labels(probabilities, names, labelling)
        classes: list[str | None] = list(given) if labelling.which == "unlabelled" else [None] * len(rows)
        confidence = np.full(len(rows), np.nan)
        source: list[str | None] = ["data" if name else None for name in classes]
        for number, row in enumerate(todo):
            confidence[row] = labels.confidence[number]
            if labels.kept[number]:
                classes[row], source[row] = labels.classes[number], labelling.by
        out.write_table(
            "labels",
            pd.DataFrame({"row": range(len(rows)), "class": classes, "confidence": confidence, "source": source}),
        )
        summary["classes"] = {
            name: {
                "of_the_data": sum(1 for c, s in zip(classes, source, strict=True) if c == name and s == "data"),
                "found": labels.classes.count(name),
                "kept": sum(1 for c, kept in zip(labels.classes, labels.kept, strict=True) if kept and c == name),
            }
            for name in names
        }
        seen = [duplicate_key(text) in trained_on for text in as_inputs(chosen)]
        if trained_on:
            summary["train"]["also_asked"] = sum(seen)
        # What a classifier says of its own training rows is no measure of it.
        truth = [None if known else given[row] for row, known in zip(todo, seen, strict=True)]
        summary["agreement"] = agreement(labels, truth)
        summary["other_labels"] = {
            "rows": sum(other),
            "kept": sum(other[row] and kept for row, kept in zip(todo, labels.kept.tolist(), strict=True)),
        }
        out.write_summary(summary)

    def zero_shot(self, texts: list[TextInput], backbone: Backbone, checkpoint: RowsCheckpoint) -> np.ndarray:
        """Probabilities of the classes by the language model without a prompt, `[rows, classes]`."""
        import torch

        from metapt_explore.models.scoring import calibrated, zero_shot

        labelling, auxiliary = self.labelling, self.study.auxiliary_tasks
        pattern = backbone.pattern(auxiliary, "auxiliary_tasks")
        restored = checkpoint.restore()
        parts = [] if restored is None else [restored]
        for first in range(sum(map(len, parts)), len(texts), CHUNK):
            try:
                self.advance(first)
                parts.append(zero_shot(backbone, texts[first : first + CHUNK], pattern))
            except BaseException:
                if parts:
                    checkpoint.save(torch.cat(parts))
                raise
            checkpoint.save_if_due(lambda: torch.cat(parts))
        scores = torch.cat(parts)
        if labelling.calibration == "batch_mean":
            scores = calibrated(scores, scores)
        elif labelling.calibration == "content_free":
            nothing: list[TextInput] = list(labelling.content_free)
            if auxiliary.pairs:
                nothing = [(text, text) for text in labelling.content_free]
            scores = calibrated(scores, zero_shot(backbone, nothing, pattern))
        return scores.softmax(-1).double().numpy()

    def _classifier(self, todo: list[int]) -> Learned:
        """A classifier's probabilities for these texts."""
        from metapt_explore.clusters.embed import embed
        from metapt_explore.texts.sources import load_source

        labelling, labels = self.labelling, self.study.auxiliary_tasks.labels
        assert labelling.train is not None
        vectors = read_vectors_of(self.parent("embeddings"))[np.array(todo, dtype=np.int64)]
        held_out = list(held_out_rows({n: split.artifact for n, split in Texts(self.pipeline).splits.items()})["text"])
        frame = load_source(labelling.train).to_pandas()
        # Another data set may call classes by their names, where the study's own texts have numbers for them.
        known = {name: name for name in labels}
        known |= {label.value: name for name, label in labels.items()}
        known |= class_of_values(labels, filter(None, frame["label"]))
        written = as_inputs(frame)
        names = [known.get(value) if isinstance(value, str) else None for value in frame["label"]]
        if not any(names):
            listed = ", ".join(sorted({str(value) for value in frame["label"].dropna()})[:8]) or "none"
            raise UserError(
                f"labelling.train: no label of {labelling.train.name} ({listed}) is a class of auxiliary_tasks.labels "
                f"by name or value ({', '.join(known)})."
            )
        chosen = classifier_rows(written, names, held_out, near_duplicate=self.study.texts.near_duplicate)
        usable = [written[row] for row in chosen.kept]
        classes = [name for row in chosen.kept if (name := names[row]) is not None]
        where = labelling.train.name
        if leaked := chosen.dropped.get(LEAKED):
            where += f" (without {leaked} that equal or nearly equal a dev or test row)"
        train = np.zeros((0, vectors.shape[1]), np.float32)
        if usable:
            # Its rows are not the texts that are counted: the stage's bar stands still, and a cancel is still seen.
            device = self.pipeline.model.device
            train = embed(written_out(usable), self.study.encoder, device, on_rows=lambda rows: self.advance(0))
        probabilities, accuracy = classify(train, classes, vectors, list(labels), where)
        report = {"rows": len(usable), "dropped": chosen.dropped}
        return Learned(probabilities, accuracy, {duplicate_key(text) for text in usable}, report)

    def work(self, reckoning: Reckoning) -> Work:
        """See `Stage.work`; a classifier's is next to nothing."""
        if self.labelling.by == "classifier":
            return Work()
        texts = reckoning.texts
        counted = texts.rows is not None and self.labelling.which == "unlabelled"
        rows = texts.unlabelled if counted else reckoning.text_rows
        return Work(scored=rows, encoded=reckoning.encoded(self.key, rows))

    def share(self, reckoning: Reckoning) -> float:
        """See `Stage.share`; a classifier embeds rows of its own."""
        if self.labelling.by == "classifier":
            return ENCODER_SHARE * reckoning.text_rows * reckoning.text_tokens
        return super().share(reckoning)


@dataclass(frozen=True)
class Learned:
    """What a classifier says.

    Attributes:
        probabilities: Of the classes, `[rows, classes]`.
        accuracy: On held-out labelled rows.
        trained_on: Keys (`duplicate_key`) of what it was trained on.
        report: Counts of these rows.
    """

    probabilities: np.ndarray
    accuracy: float
    trained_on: set[str]
    report: dict[str, Any]
