"""Timed passes over texts of random tokens, under one template."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from metapt_explore.config import LabelsConfig, StudyConfig
from metapt_explore.models.backbone import Backbone
from metapt_explore.models.gradients import Batch, PromptObjective
from metapt_explore.models.scoring import score_all
from metapt_explore.texts.rows import TextInput

#: Timed runs of each kind, after one to warm up. The quicker one counts: where memory is asked for the first time, even
#: the second run of a shape took nearly twice as long as those that follow.
REPEATS = 2
#: Rows of timed encoding, at most.
ENCODED_ROWS = 32


class Trial:
    """Texts of random tokens under a template, and how long passes over them take.

    The study's results are not affected: banks are made for this alone, and no random stream is used.

    Args:
        study: The study.
        backbone: The loaded model.
        reading: Template and words.
        tokens: Tokens of each text.
        rows: How many texts.
        check: Called between timed runs; may raise to stop.
    """

    def __init__(
        self,
        study: StudyConfig,
        backbone: Backbone,
        reading: LabelsConfig,
        *,
        tokens: int,
        rows: int,
        check: Callable[[], None],
    ) -> None:
        self.backbone, self.tokens, self.check = backbone, tokens, check
        whole_vocabulary = study.verbalizer.decode == "whole_vocabulary"
        self.pattern = backbone.pattern(reading, "auxiliary_tasks", whole_vocabulary=whole_vocabulary)
        self.texts = _texts(backbone, rows, tokens, pairs=reading.pairs)
        self.prompt = backbone.as_prompt(backbone.embedding[: study.prompt.length].float())
        self._objective: PromptObjective | None = None

    def _fresh(self) -> PromptObjective:
        self.backbone.forget(self.texts, self.pattern)
        return PromptObjective(self.backbone, self.backbone.bank(self.texts, self.pattern), self.pattern)

    @property
    def objective(self) -> PromptObjective:
        """Over all texts, whose states are kept."""
        self._objective = self._objective or self._fresh()
        return self._objective

    def _timed(self, run: Callable[[], object]) -> float:
        seconds = []
        self.check()
        run()
        for _ in range(REPEATS):
            self.check()
            start = time.perf_counter()
            run()
            if self.backbone.device.type == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
        return min(seconds)

    def _batch(self, rows: int) -> Batch:
        return Batch(range(rows), [0] * rows, [row % len(self.pattern.classes) for row in range(rows)])

    def encoded(self) -> float:
        """Seconds of a token of a text."""
        rows = range(min(ENCODED_ROWS, len(self.texts)))
        return self._timed(lambda: self._fresh().bank.batch(rows)) / (len(rows) * self.tokens)

    def trained(self, rows: int) -> float:
        """Seconds of a row forward and backward, in a pass of so many."""
        objective, batch = self.objective, self._batch(rows)
        return self._timed(lambda: objective.losses_and_gradients(self.prompt[None], batch)) / rows

    def hessian(self, rows: int) -> float:
        """Seconds of a row of a Hessian product."""
        objective, batch = self.objective, self._batch(rows)
        return self._timed(lambda: objective.hessian_products(self.prompt[None], batch, self.prompt[None])) / rows

    def scored(self, rows: int, *, prompts: int) -> float:
        """Seconds of a row under one of so many prompts, forward only."""
        stacked, some = self.prompt.expand(prompts, -1, -1), self.texts[:rows]
        bank = self.backbone.bank(some, self.pattern)
        seconds = self._timed(lambda: score_all(self.backbone, stacked, bank, pattern=self.pattern))
        self.backbone.forget(some, self.pattern)
        return seconds / (len(some) * prompts)

    def forget(self) -> None:
        """Keeps nothing of the texts."""
        self.backbone.forget(self.texts, self.pattern)


def _texts(backbone: Backbone, rows: int, tokens: int, *, pairs: bool) -> list[TextInput]:
    generator = torch.Generator().manual_seed(0)
    vocabulary = backbone.embedding.shape[0]
    ids = torch.randint(vocabulary // 20, min(vocabulary, 20_000), (rows, tokens), generator=generator)
    texts = [backbone.tokenizer.decode(row) for row in ids]
    return [(text[: len(text) // 2], text[len(text) // 2 :]) for text in texts] if pairs else list(texts)
