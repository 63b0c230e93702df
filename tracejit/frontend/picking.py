"""NumPy's functions that pick elements by indices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.base.errors import DataDependentShapeError, ShapeMismatchError
from tracejit.frontend import masked
from tracejit.frontend.box import (
    HANDLERS,
    Box,
    call,
    has_box,
    is_static,
    known_box,
    plain,
)
from tracejit.frontend.indexing import getitem
from tracejit.frontend.numpy_calls import asarray, on_plain, put_out
from tracejit.frontend.operators import outside
from tracejit.frontend.trace import current_trace
from tracejit.frontend.views import flat, ravel
from tracejit.ops.numpy_names import unsupported
from tracejit.ops.numpy_reduce import normal_axis
from tracejit.ops.promote import BOOL, shape_text


def _along(box: Box, axis: int, index: Any) -> Any:
    """`box` at these indices along one axis."""
    return getitem(box, (*(slice(None),) * axis, index))


def take(
    x: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise"
) -> Any:
    """`np.take`."""
    box = asarray(x)
    if axis is None:
        box, axis = ravel(box), 0
    axis = normal_axis(axis, box.aval.ndim)
    extent = box.aval.shape[axis]
    if mode == "clip":
        indices = call(np.clip, asarray(indices), 0, extent - 1)
    elif mode == "wrap":
        indices = asarray(indices) % extent
    found = _along(box, axis, indices)
    return found if out is None else put_out(out, found, np.take)


def take_along_axis(x: Any, indices: Any, axis: Any = -1) -> Any:
    """`np.take_along_axis`."""
    box, indices = asarray(x), asarray(indices)
    if axis is None:
        box, axis = ravel(box), 0
    shape = box.aval.shape
    return getitem(box, grid(indices, normal_axis(axis, len(shape)), shape))


def grid(indices: Box, axis: int, array: Any = None) -> tuple[Any, ...]:
    """The key that varies along every axis but one by itself.

    `array` is the shape of what is indexed: its extents count, where ours are 1.
    """
    shape = indices.aval.shape if array is None else array
    ndim = len(shape)
    key: list[Any] = []
    for k, n in enumerate(shape):
        ones = tuple([n if k == j else 1 for j in range(ndim)])
        key.append(indices if k == axis else known_box(np.arange(int(n)).reshape(ones)))
    return tuple(key)


def repeat(x: Any, repeats: Any, axis: Any = None) -> Any:
    """`np.repeat` with a count for each element: known, as it decides the shape."""
    if not is_static(repeats) and repeats.concrete() is None:
        raise DataDependentShapeError(
            "how long the result of np.repeat is depends on traced counts",
            current_trace().builder.loc,
            "counts that are known, or a gather: x[indices]",
        )
    counts = np.asarray(plain(repeats))
    if counts.size == 1:
        return _EQUALLY_OFTEN(x, counts.item(), axis)
    box = asarray(x)
    box, axis = (ravel(box), 0) if axis is None else (box, axis)
    axis = normal_axis(axis, box.aval.ndim)
    index = np.repeat(np.arange(int(box.aval.shape[axis])), counts)
    return _along(box, axis, index)


def fill_diagonal(x: Any, value: Any, wrap: bool = False) -> None:
    """`np.fill_diagonal`: values are taken from the beginning again when they end."""
    if type(x) is not Box:
        raise outside(x)
    shape = [int(n) for n in x.aval.shape]
    if len(shape) < 2 or (len(shape) > 2 and len(set(shape)) > 1):
        raise ShapeMismatchError(
            "array must be at least 2-d, of equal extents if it has more axes: "
            f"this has shape {shape_text(x.aval.shape)}",
            current_trace().builder.loc,
        )
    step = 1 + sum(np.cumprod(shape[:0:-1]).tolist())
    tall = len(shape) == 2 and not wrap
    diagonal = flat(x)[: shape[1] ** 2 if tall else None : step]
    value = asarray(value)
    # Too few values begin again, of too many the first serve.
    diagonal[...] = (
        value if value.aval.size == 1 else call(np.resize, value, len(diagonal))
    )


def nonzero(x: Any) -> Any:
    """`np.nonzero`: of a traced array, indices of which nobody knows how many."""
    if is_static(x):
        return on_plain(np.nonzero, (x,), {})
    x.concrete()
    return masked.nonzero(x if x.aval.dtype == BOOL else x != 0)


def argwhere(x: Any) -> Any:
    """`np.argwhere`: a row of indices for each."""
    found = nonzero(x)
    if type(found[0]) is not masked.Masked:
        return call(np.transpose, call(np.asarray, found))
    rows = call(np.stack, [indices.values for indices in found], axis=-1)
    return found[0].of(rows)


def where(condition: Any, *sides: Any) -> Any:
    """`np.where`: with one argument it is `np.nonzero`."""
    if not sides:
        return nonzero(condition)
    out = _CHOICE(condition, *sides)
    if type(out) is Box and not out.aval.shape:
        out.kind = "array"  # one without axes, never a scalar
    return out


def unravel_index(indices: Any, shape: Any, order: str = "C") -> Any:
    """`np.unravel_index`, of traced indices."""
    if is_static(indices):
        return on_plain(np.unravel_index, (indices, plain(shape), order), {})
    extents = plain(shape)
    extents = extents if isinstance(extents, tuple | list) else (extents,)
    found: list[Any] = []
    rest = asarray(indices)[()]
    for n in extents[:0:-1] if order == "C" else extents[:-1]:
        found.append(rest % n)
        rest = rest // n
    found.append(rest)
    return tuple(found[::-1] if order == "C" else found)


def ravel_multi_index(
    multi_index: Any, dims: Any, mode: str = "raise", order: str = "C"
) -> Any:
    """`np.ravel_multi_index`, of traced indices in range."""
    if not has_box(*multi_index) or all(map(is_static, multi_index)):
        return on_plain(np.ravel_multi_index, (multi_index, dims, mode, order), {})
    if mode != "raise":
        raise unsupported("np.ravel_multi_index(mode=…)", "indices in range")
    pairs = list(zip(multi_index, dims, strict=True))
    total: Any = 0
    for index, n in pairs if order == "C" else pairs[::-1]:
        total = total * n + asarray(index)[()]
    return total


_EQUALLY_OFTEN, _CHOICE = HANDLERS[np.repeat], HANDLERS[np.where]


def _on_boxes(fn: Any, program: Callable[..., Any]) -> Callable[..., Any]:
    def handler(*args: Any, **kwargs: Any) -> Any:
        if not has_box(*args, *kwargs.values()):
            return fn(*args, **kwargs)
        return program(*args, **kwargs)

    return handler


_PROGRAMS: dict[Any, Callable[..., Any]] = {
    np.take: take,
    np.take_along_axis: take_along_axis,
    np.repeat: repeat,
    np.fill_diagonal: fill_diagonal,
    np.nonzero: nonzero,
    np.flatnonzero: lambda x: nonzero(ravel(x))[0],
    np.argwhere: argwhere,
    np.where: where,
    np.unravel_index: unravel_index,
    np.ravel_multi_index: ravel_multi_index,
}
for _fn, _program in _PROGRAMS.items():
    HANDLERS[_fn] = _on_boxes(_fn, _program)
