"""NumPy's reductions and scans as programs."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from tracejit.base.errors import AxisRangeError, ShapeMismatchError
from tracejit.ir.aval import Aval
from tracejit.ir.builder import current
from tracejit.ir.program import Atom, Var
from tracejit.ops import reduce
from tracejit.ops.numpy_names import (
    apply,
    conjugate,
    emit,
    imag,
    implements,
    isclose,
    real,
    unsupported,
    where,
)
from tracejit.ops.promote import (
    BOOL,
    INT,
    broadcast_shapes,
    broadcast_to,
    computed,
    convert,
    strong,
)

_DECLARES = (reduce,)


def normal_axis(axis: Any, ndim: int) -> int:
    """An axis counted from 0, or NumPy's AxisError."""
    k = axis.__index__()
    if not -ndim <= k < ndim:
        raise AxisRangeError(
            f"axis {k} is out of bounds for array of dimension {ndim}", current().loc
        )
    return k % ndim


def normal_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """`axis` of a reduction as ascending axes: None is all of them."""
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, tuple | list | range) else (axis,)
    found = sorted(normal_axis(a, ndim) for a in axes)
    if len(set(found)) < len(found):
        raise ShapeMismatchError("duplicate value in 'axis'", current().loc)
    return tuple(found)


def reduced(name: str, x: Atom, axes: tuple[int, ...], keepdims: bool = False) -> Atom:
    """A reduction primitive over axes, which stay as extents of 1 on request."""
    shape = x.aval.shape
    out = emit(name, x, axes=axes) if axes else x
    if keepdims:
        ones = tuple([1 if k in axes else n for k, n in enumerate(shape)])
        out = emit("reshape", out, shape=ones) if ones != out.aval.shape else out
    return out


def _counted(x: Atom, axes: tuple[int, ...]) -> int:
    return math.prod([x.aval.shape[k] for k in axes])


