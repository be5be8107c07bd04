"""What a CUDA graph does, on a CPU: operations are noted with the memory they read and write, and done again there.

Whatever a pass decides by numbers is fixed when it is noted, as on a card: a pass that looks at its inputs gives wrong
numbers for other ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

#: Operations that read a number out.
READS = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default, torch.ops.aten.equal.default}


class _Notes(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in READS:
            raise RuntimeError(f"{function} while a pass is recorded")
        result = function(*args, **(kwargs or {}))
        self.operations.append((function, args, kwargs or {}, result))
        return result


def record(compute: Callable[[], tuple[Tensor, ...]]) -> tuple[Callable[[], object], tuple[Tensor, ...]]:
    """See `step_graphs.Record`."""
    with _Notes() as notes:
        outputs = compute()

    @torch.no_grad()
    def replay() -> None:
        for function, args, kwargs, noted in notes.operations:
            again = function(*args, **kwargs)
            if function._schema.is_mutable:
                continue
            given = {_memory(value) for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)}
            for old, new in zip(tree_leaves(noted), tree_leaves(again), strict=True):
                if isinstance(old, Tensor) and _memory(old) not in given:  # a view has its numbers already
                    old.detach().copy_(new)

    return replay, outputs


def _memory(value: Tensor) -> int:
    """Packed weights have no storage of their own to compare."""
    return id(value) if value.is_mkldnn else value.untyped_storage().data_ptr()
