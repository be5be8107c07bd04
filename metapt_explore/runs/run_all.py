"""Everything that a study asks for, in the order in which there is soonest something to see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from metapt_explore.runs.cells import cells, finished_cells
from metapt_explore.runs.preview import Preview
from metapt_explore.runs.topic_stage import check_topics

if TYPE_CHECKING:
    from metapt_explore.runs.study import Study


def run_all(study: Study, init_seeds: list[int]) -> pd.DataFrame:
    """Makes all that is not there yet of some initialisation seeds, clusters first; returns the results table."""
    study.check()
    for name in study.tasks:
        study.split(name)
    study.texts()
    for clustering in study.config.clusterings:
        study.clusters(clustering.name)
    for method in study.config.methods:
        if method.kind != "pt":
            tasks = study.tasks_of(method)
            if method.topics is not None:
                # Clusters that are too small are found before anything is pre-trained.
                check_topics(method, [study.clusters(name) for name in method.topics.clusterings], tasks)
    left_out = [seed for seed in study.config.evaluation.init_seeds if seed not in init_seeds]
    preview = Preview(study, finished_keys(study), init_seeds)
    for init_seed in init_seeds:
        for method in study.config.methods:
            study.prompt(method.name, init_seed)
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
    # The study's list begins anew where a setting changed: what is finished of other seeds is entered again.
    finished = {cell.key: cell for cell in finished_cells(study, left_out)}
    for cell in finished.values():
        cell.make()
    study.progress.left_out = any(cell.key not in finished for cell in cells(study, left_out))
    preview.settle()
    return study.results()


def finished_keys(study: Study) -> set[str]:
    """Keys of the stages with the language model that are there already; nothing is computed."""
    found = {cell.key for cell in finished_cells(study, study.config.evaluation.init_seeds)}
    labels = study.labels()  # Auxiliary tasks were made of them.
    if labels is not None and labels.status == "done":
        found.add(f"labels/{labels.summary['by']}")
    return found
