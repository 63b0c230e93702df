"""NumPy's functions that sort, search and count, on boxes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracejit.base.errors import DataDependentShapeError, ShapeMismatchError
from tracejit.frontend import methods
from tracejit.frontend.box import (
    HANDLERS,
    Box,
    as_box,
    call,
    fresh,
    is_static,
    known_box,
    operand,
    plain,
)
from tracejit.frontend.indexing import assign
from tracejit.frontend.numpy_calls import asarray, ask_for, astype, library
from tracejit.frontend.picking import take_along_axis
from tracejit.frontend.trace import current_trace
from tracejit.frontend.views import expand_dims, moveaxis, ravel, reshape
from tracejit.ops.control import Failure, check
from tracejit.ops.numpy_names import emit, unsupported
from tracejit.ops.numpy_reduce import normal_axes, normal_axis
from tracejit.ops.promote import BOOL, convert, result_type, strong


def require(holds: Any, error: type[Exception], message: str) -> None:
    """What NumPy finds out when it runs, the compiled program does, too."""
    loc = current_trace().builder.loc
    atom = convert(strong(operand(holds)), BOOL)
    check(atom, error=Failure(error, (message,), loc))


# Orders -------------------------------------------------------------------------------


@library(np.argsort)
def argsort(
    x: Any, axis: Any = -1, kind: Any = None, order: Any = None, stable: Any = None
) -> Box:
    """`np.argsort`: stable, whatever is asked for."""
    box = asarray(x)
    if axis is None:
        box, axis = ravel(box), 0
    if not box.aval.shape:
        return known_box(np.zeros(1, np.int64))
    if box.aval.dtype == BOOL:
        box = astype(box, np.uint8)
    axis = normal_axis(axis, box.aval.ndim)
    if box.aval.dtype.kind == "c":
        # NumPy puts what has a NaN in its imaginary part before what has one in both.
        re, im = box.real, box.imag
        nans = 2 * call(np.isnan, re) + call(np.isnan, im)
        return lexsort([im, re, nans], axis)
    return fresh(emit("argsort", box.read(), axis=axis), box)


@library(np.sort)
def sort(
    x: Any, axis: Any = -1, kind: Any = None, order: Any = None, stable: Any = None
) -> Any:
    """`np.sort`: the elements in their order."""
    box = asarray(x)
    if axis is None:
        box, axis = ravel(box), 0
    return take_along_axis(box, argsort(box, axis), axis)


@library(np.partition)
def partition(x: Any, kth: Any, axis: Any = -1, kind: Any = None) -> Any:
    """`np.partition`: sorted arrays are partitioned."""
    return sort(x, axis)


@library(np.argpartition)
def argpartition(x: Any, kth: Any, axis: Any = -1, kind: Any = None) -> Any:
    """`np.argpartition`: an order partitions."""
    return argsort(x, axis)


@library(np.sort_complex)
def sort_complex(x: Any) -> Any:
    """`np.sort_complex`: of float32 in single precision."""
    box = asarray(x)
    return sort(astype(box, np.result_type(box.aval.dtype, np.complex64)))


@library(np.lexsort, arrays=0)
def lexsort(keys: Any, axis: int = -1) -> Any:
    """`np.lexsort`: by the last key, then by those before it."""
    boxes = [asarray(k) for k in keys]
    order = argsort(boxes[0], axis)
    for key in boxes[1:]:
        inner = argsort(take_along_axis(key, order, axis), axis)
        order = take_along_axis(order, inner, axis)
    return order


@library(np.searchsorted)
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    """`np.searchsorted`."""
    a, v = asarray(a), as_box(v)
    if sorter is not None:
        a = a[asarray(sorter)]
    if side not in ("left", "right"):
        raise ShapeMismatchError("search side must be 'left' or 'right'", _loc())
    values = [operand(a), operand(v)]
    dtype = result_type(*values)
    sorted_, wanted = (convert(x, dtype) for x in values)
    shape = wanted.aval.shape
    if not shape:
        wanted = emit("reshape", wanted, shape=(1,))
    out = emit("searchsorted", sorted_, wanted, right=side == "right")
    return fresh(out if shape else emit("reshape", out, shape=()))


def _loc() -> Any:
    return current_trace().builder.loc


@library(np.digitize)
def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """`np.digitize`."""
    bins, side = asarray(bins), "left" if right else "right"
    if is_static(bins):
        edges = plain(bins)
        gaps = np.diff(edges)
        if (gaps < 0).any() and (gaps > 0).any():
            message = "bins must be monotonically increasing or decreasing"
            raise ShapeMismatchError(message, _loc())
        if (gaps < 0).any():
            return len(edges) - searchsorted(bins[::-1], x, side)
    else:
        rising = call(np.all, bins[1:] >= bins[:-1])
        require(rising, ValueError, "bins that are traced must be increasing")
    return searchsorted(bins, x, side)


def _refused(name: str) -> Any:
    def program(*args: Any, **options: Any) -> Any:
        ask_for(*args)
        raise DataDependentShapeError(
            f"how many values {name} returns depends on data",
            _loc(),
            "np.sort, or a mask",
        )

    return program


for _name in (
    "unique unique_all unique_counts unique_inverse unique_values union1d "
    "intersect1d setdiff1d setxor1d trim_zeros"
).split():
    library(getattr(np, _name))(_refused(f"np.{_name}"))


@library(np.isin)
def isin(
    element: Any,
    test_elements: Any,
    assume_unique: bool = False,
    invert: bool = False,
    *,
    kind: Any = None,
) -> Any:
    """`np.isin`: every element is compared with all others."""
    element, tests = asarray(element), ravel(asarray(test_elements))
    found = call(np.any, expand_dims(element, -1) == tests, axis=-1)
    return call(np.logical_not, found) if invert else found


def _nan_argument(name: str, fill: float) -> None:
    def program(x: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
        box = asarray(x)
        if box.aval.inexact:
            box = call(np.where, call(np.isnan, box), fill, box)
        return call(getattr(np, name), box, axis, keepdims=keepdims)

    library(getattr(np, f"nan{name}"))(program)


_nan_argument("argmax", -np.inf)
_nan_argument("argmin", np.inf)


# Quantiles ----------------------------------------------------------------------------

#: The methods that pick an element and never lie between two.
_DISCRETE = {"lower", "higher", "nearest", "inverted_cdf", "closest_observation"}


def _last_axis(x: Box, axis: Any) -> tuple[Box, tuple[int, ...]]:
    """The axes run together as the last one, and which they are."""
    axes = normal_axes(axis, x.aval.ndim)
    kept = x.aval.ndim - len(axes)
    x = moveaxis(x, axes, range(kept, x.aval.ndim)) if axes else x
    return reshape(x, (*x.aval.shape[:kept], -1)), axes


def _at_position(x: Box, count: Any, position: Any, discrete: bool, weak: bool) -> Any:
    """Sorted rows at a position between 0 and count - 1, interpolated as NumPy does.

    `weak` says that the position was given as a number of Python's.
    """
    low = math.floor(position) if is_static(position) else call(np.floor, position)
    below = _index(low)
    if discrete:
        return _column(x, below)
    above = call(np.minimum, below + 1, count - 1)
    a, b = _column(x, below), _column(x, above)
    gap, t = b - a, position - low
    if weak and type(t) is Box and x.aval.inexact:
        t = astype(t, x.aval.dtype)
    near, far = a + gap * t, b - gap * (1 - t)
    if is_static(t):
        return far if plain(t) >= 0.5 else near
    return call(np.where, t >= 0.5, far, near)[()]


def _index(position: Any) -> Any:
    return astype(as_box(position), np.int64)


def _column(x: Box, index: Any) -> Any:
    """One element of each row; `index` is one for all rows, or one for each."""
    if is_static(index):
        return x[..., int(plain(index))]
    if not index.aval.shape:
        return x[..., index]
    return take_along_axis(x, expand_dims(index, -1), -1)[..., 0]


def _quantile(
    x: Any, q: Any, axis: Any, method: str, keepdims: bool, skip_nan: bool
) -> Any:
    box = asarray(x)
    rows, axes = _last_axis(box, axis)
    if skip_nan:
        count = call(np.sum, call(np.logical_not, call(np.isnan, rows)), axis=-1)
    else:
        count = rows.aval.shape[-1]
    rows = sort(rows)
    scalar = isinstance(q, float | int) and not isinstance(q, np.generic)
    q = as_box(q) if type(q) is Box else np.asarray(q)
    flat = [q] if not np.ndim(q) else [q[k] for k in range(len(q))]
    flat = [p.item() if scalar and isinstance(p, np.ndarray) else p for p in flat]
    found = [_one_quantile(rows, count, p, method, skip_nan) for p in flat]
    if keepdims:
        ones = [1 if k in axes else n for k, n in enumerate(box.aval.shape)]
        found = [reshape(f, tuple(ones)) for f in found]
    return call(np.stack, found) if np.ndim(q) else found[0]


def _is_weak(q: Any) -> bool:
    """Whether it is a number of Python's."""
    if type(q) is Box:
        return q.kind == "python"
    return isinstance(q, float | int) and not isinstance(q, np.generic)


