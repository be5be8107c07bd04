"""Labels of the pre-training texts as a stage: found by the language model or a classifier, or the data's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from metapt_explore.config import LabellingConfig, StudyConfig
from metapt_explore.config.label_values import class_of_values
from metapt_explore.errors import UserError
from metapt_explore.models.backbone import Backbone
from metapt_explore.stages.texts import OnUnits, Recipe, held_out_rows
from metapt_explore.storage.artifact import Artifact, ArtifactWriter, Question
from metapt_explore.storage.checkpoint import RowsCheckpoint
from metapt_explore.texts.labelling import LEAKED, agreement, classifier_rows, classify, confident_labels
from metapt_explore.texts.rows import TextInput, as_inputs, duplicate_key, written_out
from metapt_explore.verbalizers.pattern import words_key

#: Texts between two reports of progress.
CHUNK = 64


def row_classes(study: StudyConfig, texts: Artifact, labels: Artifact | None) -> list[str | None]:
    """Class name of each pre-training text, None for an unlabelled one: as found, or by the data's own labels."""
    if labels is not None:
        return [name if isinstance(name, str) else None for name in labels.table("labels")["class"]]
    values = [value if isinstance(value, str) else None for value in texts.table("texts")["label"]]
    by_value = class_of_values(study.auxiliary_tasks.labels, filter(None, values))
    return [by_value.get(value or "") for value in values]


def labels_recipe(
    study: StudyConfig,
    labelling: LabellingConfig,
    texts: Artifact,
    embeddings: Artifact | None,
    splits: dict[str, Artifact],
    model: dict[str, Any],
    backbone: Callable[[], Backbone],
    device: str,
    on_units: OnUnits,
) -> Recipe:
    """Labels for the texts that have none, or for all.

    Args:
        study: The study.
        labelling: How.
        texts: The pre-training texts.
        embeddings: Their embeddings (classifier).
        splits: Few-shot splits of every task; the classifier learns from none of their dev and test rows.
        model: What the language model's answers depend on (zero-shot).
        backbone: Loads the language model.
        device: Where the sentence encoder runs.
        on_units: Called with the number of texts done.
    """
    auxiliary = study.auxiliary_tasks
    zero_shot = embeddings is None
    left_out = {"train"} if zero_shot else {"train", "calibration", "content_free"}
    config: dict[str, Any] = {
        **labelling.model_dump(mode="json", exclude=left_out),
        "labels": {name: label.value for name, label in auxiliary.labels.items()},
    }
    parents = {"texts": texts.id}
    inputs: dict[str, Any] = {}
    if embeddings is None:
        config |= {"template": auxiliary.template, "words": words_key(auxiliary)}
        inputs = dict(model)
    else:
        from metapt_explore.texts.sources import source_fingerprint

        assert labelling.train is not None
        config |= {
            "columns": labelling.train.columns.model_dump(mode="json"),
            "near_duplicate": study.texts.near_duplicate,
        }
        parents["embeddings"] = embeddings.id
        parents |= {f"split of {name}": split.id for name, split in sorted(splits.items())}
        inputs = {"train": source_fingerprint(labelling.train)}
    stage = Question("labels", "labels of the pre-training texts", 2, config, parents, inputs)

    def compute(out: ArtifactWriter) -> None:
        rows = texts.table("texts")
        given = row_classes(study, texts, None)
        # A text that the data call something else (neutral, say) is known not to be of these classes.
        other = [name is None and labelled for name, labelled in zip(given, rows["label"].notna(), strict=True)]
        todo = [row for row, known in enumerate(rows["label"].notna()) if labelling.which == "all" or not known]
        summary: dict[str, Any] = {"by": labelling.by, "asked": len(todo), "compared": labelling.which == "all"}
        trained_on: set[str] = set()
        chosen = rows.iloc[todo]
        if not todo:
            probabilities = np.zeros((0, len(auxiliary.labels)))
        elif embeddings is None:
            probabilities = _zero_shot(study, labelling, as_inputs(chosen), backbone(), on_units, RowsCheckpoint(out))
        else:
            vectors = embeddings.tensors("embeddings")["embeddings"].numpy()[todo]
            held_out = list(held_out_rows(splits)["text"])
            learned = _classifier(study, labelling, vectors, held_out, device, on_units)
            probabilities, summary["held_out_accuracy"], trained_on, summary["train"] = learned
        names = list(auxiliary.labels)
        found = confident_labels(probabilities, names, labelling)
        classes: list[str | None] = list(given) if labelling.which == "unlabelled" else [None] * len(rows)
        confidence = np.full(len(rows), np.nan)
        source: list[str | None] = ["data" if name else None for name in classes]
        for place, row in enumerate(todo):
            confidence[row] = found.confidence[place]
            if found.kept[place]:
                classes[row], source[row] = found.classes[place], labelling.by
        out.write_table(
            "labels",
            pd.DataFrame({"row": range(len(rows)), "class": classes, "confidence": confidence, "source": source}),
        )
        summary["classes"] = {
            name: {
                "of_the_data": sum(1 for c, s in zip(classes, source, strict=True) if c == name and s == "data"),
                "found": found.classes.count(name),
                "kept": sum(1 for c, kept in zip(found.classes, found.kept, strict=True) if kept and c == name),
            }
            for name in names
        }
        seen = [duplicate_key(text) in trained_on for text in as_inputs(chosen)]
        if trained_on:
            summary["train"]["also_asked"] = sum(seen)
        # What a classifier says of its own training rows is no measure of it.
        truth = [None if known else given[row] for row, known in zip(todo, seen, strict=True)]
        summary["agreement"] = agreement(found, truth)
        summary["other_labels"] = {
            "rows": sum(other),
            "kept": sum(other[row] and kept for row, kept in zip(todo, found.kept.tolist(), strict=True)),
        }
        out.write_summary(summary)

    return stage, compute


