"""A few timed passes: how fast this machine runs this study's model, and what it needs in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import psutil
import torch

from metapt_explore.config import EncoderConfig, StudyConfig, TaskConfig
from metapt_explore.config.embeddings import timed_encoder
from metapt_explore.config.task_terms import evaluation_of
from metapt_explore.cost.baselines import UNKNOWN_TEST_ROWS
from metapt_explore.cost.count import (
    Cost,
    Memory,
    Reckoning,
    Speed,
    Work,
    assumed_texts,
    predict,
    seeds_together,
)
from metapt_explore.cost.row_sets import RowSet
from metapt_explore.cost.speeds import encoder_factor
from metapt_explore.cost.timed_passes import REPEATS, Trial
from metapt_explore.models.backbone import SCORING_SHARE, Backbone
from metapt_explore.models.memory import kv_cache_bytes

#: Rows of a timed training pass, at most.
MOST_ROWS = 64
#: What training an encoder keeps for each of its weights: a gradient, two moments, and the best ones so far.
TRAINED_COPIES = 4
#: Copies of each prompt while it is tuned, beside one for each kept step: itself, its gradient, two moments, a stack.
PROMPT_COPIES = 5
#: Texts that are embedded to time the sentence encoder.
ENCODER_ROWS = 32
#: Rows that are scored to time scoring.
SCORED_ROWS = 16
#: Rows of a timed Hessian product, at most.
HESSIAN_ROWS = 16
MIB = 2**20
#: A CPU process holds more than it uses: freed blocks lie between kept ones.
HEAP_SLACK = 1.5


def preview(
    study: StudyConfig,
    tasks: dict[str, TaskConfig],
    backbone: Backbone,
    *,
    works: Mapping[str, Work],
    reckoning: Reckoning,
    speed: Speed,
    done: Collection[str] = (),
) -> Cost:
    """Predicts what the rest of a study costs.

    Args:
        study: The study.
        tasks: Its downstream tasks by name.
        backbone: The loaded model.
        works: Work of its stages.
        reckoning: What they were counted by.
        speed: Of this machine, see `measure`.
        done: Keys of the stages that are there already.
    """
    tokens, sets = reckoning.text_tokens, reckoning.row_sets
    memory = backbone.memory
    states = min(kv_cache_bytes(study.model.text_state_gib), reckoning.kept_tokens * memory.kv_bytes_per_token)
    pattern = backbone.pattern(
        study.auxiliary_tasks.first_reading,
        "auxiliary_tasks",
        whole_vocabulary=study.verbalizer.decode == "whole_vocabulary",
    )
    # A bank keeps the template with the text, unless the prompt comes between them.
    longest = round(max([tokens, *(each.tokens for each in sets)])) + (
        0 if backbone.caches_texts else len(pattern.before) + len(pattern.tail)
    )
    exact = any(method.second_order for method in study.methods)
    row = backbone.row_bytes(pattern, study.prompt.length, longest, second_derivative=exact)
    largest = max((_step_rows(study), _tuned_rows(study, tasks)))
    together = backbone.prompts_together(1 + 2 * seeds_together(study))
    scored = (study.evaluation.test_rows or UNKNOWN_TEST_ROWS) * backbone.row_bytes(
        pattern, study.prompt.length, longest, prompts=together, scoring=True
    )
    of_pass = max(min(backbone.pass_bytes, largest * row), min(SCORING_SHARE * backbone.pass_bytes, scored))
    dtype = str(backbone.dtype).removeprefix("torch.")
    dtype += f", weights of {study.model.quantised}" if study.model.quantised else ""
    of_weights = getattr(getattr(backbone, "fast", None), "later_bytes", 0)
    slack = HEAP_SLACK if backbone.device.type == "cpu" else 1.0
    needed = Memory(slack * states / MIB, slack * (of_pass + of_weights + prompts_bytes(study, backbone)) / MIB)
    cost = predict(works, done, speed, memory=needed, device=str(backbone.device), dtype=dtype)
    cost.assumed_texts = assumed_texts(study, reckoning.texts)
    return cost


def shape_of(study: StudyConfig, tasks: dict[str, TaskConfig], reckoning: Reckoning) -> dict[str, Any]:
    """The settings that a measurement depends on, beside machine and model."""
    reading = study.auxiliary_tasks.first_reading
    sets = reckoning.row_sets if len(reckoning.row_sets) > 1 else []
    return {
        "prompt_tokens": study.prompt.length,
        "text_tokens": max(1, round(reckoning.text_tokens)),
        "formats": [[each.share, max(1, round(each.tokens)), each.reading.template] for each in sets],
        "rows": [_step_rows(study), _tuned_rows(study, tasks)],
        "prompts": seeds_together(study),
        "second_order": any(method.second_order for method in study.methods),
        "reading": [reading.template, reading.pairs, len(reading.labels), study.verbalizer.decode],
        "encoder": timed_encoder(study).model_dump(mode="json"),
    }


def measure(
    study: StudyConfig,
    tasks: dict[str, TaskConfig],
    backbone: Backbone,
    *,
    reckoning: Reckoning,
    embeds: bool,
    kept: Speed | None = None,
    check: Callable[[], None] = lambda: None,
) -> Speed:
    """Calibrates, the sentence encoder too where texts are still to be embedded.

    Args:
        study: The study.
        tasks: Its downstream tasks by name.
        backbone: The loaded model.
        reckoning: Knows the texts, and the rows that formats of auxiliary tasks make of them.
        embeds: Whether texts are still to be embedded.
        kept: An earlier measurement of the same: only what it lacks is measured.
        check: Called now and then; may raise to stop.
    """
    if kept is not None:
        speed = replace(kept, base_mib=loaded_mib(backbone))
    else:
        tokens = max(1, round(reckoning.text_tokens))
        speed = calibrate(study, tasks, backbone, text_tokens=tokens, sets=reckoning.row_sets, check=check)
    if embeds and not speed.embedded:
        began = time.perf_counter()
        embedded, _ = encoder_speed(timed_encoder(study), str(backbone.device))
        speed = replace(speed, embedded=embedded, spent=speed.spent + time.perf_counter() - began)
    return speed


def preview_without_model(study: StudyConfig, works: Mapping[str, Work], device: str) -> Cost:
    """Predicts the cost of a study that never runs its language model; the model is not loaded.

    Args:
        study: The study.
        works: Work of its stages.
        device: Where the sentence encoder runs.
    """
    began = time.perf_counter()
    embedded, of_training = 0.0, 0.0
    if any(work.embedded for work in works.values()):
        embedded, of_weights = encoder_speed(timed_encoder(study), device)
        trained = [each for each in study.baselines if each.backward and each.runs == "encoder"]
        largest = max((encoder_factor(each, timed_encoder(study)) for each in trained), default=0.0)
        of_training = TRAINED_COPIES * of_weights * largest
    base = memory_mib(torch.device(device))
    speed = Speed(0.0, 0.0, 0.0, 0.0, 0.0, time.perf_counter() - began, base, embedded)
    slack = HEAP_SLACK if device == "cpu" else 1.0
    needed = Memory(pass_mib=slack * of_training)
    return predict(works, (), speed, memory=needed, device=device, dtype="float32")


def _step_rows(study: StudyConfig) -> int:
    """Rows that pre-training sends at once; never fewer than meta-learning would send."""
    pretraining = study.pretraining
    least = pretraining.meta_batch_size * max(pretraining.support_size, pretraining.query_size)
    return max([least, *(method.rows_at_once(pretraining) for method in study.methods)])


def _tuned_rows(study: StudyConfig, tasks: dict[str, TaskConfig]) -> int:
    """Rows of a few-shot step: every data seed and learning rate at once."""
    evaluation = study.evaluation
    shots = max(evaluation_of(study, task).shots * len(task.labels) for task in tasks.values())
    cells = seeds_together(study) * len(evaluation.learning_rates)
    return min(evaluation.batch_size, shots) * cells


def prompts_bytes(study: StudyConfig, backbone: Backbone) -> int:
    """Memory of the prompts that are tuned at once: little, but for long ``deep`` ones."""
    evaluation = study.evaluation
    cells = seeds_together(study) * len(evaluation.learning_rates)
    copies = PROMPT_COPIES + len(evaluation.curve_steps)
    return 4 * study.prompt.length * backbone.width * cells * copies


def calibrate(
    study: StudyConfig,
    tasks: dict[str, TaskConfig],
    backbone: Backbone,
    *,
    text_tokens: int,
    sets: Sequence[RowSet] = (),
    check: Callable[[], None] = lambda: None,
) -> Speed:
    """Times passes of the study's shape over texts of random tokens.

    The study's results are not affected: banks are made for this alone, and no random stream is used.

    Args:
        study: The study.
        tasks: Its downstream tasks by name.
        backbone: The loaded model.
        text_tokens: Tokens of each text.
        sets: What pre-training draws from, where formats of auxiliary tasks make rows: each has its own length and
            template, and a step sends those of each format in passes of their own. Texts alone when absent.
        check: Called between timed runs; may raise to stop.
    """
    began = time.perf_counter()
    base = loaded_mib(backbone)
    pre_rows, tuned_rows = _step_rows(study), _tuned_rows(study, tasks)
    # A row of a pass of some dozens is as fast as one of a larger pass.
    pre_rows, tuned_rows = min(pre_rows, MOST_ROWS), min(tuned_rows, MOST_ROWS)
    most = max(pre_rows, tuned_rows, SCORED_ROWS)
    first = Trial(study, backbone, study.auxiliary_tasks.first_reading, tokens=text_tokens, rows=most, check=check)
    encoded = first.encoded() if backbone.caches_texts else 0.0
    tuned = trained = first.trained(tuned_rows)
    second_order = any(method.second_order for method in study.methods)
    hessian = first.hessian(min(pre_rows, HESSIAN_ROWS)) if second_order and len(sets) < 2 else 0.0
    if len(sets) > 1:
        trained = 0.0
        for each in sets:
            rows, tokens = max(1, round(each.share * pre_rows)), max(1, round(each.tokens))
            trial = Trial(study, backbone, each.reading, tokens=tokens, rows=rows, check=check)
            trained += each.share * trial.trained(rows)
            hessian += each.share * trial.hessian(min(rows, HESSIAN_ROWS)) if second_order else 0.0
            trial.forget()
    elif pre_rows != tuned_rows and any(method.pretrained for method in study.methods):
        trained = first.trained(pre_rows)
    scored = first.scored(SCORED_ROWS, prompts=min(8, 1 + 2 * seeds_together(study)))
    first.forget()
    return Speed(trained, tuned, hessian, scored, encoded, time.perf_counter() - began, base, measured_at=time.time())


def encoder_speed(encoder: EncoderConfig, device: str) -> tuple[float, float]:
    """Seconds of a token through the sentence encoder, forward only; and MiB of its weights."""
    from metapt_explore.clusters.embed import load_encoder

    loaded = load_encoder(encoder, device)
    text = "a quiet film about two friends who talk all night and never quite say what they came to say"
    rows = loaded.tokens([text] * ENCODER_ROWS)
    seconds = []
    with torch.no_grad():
        for _ in range(1 + REPEATS):
            start = time.perf_counter()
            loaded.pooled(rows).sum().item()
            seconds.append(time.perf_counter() - start)
    weights = sum(weight.nbytes for weight in loaded.model.parameters()) / MIB
    return min(seconds[1:]) / sum(map(len, rows)), weights


def loaded_mib(backbone: Backbone) -> float:
    """Memory in use with a model loaded: `memory_mib`, of all cards that it is spread over."""
    devices = {weight.device for weight in backbone.model.parameters() if weight.device.type == "cuda"}
    return sum(map(memory_mib, devices)) if len(devices) > 1 else memory_mib(backbone.device)


def memory_mib(device: torch.device) -> float:
    """Memory in use now: of the process, or of the device for a GPU."""
    if device.type == "cuda":
        return float(torch.cuda.memory_allocated(device) / MIB)
    return float(psutil.Process().memory_info().rss / MIB)
