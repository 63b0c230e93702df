"""Products and reductions of arrays of traced length (see `ragged`).

Those are loops. Where elements beyond the length can be given a value that does not
count, it is the function of the whole array.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tracejit.frontend.bounds import normal_index
from tracejit.frontend.box import (
    C_ORDER,
    Box,
    as_box,
    box_of,
    call,
    operand,
)
from tracejit.frontend.indexing import getitem
from tracejit.frontend.ragged import (
    NEW,
    WHOLE,
    Counters,
    Env,
    Formula,
    Ragged,
    Span,
    from_zero,
    index_atom,
    nest,
    type_of,
    zeros,
)
from tracejit.frontend.ragged_elements import (
    PROGRAMS,
    assign,
    astype,
    column,
    common,
    does,
    elementwise,
    finished,
    ragged,
    taking,
)
from tracejit.frontend.trace import current_trace
from tracejit.ir.aval import Aval
from tracejit.ir.program import Atom
from tracejit.ops.control import Failure, check
from tracejit.ops.numpy_names import emit
from tracejit.ops.numpy_reduce import root_of_sum
from tracejit.ops.promote import INT, convert, interval_of, strong

# Contractions -------------------------------------------------------------------------


@does(np.matmul)
def matmul(a: Any, b: Any, out: Any = None) -> Any:
    """`a @ b` of vectors and matrices."""
    a, b = ragged(a), ragged(b)
    if not (1 <= a.ndim <= 2 and 1 <= b.ndim <= 2):
        a.refuse("a product of stacks of matrices")
    axes = [*a.axes[:-1], *b.axes[b.ndim - 1 : b.ndim - 1 + (b.ndim == 2)]]
    inner = common([x for x in (a.axes[-1], b.axes[0]) if isinstance(x, Span)])
    row, column = taking(a, [*a.axes[:-1], inner]), taking(b, [inner, *b.axes[1:]])
    rows = sum(isinstance(x, Span) for x in a.axes[:-1])
    if inner is WHOLE:
        formula = _static_product(row, column, rows)
    elif b.ndim == 2 and isinstance(b.axes[1], Span):
        return _by_rows(row, column, axes, rows, inner)
    else:
        formula = _inner_product(row, column, rows, inner)
    result = finished(formula, axes)
    if out is not None:
        assign(out, result)
    return result if out is None else out


def _static_product(row: Formula, column: Formula, rows: int) -> Formula:
    def at(counters: Counters, env: Env) -> Box:
        x, y = row.at(counters[:rows], env), column.at(counters[rows:], env)
        return as_box(call(np.matmul, x, y))

    return Formula(at, heavy=True)


def _inner_product(row: Formula, column: Formula, rows: int, inner: Span) -> Formula:
    """The sum over a traced length."""

    def product(counters: Counters, env: Env) -> Box:
        *outer, k = counters
        return _times(row.at([*outer[:rows], k], env), column.at([k], env))

    return _summed(np.add, product, [inner], 0)


def _times(x: Box, y: Box) -> Box:
    """The outer product of what is left of a row and a column."""
    if x.aval.ndim and y.aval.ndim:
        x = getitem(x, (slice(None), None))
    return as_box(call(np.multiply, x, y))


def _by_rows(
    row: Formula, column: Formula, axes: Sequence[Any], rows: int, inner: Span
) -> Any:
    """A product whose right-hand rows are run through: i, k, j for memory's sake."""
    spans = [axis for axis in axes if isinstance(axis, Span)]

    def term(counters: Counters, env: Env) -> Box:
        *left, k, j = counters
        return _times(row.at([*left, k], env), column.at([k, j], env))

    loops = [*spans[:rows], inner, spans[-1]]
    aval = type_of(Formula(term), loops)
    extents = iter(aval.shape)
    shape = [a.bound if isinstance(a, Span) else next(extents) for a in axes]
    own = from_zero(axes)

    def body(counters: Counters, carried: Sequence[Atom]) -> list[Atom]:
        *left, _, j = counters
        whole = box_of(carried[0], layout=C_ORDER)
        part = Ragged(whole, own).element([*left, j])
        part.write(call(np.add, box_of(part.read()), term(counters, {})).read())
        return [whole.read()]

    (out,) = nest(loops, [zeros(Aval(aval.dtype, tuple(shape)))], body)
    return Ragged(box_of(out, layout=C_ORDER), own)


