"""Runs a study: clusters first, then prompts and scores, so that there is soon something to look at."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial

import pandas as pd

from metapt_explore.errors import Cancelled, UserError, did_you_mean
from metapt_explore.progress.failed_part import FailedPart
from metapt_explore.results.cut_texts import write_cut_texts
from metapt_explore.stages.base import PARTS, Part, Stage
from metapt_explore.stages.clusters import Clusters
from metapt_explore.stages.prompt import Prompt
from metapt_explore.stages.registry import REQUESTS, UNTIL, Until, asked, needs_model
from metapt_explore.stages.split import Split
from metapt_explore.stages.texts import Texts
from metapt_explore.storage.artifact import Artifact
from metapt_explore.study.check import check_embeddings
from metapt_explore.study.failures import Failures, Named, PartFailed, stops_everything
from metapt_explore.study.language_fit import study_misfits
from metapt_explore.study.lost import repair_lost
from metapt_explore.study.overview import asked_scores, finished_scores
from metapt_explore.study.pipeline import StudyPipeline
from metapt_explore.study.preview import PLAN, Preview, plan_run
from metapt_explore.study.trackers import trackers_of

#: What is computed once for each initialisation seed.
SCORED: tuple[Part, ...] = ("prompts", "scores")


def check_until(until: str) -> Until:
    """Refuses a word that does not say how far a study is computed.

    Raises:
        UserError: Naming the words.
    """
    if until not in UNTIL:
        raise UserError(f"--until is {', '.join(UNTIL)}; '{until}' is none of them. {did_you_mean(until, UNTIL)}")
    return until


def run_all(study: StudyPipeline, init_seeds: Sequence[int], until: Until = "all") -> pd.DataFrame:
    """Makes all that is not there yet of some initialisation seeds, clusters first; returns the results table.

    A part that fails (a clustering that finds nothing, a task whose file is gone) does not stop the others:
    `study.failed` has it with its reason, and what needs it is left out.

    Raises:
        PartFailed: Where nothing of what was asked for could be computed.
        UserError: Where the study itself is wrong: found before anything is computed.
    """
    with_model = needs_model(check_until(until))
    folder = study.workspace.study_folder(study.config.name)
    study.trackers = trackers_of(study.config.name, folder / "trackers", lambda said: study.progress.notice(said))
    # What cannot be requested of this study is refused before anything is computed.
    if until in REQUESTS:
        list(REQUESTS[until].asked(study, init_seeds))
    study.progress.left_out = _is_anything_left(study) if until != "all" else False
    if with_model:
        study.check_settings()
    elif until != "texts":
        check_embeddings(study)
    study.save()
    plan_run(study, init_seeds, until)
    study.failures = failures = Failures(folder, lambda parts: _tell(study, parts))
    study.progress.tell_failed([])
    try:
        made = _make_parts(study, failures, init_seeds, until)
    finally:
        study.failed, study.failures = failures.parts, None
    if failures.parts and not made:
        raise PartFailed(failures.parts[0])
    return study.results()


def _tell(study: StudyPipeline, parts: list[FailedPart]) -> None:
    study.progress.leave_out(key for part in parts for key in (part.key, *part.needed_by))
    study.progress.tell_failed([part.as_dict() for part in parts])


def _make_each(study: StudyPipeline, failures: Failures, stages: Iterator[Stage] | Sequence[Stage]) -> int:
    """Makes stages; returns how many succeeded."""
    return sum(failures.attempt(stage, partial(study.make, stage)) is not None for stage in stages)


def _make_parts(study: StudyPipeline, failures: Failures, init_seeds: Sequence[int], until: Until) -> int:
    """Makes the parts; returns how many there are of the last kind that was asked for."""
    _make_each(study, failures, Split.asked(study, init_seeds))
    texts_stage = Texts(study)
    texts = failures.attempt(texts_stage, partial(study.make, texts_stage))
    if until == "texts":
        return texts is not None
    if needs_model(until):
        cut = study.cut_texts()
        write_cut_texts(study.workspace, study.config, cut)
        study.notice_cut_texts(cut)
    if texts is not None and (notice := study_misfits(study.config, texts.summary["report"].get("language"))):
        study.progress.notice(notice)
    study.make_ahead(Clusters.asked(study, init_seeds))
    clusterings = _make_each(study, failures, Clusters.asked(study, init_seeds))
    _make_tasks(study, failures)
    if until == "clusters":
        return clusterings
    if until in REQUESTS:
        study.make_ahead(REQUESTS[until].asked(study, init_seeds))
        return _make_each(study, failures, REQUESTS[until].asked(study, init_seeds))
    preview = _preview(study, failures, init_seeds, texts=texts, until=until)
    if until == PLAN:
        study.progress.finish(PLAN)
        return preview is not None
    made = _make_prompts_and_scores(study, failures, init_seeds, with_scores=until == "all")
    parts = SCORED if until == "all" else SCORED[:1]
    repair_lost(study, lambda: list(asked(study, init_seeds, parts)), failures)
    others = study.config.evaluation.init_seeds
    if until == "all":
        others = [seed for seed in others if seed not in init_seeds]
    study.progress.left_out = any(not stage.is_there for stage in _named(study, failures, others))
    if preview is not None:
        preview.settle()
    return made


def _make_tasks(study: StudyPipeline, failures: Failures) -> None:
    """Makes the auxiliary tasks of methods. Clusters that are too small are found before anything is pre-trained."""
    for prompt in Prompt.asked(study, study.config.evaluation.init_seeds[:1]):
        if prompt.is_pretrained:
            name = prompt.method.name
            failures.attempt(Named(f"tasks/{name}", f"tasks '{name}'"), partial(study.prepare, prompt))


def _preview(
    study: StudyPipeline, failures: Failures, init_seeds: Sequence[int], *, texts: Artifact | None, until: Until
) -> Preview | None:
    """The predicted cost of what is left; a prediction that fails stops nothing."""
    try:
        done = finished_keys(study) | failures.keys  # what has failed is not computed
        return Preview(study, done, init_seeds=init_seeds, texts=texts, until=until)
    except Cancelled:
        raise
    except Exception as error:
        if stops_everything(error):
            raise
        study.progress.notice(f"What the study costs could not be predicted: {error}")
        return None


def _make_prompts_and_scores(
    study: StudyPipeline, failures: Failures, init_seeds: Sequence[int], *, with_scores: bool
) -> int:
    """Makes prompts, and scores if asked for; returns how many of the latter (else former) are done."""
    # The study's list begins anew where a setting changed: what is finished is entered first, so that pages show it.
    finished = [stage for stage in _named(study, failures, study.config.evaluation.init_seeds) if stage.is_there]
    _make_each(study, failures, finished)
    study.make_ahead(
        stage
        for stage in asked(study, init_seeds, SCORED if with_scores else SCORED[:1])
        if stage.is_score or stage.part == "prompts"
    )
    made = 0
    for init_seed in init_seeds:
        prompts = _make_each(study, failures, asked(study, [init_seed], SCORED[:1]))
        scores = [stage for stage in asked(study, [init_seed], SCORED[1:]) if stage.is_score] if with_scores else []
        made += _make_each(study, failures, scores) if with_scores else prompts
    return made


def _named(study: StudyPipeline, failures: Failures, init_seeds: Collection[int]) -> Iterator[Stage]:
    """Prompts and scores whose inputs can be read; the others are noted as failed."""
    with study.remembering():
        for stage in asked(study, init_seeds, SCORED):
            wanted = stage.is_score or stage.part == "prompts"
            if wanted and failures.attempt(stage, partial(getattr, stage, "id")) is not None:
                yield stage


def _is_anything_left(study: StudyPipeline) -> bool:
    """Whether some score of the study is not there, by its list: a finished study that is asked for less stays so."""
    try:
        return finished_scores(study.workspace, study.config) < asked_scores(study.config)
    except UserError:
        return True  # The list is damaged; running is what restores it.


def finished_keys(study: StudyPipeline) -> set[str]:
    """Keys of finished stages that use the language model; computes nothing."""
    keys: set[str] = set()
    with study.remembering():
        for stage in asked(study, parts=PARTS):
            if stage.uses == "model" and _is_there(study, stage):
                keys.add(stage.key)
    return keys


def _is_there(study: StudyPipeline, stage: Stage) -> bool:
    if study.failures is None:
        return stage.is_there
    return bool(study.failures.attempt(stage, lambda: stage.is_there))
