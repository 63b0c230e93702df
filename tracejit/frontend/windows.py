"""Views whose elements overlap: `as_strided`, `sliding_window_view`, `np.nditer`.

Such a view reads its array through places that are known while staging. It cannot be
written to: one cell stands at several places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit.base.errors import IndexRangeError, ShapeMismatchError
from tracejit.frontend.box import HANDLERS, Box, constant, has_box, plain
from tracejit.frontend.lens import (
    Broadcasted,
    Shape,
    Strides,
    c_ordered,
    c_strides,
    unsure_alias,
)
from tracejit.frontend.numpy_calls import asarray, library
from tracejit.frontend.trace import current_trace
from tracejit.frontend.trips import Trips
from tracejit.frontend.views import flat
from tracejit.ir.program import Atom
from tracejit.ops.numpy_names import emit, unsupported
from tracejit.ops.numpy_reduce import normal_axis


@dataclass(frozen=True, slots=True)
class Overlapping(Broadcasted):
    """Cells of the base at `steps` from the first one; `source` is how the base lies.

    Both count in elements.
    """

    source: tuple[int, ...]
    steps: tuple[int, ...]

    @property
    def places(self) -> np.ndarray[Any, Any]:
        """Which of the base's elements, in C order, stands where."""
        room = 1 + sum(
            (int(n) - 1) * s for n, s in zip(self.base, self.source, strict=True)
        )
        cells = np.full(room, -1)
        count = int(np.prod(self.base))
        _strided(cells, self.base, self.source)[...] = np.arange(count).reshape(
            tuple(map(int, self.base))
        )
        return _strided(cells, self.shape, self.steps).copy()

    def get(self, x: Atom) -> Atom:
        cells = emit("reshape", x, shape=(x.aval.size,))
        places = constant(self.places, self.shape)
        return emit("gather", cells, places, axes=(0,))

    def of(self, array: Any) -> Any:
        return np.ravel(array)[self.places]

    def strides(self, strides: Strides) -> Strides:
        return self.steps if strides == self.source else None


def _strided(cells: Any, shape: Sequence[int], steps: Sequence[int]) -> Any:
    strides = [step * cells.itemsize for step in steps]
    return np.lib.stride_tricks.as_strided(cells, tuple(map(int, shape)), strides)


def _overlapping(box: Box, shape: Shape, source: Any, steps: Any) -> Box:
    farthest = sum((n - 1) * s for n, s in zip(shape, steps, strict=True))
    last = sum((n - 1) * s for n, s in zip(box.aval.shape, source, strict=True))
    if min((0, *source, *steps)) < 0:
        raise unsupported(
            "as_strided with negative strides", "x[::-1], then as_strided"
        )
    if 0 not in shape and farthest > last:
        raise IndexRangeError(
            "as_strided reaches beyond the end of the array",
            current_trace().builder.loc,
            "a smaller shape, or smaller strides",
        )
    return box.through(Overlapping(box.aval.shape, shape, tuple(source), tuple(steps)))


def as_strided(
    x: Any, shape: Any = None, strides: Any = None, subok: Any = False, **options: Any
) -> Any:
    """`np.lib.stride_tricks.as_strided`: a view that cannot be written to."""
    if not has_box(x):
        return np.lib.stride_tricks.as_strided(x, shape, strides, subok, **options)
    source = x.strides_in_elements
    if source is None:
        raise unsure_alias()
    itemsize = x.aval.dtype.itemsize
    shape = x.aval.shape if shape is None else tuple(plain(shape))
    if strides is None:
        return _overlapping(x, shape, source, source)
    if any(s % itemsize for s in strides):
        raise unsupported("as_strided with strides between elements")
    return _overlapping(x, shape, source, [s // itemsize for s in strides])


HANDLERS[np.lib.stride_tricks.as_strided] = as_strided


@library(np.lib.stride_tricks.sliding_window_view, arrays=1)
def sliding_window_view(
    x: Any, window_shape: Any, axis: Any = None, *, writeable: bool = False
) -> Any:
    """`sliding_window_view`: it follows what is written to the array later.

    It cannot be written to, `writeable` or not.
    """
    box = asarray(x)
    sizes = window_shape if isinstance(window_shape, tuple | list) else (window_shape,)
    ndim = box.aval.ndim
    axes = range(ndim) if axis is None else np.atleast_1d(plain(axis)).tolist()
    if len(axes) != len(sizes):
        raise ShapeMismatchError(
            "Must provide matching length window_shape and axis",
            current_trace().builder.loc,
        )
    shape, steps = list(box.aval.shape), list(c_strides(box.aval.shape))
    for size, k in zip(sizes, axes, strict=True):
        k = normal_axis(k, ndim)
        shape[k] = shape[k] - (size - 1)
        if shape[k] <= 0:
            raise ShapeMismatchError(
                "window shape cannot be larger than input array shape",
                current_trace().builder.loc,
            )
        shape.append(size)
        steps.append(steps[k])
    return _overlapping(box, tuple(shape), c_strides(box.aval.shape), steps)


def nditer(op: Any, flags: Any = (), op_flags: Any = None, **options: Any) -> Any:
    """`np.nditer` of one array: its elements, to write to if `op_flags` say so."""
    if not has_box(op):
        return np.nditer(op, flags, op_flags, **options)
    box = op[0] if isinstance(op, list | tuple) and len(op) == 1 else op
    strides = box.strides_in_elements if type(box) is Box else None
    if flags or options or strides is None or not c_ordered(box.aval.shape, strides):
        raise unsupported("np.nditer with options", "np.ndenumerate, or nested loops")
    cells = flat(box)
    written = any("write" in flag for flag in np.ravel(op_flags or []))

    def element(i: Any) -> Box:
        cell = cells[i : i + 1].reshaped(())
        return cell if written else cell.through(Broadcasted((), ()))

    return Trips(0, box.aval.size, 1, element)


HANDLERS[np.nditer] = nditer