@does(np.dot)
def dot(a: Any, b: Any, out: Any = None) -> Any:
    """`np.dot` of numbers, vectors and matrices."""
    scalar = not ragged(a).ndim or not ragged(b).ndim
    result = elementwise(partial(call, np.multiply), a, b) if scalar else matmul(a, b)
    if out is not None:
        assign(out, result)
    return result if out is None else out


@does(np.transpose)
def transpose(x: Any, axes: Any = None) -> Any:
    """`x.T`."""
    if axes is not None or x.ndim > 2:
        x.refuse("a transpose of this")
    if x.ndim < 2:
        return x
    box = x.box.transposed((1, 0)) if x.box.aval.ndim == 2 else x.box
    return Ragged(box, x.axes[::-1])


@does(np.inner)
def inner_(a: Any, b: Any) -> Any:
    """`np.inner` of vectors and matrices: over the last axes."""
    return matmul(a, transpose(ragged(b)))


@does(np.vdot, np.vecdot, np.linalg.vecdot)
def vdot(a: Any, b: Any) -> Any:
    """The product of two vectors, the first one conjugated."""
    if ragged(a).ndim != 1:
        ragged(a).refuse("vdot of matrices")
    return matmul(elementwise(partial(call, np.conjugate), a), b)


@does(np.outer, np.linalg.outer)
def outer(a: Any, b: Any, out: Any = None) -> Any:
    """The outer product of two vectors."""
    result = elementwise(partial(call, np.multiply), column(ragged(a), 1), b)
    if out is not None:
        assign(out, result)
    return result if out is None else out


# Reductions ---------------------------------------------------------------------------


def _summed(
    join: np.ufunc,
    term: Callable[[Counters, Env], Box],
    spans: Sequence[Span],
    start: Any,
    dtype: Any = None,
) -> Formula:
    """Terms joined over spans; their counters come after those of the result."""

    def at(counters: Counters, env: Env) -> Box:
        aval = type_of(Formula(lambda own, _: term([*counters, *own], env)), spans)
        aval = aval.update(dtype=dtype or aval.dtype)
        first = zeros(aval) if not start else _ones(aval)

        def body(own: Counters, carried: Sequence[Atom]) -> list[Atom]:
            new = convert(term([*counters, *own], env).read(), aval.dtype)
            return [call(join, box_of(carried[0]), box_of(new)).read()]

        (out,) = nest(spans, [first], body)
        return box_of(out, "array" if aval.shape else "scalar")

    return Formula(at, heavy=True)


def _ones(aval: Aval) -> Atom:
    return call(np.ones, tuple(aval.shape), aval.dtype).read()


def reduction(fn: Any, join: np.ufunc, start: int) -> Callable[..., Any]:
    """A sum, product, … over axes of any length."""

    def program(x: Any, axis: Any = None, dtype: Any = None, **options: Any) -> Any:
        keepdims = options.pop("keepdims", False)
        if any(value is not None for value in options.values()):
            x.refuse(f"np.{fn.__name__} with these options")
        if dtype is not None:
            x = astype(x, dtype)
        gone = axes_of(x, axis)
        spans = [k for k, a in enumerate(x.axes) if isinstance(a, Span)]
        outer = [spans.index(k) for k in spans if k not in gone]
        inner = [spans.index(k) for k in spans if k in gone]
        rest = [k for k in range(x.ndim) if k not in spans]
        static = tuple([j for j, k in enumerate(rest) if k in gone])
        kind = fn(np.ones(1, x.dtype)).dtype
        formula = x.formula()
        order = [*outer, *inner]
        places = [order.index(k) for k in range(len(order))]

        def term(counters: Counters, env: Env) -> Box:
            element = formula.at([counters[k] for k in places], env)
            return as_box(call(fn, element, static)) if static else element

        own = [x.axes[spans[k]] for k in inner]
        found = (
            _summed(join, term, own, start, kind) if own else Formula(term, heavy=True)
        )
        axes = [a for k, a in enumerate(x.axes) if k not in gone]
        out = finished(found, axes)
        return _with_axes(out, gone) if keepdims else out

    return program


def axes_of(x: Ragged, axis: Any) -> set[int]:
    if axis is None:
        return set(range(x.ndim))
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    return {normal_index(k, x.ndim, 0) for k in axes}


def _with_axes(x: Any, gone: set[int]) -> Any:
    """`x` with axes of length 1 where others were reduced."""
    if type(x) is not Ragged:
        return call(np.expand_dims, x, tuple(sorted(gone)))
    axes = list(x.axes)
    for k in sorted(gone):
        axes.insert(k, NEW)
    return Ragged(x.box, axes)


