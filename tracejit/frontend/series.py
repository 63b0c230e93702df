"""NumPy's functions on sampled functions and polynomials, on boxes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.base.errors import ShapeMismatchError
from tracejit.frontend.box import Box, as_box, call, is_static, known_box, plain
from tracejit.frontend.numpy_calls import array, asarray, astype, library
from tracejit.frontend.sorting import require, searchsorted
from tracejit.frontend.trace import current_trace
from tracejit.frontend.views import moveaxis, ravel, reshape
from tracejit.ops.numpy_names import unsupported
from tracejit.ops.numpy_reduce import normal_axes


def _loc() -> Any:
    return current_trace().builder.loc


@library(np.interp)
def interp(
    x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None
) -> Any:
    """`np.interp`: the points must increase, as NumPy asks for."""
    x, xp, fp = as_box(x), astype(asarray(xp), float), asarray(fp)
    fp = astype(fp, np.result_type(fp.dtype, float))
    if xp.aval.ndim != 1 or xp.aval.shape != fp.aval.shape:
        raise ShapeMismatchError("fp and xp are not of the same length.", _loc())
    if period is not None:
        period = call(np.absolute, period) if type(period) is Box else abs(period)
        x, xp = x % period, xp % period
        order = call(np.argsort, xp)
        xp, fp = xp[order], fp[order]
        xp = call(np.concatenate, [xp[-1:] - period, xp, xp[:1] + period])
        fp = call(np.concatenate, [fp[-1:], fp, fp[:1]])
        left = right = None
    x = x * 1.0
    n = int(xp.aval.shape[0])
    left = fp[0] if left is None else left
    right = fp[-1] if right is None else right
    if n == 1:
        out = call(np.where, x < xp[0], left, call(np.where, x > xp[0], right, fp[0]))
        return call(np.where, call(np.isnan, x), x, out)[()]
    below = call(np.clip, searchsorted(xp, x, "right") - 1, 0, n - 2)
    slopes = (fp[1:] - fp[:-1]) / (xp[1:] - xp[:-1])
    inside = slopes[below] * (x - xp[below]) + fp[below]
    # The last point is its value itself, whatever the slope before it.
    inside = call(np.where, x == xp[-1], _last(fp, slopes, x, xp), inside)
    out = call(np.where, x < xp[0], left, call(np.where, x > xp[-1], right, inside))
    return call(np.where, call(np.isnan, x), x, out)[()]


def _last(fp: Box, slopes: Box, x: Any, xp: Box) -> Any:
    return fp[-1] + slopes[-1] * (x - xp[-1])


@library(np.gradient, arrays=1)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """`np.gradient`, with even and uneven spacing."""
    x = asarray(f)
    x = x if x.aval.inexact else astype(x, float)
    axes = normal_axes(axis, x.aval.ndim) if axis is None else None
    if axes is None:
        listed = axis if isinstance(axis, tuple | list) else (axis,)
        axes = tuple([normal_axes(k, x.aval.ndim)[0] for k in listed])
    if len(varargs) == 0:
        gaps: list[Any] = [1.0] * len(axes)
    elif len(varargs) == 1 and np.ndim(varargs[0]) == 0:
        gaps = list(varargs) * len(axes)
    elif len(varargs) == len(axes):
        gaps = list(varargs)
    else:
        raise ShapeMismatchError("invalid number of arguments", _loc())
    found = []
    for k, gap in zip(axes, gaps, strict=True):
        if x.aval.shape[k] < edge_order + 1:
            raise ShapeMismatchError(
                "Shape of array too small to calculate a numerical gradient, at least "
                "(edge_order + 1) elements are required.",
                _loc(),
            )
        slopes = _slopes(x, k, gap, edge_order)
        found.append(astype(slopes, x.aval.dtype, copy=False))
    return found[0] if len(found) == 1 else tuple(found)


def _slopes(x: Box, axis: int, gap: Any, edge_order: int) -> Box:
    """The slope along an axis; `gap` is a distance, or the coordinates."""

    def at(first: int, last: int | None) -> Box:
        return x[(slice(None),) * axis + (slice(first, last),)]

    gap = gap if isinstance(gap, int | float) else asarray(gap)
    if np.ndim(gap) == 0:
        ends = [gap] * 4
        inner = (at(2, None) - at(0, -2)) / (2.0 * gap)
    else:
        if gap.aval.shape[0] != x.aval.shape[axis]:
            message = "when 1d, distances must match the length of the dimension"
            raise ShapeMismatchError(message, _loc())
        gaps = gap[1:] - gap[:-1]
        column = reshape(gaps, (-1,) + (1,) * (x.aval.ndim - 1 - axis))
        before, after = column[:-1], column[1:]
        both = before + after
        inner = (
            -(after) / (before * both) * at(0, -2)
            + (after - before) / (before * after) * at(1, -1)
            + before / (after * both) * at(2, None)
        )
        ends = [gaps[0], gaps[1], gaps[-2], gaps[-1]] if edge_order > 1 else []
        ends = ends or [gaps[0], None, None, gaps[-1]]
    if edge_order == 1:
        first = (at(1, 2) - at(0, 1)) / ends[0]
        last = (at(-1, None) - at(-2, -1)) / ends[3]
    else:
        first = _parabola(at(0, 1), at(1, 2), at(2, 3), ends[0], ends[1])
        edge = at(-1, None), at(-2, -1), at(-3, -2)
        last = -_parabola(*edge, ends[3], ends[2])
    return call(np.concatenate, [first, inner, last], axis=axis)


def _parabola(a: Any, b: Any, c: Any, h: Any, k: Any) -> Any:
    """The slope at the first of three points of a parabola, h and k apart."""
    both = h + k
    return -(2.0 * h + k) / (h * both) * a + both / (h * k) * b - h / (k * both) * c


@library(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """`np.ediff1d`."""
    out = call(np.diff, ravel(asarray(ary)))
    parts = [
        p if p is out else astype(ravel(asarray(p)), out.aval.dtype)
        for p in (to_begin, out, to_end)
        if p is not None
    ]
    return parts[0] if len(parts) == 1 else call(np.concatenate, parts)


@library(np.unwrap)
def unwrap(
    p: Any, discont: Any = None, axis: int = -1, *, period: Any = 2 * np.pi
) -> Any:
    """`np.unwrap`: whole periods added, which have no slope."""
    box = asarray(p)
    rows = moveaxis(box, axis, -1)
    steps = rows[..., 1:] - rows[..., :-1]
    discont = period / 2 if discont is None else discont
    low = -period / 2
    turned = (steps - low) % period + low
    up = call(np.logical_and, turned == low, steps > 0)
    turned = call(np.where, up, -low, turned)
    correction = call(np.where, call(np.absolute, steps) < discont, 0, turned - steps)
    moved = rows[..., 1:] + call(np.cumsum, correction, axis=-1)
    return moveaxis(call(np.concatenate, [rows[..., :1], moved], axis=-1), -1, axis)


@library(np.i0)
def i0(x: Any) -> Any:
    """`np.i0`, by the Chebyshev series of Cephes."""
    size = call(np.absolute, asarray(x) * 1.0)
    small = size <= 8.0
    inner = _chebyshev(call(np.where, small, size, 8.0) / 2.0 - 2.0, _I0_SMALL)
    far = call(np.where, small, 9.0, size)
    outer = _chebyshev(32.0 / far - 2.0, _I0_LARGE) / call(np.sqrt, far)
    return call(np.exp, size) * call(np.where, small, inner, outer)


def _chebyshev(x: Any, coefficients: tuple[float, ...]) -> Any:
    """Clenshaw's sum, as NumPy's `i0` takes it."""
    b0: Any = coefficients[0]
    b1: Any = 0.0
    b2: Any = 0.0
    for c in coefficients[1:]:
        b0, b1, b2 = x * b0 - b1 + c, b0, b1
    return 0.5 * (b0 - b2)


# Polynomials --------------------------------------------------------------------------


def _trimmed(p: Any) -> Box:
    """Coefficients of a polynomial: NumPy drops leading zeros, and so their place."""
    box = array(p, copy=None, ndmin=1)
    if is_static(box):
        return known_box(np.trim_zeros(box.array, "f"))
    message = "the leading coefficient is 0: NumPy would return fewer coefficients"
    require(box[0] != 0, ValueError, message)
    return box


@library(np.polyder, arrays=1)
def polyder(p: Any, m: int = 1) -> Any:
    """`np.polyder`."""
    box = asarray(p)
    for _ in range(m):
        n = int(box.aval.shape[0]) - 1
        box = box[:-1] * known_box(np.arange(n, 0, -1))
    return box


@library(np.polyint, arrays=1)
def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    """`np.polyint`."""
    constants = [0.0] * m if k is None else list(ravel(asarray(k)))
    constants = constants * m if len(constants) == 1 else constants
    box = asarray(p)
    for c in constants[:m]:
        n = int(box.aval.shape[0])
        whole = box / known_box(np.arange(n, 0, -1))
        box = call(np.concatenate, [whole, array([c])])
    return box


def _padded(p: Box, more: int) -> Box:
    """A polynomial with leading zeros."""
    zeros = known_box(np.zeros(max(more, 0), p.aval.dtype))
    return call(np.concatenate, [zeros, p]) if more > 0 else p


def _sums(sign: int) -> Any:
    def program(a1: Any, a2: Any) -> Any:
        a, b = (array(p, copy=None, ndmin=1) for p in (a1, a2))
        more = int(a.aval.shape[0]) - int(b.aval.shape[0])
        a, b = _padded(a, -more), _padded(b, more)
        return a + b if sign > 0 else a - b

    return program


library(np.polyadd)(_sums(1))
library(np.polysub)(_sums(-1))


@library(np.polymul)
def polymul(a1: Any, a2: Any) -> Any:
    """`np.polymul`."""
    return call(np.convolve, _trimmed(a1), _trimmed(a2))


@library(np.polydiv)
def polydiv(u: Any, v: Any) -> Any:
    """`np.polydiv`: the quotient; the remainder's length depends on data."""
    raise unsupported("np.polydiv", "the division written out")


