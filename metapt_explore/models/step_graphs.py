"""Passes as CUDA graphs: recorded once for each shape, then handed to the card as a whole (`model.cuda_graphs`).

A step of a small model is some two thousand operations of a few microseconds each, and Python needs longer to hand
them over than the card to run them (`docs/benchmarks.md`). A graph is handed over at once. It knows addresses, not
values: each shape has memory of its own that inputs are copied into. So a pass may read nothing back, and passes should
have few shapes (`padded_length`).

The first pass of a shape runs as it always does. The second is recorded, and compared with the pass itself; where it
differs, or cannot be recorded, the user is told and all passes run as before.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

#: Shapes that are recorded; each holds memory for its inputs. Passes of further shapes run as they always do.
MOST_GRAPHS = 32
#: Passes on a stream of their own before one is recorded: libraries set themselves up in the first.
WARM_UPS = 2
#: Allowed difference between a recorded pass and the pass itself, as a share of its size: the operations are the same,
#: but a sum over rows may be taken in another order.
TOLERANCE = {torch.float32: 1e-5}
USUAL_TOLERANCE = 1e-2

Compute = Callable[..., tuple[Tensor, ...]]
#: Runs something once while it is recorded; returns what runs it again, and the memory that its results are written to.
Record = Callable[[Callable[[], tuple[Tensor, ...]]], tuple[Callable[[], object], tuple[Tensor, ...]]]


def record_on_card(compute: Callable[[], tuple[Tensor, ...]]) -> tuple[Callable[[], object], tuple[Tensor, ...]]:
    """Records a CUDA graph, see `Record`."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            compute()
    torch.cuda.current_stream().wait_stream(stream)
    graph: Any = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = compute()
    return graph.replay, outputs


@dataclass
class _Graph:
    """A recorded pass, and what its inputs were copied from last."""

    inputs: list[Tensor]
    replay: Callable[[], object]
    outputs: tuple[Tensor, ...]
    sources: list[tuple[weakref.ref[Tensor], int]]

    def fill(self, sources: Sequence[Tensor]) -> None:
        """Copies inputs to where the graph reads them; texts that are there already stay (tuning on the same rows)."""
        for index, (own, source) in enumerate(zip(self.inputs, sources, strict=True)):
            known, version = self.sources[index]
            if known() is not source or version != source._version:
                own.copy_(source)
                self.sources[index] = weakref.ref(source), source._version


class StepGraphs:
    """The recorded passes of a model.

    Args:
        dtype: Of the model.
        notice: Told why passes are not recorded any more.
        record: How a pass is recorded.

    Attributes:
        works: Whether passes are still recorded and replayed.
    """

    def __init__(self, dtype: torch.dtype, notice: Callable[[str], None], record: Record = record_on_card) -> None:
        self.works = True
        self._tolerance = TOLERANCE.get(dtype, USUAL_TOLERANCE)
        self._notice, self._record = notice, record
        self._graphs: dict[Hashable, _Graph | None] = {}

    def run(self, key: Hashable, compute: Compute, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """What `compute(*inputs)` gives; of a recorded pass until the next one of that key.

        Args:
            key: What besides numbers decides which operations run: shapes, the template, label words.
            compute: The pass; what it does depends on the key, and on numbers in tensors only.
            inputs: Tensors on the device.
        """
        if not self.works or (key not in self._graphs and len(self._graphs) >= MOST_GRAPHS):
            return compute(*inputs)
        seen, graph = key in self._graphs, self._graphs.setdefault(key, None)
        if graph is not None:
            graph.fill(inputs)
            graph.replay()
            return graph.outputs
        expected = compute(*inputs)
        if seen and all(bool(value.isfinite().all()) for value in expected):
            self._try(key, compute, inputs=inputs, expected=expected)
        return expected

    def clear(self) -> None:
        """Forgets all graphs, and frees their memory."""
        self._graphs.clear()

    def _try(self, key: Hashable, compute: Compute, *, inputs: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
        """Records a pass and keeps it where it gives what the pass itself gave."""
        own = [value.detach().clone() for value in inputs]
        try:
            replay, outputs = self._record(lambda: compute(*own))
            for value, source in zip(own, inputs, strict=True):
                value.copy_(source)
            replay()
            same = all(self._same(value, exact) for value, exact in zip(outputs, expected, strict=True))
        except RuntimeError as error:
            self._give_up(f"a pass cannot be recorded ({str(error).splitlines()[0]})")
            return
        if not same:
            self._give_up("a recorded pass gives other numbers than the pass itself")
            return
        sources = [(weakref.ref(source), source._version) for source in inputs]
        self._graphs[key] = _Graph(own, replay, outputs, sources)

    def _same(self, value: Tensor, exact: Tensor) -> bool:
        return bool((value - exact).norm() <= self._tolerance * exact.norm())

    def _give_up(self, why: str) -> None:
        self.works = False
        self.clear()
        self._notice(f"model.cuda_graphs has no effect here: {why}. Everything else is as without it.")
