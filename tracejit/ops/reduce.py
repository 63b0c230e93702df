"""Reductions over a tuple of axes; the axes vanish."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.ir.aval import Aval
from tracejit.ir.primitive import REGISTRY, Linear


def _reduced(x: Aval, axes: tuple[int, ...]) -> Aval:
    return x.update(shape=tuple(n for k, n in enumerate(x.shape) if k not in axes))


def _kept(ndim: int, axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(k for k in range(ndim) if k not in axes)


def _spread(r: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """A reduced value back at the shape of `x`."""
    kept = _kept(x.aval.ndim, axes)
    return REGISTRY["broadcast"](r, shape=x.aval.shape, axes=kept)


_SAMPLES: Any = lambda rng: [  # noqa: E731
    ((rng.normal(size=(3,)),), {"axes": (0,)}),
    ((rng.normal(size=(2, 3, 4)),), {"axes": (0, 2)}),
    ((rng.normal(size=(2, 3)),), {"axes": ()}),
]

sum_ = Linear(
    "sum",
    lambda x, axes: np.sum(x, axis=axes),
    _reduced,
    {0: lambda ct, x, axes: _spread(ct, x, axes)},
    samples=_SAMPLES,
)
