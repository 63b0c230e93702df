"""Indexing. One start per axis of `x` (operands); static sizes and steps.

    getitem(x, *starts; sizes, steps)        sizes[k] None: a point, the axis vanishes
    setitem(x, v, *starts; sizes, steps)     x with that part replaced by v
    acc_slice(x, v, *starts; sizes, steps)   x with v added to that part
    gather(x, *indices; axes)                x at integer arrays of one shape
    scatter_set / scatter_add(x, v, *indices; axes)

Indices are in range and not negative: staging wraps and checks them. Axis k of the
part reads `start + j * step` for j in range(size). In `gather` the result's axes are
those of the indices, then the axes of `x` that are not indexed; `v` has that shape in
the scatters. Where indices repeat, the last one in C order wins in `scatter_set`, and
`scatter_add` adds them all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.ir.aval import Aval
from tracejit.ir.primitive import Linear, zeros
from tracejit.ops.elementwise import eq, select
from tracejit.ops.shape import broadcast, iota, reshape


def _key(starts: Sequence[Any], sizes: Any, steps: Any) -> tuple[Any, ...]:
    key: list[int | slice] = []
    for start, size, step in zip(starts, sizes, steps, strict=True):
        if size is None:
            key.append(int(start))
            continue
        stop = int(start) + int(size) * int(step)
        # A negative step that runs past the first element needs an open end.
        key.append(slice(int(start), None if stop < 0 else stop, int(step)))
    return tuple(key)


def _getitem(x: Any, *starts: Any, sizes: Any, steps: Any) -> Any:
    return x[_key(starts, sizes, steps)]


def _part(x: Aval, *starts: Aval, sizes: Any, steps: Any) -> Aval:
    assert len(sizes) == len(steps) == x.ndim == len(starts), (x, sizes, steps)
    return x.update(shape=tuple(n for n in sizes if n is not None))


def _setitem(
    x: Any, v: Any, *starts: Any, sizes: Any, steps: Any, inplace: bool = False
) -> Any:
    x = _grown(x, starts, sizes) if inplace else _grown(x.copy(), starts, sizes)
    x[_key(starts, sizes, steps)] = v
    return x


def _acc_slice(
    x: Any, v: Any, *starts: Any, sizes: Any, steps: Any, inplace: bool = False
) -> Any:
    x = _grown(x, starts, sizes) if inplace else _grown(x.copy(), starts, sizes)
    x[_key(starts, sizes, steps)] += v
    return x


def _grown(x: Any, starts: Any, sizes: Any) -> Any:
    """A growable tape is grown to hold its leading index (see `aval.GROW`)."""
    if sizes[0] is None and int(starts[0]) >= len(x):
        more = max(len(x), int(starts[0]) + 1 - len(x), 16)
        x = np.concatenate([x, np.zeros((more, *x.shape[1:]), x.dtype)])
    return x


def _same(x: Aval, *rest: Aval, **params: Any) -> Aval:
    return x


def _slices(rng: np.random.Generator, *extra: Any) -> list[Any]:
    """Samples; `extra` are the operands after x, as functions of the part's shape."""
    cases = [
        ((5,), (1,), (3,), (1,)),
        ((5,), (4,), (3,), (-2,)),
        ((5,), (2,), (None,), (1,)),
        ((4, 5), (1, 0), (None, 5), (1, 1)),
        ((4, 5), (3, 1), (2, 2), (-1, 2)),
        ((4, 5), (3, 4), (None, None), (1, 1)),
    ]
    samples: list[Any] = []
    for shape, starts, sizes, steps in cases:
        part = tuple(n for n in sizes if n is not None)
        more = [make(part) for make in extra]
        operands = (rng.normal(size=shape), *more, *map(np.int64, starts))
        samples.append((operands, {"sizes": sizes, "steps": steps}))
    return samples


getitem: Linear = Linear(
    "getitem",
    _getitem,
    _part,
    {0: lambda ct, x, *starts, **p: acc_slice(zeros(x.aval), ct, *starts, **p)},
    accumulate={0: lambda acc, ct, x, *starts, **p: acc_slice(acc, ct, *starts, **p)},
    samples=_slices,
    cost=1,
    complex=True,
)

setitem: Linear = Linear(
    "setitem",
    _setitem,
    _same,
    {
        0: lambda ct, x, v, *starts, **p: setitem(ct, zeros(v.aval), *starts, **p),
        1: lambda ct, x, v, *starts, **p: getitem(ct, *starts, **p),
    },
    samples=lambda rng: _slices(rng, lambda part: rng.normal(size=part)),
    updates=True,
    complex=True,
)

