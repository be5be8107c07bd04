"""Every key of a study file: where the dashboard asks for it, or why the file alone says it.

A new key fails here until it is in the form, or stands below with a reason: what is asked before a study is made, what
is asked afterwards, and what `Start, Edit, As YAML` is for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from metapt_explore.config import ClusteringConfig, MethodConfig, StudyConfig
from metapt_explore.config.pretraining import PretrainingConfig
from metapt_explore.dashboard.parts import method_form

PARTS = Path(method_form.__file__).parent


def under(section: str, names: str) -> str:
    return " ".join(f"{section}.{name}" for name in re.findall(r"\S+", names))


#: Key of a field of the form (or how it begins) to what it sets.
FORM = {
    "study_name_": "name",
    "new_seed": "seed",
    "new_model": "model.name",
    "new_max_text_tokens": "model.max_text_tokens",
    "new_encoder": "encoder.name",
    "new_embeddings": "embeddings.kind",
    "new_static_model": "embeddings.model",
    "new_vectors": "embeddings.file",
    "new_vectors_column_": "embeddings.column",
    "new_vectors_way_": "embeddings.id embeddings.text",
    "new_kind": "texts.file texts.starter texts.hub",
    "new_subset": "texts.subset",
    "new_split": "texts.split",
    "new_limit": "texts.limit",
    "new_algorithms_": "clusterings.name clusterings.algorithm methods.clustering",
    "new_clusters": "clusterings.n_clusters",
    "new_outliers": "clusterings.outliers",
    "new_min_cluster_size": "clusterings.min_cluster_size",
    "new_control": "clusterings.like",
    "new_template_": "auxiliary_tasks.template auxiliary_tasks.formats.template",
    "classes_": "auxiliary_tasks.labels.value auxiliary_tasks.labels.words",
    "new_formats": "auxiliary_tasks.formats.format labelling.by",
    "new_min_size": "auxiliary_tasks.min_size",
    "new_min_per_label": "auxiliary_tasks.min_per_label",
    "new_length": "prompt.length",
    "new_placement": "prompt.placement",
    "new_probe": "methods.verbalizer.read",
    "new_scale": "pretraining.steps evaluation.data_seeds evaluation.init_seeds evaluation.pairing evaluation.steps "
    "evaluation.learning_rates evaluation.halving_steps evaluation.batch_size evaluation.curve_steps "
    "evaluation.curve_rows evaluation.test_rows pretraining.meta_batch_size pretraining.support_size "
    "pretraining.query_size methods.name methods.kind",
    "new_baselines": "baselines.kind baselines.name",
    "_rival": "baselines.encoder baselines.model",
    "new_together": "baselines.of",
    "new_tasks": "evaluation.tasks",
    "new_all_rows": "evaluation.task_terms.task evaluation.task_terms.shots evaluation.task_terms.dev_share",
    "new_shots": "evaluation.shots evaluation.select_by evaluation.fixed_recipe.learning_rate "
    "evaluation.fixed_recipe.steps",
    "new_more_shots": "evaluation.more_shots",
    "new_metric": "evaluation.metric",
}
COLUMNS = "texts.columns.text texts.columns.text_pair texts.columns.label texts.columns.group"
#: What is asked on other pages, of a study that is there.
AFTERWARDS = {
    "Start, Edit, Study": "title",
    "Clusters, Edit": "clusterings.edits.merge clusterings.edits.split clusterings.edits.into "
    "clusterings.edits.exclude clusterings.edits.rename clusterings.edits.gather",
}
OF_SOURCE = "starter file hub subset split revision columns.text columns.text_pair columns.label columns.group"
#: Why the form does not ask; `Start, Edit, As YAML` sets all of it.
YAML = {
    "found out from the machine or the model's files; set where that goes wrong": "model.family model.sentinel "
    "model.dtype model.device model.device_map model.quantised model.pass_memory_gib model.rows_per_pass "
    "model.text_state_gib model.second_tier_gib model.cuda_graphs encoder.batch_size",
    "pins a version of something on the hub, for records": "model.revision encoder.revision texts.revision "
    "baselines.revision",
    "a second source of rows": under("labelling.train", OF_SOURCE)
    + " "
    + under("auxiliary_tasks.formats.texts", OF_SOURCE)
    + " auxiliary_tasks.formats.texts.limit auxiliary_tasks.formats.texts.balanced "
    "auxiliary_tasks.formats.texts.min_words auxiliary_tasks.formats.texts.labelled_only "
    "auxiliary_tasks.formats.texts.near_duplicate",
    "the quick look counts texts and tasks with the usual value": "texts.min_words texts.near_duplicate "
    "texts.balanced texts.labelled_only",
    "experiments with clusterings": "clusterings.fit_rows clusterings.min_samples clusterings.seed",
    "usual values suit nearly all texts": "encoder.max_tokens embeddings.dimensions embeddings.layer "
    "evaluation.task_terms.max_tokens",
    "how labels are found is first looked at, on the Clusters page": "labelling.which labelling.cutoff "
    "labelling.most_per_class labelling.calibration labelling.content_free",
    "sentence encoders as language models only": "auxiliary_tasks.labels.description",
    "a list of several kinds of tasks, each tuned by hand": "auxiliary_tasks.name auxiliary_tasks.weight "
    "auxiliary_tasks.classes auxiliary_tasks.n_tasks auxiliary_tasks.softness auxiliary_tasks.min_probability "
    + under(
        "auxiliary_tasks.formats",
        "labels.value labels.words labels.description name weight min_size min_per_label unified per_document "
        "min_words max_words shown_words words options option_words clustering n_tasks classes min_per_class",
    ),
    "a start out of another study or file": "prompt.init.kind prompt.init.text prompt.init.file prompt.init.tensor "
    "prompt.init.peft prompt.init.hub prompt.init.revision prompt.init.artifact methods.init.kind methods.init.text "
    "methods.init.file methods.init.tensor methods.init.peft methods.init.hub methods.init.revision "
    "methods.init.artifact",
    "experiments with how classes are read": "verbalizer.decode verbalizer.read verbalizer.calibration "
    "verbalizer.content_free verbalizer.automatic_words methods.verbalizer.decode methods.verbalizer.calibration "
    "methods.verbalizer.content_free methods.verbalizer.automatic_words",
    "experiments with pre-training; the form takes what was recorded to work": "pretraining.support_shots "
    "pretraining.inner_lr pretraining.inner_optimiser pretraining.outer_lr pretraining.budget "
    "pretraining.outer_schedule pretraining.warmup pretraining.average_last pretraining.checkpoint_every",
    "experiments with a method, for who knows its name": "methods.without methods.only methods.topics.clustering "
    "methods.topics.share methods.topics.template methods.topics.min_rows "
    + under(
        "methods.tuning",
        "learning_rates steps proximal select_by soup order_seed keep_rates adapted_only mixture temperature "
        "demonstrations",
    ),
    "usual values of a rival are its authors'": under(
        "baselines",
        "calibration shots_per_class max_prompt_tokens orders separator c_values head k_values shrinkages "
        "learning_rates pairs_per_text batch_size checkpoints epochs steps rank alpha targets scaled_layers "
        "feedforward_layers init_text prompt_tokens network network_width projection text_epsilon "
        "template_epsilon decay instructions rounds edits keep hypothesis max_tokens",
    ),
    "other ways to combine rows of the comparison": "baselines.by baselines.calibrated baselines.shrinkage",
    "controls and experiments with the comparison": "evaluation.proximal evaluation.scored_on "
    "evaluation.fixed_recipe.up_to evaluation.soup evaluation.shuffle_labels evaluation.margin agreement.rows "
    "agreement.draws",
}


def models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models(part)]


def keys(model: type[BaseModel], before: str = "", inside: tuple[type[BaseModel], ...] = ()) -> Iterator[str]:
    """Every key below a class of settings; what kinds share stands once."""
    for name, field in model.model_fields.items():
        inner = [each for each in models(field.annotation) if each not in inside]
        if not inner:
            yield before + name
        for each in inner:
            yield from keys(each, f"{before}{name}.", (*inside, model, each))


def asked_of_kinds() -> set[str]:
    """What the forms ask of a method or clustering that is there (`Start, Edit`) or comes to it (`Add a method`)."""
    asked = set()
    for part, shared in (("methods", MethodConfig), ("clusterings", ClusteringConfig)):
        for cls in shared.kinds.values():
            for name, field in cls.model_fields.items():
                # A field without a value has nothing to show, unless the study's own stands for it.
                has_value = field.default is not None or name in PretrainingConfig.model_fields
                is_shown = name not in method_form.APART and method_form._kind_of_value(field) and has_value
                if name in shared.told_by or is_shown:
                    asked.add(f"{part}.{name}")
    return asked


def test_every_key_is_asked_for_or_is_left_to_the_file_for_a_reason() -> None:
    every = set(keys(StudyConfig))
    listed = [key for group in (FORM, AFTERWARDS, YAML) for text in group.values() for key in text.split()]
    listed += COLUMNS.split()
    assert not [key for key in listed if listed.count(key) > 1], "said once"
    of_kinds = asked_of_kinds()
    assert not (missing := sorted(every - set(listed) - of_kinds)), f"ask for it, or say why not: {missing}"
    assert not (gone := sorted(set(listed) - every)), f"no such key any more: {gone}"
    assert not (both := sorted(of_kinds & {key for text in YAML.values() for key in text.split()})), both


def test_the_fields_are_in_the_form() -> None:
    source = "".join(file.read_text(encoding="utf-8") for file in PARTS.glob("new_*.py"))
    for name in FORM:
        assert name in source, name


def test_every_kind_is_offered_or_made_elsewhere(show: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    lines = "".join(f"a line of text number {row} on this,{'ab'[row % 2]}\n" for row in range(80))
    file.write_text("text,label\n" + lines, encoding="utf-8")
    at = show(tmp_path / "workspace", "texts")
    at.text_input(key="new_path").set_value(str(file)).run()
    assert not at.exception
    from metapt_explore.config.embeddings import EmbeddingsConfig

    assert at.selectbox(key="new_embeddings").options == [cls.title for cls in EmbeddingsConfig.kinds.values()]
    offered = at.multiselect(key="new_algorithms_None").options
    kinds = ClusteringConfig.kinds.items()
    assert {name for name, cls in kinds if cls.title not in offered} == {
        "edited",  # Clusters, Edit
        "random_groups",  # new_control
        "one_pool",  # what PPT learns on
        "known_groups",  # where there is a column of groups
    }