def _one_quantile(rows: Box, count: Any, q: Any, method: str, skip_nan: bool) -> Any:
    steady = is_static(q) and not skip_nan
    if steady:
        # Of 0, 1, 2, … a quantile is the position that it is found at.
        q = plain(q)
        numbers = np.arange(int(count), dtype=float)
        position: Any = np.quantile(numbers, q, method=method)  # type: ignore[call-overload]
        position = position.item() if _is_weak(q) else position
    elif method == "linear":
        position = (count - 1) * q
    else:
        raise unsupported(f"a quantile of data by method={method!r}", "method='linear'")
    out = _at_position(rows, count, position, method in _DISCRETE, _is_weak(q))
    if skip_nan or not rows.aval.inexact:
        return out
    last = rows[..., -1]
    return call(np.where, call(np.isnan, last), last, out)


def _quantiles(fn: Any, scale: float, skip_nan: bool) -> None:
    def program(
        a: Any,
        q: Any,
        axis: Any = None,
        *,
        method: str = "linear",
        keepdims: Any = False,
        overwrite_input: Any = False,
    ) -> Any:
        given = q
        q = q if scale == 1 else (np.asarray(q) if type(q) is not Box else q) / scale
        q = q.item() if isinstance(given, float | int) and scale != 1 else q
        return _quantile(a, q, axis, method, keepdims is True, skip_nan)

    library(fn, arrays=1)(program)


