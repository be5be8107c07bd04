"""Whether the labels of the pre-training texts are those that a study asks for, before anything is computed."""

from __future__ import annotations

from metapt_explore.config import StudyConfig
from metapt_explore.config.label_values import check_values, unmatched
from metapt_explore.runs.artifact import Artifact


def check_text_labels(study: StudyConfig, texts: Artifact | None = None) -> None:
    """Refuses a class of the auxiliary tasks of which no pre-training text is.

    Without its rows no cluster could become a task, whatever is clustered. Texts whose labels are still to be found,
    and tasks that tell clusters apart, need none.

    Args:
        study: The study.
        texts: The texts, where they are read already; else the source is read.

    Raises:
        UserError: Naming the class, its value and the labels that the texts have.
    """
    auxiliary = study.auxiliary_tasks
    if not study.pretrains or study.labelling is not None or auxiliary.classes == "clusters":
        return
    report = texts.summary.get("report", {}) if texts is not None else {}
    found = list(report.get("labels") or {})
    if not found or unmatched(auxiliary.labels, found):
        # Also where a report's list may be short of some: the source decides.
        from metapt_explore.texts.sources import load_source

        found = [value for value in load_source(study.texts)["label"] if value is not None]
    # Where no text has a label at all, the stage says how labels are found.
    if found:
        check_values(auxiliary.labels, found, study.texts.name, "auxiliary_tasks.labels")
