"""Everything that `metapt run` would stumble over and that can be known in seconds: for `metapt check` and `plan`.

The texts and the few-shot rows are read for real, into a scratch folder, so that whatever the run would say of them is
said here. No model is loaded and nothing is written into the workspace.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from metapt_explore.config import ClusteringConfig, CountedClustering, HdbscanClustering, StudyConfig
from metapt_explore.errors import UserError
from metapt_explore.models.text_lengths import CutShare
from metapt_explore.progress.state import Progress
from metapt_explore.stages.auxiliary_tasks import Tasks
from metapt_explore.stages.clusters import Clusters
from metapt_explore.stages.split import Split
from metapt_explore.stages.texts import Texts, held_out_rows
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.workspace import Workspace, scratch
from metapt_explore.study.failures import Failures, format_failed
from metapt_explore.study.first_look import clusters_sentences
from metapt_explore.study.language_fit import study_misfits

if TYPE_CHECKING:
    from metapt_explore.study.study import Study
    from metapt_explore.texts.scan_cost import ScanCost

#: Seconds of reading texts up to which a look before a run reads them.
LONGEST_LOOK_S = 180.0


@dataclass(frozen=True)
class Findings:
    """What was found before anything is computed.

    Attributes:
        refused: Why the study would not start at all; empty where it would.
        parts: A sentence for each part that would fail; the rest would be computed.
        notices: What a user should know and that stops nothing.
        texts: The pre-training texts that were read; None where that failed. Valid as long as `looking` lasts.
        splits: The few-shot rows of tasks that were read; as long.
        cut: How many texts are cut at `model.max_text_tokens`.
        unread: What reading the texts will cost, where that takes too long for a look; None where they were read.
    """

    refused: str
    parts: list[str]
    notices: list[str]
    texts: Artifact | None
    splits: dict[str, Artifact]
    cut: list[CutShare]
    unread: ScanCost | None = None

    @property
    def problems(self) -> list[str]:
        """All that would stop something."""
        return [self.refused, *self.parts] if self.refused else self.parts


@contextmanager
def looking(config: StudyConfig, workspace: Workspace, progress: Progress | None = None) -> Iterator[Findings]:
    """Reads texts and tasks of a study and says what is wrong with them.

    Args:
        config: The study.
        workspace: Where finished parts of it may lie; nothing is written there.
        progress: Told what is being read.

    Raises:
        UserError: Where a task file cannot be read, which leaves no study to look at.
    """
    from metapt_explore.study.study import Study

    with scratch(workspace) as aside:
        study = Study(config, aside, progress)
        refused = ""
        try:
            study.check_settings()
        except UserError as error:
            refused = str(error)
        # Stages behave as in a run: what they say here is what the run would say.
        study.failures = failures = Failures(aside.study_folder(config.name))
        for split in Split.asked(study, ()):
            failures.attempt(split, partial(study.make, split))
        unread = _too_long(study)
        texts = failures.attempt(Texts(study), study.texts) if unread is None else None
        if texts is not None:
            _look_at_tasks(study, failures)
            for clustering in config.clusterings:
                problem = too_few(clustering, texts)
                if problem:
                    failures.add(Clusters(study, clustering.name), UserError(problem))
            if not failures.parts:
                for sentence in clusters_sentences(config, texts):
                    study.progress.notice(sentence)
        cut = [] if refused else study.cut_texts()
        study.notice_cut_texts(cut)
        if texts is not None and (notice := study_misfits(config, texts.summary["report"].get("language"))):
            study.progress.notice(notice)
        parts = format_failed(part.as_dict() for part in failures.parts)
        yield Findings(refused, parts, list(study.progress.state.notices), texts, study.finished_splits(), cut, unread)


def _too_long(study: Study) -> ScanCost | None:
    """What reading the texts costs, where that takes longer than a look should; None where they are read now.

    Of a large file it is said what reading it takes. Of one that is not read, its number of rows is all that is known.
    """
    from metapt_explore.texts.scan_cost import format_scan, is_large, scan_cost

    stage = Texts(study)
    try:
        if not is_large(study.config.texts):
            return None
        held_out = held_out_rows({name: split.artifact for name, split in stage.splits.items()})
        cost = scan_cost(study.config.texts, list(held_out["text"]))
    except UserError:  # reading the texts says the same
        return None
    if cost is None:
        return None
    said = format_scan(cost, study.config.texts.name)
    if cost.seconds > LONGEST_LOOK_S:
        study.progress.notice(f"{said} They are not read now: their number is all that is known of them.")
        return cost
    study.progress.notice(said)
    return None


def _look_at_tasks(study: Study, failures: Failures) -> None:
    """One pool of all labelled texts: where it makes no auxiliary task, no clustering of them does."""
    config = study.config
    of_labels = config.auxiliary_tasks.classes == "labels" and not config.auxiliary_tasks.formats
    if config.pretrains and config.labelling is None and of_labels:
        failures.attempt(Tasks(study, ()), partial(study.auxiliary_tasks, None))


def too_few(clustering: ClusteringConfig, texts: Artifact) -> str:
    """Why a clustering cannot work on so many texts; empty if it can.

    The algorithms refuse the same, after the texts have been embedded.
    """
    rows = int(texts.summary["kept"])
    name = f"Clustering '{clustering.name}'"
    if isinstance(clustering, CountedClustering) and clustering.n_clusters > rows:
        return f"{name}: {rows} texts cannot make {clustering.n_clusters} clusters. Lower n_clusters or use more texts."
    if isinstance(clustering, HdbscanClustering) and clustering.min_cluster_size > rows:
        return (
            f"{name}: {rows} texts hold no cluster of {clustering.min_cluster_size} rows. Lower min_cluster_size or "
            "use more texts."
        )
    if clustering.needs_groups and not texts.table("texts")["group"].notna().any():
        return (
            f"{name}: {clustering.algorithm} needs the group of each text; `texts.columns.group` must name its column."
        )
    return ""
