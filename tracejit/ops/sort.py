"""Orders, and what else goes by comparing.

    argsort(x; axis)              the order of the elements along an axis; stable
    searchsorted(a, v; right)     where the elements of `v` belong in the sorted vector
    cummax, cummin (x; axis, reverse)

NaN comes last, as in NumPy. A sorted array is a gather by its order: its derivative
goes where the elements went.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.ir.aval import Aval
from tracejit.ir.primitive import Constant, Nonlinear
from tracejit.ops.elementwise import eq, select
from tracejit.ops.index import gather
from tracejit.ops.reduce import same_shape, scan_samples, turned
from tracejit.ops.shape import broadcast, iota

INT64 = np.dtype(np.int64)


def _order_samples(rng: np.random.Generator) -> list[Any]:
    cases: list[Any] = [((40,), 0), ((3, 5), 0), ((3, 5), 1), ((2, 3, 2), 1)]
    samples = [((rng.normal(size=shape),), {"axis": axis}) for shape, axis in cases]
    ties = rng.integers(0, 3, 50)
    nans = np.array([2.0, np.nan, -np.inf, 1.0, np.nan, 2.0])
    return [*samples, ((ties,), {"axis": 0}), ((nans,), {"axis": 0})]


argsort = Constant(
    "argsort",
    lambda x, axis: np.argsort(x, axis, kind="stable"),
    lambda x, axis: Aval(INT64, x.shape),
    samples=_order_samples,
    cost=40,
)


def _search_samples(rng: np.random.Generator) -> list[Any]:
    a = np.sort(np.round(rng.normal(size=9), 1))
    v = np.concatenate([a[2:5], rng.normal(size=4), [np.nan, np.inf]])
    cases = [(a, v), (a[:0], v), (np.arange(5), rng.integers(-1, 7, (2, 3)))]
    return [(case, {"right": right}) for case in cases for right in (False, True)]


searchsorted = Constant(
    "searchsorted",
    lambda a, v, right: np.asarray(np.searchsorted(a, v, "right" if right else "left")),
    lambda a, v, right: Aval(INT64, v.shape),
    samples=_search_samples,
    cost=20,
)


def _extremum_tangent(
    y: Any, inputs: Any, tangents: Any, axis: int, reverse: bool
) -> Any:
    """That of the element which is the extremum so far: the latest, where they tie."""
    (x,), (t,) = inputs, tangents
    shape = x.aval.shape
    counts = iota(size=shape[axis], dtype=INT64)
    counts = broadcast(counts, shape=shape, axes=(axis,))
    if reverse:
        last = select(eq(x, y), counts, shape[axis])
        last = cummin(last, axis=axis, reverse=True)
    else:
        last = cummax(select(eq(x, y), counts, 0), axis=axis, reverse=False)
    every = tuple(range(len(shape)))
    index = [
        last
        if k == axis
        else broadcast(iota(size=n, dtype=INT64), shape=shape, axes=(k,))
        for k, n in enumerate(shape)
    ]
    return gather(t, *index, axes=every)


def _extremum(name: str, ufunc: np.ufunc) -> Nonlinear:
    return Nonlinear(
        name,
        lambda x, axis, reverse: turned(
            ufunc.accumulate(turned(x, axis, reverse), axis), axis, reverse
        ),
        same_shape,
        tangent=_extremum_tangent,
        samples=scan_samples,
    )


cummax: Nonlinear = _extremum("cummax", np.maximum)
cummin: Nonlinear = _extremum("cummin", np.minimum)
