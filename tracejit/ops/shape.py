"""Structure: arrays rearranged, never computed with. All of them are linear.

`broadcast` is the only place where extents grow, `sum` its transpose: elementwise
primitives take operands of one shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.ir.aval import Aval
from tracejit.ir.primitive import REGISTRY, Constant, Linear
from tracejit.ir.program import Literal
from tracejit.ops.reduce import sum_

# broadcast(x; shape, axes): x's axis k becomes axis axes[k] of `shape`; axes ascend.


def _broadcast(x: Any, shape: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    x = np.asarray(x)
    inner = [1] * len(shape)
    for k, axis in enumerate(axes):
        inner[axis] = x.shape[k]
    return np.broadcast_to(x.reshape(inner), shape)


def _broadcast_shape(x: Aval, shape: tuple[int, ...], axes: tuple[int, ...]) -> Aval:
    assert tuple(shape[a] for a in axes) == x.shape, (x, shape, axes)
    return Aval(x.dtype, tuple(shape))


def _broadcast_transpose(
    ct: Any, x: Any, shape: tuple[int, ...], axes: tuple[int, ...]
) -> Any:
    return sum_(ct, axes=tuple(k for k in range(len(shape)) if k not in axes))


broadcast: Linear = Linear(
    "broadcast",
    _broadcast,
    _broadcast_shape,
    {0: _broadcast_transpose},
    samples=lambda rng: [
        ((rng.normal(size=()),), {"shape": (3,), "axes": ()}),
        ((rng.normal(size=(2,)),), {"shape": (3, 2, 4), "axes": (1,)}),
        ((rng.normal(size=(3, 4)),), {"shape": (3, 2, 4), "axes": (0, 2)}),
    ],
    cost=0,
    complex=True,
)

# reshape(x; shape): C order.

reshape: Linear = Linear(
    "reshape",
    lambda x, shape: np.reshape(x, shape),
    lambda x, shape: Aval(x.dtype, tuple(shape)),
    {0: lambda ct, x, shape: reshape(ct, shape=x.aval.shape)},
    samples=lambda rng: [
        ((rng.normal(size=(2, 6)),), {"shape": (3, 4)}),
        ((rng.normal(size=()),), {"shape": (1, 1)}),
    ],
    cost=0,
    complex=True,
)

# transpose(x; perm): output axis k is x's axis perm[k].


def _inverse(perm: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(k) for k in np.argsort(perm))


transpose: Linear = Linear(
    "transpose",
    lambda x, perm: np.transpose(x, perm),
    lambda x, perm: Aval(x.dtype, tuple(x.shape[p] for p in perm)),
    {0: lambda ct, x, perm: transpose(ct, perm=_inverse(perm))},
    samples=lambda rng: [
        ((rng.normal(size=(2, 3)),), {"perm": (1, 0)}),
        ((rng.normal(size=(2, 3, 4)),), {"perm": (2, 0, 1)}),
    ],
    cost=0,
    complex=True,
)

# flip(x; axes)

flip: Linear = Linear(
    "flip",
    lambda x, axes: np.flip(x, axes),
    lambda x, axes: x,
    {0: lambda ct, x, axes: flip(ct, axes=axes)},
    samples=lambda rng: [((rng.normal(size=(2, 3)),), {"axes": (1,)})],
    cost=0,
    complex=True,
)

# concatenate(*xs; axis): every operand is linear (key -1).


def _concatenate_shape(*xs: Aval, axis: int) -> Aval:
    extent = xs[0].shape[axis]
    for x in xs[1:]:
        extent = extent + x.shape[axis]
    return xs[0].update(shape=(*xs[0].shape[:axis], extent, *xs[0].shape[axis + 1 :]))


def _concatenate_transpose(ct: Any, k: int, *xs: Any, axis: int) -> Any:
    starts: list[int] = [0] * ct.aval.ndim
    for x in xs[:k]:
        starts[axis] = starts[axis] + x.aval.shape[axis]
    sizes = tuple(xs[k].aval.shape)
    return REGISTRY["getitem"](ct, *starts, sizes=sizes, steps=(1,) * len(sizes))


concatenate: Linear = Linear(
    "concatenate",
    lambda *xs, axis: np.concatenate(xs, axis),
    _concatenate_shape,
    {-1: _concatenate_transpose},
    samples=lambda rng: [
        ((rng.normal(size=2), rng.normal(size=3)), {"axis": 0}),
        ((rng.normal(size=(2, 1)), rng.normal(size=(2, 3))), {"axis": 1}),
    ],
    cost=0,
    complex=True,
)

# pad(x, value; lo, hi): lo[k] copies of the number `value` before axis k, hi[k] after.


def _pad(x: Any, value: Any, lo: tuple[int, ...], hi: tuple[int, ...]) -> Any:
    shape = _pad_shape(x, value, lo, hi).shape
    out = np.full(shape, value, x.dtype)
    out[tuple(slice(n, n + m) for n, m in zip(lo, x.shape, strict=True))] = x
    return out


def _pad_shape(x: Any, value: Any, lo: tuple[int, ...], hi: tuple[int, ...]) -> Aval:
    widths = zip(x.shape, lo, hi, strict=True)
    return Aval(x.dtype, tuple(n + before + after for n, before, after in widths))


def _unpad(ct: Any, x: Any, lo: tuple[int, ...]) -> Any:
    return REGISTRY["getitem"](
        ct, *map(np.int64, lo), sizes=x.aval.shape, steps=(1,) * len(lo)
    )


def _pad_value_transpose(ct: Any, x: Any, value: Any, lo: Any, hi: Any) -> Any:
    # The border's sum: what remains when the inside is set to zero.
    inside = REGISTRY["broadcast"](
        Literal(0, ct.aval.dtype), shape=x.aval.shape, axes=()
    )
    border = REGISTRY["setitem"](
        ct,
        inside,
        *map(np.int64, lo),
        sizes=x.aval.shape,
        steps=(1,) * len(lo),
    )
    return sum_(border, axes=tuple(range(len(lo))))


pad: Linear = Linear(
    "pad",
    _pad,
    _pad_shape,
    {
        0: lambda ct, x, value, lo, hi: _unpad(ct, x, lo),
        1: _pad_value_transpose,
    },
    samples=lambda rng: [
        ((rng.normal(size=3), np.float64(0.5)), {"lo": (1,), "hi": (2,)}),
        ((rng.normal(size=(2, 3)), np.float64(0)), {"lo": (0, 1), "hi": (1, 0)}),
        ((rng.normal(size=(0,)), np.float64(2)), {"lo": (1,), "hi": (1,)}),
    ],
    cost=0,
    complex=True,
)

# iota(; size, dtype): 0, 1, … size - 1.

iota = Constant(
    "iota",
    lambda size, dtype: np.arange(size, dtype=dtype),
    lambda size, dtype: Aval(np.dtype(dtype), (size,)),
    samples=lambda rng: [((), {"size": 4, "dtype": np.dtype("int64")})],
    cost=0,
    complex=True,
)

# empty(; shape, dtype, [tape]): room that is written before it is read, as that of a
# tape is, which says so. The interpreter fills it with zeros, so that running a Program
# twice gives the same.

empty = Constant(
    "empty",
    lambda shape, dtype, tape=False: np.zeros(shape, dtype),
    lambda shape, dtype, tape=False: Aval(np.dtype(dtype), tuple(shape)),
    samples=lambda rng: [((), {"shape": (2, 3), "dtype": np.dtype("float64")})],
    cost=0,
    complex=True,
)
