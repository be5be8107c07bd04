"""The study behind `PromptClassifier`: one prompt, tuned on the rows that were given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from metapt_explore.config.fixed_recipe import FEW_DEV_ROWS, FixedRecipe
from metapt_explore.errors import UserError
from metapt_explore.estimators.begin import Begin
from metapt_explore.estimators.classes import Reading, sorted_classes
from metapt_explore.estimators.engine import Bench, as_lines, check_words, columns, merged, task_file
from metapt_explore.estimators.rows import Rows, read_rows
from metapt_explore.fewshot.split_rows import without_duplicates
from metapt_explore.study.study import Study
from metapt_explore.texts.rows import TextInput

if TYPE_CHECKING:
    from metapt_explore.estimators.classifier import PromptClassifier

#: What the study calls its method and its task.
METHOD, TASK = "PromptClassifier", "task"
#: Where dev would have too few rows to choose a learning rate and a step by.
RECIPE = FixedRecipe(learning_rate=0.016, steps=10)
DEFAULT_MODEL = "smollm2-135m"


@dataclass(frozen=True)
class Labelled:
    """Rows with the names of their classes: none is blank, no text stands twice.

    Attributes:
        rows: For training, and for dev where none are given apart.
        names: Class of each.
        dev: Other rows, for choosing learning rate and step.
        dev_names: Class of each.
    """

    rows: Rows
    names: list[str]
    dev: Rows | None = None
    dev_names: list[str] | None = None


def read_labelled(rows: Rows, validation: Any, on_notice: Callable[[str], None]) -> tuple[list[Any], Labelled]:
    """The classes, and the rows that can be used.

    Args:
        rows: What `fit` was given.
        validation: Rows for choosing: ``(texts, labels)``, or a table with labels; None for none.
        on_notice: Told of rows that are left out: blank ones, and repeated texts.

    Raises:
        UserError: Where a label is missing, a class has no usable row, or validation rows do not fit.
    """
    if not rows.texts:
        raise UserError("There is no row to learn from.")
    if rows.labels is None:
        raise UserError("fit needs a label for each text: give `labels`, or a table with a column 'label'.")
    classes = sorted_classes(rows.labels)
    used, names = _usable(rows, on_notice)
    for each in classes:
        if str(each) not in names:
            raise UserError(
                f"The class {each!r} has no usable row: its texts are blank, or stand with other labels as well."
            )
    if validation is None:
        return classes, Labelled(used, names)
    dev = read_rows(*validation) if isinstance(validation, tuple) and len(validation) == 2 else read_rows(validation)
    if dev.labels is None or not dev.texts:
        raise UserError("`validation` needs rows with labels: give (texts, labels), or a table with a column 'label'.")
    if dev.pairs != rows.pairs:
        raise UserError("`validation` and the texts must both be pairs, or neither.")
    for number, label in enumerate(dev.labels, 1):
        if label not in classes:
            raise UserError(f"validation: the label of row {number} is {label!r}, which no training row has.")
    dev, dev_names = _usable(dev, on_notice)
    if not dev_names:
        raise UserError("`validation` has no usable row: its texts are blank, or stand with other labels as well.")
    return classes, Labelled(used, names, dev, dev_names)


def _usable(rows: Rows, on_notice: Callable[[str], None]) -> tuple[Rows, list[str]]:
    blank = {number - 1 for number in rows.blank()}
    filled: list[tuple[TextInput, str]] = [
        (text, str(label))
        for number, (text, label) in enumerate(zip(rows.texts, rows.labels or [], strict=True))
        if number not in blank
    ]
    dropped: Counter[str] = Counter(blank=len(blank))
    kept = without_duplicates(filled, dropped)
    for reason, what in (("blank", "blank"), ("duplicate", "repeated"), ("conflicting", "with several labels")):
        if dropped[reason]:
            on_notice(f"Rows that are left out, {what}: {dropped[reason]}.")
    return Rows([text for text, _ in kept]), [name for _, name in kept]


def chooses_on_dev(given: PromptClassifier, labelled: Labelled) -> bool:
    """Whether learning rate and step are chosen on dev rows: where each class has enough of them."""
    if labelled.dev_names is not None:
        return _fewest(labelled.dev_names) > FEW_DEV_ROWS
    return round(given.dev_share * _fewest(labelled.names)) > FEW_DEV_ROWS


def _fewest(names: Iterable[str]) -> int:
    return min(Counter(names).values())


def tuning_study(bench: Bench, given: PromptClassifier, labelled: Labelled, reading: Reading, begin: Begin) -> Study:
    """Writes the rows and the task, and asks the study.

    Args:
        bench: Where to compute.
        given: The settings.
        labelled: The rows.
        reading: Words and template.
        begin: What the prompt begins from.

    Raises:
        UserError: Where a setting, the model or a word does not fit.
    """
    chosen = chooses_on_dev(given, labelled)
    contents = {"rows.jsonl": as_lines(labelled.rows.texts, labelled.names)}
    # A study scores test rows; an estimator has none, so that a row of each class stands for them and no score is kept.
    firsts = [labelled.names.index(name) for name in reading.labels]
    contents["test.jsonl"] = as_lines([labelled.rows.texts[row] for row in firsts], list(reading.labels))
    dev = "rows.jsonl"
    if labelled.dev is not None and labelled.dev_names is not None:
        dev, contents["dev.jsonl"] = "dev.jsonl", as_lines(labelled.dev.texts, labelled.dev_names)
    elif not chosen:
        dev, contents["dev.jsonl"] = "dev.jsonl", contents["rows.jsonl"]
    of_rows = columns(pairs=labelled.rows.pairs)
    splits = {"train": "rows.jsonl", "dev": dev, "test": "test.jsonl"}
    contents["task.yaml"] = task_file(
        {
            "name": TASK,
            "title": "the rows that a classifier was fitted to",
            "template": reading.template,
            "labels": reading.labels,
            "splits": {part: {"file": file, "columns": of_rows} for part, file in splits.items()},
        }
    )
    folder = bench.write("classifier", contents)
    tree = _tree(given, reading, begin, chosen=chosen)
    terms: dict[str, Any] = {"task": str(folder / "task.yaml"), "shots": "all"}
    if dev == "rows.jsonl":
        terms["dev_share"] = given.dev_share
    tree["texts"] = {"file": str(folder / "rows.jsonl"), "columns": of_rows}
    tree["evaluation"] = merged(tree["evaluation"], {"tasks": [terms]})
    study = bench.study("classifier", tree, "PromptClassifier")
    check_words(study, {"label_words": study.task(TASK)})
    return study


def _tree(given: PromptClassifier, reading: Reading, begin: Begin, *, chosen: bool) -> dict[str, Any]:
    """Settings of the study apart from its files."""
    if given.read == "probe_ensemble" and not chosen:
        raise UserError(
            "read='probe_ensemble' weighs words and probe on dev rows, of which there are too few here: give more than "
            f"{FEW_DEV_ROWS} of each class (by `validation`, more rows or a larger `dev_share`), or read='words'."
        )
    if begin.length is not None and given.prompt_length not in (None, begin.length):
        raise UserError(
            f"prompt_length is {given.prompt_length}, but the prompt that `init` names has {begin.length} vectors: "
            "leave prompt_length out."
        )
    placement = given.placement or (begin.facts.placement if begin.facts is not None else None)
    length = begin.length or given.prompt_length
    tree: dict[str, Any] = {
        "seed": given.seed,
        "model": model_settings(given.model, given.max_text_tokens, begin),
        "auxiliary_tasks": {"template": reading.template, "labels": reading.labels},
        "prompt": {
            "init": begin.init,
            **({"length": length} if length is not None else {}),
            **({"placement": placement} if placement is not None else {}),
        },
        "verbalizer": {"read": _read(given, chosen=chosen)},
        "methods": [{"name": METHOD, "kind": "pt"}],
        "evaluation": {
            "data_seeds": [given.seed],
            "init_seeds": [given.seed],
            "batch_size": given.batch_size,
            **_steps(given, chosen=chosen),
        },
    }
    return merged(tree, given.settings or {})


def _read(given: PromptClassifier, *, chosen: bool) -> str:
    """How classes are read: as was asked for, else by words and probe together where dev rows can weigh the two.

    Whoever sets something of the verbalizer by `settings` gets label words, which all of it goes with.
    """
    if given.read is not None:
        return given.read
    return "probe_ensemble" if chosen and "verbalizer" not in (given.settings or {}) else "words"


def _steps(given: PromptClassifier, *, chosen: bool) -> dict[str, Any]:
    rates = given.learning_rates
    listed = [rates] if isinstance(rates, int | float) else list(rates) if rates is not None else None
    own: dict[str, Any] = {} if listed is None else {"learning_rates": listed}
    if given.steps is not None:
        own["steps"] = given.steps
    return own if chosen else RECIPE.settings(own)


def model_settings(model: str | None, max_text_tokens: int, begin: Begin | None = None) -> dict[str, Any]:
    """Settings of the language model: the one that is named, else the one that the prompt was made for.

    Raises:
        UserError: Where a stored prompt was made for another model.
    """
    facts = None if begin is None else begin.facts
    if facts is None:
        return {"name": model or DEFAULT_MODEL, "max_text_tokens": max_text_tokens}
    of_prompt: Mapping[str, Any] = {**facts.model, "max_text_tokens": max_text_tokens}
    if model is None or model == facts.model["name"]:
        return dict(of_prompt)
    from metapt_explore.models.folder import content_hash, model_folder

    if content_hash(model_folder(model, None)) != facts.model_hash:
        raise UserError(
            f"model is '{model}', but the prompt that `init` names was made for '{facts.model['name']}'; a prompt "
            "means something to its own model only. Leave `model` out."
        )
    return {**of_prompt, "name": model, "revision": None}
