"""The study behind `PromptPretrainer`: texts, clusters, auxiliary tasks and one pre-trained prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from metapt_explore.config import MethodConfig
from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.estimators.classes import Reading
from metapt_explore.estimators.engine import Bench, as_lines, check_words, columns, merged, task_file
from metapt_explore.estimators.rows import Rows
from metapt_explore.estimators.tuning import model_settings
from metapt_explore.study.check import pretraining_readings
from metapt_explore.study.study import Study
from metapt_explore.texts.rows import TextInput

if TYPE_CHECKING:
    from metapt_explore.estimators.pretrainer import PromptPretrainer

#: What the study calls its method, its clustering and the task that stands for rows to keep clear of.
METHOD, CLUSTERING, HELD_OUT = "PromptPretrainer", "clusters", "held_out"
#: What stands for held-out rows where there are none: no text repeats it.
NO_ROW = "§ no row is held out § {number} §"


def pretraining_study(
    bench: Bench, given: PromptPretrainer, rows: Rows, reading: Reading | None, held_out: Sequence[TextInput]
) -> Study:
    """Writes the texts, and asks the study.

    Args:
        bench: Where to compute.
        given: The settings.
        rows: The texts, with the names of their classes and groups where there are some.
        reading: Words and template of the labels; None where no label is read.
        held_out: Texts that no pre-training text may repeat.

    Raises:
        UserError: Where a setting, the model or a word does not fit.
    """
    grouped = rows.groups is not None
    of_rows = columns(pairs=rows.pairs, labelled=reading is not None) | ({"group": "group"} if grouped else {})
    labels = None if reading is None else rows.labels
    words = reading or Reading({name: {"value": name, "words": [name]} for name in ("no", "yes")}, "{text}\nTopic:")
    kept_clear = list(held_out) or [_placeholder(number, pairs=rows.pairs) for number in range(len(words.labels))]
    names = list(words.labels)
    contents = {
        "texts.jsonl": as_lines(rows.texts, labels, rows.groups),
        # Their classes are not looked at: only texts are compared.
        "held_out.jsonl": as_lines(kept_clear, [names[row % len(names)] for row in range(len(kept_clear))]),
        "train.jsonl": as_lines([_placeholder(row, pairs=rows.pairs) for row in range(len(names))], names),
    }
    held_columns = columns(pairs=rows.pairs)
    splits = {"train": "train.jsonl", "dev": "held_out.jsonl", "test": "held_out.jsonl"}
    contents["task.yaml"] = task_file(
        {
            "name": HELD_OUT,
            "template": words.template,
            "labels": words.labels,
            "splits": {part: {"file": file, "columns": held_columns} for part, file in splits.items()},
        }
    )
    folder = bench.write("pretraining", contents)
    tree = merged(
        {
            "seed": given.seed,
            "model": model_settings(given.model, given.max_text_tokens),
            "encoder": {"name": given.encoder},
            "texts": {"file": str(folder / "texts.jsonl"), "columns": of_rows},
            **_clusterings(given.clustering, n_clusters=given.n_clusters, needed=_is_grouped(given, reading)),
            "auxiliary_tasks": _tasks(given, reading),
            "prompt": {"length": given.prompt_length, **({"placement": given.placement} if given.placement else {})},
            "pretraining": {} if given.steps is None else {"steps": given.steps},
            "methods": [_method(given, grouped=_is_grouped(given, reading))],
            "evaluation": {
                "tasks": [{"task": str(folder / "task.yaml"), "shots": "all"}],
                "data_seeds": [given.seed],
                "init_seeds": [given.seed],
            },
        },
        given.settings or {},
    )
    study = bench.study("pretraining", tree, "PromptPretrainer")
    check_words(study, pretraining_readings(study.config.auxiliary_tasks))
    return study


def _placeholder(number: int, *, pairs: bool) -> TextInput:
    text = NO_ROW.format(number=number)
    return (text, text) if pairs else text


def _is_grouped(given: PromptPretrainer, reading: Reading | None) -> bool:
    """Whether the method learns from clusters: all do but pooled pre-training on labels."""
    return reading is None or given.method != "ppt"


def _clusterings(clustering: str | Mapping[str, Any], *, n_clusters: int | None, needed: bool) -> dict[str, Any]:
    if not needed:
        return {}
    own = {"algorithm": clustering} if isinstance(clustering, str) else dict(clustering)
    return {"clusterings": [{"name": CLUSTERING, **({"n_clusters": n_clusters} if n_clusters else {}), **own}]}


def _tasks(given: PromptPretrainer, reading: Reading | None) -> Any:
    """Auxiliary tasks: classes of the labels, or what each format makes of texts."""
    if reading is not None:
        return {"template": reading.template, "labels": reading.labels}
    return [{"format": each} if isinstance(each, str) else dict(each) for each in given.formats]


def _method(given: PromptPretrainer, *, grouped: bool) -> dict[str, Any]:
    """The method of a study: a name (ppt, metapt or a meta-learner), or settings as a study has them."""
    name, clustering = given.method, {"clustering": CLUSTERING} if grouped else {}
    if isinstance(name, Mapping):
        return {"name": METHOD, **clustering, **name}
    if name in ("ppt", "metapt"):
        return {"name": METHOD, "kind": name, **clustering}
    learners = [tag for tag, kind in MethodConfig.kinds.items() if kind.pretrained and tag != "ppt"]
    if name not in learners:
        raise UserError(f"There is no method '{name}'. {did_you_mean(str(name), ['ppt', 'metapt', *learners])}")
    return {"name": METHOD, "kind": "metapt", "learner": name, **clustering}