acc_slice: Linear = Linear(
    "acc_slice",
    _acc_slice,
    _same,
    {
        0: lambda ct, x, v, *starts, **p: ct,
        1: lambda ct, x, v, *starts, **p: getitem(ct, *starts, **p),
    },
    samples=lambda rng: _slices(rng, lambda part: rng.normal(size=part)),
    updates=True,
    complex=True,
)

# gather and the scatters: `axes` are those of x that are indexed, one index array each.


def _gather(x: Any, *indices: Any, axes: tuple[int, ...]) -> Any:
    return np.moveaxis(x, axes, range(len(axes)))[indices]


def _gather_shape(x: Aval, *indices: Aval, axes: tuple[int, ...]) -> Aval:
    assert len(indices) == len(axes) > 0, (indices, axes)
    assert all(i.shape == indices[0].shape for i in indices), indices
    rest = tuple(n for k, n in enumerate(x.shape) if k not in axes)
    return x.update(shape=indices[0].shape + rest)


def _scatter_set(
    x: Any, v: Any, *indices: Any, axes: tuple[int, ...], inplace: bool = False
) -> Any:
    x = x if inplace else x.copy()
    np.moveaxis(x, axes, range(len(axes)))[indices] = v
    return x


def _scatter_add(
    x: Any, v: Any, *indices: Any, axes: tuple[int, ...], inplace: bool = False
) -> Any:
    x = x if inplace else x.copy()
    np.add.at(np.moveaxis(x, axes, range(len(axes))), indices, v)
    return x


def _last_writes(x: Any, v: Any, indices: Any, axes: tuple[int, ...]) -> Any:
    """Where `v` is what `scatter_set` left behind: the last write to its cell.

    Every write leaves its number in a table of the cells, and reads it again.
    """
    shape = indices[0].aval.shape
    count = reshape(iota(size=math.prod(shape), dtype=np.dtype(np.int64)), shape=shape)
    cells = tuple(x.aval.shape[k] for k in axes)
    every = tuple(range(len(cells)))
    table = zeros(count.aval.update(shape=cells))
    table = scatter_set(table, count, *indices, axes=every)
    last = eq(gather(table, *indices, axes=every), count)
    return broadcast(last, shape=v.aval.shape, axes=tuple(range(len(shape))))


def _scattered(rng: np.random.Generator, *extra: Any) -> list[Any]:
    cases: list[Any] = [
        ((5,), ([0, 2, 2],), (0,)),
        ((5,), ([[4, 1], [1, 4]],), (0,)),
        ((4, 3), ([3, 0, 3, 1],), (0,)),
        ((4, 3), ([2, 0, 2],), (1,)),
        ((4, 3), ([2, 0, 2], [1, 1, 1]), (0, 1)),
        ((2, 4, 3), ([2, 1], [1, 0]), (2, 0)),
        ((5,), ([],), (0,)),
        ((5,), (2,), (0,)),
    ]
    samples: list[Any] = []
    for shape, lists, axes in cases:
        x = rng.normal(size=shape)
        indices = [np.asarray(i, np.int64) for i in lists]
        more = [make(_gather(x, *indices, axes=axes).shape) for make in extra]
        samples.append(((x, *more, *indices), {"axes": axes}))
    return samples


gather: Linear = Linear(
    "gather",
    _gather,
    _gather_shape,
    {0: lambda ct, x, *i, axes: scatter_add(zeros(x.aval), ct, *i, axes=axes)},
    accumulate={0: lambda acc, ct, x, *i, axes: scatter_add(acc, ct, *i, axes=axes)},
    samples=_scattered,
    cost=4,
    complex=True,
)

scatter_set: Linear = Linear(
    "scatter_set",
    _scatter_set,
    _same,
    {
        0: lambda ct, x, v, *i, axes: scatter_set(ct, zeros(v.aval), *i, axes=axes),
        1: lambda ct, x, v, *i, axes: select(
            _last_writes(x, v, i, axes), gather(ct, *i, axes=axes), 0
        ),
    },
    samples=lambda rng: _scattered(rng, lambda part: rng.normal(size=part)),
    updates=True,
    complex=True,
)

scatter_add: Linear = Linear(
    "scatter_add",
    _scatter_add,
    _same,
    {
        0: lambda ct, x, v, *i, axes: ct,
        1: lambda ct, x, v, *i, axes: gather(ct, *i, axes=axes),
    },
    samples=lambda rng: _scattered(rng, lambda part: rng.normal(size=part)),
    updates=True,
    complex=True,
)
