"""NumPy's functions on elements that a traced mask picks (see `masked`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.frontend.box import Box, as_box, box_of, call
from tracejit.frontend.masked import PROGRAMS, Masked, elementwise, run
from tracejit.frontend.trace import current_trace
from tracejit.ops.control import Failure, check
from tracejit.ops.numpy_reduce import normal_axes

# Elementwise functions that are no ufuncs ---------------------------------------------

_ELEMENTWISE = (
    *(np.clip, np.round, np.around, np.nan_to_num, np.real, np.imag, np.angle),
    *(np.sinc, np.isclose, np.zeros_like, np.ones_like, np.copy),
)


def _of_each(fn: Any) -> Callable[..., Any]:
    def program(*args: Any, **options: Any) -> Any:
        return elementwise(lambda *whole: call(fn, *whole, **options), *args)

    return program


def where(condition: Any, *sides: Any) -> Any:
    """`np.where` of each element."""
    if not sides:
        condition.refuse("np.where needs to know")
    return elementwise(lambda *whole: call(np.where, *whole), condition, *sides)


# Reductions ---------------------------------------------------------------------------


def axes_of(x: Masked, axis: Any) -> tuple[tuple[int, ...], bool]:
    """The axes of the values that stand for `axis`; whether those of the mask do."""
    wide = len(x.places) - 1
    axes: list[int] = []
    for k in normal_axes(axis, x.ndim):
        axes += x.places if k == x.lead else [k + wide * (k > x.lead)]
    return tuple(axes), set(x.places) <= set(axes)


def _reduction(fn: Any) -> Callable[..., Any]:
    def program(x: Any, axis: Any = None, *args: Any, **options: Any) -> Any:
        """Over all elements, or along some axes."""
        if not options.get("keepdims", True):
            del options["keepdims"]
        if type(x) is not Masked or {"keepdims", "where", "out"} & options.keys():
            _refuse(fn, x, *options.values())
        axes, all_picked = axes_of(x, axis)
        if not all_picked:
            values = call(fn, x.everywhere(), axes, *args, **options)
            after = sum(k > x.places[-1] for k in axes)
            lead = x.lead - (len(axes) - after)
            return x.of(values, lead, safe=True)
        if fn in _EXTREMA:
            options.setdefault("initial", _EXTREMA[fn](x))
        where = box_of(x.spread())
        return call(fn, x.values, axes, *args, where=where, **options)

    return program


def _refuse(fn: Any, *args: Any) -> None:
    for x in args:
        if type(x) is Masked:
            x.refuse(f"np.{fn.__name__} with these arguments needs to know")


def _limit(low: bool) -> Callable[[Masked], Any]:
    """What a maximum (or minimum) of some elements starts from."""

    def start(x: Masked) -> Any:
        message = "zero-size array to reduction operation which has no identity"
        _require(call(np.any, x.mask), ValueError, message)
        if x.dtype.kind == "f":
            return -np.inf if low else np.inf
        if x.dtype.kind == "c":
            end = -np.inf if low else np.inf
            return complex(end, end)
        limits = np.iinfo(x.dtype)
        return int(limits.min if low else limits.max)

    return start


def _require(holds: Box, error: type[Exception], message: str) -> None:
    failure = Failure(error, (message,), current_trace().builder.loc)
    check(holds.read(), error=failure)


_EXTREMA = {np.max: _limit(True), np.min: _limit(False)}


def _without_others(fn: Any, nan_fn: Any) -> Callable[..., Any]:
    """`np.median` and its like: NumPy's function that leaves NaN out."""

    def program(x: Masked, *args: Any, **options: Any) -> Any:
        if type(x) is not Masked or x.ndim > 1:
            _refuse(fn, x, *args)
        if x.dtype.kind not in "fc":
            x = x.astype(float)
        out = call(nan_fn, x.chosen(x.values, np.nan), *args, **options)
        where = box_of(x.spread())
        nan = call(np.any, call(np.isnan, x.values), where=where)
        return call(np.where, nan, np.nan, out)[()]

    return program


def _first_extremum(fn: Any, start: Callable[[Masked], Any]) -> Callable[..., Any]:
    """`np.argmax`: the place among those that are picked."""

    def program(x: Masked) -> Any:
        if x.ndim > 1:
            _refuse(fn, x)
        # Where an element equals the limit, one that is not picked could come first.
        best = call(fn, x.everywhere().reshape(-1))
        start(x)
        flat = x.mask.reshape(-1)
        before = call(np.cumsum, flat)
        return call(np.maximum, before[best] - 1, 0)

    return program


