"""The methods of ufuncs on boxes: `np.add.reduce`, `np.maximum.at` and their like."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tracejit.base.errors import ShapeMismatchError
from tracejit.frontend import fancy
from tracejit.frontend.box import (
    C_ORDER,
    HANDLERS,
    Box,
    as_box,
    box_of,
    call,
    fresh,
    is_static,
    operand,
    plain,
)
from tracejit.frontend.indexing import expand, getitem
from tracejit.frontend.numpy_calls import asarray, astype, put_out
from tracejit.frontend.operators import apply, outside
from tracejit.frontend.ragged import Span, nest
from tracejit.frontend.trace import current_trace
from tracejit.frontend.views import moveaxis, ravel
from tracejit.ops.numpy_names import emit, unsupported
from tracejit.ops.numpy_reduce import normal_axis
from tracejit.ops.promote import loop_dtypes

# Reductions ---------------------------------------------------------------------------

_REDUCTIONS: dict[np.ufunc, Any] = {
    np.add: np.sum,
    np.multiply: np.prod,
    np.maximum: np.max,
    np.minimum: np.min,
    np.logical_and: np.all,
    np.logical_or: np.any,
}


def _first_against_rest(inverse: np.ufunc, reduction: Any) -> Callable[..., Any]:
    """`a - b - c` is the sum of `a`, `-b` and `-c`."""

    def program(x: Box, axis: int, **options: Any) -> Any:
        return call(reduction, _turned(inverse, x, axis), axis, **options)

    return program


def _turned(inverse: np.ufunc, x: Box, axis: int) -> Box:
    """The elements, all but the first negated (or inverted)."""
    x = astype(x, float) if inverse is np.reciprocal and not x.aval.inexact else x
    lead = (slice(None),) * axis
    head, tail = x[(*lead, slice(0, 1))], x[(*lead, slice(1, None))]
    return call(np.concatenate, [head, apply(inverse, tail)], axis=axis)


def _log_of_sum(exp: np.ufunc, log: np.ufunc) -> Callable[..., Any]:
    def program(x: Box, axis: int, keepdims: bool = False) -> Any:
        top = call(np.max, x, axis, keepdims=True)
        top = call(np.where, call(np.isfinite, top), top, 0.0)
        total = call(np.sum, apply(exp, x - top), axis, keepdims=keepdims)
        return apply(log, total) + (top if keepdims else call(np.squeeze, top, axis))

    return program


def _norm(x: Box, axis: int, keepdims: bool = False) -> Any:
    return call(np.linalg.norm, x, axis=axis, keepdims=keepdims)


_COMPOSED: dict[np.ufunc, Callable[..., Any]] = {
    np.subtract: _first_against_rest(np.negative, np.sum),
    np.true_divide: _first_against_rest(np.reciprocal, np.prod),
    np.logaddexp: _log_of_sum(np.exp, np.log),
    np.logaddexp2: _log_of_sum(np.exp2, np.log2),
    np.hypot: _norm,
    np.fmax: lambda x, axis, **kw: call(np.nanmax, x, axis, **kw),
    np.fmin: lambda x, axis, **kw: call(np.nanmin, x, axis, **kw),
    np.logical_xor: lambda x, axis, **kw: (
        call(np.count_nonzero, x, axis, **kw) % 2 == 1
    ),
}


def _by_loop(ufunc: np.ufunc, x: Box, axis: int, keepdims: bool = False) -> Any:
    # From left to right, as NumPy says; its vectorised power and arctan2 do not.
    found = _folded(ufunc, moveaxis(x, axis, 0))
    return call(np.expand_dims, found, axis) if keepdims else found


def _reduce(
    ufunc: np.ufunc,
    x: Any,
    axis: Any = 0,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = True,
) -> Any:
    options: dict[str, Any] = {"keepdims": keepdims}
    if ufunc in _REDUCTIONS:
        given = {"dtype": dtype, "initial": initial}
        options |= {name: v for name, v in given.items() if v is not None}
        options |= {} if where is True else {"where": where}
        found = call(_REDUCTIONS[ufunc], asarray(x), axis, **options)
    elif where is not True or isinstance(axis, tuple):
        raise unsupported(f"np.{ufunc.__name__}.reduce with these options", "a loop")
    else:
        box = asarray(x) if dtype is None else astype(asarray(x), dtype)
        loop_dtypes(ufunc, operand(box), operand(box))  # an error if there is none
        if axis is None:
            box, axis = ravel(box), 0
        axis = normal_axis(axis, box.aval.ndim)
        program = _COMPOSED.get(ufunc) or partial(_by_loop, ufunc)
        found = program(box, axis, **options)
        if initial is not None:
            found = apply(ufunc, initial, found)
    return found if out is None else put_out(out, found, ufunc)


# Scans --------------------------------------------------------------------------------

_SCANS: dict[np.ufunc, Any] = {np.add: np.cumsum, np.multiply: np.cumprod}
_EXTREMA = {np.maximum: "cummax", np.minimum: "cummin"}
#: Those that leave out NaNs, made of those that do not.
_SKIPPING = {np.fmax: (np.maximum, -np.inf), np.fmin: (np.minimum, np.inf)}
_INVERSES: dict[Any, Any] = {
    np.subtract: (np.negative, np.cumsum),
    np.true_divide: (np.reciprocal, np.cumprod),
}


def _accumulate(
    ufunc: np.ufunc, x: Any, axis: Any = 0, dtype: Any = None, out: Any = None
) -> Any:
    box = asarray(x)
    axis = normal_axis(axis, box.aval.ndim)
    if ufunc in _SCANS:
        found = call(_SCANS[ufunc], box, axis, **({"dtype": dtype} if dtype else {}))
    elif ufunc in _EXTREMA:
        atom = emit(_EXTREMA[ufunc], box.read(), axis=axis, reverse=False)
        found = fresh(atom, box)
    elif ufunc in _SKIPPING:
        whole, least = _SKIPPING[ufunc]
        if not box.aval.inexact:
            return _accumulate(whole, box, axis, dtype, out)
        gone = np.isnan(box)
        found = _accumulate(whole, call(np.where, gone, least, box), axis)
        seen = call(np.cumsum, np.logical_not(gone), axis)
        found = call(np.where, np.greater(seen, 0), found, np.nan)
    elif ufunc in _INVERSES:
        inverse, scan = _INVERSES[ufunc]
        found = call(scan, _turned(inverse, box, axis), axis)
    else:
        rows = moveaxis(box if dtype is None else astype(box, dtype), axis, 0)
        found = moveaxis(_scanned(ufunc, rows), 0, axis)
    return found if out is None else put_out(out, found, ufunc)


def _scanned(ufunc: np.ufunc, rows: Box) -> Box:
    """The ufunc of every row and all before it, by a loop."""
    count = rows.aval.shape[0]
    pair: Any = asarray(apply(ufunc, rows[:1], rows[:1]))
    start = call(np.zeros, rows.aval.shape, pair.aval.dtype)
    if count:
        start[0] = rows[0]

    def body(counters: Any, carried: Any) -> list[Any]:
        out, k = box_of(carried[0], layout=C_ORDER), box_of(counters[0], "python")
        out[k + 1] = apply(ufunc, out[k], rows[k + 1])
        return [out.read()]

    if count < 2:
        return start
    (found,) = nest([Span(0, 1, count - 1, count - 1)], [start.read()], body)
    return box_of(found, layout=C_ORDER)


def _folded(ufunc: np.ufunc, rows: Box) -> Any:
    """The ufunc of all rows, one after another."""
    if not rows.aval.shape[0]:
        raise ShapeMismatchError(
            f"zero-size array to reduction operation {ufunc.__name__} which has no "
            "identity",
            current_trace().builder.loc,
        )
    return _scanned(ufunc, rows)[-1]


def _reduceat(
    ufunc: np.ufunc,
    x: Any,
    indices: Any,
    axis: Any = 0,
    dtype: Any = None,
    out: Any = None,
) -> Any:
    """A reduction of each slice between two of the indices, which must be known."""
    box = asarray(x)
    axis = normal_axis(axis, box.aval.ndim)
    if not is_static(indices) and indices.concrete() is None:
        raise unsupported(f"np.{ufunc.__name__}.reduceat at traced indices")
    rows = moveaxis(box, axis, 0)
    cuts = np.asarray(plain(indices)).tolist()
    parts = []
    for start, stop in zip(cuts, [*cuts[1:], int(box.aval.shape[axis])], strict=True):
        part = rows[start : max(stop, start + 1)]
        parts.append(_reduce(ufunc, part, 0, dtype))
    found = moveaxis(call(np.stack, parts), 0, axis)
    return found if out is None else put_out(out, found, ufunc)


def _outer(ufunc: np.ufunc, a: Any, b: Any, **options: Any) -> Any:
    a, b = asarray(a), asarray(b)
    wide = a.reshaped(a.aval.shape + (1,) * b.aval.ndim)
    return HANDLERS["ufunc"](ufunc, "__call__", wide, b, **options)


# In place -----------------------------------------------------------------------------


def _at(ufunc: np.ufunc, x: Any, key: Any, *operands: Any) -> None:
    """`np.add.at`: every mention of a cell counts."""
    if type(x) is not Box:
        raise outside(x)
    x.require_writable()
    entries = expand(key, x.aval.ndim)
    once = any(map(fancy.is_traced_mask, entries))
    if once or not any(map(fancy.is_array, entries)):
        x[key] = apply(ufunc, getitem(x, key), *operands)
    elif ufunc in (np.add, np.subtract):
        value: Any = as_box(*operands)
        value = -value if ufunc is np.subtract else value
        fancy.scatter(x, entries, value, "scatter_add")
    else:
        _in_rounds(ufunc, x, entries, operands)


def _in_rounds(ufunc: np.ufunc, x: Box, entries: list[Any], operands: Any) -> None:
    """Each cell for the first time it is mentioned, then for the second, …"""
    arrays = [e for e in entries if not isinstance(e, slice)]
    traced = any(type(a) is Box and not is_static(a) for a in arrays)
    if traced or len(arrays) != len(entries):
        raise unsupported(
            f"np.{ufunc.__name__}.at at traced indices, or with slices", "a loop"
        )
    places = np.broadcast_arrays(*[np.asarray(plain(a)) for a in arrays])
    if any(p.dtype == bool for p in places):
        raise unsupported(f"np.{ufunc.__name__}.at with a mask", "x[mask] = …")
    extents = tuple(map(int, x.aval.shape))
    wrapped = [np.where(p < 0, p + n, p) for p, n in zip(places, extents, strict=True)]
    cells = np.ravel_multi_index(tuple(wrapped), extents).ravel()
    seen: dict[int, int] = {}
    turn = np.zeros(len(cells), int)
    for k, cell in enumerate(cells.tolist()):
        turn[k] = seen[cell] = seen.get(cell, -1) + 1
    values = [call(np.broadcast_to, asarray(v), places[0].shape) for v in operands]
    values = [ravel(v) for v in values]
    for n in range(turn.max(initial=-1) + 1):
        now = np.flatnonzero(turn == n)
        key = tuple([w.ravel()[now] for w in wrapped])
        x[key] = apply(ufunc, getitem(x, key), *[v[now] for v in values])


_METHODS: dict[str, Callable[..., Any]] = {
    "reduce": _reduce,
    "accumulate": _accumulate,
    "reduceat": _reduceat,
    "outer": _outer,
    "at": _at,
}


def ufunc_method(ufunc: np.ufunc, method: str, *args: Any, **kwargs: Any) -> Any:
    """A method of a ufunc on boxes."""
    return _METHODS[method](ufunc, *args, **kwargs)


HANDLERS["ufunc method"] = ufunc_method
