"""The rows that a backbone has prepared: one bank for each list of texts under one template."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch

from metapt_explore.models.kv_cache.text import Encode, KVBank, TokenBank
from metapt_explore.models.kv_cache.tiers import KVCache
from metapt_explore.models.layout import Layout
from metapt_explore.texts.rows import TextInput
from metapt_explore.verbalizers.pattern import PatternVerbalizer

#: Banks whose token ids are remembered.
BANKS = 64

Bank = KVBank | TokenBank


class Banks:
    """Makes banks, and gives the same one for the same texts, so that methods share their states.

    Args:
        layout: What stands where in a row.
        device: Of the model.
        cache: Where text states are kept.
        encode: What of rows does not depend on the prompt; None where everything does.
        state_bytes: Memory of one token's state.
    """

    def __init__(
        self,
        layout: Layout,
        device: torch.device,
        cache: KVCache,
        *,
        encode: Encode | None,
        state_bytes: Callable[[], int],
    ) -> None:
        self._layout, self._device, self._cache = layout, device, cache
        self._encode, self._kv_bytes_per_token = encode, state_bytes
        self._known: OrderedDict[tuple[object, ...], Bank] = OrderedDict()
        #: Banks with text states made so far.
        self.numbered = 0

    def __len__(self) -> int:
        return len(self._known)

    def of(self, texts: Sequence[TextInput], pattern: PatternVerbalizer) -> Bank:
        """The bank of some texts; see `Backbone.bank`."""
        key = self._key(texts, pattern)
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        rows = self._layout.rows(texts, pattern)
        token_ids = [ids for ids, _ in rows]
        bank: Bank
        if self._encode is not None:
            self.numbered += 1
            bank = KVBank(
                token_ids,
                self._encode,
                bytes_per_token=self._kv_bytes_per_token(),
                cache=self._cache,
                number=self.numbered,
            )
        else:
            bank = TokenBank(token_ids, self._device, [position for _, position in rows])
        self._known[key] = bank
        if len(self._known) > BANKS:
            self._drop(self._known.popitem(last=False)[1])
        return bank

    def forget(self, texts: Sequence[TextInput], pattern: PatternVerbalizer) -> None:
        """Drops the bank of these texts and its states, where there is one."""
        self._drop(self._known.pop(self._key(texts, pattern), None))

    def forget_all(self) -> None:
        """Drops all banks and their states."""
        while self._known:
            self._drop(self._known.popitem()[1])

    def _key(self, texts: Sequence[TextInput], pattern: PatternVerbalizer) -> tuple[object, ...]:
        return self._layout.config.max_text_tokens, self._layout.bank_key(pattern), tuple(texts)

    def _drop(self, bank: Bank | None) -> None:
        if isinstance(bank, KVBank):
            self._cache.forget(bank.number)
