"""Piecewise polynomials and B-splines of `scipy.interpolate`, as plain NumPy.

These functions are staged as a user's helpers would be; SciPy's own classes, which are
written in Python, call them in place of C code.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# Piecewise polynomials ----------------------------------------------------------------


def _falling(power: int, order: int) -> float:
    """power · (power - 1) · …, of `order` factors."""
    found = 1.0
    for k in range(order):
        found *= power - k
    return found


def _derivative(c: Any, s: Any, order: int) -> Any:
    """A derivative of polynomials: their coefficients along the first axis of `c`."""
    found = 0.0 * c[0] * s
    for row in range(len(c) - order):
        power = len(c) - 1 - row
        found = found * s + c[row] * _falling(power, order)
    return found


def evaluate(c: Any, x: Any, xp: Any, dx: int, extrapolate: Any, out: Any) -> None:
    """`_ppoly.evaluate`: piece i lies between x[i] and x[i + 1]."""
    way = np.where(x[-1] >= x[0], 1.0, -1.0)
    place = np.searchsorted(way * x, way * xp, "right") - 1
    place = np.clip(place, 0, len(x) - 2)
    found = _derivative(c[:, place], (xp - x[place])[:, None], dx)
    if not extrapolate:
        outside = (way * xp < way * x[0]) | (way * xp > way * x[-1])
        found = np.where(outside[:, None], np.nan, found)
    out[...] = found


def integrate(c: Any, x: Any, a: Any, b: Any, extrapolate: Any, out: Any) -> None:
    """`_ppoly.integrate`, from a to b: over the part in each piece."""
    powers = np.arange(len(c), 0, -1.0)
    rising = np.concatenate([c / powers[:, None, None], 0 * c[:1]])
    low, high = x[:-1].copy(), x[1:].copy()
    if extrapolate:
        low[0], high[-1] = min(a, x[0]), max(b, x[-1])
    first, last = np.clip(a, low, high), np.clip(b, low, high)
    ends = [(at - x[:-1])[:, None] for at in (first, last)]
    pieces = _derivative(rising, ends[1], 0) - _derivative(rising, ends[0], 0)
    outside = (a < x[0]) | (b > x[-1])
    out[...] = np.sum(pieces, axis=0)
    if not extrapolate:
        out[...] = np.where(outside, np.nan, out)


def fix_continuity(c: Any, x: Any, order: int) -> None:
    """`_ppoly.fix_continuity`: each piece goes on from the one before it."""
    for i in range(1, len(x) - 1):
        gap = x[i] - x[i - 1]
        for k in range(order, -1, -1):
            ends = _derivative(c[:, i - 1], gap, k)
            c[len(c) - 1 - k, i] = ends / _falling(k, k)


# B-splines ----------------------------------------------------------------------------


def _basis(t: Any, k: int, x: Any, left: Any) -> Any:
    """The basis functions that are not zero at x, from number `left` - k on.

    Piegl and Tiller, The NURBS Book, algorithm A2.2.
    """
    found = [np.ones_like(x)]
    for d in range(1, k + 1):
        saved, rows = np.zeros_like(x), []
        for r in range(d):
            low, high = t[left + 1 - d + r], t[left + r + 1]
            part = found[r] / (high - low)
            rows.append(saved + (high - x) * part)
            saved = (x - low) * part
        found = [*rows, saved]
    return found


def _left(t: Any, k: int, x: Any) -> Any:
    return np.clip(np.searchsorted(t, x, "right") - 1, k, len(t) - k - 2)


def evaluate_spline(
    t: Any, c: Any, k: int, xp: Any, nu: int, extrapolate: Any, out: Any = None
) -> Any:
    """`_dierckx.evaluate_spline`: coefficients along the first axis of `c`."""
    knots, order = t, k
    for _ in range(nu):
        gaps = knots[order + 1 : -1] - knots[1 : -order - 1]
        rises = order * (c[1 : len(gaps) + 1] - c[: len(gaps)])
        some = (gaps > 0)[:, None]
        c = np.where(some, rises / np.where(some, gaps[:, None], 1.0), 0.0)
        knots, order = knots[1:-1], order - 1
    left = _left(knots, order, xp)
    basis = _basis(knots, order, xp, left)
    found = sum(basis[r][:, None] * c[left - order + r] for r in range(order + 1))
    if not extrapolate:
        outside = (xp < t[k]) | (xp > t[-k - 1])
        found = np.where(outside[:, None], np.nan, found)
    if out is None:
        return found
    out[...] = found
    return None


def splev(x: Any, tck: Any, der: int = 0, ext: int = 0) -> Any:
    """`scipy.interpolate.splev` of a function."""
    t, c, k = tck
    if ext:
        raise NotImplementedError("splev with ext")
    x, c = np.asarray(x), np.asarray(c)
    if der > k:
        return np.zeros(x.shape)
    values = evaluate_spline(np.asarray(t), c[:, None], k, x.reshape(-1), der, True)
    return values.reshape(x.shape)


def find_interval(t: Any, k: int, xval: Any, prev_l: int, extrapolate: Any) -> Any:
    """`_dierckx.find_interval`."""
    return _left(t, k, xval)


def evaluate_all_bspl(t: Any, k: int, xval: Any, m: Any, nu: int = 0) -> Any:
    """`_dierckx.evaluate_all_bspl`: the basis functions that are not zero."""
    each = np.eye(len(t) - k - 1)
    values = evaluate_spline(t, each, k, np.reshape(xval, 1), nu, True)
    return values[0, m - k + np.arange(k + 1)]


def _coloc(x: Any, t: Any, k: int, ab: Any, offset: int = 0) -> None:
    """`_dierckx._coloc`: basis functions at points, as a band matrix on its side."""
    left, rows = _left(t, k, x), np.arange(len(x)) + offset
    for r, values in enumerate(_basis(t, k, x, left)):
        column = left - k + r
        ab[column, 2 * k + rows - column] = values


#: By the names of SciPy's functions.
PROGRAMS = {
    f"scipy.interpolate.{f.__name__}": f
    for f in (
        *(evaluate, integrate, fix_continuity, evaluate_spline, splev),
        *(find_interval, evaluate_all_bspl, _coloc),
    )
}
