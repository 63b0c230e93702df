"""Reductions over a tuple of axes, which vanish, and scans along one axis.

    sum, prod, max, min, any, all (x; axes)        argmax, argmin (x; axis)
    cumsum, cumprod (x; axis, reverse)             reverse: from the last element on
    recur(a, b; axis, reverse)                     y_k = a_k * y_(k-1) + b_k

Sums of narrow integers and of booleans are cast to int64 beforehand: what goes in is
what comes out. An empty maximum is refused by staging.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracejit.ir.aval import Aval
from tracejit.ir.primitive import REGISTRY, Constant, Linear, Nonlinear, cast_to
from tracejit.ops.elementwise import div, eq, mul, select

Axes = tuple[int, ...]


def _reduced(x: Aval, axes: Axes) -> Aval:
    return x.update(shape=tuple(n for k, n in enumerate(x.shape) if k not in axes))


def _kept(ndim: int, axes: Axes) -> Axes:
    return tuple(k for k in range(ndim) if k not in axes)


def _spread(r: Any, x: Any, axes: Axes) -> Any:
    """A reduced value back at the shape of `x`."""
    kept = _kept(x.aval.ndim, axes)
    if kept == tuple(range(x.aval.ndim)):
        return r
    return REGISTRY["broadcast"](r, shape=x.aval.shape, axes=kept)


def _samples(rng: np.random.Generator) -> list[Any]:
    cases: list[Any] = [((3,), (0,)), ((2, 3, 4), (0, 2)), ((2, 3), ()), ((0, 2), (1,))]
    return [((rng.normal(size=shape),), {"axes": axes}) for shape, axes in cases]


sum_ = Linear(
    "sum",
    lambda x, axes: np.sum(x, axis=axes),
    _reduced,
    {0: lambda ct, x, axes: _spread(ct, x, axes)},
    samples=_samples,
    complex=True,
)

# max and min: the tangent is the mean over those that attain the extremum.


def _extremum_tangent(y: Any, inputs: Any, tangents: Any, axes: Axes) -> Any:
    (x,), (t,) = inputs, tangents
    hit = eq(x, _spread(y, x, axes))
    # Chosen, not multiplied: what loses contributes nothing, were it NaN.
    total = sum_(select(hit, t, 0), axes=axes)
    return div(total, sum_(cast_to(hit, x.aval.dtype), axes=axes))


max_ = Nonlinear(
    "max",
    lambda x, axes: np.max(x, axis=axes),
    _reduced,
    tangent=_extremum_tangent,
    samples=_samples,
)
min_ = Nonlinear(
    "min",
    lambda x, axes: np.min(x, axis=axes),
    _reduced,
    tangent=_extremum_tangent,
    samples=_samples,
)

# prod: the partial is the product of all the others, from the left times from the
# right, which is right with any number of zeros and has a derivative itself.


def _prod_tangent(y: Any, inputs: Any, tangents: Any, axes: Axes) -> Any:
    (x,), (t,) = inputs, tangents
    rest = _kept(x.aval.ndim, axes)
    if not axes:
        return t
    x, t = _last(x, rest, axes), _last(t, rest, axes)
    axis = len(rest)
    others = _shifted(cumprod(x, axis=axis, reverse=False), 1, axis, False)
    others = others * _shifted(cumprod(x, axis=axis, reverse=True), 1, axis, True)
    return sum_(mul(t, others), axes=(axis,))


def _last(x: Any, rest: Axes, axes: Axes) -> Any:
    """`x` with `axes` moved to the end and run together."""
    shape = x.aval.shape
    if rest + axes != tuple(range(len(shape))):
        x = REGISTRY["transpose"](x, perm=rest + axes)
    if len(axes) == 1:
        return x
    extents = [shape[k] for k in axes]
    return REGISTRY["reshape"](
        x, shape=(*(shape[k] for k in rest), math.prod(extents[1:], start=extents[0]))
    )


def _shifted(x: Any, fill: float, axis: int, reverse: bool) -> Any:
    """Each element replaced by the one before it in the scan's order."""
    shape = x.aval.shape
    if not shape[axis]:
        return x
    starts = [0] * len(shape)
    starts[axis] = 1 if reverse else 0
    sizes = (*shape[:axis], shape[axis] - 1, *shape[axis + 1 :])
    part = REGISTRY["getitem"](
        x, *map(np.int64, starts), sizes=sizes, steps=(1,) * len(shape)
    )
    lo, hi = [0] * len(shape), [0] * len(shape)
    (hi if reverse else lo)[axis] = 1
    value = np.asarray(fill, x.aval.dtype)[()]
    return REGISTRY["pad"](part, value, lo=tuple(lo), hi=tuple(hi))


