"""What rows take in memory, by hand, and how passes follow from it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GPT2Config, LlamaConfig

from metapt_explore.models import memory
from metapt_explore.models.memory import GIB, RowMemory, is_out_of_memory, kv_cache_bytes, pass_budget

LLAMA = RowMemory.of(
    LlamaConfig(
        hidden_size=64,
        intermediate_size=100,
        num_hidden_layers=3,
        num_attention_heads=8,
        num_key_value_heads=2,
        head_dim=16,
    ),
    itemsize=2,
)

tokens = st.integers(1, 300)


def test_sizes_are_read_from_a_configuration() -> None:
    """Llama names all of them; GPT-2 has other names, as many key heads as query heads, and no inner width."""
    assert RowMemory(3, 64, 100, 8, 2, 16, 2) == LLAMA
    gpt2 = RowMemory.of(GPT2Config(n_embd=32, n_layer=2, n_head=4), itemsize=4)
    assert gpt2 == RowMemory(2, 32, 128, 4, 4, 8, 4)


def test_a_text_state_by_hand() -> None:
    """Keys and values (2) of 3 layers, 2 key heads of 16 numbers, 2 bytes each."""
    assert LLAMA.kv_bytes_per_token == 2 * 3 * 2 * 16 * 2 == 384


def test_a_row_by_hand() -> None:
    """5 new tokens behind 10: hidden states, MLP, attended heads and weights of each, in 3 layers of 2 bytes."""
    kept = (2 * 64 + 3 * 100 + 8 * (16 + 15)) * 2 * 5 * 3
    assert LLAMA.row_bytes(5, 10) == kept + 15 * 384
    assert LLAMA.row_bytes(5, 10, factor=3) == 3 * kept + 15 * 384
    # Without a gradient, about four layers' worth is alive at a time, whatever the number of layers.
    assert LLAMA.row_bytes(5, 10, scoring=True) == kept / 3 * 4 + 15 * 384
    # With `prefix` the text itself is run.
    assert LLAMA.row_bytes(0, 10) == (2 * 64 + 3 * 100 + 8 * (16 + 10)) * 2 * 10 * 3 + 10 * 384


@given(budget=st.floats(1, 1e12), new_tokens=st.integers(0, 100), text_tokens=tokens, scoring=st.booleans())
def test_rows_within_a_budget(budget: float, new_tokens: int, text_tokens: int, scoring: bool) -> None:
    """At least one; otherwise as many as fit, and no more."""
    rows = LLAMA.rows_within(budget, new_tokens, text_tokens, scoring=scoring)
    row = LLAMA.row_bytes(new_tokens, text_tokens, scoring=scoring)
    assert rows >= 1 and (rows == 1 or rows * row <= budget) and (rows + 1) * row > budget * (1 - 1e-9)


@given(
    budget=st.floats(1, 1e12), more=st.floats(1, 10), new_tokens=st.integers(0, 100), text_tokens=tokens, longer=tokens
)
def test_rows_grow_with_the_budget_and_shrink_with_length(
    budget: float, more: float, new_tokens: int, text_tokens: int, longer: int
) -> None:
    rows = LLAMA.rows_within(budget, new_tokens, text_tokens)
    assert LLAMA.rows_within(budget * more, new_tokens, text_tokens) >= rows
    assert LLAMA.rows_within(budget, new_tokens, text_tokens + longer) <= rows
    assert LLAMA.rows_within(budget, new_tokens, text_tokens, factor=more) <= rows


def test_the_budget_of_a_pass() -> None:
    assert pass_budget(0.25, torch.device("cpu")) == GIB / 4


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes."), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes."), True),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED … out of memory"), True),
        (RuntimeError("size mismatch"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_counts_as_memory_running_out(error: BaseException, expected: bool) -> None:
    assert is_out_of_memory(error) == expected


def test_a_small_machine_gets_smaller_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An 8 GB laptop runs the tour; what the config says counts on any machine."""
    cpu = torch.device("cpu")
    monkeypatch.setattr(memory, "CGROUP_LIMIT", tmp_path / "memory.max")
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: SimpleNamespace(total=64 * GIB))
    assert (pass_budget(None, cpu), kv_cache_bytes(None)) == (GIB, 4 * GIB)
    # A container's limit counts as the machine's memory.
    (tmp_path / "memory.max").write_text(f"{8 * GIB}\n", encoding="utf-8")
    assert (pass_budget(None, cpu), kv_cache_bytes(None)) == pytest.approx((0.4 * GIB, 1.6 * GIB))
    assert (pass_budget(2.0, cpu), kv_cache_bytes(3.0)) == (2 * GIB, 3 * GIB)
    (tmp_path / "memory.max").write_text("max\n", encoding="utf-8")
    assert memory.machine_memory() == 64 * GIB
