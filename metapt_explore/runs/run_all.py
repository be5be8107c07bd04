"""Everything that a study asks for, in the order in which there is soonest something to see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import pandas as pd

from metapt_explore.errors import UserError
from metapt_explore.runs.cells import cells, finished_cells
from metapt_explore.runs.lost import mend_lost
from metapt_explore.runs.preview import Preview
from metapt_explore.runs.score_counts import asked_scores, finished_scores
from metapt_explore.runs.topic_stage import check_topics
from metapt_explore.runs.work import MODEL_STAGES, estimate

if TYPE_CHECKING:
    from metapt_explore.runs.study import Study


#: How far a study is computed: its texts; clusters and tasks; how stable clusters are; the cost of the rest; whether
#: the gradients of its tasks agree; what its finished prompts look like; prompts; or all of it.
Until = Literal["texts", "clusters", "stability", "plan", "agreement", "lens", "prompts", "all"]
UNTIL = get_args(Until)
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
    """Makes all that is not there yet of some initialisation seeds, clusters first; returns the results table."""
    needs_model = until not in ("texts", "clusters", "stability")
    if until == "agreement":
        study.check_agreement()
    works = estimate(study.config, study.tasks, study.placement if needs_model else None)
    study.progress.plan({key: work for key, work in works.items() if not key.startswith(LEFT_OUT[until])})
    study.progress.left_out = _anything_left(study) if until != "all" else False
    if needs_model:
        study.check()
    for name in study.tasks:
        study.split(name)
    study.texts()
    if until == "texts":
        return study.results()
    _clusters_and_tasks(study)
    if until == "stability":
        for clustering in study.config.clusterings:
            if clustering.algorithm != "edited":
                study.stability(clustering.name)
    if until == "agreement":
        study.agreement()
    if until == "lens":
        study.lens()
    if until in ("clusters", "stability", "agreement", "lens"):
        return study.results()
    left_out = [seed for seed in study.config.evaluation.init_seeds if seed not in init_seeds]
    preview = Preview(study, finished_keys(study), init_seeds) if until != "prompts" else None
    if until == "plan":
        return study.results()
    # The study's list begins anew where a setting changed: what is finished is entered first, so that pages show it.
    for cell in finished_cells(study, study.config.evaluation.init_seeds):
        cell.make()
    for init_seed in init_seeds:
        for method in study.config.methods:
            study.prompt(method.name, init_seed)
        if until != "prompts":
            _scores(study, init_seed)
    mend_lost(study, init_seeds, scores=until != "prompts")
    others = left_out if until == "all" else study.config.evaluation.init_seeds
    finished = {cell.key for cell in finished_cells(study, others)}
    study.progress.left_out = any(cell.key not in finished for cell in cells(study, others))
    if preview is not None:
        preview.settle()
    return study.results()


def _anything_left(study: Study) -> bool:
    """Whether some score of the study is not there, by its list: a finished study that is asked for less stays so."""
    try:
        return finished_scores(study.workspace, study.config) < asked_scores(study.config)
    except UserError:
        return True  # The list is damaged; running is what mends it.


def _clusters_and_tasks(study: Study) -> None:
    for clustering in study.config.clusterings:
        study.clusters(clustering.name)
    for method in study.config.methods:
        if method.kind != "pt":
            tasks = study.tasks_of(method)
            if method.topics is not None:
                # Clusters that are too small are found before anything is pre-trained.
                check_topics(method, [study.clusters(name) for name in method.topics.clusterings], tasks)


def _scores(study: Study, init_seed: int) -> None:
    for task in study.tasks:
        for method in study.config.methods:
            study.fewshot(method.name, task, init_seed)
    for shots in study.config.evaluation.more_shots:
        for task in study.tasks:
            for method in study.config.methods:
                study.fewshot(method.name, task, init_seed, shots)
    for baseline in study.config.baselines:
        for task in study.tasks:
            study.baseline(baseline.name, task, init_seed)


def finished_keys(study: Study) -> set[str]:
    """Keys of the stages with the language model that are there already; nothing is computed."""
    found = {cell.key for cell in finished_cells(study, study.config.evaluation.init_seeds)}
    found |= study.finished_parts()
    # Auxiliary tasks were made of them, where there are any.
    labels = study.labels() if study.config.pretrains else None
    if labels is not None and labels.status == "done":
        found.add(f"labels/{labels.summary['by']}")
    return found
