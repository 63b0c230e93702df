"""Special functions: elementwise primitives whose NumPy side is made of `math`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.ir.primitive import REGISTRY, elementwise
from tracejit.ops.elementwise import add, exp, floor, log, select, sub, tan


def _map(function: Callable[[float], float]) -> Callable[[Any], Any]:
    """A scalar function at every element, in the dtype of the array."""
    ufunc = np.frompyfunc(function, 1, 1)

    def mapped(x: Any) -> Any:
        x = np.asarray(x)
        return np.asarray(ufunc(x)).astype(x.dtype)

    return mapped


erf = elementwise(
    "erf",
    _map(math.erf),
    lambda y, x: (2 / math.sqrt(math.pi)) * exp(-(x * x)),
    emit="math.erf({0})",
    cost=15,
)
erfc = elementwise(
    "erfc",
    _map(math.erfc),
    lambda y, x: (-2 / math.sqrt(math.pi)) * exp(-(x * x)),
    emit="math.erfc({0})",
    cost=15,
)


def _lgamma(x: float) -> float:
    """`math.lgamma` with the pole at 0, -1, … as an infinity and no exception."""
    if x <= 0 and x == math.floor(x):
        return math.inf
    try:
        return math.lgamma(x)
    except OverflowError:
        return math.inf


#: B_2k / 2k: the coefficients of the asymptotic series of digamma in 1/x².
_SERIES = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12)
_SHIFT = 8


def digamma(x: Any) -> Any:
    """The derivative of lgamma, in equations that have derivatives of every order.

    Below 1/2 it is reflected, then moved up by its recurrence to where the series
    converges.
    """
    reflect = REGISTRY["lt"](x, 0.5)
    z = select(reflect, 1 - x, x)
    steps = 1 / z
    for k in range(1, _SHIFT):
        steps = steps + 1 / (z + k)
    w = z + _SHIFT
    inverse = 1 / (w * w)
    series: Any = inverse * _SERIES[-1]
    for coefficient in reversed(_SERIES[:-1]):
        series = inverse * (series + coefficient)
    upper = log(w) - 0.5 / w - series - steps
    # The cotangent has period 1: its argument is kept small, and away from no pole.
    fraction = select(reflect, sub(x, floor(add(x, 0.5))), 0.25)
    return upper - select(reflect, math.pi / tan(math.pi * fraction), 0)


lgamma = elementwise(
    "lgamma",
    _map(_lgamma),
    lambda y, x: digamma(x),
    emit="math.lgamma({0})",
    domain=((-0.9, 6.0),),
    cost=30,
)

__all__ = [name for name in REGISTRY if name in globals()]
