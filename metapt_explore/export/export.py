"""Writes a prompt of a study into a folder of its own, ready to be used or pushed to a hub."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metapt_explore.config import LabelsConfig, StudyConfig, TaskConfig, load_study_task
from metapt_explore.config.support import other_shots, pretrained_at
from metapt_explore.errors import UserError, did_you_mean
from metapt_explore.export.card import model_card
from metapt_explore.export.facts import PromptFacts
from metapt_explore.export.peft_format import base_model, has_layout, write_adapter
from metapt_explore.export.standalone import write_pipeline
from metapt_explore.prompts.exported_files import FACTS_FILE, PROBE_FILE, PROMPT_FILE
from metapt_explore.prompts.load import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from metapt_explore.results.tables import fewshot_entries, tuned_by
from metapt_explore.stages.base import called_at, listed_at
from metapt_explore.stages.fewshot_probe import kept_probe, kept_weights
from metapt_explore.storage.artifact import Artifact
from metapt_explore.storage.files import write_bytes
from metapt_explore.storage.workspace import Workspace

if TYPE_CHECKING:
    from torch import Tensor

    from metapt_explore.fewshot.linear_probe import LinearProbe
    from metapt_explore.models.deep import DeepShape


@dataclass(frozen=True)
class PromptChoice:
    """Which prompt of a study.

    Attributes:
        study: The study.
        method: The method.
        task: The task that it was tuned on; None for the pre-trained prompt itself.
        data_seed: Of the tuning; None for the pre-trained prompt.
        init_seed: Of the pre-training.
        shots: Examples a class that it was tuned on, and pre-trained for where methods are (`pretraining.support_shots:
            match`): one of `evaluation.more_shots`; the study's own number when absent.
    """

    study: str
    method: str
    task: str | None = None
    data_seed: int | None = None
    init_seed: int | None = None
    shots: int | None = None


@dataclass(frozen=True, eq=False)
class _StoredPrompt:
    """A prompt as the workspace holds it: the evaluation that tuned it, if any, its pre-training, its vectors, and the
    offsets of its several starts, where it was not tuned and has some.
    """

    evaluation: Artifact | None
    prompt: Artifact
    tensor: Tensor
    offsets: Tensor | None = None


def export_prompt(workspace: Workspace, chosen: PromptChoice, folder: Path) -> list[Path]:
    """Writes a prompt with what is needed to use it.

    ``prompt.safetensors`` (tensor ``prompt``), ``prompt.json`` (`PromptFacts`), ``README.md`` (a model card made from
    the study's record), where PEFT has the layout ``adapter_config.json`` and ``adapter_model.safetensors``, where
    classes are read beside a probe ``probe.safetensors``, and ``prompt_pipeline.py``, which uses it all without this
    package, for decoder-only models.

    Args:
        workspace: Where the study was run.
        chosen: Which prompt. Seeds that are left out are the study's first.
        folder: Where to write; made where it is missing.

    Returns:
        The files.

    Raises:
        UserError: Where the study has no such prompt, or it is not finished.

    Example:
        >>> chosen = PromptChoice("tour", "MetaPT", "subjectivity")
        >>> export_prompt(Workspace("workspace"), chosen, Path("out"))  # doctest: +SKIP
    """
    from safetensors.torch import save_file

    config = workspace.study_config(chosen.study)
    method = config.method(chosen.method)
    reading = config.reading_of(method)
    if chosen.task is not None and reading.read != "words" and not reading.has_probe:
        raise UserError(
            f"'{chosen.method}' reads classes by {reading.read} of its few-shot rows "
            "(verbalizer.read), which no prompt carries. Export a method that is read by words, or the pre-trained "
            "prompt (without --task)."
        )
    if chosen.task is None and method.from_demonstrations:
        raise UserError(
            f"'{chosen.method}' begins from few-shot rows, which only its tuned prompts hold: export one of those "
            "(--task)."
        )
    chosen = _with_seeds(config, chosen)
    sources = _find(workspace, config, chosen)
    labels: LabelsConfig = config.auxiliary_tasks if chosen.task is None else _task(config, chosen.task)
    if sources.evaluation is not None:
        _refuse_other_words(workspace, sources.evaluation, labels=labels, task=str(chosen.task))
    facts = _facts(config, chosen, sources, labels=labels)
    probe = _probe(sources.evaluation, chosen, facts)
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / FACTS_FILE).exists():
        for file in (PROBE_FILE, ADAPTER_CONFIG, ADAPTER_WEIGHTS):
            (folder / file).unlink(missing_ok=True)  # from an earlier export into this folder
    others = {} if sources.offsets is None else {"offsets": sources.offsets.float().contiguous()}
    save_file({"prompt": sources.tensor.contiguous(), **others}, folder / PROMPT_FILE)
    files = [folder / PROMPT_FILE, facts.save(folder)]
    if probe is not None:
        save_file(probe.tensors(), folder / PROBE_FILE)
        files.append(folder / PROBE_FILE)
    adapter: list[Path] = []
    if has_layout(facts.family, facts.placement):
        adapter = write_adapter(folder, facts, sources.tensor, _deep(config) if facts.placement == "deep" else None)
    files += [*adapter, *write_pipeline(folder, facts)]
    write_bytes(folder / "README.md", model_card(facts, config, with_adapter=bool(adapter)).encode())
    return [*files, folder / "README.md"]


def _deep(config: StudyConfig) -> DeepShape:
    """Sizes of the study's model, which say how a deep prompt's numbers are laid out."""
    from metapt_explore.models.deep import DeepShape
    from metapt_explore.models.folder import model_folder
    from metapt_explore.models.hf_load import load_settings

    return DeepShape.of(load_settings(model_folder(config.model.name, config.model.revision), config.model.name))


def _with_seeds(config: StudyConfig, chosen: PromptChoice) -> PromptChoice:
    init_seed = config.evaluation.init_seeds[0] if chosen.init_seed is None else chosen.init_seed
    if init_seed not in config.evaluation.init_seeds:
        raise UserError(f"Initialisation seed {init_seed} is none of the study's: {config.evaluation.init_seeds}.")
    data_seed = chosen.data_seed
    if chosen.task is None:
        data_seed = None
    elif data_seed is None:
        data_seed = config.evaluation.data_seeds_of(init_seed)[0]
    elif data_seed not in config.evaluation.data_seeds_of(init_seed):
        raise UserError(
            f"Data seed {data_seed} is none of those that go with initialisation seed {init_seed}: "
            f"{config.evaluation.data_seeds_of(init_seed)}."
        )
    shots = other_shots(config, chosen.shots)
    return PromptChoice(chosen.study, chosen.method, chosen.task, data_seed, init_seed, shots)


def _find(workspace: Workspace, config: StudyConfig, chosen: PromptChoice) -> _StoredPrompt:
    own = chosen.shots if chosen.shots in pretrained_at(config, config.method(chosen.method)) else None
    asked = {"kind": listed_at("prompt", own), "method": chosen.method, "init_seed": chosen.init_seed, "shots": own}
    listed = workspace.index(config.name)
    entry = next((e for e in listed if all(e.get(key) == value for key, value in asked.items())), None)
    prompt = workspace.artifact(entry["id"]) if entry else None
    where = f"'{called_at(chosen.method, chosen.shots)}', initialisation seed {chosen.init_seed}"
    if prompt is None or not prompt.finished:
        raise UserError(f"The prompt of {where} is not finished: run the study (`metapt run`).")
    if chosen.task is None:
        learned = prompt.tensors("prompt")
        return _StoredPrompt(None, prompt, learned["prompt"].float(), learned.get("offsets"))
    scored = [e for e in fewshot_entries(workspace, config.name, chosen.shots) if e["method"] == chosen.method]
    tasks = {e["task"] for e in scored}
    if chosen.task not in tasks:
        raise UserError(
            f"'{called_at(chosen.method, chosen.shots)}' has no score on '{chosen.task}' yet. "
            f"{did_you_mean(chosen.task, sorted(tasks))}"
        )
    entry = next((e for e in scored if e["task"] == chosen.task and e["init_seed"] == chosen.init_seed), None)
    evaluation = workspace.artifact(entry["id"]) if entry else None
    if evaluation is None or not evaluation.finished:
        raise UserError(f"The evaluation of {where} on '{chosen.task}' is not finished: run the study (`metapt run`).")
    tensors = evaluation.tensors("prompts")
    return _StoredPrompt(evaluation, prompt, tensors[f"data_seed_{chosen.data_seed}"].float())


def _task(config: StudyConfig, name: str) -> LabelsConfig:
    for source in config.evaluation.tasks:
        task = load_study_task(config.evaluation, source)
        if task.name == name:
            return task
    raise UserError(f"The study has no task '{name}'. {did_you_mean(name, config.evaluation.tasks)}")


def _refuse_other_words(workspace: Workspace, evaluation: Artifact, *, labels: LabelsConfig, task: str) -> None:
    from metapt_explore.config.label_values import words_key

    tuned = (tuned_by(workspace, evaluation) or evaluation.stage)["config"]
    if (tuned["template"], tuned["words"]) != (labels.template, json.loads(json.dumps(words_key(labels)))):
        raise UserError(
            f"The task '{task}' has another template or other words than those the prompt was tuned with: run the "
            "study again, or put them back."
        )


def _facts(config: StudyConfig, chosen: PromptChoice, stored: _StoredPrompt, *, labels: LabelsConfig) -> PromptFacts:
    from metapt_explore.models.study_model import StudyModel

    model = StudyModel(config, lambda message: None)
    evaluation, prompt, method = stored.evaluation, stored.prompt, config.method(chosen.method)
    scores: dict[str, Any] = {}
    if evaluation is not None:
        results = evaluation.table("results")
        row = results[results["data_seed"] == chosen.data_seed].iloc[0]
        keys = ("accuracy", "macro_f1", "start_accuracy", "dev_accuracy", "learning_rate", "step")
        scores = {key: _plain(row[key]) for key in keys if key in row}
    decode = config.reading_of(method).decode
    written: dict[str, dict[str, Any]] = {
        name: {"value": label.value, "words": label.words, "description": label.description}
        for name, label in labels.labels.items()
    }
    model_settings = {key: value for key, value in config.model.model_dump(mode="json").items() if key in MODEL_KEYS}
    model_settings |= {"quantised": config.model.quantised} if config.model.quantised else {}
    if isinstance(labels, TaskConfig) and labels.max_tokens is not None:
        model_settings["max_text_tokens"] = labels.max_tokens
    return PromptFacts(
        model={key: value for key, value in model_settings.items() if value is not None},
        model_hash=str(prompt.stage["inputs"].get("model", model.identity["model"])),
        family=model.family,
        placement=model.placement,
        tokens=int(stored.tensor.shape[0]),
        width=int(stored.tensor.shape[1]),
        template=labels.template,
        labels={n: {k: v for k, v in entry.items() if v not in (None, [])} for n, entry in written.items()},
        decode=decode,
        token_ids=_token_ids(config, model, labels=labels, decode=decode),
        made_by={
            "study": config.name,
            "method": method.name,
            "task": chosen.task,
            "data_seed": chosen.data_seed,
            "init_seed": chosen.init_seed,
            **({} if chosen.shots is None else {"shots": chosen.shots}),
            "artifact": (evaluation or prompt).id,
            **({"starts": len(stored.offsets)} if stored.offsets is not None else {}),
            **scores,
        },
        base_model=base_model(str(model_settings["name"])),
        calibration=config.reading_of(method).calibration if chosen.task else "none",
        scored_rows=config.evaluation.scored_rows,
        probe=_weights(evaluation, chosen),
        manifest=prompt.stage.get("manifest", {}),
    )


def _weights(evaluation: Artifact | None, chosen: PromptChoice) -> dict[str, Any] | None:
    if evaluation is None or chosen.data_seed is None:
        return None
    return kept_weights(evaluation, chosen.data_seed)


def _probe(evaluation: Artifact | None, chosen: PromptChoice, facts: PromptFacts) -> LinearProbe | None:
    if evaluation is None or chosen.data_seed is None or facts.probe is None:
        return None
    return kept_probe(evaluation, chosen.data_seed, list(facts.labels), str(chosen.task))


#: Model settings that are exported; memory and device are up to the user.
MODEL_KEYS = ("name", "revision", "family", "sentinel", "max_text_tokens")


def _plain(value: Any) -> Any:
    import pandas as pd

    return None if pd.isna(value) else value.item() if hasattr(value, "item") else value


def _token_ids(config: StudyConfig, model: Any, *, labels: LabelsConfig, decode: str) -> dict[str, Any] | None:
    """Template and words as tokens, for decoder-only models that `prompt_pipeline.py` can use."""
    from metapt_explore.config.families import FAMILIES

    if not FAMILIES[model.family].left_to_right or decode != "label_words" or "{text_pair}" in labels.template:
        return None
    from metapt_explore.models.folder import model_folder
    from metapt_explore.models.hf_load import load_tokenizer
    from metapt_explore.models.load import layout_class

    folder = model_folder(config.model.name, config.model.revision)
    tokenizer = load_tokenizer(folder, config.model.name)
    layout = layout_class(model.family)(tokenizer, config.model, model.placement)
    pattern = layout.pattern(labels, "the exported prompt", whole_vocabulary=False)
    if not pattern.verbalizer.simple:
        return None
    slot = pattern.template.slot("text")
    spaced = bool(slot and slot.spaced)
    words = [[word[0].token for word in class_words] for class_words in pattern.verbalizer.words]
    return {
        "first": list(layout.special_before),
        "before": list(pattern.before),
        "in_front_of_text": layout.after_space("") if spaced else "",
        "tail": list(pattern.tail),
        "words": dict(zip(pattern.classes, words, strict=True)),
    }
