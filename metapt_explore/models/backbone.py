"""A frozen language model under stacked soft prompts: what all families of models share.

A family (one file each) defines how a row is laid out, what of it is computed without the prompt, and how the model is
run. `Backbone` prepares rows, cuts passes to memory and scores classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from metapt_explore.config import LabelsConfig, ModelConfig, Placement
from metapt_explore.models.kv_cache.banks import Bank, Banks
from metapt_explore.models.kv_cache.text import KVBank, TextKV, TokenRows
from metapt_explore.models.kv_cache.tiers import KVCache, KVTensors, make_cache
from metapt_explore.models.layout import Layout
from metapt_explore.models.memory import (
    GIB,
    PLAIN_FACTOR,
    SECOND_FACTOR,
    RowMemory,
    half_of,
    kv_cache_bytes,
    pass_budget,
)
from metapt_explore.models.placing import whole_weight
from metapt_explore.models.step_graphs import StepGraphs
from metapt_explore.texts.rows import TextInput
from metapt_explore.verbalizers.on_device import constant
from metapt_explore.verbalizers.pattern import PatternVerbalizer
from metapt_explore.verbalizers.verbalizer import Head, Run

#: Prompts that share one pass over a text when rows are scored; with more the masked square only grows.
PROMPTS_PER_PASS = 8
#: Share of a pass's memory that scoring uses: smaller passes stay in the processor's caches.
SCORING_SHARE = 0.25

#: Rows of a bank, ready for a pass.
Prepared = TextKV | TokenRows


class Backbone(ABC):
    """A frozen model that scores classes under stacked soft prompts.

    Args:
        model: A transformers model.
        tokenizer: Its tokenizer.
        config: Text length, and memory for passes and cached texts.
        placement: Where the prompt stands; one of the family's.

    Attributes:
        layout: What stands where in a row.
        embedding: Input embeddings, `[vocabulary, width]`.
        on_notice: Called with what a user should know (a halved pass, a slower path).
        graphs: Passes that were recorded, where `model.cuda_graphs` asks for it on a card.

    Example:
        >>> pattern = load_backbone(ModelConfig()).pattern(labels_config, "study")   # doctest: +SKIP
        >>> rows = backbone.prepared(backbone.bank(texts, pattern), [0], pattern, prompt_tokens=8)  # doctest: +SKIP
        >>> backbone.class_scores(prompts, torch.tensor([0]), rows, pattern=pattern)  # doctest: +SKIP
    """

    layout_class: ClassVar[type[Layout]]
    #: Whether several prompts can share one pass over a text.
    shares_text: bool = False
    #: Whether a text's keys and values are computed once, without the prompt, and cached.
    caches_texts: bool = False
    #: Whether classes are read from words.
    has_vocabulary: bool = True
    #: Whether tokens see those before them only.
    left_to_right: bool = False
    #: Memory that the model's own pass keeps for a gradient, as a multiple of what the hand-written pass keeps.
    plain_factor: float = PLAIN_FACTOR

    def __init__(self, model: Any, tokenizer: Any, config: ModelConfig, *, placement: Placement) -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer, self.config, self.placement = tokenizer, config, placement
        self._embed = self._input_embeddings()
        scale = getattr(self._embed, "embed_scale", None)  # Gemma 3 and BART scale what they look up
        weight = whole_weight(self._embed)
        self.embedding = weight if scale is None else weight * torch.as_tensor(scale).to(weight)
        self.dtype, self.device = weight.dtype, weight.device
        self.width = int(weight.shape[1])  # numbers in a vector of a prompt
        self.head = self._head()
        self.memory = RowMemory.of(model.config, self.dtype.itemsize)
        self.pass_bytes = pass_budget(config.pass_memory_gib, self.device)
        self.rows_limit: int | None = config.rows_per_pass
        self.on_notice: Callable[[str], None] = lambda message: None
        self.graphs: StepGraphs | None = None
        self.layout = self.layout_class(tokenizer, config, placement)
        self._cache = make_cache(kv_cache_bytes(config.text_state_gib) / GIB, config.second_tier_gib, self.device)

    # ---------------------------------------------------------------------- what a family defines

    def _input_embeddings(self) -> Any:
        """The layer that embeds tokens, in whose space prompts lie."""
        return self.model.get_input_embeddings()

    @abstractmethod
    def _head(self) -> Head:
        """The model's output layer."""

    def as_prompt(self, vectors: Tensor) -> Tensor:
        """The prompt that does what token vectors `[prompt_tokens, …]` do: these, unless the placement is ``deep``."""
        return vectors

    @property
    def usual_vectors(self) -> Tensor:
        """The model's own vectors of the kind that a prompt has, `[vectors, width]`."""
        return self.embedding

    @abstractmethod
    def new_tokens(self, pattern: PatternVerbalizer, prompt_tokens: int) -> int:
        """Tokens that a step runs for each row behind a cached text; 0 where it runs the row itself."""

    @abstractmethod
    def features(
        self,
        prompts: Tensor,
        groups: Tensor,
        rows: Prepared,
        *,
        pattern: PatternVerbalizer,
        run: Run,
        second_derivative: bool = False,
    ) -> Tensor:
        """Hidden states that the output layer reads.

        Args:
            prompts: Stacked soft prompts, fp32, `[groups, prompt_tokens, width]`; prompts of 0 tokens are no prompt.
            groups: Which prompt each row is read under, `[rows]`.
            rows: The rows, from `prepared`.
            pattern: Template and label words.
            run: Tokens to insert behind the place of the answer, and the positions to read.
            second_derivative: Whether the result will be differentiated twice (a slower path).

        Returns:
            `[rows, offsets of the run, width]`, differentiable in `prompts`.
        """

    @abstractmethod
    def full_logits(
        self, prompt: Tensor, token_ids: Sequence[int], position: int, *, pattern: PatternVerbalizer
    ) -> Tensor:
        """The vocabulary's logits for one row of a bank by the unmodified model's own full forward, `[vocabulary]`."""

    def _encode(self, rows: Sequence[Sequence[int]]) -> KVTensors:
        """Keys and values of rows without the prompt (families that cache texts)."""
        raise NotImplementedError

    @cached_property
    def banks(self) -> Banks:
        """The banks made so far."""
        encode = self._encode if self.caches_texts else None
        return Banks(
            self.layout, self.device, self._cache, encode=encode, state_bytes=lambda: self.memory.kv_bytes_per_token
        )

    @property
    def plain_pass(self) -> bool:
        """Whether steps run through transformers' own forward, which keeps more for the gradient."""
        return True

    # ------------------------------------------------------------------------------------ texts

    def pattern(self, labels: LabelsConfig, where: str, *, whole_vocabulary: bool = False) -> PatternVerbalizer:
        """Tokenises a template and label words; see `Layout.pattern`."""
        return self.layout.pattern(labels, where, whole_vocabulary=whole_vocabulary)

    def bank(self, texts: Sequence[TextInput], pattern: PatternVerbalizer) -> Bank:
        """Prepares texts for scoring; nothing is encoded until a batch is asked for.

        Texts are cut to `max_text_tokens` (of a pair the longer one first); the template is never cut. The same
        texts give the same bank, so that methods that are scored on the same rows share cached texts.

        Raises:
            UserError: Where a text is blank.
        """
        return self.banks.of(texts, pattern)

    def forget(self, texts: Sequence[TextInput], pattern: PatternVerbalizer) -> None:
        """Drops the bank of these texts and what is cached of it."""
        self.banks.forget(texts, pattern)

    def forget_texts(self) -> None:
        """Drops all banks and what is cached of them."""
        self.banks.forget_all()

    def encoded(self, rows: Sequence[Sequence[int]], spare: int) -> TextKV:
        """Keys and values of rows, computed anew."""
        bank = KVBank(rows, self._encode, bytes_per_token=self.memory.kv_bytes_per_token, cache=KVCache(0), number=0)
        return bank.batch(range(len(rows)), spare)

    def prepared(
        self, bank: Bank, rows: Sequence[int], pattern: PatternVerbalizer, *, prompt_tokens: int, prompts: int = 1
    ) -> Prepared:
        """Rows of a bank, ready for `class_scores` under prompts of that length."""
        return bank.batch(rows, spare=prompts * self.spare(pattern, prompt_tokens))

    def spare(self, pattern: PatternVerbalizer, prompt_tokens: int) -> int:
        """Columns that a pass needs in front of each cached text."""
        return 0

    def _pass_tokens(self, pattern: PatternVerbalizer, prompt_tokens: int, longest: int) -> tuple[int, int]:
        """Tokens that a pass runs behind a cached text (0 where it runs the row itself), and tokens of the row."""
        return 0, prompt_tokens + longest + pattern.verbalizer.longest_insertion

    # ----------------------------------------------------------------------------------- scores

    def class_scores(
        self,
        prompts: Tensor,
        groups: Tensor,
        rows: Prepared,
        *,
        pattern: PatternVerbalizer,
        second_derivative: bool = False,
    ) -> Tensor:
        """Scores each row's classes under the prompt of the row's group; arguments as for `features`.

        Returns:
            fp32 `[rows, columns]`, see `Verbalizer.scores`; differentiable in `prompts`.
        """
        hidden = []
        for number, run in enumerate(pattern.verbalizer.runs):
            # A pass writes in front of cached texts what its gradient needs.
            of_run = rows.copy() if number and isinstance(rows, TextKV) else rows
            hidden.append(
                self.features(prompts, groups, of_run, pattern=pattern, run=run, second_derivative=second_derivative)
            )
        return pattern.verbalizer.scores(hidden, pattern.head or self.head)

    def features_of_each_prompt(
        self, prompts: Tensor, rows: Prepared, pattern: PatternVerbalizer, *, run: Run
    ) -> Tensor:
        """Features of each row under each of the prompts that share a pass, `[rows, prompts, offsets, width]`."""
        groups = torch.zeros(len(rows.lengths), dtype=torch.long, device=self.device)
        return self.features(prompts, groups, rows, pattern=pattern, run=run)[:, None]

    def prompts_together(self, groups: int) -> int:
        """Prompts that share a pass, so that passes over `groups` prompts are of equal size."""
        passes = -(-groups // PROMPTS_PER_PASS) if self.shares_text else groups
        return -(-groups // passes)

    # ----------------------------------------------------------------------------------- memory

    def rows_within(
        self,
        pattern: PatternVerbalizer,
        prompt_tokens: int,
        longest: int,
        *,
        prompts: int = 1,
        scoring: bool = False,
        second_derivative: bool = False,
    ) -> int:
        """Rows of that length that a pass may hold, at least one.

        Args:
            pattern: Template and label words.
            prompt_tokens: Length of the prompts.
            longest: Tokens of the longest row in its bank.
            prompts: Prompts that share the pass.
            scoring: Whether no gradient is taken.
            second_derivative: Whether the result is differentiated twice.
        """
        budget = self.pass_bytes * (SCORING_SHARE if scoring else 1)
        size = self.row_bytes(
            pattern, prompt_tokens, longest, prompts=prompts, scoring=scoring, second_derivative=second_derivative
        )
        most = max(1, int(budget / size))
        return most if self.rows_limit is None else min(most, max(1, self.rows_limit // prompts))

    def row_bytes(
        self,
        pattern: PatternVerbalizer,
        prompt_tokens: int,
        longest: int,
        *,
        prompts: int = 1,
        scoring: bool = False,
        second_derivative: bool = False,
    ) -> float:
        """Memory of one row in a pass; arguments as for `rows_within`."""
        new, text = self._pass_tokens(pattern, prompt_tokens, longest)
        factor = self.plain_factor if not scoring and (self.plain_pass or second_derivative) else 1.0
        factor *= SECOND_FACTOR if second_derivative else 1
        size = self.memory.row_bytes(new * prompts, text, scoring=scoring, factor=factor)
        if not scoring:
            size *= len(pattern.verbalizer.runs)  # the gradient needs every run
        if not pattern.verbalizer.simple:
            # Logits of the whole vocabulary, their softmax and its gradient.
            size += 3 * 4 * len(self.embedding) * prompts * len(pattern.verbalizer.runs)
        return size

    def halve_passes(self, rows: int, prompts: int = 1) -> int:
        """Halves passes after memory ran out, and tells the user; returns the new limit of rows under one prompt.

        Args:
            rows: Rows of the pass that did not fit.
            prompts: Prompts that shared it.
        """
        limit = half_of(rows)
        self.rows_limit = limit * prompts
        self._cache.recent.clear()
        if self.graphs is not None:
            self.graphs.clear()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self.on_notice(f"Memory ran out with {rows} rows in a pass; passes have at most {limit} rows from now on.")
        return limit

    def _vectors(self, tokens: Sequence[int], rows: int) -> Tensor:
        """Input embeddings of the same tokens for each of some rows, `[rows, tokens, width]`."""
        return self._embed(constant(tokens, self.device)).expand(rows, -1, -1)  # type: ignore[no-any-return]