def _medians(fn: Any, skip_nan: bool) -> None:
    def program(
        a: Any, axis: Any = None, keepdims: Any = False, overwrite_input: Any = False
    ) -> Any:
        # What is left in an input that may be overwritten is nobody's business.
        return _quantile(a, 0.5, axis, "linear", keepdims is True, skip_nan)

    library(fn)(program)


for _fn, _scale, _skip in (
    (np.quantile, 1, False),
    (np.percentile, 100, False),
    (np.nanquantile, 1, True),
    (np.nanpercentile, 100, True),
):
    _quantiles(_fn, _scale, _skip)
_medians(np.median, False)
_medians(np.nanmedian, True)


# Counting -----------------------------------------------------------------------------


@library(np.bincount)
def bincount(x: Any, weights: Any = None, minlength: Any = 0) -> Any:
    """`np.bincount`; of traced numbers `minlength` must be enough."""
    box, minlength = asarray(x), int(plain(minlength))
    if is_static(box):
        count = max(minlength, int(plain(box).max(initial=-1)) + 1)
    elif minlength == 0:
        ask_for(box)
        raise DataDependentShapeError(
            "how many numbers np.bincount returns depends on data",
            _loc(),
            "np.bincount(x, minlength=n), where all numbers are below n",
        )
    else:
        count = minlength
        fits = call(np.all, call(np.logical_and, box >= 0, box < count))
        require(fits, ValueError, "np.bincount: a number is not below minlength")
    return _counted(box, weights, count, np.float64)


def _counted(places: Box, weights: Any, count: int, dtype: Any) -> Any:
    out = known_box(np.zeros(count, np.int64 if weights is None else dtype))
    call_at(out, places, 1 if weights is None else astype(asarray(weights), dtype))
    return out


def call_at(out: Box, places: Any, values: Any) -> None:
    """`np.add.at(out, places, values)`."""
    HANDLERS["ufunc method"](np.add, "at", out, places, values)


def _edges(x: Box, bins: Any, limits: Any) -> Any:
    """The edges of bins, known or traced."""
    if isinstance(bins, str):
        raise DataDependentShapeError(
            f"how many bins there are by bins={bins!r} depends on data",
            _loc(),
            "a number of bins",
        )
    bins = plain(bins) if is_static(bins) else bins
    if np.ndim(bins) == 1:
        return asarray(bins)
    if limits is not None:
        first, last = limits
    else:
        first, last = call(np.min, x), call(np.max, x)
    first, last = first * 1.0, last * 1.0
    one = first == last
    if is_static(one):
        low, high = (first - 0.5, last + 0.5) if plain(one) else (first, last)
    else:
        low = call(np.where, one, first - 0.5, first)
        high = call(np.where, one, last + 0.5, last)
    dtype = call(np.result_type, low, high, x)
    dtype = np.result_type(dtype, float) if dtype.kind in "iub" else dtype
    return astype(asarray(call(np.linspace, low, high, int(bins) + 1)), dtype)