prod = Nonlinear(
    "prod",
    lambda x, axes: np.prod(x, axis=axes),
    _reduced,
    tangent=_prod_tangent,
    samples=_samples,
    complex=True,
)

# Scans --------------------------------------------------------------------------------


def turned(x: Any, axis: int, reverse: bool) -> Any:
    return np.flip(x, axis) if reverse else x


def same_shape(x: Aval, *rest: Aval, **params: Any) -> Aval:
    return x


def scan_samples(rng: np.random.Generator) -> list[Any]:
    cases: list[Any] = [((4,), 0), ((2, 3), 0), ((2, 3), 1), ((0, 2), 0)]
    return [
        ((rng.normal(size=shape),), {"axis": axis, "reverse": reverse})
        for shape, axis in cases
        for reverse in (False, True)
    ]


cumsum: Linear = Linear(
    "cumsum",
    lambda x, axis, reverse: turned(
        np.cumsum(turned(x, axis, reverse), axis), axis, reverse
    ),
    same_shape,
    {0: lambda ct, x, axis, reverse: cumsum(ct, axis=axis, reverse=not reverse)},
    samples=scan_samples,
    complex=True,
)


def _cumprod_tangent(
    y: Any, inputs: Any, tangents: Any, axis: int, reverse: bool
) -> Any:
    (x,), (t,) = inputs, tangents
    before = _shifted(y, 1, axis, reverse)
    return recur(x, mul(t, before), axis=axis, reverse=reverse)


cumprod: Nonlinear = Nonlinear(
    "cumprod",
    lambda x, axis, reverse: turned(
        np.cumprod(turned(x, axis, reverse), axis), axis, reverse
    ),
    same_shape,
    tangent=_cumprod_tangent,
    samples=scan_samples,
    complex=True,
)


def _recur(a: Any, b: Any, axis: int, reverse: bool) -> Any:
    y = np.moveaxis(turned(np.array(b), axis, reverse), axis, 0)
    a = np.moveaxis(turned(a, axis, reverse), axis, 0)
    for k in range(1, len(y)):
        y[k] += a[k] * y[k - 1]
    return turned(np.moveaxis(y, 0, axis), axis, reverse)


def _recur_tangent(y: Any, inputs: Any, tangents: Any, axis: int, reverse: bool) -> Any:
    a = inputs[0]
    ta, tb = tangents
    drive = tb
    if ta is not None:
        term = mul(ta, _shifted(y, 0, axis, reverse))
        drive = term if tb is None else tb + term
    return recur(a, drive, axis=axis, reverse=reverse)


def _recur_transpose(ct: Any, a: Any, b: Any, axis: int, reverse: bool) -> Any:
    """The same recurrence from the other end, each factor used one step later."""
    factors = _shifted(a, 0, axis, not reverse)
    return recur(factors, ct, axis=axis, reverse=not reverse)


def _recur_samples(rng: np.random.Generator) -> list[Any]:
    return [
        ((rng.normal(size=x.shape), x), params) for (x,), params in scan_samples(rng)
    ]


recur: Nonlinear = Nonlinear(
    "recur",
    _recur,
    same_shape,
    {1: _recur_transpose},
    tangent=_recur_tangent,
    active=(0, 1),
    samples=_recur_samples,
    cost=2,
    complex=True,
)

# Without derivative -------------------------------------------------------------------


def _index_shape(x: Aval, axis: int) -> Aval:
    return Aval(np.dtype(np.int64), _reduced(x, (axis,)).shape)


def _index_samples(rng: np.random.Generator) -> list[Any]:
    cases: list[Any] = [((3,), 0), ((2, 3), 0), ((2, 3), 1), ((0, 2), 1)]
    return [((rng.normal(size=shape),), {"axis": axis}) for shape, axis in cases]


argmax = Constant(
    "argmax",
    lambda x, axis: np.argmax(x, axis=axis),
    _index_shape,
    samples=_index_samples,
)
argmin = Constant(
    "argmin",
    lambda x, axis: np.argmin(x, axis=axis),
    _index_shape,
    samples=_index_samples,
)


def _truth_samples(rng: np.random.Generator) -> list[Any]:
    return [((x > 0,), params) for (x,), params in _samples(rng)]


any_ = Constant(
    "any", lambda x, axes: np.any(x, axis=axes), _reduced, samples=_truth_samples
)
all_ = Constant(
    "all", lambda x, axes: np.all(x, axis=axes), _reduced, samples=_truth_samples
)