@library(np.poly)
def poly(seq_of_zeros: Any) -> Any:
    """`np.poly` of roots."""
    roots = array(seq_of_zeros, copy=None, ndmin=1)
    if roots.aval.ndim != 1:
        raise unsupported("np.poly of a matrix", "its eigenvalues")
    dtype = roots.aval.dtype if roots.aval.inexact else np.dtype(float)
    out: Any = known_box(np.ones(1, dtype))
    for k in range(int(roots.aval.shape[0])):
        out = call(np.convolve, out, array([1, -roots[k]], dtype))
    return out


@library(np.vander)
def vander(x: Any, N: Any = None, increasing: bool = False) -> Any:
    """`np.vander`: columns of powers, each from the one before it."""
    box = asarray(x)
    count = int(box.aval.shape[0]) if N is None else int(N)
    box = astype(box, np.promote_types(box.aval.dtype, int))
    columns = [call(np.ones_like, box)]
    for _ in range(count - 1):
        columns.append(columns[-1] * box)
    columns = columns[:count]
    return call(np.stack, columns if increasing else columns[::-1], axis=1)


# The tables of Cephes, as in NumPy.
_I0_SMALL = tuple(np.lib._function_base_impl._i0A)  # type: ignore[attr-defined]
_I0_LARGE = tuple(np.lib._function_base_impl._i0B)  # type: ignore[attr-defined]


@library(np.polyfit, arrays=2)
def polyfit(x: Any, y: Any, deg: Any, rcond: Any = None, *, w: Any = None) -> Any:
    """`np.polyfit`: least squares, the columns scaled as NumPy scales them."""
    x, y = asarray(x) + 0.0, asarray(y) + 0.0
    if is_static(deg) and int(plain(deg)) < 0:
        raise ShapeMismatchError("expected deg >= 0", _loc())
    rcond = x.aval.shape[0] * np.finfo(x.aval.dtype).eps if rcond is None else rcond
    columns = call(np.vander, x, int(plain(deg)) + 1)
    if w is not None:
        w = asarray(w) + 0.0
        columns = columns * w[:, None]
        y = y * (w[:, None] if y.aval.ndim == 2 else w)
    scale = call(np.sqrt, call(np.sum, columns * columns, 0))
    found = call(np.linalg.lstsq, columns / scale, y, rcond)[0]
    return found / (scale[:, None] if y.aval.ndim == 2 else scale)