def _places(x: Box, edges: Box) -> Any:
    """The bin of each number; the last one closes; those outside are in none."""
    count = edges.aval.shape[0] - 1
    place = searchsorted(edges, x, "right") - 1
    place = call(np.where, x == edges[-1], count - 1, place)
    inside = call(np.logical_and, x >= edges[0], x <= edges[-1])
    return call(np.where, inside, place, count)


@library(np.histogram, arrays=1)
def histogram(
    a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> Any:
    """`np.histogram`."""
    x = ravel(asarray(a))
    bins = bins if isinstance(bins, str | int) else asarray(bins)
    if is_static(x) and isinstance(bins, str | int) and range is None:
        edges = asarray(np.histogram_bin_edges(plain(x), bins))
    else:
        edges = _edges(x, bins, range)
    count = edges.aval.shape[0] - 1
    weights = None if weights is None else ravel(asarray(weights))
    dtype = None if weights is None else weights.aval.dtype
    found = _counted(_places(x, edges), weights, int(count) + 1, dtype)[:count]
    if density:
        widths = astype(edges[1:] - edges[:-1], float)
        found = found / widths / call(np.sum, found)
    return found, edges


@library(np.histogram_bin_edges, arrays=1)
def histogram_bin_edges(
    a: Any, bins: Any = 10, range: Any = None, weights: Any = None
) -> Any:
    """`np.histogram_bin_edges`."""
    return _edges(ravel(asarray(a)), bins, range)


@library(np.histogramdd, arrays=0)
def histogramdd(
    sample: Any,
    bins: Any = 10,
    range: Any = None,
    density: Any = None,
    weights: Any = None,
) -> Any:
    """`np.histogramdd`."""
    if isinstance(sample, list | tuple):
        columns = [asarray(x) for x in sample]
    else:
        box = asarray(sample)
        columns = [box[:, k] for k in np.arange(box.aval.shape[1])]
    each = list(bins) if isinstance(bins, list | tuple) else [bins] * len(columns)
    limits = [None] * len(columns) if range is None else range
    edges = [_edges(x, b, r) for x, b, r in zip(columns, each, limits, strict=True)]
    counts = [int(e.aval.shape[0]) for e in edges]  # one more: for what is outside
    place: Any = 0
    for x, e, n in zip(columns, edges, counts, strict=True):
        place = place * n + _places(x, e)
    dtype = None if weights is None else np.float64
    flat = astype(_counted(asarray(place), weights, int(np.prod(counts)), dtype), float)
    out = reshape(flat, tuple(counts))[tuple([slice(0, n - 1) for n in counts])]
    if density:
        out = out / call(np.sum, out)
        for k, e in enumerate(edges):
            ones = [1] * len(edges)
            ones[k] = -1
            out = out / reshape(e[1:] - e[:-1], tuple(ones))
    return out, edges


@library(np.histogram2d, arrays=2)
def histogram2d(
    x: Any,
    y: Any,
    bins: Any = 10,
    range: Any = None,
    density: Any = None,
    weights: Any = None,
) -> Any:
    """`np.histogram2d`."""
    shared = not isinstance(bins, int) and np.ndim(bins[0]) == 0 and len(bins) != 2
    both = [bins, bins] if shared else bins
    out, edges = histogramdd([x, y], both, range, density, weights)
    return out, edges[0], edges[1]


#: Its methods come first: here they are replaced.
_METHODS_OF = methods


# Methods ------------------------------------------------------------------------------


def _sort_in_place(self: Box, axis: int = -1, *args: Any, **options: Any) -> None:
    self.require_writable()
    assign(self, sort(self, axis))


def _partition_in_place(self: Box, kth: Any, axis: int = -1, *args: Any) -> None:
    _sort_in_place(self, axis)


for _name, _method in {
    "sort": _sort_in_place,
    "partition": _partition_in_place,
    "argsort": argsort,
    "argpartition": argpartition,
    "searchsorted": searchsorted,
}.items():
    setattr(Box, _name, _method)
