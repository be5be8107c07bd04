"""What would fail late in a study, found early."""

from __future__ import annotations

from metapt_explore.config import AuxiliaryTasksConfig, LabelsConfig, TaskConfig
from metapt_explore.config.embeddings import FileEmbeddings, StaticEmbeddings, runs_encoder
from metapt_explore.config.task_formats import ClusterClassesFormat
from metapt_explore.errors import UserError
from metapt_explore.stages.base import Pipeline
from metapt_explore.stages.prompt_init import distinct_inits, find_init, prompt_width
from metapt_explore.stages.task_patterns import readings


def check_study(pipeline: Pipeline) -> None:
    """Checks models, templates, label words, starts and a classifier's rows; loads no weights.

    Raises:
        UserError: Naming what is wrong.
    """
    from metapt_explore.baselines.registry import check_baselines
    from metapt_explore.baselines.registry import check_files as check_baseline_files
    from metapt_explore.clusters.embed import check_encoder_files
    from metapt_explore.config.families import FAMILIES
    from metapt_explore.models.device import resolve_device
    from metapt_explore.models.load import check_files, layout_class
    from metapt_explore.models.model_checks import check_rows_fit
    from metapt_explore.texts.sources import source_fingerprint

    study, family = pipeline.config, pipeline.model.family
    check_baselines(study, family)
    model = study.model
    if not pipeline.model.runs_elsewhere:
        resolve_device(model.device)
    if runs_encoder(study) or not study.clusterings:
        check_encoder_files(study.encoder)
    check_embeddings(pipeline)
    check_baseline_files(study)
    files = check_files(model)
    layout = layout_class(family)(files.tokenizer, model, pipeline.model.placement)
    whole_vocabulary = study.verbalizer.decode == "whole_vocabulary"
    if not FAMILIES[family].has_vocabulary and any(
        study.reading_of(method).read == "automatic" for method in study.methods
    ):
        raise UserError(
            f"verbalizer.read is `automatic`, but the sentence encoder '{model.name}' has no words to choose from; "
            "describe the classes, or use `prototypes`."
        )
    settings = files.settings.get_text_config()
    added = max((method.added_vectors for method in study.methods), default=0)
    for where, labels in {
        **pretraining_readings(study.auxiliary_tasks),
        **{f"task {n}": t for n, t in pipeline.tasks.items()},
    }.items():
        pattern = layout.pattern(labels, where, whole_vocabulary=whole_vocabulary)
        own = labels.max_tokens if isinstance(labels, TaskConfig) else None
        layout.config = model if own is None else model.model_copy(update={"max_text_tokens": own})
        check_rows_fit(pattern, layout, settings, prompt_tokens=study.prompt.length + added, where=where)
    layout.config = model
    _check_demonstrations(pipeline)
    for method in study.methods:
        if method.topic_tasks is not None:
            # Its words are only known when there are clusters; those of the labels stand for them.
            asked = study.auxiliary_tasks.model_copy(update={"template": method.topic_tasks.template})
            where = f"method '{method.name}': topics"
            check_rows_fit(
                layout.pattern(asked, where, whole_vocabulary=False),
                layout,
                settings,
                prompt_tokens=study.prompt.length,
                where=where,
            )
    if study.labelling is not None and study.labelling.train is not None:
        source_fingerprint(study.labelling.train)
    for method in distinct_inits(study):
        stored = find_init(study, method, pipeline.workspace, model=pipeline.model.identity["model"]).stored
        if stored is not None:
            stored.check_fits(study.prompt.length, prompt_width(settings, pipeline.model.placement))
            stored.read()


def check_embeddings(pipeline: Pipeline) -> None:
    """Checks a file of the user's own vectors against the texts' source, or a static model's files.

    Raises:
        UserError: Naming the file or model, and what does not fit.
    """
    from metapt_explore.baselines.static_embeddings import check_package, static_folder
    from metapt_explore.clusters.own_vectors import check_vectors

    study = pipeline.config
    if isinstance(study.embeddings, FileEmbeddings) and study.clusterings:
        check_vectors(study.embeddings, study.texts)
    if isinstance(study.embeddings, StaticEmbeddings) and study.clusterings:
        check_package()
        static_folder(study.embeddings.model)


def _check_demonstrations(pipeline: Pipeline) -> None:
    """Refuses prompts with fewer vectors than a task has classes, where they begin from demonstrations.

    Behind the text they are told to be in the wrong place: a demonstration is read before what it is to explain.
    """
    asked = [each.name for each in pipeline.config.methods if each.from_demonstrations or each.added_vectors]
    if asked and pipeline.model.placement == "suffix":
        pipeline.progress.notice(
            f"{', '.join(asked)}: with `prompt.placement: suffix` demonstrations stand between the text and the "
            "template, where a model cannot use them; set `placement: prefix`."
        )
    for method in pipeline.config.methods:
        vectors = pipeline.config.prompt.length if method.from_demonstrations else method.added_vectors
        for name, task in pipeline.tasks.items():
            if 0 < vectors < len(task.labels):
                raise UserError(
                    f"method '{method.name}': demonstrations of the {len(task.labels)} classes of task '{name}' do not "
                    f"fit {vectors} vectors (prompt.length, or tuning.demonstrations); a few dozen hold an example of "
                    "each class."
                )


def pretraining_readings(auxiliary: AuxiliaryTasksConfig) -> dict[str, LabelsConfig]:
    """Template and words of each kind of auxiliary tasks, by its name in messages."""
    if not auxiliary.formats:
        return {"auxiliary_tasks": auxiliary}
    return {
        where: reading.stand_in if isinstance(reading, ClusterClassesFormat) else reading
        for where, reading, _ in readings(auxiliary)
    }
