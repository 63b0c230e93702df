"""NumPy's statistics on boxes: those that leave NaN out, covariances, averages."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from tracejit.base.errors import ShapeMismatchError
from tracejit.frontend.box import Box, call, copied
from tracejit.frontend.numpy_calls import array, asarray, astype, library
from tracejit.frontend.trace import current_trace
from tracejit.frontend.views import reshape, size, transpose
from tracejit.ops.numpy_reduce import normal_axes

# Without NaN --------------------------------------------------------------------------


def _filled(x: Any, fill: float) -> tuple[Box, Any]:
    """The array with NaN replaced, and which elements were none; True if all are."""
    box = asarray(x)
    if not box.aval.inexact:
        return box, True
    nan = call(np.isnan, box)
    return call(np.where, nan, fill, box), call(np.logical_not, nan)


def _replacing(name: str, fill: float) -> Callable[..., Any]:
    """A function of the numbers with something neutral in place of NaN."""
    plainly = getattr(np, name)

    def program(a: Any, axis: Any = None, dtype: Any = None, **options: Any) -> Any:
        return call(plainly, _filled(a, fill)[0], axis=axis, dtype=dtype, **options)

    return library(getattr(np, f"nan{name}"))(program)


for _name, _fill in (("sum", 0.0), ("prod", 1.0), ("cumsum", 0.0), ("cumprod", 1.0)):
    _replacing(_name, _fill)


def _nan_extremum(name: str, fill: float) -> None:
    plainly = getattr(np, name)

    def program(a: Any, axis: Any = None, keepdims: Any = False, **options: Any) -> Any:
        keepdims = keepdims is True
        filled, numbers = _filled(a, fill)
        out = call(plainly, filled, axis=axis, keepdims=keepdims, **options)
        if numbers is True:
            return out
        none = call(np.logical_not, call(np.any, numbers, axis=axis, keepdims=keepdims))
        return call(np.where, none, np.nan, out)[()]

    library(getattr(np, f"nan{name}"))(program)


_nan_extremum("max", -np.inf)
_nan_extremum("min", np.inf)


def _count(numbers: Any, axis: Any, keepdims: bool, mask: Any) -> Any:
    numbers = numbers if mask is True else call(np.logical_and, numbers, mask)
    return call(np.sum, numbers, axis=axis, keepdims=keepdims)


@library(np.nanmean)
def nanmean(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    keepdims: Any = False,
    *,
    where: Any = True,
) -> Any:
    """`np.nanmean`."""
    keepdims = keepdims is True
    filled, numbers = _filled(a, 0.0)
    if numbers is True:
        return call(np.mean, filled, axis, dtype, keepdims=keepdims, where=where)
    total = call(np.sum, filled, axis, dtype, keepdims=keepdims, where=where)
    return _ratio(total, _count(numbers, axis, keepdims, where))


def _ratio(total: Any, count: Any) -> Any:
    return total / astype(asarray(count), total.aval.dtype)[()]


@library(np.nanvar)
def nanvar(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    ddof: Any = 0,
    keepdims: Any = False,
    *,
    where: Any = True,
) -> Any:
    """`np.nanvar`; NaN where no freedom is left."""
    keepdims = keepdims is True
    filled, numbers = _filled(a, 0.0)
    if numbers is True:
        return call(
            np.var, filled, axis, dtype, ddof=ddof, keepdims=keepdims, where=where
        )
    axes = normal_axes(axis, filled.aval.ndim)
    filled = filled if dtype is None else astype(filled, dtype)
    total = call(np.sum, filled, axes, keepdims=True, where=where)
    centre = _ratio(total, _count(numbers, axes, True, where))
    numbers = numbers if where is True else call(np.logical_and, numbers, where)
    gaps = call(np.where, numbers, filled - centre, 0.0)
    square = call(np.square, gaps)
    if gaps.dtype.kind == "c":
        square = (gaps * call(np.conj, gaps)).real
    total = call(np.sum, square, axes, keepdims=keepdims)
    free = _count(numbers, axes, keepdims, True) - ddof
    some = free > 0
    ratio = _ratio(total, call(np.where, some, free, 1))
    return call(np.where, some, ratio, np.nan)[()]


@library(np.nanstd)
@wraps(nanvar, assigned=())
def nanstd(*args: Any, **options: Any) -> Any:
    """`np.nanstd`."""
    return call(np.sqrt, nanvar(*args, **options))


# Means and covariances ----------------------------------------------------------------


@library(np.average)
def average(
    a: Any,
    axis: Any = None,
    weights: Any = None,
    returned: bool = False,
    *,
    keepdims: Any = False,
) -> Any:
    """`np.average`; weights of the array's shape, or along some of its axes."""
    box, keepdims = asarray(a), keepdims is True
    if weights is None:
        mean = call(np.mean, box, axis, keepdims=keepdims)
        total = call(np.sum, call(np.ones_like, box), axis, keepdims=keepdims)
        total = total * 1.0
    else:
        weights = _weights_for(box, asarray(weights), axis)
        total = call(np.sum, weights, axis, keepdims=keepdims) * 1.0
        mean = call(np.sum, box * weights, axis, keepdims=keepdims) / total
    if not returned:
        return mean
    dtype, shape = mean.aval.dtype, mean.aval.shape
    total = astype(asarray(total), dtype)
    return mean, copied(call(np.broadcast_to, total, shape)) if shape else total[()]


