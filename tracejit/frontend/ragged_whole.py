"""Functions of arrays of traced length, by those of whole arrays.

What lies beyond the length is filled with what does not count there: what comes last
when it is sorted, observations without weight, the rows of an identity matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tracejit.frontend.box import Box, as_box, call
from tracejit.frontend.masked import Masked, run
from tracejit.frontend.ragged import WHOLE, Formula, Ragged, Span, require_same
from tracejit.frontend.ragged_calls import getitem_, ragged_in
from tracejit.frontend.ragged_elements import (
    PROGRAMS,
    align,
    assign,
    astype,
    does,
    elementwise,
    finished,
    ragged,
)
from tracejit.frontend.ragged_reduce import count, filled, matmul, mean, transpose

# Joined along a new axis --------------------------------------------------------------


def stack(parts: Any, axis: int = 0) -> Any:
    """`np.stack`."""
    axes, formulas = align([ragged(part) for part in parts])
    at = axis % (len(axes) + 1)
    rest = sum(not isinstance(a, Span) for a in axes[:at])
    leaves = tuple([leaf for formula in formulas for leaf in formula.leaves])

    def joined(counters: Any, env: Any) -> Box:
        return call(np.stack, [f.at(counters, env) for f in formulas], rest)

    return finished(Formula(joined, leaves), [*axes[:at], WHOLE, *axes[at:]])


PROGRAMS[np.stack] = stack


@does(np.vstack)
def vstack(parts: Any) -> Any:
    """`np.vstack` of vectors."""
    return _rows(parts, 0)


@does(np.column_stack)
def column_stack(parts: Any) -> Any:
    """`np.column_stack` of vectors."""
    return _rows(parts, 1)


def _rows(parts: Any, axis: int) -> Any:
    parts = [ragged(part) for part in parts]
    for part in parts:
        if part.ndim != 1:
            next(p for p in parts if p.spans).refuse("joining matrices")
    return stack(parts, axis)


@does(np.delete)
def delete(x: Any, at: Any) -> Any:
    """`np.delete` of elements of a vector."""
    x = ragged(x)
    if x.ndim != 1:
        x.refuse("np.delete")
    kept: Any = call(np.ones, int(x.room[0]), bool)
    kept = Ragged(kept, x.axes) if x.spans else kept
    kept[at] = False
    return getitem_(x, kept) if x.spans else x.box[kept]


# In order -----------------------------------------------------------------------------


def _last(x: Ragged) -> Box:
    """All of a vector, and what comes last in order."""
    if x.ndim != 1:
        x.refuse("the order of this")
    if x.dtype.kind in "fc":
        return filled(x, complex(np.nan, np.nan) if x.dtype.kind == "c" else np.nan)
    return filled(x, True if x.dtype.kind == "b" else int(np.iinfo(x.dtype).max))


def _like(x: Ragged, whole: Box) -> Ragged:
    """An array as long as a vector, whose elements are the first of a box's."""
    (span,) = x.spans
    return Ragged(whole, [Span(0, 1, span.length, span.bound)])


@does(np.sort)
def sort(x: Any, axis: int = -1, kind: Any = None) -> Any:
    """`np.sort` of a vector."""
    return _like(x, call(np.sort, _last(x)))


@does(np.argsort)
def argsort(x: Any, axis: int = -1, kind: Any = None) -> Any:
    """`np.argsort` of a vector: of equal ones, the first that there are come first."""
    return _like(x, call(np.argsort, _last(x), kind="stable"))


@does(np.searchsorted)
def searchsorted(a: Any, v: Any, side: str = "left") -> Any:
    """`np.searchsorted` in a sorted vector, or for one."""
    if type(a) is Ragged:
        length, a = a.shape[0], _last(a)
    else:
        length = len(a)

    def place(value: Any) -> Any:
        return call(np.minimum, call(np.searchsorted, a, value, side), length)

    return elementwise(place, v) if type(v) is Ragged else place(v)


@does(np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None) -> Any:
    """`np.interp`: beyond the last point nothing changes."""
    if type(xp) is Ragged or type(fp) is Ragged:
        if right is not None:
            ragged_in([xp, fp]).refuse("np.interp(right=…)")
        xp, fp = ragged(xp), ragged(fp)
        require_same(xp.shape[0], fp.shape[0])
        xp, fp = _points(xp), filled(fp, fp[-1])
    at = partial(call, np.interp, xp=xp, fp=fp, left=left, right=right)
    return elementwise(at, x) if type(x) is Ragged else at(x)


def _points(xp: Ragged) -> Box:
    """The points, and further ones after the last."""
    n, last = xp.shape[0], xp[-1]
    beyond = call(np.arange, int(xp.room[0])) - n
    gap = call(np.maximum, call(np.abs, last), 1.0)
    return call(np.where, beyond < 0, filled(xp, 0), last + gap * (beyond + 1))


