"""`metapt lens` and `metapt try`: prompts beside the vocabulary, and sentences under every prompt."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from metapt_explore.errors import UserError
from metapt_explore.run_terminal import make_console, say
from metapt_explore.runs.results import fewshot_entries
from metapt_explore.runs.study import Study
from metapt_explore.runs.workspace import Workspace


def study_of(workspace: Workspace, study: str) -> Study:
    """A study of the workspace by its name, or by its YAML file."""
    return Study(study if study.endswith((".yaml", ".yml")) else workspace.study_config(study), workspace)


def lens_in_terminal(study: str, workspace: Path | None, as_json: bool) -> None:
    """Prints a line for each vector of each pre-trained prompt."""
    found = study_of(Workspace(workspace), study).lens()
    records = found.table("vectors").to_dict(orient="records")
    if as_json:
        for record in records:
            print(json.dumps({**record, "nearest": json.loads(record["nearest"])}))
        return
    console = make_console()
    table = Table(title="pre-trained prompts beside the vocabulary")
    for column in ("prompt", "vector", "nearest tokens", "similarity", "length", "drift"):
        table.add_column(column)
    for row in records:
        if row["task"] is None or row["task"] != row["task"]:
            drift = "–" if row["drift"] is None or row["drift"] != row["drift"] else f"{row['drift']:.2f}"
            nearest = " · ".join(repr(token)[1:-1] for token in json.loads(row["nearest"]))
            numbers = [f"{row['similarity']:.2f}", f"{row['norm_ratio']:.2f}", drift]
            table.add_row(escape(str(row["prompt"])), str(row["vector"]), escape(nearest), *numbers)
    console.print(table)
    say(
        console,
        "similarity: cosine with the nearest token (1: a token of the vocabulary); length: against the vocabulary's "
        "mean; drift: way from the start, in lengths of the start.",
    )


def answer_sentences(
    lines: Iterable[str], study: str, task: str, init_seed: int, data_seed: int, workspace: Path | None
) -> None:
    """Answers each line with a JSON object: method to class to probability.

    The first line that is printed says which methods there are; the model is loaded once.

    Args:
        lines: JSON strings.
        study: The study.
        task: The task whose template and words are read.
        init_seed: Initialisation seed of the prompts.
        data_seed: Data seed that they were tuned with.
        workspace: Where the study is.

    Raises:
        UserError: Where no prompt was tuned so.
    """
    import torch

    opened = Workspace(workspace)
    own = study_of(opened, study)
    prompts: dict[str, Any] = {}
    for entry in fewshot_entries(opened, own.config.name):
        artifact = opened.artifact(entry["id"])
        reading = own.config.reading_of(own.config.method(entry["method"]))
        if reading.read != "words":
            continue  # few-shot rows have a say, which are not at hand here
        if (entry["task"], entry["init_seed"]) == (task, init_seed) and artifact.status == "done":
            tensors = artifact.tensors("prompts")
            if f"data_seed_{data_seed}" in tensors:
                prompts[entry["method"]] = tensors[f"data_seed_{data_seed}"]
    if not prompts:
        seeds = f"initialisation seed {init_seed} and data seed {data_seed}"
        raise UserError(f"No prompt that is read by label words alone was tuned on '{task}' with {seeds}.")
    if "{text_pair}" in own.tasks[task].template:
        raise UserError(f"'{task}' reads pairs of texts; one sentence cannot be tried under its prompts.")
    backbone = own.backbone
    reader = backbone.reader(own.tasks[task], task)
    stacked = torch.stack([prompt.float() for prompt in prompts.values()]).to(backbone.device)
    print(json.dumps({"methods": list(prompts), "classes": list(reader.classes)}), flush=True)
    for line in lines:
        text = json.loads(line)
        if not str(text).strip():
            print(json.dumps({}), flush=True)
            continue
        scores = backbone.score_all(stacked, backbone.bank([text], reader), reader)[:, 0]
        shares = reader.verbalizer.for_loss(scores)[:, : len(reader.classes)].softmax(-1)
        rows = [dict(zip(reader.classes, row, strict=True)) for row in shares.tolist()]
        print(json.dumps(dict(zip(prompts, rows, strict=True))), flush=True)
        backbone.forget([text], reader)