def accumulator(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in which NumPy adds up: small integers and bools widen."""
    if dtype.kind == "b" or (dtype.kind == "i" and dtype.itemsize < 8):
        return np.dtype(np.int64)
    if dtype.kind == "u" and dtype.itemsize < 8:
        return np.dtype(np.uint64)
    return dtype


def _masked(x: Any, mask: Any, neutral: Any) -> Atom:
    """The elements that `where=` leaves out replaced by a neutral number."""
    x = strong(x)
    return x if mask is True else where(mask, x, convert(neutral, x.aval.dtype))


def _sum_like(name: str, ufunc: np.ufunc, neutral: int) -> Callable[..., Atom]:
    def program(
        x: Any,
        axis: Any = None,
        dtype: Any = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = True,
    ) -> Atom:
        x = strong(x)
        flags, most = x.aval.dtype == BOOL, int(x.aval.size)
        dtype = np.dtype(dtype) if dtype else accumulator(x.aval.dtype)
        x = _masked(convert(x, dtype), where, neutral)
        out = reduced(name, x, normal_axes(axis, x.aval.ndim), bool(keepdims))
        if flags and isinstance(out, Var) and out.aval == Aval(INT):
            out.interval = 0, max(most, 1)  # a count, or a product of them
        return out if initial is None else convert(apply(ufunc, out, initial), dtype)

    return program


sum_ = implements(np.sum)(_sum_like("sum", np.add, 0))
prod = implements(np.prod)(_sum_like("prod", np.multiply, 1))


def _extremum(name: str, ufunc: np.ufunc) -> Callable[..., Atom]:
    def program(
        x: Any,
        axis: Any = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = True,
    ) -> Atom:
        x = strong(x)
        axes = normal_axes(axis, x.aval.ndim)
        initial = None if initial is None else convert(initial, x.aval.dtype)
        if where is not True:
            if initial is None:
                raise unsupported(f"np.{name}(where=…) without initial=")
            x = _masked(x, where, initial)
        if initial is None and _counted(x, axes) == 0 and x.aval.shape:
            raise ShapeMismatchError(
                f"zero-size array to reduction operation {name}imum "
                "which has no identity",
                current().loc,
                f"np.{name}(x, initial=…)",
            )
        if x.aval.dtype == BOOL:
            out = reduced("any" if name == "max" else "all", x, axes, bool(keepdims))
        elif x.aval.dtype.kind == "c":
            out = _complex_extremum(name, x, axes, bool(keepdims))
        else:
            out = reduced(name, x, axes, bool(keepdims))
        return out if initial is None else apply(ufunc, out, initial)

    return program


def _extreme_places(name: str, x: Atom, axes: tuple[int, ...]) -> Atom:
    """Where the complex numbers are that come last (first) in NumPy's order."""

    def best(part: Atom) -> Atom:
        found = reduced(name, part, axes, keepdims=True)
        return apply(np.equal, part, broadcast_to(found, x.aval.shape))

    top = best(real(x))
    neutral = -np.inf if name == "max" else np.inf
    return apply(np.logical_and, top, best(where(top, imag(x), neutral)))


def _complex_extremum(
    name: str, x: Atom, axes: tuple[int, ...], keepdims: bool
) -> Atom:
    """Equal ones share the derivative; NaN where there is one."""
    places = _extreme_places(name, x, axes)
    total = sum_(where(places, x, 0), axes, keepdims=keepdims)
    count = sum_(convert(places, np.int64), axes, keepdims=keepdims)
    fails = any_(apply(np.isnan, x), axes, keepdims)
    return where(fails, complex(np.nan, np.nan), apply(np.divide, total, count))


max_ = implements(np.max, np.amax)(_extremum("max", np.maximum))
min_ = implements(np.min, np.amin)(_extremum("min", np.minimum))


@implements(np.ptp)
def ptp(x: Any, axis: Any = None, keepdims: bool = False) -> Atom:
    """`np.ptp`: the largest less the smallest."""
    return apply(np.subtract, max_(x, axis, keepdims), min_(x, axis, keepdims))


def _truth(name: str, neutral: bool) -> Callable[..., Atom]:
    def program(
        x: Any, axis: Any = None, keepdims: bool = False, where: Any = True
    ) -> Atom:
        x = _masked(convert(x, BOOL), where, neutral)
        return reduced(name, x, normal_axes(axis, x.aval.ndim), bool(keepdims))

    return program


any_ = implements(np.any)(_truth("any", False))
all_ = implements(np.all)(_truth("all", True))


@implements(np.count_nonzero)
def count_nonzero(x: Any, axis: Any = None, keepdims: bool = False) -> Atom:
    """`np.count_nonzero`."""
    return sum_(convert(x, BOOL), axis, keepdims=keepdims)


@implements(np.allclose)
def allclose(a: Any, b: Any, **options: Any) -> Atom:
    """`np.allclose`."""
    return all_(isclose(a, b, **options))


@implements(np.array_equal)
def array_equal(a: Any, b: Any) -> Any:
    """`np.array_equal`."""
    a, b = strong(a), strong(b)
    if a.aval.shape != b.aval.shape:
        return False
    return all_(apply(np.equal, a, b))


@implements(np.array_equiv)
def array_equiv(a1: Any, a2: Any) -> Any:
    """`np.array_equiv`: equal after broadcasting."""
    a, b = strong(a1), strong(a2)
    try:
        broadcast_shapes(a.aval.shape, b.aval.shape)
    except ShapeMismatchError:
        return False
    return all_(apply(np.equal, a, b))


def _argument(name: str) -> Callable[..., Atom]:
    def program(x: Any, axis: Any = None, keepdims: bool = False) -> Atom:
        x = strong(x)
        shape = x.aval.shape
        if x.aval.dtype == BOOL:
            x = convert(x, np.int64)
        if axis is None or not shape:
            out = emit("reshape", x, shape=(x.aval.size,))
            axes, k = tuple(range(len(shape))), 0
        else:
            k = normal_axis(axis, len(shape))
            out, axes = x, (k,)
        if out.aval.shape[k] == 0:
            raise ShapeMismatchError(
                f"attempt to get {name} of an empty sequence", current().loc
            )
        if out.aval.dtype.kind == "c":
            out = _where_extreme(name.removeprefix("arg"), out, k)
        top = int(out.aval.shape[k]) - 1
        out = emit(name, out, axis=k)
        if not out.aval.shape:
            out.interval = 0, top
        if keepdims:
            ones = tuple([1 if k in axes else n for k, n in enumerate(shape)])
            out = emit("reshape", out, shape=ones)
        return out

    return program


def _where_extreme(name: str, x: Atom, axis: int) -> Atom:
    """Numbers whose extreme ones are where those of complex ones are, or NaN."""
    nan = apply(np.isnan, x)
    fails = broadcast_to(any_(nan, axis, True), x.aval.shape)
    places = where(fails, nan, _extreme_places(name, x, (axis,)))
    return where(places, *((1, 0) if name == "max" else (0, 1)))


argmax = implements(np.argmax)(_argument("argmax"))
argmin = implements(np.argmin)(_argument("argmin"))


@implements(np.mean)
def mean(
    x: Any,
    axis: Any = None,
    dtype: Any = None,
    keepdims: bool = False,
    where: Any = True,
) -> Atom:
    """`np.mean`: of integers in float64."""
    x = strong(x)
    dtype = np.dtype(dtype) if dtype else _floating(x.aval.dtype)
    x = convert(x, dtype)
    total = sum_(x, axis, keepdims=keepdims, where=where)
    return apply(np.divide, total, _count(x, axis, keepdims, where))


def _floating(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype if dtype.kind in "fc" else np.dtype(np.float64)


def _count(x: Atom, axis: Any, keepdims: Any, mask: Any) -> Atom:
    """How many elements each result is made of, in the dtype of `x`."""
    if mask is True:
        number = _counted(x, normal_axes(axis, x.aval.ndim))
        return computed(number, x.aval.dtype)
    mask = broadcast_to(convert(mask, BOOL), x.aval.shape)
    return convert(sum_(mask, axis, keepdims=keepdims), x.aval.dtype)


@implements(np.var)
def var(
    x: Any,
    axis: Any = None,
    dtype: Any = None,
    ddof: Any = 0,
    keepdims: bool = False,
    where: Any = True,
    correction: Any = None,
) -> Atom:
    """`np.var`: the mean square distance from the mean."""
    x = strong(x)
    dtype = np.dtype(dtype) if dtype else _floating(x.aval.dtype)
    x = convert(x, dtype)
    axes = normal_axes(axis, x.aval.ndim)
    centre = mean(x, axes, keepdims=True, where=where)
    away = apply(np.subtract, x, centre)
    square = apply(np.square, away)
    if dtype.kind == "c":
        square = real(apply(np.multiply, away, conjugate(away)))
    total = sum_(square, axes, keepdims=keepdims, where=where)
    ddof = ddof if correction is None else correction
    count = apply(np.subtract, _count(real(x), axes, keepdims, where), ddof)
    return apply(np.divide, total, apply(np.maximum, count, 0))


@implements(np.std)
@wraps(var, assigned=())
def std(*args: Any, **kwargs: Any) -> Atom:
    """`np.std`: the square root of the variance; its derivative at 0 is 0."""
    return root_of_sum(var(*args, **kwargs))


def root_of_sum(square: Atom) -> Atom:
    """The square root of a sum of squares: where all are 0, its derivative is 0."""
    zero = apply(np.equal, square, 0)
    return where(zero, square, apply(np.sqrt, where(zero, 1, square)))


def _scan(name: str) -> Callable[..., Atom]:
    def program(x: Any, axis: Any = None, dtype: Any = None) -> Atom:
        x = strong(x)
        x = convert(x, np.dtype(dtype) if dtype else accumulator(x.aval.dtype))
        if axis is None:
            x, axis = emit("reshape", x, shape=(x.aval.size,)), 0
        return emit(name, x, axis=normal_axis(axis, x.aval.ndim), reverse=False)

    return program


cumsum = implements(np.cumsum)(_scan("cumsum"))
cumprod = implements(np.cumprod)(_scan("cumprod"))