def _weights_for(box: Box, weights: Box, axis: Any) -> Box:
    if weights.aval.shape == box.aval.shape:
        return weights
    loc = current_trace().builder.loc
    if axis is None:
        raise ShapeMismatchError(
            "Axis must be specified when shapes of a and weights differ.", loc
        )
    axes = normal_axes(axis, box.aval.ndim)
    if weights.aval.shape != tuple([box.aval.shape[k] for k in axes]):
        raise ShapeMismatchError(
            "Shape of weights must be consistent with shape of a along specified axis.",
            loc,
        )
    ones = [n if k in axes else 1 for k, n in enumerate(box.aval.shape)]
    return call(np.broadcast_to, reshape(weights, tuple(ones)), box.aval.shape)


@library(np.cov)
def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: Any = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> Any:
    """`np.cov`."""
    x = _variables(m, rowvar, dtype)
    if y is not None:
        x = call(np.concatenate, [x, _variables(y, rowvar, dtype)])
    ddof = (0 if bias else 1) if ddof is None else ddof
    weights: Any = None
    for w in (fweights, aweights):
        if w is not None:
            w = astype(asarray(w), float)
            weights = w if weights is None else weights * w
    mean, total = average(x, 1, weights, True)
    total = total[0] if weights is None else call(np.sum, weights)
    if weights is None:
        free: Any = size(x) // x.aval.shape[0] - ddof
    elif ddof == 0 or aweights is None:
        free = total - ddof
    else:
        free = total - ddof * call(np.sum, weights * asarray(aweights)) / total
    x = x - mean[:, None]
    turned = transpose(x if weights is None else x * weights)
    product = call(np.dot, x, call(np.conj, turned))
    return call(np.squeeze, product * (1.0 / free))[()]


def _variables(m: Any, rowvar: bool, dtype: Any) -> Box:
    """The variables as rows of floats."""
    box = asarray(m)
    if box.aval.ndim > 2:
        loc = current_trace().builder.loc
        raise ShapeMismatchError("m has more than 2 dimensions", loc)
    box = array(box, dtype or np.result_type(box.aval.dtype, np.float64), ndmin=2)
    turn = not rowvar and asarray(m).aval.ndim != 1
    return transpose(box) if turn else box


@library(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    """`np.corrcoef`."""
    c = cov(x, y, rowvar, dtype=dtype)
    if c.aval.ndim == 0:
        return c / c
    spread = call(np.sqrt, call(np.diag, c).real)
    c = c / spread[:, None] / spread[None, :]
    if c.aval.dtype.kind != "c":
        return call(np.clip, c, -1, 1)
    return call(np.clip, c.real, -1, 1) + 1j * call(np.clip, c.imag, -1, 1)
