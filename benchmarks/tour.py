"""The whole tour against the same tour written with PEFT and plain loops.

    python benchmarks/tour.py [--dtype float32] [--study tour]

Both sides begin with an empty workspace and make texts, embeddings, clusters and splits with the same
code. Ours then runs the study. Theirs is what a user would write: PEFT's prompt tuning (prompt first,
full head), padded batches, one task after another in the meta-loop, one few-shot run after another.
Episodes, steps, learning rates, scored steps and rows are the study's on both sides. Needs `metapt setup`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from metapt_explore.bench.peft_reference import PeftReference
from metapt_explore.config import PretrainedMethod, StudyConfig, load_study
from metapt_explore.fewshot.scoring import Metrics, measure
from metapt_explore.fewshot.selection import choose
from metapt_explore.models.causal import CausalLayout
from metapt_explore.models.device import resolve_device, resolve_dtype
from metapt_explore.models.folder import model_folder
from metapt_explore.models.hf_load import load_settings, load_tokenizer
from metapt_explore.pretraining.learner import PretrainingTask
from metapt_explore.pretraining.registry import make_learner
from metapt_explore.pretraining.state import CLIP_NORM
from metapt_explore.prompts.init import InitSources, initial_prompt
from metapt_explore.storage.manifest import manifest
from metapt_explore.study.study import Study
from metapt_explore.verbalizers.pattern import PatternVerbalizer

SCORING_ROWS = 64


class PlainLoops:
    """The study's prompts and few-shot runs through PEFT."""

    def __init__(self, config: StudyConfig, workspace: str) -> None:
        self.config, self.study = config, Study(config, workspace)
        folder = model_folder(config.model.name)
        device = resolve_device(config.model.device)
        self.tokenizer = load_tokenizer(folder, config.model.name)
        width = load_settings(folder, config.model.name).hidden_size
        # PEFT puts the prompt in front of the text.
        self.layout = CausalLayout(self.tokenizer, config.model, "prefix")
        pattern = self.layout.pattern(config.auxiliary_tasks, "study")
        self.peft = PeftReference(
            folder,
            torch.zeros(config.prompt.length, width),
            torch.tensor(pattern.words),
            dtype=resolve_dtype(config.model.dtype, device),
            device=torch.device(device),
        )
        self.embedding = self.peft.model.get_base_model().get_input_embeddings().weight

    def scores(self, rows: Sequence[list[int]], pattern: PatternVerbalizer, prompt: Tensor | None = None) -> Tensor:
        """Logits of the label words at each row's last token, from a batch padded on the right."""
        lengths = torch.tensor([len(row) for row in rows])
        ids = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = torch.tensor(row)
        mask = (torch.arange(ids.shape[1])[None] < lengths[:, None]).long()
        inputs = {"input_ids": ids, "attention_mask": mask}
        model = self.peft.model
        if prompt is None:
            logits = model(**inputs).logits
        else:
            logits = torch.func.functional_call(model, {self.peft.name: prompt}, (), inputs).logits
        read = logits[torch.arange(len(rows)), self.config.prompt.length + lengths - 1]
        answers: torch.Tensor = read[:, torch.tensor(pattern.words)].float()
        return answers

    def tokens(self, texts: Sequence[str], pattern: PatternVerbalizer) -> list[list[int]]:
        """Text and template of each row, prompt apart."""
        cut = self.tokenizer(
            list(texts), add_special_tokens=False, truncation=True, max_length=self.config.model.max_text_tokens
        )["input_ids"]
        return [[*pattern.before, *ids, *pattern.tail] for ids in cut]

    def pretrain(self, name: str) -> Tensor:
        """One method's prompt."""
        config, study = self.config, self.study
        start = initial_prompt(
            config.prompt.init, config.prompt.length, InitSources(self.embedding), seed=config.seed, init_seed=0
        )
        method = config.method(name)
        if not isinstance(method, PretrainedMethod):
            return start
        frame = study.texts().table("texts")
        groups: dict[int, dict[str, list[int]]] = {}
        for (task, label), rows in study.auxiliary_tasks(method.clustering).table("tasks").groupby(["task", "label"]):
            groups.setdefault(int(task), {})[str(label)] = list(map(int, rows["row"]))
        pretraining_task = PretrainingTask(groups, config.pretraining, method, config.seed, 0)
        learner = make_learner(pretraining_task)
        pattern = self.layout.pattern(config.auxiliary_tasks, "study")
        texts = list(frame["text"])
        prompt = torch.nn.Parameter(start.clone())
        optimiser = torch.optim.Adam([prompt], lr=config.pretraining.outer_lr)

        def loss(leaf: Tensor, rows: list[int], labels: list[int]) -> Tensor:
            tokens = self.tokens([texts[row] for row in rows], pattern)
            return F.cross_entropy(self.scores(tokens, pattern, leaf), torch.tensor(labels))

        for step in range(pretraining_task.steps):
            episode = learner.draw(step)
            total = torch.zeros_like(start)
            for index in range(len(episode.tasks)):
                support = episode.support[index], episode.support_labels[index]
                query = episode.query[index], episode.query_labels[index]
                leaf = prompt.detach().clone().requires_grad_(True)
                if method.kind == "ppt":
                    value = loss(leaf, support[0] + query[0], support[1] + query[1])
                    total += torch.autograd.grad(value, leaf)[0]
                    continue
                (inner,) = torch.autograd.grad(loss(leaf, *support), leaf)
                adapted = (leaf - pretraining_task.inner_lr * inner).detach().requires_grad_(True)
                total += torch.autograd.grad(loss(adapted, *query), adapted)[0]
                with torch.no_grad():
                    loss(adapted, *support)  # the same diagnostic as ours
            prompt.grad = total / len(episode.tasks)
            torch.nn.utils.clip_grad_norm_([prompt], CLIP_NORM)
            optimiser.step()
        return prompt.detach()

    def fewshot(self, task: str, start: Tensor) -> Iterator[Metrics]:
        """Few-shot runs of one prompt on one task, one data seed and rate after another."""
        evaluation = self.config.evaluation
        pattern = self.layout.pattern(self.study.tasks[task], task)
        table = self.study.split(task).table("rows")
        classes = {name: index for index, name in enumerate(self.study.tasks[task].labels)}

        def part(split: str, seed: int | None) -> tuple[list[list[int]], list[int]]:
            chosen = table[(table["split"] == split) & ((table["data_seed"] == seed) if seed is not None else True)]
            return self.tokens(list(chosen["text"]), pattern), [classes[label] for label in chosen["label"]]

        @torch.no_grad()
        def read(prompt: Tensor, rows: list[list[int]], labels: list[int]) -> Metrics:
            self.peft.set_prompt(prompt)
            parts = [rows[i : i + SCORING_ROWS] for i in range(0, len(rows), SCORING_ROWS)]
            return measure(torch.cat([self.scores(some, pattern) for some in parts]), labels)

        test = part("test", None)
        begin = read(start, *test)
        for seed in evaluation.data_seeds:
            (rows, labels), dev = part("train", seed), part("dev", seed)
            curves: list[dict[str, Any]] = []
            snapshots: dict[tuple[float, int], Tensor] = {}
            for rate in evaluation.learning_rates:
                prompt = torch.nn.Parameter(start.clone())
                optimiser = torch.optim.Adam([prompt], lr=rate)
                for step in range(evaluation.steps + 1):
                    if step in evaluation.scored_steps:
                        snapshots[rate, step] = prompt.detach().clone()
                        found = {f"dev_{key}": value for key, value in read(prompt.detach(), *dev).items()}
                        curves.append({"learning_rate": rate, "step": step, **found})
                    if step == evaluation.steps:
                        break
                    picked = np.random.default_rng((seed, step)).permutation(len(rows))[: evaluation.batch_size]
                    scores = self.scores([rows[i] for i in picked], pattern, prompt)
                    value = F.cross_entropy(scores, torch.tensor([labels[i] for i in picked]))
                    (prompt.grad,) = torch.autograd.grad(value, prompt)
                    torch.nn.utils.clip_grad_norm_([prompt], CLIP_NORM)
                    optimiser.step()
            choice = choose(curves, evaluation.select_by)
            tested = {
                step: read(snapshots[choice["learning_rate"], step], *test) for step in evaluation.scored_steps if step
            }
            yield tested.get(choice["step"], begin)


