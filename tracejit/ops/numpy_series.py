"""NumPy's functions on sampled functions and on polynomials, as programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.ir.program import Atom, Literal
from tracejit.ops.numpy_names import (
    apply,
    conjugate,
    emit,
    implements,
    unsupported,
    where,
)
from tracejit.ops.numpy_products import contract
from tracejit.ops.numpy_reduce import normal_axis, sum_
from tracejit.ops.numpy_shape import concatenate, part, reshape
from tracejit.ops.promote import (
    BOOL,
    INT,
    broadcast_to,
    convert,
    result_type,
    shape_of,
    strong,
)


@implements(np.diff)
def diff(
    x: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None
) -> Atom:
    """`np.diff`."""
    x = strong(x)
    axis = normal_axis(axis, x.aval.ndim)
    ends = [prepend, append]
    if any(e is not None for e in ends):
        unit = (*x.aval.shape[:axis], 1, *x.aval.shape[axis + 1 :])
        sides = [
            None
            if e is None
            else strong(e)
            if strong(e).aval.ndim
            else broadcast_to(strong(e), unit)
            for e in ends
        ]
        x = concatenate([y for y in (sides[0], x, sides[1]) if y is not None], axis)
    ufunc = np.not_equal if x.aval.dtype == BOOL else np.subtract
    for _ in range(n):
        size = max(x.aval.shape[axis] - 1, 0)
        low = part(x, axis, 0, size)
        high = part(x, axis, 1 if size else 0, size)
        x = apply(ufunc, high, low)
    return x


@implements(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Atom:
    """`np.trapezoid`."""
    y = strong(y)
    axis = normal_axis(axis, y.aval.ndim)
    if x is not None:
        dx = diff(x, axis=-1 if shape_of(x)[1:] == () else axis)
        if dx.aval.ndim == 1:
            (gaps,) = dx.aval.shape
            dx = reshape(dx, [gaps if k == axis else 1 for k in range(y.aval.ndim)])
    n = y.aval.shape[axis] - 1
    pairs = apply(np.add, part(y, axis, 1, n), part(y, axis, 0, n))
    return sum_(apply(np.divide, apply(np.multiply, dx, pairs), 2.0), axis)


@implements(np.polyval)
def polyval(p: Any, x: Any) -> Atom:
    """`np.polyval`, by Horner's rule."""
    coefficients = list(p) if isinstance(p, list | tuple) else _elements(strong(p))
    dtype = result_type(*map(strong, coefficients))
    coefficients = [convert(c, dtype) for c in coefficients]
    x = strong(x)
    out = strong(apply(np.multiply, x, 0))
    for c in coefficients:
        out = apply(np.add, apply(np.multiply, out, x), c)
    return out


def _elements(p: Atom) -> list[Atom]:
    return [
        emit("getitem", p, Literal(k, INT), sizes=(None,), steps=(1,))
        for k in range(p.aval.shape[0])
    ]


@implements(np.select)
def select(
    condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0
) -> Atom:
    """`np.select`: the first condition that holds decides."""
    out = strong(default)
    dtype = result_type(*choicelist, default)
    for condition, choice in zip(condlist[::-1], choicelist[::-1], strict=True):
        out = where(condition, convert(choice, dtype), convert(out, dtype))
    return out


@implements(np.convolve)
def convolve(a: Any, v: Any, mode: str = "full") -> Atom:
    """`np.convolve` of two vectors: windows of one times the other reversed."""
    a, v = strong(a), strong(v)
    if a.aval.ndim != 1 or v.aval.ndim != 1 or not a.aval.size or not v.aval.size:
        raise unsupported("np.convolve but of two vectors that are not empty")
    if v.aval.shape[0] > a.aval.shape[0]:
        a, v = v, a
    return _correlated(a, emit("flip", v, axes=(0,)), mode)


@implements(np.correlate)
def correlate(a: Any, v: Any, mode: str = "valid") -> Atom:
    """`np.correlate` of two vectors, the second of which is conjugated."""
    a, v = strong(a), conjugate(strong(v))
    if v.aval.shape[0] > a.aval.shape[0]:
        return emit("flip", _correlated(v, a, mode), axes=(0,))
    return _correlated(a, v, mode)


def _correlated(a: Atom, v: Atom, mode: str) -> Atom:
    dtype = result_type(a, v)
    n, m = a.aval.shape[0], v.aval.shape[0]
    before = {"full": m - 1, "same": m // 2, "valid": 0}[mode]
    size = {"full": n + m - 1, "same": n, "valid": n - m + 1}[mode]
    a = convert(a, dtype)
    if size > n - m + 1:
        zero = convert(0, dtype)
        a = emit("pad", a, zero, lo=(before,), hi=(size + m - 1 - n - before,))
    shape = (size, m)
    rows = emit("broadcast", emit("iota", size=size, dtype=INT), shape=shape, axes=(0,))
    steps = emit("broadcast", emit("iota", size=m, dtype=INT), shape=shape, axes=(1,))
    windows = emit("gather", a, emit("add", rows, steps), axes=(0,))
    return contract(windows, v, (1,), (0,))
