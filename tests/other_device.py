"""A device beside the CPU, made of CPU tensors: what forgets to move a tensor fails here, as it would on a GPU.

Machines that test this package have no GPU. On this device every operation gives what the CPU gives, and refuses what
CUDA refuses: tensors of two devices in one operation (but for numbers without dimensions, and indices), ``numpy()``.
It says nothing of CUDA's own kernels, speed or memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
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
    library.impl("copy_", lambda to, source, non_blocking=False: (to.inner.copy_(_inner(source)), to)[1], "PrivateUse1")
    return library


def _make_empty(size: Any, stride: Any, *, dtype: Any = None, **_: Any) -> OtherTensor:
    return OtherTensor(torch.empty_strided(size, stride, dtype=dtype, device="cpu"))


@contextmanager
def other_device() -> Iterator[None]:
    """While the body runs there is a device of the name `NAME`."""
    _register()
    # Tensors of inference mode cannot be wrapped.
    with _Operations(), _Functions(), patch.object(torch, "inference_mode", torch.no_grad):
        yield