PROGRAMS[np.sum] = reduction(np.sum, np.add, 0)
PROGRAMS[np.prod] = reduction(np.prod, np.multiply, 1)
PROGRAMS[np.any] = reduction(np.any, np.logical_or, 0)
PROGRAMS[np.all] = reduction(np.all, np.logical_and, 1)


def count(x: Ragged, axis: Any) -> Any:
    """How many elements are reduced."""
    count: Any = 1
    for k in axes_of(x, axis):
        count = x.shape[k] * count
    return count


@does(np.mean, np.average)
def mean(x: Any, axis: Any = None, weights: Any = None, **options: Any) -> Any:
    """`np.mean`."""
    if weights is not None:
        total = PROGRAMS[np.sum](x * weights, axis)
        return total / PROGRAMS[np.sum](ragged(weights), axis)
    return PROGRAMS[np.sum](x, axis, **options) / count(x, axis)


@does(np.var)
def var(x: Any, axis: Any = None, ddof: Any = 0, keepdims: bool = False) -> Any:
    """`np.var`: the mean of squared distances from the mean."""
    centre = mean(x, axis, keepdims=True)
    away = elementwise(partial(call, np.abs), x - centre)
    total = PROGRAMS[np.sum](away * away, axis, keepdims=keepdims)
    return total / (count(x, axis) - ddof)


@does(np.std)
def std(x: Any, axis: Any = None, ddof: Any = 0, keepdims: bool = False) -> Any:
    """`np.std`."""
    return elementwise(_root, var(x, axis, ddof=ddof, keepdims=keepdims))


def _root(square: Box) -> Box:
    return box_of(root_of_sum(strong(operand(square))))


# Functions of the whole array, filled up with what does not count ---------------------


def filled(x: Ragged, value: Any) -> Box:
    """An array of known shape: `x`, and `value` where nothing is."""
    whole = call(np.full, x.room, value, x.dtype)
    assign(Ragged(whole, from_zero(x.axes)), x)
    return whole


def _extreme(dtype: np.dtype[Any], low: bool) -> Any:
    if dtype.kind == "f":
        return -np.inf if low else np.inf
    if dtype.kind == "b":
        return not low
    limits = np.iinfo(dtype)
    return int(limits.min if low else limits.max)


def _require_some(x: Ragged) -> None:
    """A maximum of nothing is an error."""
    text = "zero-size array to reduction operation which has no identity"
    failure = Failure(ValueError, (text,), current_trace().builder.loc)
    for span in x.spans:
        length = index_atom(span.length)
        least, _ = interval_of(length) or (0, 0)
        if least < 1:
            check(emit("gt", length, current_trace().literal(0, INT)), error=failure)


def _extremum(fn: Any, low: bool) -> Callable[..., Any]:
    def program(x: Any, axis: Any = None, **options: Any) -> Any:
        if x.dtype.kind == "c" or (axis is not None and x.ndim > 1):
            x.refuse(f"np.{fn.__name__} of this")
        if any(value is not None for value in options.values()):
            x.refuse(f"np.{fn.__name__} with these options")
        _require_some(x)
        if x.ndim > 1 and fn in (np.argmax, np.argmin):
            x.refuse(f"np.{fn.__name__} of a matrix")
        return call(fn, filled(x, _extreme(x.dtype, low)))

    return program


for _fn in (np.max, np.argmax):
    PROGRAMS[_fn] = _extremum(_fn, True)
for _fn in (np.min, np.argmin):
    PROGRAMS[_fn] = _extremum(_fn, False)


@does(np.ptp)
def ptp(x: Any) -> Any:
    """`np.ptp`: the range of the values."""
    return PROGRAMS[np.max](x) - PROGRAMS[np.min](x)


@does(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """`np.linalg.norm`: zeros add nothing to it."""
    if axis is not None or keepdims or (ord is not None and ord not in (1, 2, np.inf)):
        x.refuse("this norm")
    return call(np.linalg.norm, filled(x, 0), ord)


def _prefix(fn: Any, value: Any) -> Callable[..., Any]:
    """A function whose first elements do not depend on what follows."""

    def program(x: Any, *args: Any, **options: Any) -> Any:
        if x.ndim != 1 or args or options:
            x.refuse(f"np.{fn.__name__} of this")
        return Ragged(call(fn, filled(x, value)), [from_start(x)])

    return program


def from_start(x: Ragged) -> Span:
    return Span(0, 1, x.axes[0].length, x.axes[0].bound)


PROGRAMS[np.cumsum] = _prefix(np.cumsum, 0)
PROGRAMS[np.cumprod] = _prefix(np.cumprod, 1)
