"""A device beside the CPU, made of CPU tensors: what forgets to move a tensor fails here, as it would on a GPU.

Machines that test this package have no GPU. On this device every operation gives what the CPU gives, and refuses what
CUDA refuses: tensors of two devices in one operation (but for numbers without dimensions, and indices), ``numpy()``.
It says nothing of CUDA's own kernels, speed or memory.

It counts where Python would wait for a card (`WAITS`): numbers that are read back, results whose size depends on
numbers, and copies out of memory that is not pinned.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

#: What `ModelConfig.device` is called.
NAME = "other"
ATEN = torch.ops.aten
MOVES = {ATEN._to_copy.default, ATEN.copy_.default}
#: CUDA takes indices from the CPU here.
INDEXES = {ATEN.index.Tensor, ATEN.index_put.default, ATEN.index_put_.default, ATEN._index_put_impl_.default}


#: What a host reads, or has to know to make the result.
READS = {
    ATEN._local_scalar_dense.default,
    ATEN.bincount.default,
    ATEN.equal.default,
    ATEN.masked_select.default,
    ATEN.nonzero.default,
    ATEN._unique2.default,
    ATEN.repeat_interleave.Tensor,
}
#: Each wait so far: the operation, and the line of the package that asked for it.
WAITS: list[str] = []


class OtherTensor(torch.Tensor):
    """A tensor that says it is on the other device; `inner` holds its numbers."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> OtherTensor:
        made: OtherTensor = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=torch.device(NAME, 0),
        )
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(function, args, kwargs or {})


def _inner(value: Any) -> Any:
    return value.inner if isinstance(value, OtherTensor) else value


def _run(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, torch.Tensor)]
    others = [value for value in tensors if isinstance(value, OtherTensor)]
    asked = kwargs.get("device")
    if _waits(function, args, kwargs):
        _note(str(function))
    if others and function not in MOVES:
        checked = tensors[:1] + tensors[-1:] if function in INDEXES else tensors
        for value in checked:
            if not isinstance(value, OtherTensor) and value.dim():
                raise RuntimeError(f"{function}: expected all tensors to be on the same device")
    if asked is not None:
        moved = torch.device(asked).type == NAME
        kwargs = {**kwargs, "device": "cpu" if moved else asked}
    elif function is ATEN.copy_.default:
        moved = isinstance(args[0], OtherTensor)
    else:
        moved = bool(others)
    found = function(*tree_map(_inner, args), **tree_map(_inner, kwargs))
    if function._schema.is_mutable:  # what is written in place stays the same object
        same = {id(_inner(value)): value for value in tensors}
        return tree_map(lambda value: same.get(id(value), value), found)
    return tree_map(lambda value: OtherTensor(value) if moved and isinstance(value, torch.Tensor) else value, found)


def _waits(function: Any, args: Any, kwargs: dict[str, Any]) -> bool:
    """Whether CUDA would make Python wait in this operation; for nothing it does not."""
    if function in MOVES and not args[0].numel():
        return False
    if function is ATEN._to_copy.default:
        asked, there = kwargs.get("device"), isinstance(args[0], OtherTensor)
        return asked is not None and _copy_waits(there, torch.device(asked).type == NAME, kwargs.get("non_blocking"))
    if function is ATEN.copy_.default:
        non_blocking = args[2] if len(args) > 2 else kwargs.get("non_blocking")
        return _copy_waits(isinstance(args[1], OtherTensor), isinstance(args[0], OtherTensor), non_blocking)
    if function in INDEXES and isinstance(args[0], OtherTensor):
        indices = [index for index in args[1] if index is not None]
        return any(index.dtype == torch.bool or not isinstance(index, OtherTensor) for index in indices)
    return function in READS and any(isinstance(value, OtherTensor) for value in args)


def _copy_waits(from_there: bool, to_there: bool, non_blocking: bool | None) -> bool:
    return from_there != to_there and (from_there or not non_blocking)


def _note(operation: str) -> None:
    frame: Any = sys._getframe()
    while frame is not None and "metapt_explore" not in Path(frame.f_code.co_filename).parts:
        frame = frame.f_back
    WAITS.append(
        operation if frame is None else f"{operation} at {Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
    )


class _Operations(TorchDispatchMode):
    """Catches what makes tensors, which has no tensor among its arguments."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(function, args, kwargs or {})


class _Functions(TorchFunctionMode):
    """A way out that no dispatch sees."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if function is torch.Tensor.tolist:
            if isinstance(args[0], OtherTensor):
                _note("tolist")
            return function(_inner(args[0]))
        return function(*args, **kwargs)


@cache
def _register() -> torch.library.Library:
    from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

    _setup_privateuseone_for_python_backend(NAME)
    getattr(torch, NAME).get_amp_supported_dtype = lambda: [torch.bfloat16]
    # What C++ makes out of Python lists (`torch.tensor`, indexing with a list) passes no dispatch mode.
    library = torch.library.Library("aten", "IMPL")
    library.impl("empty_strided", _make_empty, "PrivateUse1")
    library.impl("copy_", _copy, "PrivateUse1")
    return library


def _copy(to: OtherTensor, source: torch.Tensor, non_blocking: bool = False) -> OtherTensor:
    if source.numel() and _copy_waits(isinstance(source, OtherTensor), True, non_blocking):
        _note("copy_")
    to.inner.copy_(_inner(source))
    return to


def _make_empty(size: Any, stride: Any, *, dtype: Any = None, **_: Any) -> OtherTensor:
    return OtherTensor(torch.empty_strided(size, stride, dtype=dtype, device="cpu"))


@contextmanager
def other_device() -> Iterator[None]:
    """While the body runs there is a device of the name `NAME`."""
    _register()
    # Tensors of inference mode cannot be wrapped.
    with _Operations(), _Functions(), patch.object(torch, "inference_mode", torch.no_grad):
        yield