def _zero_shot(
    study: StudyConfig,
    labelling: LabellingConfig,
    texts: list[TextInput],
    backbone: Backbone,
    on_units: OnUnits,
    kept: RowsCheckpoint,
) -> np.ndarray:
    """Probabilities of the classes by the language model without a prompt, `[rows, classes]`."""
    import torch

    from metapt_explore.models.scoring import calibrated, zero_shot

    pattern = backbone.pattern(study.auxiliary_tasks, "auxiliary_tasks")
    found = kept.restore()
    parts = [] if found is None else [found]
    for first in range(sum(map(len, parts)), len(texts), CHUNK):
        try:
            on_units(first)
            parts.append(zero_shot(backbone, texts[first : first + CHUNK], pattern))
        except BaseException:
            if parts:
                kept.save(torch.cat(parts))
            raise
        kept.save_if_due(lambda: torch.cat(parts))
    scores = torch.cat(parts)
    if labelling.calibration == "batch_mean":
        scores = calibrated(scores, scores)
    elif labelling.calibration == "content_free":
        nothing: list[TextInput] = list(labelling.content_free)
        if study.auxiliary_tasks.pairs:
            nothing = [(text, text) for text in labelling.content_free]
        scores = calibrated(scores, zero_shot(backbone, nothing, pattern))
    return scores.softmax(-1).double().numpy()


def _classifier(
    study: StudyConfig,
    labelling: LabellingConfig,
    vectors: np.ndarray,
    held_out: list[str],
    device: str,
    on_units: OnUnits,
) -> tuple[np.ndarray, float, set[str], dict[str, Any]]:
    """The same by a classifier.

    Returns:
        The probabilities, the accuracy on held-out labelled rows, the keys (`duplicate_key`) of what it was trained on,
        and a report of these rows.
    """
    from metapt_explore.clusters.embed import embed
    from metapt_explore.texts.sources import load_source

    assert labelling.train is not None
    frame = load_source(labelling.train).to_pandas()
    # Another data set may call classes by their names, where the study's own texts have numbers for them.
    known = {name: name for name in study.auxiliary_tasks.labels}
    known |= {label.value: name for name, label in study.auxiliary_tasks.labels.items()}
    known |= class_of_values(study.auxiliary_tasks.labels, filter(None, frame["label"]))
    written = as_inputs(frame)
    names = [known.get(value) if isinstance(value, str) else None for value in frame["label"]]
    if not any(names):
        found = ", ".join(sorted({str(value) for value in frame["label"].dropna()})[:8]) or "none"
        raise UserError(
            f"labelling.train: no label of {labelling.train.name} ({found}) is a class of auxiliary_tasks.labels "
            f"by name or value ({', '.join(known)})."
        )
    chosen = classifier_rows(written, names, held_out, near_duplicate=study.texts.near_duplicate)
    usable = [written[row] for row in chosen.kept]
    classes = [name for row in chosen.kept if (name := names[row]) is not None]
    where = labelling.train.name
    if leaked := chosen.dropped.get(LEAKED):
        where += f" (without {leaked} that equal or nearly equal a dev or test row)"
    train = np.zeros((0, vectors.shape[1]), np.float32)
    if usable:
        # Its rows are not the texts that are counted: the stage's bar stands still, and a cancel is still seen.
        train = embed(written_out(usable), study.encoder, device, lambda rows: on_units(0))
    probabilities, accuracy = classify(train, classes, vectors, list(study.auxiliary_tasks.labels), where)
    report = {"rows": len(usable), "dropped": chosen.dropped}
    return probabilities, accuracy, {duplicate_key(text) for text in usable}, report