def main() -> None:
    """Times both sides, one after the other, and prints one object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--study", default="tour")
    arguments = parser.parse_args()
    config = load_study(arguments.study)
    # The loops read label words only, and their inner steps are plain gradient steps.
    methods = [method for method in config.methods if not (method.verbalizer or config.verbalizer).has_probe]
    model = config.model.model_copy(update={"dtype": arguments.dtype})
    pretraining = config.pretraining.model_copy(update={"inner_optimiser": "gradient", "inner_lr": 0.03})
    config = config.model_copy(update={"methods": methods, "model": model, "pretraining": pretraining})
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        ours = Study(config, folder).run()
        seconds["ours"] = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        loops = PlainLoops(config, folder)
        accuracies = {}
        for method in config.methods:
            prompt = loops.pretrain(method.name)
            for task in loops.study.tasks:
                scores = [found["accuracy"] for found in loops.fewshot(task, prompt)]
                accuracies[f"{task}, {method.name}"] = round(float(np.mean(scores)), 3)
        for clustering in config.clusterings:
            loops.study.clusters(clustering.name)
        seconds["theirs"] = time.perf_counter() - began
    record = {
        "case": f"the whole study '{config.name}'",
        "ratio": round(seconds["theirs"] / seconds["ours"], 2),
        "target": 2.5,
        "ours_seconds": round(seconds["ours"], 1),
        "theirs_seconds": round(seconds["theirs"], 1),
        "dtype": str(resolve_dtype(arguments.dtype, resolve_device(config.model.device))).removeprefix("torch."),
        "ours_accuracy": {
            f"{task}, {method}": round(float(rows["accuracy"].mean()), 3)
            for (task, method), rows in ours.groupby(["task", "method"])
        },
        "theirs_accuracy": accuracies,
        "manifest": manifest(),
    }
    print(json.dumps(record))


if __name__ == "__main__":
    main()
