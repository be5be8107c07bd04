"""Everything that a study asks for, in the order in which there is soonest something to see."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal, get_args

import pandas as pd

from metapt_explore.config import EditedClustering, MethodConfig
from metapt_explore.cost.baselines import baseline_key
from metapt_explore.errors import Cancelled, UserError
from metapt_explore.progress.failed_part import FailedPart
from metapt_explore.progress.work import MODEL_STAGES, estimate
from metapt_explore.stages.topics import check_topics
from metapt_explore.storage.artifact import Artifact
from metapt_explore.study.cells import cells, fewshot_key, finished_cells, prompt_key
from metapt_explore.study.cut_texts import write_cut_texts
from metapt_explore.study.failures import Failures, PartFailed, stops_everything
from metapt_explore.study.lost import repair_lost
from metapt_explore.study.preview import Preview
from metapt_explore.study.score_counts import asked_scores, finished_scores

if TYPE_CHECKING:
    from metapt_explore.study.study import Study


#: How far a study is computed: its texts; clusters and tasks; how stable clusters are; the cost of the rest; whether
#: the gradients of its tasks agree; what its finished prompts look like; prompts; or all of it.
Until = Literal["texts", "clusters", "stability", "plan", "agreement", "lens", "prompts", "all"]
UNTIL = get_args(Until)
#: What needs no language model.
WITHOUT_MODEL = ("texts", "clusters", "stability")
#: Keys of the stages that each of them leaves out.
LEFT_OUT: dict[str, tuple[str, ...]] = {
    "texts": ("embeddings", "labels/", "clusters/", *MODEL_STAGES, "baseline/"),
    "clusters": (*MODEL_STAGES, "baseline/"),
    "stability": (*MODEL_STAGES, "baseline/"),
    "plan": (*MODEL_STAGES, "baseline/"),
    "agreement": (*MODEL_STAGES, "baseline/"),
    "lens": (*MODEL_STAGES, "baseline/"),
    "prompts": ("views/", "tuning/", "fewshot/", "baseline/"),
    "all": (),
}


def run_all(study: Study, init_seeds: list[int], until: Until = "all") -> pd.DataFrame:
    """Makes all that is not there yet of some initialisation seeds, clusters first; returns the results table.

    A part that fails (a clustering that finds nothing, a task whose file is gone) does not stop the others:
    `study.failed` has it with its reason, and what needs it is left out.

    Raises:
        PartFailed: Where nothing of what was asked for could be computed.
        UserError: Where the study itself is wrong: found before anything is computed.
    """
    needs_model = until not in WITHOUT_MODEL
    if until == "agreement":
        study.check_agreement()
    works = estimate(study.config, study.tasks, study.placement if needs_model else None)
    study.progress.plan({key: work for key, work in works.items() if not key.startswith(LEFT_OUT[until])})
    study.progress.left_out = _anything_left(study) if until != "all" else False
    if needs_model:
        study.check_settings()
    study.save()
    folder = study.workspace.study_folder(study.config.name)
    study.failures = failures = Failures(folder, lambda parts: _tell(study, parts))
    study.progress.tell_failed([])
    try:
        made = _make_parts(study, failures, init_seeds, until)
    finally:
        study.failed, study.failures = failures.parts, None
    if failures.parts and not made:
        raise PartFailed(failures.parts[0])
    return study.results()


def _tell(study: Study, parts: list[FailedPart]) -> None:
    study.progress.leave_out(key for part in parts for key in (part.key, *part.needed_by))
    study.progress.tell_failed([part.as_dict() for part in parts])


def _make_parts(study: Study, failures: Failures, init_seeds: list[int], until: Until) -> int:
    """Makes the parts; returns how many there are of the last kind that was asked for."""
    for name in study.tasks:
        failures.attempt(f"split/{name}", partial(study.split, name))
    texts = failures.attempt("texts", study.texts)
    if until == "texts":
        return texts is not None
    if until not in WITHOUT_MODEL:
        cut = study.cut_texts()
        write_cut_texts(study.workspace, study.config, cut)
        study.notice_cut_texts(cut)
    clusterings = _clusters_and_tasks(study, failures)
    if until == "clusters":
        return clusterings
    if until == "stability":
        grouped = [
            clustering.name for clustering in study.config.clusterings if not isinstance(clustering, EditedClustering)
        ]
        return sum(failures.attempt(f"stability/{n}", partial(study.stability, n)) is not None for n in grouped)
    if until == "agreement":
        return failures.attempt("agreement", study.agreement) is not None
    if until == "lens":
        return failures.attempt("lens", study.lens) is not None
    left_out = [seed for seed in study.config.evaluation.init_seeds if seed not in init_seeds]
    preview = _preview(study, failures, init_seeds, texts) if until != "prompts" else None
    if until == "plan":
        return preview is not None
    made = _prompts_and_scores(study, failures, init_seeds, until)
    repair_lost(study, init_seeds, until != "prompts", failures.keys, failures.attempt)
    others = left_out if until == "all" else study.config.evaluation.init_seeds
    finished = {cell.key for cell in finished_cells(study, others)}
    study.progress.left_out = any(cell.key not in finished for cell in cells(study, others))
    if preview is not None:
        preview.settle()
    return made


def _preview(study: Study, failures: Failures, init_seeds: list[int], texts: Artifact | None) -> Preview | None:
    """The predicted cost of what is left; a prediction that fails stops nothing."""
    try:
        done = finished_keys(study) | failures.keys  # what has failed is not computed
        return Preview(study, done, init_seeds, texts)
    except Cancelled:
        raise
    except Exception as error:
        if stops_everything(error):
            raise
        study.progress.notice(f"What the study costs could not be predicted: {error}")
        return None


def _prompts_and_scores(study: Study, failures: Failures, init_seeds: list[int], until: Until) -> int:
    """Makes prompts, and scores where they are asked for; returns how many of the last are there."""
    # The study's list begins anew where a setting changed: what is finished is entered first, so that pages show it.
    for cell in finished_cells(study, study.config.evaluation.init_seeds):
        failures.attempt(cell.key, cell.make)
    prompts = scores = 0
    for init_seed in init_seeds:
        for method in study.config.methods:
            key = prompt_key(method.name, init_seed)
            prompts += failures.attempt(key, partial(study.prompt, method.name, init_seed)) is not None
        if until != "prompts":
            scores += _scores(study, failures, init_seed)
    return prompts if until == "prompts" else scores


def _anything_left(study: Study) -> bool:
    """Whether some score of the study is not there, by its list: a finished study that is asked for less stays so."""
    try:
        return finished_scores(study.workspace, study.config) < asked_scores(study.config)
    except UserError:
        return True  # The list is damaged; running is what repairs it.


def _clusters_and_tasks(study: Study, failures: Failures) -> int:
    """Makes clusterings and the auxiliary tasks of methods; returns how many clusterings there are."""
    made = 0
    for clustering in study.config.clusterings:
        made += failures.attempt(f"clusters/{clustering.name}", partial(study.clusters, clustering.name)) is not None
    for method in study.config.methods:
        if method.kind != "pt":
            failures.attempt(f"tasks/{method.name}", partial(_tasks_of, study, method))
    return made


def _tasks_of(study: Study, method: MethodConfig) -> Artifact:
    """The auxiliary tasks of a method. Clusters that are too small are found before anything is pre-trained."""
    tasks = study.tasks_of(method)
    if method.topics is not None:
        check_topics(method, [study.clusters(name) for name in method.topics.clusterings], tasks)
    return tasks


def _scores(study: Study, failures: Failures, init_seed: int) -> int:
    """Makes the scores of an initialisation seed; returns how many are there."""
    made = 0
    for shots in (None, *study.config.evaluation.more_shots):
        for task in study.tasks:
            for method in study.config.methods:
                key = fewshot_key(method.name, task, init_seed, shots)
                score = partial(study.fewshot, method.name, task, init_seed, shots)
                made += failures.attempt(key, score) is not None
    for baseline in study.config.baselines:
        for task in study.tasks:
            key = baseline_key(baseline, task, init_seed if baseline.seeded else None)
            made += failures.attempt(key, partial(study.baseline, baseline.name, task, init_seed)) is not None
    return made


def finished_keys(study: Study) -> set[str]:
    """Keys of the stages with the language model that are there already; nothing is computed."""
    found = {cell.key for cell in finished_cells(study, study.config.evaluation.init_seeds)}
    found |= study.finished_parts()
    # Auxiliary tasks were made of them, where there are any.
    labels = None
    if study.config.pretrains:
        labels = study.failures.attempt("labels", study.labels) if study.failures else study.labels()
    if labels is not None and labels.status == "done":
        found.add(f"labels/{labels.summary['by']}")
    return found
