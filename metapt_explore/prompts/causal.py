"""Decoder-only language models with the `suffix` placement: text first, prompt after it.

The text stands in front of the prompt, so that its keys and values do not depend on the prompt and
are computed once (`TextBank`). A step then runs only the prompt and the template's tail through the
model, at a cost that hardly depends on the length of the text.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from metapt_explore.config import LabelsConfig, ModelConfig
from metapt_explore.errors import UserError
from metapt_explore.prompts import attention
from metapt_explore.prompts.reader import Reader, make_reader
from metapt_explore.prompts.text_state import TextBank, TextState

#: Prompts that share one pass over a text when scores are read; more only enlarges the masked square.
PROMPTS_PER_PASS = 8


class CausalBackbone:
    """A frozen decoder-only model that scores label words under stacked soft prompts.

    Args:
        model: A transformers causal language model, loaded with our attention function.
        tokenizer: Its tokenizer.
        config: Text length, rows of a pass and memory for text states.

    Example:
        >>> backbone = load_backbone(ModelConfig())            # doctest: +SKIP
        >>> reader = backbone.reader(labels_config, "study")   # doctest: +SKIP
        >>> bank = backbone.bank(["what a film"], reader)      # doctest: +SKIP
        >>> backbone.class_scores(prompts, torch.tensor([0]), bank.batch([0]), reader)  # doctest: +SKIP
    """

    def __init__(self, model: Any, tokenizer: Any, config: ModelConfig) -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.config = config
        self.embedding: Tensor = model.get_input_embeddings().weight
        self.output: Tensor = model.get_output_embeddings().weight
        self.output_bias: Tensor | None = getattr(model.get_output_embeddings(), "bias", None)
        self.dtype, self.device = self.embedding.dtype, self.embedding.device
        self.width = int(self.embedding.shape[1])
        self._banks: OrderedDict[tuple[object, ...], TextBank] = OrderedDict()

    # ------------------------------------------------------------------------------------ texts

    def reader(self, labels: LabelsConfig, where: str) -> Reader:
        """Tokenises a template and label words; with `suffix` the template needs a tail to read from."""
        return make_reader(labels, self.tokenizer, where)

    def bank(self, texts: Sequence[str], reader: Reader) -> TextBank:
        """Prepares texts for scoring; nothing is encoded until a batch is asked for.

        Texts are cut to `max_text_tokens`; the template is never cut. The same texts give the same
        bank, so that methods that are scored on the same rows share their states; the oldest banks
        are forgotten when all of them together exceed `text_state_gib`.

        Raises:
            UserError: Where a text is blank.
        """
        key = (reader.before, tuple(texts))
        if key in self._banks:
            self._banks.move_to_end(key)
            return self._banks[key]
        token_ids = [[*self._first_tokens(), *reader.before, *ids] for ids in self._cut(texts)]
        for index, ids in enumerate(token_ids):
            if not ids:
                raise UserError(f"Text {index} is blank; blank texts must be dropped before scoring.")
        budget = self.config.text_state_gib * 2**30
        bank = TextBank(token_ids, self._encode, self._bytes_per_token(), budget)
        self._banks[key] = bank
        while len(self._banks) > 1 and sum(b.needed_bytes for b in self._banks.values() if b.cached) > budget:
            self._banks.popitem(last=False)
        return bank

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

    def _bytes_per_token(self) -> int:
        config = self.model.config
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        kv_heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        return 2 * config.num_hidden_layers * kv_heads * head_dim * self.dtype.itemsize

    @torch.no_grad()
    def _encode(self, rows: Sequence[Sequence[int]]) -> TextState:
        longest = max(len(ids) for ids in rows)
        token_ids = torch.zeros(len(rows), longest, dtype=torch.long)
        for row, ids in enumerate(rows):
            token_ids[row, : len(ids)] = torch.tensor(ids)
        captured = attention.Captured([], [])
        self.model.base_model(input_ids=token_ids.to(self.device), use_cache=False, captured=captured)
        lengths = torch.tensor([len(ids) for ids in rows], device=self.device)
        return TextState(torch.stack(captured.keys), torch.stack(captured.values), lengths)

    # ----------------------------------------------------------------------------------- scores

    def class_scores(self, prompts: Tensor, groups: Tensor, state: TextState, reader: Reader) -> Tensor:
        """Scores each row's classes under the prompt of the row's group.

        Args:
            prompts: Stacked soft prompts, fp32, `[groups, prompt_tokens, width]`.
            groups: Which prompt each row is read under, `[rows]`.
            state: The rows' text states.
            reader: Template and label words.

        Returns:
            Logits of the label words, fp32, `[rows, classes]`; differentiable in `prompts`.
        """
        tail = self.embedding[torch.tensor(reader.tail, device=self.device)]
        rows = len(groups)
        # Both ways are the same forward; each is the one whose backward adds in a fixed order on its device.
        picked = prompts[groups] if prompts.is_cuda else prompts.index_select(0, groups)
        new = torch.cat([picked.to(self.dtype), tail.expand(rows, -1, -1)], dim=1)
        hidden = self._forward(new, state, blocks=1)[:, -1]
        return self._read(hidden, reader)

    @torch.no_grad()
    def score_all(
        self, prompts: Tensor, bank: TextBank, reader: Reader, on_pass: Callable[[], None] = lambda: None
    ) -> Tensor:
        """Scores every row of a bank under every prompt; a text's state is shared by all prompts.

        Args:
            prompts: `[groups, prompt_tokens, width]`.
            bank: The rows.
            reader: Template and label words.
            on_pass: Called after each pass through the model; may raise to stop.

        Returns:
            `[groups, rows, classes]`, fp32, on the CPU.
        """
        groups, length, _ = prompts.shape
        tail = self.embedding[torch.tensor(reader.tail, device=self.device)]
        block = length + len(reader.tail)
        scores = torch.empty(groups, len(bank), len(reader.words))
        order = sorted(range(len(bank)), key=lambda row: (len(bank.token_ids[row]), row))
        together = min(groups, PROMPTS_PER_PASS)
        rows_per_pass = max(1, self.config.rows_per_pass // together)
        for start in range(0, len(order), rows_per_pass):
            rows = order[start : start + rows_per_pass]
            state = bank.batch(rows)
            for first in range(0, groups, PROMPTS_PER_PASS):
                part = prompts[first : first + PROMPTS_PER_PASS].to(self.device)
                blocks = len(part)
                new = torch.cat([part.to(self.dtype), tail.expand(blocks, -1, -1)], dim=1)
                new = new.reshape(1, blocks * block, -1).expand(len(rows), -1, -1)
                hidden = self._forward(new, state, blocks)[:, block - 1 :: block]
                read = self._read(hidden, reader)  # [rows, blocks, classes]
                scores[first : first + blocks, rows] = read.transpose(0, 1).cpu()
                on_pass()
        return scores

    def _forward(self, new: Tensor, state: TextState, blocks: int) -> Tensor:
        """Runs new token vectors `[rows, blocks * tokens, width]` over cached texts; returns hidden states."""
        tokens = new.shape[1] // blocks
        offsets = torch.arange(tokens, device=self.device).repeat(blocks)
        context = attention.Context(
            state.keys,
            state.values,
            state.text_mask(),
            attention.causal_mask(tokens, blocks, self.dtype, self.device),
        )
        out = self.model.base_model(
            inputs_embeds=new,
            position_ids=state.lengths[:, None] + offsets[None],
            use_cache=False,
            context=context,
        )
        return out.last_hidden_state

    def _read(self, hidden: Tensor, reader: Reader) -> Tensor:
        # In fp32: between two label words, bfloat16 logits would often be equal.
        words = torch.tensor(reader.words, device=self.device)
        scores = hidden.float() @ self.output[words].float().T
        return scores if self.output_bias is None else scores + self.output_bias[words].float()

    # ------------------------------------------------------------------------------- self-check

    @torch.no_grad()
    def check_exact(self) -> None:
        """Compares cached scoring with the model's own full forward, in eager attention, on two short rows.

        Raises:
            UserError: Where they differ: the architecture does something that text states do not
                cover (for example a sliding window), and results could not be trusted.
        """
        vocabulary = self.embedding.shape[0]
        rows = [[(7 * i + 3) % vocabulary for i in range(5)], [(11 * i + 5) % vocabulary for i in range(3)]]
        tail = (2 % vocabulary, 9 % vocabulary)
        reader = Reader((), tail, (1, 4), ("a", "b"))
        prompts = self.embedding[:3].float()[None]
        try:
            ours = self.class_scores(
                prompts, torch.zeros(2, dtype=torch.long, device=self.device), self._encode(rows), reader
            )
            self.model.set_attn_implementation("eager")
            try:
                plain = torch.stack([self._plain_scores(prompts[0], ids, reader) for ids in rows])
            finally:
                self.model.set_attn_implementation(attention.NAME)
        except (TypeError, AttributeError, IndexError, RuntimeError) as error:
            raise UserError(
                f"The model '{self.config.name}' cannot be used with the suffix placement ({error})."
            ) from error
        # What counts is how far the label words lie apart.
        difference = ((ours[:, 0] - ours[:, 1]) - (plain[:, 0] - plain[:, 1])).abs().max()
        scale = (plain[:, 0] - plain[:, 1]).abs().max() + 1
        if difference > (1e-3 if self.dtype == torch.float32 else 0.1) * scale:
            raise UserError(
                f"The model '{self.config.name}' gives other scores over cached texts than in a full forward "
                f"(difference {float(difference):.2g}), so it cannot be used with the suffix placement."
            )

    def _plain_scores(self, prompt: Tensor, token_ids: Sequence[int], reader: Reader) -> Tensor:
        text = self.embedding[torch.tensor(token_ids, device=self.device)]
        tail = self.embedding[torch.tensor(reader.tail, device=self.device)]
        whole = torch.cat([text, prompt.to(self.dtype), tail])[None]
        logits = self.model(inputs_embeds=whole, use_cache=False).logits[0, -1]
        return logits[torch.tensor(reader.words, device=self.device)].float()