def average(a: Masked, axis: Any = None, weights: Any = None) -> Any:
    """`np.average`."""
    if weights is None:
        return run(np.mean, a, axis)
    total = run(np.sum, a * weights, axis)
    return total / run(np.sum, weights, axis)


def cumsum(x: Masked, axis: Any = None) -> Masked:
    """`np.cumsum` of one axis."""
    if x.ndim > 1 or len(x.places) > 1:
        _refuse(np.cumsum, x)
    return x.like(call(np.cumsum, x.chosen(x.values, 0)))


def norm(x: Masked, ord: Any = None, axis: Any = None) -> Any:
    """`np.linalg.norm`, to whose sums zeros add nothing."""
    if ord not in (None, 1, 2, np.inf, "fro") or (x.ndim > 1 and axis is None and ord):
        _refuse(np.linalg.norm, x)
    if axis is None:
        return call(np.linalg.norm, x.chosen(x.values, 0).reshape(-1), ord)
    axes, all_picked = axes_of(x, axis)
    if not all_picked:
        values = call(np.linalg.norm, x.everywhere(), ord, axes[0])
        return x.of(values, x.lead - (axes[0] < x.lead), safe=True)
    flat = x.flattened(x.chosen(x.values, 0))
    return call(np.linalg.norm, flat, ord, x.lead)


# Products -----------------------------------------------------------------------------


def matmul(a: Any, b: Any) -> Any:
    """`a @ b` of vectors and matrices: the picked axis is summed over, or stays."""
    one = a if type(a) is Masked else b
    ndims = [x.ndim if type(x) is Masked else as_box(x).aval.ndim for x in (a, b)]
    if max(ndims) > 2:
        one.refuse("a product of more than two axes needs to know")
    inner_a = type(a) is Masked and a.rest == 0
    inner_b = type(b) is Masked and b.lead == 0
    if inner_a != inner_b:
        one.refuse("it cannot be told whether their number fits the other operand")
    if not inner_a:
        return _outer_product(a, b)
    a.whole_rows(b)
    left, right = [x.flattened(x.chosen(x.values, 0)) for x in (a, b)]
    return call(np.matmul, left, right)


def _outer_product(a: Any, b: Any) -> Any:
    """The axis that is picked is not the one that is summed over."""
    if type(a) is Masked and type(b) is Masked:
        a.refuse("two axes of unknown length are in the result", b)
    if type(a) is Masked:
        values = call(np.matmul, a.everywhere(), b)
        return a.of(values, safe=True)
    # (a @ b) is (b.T @ a.T).T, whose picked axes come first.
    return matmul(b.T, as_box(a).T).T


def dot(a: Any, b: Any) -> Any:
    """`np.dot`: by a number, or as `@`."""
    for x in (a, b):
        if type(x) is not Masked and not as_box(x).aval.ndim:
            return elementwise(lambda p, q: p * q, a, b)
    return matmul(a, b)


PROGRAMS.update({fn: _of_each(fn) for fn in _ELEMENTWISE})
PROGRAMS.update(
    {fn: _reduction(fn) for fn in (np.sum, np.prod, np.mean, np.var, np.std)}
)
PROGRAMS.update({fn: _reduction(fn) for fn in (np.any, np.all, np.max, np.min)})
PROGRAMS.update(
    {
        np.where: where,
        sum: lambda x, start=0: start + run(np.sum, x, 0),
        max: lambda x: run(np.max, x),
        min: lambda x: run(np.min, x),
        np.asarray: lambda x: x,
        np.amax: _reduction(np.max),
        np.amin: _reduction(np.min),
        np.median: _without_others(np.median, np.nanmedian),
        np.percentile: _without_others(np.percentile, np.nanpercentile),
        np.quantile: _without_others(np.quantile, np.nanquantile),
        np.argmax: _first_extremum(np.argmax, _EXTREMA[np.max]),
        np.argmin: _first_extremum(np.argmin, _EXTREMA[np.min]),
        np.average: average,
        np.cumsum: cumsum,
        np.linalg.norm: norm,
        np.dot: dot,
        np.matmul: matmul,
        np.inner: dot,
        np.vdot: lambda a, b: dot(np.conjugate(a), b),
        np.count_nonzero: lambda x: run(np.sum, x != 0),
        np.ravel: lambda x, order="C": x.ravel(order),
        np.reshape: lambda x, *shape: x.reshape(*shape),
        np.transpose: lambda x: x.T,
        np.shape: lambda x: x.shape,
        np.size: lambda x: x.size,
        np.ndim: lambda x: x.ndim,
    }
)
