"""Decoder-only language models under stacked soft prompts, in both placements.

`suffix` puts the text in front of the prompt, so that the text's keys and values do not depend on the
prompt and are computed once (`TextBank`). A step then runs only the prompt and the template's tail
through the model, at a cost that hardly depends on the length of the text. `prefix`, the classic
layout, puts the prompt first; its keys and values are computed once for all rows of a group.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from metapt_explore.config import LabelsConfig, ModelConfig, Placement
from metapt_explore.errors import UserError
from metapt_explore.prompts import fused_weights
from metapt_explore.prompts.decoder import Decoder
from metapt_explore.prompts.fused import FusedDecoder
from metapt_explore.prompts.memory import RowMemory, is_out_of_memory, pass_budget
from metapt_explore.prompts.plain import PlainDecoder, pick
from metapt_explore.prompts.reader import Reader, make_reader
from metapt_explore.prompts.state_cache import StateCache, States, make_cache
from metapt_explore.prompts.text_state import TextBank, TextState, TokenBank, TokenRows, pad_rows

#: Prompts that share one pass over a text when scores are read; more only enlarges the masked square.
PROMPTS_PER_PASS = 8
#: Scoring takes this share of a pass's memory: its rows are many, and smaller passes stay in the caches.
SCORING_SHARE = 0.25
#: Banks whose token ids are remembered.
BANKS = 64

Bank = TextBank | TokenBank
Prepared = TextState | TokenRows


class CausalBackbone:
    """A frozen decoder-only model that scores label words under stacked soft prompts.

    Args:
        model: A transformers causal language model, loaded with our attention function.
        tokenizer: Its tokenizer.
        config: Text length, and memory for passes and text states.
        placement: Where the prompt stands, ``suffix`` or ``prefix``.

    Attributes:
        on_notice: Called with what a user should know (a halved pass, a slower path).

    Example:
        >>> backbone = load_backbone(ModelConfig())            # doctest: +SKIP
        >>> reader = backbone.reader(labels_config, "study")   # doctest: +SKIP
        >>> bank = backbone.bank(["what a film"], reader)      # doctest: +SKIP
        >>> rows = backbone.prepared(bank, [0], reader, prompt_tokens=8)  # doctest: +SKIP
        >>> backbone.class_scores(prompts, torch.tensor([0]), rows, reader)  # doctest: +SKIP
    """

    def __init__(self, model: Any, tokenizer: Any, config: ModelConfig, placement: Placement = "suffix") -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer, self.config, self.placement = tokenizer, config, placement
        self._embed = model.get_input_embeddings()
        scale = getattr(self._embed, "embed_scale", None)  # Gemma 3 scales what it looks up
        weight: Tensor = self._embed.weight
        self.embedding = weight if scale is None else weight * torch.as_tensor(scale).to(weight)
        self.output: Tensor = model.get_output_embeddings().weight
        self.output_bias: Tensor | None = getattr(model.get_output_embeddings(), "bias", None)
        self.output_cap: float | None = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
        self.dtype, self.device = weight.dtype, weight.device
        self.width = int(weight.shape[1])
        self.plain: Decoder = PlainDecoder(model)
        self.fast: Decoder = FusedDecoder(model) if fused_weights.supports(model) else self.plain
        self.memory = RowMemory.of(model.config, self.dtype.itemsize)
        self.pass_bytes = pass_budget(config.pass_memory_gib, self.device)
        self.rows_limit: int | None = config.rows_per_pass
        self.on_notice: Callable[[str], None] = lambda message: None
        self._cache = make_cache(config.text_state_gib, config.second_tier_gib, self.device)
        self._banks: OrderedDict[tuple[object, ...], Bank] = OrderedDict()
        self._numbered = 0

    # ------------------------------------------------------------------------------------ texts

    def reader(self, labels: LabelsConfig, where: str) -> Reader:
        """Tokenises a template and label words."""
        return make_reader(labels, self.tokenizer, where)

    def bank(self, texts: Sequence[str], reader: Reader) -> Bank:
        """Prepares texts for scoring; nothing is encoded until a batch is asked for.

        Texts are cut to `max_text_tokens`; the template is never cut. The same texts give the same
        bank, so that methods that are scored on the same rows share their states.

        Raises:
            UserError: Where a text is blank.
        """
        tail = reader.tail if self.placement == "prefix" else ()
        key = self._bank_key(texts, reader)
        if key in self._banks:
            self._banks.move_to_end(key)
            return self._banks[key]
        cut = self._cut(texts)
        first = [*self._first_tokens(), *reader.before]
        for index, ids in enumerate(cut):
            if not first and not ids:
                raise UserError(f"Text {index} is blank; blank texts must be dropped before scoring.")
        token_ids = [[*first, *ids, *tail] for ids in cut]
        bank: Bank
        if self.placement == "prefix":
            bank = TokenBank(token_ids, self.device)
        else:
            self._numbered += 1
            bank = TextBank(token_ids, self._encode, self.memory.state_bytes_per_token, self._cache, self._numbered)
        self._banks[key] = bank
        if len(self._banks) > BANKS:
            _, oldest = self._banks.popitem(last=False)
            if isinstance(oldest, TextBank):
                self._cache.forget(oldest.number)
        return bank

    def _bank_key(self, texts: Sequence[str], reader: Reader) -> tuple[object, ...]:
        return reader.before, reader.tail if self.placement == "prefix" else (), tuple(texts)

    def forget(self, texts: Sequence[str], reader: Reader) -> None:
        """Drops the bank of these texts and its states, where there is one."""
        bank = self._banks.pop(self._bank_key(texts, reader), None)
        if isinstance(bank, TextBank):
            self._cache.forget(bank.number)

    def forget_texts(self) -> None:
        """Drops all banks and their states."""
        for bank in self._banks.values():
            if isinstance(bank, TextBank):
                self._cache.forget(bank.number)
        self._banks.clear()

    def _cut(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        longest = self.config.max_text_tokens
        cut = self.tokenizer(list(texts), add_special_tokens=False, truncation=True, max_length=longest)
        return cut["input_ids"]

    def _first_tokens(self) -> list[int]:
        """The beginning-of-sequence token where the tokenizer itself starts a text with one."""
        bos = self.tokenizer.bos_token_id
        return [bos] if bos is not None and self.tokenizer("a")["input_ids"][:1] == [bos] else []

    def _encode(self, rows: Sequence[Sequence[int]]) -> States:
        keys, values = self.fast.encode(pad_rows(rows, self.device).token_ids)
        return {"keys": keys, "values": values}

    def encoded(self, rows: Sequence[Sequence[int]], spare: int) -> TextState:
        """Text states of token ids, past every cache."""
        bank = TextBank(rows, self._encode, self.memory.state_bytes_per_token, StateCache(0), 0)
        return bank.batch(range(len(rows)), spare)

    def new_tokens(self, reader: Reader, prompt_tokens: int) -> int:
        """Tokens that a step runs for each row besides those of its bank."""
        return prompt_tokens + len(reader.tail) if self.placement == "suffix" else 0

    def prepared(
        self, bank: Bank, rows: Sequence[int], reader: Reader, prompt_tokens: int, prompts: int = 1
    ) -> Prepared:
        """Rows of a bank, ready for `class_scores` under prompts of that length."""
        return bank.batch(rows, spare=prompts * self.new_tokens(reader, prompt_tokens))

    # ----------------------------------------------------------------------------------- scores

    def class_scores(
        self, prompts: Tensor, groups: Tensor, rows: Prepared, reader: Reader, second_derivative: bool = False
    ) -> Tensor:
        """Scores each row's classes under the prompt of the row's group.

        Args:
            prompts: Stacked soft prompts, fp32, `[groups, prompt_tokens, width]`.
            groups: Which prompt each row is read under, `[rows]`.
            rows: The rows, from `prepared`.
            reader: Template and label words.
            second_derivative: Whether the result will be differentiated twice (a slower path).

        Returns:
            Logits of the label words, fp32, `[rows, classes]`; differentiable in `prompts`.
        """
        decoder = self.plain if second_derivative else self.fast
        if isinstance(rows, TokenRows):
            vectors = self._embed(rows.token_ids)
            hidden = decoder.after_prompt(prompts.to(self.dtype), vectors, rows.lengths, groups)
        else:
            new = torch.cat([pick(prompts, groups).to(self.dtype), self._tail(reader, len(groups))], dim=1)
            hidden = decoder.after_text(new, rows, blocks=1)[:, 0]
        return self._read(hidden, reader)

    def _tail(self, reader: Reader, rows: int) -> Tensor:
        return self._embed(torch.tensor(reader.tail, device=self.device)).expand(rows, -1, -1)

    @torch.no_grad()
    def score_all(
        self, prompts: Tensor, bank: Bank, reader: Reader, on_pass: Callable[[], None] = lambda: None
    ) -> Tensor:
        """Scores every row of a bank under every prompt.

        With `suffix` up to eight prompts share one pass over a text; with `prefix` the rows of a pass share
        their prompt.

        Args:
            prompts: `[groups, prompt_tokens, width]`.
            bank: The rows.
            reader: Template and label words.
            on_pass: Called after each pass through the model; may raise to stop.

        Returns:
            `[groups, rows, classes]`, fp32, on the CPU.
        """
        groups, length, _ = prompts.shape
        scores = torch.empty(groups, len(bank), len(reader.words))
        together = self.prompts_together(groups)
        new_tokens = self.new_tokens(reader, length) * together
        order = sorted(range(len(bank)), key=lambda row: (len(bank.token_ids[row]), row))
        while order:
            longest = len(bank.token_ids[order[-1]])
            size = self.memory.rows_within(SCORING_SHARE * self.pass_bytes, new_tokens, longest, scoring=True)
            if self.rows_limit is not None:
                size = min(size, max(1, self.rows_limit // together))
            # The longest rows first: a pass that does not fit fails at once.
            rows = order[-size:]
            exhausted = False
            try:
                prepared = self.prepared(bank, rows, reader, length, together)
                for first in range(0, groups, together):
                    part = prompts[first : first + together].to(self.device)
                    read = self._score_pass(part, prepared, reader)
                    scores[first : first + len(part), rows] = read.cpu()
                    on_pass()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                exhausted = True  # handled outside of `except`, where the error still holds the tensors
            if exhausted:
                prepared = None  # type: ignore[assignment]
                self.halve_passes(len(rows), together)
            else:
                order = order[: -len(rows)]
        return scores

    def halve_passes(self, rows: int, prompts: int = 1) -> int:
        """After memory ran out: passes are halved from now on, and the user is told.

        Args:
            rows: Rows of the pass that did not fit.
            prompts: Prompts that each of them was read under.

        Returns:
            The new limit of rows, where each is read under one prompt.

        Raises:
            UserError: Where the pass had a single row.
        """
        if rows == 1:
            raise UserError(
                "Memory ran out with one row in a pass. Use a smaller model, a shorter prompt or "
                "`model.max_text_tokens`, or `model.dtype: bfloat16`."
            )
        limit = (rows + 1) // 2
        self.rows_limit = limit * prompts
        self._cache.recent.clear()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self.on_notice(f"Memory ran out with {rows} rows in a pass; passes have at most {limit} rows from now on.")
        return limit

    def prompts_together(self, groups: int) -> int:
        """Prompts that share a pass when so many are scored: as many in each pass as in the others."""
        passes = -(-groups // PROMPTS_PER_PASS) if self.placement == "suffix" else groups
        return -(-groups // passes)

    def _score_pass(self, prompts: Tensor, rows: Prepared, reader: Reader) -> Tensor:
        """Scores `[prompts, rows, classes]` of one pass."""
        if isinstance(rows, TokenRows):
            groups = torch.zeros(len(rows.lengths), dtype=torch.long, device=self.device)
            return self.class_scores(prompts, groups, rows, reader)[None]
        blocks, count = len(prompts), len(rows.lengths)
        new = torch.cat([prompts.to(self.dtype), self._tail(reader, blocks)], dim=1)
        new = new.reshape(1, -1, self.width).expand(count, -1, -1)
        return self._read(self.fast.after_text(new, rows, blocks), reader).transpose(0, 1)

    def _read(self, hidden: Tensor, reader: Reader) -> Tensor:
        # In fp32: between two label words, bfloat16 logits would often be equal.
        words = torch.tensor(reader.words, device=self.device)
        scores = hidden.float() @ self.output[words].float().T
        if self.output_bias is not None:
            scores = scores + self.output_bias[words].float()
        return scores if self.output_cap is None else self.output_cap * torch.tanh(scores / self.output_cap)