def _picked(fn: Any) -> Callable[..., Any]:
    """As of elements that a mask picks."""

    def program(x: Any, *args: Any, **options: Any) -> Any:
        if x.ndim != 1:
            x.refuse(f"np.{fn.__name__} of this")
        mask = call(np.arange, int(x.room[0])) < x.shape[0]
        return run(fn, Masked(filled(x, 0), mask), *args, **options)

    return program


for _fn in (np.median, np.percentile, np.quantile):
    PROGRAMS[_fn] = _picked(_fn)


@does(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0) -> Any:
    """`np.trapezoid` of a vector."""
    y = ragged(y)
    if y.ndim != 1:
        y.refuse("np.trapezoid of this")
    gaps = dx if x is None else PROGRAMS[np.diff](ragged(x))
    return PROGRAMS[np.sum]((y[1:] + y[:-1]) * gaps) / 2.0


# Linear algebra -----------------------------------------------------------------------


def _square(a: Any) -> tuple[Box, list[Any]]:
    """A matrix in the corner of an identity matrix; and which rows are its own."""
    if a.ndim != 2 or len(a.spans) != 2:
        a.refuse("linear algebra with it")
    rows, columns = a.spans
    require_same(rows.length, columns.length)
    bound = max(rows.bound, columns.bound)
    whole = call(np.eye, bound, dtype=np.result_type(a.dtype, 1.0))
    corner = [Span(0, 1, rows.length, bound)] * 2
    inside = call(np.arange, bound) < rows.length
    whole = call(np.where, inside, 0.0, whole)
    assign(Ragged(whole, corner), a)
    return whole, corner


def _of_square(fn: Any) -> Callable[..., Any]:
    def program(a: Any) -> Any:
        whole, own = _square(a)
        out = call(fn, whole)
        if isinstance(out, tuple) or not as_box(out).aval.shape:
            return out
        return Ragged(out, own)

    return program


_SQUARE: tuple[Any, ...] = (
    *(np.linalg.inv, np.linalg.cholesky, np.linalg.det, np.linalg.slogdet),
)
PROGRAMS.update({fn: _of_square(fn) for fn in _SQUARE})


@does(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    """`np.linalg.solve`."""
    if type(a) is not Ragged:
        ragged(b).refuse("np.linalg.solve")
    whole, own = _square(a)
    b = ragged(b)
    bound = whole.aval.shape[0]
    side = call(np.zeros, (bound, *b.room[1:]), np.result_type(a.dtype, b.dtype, 1.0))
    axes = [own[0], *b.axes[1:]]
    assign(Ragged(side, axes), b)
    return Ragged(call(np.linalg.solve, whole, side), axes)


@does(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """`np.linalg.lstsq`: rows of zeros change nothing."""
    a, b = ragged(a), ragged(b)
    require_same(a.shape[0], b.shape[0])
    if len(a.spans) > 1 or not a.spans or not b.spans or b.ndim > 1:
        a.refuse("np.linalg.lstsq")
    return call(np.linalg.lstsq, filled(a, 0), filled(b, 0), rcond)


@does(np.polyfit)
def polyfit(x: Any, y: Any, deg: Any, rcond: Any = None, w: Any = None) -> Any:
    """`np.polyfit`: points without weight change nothing."""
    x, y = ragged(x), ragged(y)
    weights = ragged(PROGRAMS[np.ones_like](x, dtype=float) if w is None else w)
    for other in (y, weights):
        require_same(x.shape[0], other.shape[0])
    points = [filled(part, 0) for part in (x, y, weights)]
    return call(np.polyfit, *points[:2], deg, rcond, w=points[2])


@does(np.cov)
def cov(m: Any, y: Any = None, bias: Any = False, ddof: Any = None) -> Any:
    """`np.cov` of a vector, or two."""
    rows = [ragged(part) for part in ([m] if y is None else [m, y])]
    if any(row.ndim != 1 for row in rows):
        rows[0].refuse("np.cov of matrices")
    dtype = np.result_type(np.float64, *[row.dtype for row in rows])
    rows = [row - mean(row) for row in [astype(row, dtype) for row in rows]]
    table = stack(rows)
    ddof = (0 if bias else 1) if ddof is None else ddof
    found = matmul(table, transpose(elementwise(partial(call, np.conjugate), table)))
    found = found / (count(rows[0], None) - ddof)
    return found if y is not None else found[0, 0]


@does(np.corrcoef)
def corrcoef(x: Any, y: Any = None) -> Any:
    """`np.corrcoef` of two vectors."""
    found = cov(x, y)
    root = call(np.sqrt, call(np.diagonal, found))
    return found / root[:, None] / root[None, :]
